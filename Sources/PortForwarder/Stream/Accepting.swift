// SPDX-License-Identifier: Apache-2.0
import CLinux
import EventLoop
import LinuxSystem
import NetControl
import SystemPackage

extension Errno {
    /// Of descriptors or memory, here or in the whole system: nothing is wrong with what was asked for.
    package var isShortage: Bool {
        switch self {
        case .tooManyOpenFiles, .tooManyOpenFilesInSystem, .noMemory, .noBufferSpace: true
        default: false
        }
    }
}

/// What accepting has to wait for.
enum AcceptObstacle: Equatable {
    /// The end of a connection, for its descriptors.
    case descriptors
    /// The end of a connection, for its place in the table.
    case flows
    /// Sockets of the pod.
    case sockets
}

extension PortForwarder {
    /// Connections accepted per turn, so that a flood of them does not starve the established ones.
    private static let acceptQuota = 64
    /// Connections accepted from one listener before the next one has its turn.
    private static let listenerQuota = 16

    var isAcceptBlocked: Bool { acceptObstacle != nil }

    private var acceptObstacle: AcceptObstacle? {
        if isAcceptPaused || 2 * flows.count + datagrams.flows.count + 2 > descriptorBudget { return .descriptors }
        if flows.isFull { return .flows }
        if !waitingFlows.isEmpty || lacksSockets(.ipv4) || (configuration.podIPv6 != nil && lacksSockets(.ipv6)) {
            return .sockets
        }
        return nil
    }

    /// Counts pauses rather than looks.
    private mutating func note(_ obstacle: AcceptObstacle) {
        if obstacle == lastObstacle { return }
        lastObstacle = obstacle
        switch obstacle {
        case .descriptors: counters.acceptPausesDescriptors += 1
        case .flows: counters.acceptPausesFlows += 1
        case .sockets: counters.acceptPausesSockets += 1
        }
    }

    private func lacksSockets(_ family: KeeperRequest.Family) -> Bool {
        pool.isEmpty(family) && !pool.isUnavailable(family)
    }

    /// Accepts from the listeners that have connections waiting.
    mutating func acceptConnections() {
        var quota = Self.acceptQuota
        while quota > 0, !readyListeners.isEmpty {
            if let acceptObstacle {
                note(acceptObstacle)
                askForSockets()
                return
            }
            lastObstacle = nil
            guard let raw = readyListeners.popFirst() else { return }
            let token = EventToken(rawValue: raw)
            guard listeners.isCurrent(token.slot, token.generation) else { continue }
            listeners[token.slot].isQueued = false
            if accept(token.slot, min(quota, Self.listenerQuota), &quota) {
                listeners[token.slot].isQueued = true
                readyListeners.append(raw)
            }
        }
    }

    /// Accepts up to `limit` connections. True if there may be more.
    private mutating func accept(_ slot: UInt32, _ limit: Int, _ quota: inout Int) -> Bool {
        let listener = listeners[slot].socket.raw
        let published = listeners[slot].published
        for _ in 0..<limit {
            if isAcceptBlocked { return true }
            var peer = sockaddr_in6()
            let raw = samara_accept(listener, &peer)
            if raw >= 0 {
                quota -= 1
                counters.tcpAccepted += 1
                start(OwnedFD(raw), SocketAddress(raw: peer), published)
                continue
            }
            let error = lastErrno()
            if error == .wouldBlock || error == .invalidArgument { return false }
            if error.isShortage {
                pauseAccepting()
                return true
            }
            // accept(2): an error of the connection that was waiting, not of the listener. The next one follows.
        }
        return true
    }

    /// Stops accepting until a flow ends, and for the case that the shortage is not ours, for a while.
    private mutating func pauseAccepting() {
        isAcceptPaused = true
        scheduleRetry()
    }

    /// Tries again in 100 ms what a shortage elsewhere prevented. The only timer that is armed without a flow, and only
    /// while a connection or a request is waiting.
    mutating func scheduleRetry() {
        if retryTimer.isNone { retryTimer = timers.arm(at: now + 100, Self.token(.retryTimer)) }
    }

    private mutating func start(
        _ client: consuming OwnedFD, _ address: SocketAddress, _ published: PublishedListener
    ) {
        // The host's own congestion control may pace (bbr). That is for paths that lose; towards this machine it only
        // costs, so listeners have reno, and a client from elsewhere gets the host's choice back.
        if let hostCongestion, !Self.isNearby(client.raw, address) { Socket.set(client.raw, hostCongestion) }
        let slot = flows.insert(
            Flow(
                client: client, address: address, podPort: published.podPort,
                targetsLoopback: published.targetsLoopback))
        connect(slot)
    }
}
