// SPDX-License-Identifier: Apache-2.0
import EventLoop
import LinuxSystem
import SystemPackage

extension PortForwarder {
    /// Whether something can be done without a further event.
    private var hasWork: Bool {
        !readyFlows.isEmpty || !readyDatagramListeners.isEmpty || (!readyListeners.isEmpty && !isAcceptBlocked)
    }

    /// Waits for events, at most `maximumWait` milliseconds (-1: as long as it takes), and does one turn of work:
    /// what the events say, timers, new connections, then the bulk that was put off. True while there is a reason to
    /// call it again.
    public mutating func turn(maximumWait: Int32 = -1) throws(Errno) -> Bool {
        var nobody = NoParticipant()
        return try turn(maximumWait: maximumWait, with: &nobody)
    }

    /// As above, shared with `participant`.
    package mutating func turn<Participant: LoopParticipant & ~Copyable>(
        maximumWait: Int32 = -1, with participant: inout Participant
    ) throws(Errno) -> Bool {
        var timeout: Int32 = 0
        if !hasWork && !participant.hasWork {
            let time = MonotonicClock.milliseconds
            timeout = timers.timeout(now: time)
            let other = participant.timeout(now: time)
            if other >= 0, timeout < 0 || timeout > other { timeout = other }
        }
        if maximumWait >= 0, timeout < 0 || timeout > maximumWait { timeout = maximumWait }
        // Both marks are taken: a message looks ahead, bulk keeps its peers' processors busy as it is.
        let forwardedMessages = transfer.takeMessageMark()
        let count = try polling.wait(
            &epoll, timeoutMilliseconds: timeout, pollsAhead: participant.pollsAhead || forwardedMessages)
        now = MonotonicClock.milliseconds
        for index in 0..<count {
            let event = epoll.event(index)
            let token = EventToken(rawValue: event.token)
            if let kind = Kind(rawValue: token.kind) {
                if kind == .controlPeer { participant.report(to: &counters) }
                dispatch(kind, token, event.readiness)
            } else {
                participant.handle(token, event.readiness, now: now, epoll: epoll)
            }
            if exit != nil { break }
        }
        if exit == nil {
            let accepted = counters.tcpAccepted
            while let token = timers.popExpired(now: now) { expire(token) }
            acceptConnections()
            receiveDatagrams()
            runReadyFlows()
            if let file = resolverFile.take() { participant.resolversArrived(file) }
            participant.work(now: now, epoll: epoll)
            // An empty pool was never filled (no published TCP port), or has been asked for by who needed it.
            if listeners.count > 0, pool.count > 0 { askForSockets(isBusy: counters.tcpAccepted != accepted) }
        }
        if exit != nil {
            closeListeners()
            resetAllFlows()
            return false
        }
        return true
    }

    /// Turns until the pod ends or a stop is asked for.
    package mutating func run<Participant: LoopParticipant & ~Copyable>(
        with participant: inout Participant
    ) throws(Errno) -> Exit {
        while try turn(with: &participant) {}
        return exit ?? .stopped
    }

    private mutating func dispatch(_ kind: Kind, _ token: EventToken, _ readiness: Readiness) {
        switch kind {
        case .client: clientEvent(token, readiness)
        case .pod: podEvent(token, readiness)
        case .listener: listenerEvent(token)
        case .datagram: datagramEvent(token)
        case .keeper: keeperEvent()
        case .control: acceptControlPeers()
        case .controlPeer: controlPeerEvent(token)
        case .signal: exit = .stopped
        case .resetTimer, .keepaliveTimer, .datagramTimer, .retryTimer: return
        }
    }

    mutating func expire(_ token: EventToken) {
        guard let kind = Kind(rawValue: token.kind) else { return }
        switch kind {
        case .resetTimer:
            guard flows.isCurrent(token.slot, token.generation) else { return }
            flows[token.slot].timer = .none
            finishReset(token.slot)
        case .keepaliveTimer:
            guard flows.isCurrent(token.slot, token.generation) else { return }
            flows[token.slot].timer = .none
            startKeepalive(token.slot)
        case .datagramTimer: datagramTimerFired(token)
        case .retryTimer: retry()
        default: return
        }
    }
}
