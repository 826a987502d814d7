// SPDX-License-Identifier: Apache-2.0
import NetStack

/// An event with copies of what it points to.
enum Seen: Equatable {
    case connect(source: InternetEndpoint, destination: InternetEndpoint)
    case established
    case data(Bytes)
    case acknowledged(Int)
    case finished
    case closed
    case reset(TCPResetReason)
    case mappingOpened(MappingKind, InternetEndpoint)
    case datagram(InternetEndpoint, Bytes, segmentSize: Int)
    case echo(InternetAddress, UInt16, Bytes)
    case mappingClosed
}

/// The host socket of one flow: what the pod sent is in `received`, what it is sent comes from `outgoing`.
struct HostSocket {
    var received = Bytes()
    var outgoing = Bytes()
    /// Octets of `outgoing` before this are acknowledged and gone.
    var consumed = 0
    var hasEnded = false
    var isClosed = false
    var isFinished = false
}

/// A stack with a virtual clock, a caller that does what the events ask for, and a tap whose frames are looked at.
final class Harness {
    var stack: NetStack
    var now = MonotonicTime(milliseconds: 5_000)
    var seen = [Seen]()
    var sockets = [FlowID: HostSocket]()
    var lastFlow: FlowID?
    var lastMapping: MappingID?
    /// Accept connections at once.
    var accepts = true
    var capacity = 1 << 20
    /// Octets that the host side takes of each data event.
    var takeLimit = Int.max
    /// Octets the host socket gives for one payload request.
    var readLimit = Int.max
    /// The end of the host's stream goes with its last bytes, as when the socket has reported it with them.
    var endsWithData = false
    let virtio: Int
    private let output = UnsafeMutableRawBufferPointer.allocate(byteCount: NetStack.outputCapacity, alignment: 16)

    init(
        mtu: Int = 1500, virtio: Int = 12, offload: Bool = true,
        policy: DestinationPolicy = DestinationPolicy(otherwise: .allow),
        limits: Configuration.Limits = Configuration.Limits()
    ) {
        self.virtio = virtio
        stack = NetStack(Self.configuration(mtu: mtu, virtio: virtio, offload: offload, limits: limits), policy: policy)
    }

    deinit { output.deallocate() }

    static func configuration(
        mtu: Int = 1500, virtio: Int = 12, offload: Bool = true, limits: Configuration.Limits = Configuration.Limits()
    ) -> Configuration {
        var configuration = Configuration(
            mtu: mtu, virtioHeaderLength: virtio, hasSegmentationOffload: offload && virtio > 0,
            gatewayMAC: MACAddress(0x5255_0a00_0202),
            ipv4: Configuration.Subnet(
                prefix: InternetPrefix(InternetAddress(10, 0, 2, 0), 24), gateway: Addresses.gateway,
                dns: Addresses.dns),
            ipv6: Configuration.Subnet(
                prefix: InternetPrefix(InternetAddress(high: 0xfd00 << 48, low: 0), 64), gateway: Addresses.gateway6,
                dns: Addresses.dns6),
            key: HashKey(0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210))
        configuration.limits = limits
        return configuration
    }

    func advance(_ milliseconds: UInt64) {
        now = now.adding(milliseconds: milliseconds)
        // The event ring may fill up before all timers ran.
        repeat {
            stack.advance(now: now)
            handleEvents()
        } while stack.nextDeadline <= now
    }

    func inject(_ bytes: Bytes) {
        bytes.withUnsafeBytes { stack.receive($0, now: now) }
        handleEvents()
    }

    func inject(_ segment: Segment) { inject(frame(segment.packet(), virtio: virtio)) }

    /// Takes what was seen since the last call.
    func events() -> [Seen] {
        defer { seen = [] }
        return seen
    }

    func handleEvents() {
        while let event = stack.nextEvent() { handle(event) }
    }

    private func handle(_ event: Event) {
        switch event {
        case .tcpConnect(let id, let source, let destination):
            seen.append(.connect(source: source, destination: destination))
            lastFlow = id
            sockets[id] = HostSocket()
            if accepts { stack.acceptConnection(id, receiveCapacity: capacity, now: now) }
        case .tcpEstablished: seen.append(.established)
        case .tcpData(let id, let view):
            let data = Bytes(view.buffer)
            seen.append(.data(data))
            let taken = min(takeLimit, data.count)
            sockets[id, default: HostSocket()].received += data[..<taken]
            stack.take(id, octets: taken, receiveCapacity: capacity, now: now)
        case .tcpAcknowledged(let id, let octets):
            seen.append(.acknowledged(octets))
            sockets[id, default: HostSocket()].consumed += octets
        case .tcpFinished(let id):
            seen.append(.finished)
            sockets[id, default: HostSocket()].isFinished = true
        case .tcpClosed(let id):
            seen.append(.closed)
            sockets[id, default: HostSocket()].isClosed = true
        case .tcpReset(let id, let reason):
            seen.append(.reset(reason))
            sockets[id, default: HostSocket()].isClosed = true
        case .mappingOpened(let id, let kind, let source):
            lastMapping = id
            seen.append(.mappingOpened(kind, source))
        case .datagram(let id, let destination, let payload, let segmentSize, _):
            lastMapping = id
            seen.append(.datagram(destination, Bytes(payload.buffer), segmentSize: segmentSize))
        case .echoRequest(let id, let destination, let sequence, let payload):
            lastMapping = id
            seen.append(.echo(destination, sequence, Bytes(payload.buffer)))
        case .mappingClosed: seen.append(.mappingClosed)
        }
    }

    /// Everything the stack has to send, as raw frames.
    func rawFrames() -> [Bytes] {
        var frames = [Bytes]()
        while true {
            switch stack.nextOutput(into: output, now: now) {
            case .none: return frames
            case .frame(let length): frames.append(Bytes(output[..<length]))
            case .payload(let request):
                let length = stack.finish(request, fill(request), in: output, now: now)
                if length > 0 { frames.append(Bytes(output[..<length])) }
            }
        }
    }

    private func fill(_ request: PayloadRequest) -> PayloadResult {
        guard let socket = sockets[request.flow] else { return .wouldBlock }
        let start = socket.consumed + request.streamOffset
        let available = socket.outgoing.count - start
        if available <= 0 { return socket.hasEnded ? .endOfStream : .wouldBlock }
        let count = min(available, request.maximumLength, readLimit)
        for i in 0..<count { output[request.bufferOffset + i] = socket.outgoing[start + i] }
        if endsWithData && socket.hasEnded && count == available { return .lastBytes(count) }
        return .bytes(count, more: count < available || socket.hasEnded)
    }

    /// As `rawFrames`, taken apart; a frame that is wrong in any length or checksum is a nil.
    func frames() -> [Received?] { rawFrames().map { Received($0, virtio: virtio) } }

    /// The only frame there is.
    func onlyFrame() throws -> Received {
        let all = frames()
        guard all.count == 1, let first = all[0] else { throw Unexpected(frames: all.count) }
        return first
    }

    /// The pod's peer sends `data`.
    func hostSends(_ data: Bytes, _ id: FlowID) {
        sockets[id, default: HostSocket()].outgoing += data
        stack.hostReadable(id)
    }

    func hostEnds(_ id: FlowID) {
        sockets[id, default: HostSocket()].hasEnded = true
        stack.hostReadable(id)
    }
}

struct Unexpected: Error { var frames: Int }

/// A guest's end of one connection, by hand: segments are written out by the test.
struct Client {
    let harness: Harness
    var pod = InternetEndpoint(Addresses.pod, 40_000)
    var remote = InternetEndpoint(Addresses.server, 80)
    /// The next sequence number to send and the next expected.
    var seq: UInt32 = 1_000
    var ack: UInt32 = 0
    var flow: FlowID { harness.lastFlow ?? FlowID(index: .max, generation: 0) }

    func send(
        _ flags: TCPFlags, _ data: Bytes = [], seq: UInt32? = nil, ack: UInt32? = nil, window: Int = 65_535,
        options: Bytes = []
    ) {
        harness.inject(
            Segment(
                source: pod, destination: remote, seq: seq ?? self.seq, ack: ack ?? self.ack, flags: flags,
                window: window, options: options, data: data))
    }

    /// SYN, SYN-ACK, ACK.
    mutating func connect(window: Int = 65_535, options: Bytes = [2, 4, 5, 0xb4]) throws {
        send([.syn], window: window, options: options)
        let synAck = try harness.onlyFrame()
        seq &+= 1
        ack = synAck.seq &+ 1
        send([.ack], window: window)
        _ = harness.events()
        guard harness.rawFrames().isEmpty else { throw Unexpected(frames: 1) }
    }
}

extension Harness {
    /// Sends a payload through the last mapping and returns the frames.
    func sendDatagrams(_ payload: Bytes, from source: InternetEndpoint, segmentSize: Int = 0) throws -> [Bytes] {
        let headroom = NetStack.datagramHeadroom
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: headroom + payload.count, alignment: 16)
        defer { buffer.deallocate() }
        for (i, byte) in payload.enumerated() { buffer[headroom + i] = byte }
        guard let mapping = lastMapping,
            var transmission = stack.beginDatagrams(
                mapping, from: source, payloadLength: payload.count, segmentSize: segmentSize, now: now)
        else { throw Unexpected(frames: 0) }
        var frames = [Bytes]()
        while let range = stack.nextDatagramFrame(&transmission, in: buffer) { frames.append(Bytes(buffer[range])) }
        return frames
    }
}

// Inside #expect, methods of a noncopyable value cannot be called; these can.
extension Harness {
    func state(of id: FlowID) -> TCPState? { stack.state(of: id) }
    func count(of counter: Counter) -> UInt64 { stack.count(of: counter) }
    func isConsistent() -> Bool { stack.isConsistent() }
    func hasDeferredAcknowledgements() -> Bool { stack.hasDeferredAcknowledgements }
    func open(from remote: InternetEndpoint, to pod: InternetEndpoint) -> FlowID? {
        stack.openConnection(from: remote, to: pod, receiveCapacity: 1 << 20, now: now)
    }
}

/// A harness with one established connection.
func connected(
    _ harness: Harness = Harness(), window: Int = 65_535, options: Bytes = [2, 4, 5, 0xb4]
) throws -> (Harness, Client) {
    var client = Client(harness: harness)
    try client.connect(window: window, options: options)
    return (harness, client)
}
