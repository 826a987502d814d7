// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// The engine's end of a conversation with samara-net; blocking, one request at a time.
public struct NetClient: ~Copyable {
    private let socket: OwnedFD

    /// Takes the engine's end of the socket pair whose other end samara-net has as `NetDescriptor.starter`.
    public init(starter socket: consuming OwnedFD) { self.socket = socket }

    /// Connects to the control socket of a running pod.
    public static func connect(path: String) throws(NetControlError) -> NetClient {
        do { return NetClient(starter: try UnixSocket.connect(path: path)) } catch {
            switch error {
            case .connectionRefused, .noSuchFileOrDirectory:
                throw NetControlError(.gone, "the pod's network process is not running (no answer at \(path))")
            default:
                throw NetControlError(
                    .system(error), "cannot connect to the pod's network process at \(path): \(error.text)")
            }
        }
    }

    /// Configures a samara-net that was just started and returns when it is forwarding; only on the starter socket.
    /// `descriptors` are the sockets of `listeners`, in order; they stay the caller's to close.
    public func configure(
        _ configuration: NetConfiguration, listeners: [PublishedListener] = [], descriptors: [Int32] = []
    ) throws(NetControlError) {
        precondition(listeners.count == descriptors.count, "every listener has a socket")
        try send(.configure(configuration, listenerCount: listeners.count), [])
        try forEachBatch(listeners.count) { (range: Range<Int>) throws(NetControlError) in
            try send(.publish(Array(listeners[range])), Array(descriptors[range]))
        }
        try expectDone(receive())
    }

    /// Adds published ports to a running pod: all of them or, with an error, none.
    public func publish(_ listeners: [PublishedListener], descriptors: [Int32]) throws(NetControlError) {
        precondition(listeners.count == descriptors.count, "every listener has a socket")
        var published = 0
        do {
            try forEachBatch(listeners.count) { (range: Range<Int>) throws(NetControlError) in
                try send(.publish(Array(listeners[range])), Array(descriptors[range]))
                try expectDone(receive())
                published = range.upperBound
            }
        } catch {
            // What an earlier batch published is taken back; the first error is the one to report.
            try? unpublish(Array(listeners[..<published]))
            throw error
        }
    }

    /// Stops accepting on published ports; connections that exist go on.
    public func unpublish(_ listeners: [PublishedListener]) throws(NetControlError) {
        try forEachBatch(listeners.count) { (range: Range<Int>) throws(NetControlError) in
            try send(.unpublish(Array(listeners[range])), [])
            try expectDone(receive())
        }
    }

    /// The pod's counters.
    public func statistics() throws(NetControlError) -> NetStatistics {
        try send(.statistics, [])
        let reply = try receive()
        if case .statistics(let statistics) = reply { return statistics }
        try expectDone(reply)
        throw NetControlError(.protocolViolation, "the pod's network process answered without counters")
    }

    /// Ends the pod's forwarding. When this returns the host ports are free and open connections are
    /// reset; the process ends by itself.
    public func stop() throws(NetControlError) {
        try send(.stop, [])
        try expectDone(receive())
    }

    private func forEachBatch(
        _ count: Int, _ body: (Range<Int>) throws(NetControlError) -> Void
    ) throws(NetControlError) {
        var start = 0
        while start < count {
            let end = min(start + NetRequest.listenerLimit, count)
            try body(start..<end)
            start = end
        }
    }

    private func send(_ request: NetRequest, _ descriptors: [Int32]) throws(NetControlError) {
        do { try UnixSocket.send(socket.raw, request.encoded, descriptors: descriptors) } catch {
            // A samara-net that refused has said why before it closed: that sentence is worth more than EPIPE.
            if error == .brokenPipe || error == .connectionReset, let reply = try? receive() { try expectDone(reply) }
            throw NetControlError(
                error == .brokenPipe || error == .connectionReset ? .gone : .system(error),
                "cannot talk to the pod's network process: \(error.text)")
        }
    }

    private func receive() throws(NetControlError) -> NetReply {
        let message: UnixSocket.Message
        do {
            message = try UnixSocket.receive(socket.raw, limit: NetReply.sizeLimit, descriptorLimit: 0)
        } catch .connectionReset {
            throw NetControlError(.gone, "the pod's network process ended before it answered")
        } catch {
            throw NetControlError(.system(error), "cannot hear the pod's network process: \(error.text)")
        }
        if message.bytes.isEmpty {
            throw NetControlError(.gone, "the pod's network process ended before it answered")
        }
        guard let reply = NetReply(decoding: message.bytes) else {
            throw NetControlError(.protocolViolation, "the pod's network process is of another version of samara")
        }
        return reply
    }

    private func expectDone(_ reply: NetReply) throws(NetControlError) {
        switch reply {
        case .done: return
        case .failed(let sentence): throw NetControlError(.refused, sentence)
        case .statistics:
            throw NetControlError(.protocolViolation, "the pod's network process answered another question")
        }
    }
}
