// SPDX-License-Identifier: Apache-2.0
import CLinux
import EventLoop
import LinuxSystem
import NetStack
import SystemPackage

/// The host's half of a connection of the pod.
struct HostConnection: HostRecord {
    struct Flags: OptionSet, BitwiseCopyable {
        let rawValue: UInt16
        /// connect(2) has not succeeded yet.
        static var connecting: Self { Self(rawValue: 1) }
        /// The pod was told of too little room; the socket's next EPOLLOUT is for it.
        static var awaitsRoom: Self { Self(rawValue: 2) }
        /// The other side has ended, in one way or another: it will send no more than is queued.
        static var peerEnded: Self { Self(rawValue: 4) }
        /// Sending has failed: what the other side had sent is passed on, then a reset.
        static var broken: Self { Self(rawValue: 8) }
        /// In the list of connections with bytes to take off.
        static var acknowledged: Self { Self(rawValue: 16) }
        static var usesResolver: Self { Self(rawValue: 32) }
        /// The kernel peeks at an offset by itself.
        static var peeksAtOffset: Self { Self(rawValue: 64) }
        /// What is queued is followed by the end of the stream, not by a reset.
        static var endsOrderly: Self { Self(rawValue: 128) }
        /// Should the other side send in bulk, and be nearby, its bulk is queued.
        static var mayQueueBulk: Self { Self(rawValue: 256) }
        /// The other side has an address of this machine.
        static var isLocal: Self { Self(rawValue: 512) }
    }

    var descriptor: Int32 = -1
    var generation: UInt32 = 0
    var flags: Flags = []
    /// The socket's SO_PEEK_OFF; -1, as the kernel has it at first, peeks at the first octet. Short exchanges never set it.
    var peekOffset: Int32 = -1
    /// Octets that the pod has acknowledged and that are still queued.
    var unconsumed: Int32 = 0
    /// Octets that the socket can take, as of the last look less what was sent since; and as of the last look.
    var room: Int32 = 0
    var roomSeen: Int32 = 0
    var nextAcknowledged: UInt32 = .max
}

extension UserNetwork {
    static var connectionInterest: Readiness { [.readable, .writable, .peerEnded, .edgeTriggered] }

    // MARK: Beginning

    /// The pod wants to connect. Everything that can be known at once is answered at once: a connect over loopback has
    /// succeeded or failed when it returns, although it says EINPROGRESS.
    mutating func dial(_ id: FlowID, _ destination: InternetEndpoint, _ epoll: borrowing Epoll) {
        let isResolver = isNameServer(destination)
        guard let target = translate(destination) else {
            return stack.refuseConnection(id, error: .hostUnreachable, now: now)
        }
        do throws(Errno) {
            let isLocal = host.isLocal(target.ip)
            let socket = try makeStream(target, isLocal: isLocal)
            var outcome = Socket.connect(socket.raw, target)
            if outcome == .inProgress && isLocal { outcome = Socket.connect(socket.raw, target) }
            if case .failed(let error) = outcome { throw error }
            try epoll.add(socket.raw, Self.connectionInterest, token: Self.token(.connection, id))
            let record = connections.begin(id)
            record.pointee.descriptor = socket.release()
            if target.family == AF_INET ? hasPeekOffset.ipv4 : hasPeekOffset.ipv6 {
                record.pointee.flags.insert(.peeksAtOffset)
            }
            if isResolver { record.pointee.flags.insert(.usesResolver) }
            if mayQueueBulk { record.pointee.flags.insert(isLocal ? [.mayQueueBulk, .isLocal] : .mayQueueBulk) }
            if outcome == .connected {
                accept(id, record, epoll)
            } else {
                record.pointee.flags.insert(.connecting)
            }
        } catch {
            if error.isShortage { shortages += 1 } else if isResolver { resolvers.failed(target.ip) }
            stack.refuseConnection(id, error: error.report, now: now)
        }
    }

    private func makeStream(_ target: SocketAddress, isLocal: Bool) throws(Errno) -> OwnedFD {
        let socket = try Socket.make(family: target.family, .tcp)
        try Socket.setNoDelay(socket.raw)
        // Urgent data is ordinary data: in the stream, where offsets count it.
        try Socket.set(socket.raw, SOL_SOCKET, SO_OOBINLINE, 1)
        // A path inside this machine loses nothing, so pacing would only cost timers, and nobody vanishes silently.
        if isLocal { Socket.setReno(socket.raw) } else { try Socket.setKeepalive(socket.raw) }
        let source = target.family == AF_INET ? outbound.sourceIPv4 : outbound.sourceIPv6
        if let source, !isLocal { try Socket.bind(socket.raw, SocketAddress(source, port: 0)) }
        return socket
    }

    private mutating func accept(
        _ id: FlowID, _ record: UnsafeMutablePointer<HostConnection>, _ epoll: borrowing Epoll
    ) {
        let capacity = lookForRoom(id, record, epoll)
        stack.acceptConnection(id, receiveCapacity: capacity, now: now)
        hasOutput = true
    }

    // MARK: Events

    mutating func connectionEvent(_ id: FlowID, _ readiness: Readiness, _ epoll: borrowing Epoll) {
        guard let record = connections.find(id), record.pointee.descriptor >= 0 else { return }
        hasOutput = true
        if record.pointee.flags.contains(.connecting) {
            guard !readiness.isDisjoint(with: [.writable, .error, .hangUp]) else { return }
            let error = Socket.takeError(record.pointee.descriptor)
            if error == .connectionReset {
                // A reset, not a refusal: the connection existed. What came before the reset is still to be read.
                record.pointee.flags.insert(.broken)
            } else if let error {
                if record.pointee.flags.contains(.usesResolver), let asked = resolvers.current {
                    resolvers.failed(asked)
                }
                end(record)
                return stack.refuseConnection(id, error: error.report, now: now)
            }
            record.pointee.flags.remove(.connecting)
            accept(id, record, epoll)
        }
        if !readiness.isDisjoint(with: [.peerEnded, .error, .hangUp]) { record.pointee.flags.insert(.peerEnded) }
        if readiness.contains(.error) {
            record.pointee.flags.remove(.endsOrderly)
        } else if readiness.contains(.peerEnded) {
            record.pointee.flags.insert(.endsOrderly)
        }
        if !readiness.isDisjoint(with: [.readable, .peerEnded, .error, .hangUp]) { stack.hostReadable(id) }
        if readiness.contains(.writable) && record.pointee.flags.contains(.awaitsRoom) {
            let capacity = lookForRoom(id, record, epoll)
            stack.setReceiveCapacity(id, capacity, now: now)
        }
    }

    // MARK: Ending

    mutating func closeConnection(_ id: FlowID, reset: Bool) {
        guard let record = connections.find(id), record.pointee.descriptor >= 0 else { return }
        // Unread bytes would turn an orderly close into a reset: close(2) of TCP.
        if record.pointee.flags.contains(.acknowledged) { consumeAcknowledged() }
        if reset { Socket.resetOnClose(record.pointee.descriptor) }
        end(record)
    }

    private func end(_ record: UnsafeMutablePointer<HostConnection>) {
        _ = OwnedFD(record.pointee.descriptor)
        record.pointee.descriptor = -1
    }
}
