// SPDX-License-Identifier: Apache-2.0
import EventLoop
import LinuxSystem
import NetControl
import SystemPackage

// The control socket: a few short conversations in the life of a pod, so this file may allocate.
extension PortForwarder {
    /// Takes over the listening control socket (SOCK_SEQPACKET).
    public mutating func serve(control socket: consuming OwnedFD) throws(Errno) {
        // A client that leaves between the event and the accept must not leave the loop waiting.
        try Waiting.setNonBlocking(socket.raw)
        try epoll.add(socket.raw, [.readable], token: Self.token(.control).rawValue)
        control = consume socket
    }

    mutating func acceptControlPeers() {
        let listener = Self.raw(control)
        if listener < 0 { return }
        while !controlPeers.isFull {
            guard let peer = try? UnixSocket.accept(listener) else { return }
            let raw = peer.raw
            let slot = controlPeers.insert(peer)
            let token = Self.token(.controlPeer, slot: slot, generation: controlPeers.generation(slot))
            do throws(Errno) { try epoll.add(raw, [.readable, .peerEnded], token: token.rawValue) } catch {
                _ = controlPeers.remove(slot)
            }
        }
    }

    /// One request and its answer; or the end of the conversation, which is also what a message of another version is.
    mutating func controlPeerEvent(_ token: EventToken) {
        let slot = token.slot
        guard controlPeers.isCurrent(slot, token.generation) else { return }
        let raw = controlPeers[slot].raw
        do {
            let message = try UnixSocket.receive(
                raw, limit: NetRequest.sizeLimit, descriptorLimit: NetRequest.listenerLimit)
            var sockets = ReceivedSockets(message.descriptors)
            guard !message.bytes.isEmpty, let request = NetRequest(decoding: message.bytes) else {
                return dropControlPeer(slot)
            }
            let reply = answer(request, &sockets)
            try UnixSocket.send(raw, reply.encoded)
        } catch {
            if error == .wouldBlock { return }
            dropControlPeer(slot)
        }
    }

    private mutating func dropControlPeer(_ slot: UInt32) {
        _ = controlPeers.remove(slot)
        // Room again for one that may be waiting.
        acceptControlPeers()
    }

    private mutating func answer(_ request: NetRequest, _ sockets: inout ReceivedSockets) -> NetReply {
        switch request {
        case .configure: return .failed("the pod's network process is configured already")
        case .publish(let published): return publish(published, &sockets)
        case .unpublish(let published):
            for listener in published where !isPublished(listener) {
                return .failed("port \(listener.hostPort)/\(listener.transport) on \(listener.hostIP) is not published")
            }
            for listener in published { unpublish(listener) }
            return .done
        case .statistics: return .statistics(statistics())
        case .stop:
            // Before the answer: whoever waits for it may bind the same ports, or kill this process, the moment it
            // arrives.
            closeListeners()
            resetAllFlows()
            exit = .stopped
            return .done
        }
    }

    /// Publishes every port or none.
    package mutating func publish(_ published: [PublishedListener], _ sockets: inout ReceivedSockets) -> NetReply {
        if published.count != sockets.count { return .failed("a published port came without its socket") }
        var done: [PublishedListener] = []
        for listener in published {
            do throws(Errno) {
                try publish(listener, sockets.takeFirst())
                done.append(listener)
            } catch {
                for listener in done { unpublish(listener) }
                let cause = error == .fileExists ? "it is published already" : error.text
                return .failed(
                    "cannot publish port \(listener.hostPort)/\(listener.transport) on \(listener.hostIP): \(cause)")
            }
        }
        return .done
    }

    /// -1 for none.
    private static func raw(_ descriptor: borrowing OwnedFD?) -> Int32 {
        switch descriptor {
        case .some(let fd): fd.raw
        case .none: -1
        }
    }
}

/// Descriptors that arrived with a message; those that nobody takes are closed.
package struct ReceivedSockets: ~Copyable {
    private var descriptors: [Int32]
    private var next = 0

    package init(_ descriptors: [Int32]) { self.descriptors = descriptors }

    deinit { for descriptor in descriptors[next...] { _ = OwnedFD(descriptor) } }

    /// How many are left.
    package var count: Int { descriptors.count - next }

    /// The next one; there must be one.
    package mutating func takeFirst() -> OwnedFD {
        defer { next += 1 }
        return OwnedFD(descriptors[next])
    }
}
