// SPDX-License-Identifier: Apache-2.0
import EventLoop
import LinuxSystem
import NetStack
import SystemPackage

extension UserNetwork {
    package var hasWork: Bool { hasTraffic || stack.hasDeferredAcknowledgements }

    private var hasTraffic: Bool { isTapReadable || hasOutput || !readyMappings.isEmpty }

    package var pollsAhead: Bool { wasActive && !hadBatch }

    package func timeout(now: UInt64) -> Int32 {
        let deadline = stack.nextDeadline
        if deadline == .never { return -1 }
        // Rounded up: a wake-up before the deadline would only lead to another one.
        let milliseconds = (deadline.nanoseconds + 999_999) / 1_000_000
        return milliseconds <= now ? 0 : Int32(clamping: milliseconds - now)
    }

    private mutating func setTime(_ milliseconds: UInt64) {
        self.milliseconds = milliseconds
        now = MonotonicTime(milliseconds: milliseconds)
    }

    package mutating func handle(
        _ token: EventToken, _ readiness: Readiness, now: UInt64, epoll: borrowing Epoll
    ) {
        setTime(now)
        isQuiet = false
        wasActive = true
        let id = SlabID(index: token.slot, generation: token.generation)
        switch Kind(rawValue: token.kind) {
        case .tap: isTapReadable = true
        case .connection: connectionEvent(id, readiness, epoll)
        case .mapping: mappingEvent(id, readiness)
        case .addresses where id == Self.resolverNotice: askForResolvers()
        case .addresses: refreshAddresses()
        case nil: return
        }
    }

    package mutating func work(now: UInt64, epoll: borrowing Epoll) {
        if stack.hasDeferredAcknowledgements {
            if isQuiet || now - acknowledgementsDeferred >= Self.acknowledgementDelay {
                stack.flushAcknowledgements()
                hasOutput = true
            }
        } else {
            acknowledgementsDeferred = now
        }
        if isQuiet && !hasWork { wasActive = false }
        isQuiet = true
        hadBatch = false
        setTime(now)
        while stack.nextDeadline <= self.now {
            stack.advance(now: self.now)
            serveEvents(epoll)
            hasOutput = true
        }
        var round = 0
        while hasTraffic && round < Self.rounds {
            if isTapReadable { receiveFrames(epoll) }
            consumeAcknowledged()
            if !readyMappings.isEmpty { receiveFromHost() }
            sendFrames(epoll)
            round += 1
        }
    }

    // MARK: Tap

    private mutating func receiveFrames(_ epoll: borrowing Epoll) {
        defer { sendBatch(epoll) }
        for _ in 0..<Self.burst {
            guard case .bytes(let count) = Transfer.read(tap.raw, into: input) else {
                // Also when the device is gone: then the pod is, and the keeper's socket says so.
                isTapReadable = false
                return
            }
            stack.receive(UnsafeRawBufferPointer(rebasing: input[..<count]), now: now)
            serveEvents(epoll)
            hasOutput = true
        }
    }

    private mutating func sendFrames(_ epoll: borrowing Epoll) {
        for _ in 0..<Self.burst {
            let length: Int
            switch stack.nextOutput(into: output, now: now) {
            case .none:
                hasOutput = false
                return
            case .frame(let count): length = count
            case .payload(let request): length = fill(request)
            }
            serveEvents(epoll)
            if length > 0 { writeFrame(UnsafeRawBufferPointer(rebasing: output[..<length])) }
        }
    }

    /// A frame that the pod's kernel does not take is lost, as frames may be: it will be asked for again.
    func writeFrame(_ frame: UnsafeRawBufferPointer) { _ = NonBlockingIO.write(tap.raw, frame) }

    // MARK: Events of the stack

    mutating func serveEvents(_ epoll: borrowing Epoll) {
        while let event = stack.nextEvent() {
            switch event {
            case .tcpConnect(let id, _, let destination): dial(id, destination, epoll)
            case .tcpEstablished: break
            case .tcpData(let id, let data): sendToHost(id, data, epoll)
            case .tcpAcknowledged(let id, let octets): noteAcknowledged(id, octets)
            case .tcpFinished(let id): finishSending(id)
            case .tcpClosed(let id): closeConnection(id, reset: false)
            case .tcpReset(let id, _): closeConnection(id, reset: true)
            case .mappingOpened(let id, let kind, let source): openMapping(id, kind, source)
            case .datagram(let id, let destination, let payload, let segmentSize, let dontFragment):
                let datagram = OutgoingDatagram(
                    mapping: id, destination: destination, segmentSize: segmentSize, dontFragment: dontFragment)
                collect(datagram, payload, epoll)
            case .echoRequest(let id, let destination, let sequence, let payload):
                sendEcho(id, destination, sequence, payload, epoll)
            case .mappingClosed(let id):
                sendBatch(epoll)
                closeMapping(id)
            }
        }
    }
}
