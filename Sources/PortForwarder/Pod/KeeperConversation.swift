// SPDX-License-Identifier: Apache-2.0
import CLinux
import EventLoop
import LinuxSystem
import NetControl
import SystemPackage

/// Room for one request and one reply with its descriptors, so that asking does not allocate.
struct KeeperMessages: ~Copyable {
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 8)
    let descriptors = UnsafeMutablePointer<Int32>.allocate(capacity: KeeperRequest.socketLimit)

    init() {}

    deinit {
        bytes.deallocate()
        descriptors.deallocate()
    }
}

extension PortForwarder {
    /// Asks the keeper for sockets of each family whose stock is not full.
    mutating func askForSockets(isBusy: Bool = false) {
        askForSockets(.ipv4, isBusy)
        if configuration.podIPv6 != nil { askForSockets(.ipv6, isBusy) }
    }

    private mutating func askForSockets(_ family: KeeperRequest.Family, _ isBusy: Bool) {
        let count = pool.countToAsk(family, isBusy: isBusy)
        if count == 0 { return }
        if !send(KeeperRequest(.sockets, family: family, count: UInt8(count))) {
            pool.answered(family)
            scheduleRetry()
        }
    }

    /// Sends one request. False when the keeper's queue is full; its end shows as an event.
    mutating func send(_ request: KeeperRequest) -> Bool {
        request.encode(into: keeperMessages.bytes)
        let flags = Int32(samara_msg_dontwait)
        return samara_send_with_fds(
            keeper.raw, keeperMessages.bytes.baseAddress, KeeperRequest.size, nil, 0, flags) == KeeperRequest.size
    }

    /// Reads every reply that has arrived.
    mutating func keeperEvent() {
        while exit == nil {
            var count = Int32(KeeperRequest.socketLimit)
            let length = samara_recv_with_fds(
                keeper.raw, keeperMessages.bytes.baseAddress, 64, keeperMessages.descriptors, &count,
                Int32(samara_msg_dontwait))
            if length <= 0 {
                let error = length == 0 ? Errno.connectionReset : lastErrno()
                switch error {
                case .wouldBlock: return
                case .interrupted: continue
                case .messageTooLong: descriptorShortage()
                // Closed, or broken beyond use: without the keeper there is no pod.
                default: exit = .podEnded
                }
                continue
            }
            let message = UnsafeRawBufferPointer(rebasing: keeperMessages.bytes[..<length])
            guard let reply = KeeperReply(decoding: message), Int(reply.count) == Int(count) else {
                for index in 0..<Int(count) { _ = close(keeperMessages.descriptors[index]) }
                exit = .podEnded
                return
            }
            handle(reply)
        }
    }

    private mutating func handle(_ reply: KeeperReply) {
        let descriptors = keeperMessages.descriptors
        switch reply.kind {
        case .sockets:
            for index in 0..<Int(reply.count) { pool.deposit(OwnedFD(descriptors[index]), reply.family) }
            pool.answered(reply.family)
            if reply.count == 0 {
                let error = Errno(rawValue: reply.errno)
                if error == .addressFamilyNotSupported || error == .protocolNotSupported {
                    pool.markUnavailable(reply.family)
                } else {
                    scheduleRetry()
                    return
                }
            }
            resumeWaitingFlows()
        case .datagramFlow:
            guard reply.count == 1 else { return datagramFlowFailed(EventToken(rawValue: reply.cookie)) }
            datagramFlowReady(EventToken(rawValue: reply.cookie), OwnedFD(descriptors[0]))
        case .tap:
            // Asked for before the loop began; another one is nobody's.
            for index in 0..<Int(reply.count) { _ = close(descriptors[index]) }
        case .resolverFile:
            // Several are one: the last was opened last.
            if reply.count == 1 {
                resolverFile = .some(.some(OwnedFD(descriptors[0])))
            } else {
                resolverFile = .some(.none)
            }
        case .endDatagramFlow: return
        }
    }

    /// Sockets arrived that this process has no room for; they are lost. Whatever was asked for has to be asked again,
    /// later.
    private mutating func descriptorShortage() {
        pool.answered(.ipv4)
        pool.answered(.ipv6)
        failWaitingDatagramFlows()
        scheduleRetry()
    }

    /// 100 ms after a shortage.
    mutating func retry() {
        retryTimer = .none
        isAcceptPaused = false
        askForSockets()
    }
}
