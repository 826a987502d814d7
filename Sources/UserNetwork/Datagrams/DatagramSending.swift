// SPDX-License-Identifier: Apache-2.0
import CLinux
import EventLoop
import LinuxSystem
import NetStack
import SystemPackage

extension UserNetwork {
    /// How long a name server has before the pod's next query goes to another one.
    private static var patience: UInt64 { 1000 }

    mutating func sendDatagram(_ datagram: OutgoingDatagram, _ payload: ByteView, _ epoll: borrowing Epoll) {
        let id = datagram.mapping
        let destination = datagram.destination
        guard let record = mappings.find(id) else { return }
        if isNameServer(destination) { noteQuery(record) }
        guard let target = translate(destination) else {
            return stack.failDatagram(id, destination: destination, error: .hostUnreachable, now: now)
        }
        do throws(Errno) {
            try prepare(id, record, target, epoll)
            // A packet of IPv6 is never fragmented on its way, but its sender may: then it was, and is put together here.
            let wanted = datagram.dontFragment && record.pointee.isHostIPv4
            if wanted != record.pointee.dontFragment {
                Datagrams.setDontFragment(record.pointee.descriptor, family: target.family, wanted)
                record.pointee.dontFragment = wanted
            }
            try send(id, record, payload, target, datagram.segmentSize)
            // A few of these fill a receiver's default buffer. One that waits for this processor must get it before the
            // next, or most of what is sent here is lost there.
            if payload.count > DatagramBatch.largestPayload { Processors.yield() }
        } catch {
            // The queue has said more exactly what a large datagram's limit is.
            if error == .messageTooLong { return }
            if error.isShortage { shortages += 1 }
            stack.failDatagram(id, destination: destination, error: error.report ?? .portUnreachable, now: now)
        }
        hasOutput = true
    }

    private mutating func noteQuery(_ record: UnsafeMutablePointer<HostMapping>) {
        record.pointee.usesResolver = true
        if record.pointee.asked != 0, milliseconds >= record.pointee.asked + Self.patience,
            let silent = resolvers.current
        {
            resolvers.failed(silent)
            record.pointee.asked = milliseconds
        } else if record.pointee.asked == 0 {
            record.pointee.asked = milliseconds
        }
    }

    private mutating func send(
        _ id: MappingID, _ record: UnsafeMutablePointer<HostMapping>, _ payload: ByteView, _ target: SocketAddress,
        _ segmentSize: Int
    ) throws(Errno) {
        let descriptor = record.pointee.descriptor
        var outcome = Datagrams.send(descriptor, payload.buffer, to: target, segmentSize: segmentSize)
        guard case .failed = outcome else { return }
        // The failure may be that of an earlier datagram, which the kernel reports to whoever comes next.
        passErrors(id, record)
        outcome = Datagrams.send(descriptor, payload.buffer, to: target, segmentSize: segmentSize)
        guard case .failed(let error) = outcome else { return }
        guard segmentSize > 0, segmentSize < payload.count else {
            passErrors(id, record)
            throw error
        }
        // The path takes no batch (EINVAL: a segment larger than its MTU; EIO: no checksum offload).
        record.pointee.refusesBatches = true
        var offset = 0
        while offset < payload.count {
            let length = min(segmentSize, payload.count - offset)
            let part = payload.slice(offset, length)
            if case .failed(let error) = Datagrams.send(descriptor, part.buffer, to: target) {
                passErrors(id, record)
                throw error
            }
            offset += length
        }
    }

    /// Tells the pod what the network has reported about its datagrams.
    mutating func passErrors(_ id: MappingID, _ record: UnsafeMutablePointer<HostMapping>) {
        for _ in 0..<64 {
            guard let report = Datagrams.takeReport(record.pointee.descriptor) else {
                // An error without a report is cleared all the same, or the socket would stay in error.
                _ = Socket.takeError(record.pointee.descriptor)
                return
            }
            if record.pointee.usesResolver { resolvers.failed(report.destination.ip) }
            let destination = translateBack(report.destination, record.pointee)
            if record.pointee.isEcho {
                stack.failEcho(
                    id, destination: destination.address, sequence: report.sequence,
                    error: report.error.report ?? .hostUnreachable, now: now)
                continue
            }
            var error = report.error.report ?? .portUnreachable
            if report.error == .messageTooLong { error = .packetTooBig(mtu: max(report.pathMTU, 576)) }
            stack.failDatagram(id, destination: destination, error: error, now: now)
        }
    }

    // MARK: Echo

    /// Asks on behalf of the pod, where this host permits ping sockets.
    mutating func sendEcho(
        _ id: MappingID, _ destination: InternetAddress, _ sequence: UInt16, _ payload: ByteView,
        _ epoll: borrowing Epoll
    ) {
        guard let record = mappings.find(id) else { return }
        let target = SocketAddress(IPAddress(destination), port: 0)
        do throws(Errno) {
            try prepare(id, record, target, epoll)
            let length = 8 + payload.count
            let message = MutableByteView(UnsafeMutableRawBufferPointer(rebasing: datagrams[..<length]))
            // The kernel fills in identifier and checksum.
            message.set64(0, (target.family == AF_INET ? 8 : 128) << 56 | UInt64(sequence))
            message.copy(payload, at: 8)
            let bytes = message.readOnly.buffer
            guard case .failed = Datagrams.send(record.pointee.descriptor, bytes, to: target) else { return }
            passErrors(id, record)
            if case .failed(let error) = Datagrams.send(record.pointee.descriptor, bytes, to: target) { throw error }
        } catch {
            if error.isShortage { shortages += 1 }
            stack.failEcho(
                id, destination: destination, sequence: sequence, error: error.report ?? .hostUnreachable, now: now)
        }
        hasOutput = true
    }
}
