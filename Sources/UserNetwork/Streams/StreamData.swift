// SPDX-License-Identifier: Apache-2.0
import CLinux
import EventLoop
import LinuxSystem
import NetStack
import SystemPackage

extension UserNetwork {
    // MARK: Pod to host

    /// Sends what the pod has sent, straight from the frame's memory.
    mutating func sendToHost(_ id: FlowID, _ data: ByteView, _ epoll: borrowing Epoll) {
        guard let record = connections.find(id), record.pointee.descriptor >= 0,
            !record.pointee.flags.contains(.broken)
        else { return stack.take(id, octets: 0, receiveCapacity: 0, now: now) }
        switch Transfer.send(record.pointee.descriptor, data.buffer) {
        case .bytes(let count):
            record.pointee.room = max(0, record.pointee.room - Int32(clamping: count))
            // A short count means that the kernel has noted the wish for room: an edge will come.
            let isHalfUsed = record.pointee.room <= record.pointee.roomSeen / 2
            let capacity = isHalfUsed || count < data.count ? lookForRoom(id, record, epoll) : Int(record.pointee.room)
            stack.take(id, octets: count, receiveCapacity: capacity, now: now)
        case .wouldBlock, .endOfFile:
            record.pointee.flags.insert(.awaitsRoom)
            record.pointee.room = 0
            stack.take(id, octets: 0, receiveCapacity: 0, now: now)
        case .failed:
            record.pointee.flags.insert(.broken)
            stack.take(id, octets: 0, receiveCapacity: 0, now: now)
            stack.hostReadable(id)
        }
    }

    /// Octets that the socket can take. When they are few, its next EPOLLOUT is waited for.
    ///
    /// The kernel reports room only to those who were refused (SOCK_NOSPACE), and the window keeps the pod from being
    /// refused; so the kernel is made to look again, which notes the wish, or reports at once. It calls a socket writable
    /// when a third of its memory is free, hence a quarter is few: whoever is reported has more.
    mutating func lookForRoom(
        _ id: FlowID, _ record: UnsafeMutablePointer<HostConnection>, _ epoll: borrowing Epoll
    ) -> Int {
        let space = Socket.sendSpace(record.pointee.descriptor)
        // The kernel counts memory, of which headers of its own are a part.
        let usable = space.free - space.free / 8
        record.pointee.room = Int32(clamping: usable)
        record.pointee.roomSeen = record.pointee.room
        if usable >= space.total / 4 {
            record.pointee.flags.remove(.awaitsRoom)
        } else {
            record.pointee.flags.insert(.awaitsRoom)
            // It cannot fail: the descriptor is registered.
            try? epoll.modify(
                record.pointee.descriptor, Self.connectionInterest, token: Self.token(.connection, id))
        }
        return usable
    }

    mutating func finishSending(_ id: FlowID) {
        // Both sides have finished: the close that follows says so by itself.
        if stack.state(of: id) == .timeWait { return }
        guard let record = connections.find(id), record.pointee.descriptor >= 0 else { return }
        Socket.endSending(record.pointee.descriptor)
    }

    // MARK: Host to pod

    /// Octets on their way to the pod that show a bulk transfer.
    private static var bulk: Int { 256 << 10 }

    /// Completes the frame in `output`; returns its length, 0 for none.
    mutating func fill(_ request: PayloadRequest) -> Int {
        guard let record = connections.find(request.flow), record.pointee.descriptor >= 0 else {
            return stack.finish(request, .wouldBlock, in: output, now: now)
        }
        let end = request.bufferOffset + request.maximumLength
        let space = UnsafeMutableRawBufferPointer(rebasing: output[request.bufferOffset..<end])
        switch peek(record, request.streamOffset + Int(record.pointee.unconsumed), space) {
        case .bytes(let count):
            if request.streamOffset >= Self.bulk, record.pointee.flags.contains(.mayQueueBulk) {
                record.pointee.flags.remove(.mayQueueBulk)
                let socket = record.pointee.descriptor
                if record.pointee.flags.contains(.isLocal) || Socket.isNearby(socket) { try? Socket.queueBulk(socket) }
            }
            // An end that was reported with the data is not reported again.
            if count < request.maximumLength && record.pointee.flags.contains(.endsOrderly)
                && !record.pointee.flags.contains(.broken)
            {
                return stack.finish(request, .lastBytes(count), in: output, now: now)
            }
            let more = count == request.maximumLength || record.pointee.flags.contains(.peerEnded)
            return stack.finish(request, .bytes(count, more: more), in: output, now: now)
        case .wouldBlock where !record.pointee.flags.contains(.broken):
            return stack.finish(request, .wouldBlock, in: output, now: now)
        case .endOfFile where !record.pointee.flags.contains(.broken):
            return stack.finish(request, .endOfStream, in: output, now: now)
        case .wouldBlock, .endOfFile, .failed:
            // Everything before the reset is with the pod's kernel.
            stack.resetConnection(request.flow, now: now)
            closeConnection(request.flow, reset: true)
            return 0
        }
    }

    private mutating func peek(
        _ record: UnsafeMutablePointer<HostConnection>, _ offset: Int, _ space: UnsafeMutableRawBufferPointer
    ) -> TransferOutcome {
        let socket = record.pointee.descriptor
        if record.pointee.flags.contains(.peeksAtOffset) {
            if Int(record.pointee.peekOffset) != offset && (offset > 0 || record.pointee.peekOffset > 0) {
                do throws(Errno) { try PeekedStream.setOffset(socket, offset) } catch { return .failed(error) }
                record.pointee.peekOffset = Int32(clamping: offset)
            }
            let outcome = Transfer.receive(socket, into: space, peek: true)
            if case .bytes(let count) = outcome, record.pointee.peekOffset >= 0 {
                record.pointee.peekOffset += Int32(clamping: count)
            }
            return outcome
        }
        if offset == 0 { return Transfer.receive(socket, into: space, peek: true) }
        // Before the look, so that no end that comes after it is believed.
        let hasEnded = record.pointee.flags.contains(.peerEnded)
        let wasted = waste ?? .allocate(byteCount: 64 << 10, alignment: 64)
        waste = wasted
        let outcome = PeekedStream.receive(socket, into: space, offset: offset, waste: wasted)
        return outcome == .endOfFile && !hasEnded ? .wouldBlock : outcome
    }

    /// The pod has acknowledged `octets`; they are taken off the socket once per burst.
    mutating func noteAcknowledged(_ id: FlowID, _ octets: Int) {
        guard let record = connections.find(id), record.pointee.descriptor >= 0 else { return }
        record.pointee.unconsumed += Int32(clamping: octets)
        if record.pointee.flags.contains(.acknowledged) { return }
        record.pointee.flags.insert(.acknowledged)
        record.pointee.nextAcknowledged = acknowledged
        acknowledged = id.index
    }

    mutating func consumeAcknowledged() {
        while acknowledged != .max {
            let record = connections[acknowledged]
            acknowledged = record.pointee.nextAcknowledged
            record.pointee.nextAcknowledged = .max
            record.pointee.flags.remove(.acknowledged)
            while record.pointee.descriptor >= 0, record.pointee.unconsumed > 0,
                case .bytes(let count) = Transfer.discard(
                    record.pointee.descriptor, Int(record.pointee.unconsumed))
            {
                record.pointee.unconsumed -= Int32(clamping: count)
                // The kernel moves its offset likewise.
                if record.pointee.peekOffset >= 0 {
                    record.pointee.peekOffset = max(0, record.pointee.peekOffset - Int32(clamping: count))
                }
            }
        }
    }
}
