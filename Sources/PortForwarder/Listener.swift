// SPDX-License-Identifier: Apache-2.0
import EventLoop
import LinuxSystem
import NetControl
import SystemPackage

/// One published port: a listening TCP socket or a bound UDP socket of the host.
struct Listener: ~Copyable {
    let published: PublishedListener
    let socket: OwnedFD
    /// Whether it stands in a queue of listeners with work.
    var isQueued = false
}

extension PortForwarder {
    /// Starts accepting on `socket`. EEXIST if the port is published already.
    public mutating func publish(_ published: PublishedListener, _ socket: consuming OwnedFD) throws(Errno) {
        if find(published) != nil { throw .fileExists }
        if listeners.isFull { throw .noSpace }
        // Accepted sockets inherit it; see `start`.
        if published.transport == .tcp, hostCongestion != nil { Socket.setReno(socket.raw) }
        let raw = socket.raw
        let slot = listeners.insert(Listener(published: published, socket: socket))
        let token = Self.token(.listener, slot: slot, generation: listeners.generation(slot))
        do { try epoll.add(raw, [.readable, .edgeTriggered], token: token.rawValue) } catch {
            _ = listeners.remove(slot)
            throw error
        }
        // What was waiting before the registration is an event of its own; nothing to look for here.
        if published.transport == .tcp { askForSockets() }
    }

    /// Stops accepting; what is established goes on. False if the port is not published.
    @discardableResult
    public mutating func unpublish(_ published: PublishedListener) -> Bool {
        guard let slot = find(published) else { return false }
        _ = listeners.remove(slot)
        return true
    }

    /// Whether exactly this port is published. Linear: for the control socket.
    public func isPublished(_ published: PublishedListener) -> Bool { find(published) != nil }

    private func find(_ published: PublishedListener) -> UInt32? {
        for slot in 0..<listeners.slotCount where listeners.isOccupied(slot) {
            let other = listeners[slot].published
            if other.transport == published.transport, other.hostPort == published.hostPort,
                other.hostIP == published.hostIP
            {
                return slot
            }
        }
        return nil
    }

    /// Closes every listener.
    mutating func closeListeners() {
        for slot in 0..<listeners.slotCount where listeners.isOccupied(slot) { _ = listeners.remove(slot) }
    }

    mutating func listenerEvent(_ token: EventToken) {
        guard listeners.isCurrent(token.slot, token.generation), !listeners[token.slot].isQueued else { return }
        switch listeners[token.slot].published.transport {
        case .tcp:
            listeners[token.slot].isQueued = true
            readyListeners.append(token.rawValue)
        case .udp: queueDatagrams(token)
        }
    }
}
