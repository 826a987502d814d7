// SPDX-License-Identifier: Apache-2.0
import CLinux
import EventLoop
import LinuxSystem
import NetStack
import SystemPackage

/// The host's socket for one UDP socket or one ping of the pod.
struct HostMapping: HostRecord {
    var descriptor: Int32 = -1
    var generation: UInt32 = 0
    var isEcho = false
    var isPodIPv4 = true
    /// The socket's family; the name server may be of another than the pod's.
    var isHostIPv4 = true
    /// Has asked the name server.
    var usesResolver = false
    /// IP_PMTUDISC_DO is set.
    var dontFragment = false
    var isQueued = false
    /// A batch has failed: datagrams are sent one by one.
    var refusesBatches = false
    /// When the unanswered query was sent, in milliseconds; 0 for none.
    var asked: UInt64 = 0
}

extension UserNetwork {
    /// Datagrams per socket before others get their turn.
    private static var quota: Int { 64 }

    mutating func openMapping(_ id: MappingID, _ kind: MappingKind, _ source: InternetEndpoint) {
        let record = mappings.begin(id)
        record.pointee.isEcho = kind == .echo
        record.pointee.isPodIPv4 = source.address.isIPv4
    }

    func closeMapping(_ id: MappingID) {
        guard let record = mappings.find(id), record.pointee.descriptor >= 0 else { return }
        _ = OwnedFD(record.pointee.descriptor)
        record.pointee.descriptor = -1
    }

    /// Makes sure that the mapping has a socket that can reach `target`.
    func prepare(
        _ id: MappingID, _ record: UnsafeMutablePointer<HostMapping>, _ target: SocketAddress,
        _ epoll: borrowing Epoll
    ) throws(Errno) {
        let isIPv4 = target.family == AF_INET
        if record.pointee.descriptor >= 0 {
            if record.pointee.isHostIPv4 != isIPv4 { throw .networkUnreachable }
            return
        }
        let socket =
            record.pointee.isEcho
            ? try Datagrams.makePing(family: target.family) : try Datagrams.make(family: target.family)
        let source = isIPv4 ? outbound.sourceIPv4 : outbound.sourceIPv6
        if let source, !host.isLocal(target.ip) { try Socket.bind(socket.raw, SocketAddress(source, port: 0)) }
        try epoll.add(socket.raw, [.readable, .edgeTriggered], token: Self.token(.mapping, id))
        record.pointee.isHostIPv4 = isIPv4
        record.pointee.descriptor = socket.release()
    }

    // MARK: Events

    mutating func mappingEvent(_ id: MappingID, _ readiness: Readiness) {
        guard let record = mappings.find(id), record.pointee.descriptor >= 0 else { return }
        if readiness.contains(.error) { passErrors(id, record) }
        if readiness.contains(.readable) { queueMapping(id, record) }
        hasOutput = true
    }

    private mutating func queueMapping(_ id: MappingID, _ record: UnsafeMutablePointer<HostMapping>) {
        if record.pointee.isQueued { return }
        record.pointee.isQueued = true
        readyMappings.append(Self.token(.mapping, id))
    }

    /// Reads from the sockets that have datagrams, each up to its quota.
    mutating func receiveFromHost() {
        for _ in 0..<readyMappings.count {
            guard let raw = readyMappings.popFirst() else { return }
            let token = EventToken(rawValue: raw)
            let id = MappingID(index: token.slot, generation: token.generation)
            guard let record = mappings.find(id) else { continue }
            record.pointee.isQueued = false
            guard record.pointee.descriptor >= 0 else { continue }
            let isLeft = record.pointee.isEcho ? receiveReplies(id, record) : receiveDatagrams(id, record)
            if isLeft { queueMapping(id, record) }
        }
    }

    /// True if there may be more.
    private mutating func receiveDatagrams(_ id: MappingID, _ record: UnsafeMutablePointer<HostMapping>) -> Bool {
        let space = UnsafeMutableRawBufferPointer(rebasing: datagrams[NetStack.datagramHeadroom...])
        var peer = SocketAddress(.anyIPv4, port: 0)
        var segmentSize = 0
        for _ in 0..<Self.quota {
            let outcome = Datagrams.receive(
                record.pointee.descriptor, into: space, from: &peer, segmentSize: &segmentSize)
            guard case .bytes(let count) = outcome else {
                if outcome == .wouldBlock { return false }
                // An error that belongs to an earlier datagram; its report is in the queue.
                passErrors(id, record)
                continue
            }
            record.pointee.asked = 0
            let source = translateBack(peer, record.pointee)
            guard
                var transmission = stack.beginDatagrams(
                    id, from: source, payloadLength: count, segmentSize: segmentSize, now: now)
            else { continue }
            while let range = stack.nextDatagramFrame(&transmission, in: datagrams) {
                writeFrame(UnsafeRawBufferPointer(rebasing: datagrams[range]))
            }
        }
        return true
    }

    private mutating func receiveReplies(_ id: MappingID, _ record: UnsafeMutablePointer<HostMapping>) -> Bool {
        var peer = SocketAddress(.anyIPv4, port: 0)
        var segmentSize = 0
        for _ in 0..<Self.quota {
            let outcome = Datagrams.receive(
                record.pointee.descriptor, into: datagrams, from: &peer, segmentSize: &segmentSize)
            guard case .bytes(let count) = outcome else {
                if outcome == .wouldBlock { return false }
                passErrors(id, record)
                continue
            }
            // Type, code, checksum, identifier, sequence: RFC 792, RFC 4443 section 4.2. An echo reply is 0 or 129.
            guard count >= 8, datagrams[0] == (record.pointee.isHostIPv4 ? 0 : 129) else { continue }
            stack.replyEcho(
                id, from: translateBack(peer, record.pointee).address,
                sequence: UInt16(datagrams[6]) << 8 | UInt16(datagrams[7]),
                payload: UnsafeRawBufferPointer(rebasing: datagrams[8..<count]), now: now)
            hasOutput = true
        }
        return true
    }
}
