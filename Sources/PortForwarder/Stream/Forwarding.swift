// SPDX-License-Identifier: Apache-2.0
import EventLoop
import LinuxSystem
import SystemPackage

extension PortForwarder {
    // MARK: Events

    mutating func clientEvent(_ token: EventToken, _ readiness: Readiness) {
        let slot = token.slot
        guard flows.isCurrent(slot, token.generation), flows[slot].phase != .connecting else { return }
        if flows[slot].phase == .resetting { return resettingEvent(slot, readiness) }
        if readiness.contains(.error), flows[slot].up.isEnded { return reset(slot, clientIsLeft: false) }
        flows[slot].clientIsReady(readiness)
        run(slot)
    }

    mutating func podEvent(_ token: EventToken, _ readiness: Readiness) {
        let slot = token.slot
        guard flows.isCurrent(slot, token.generation) else { return }
        switch flows[slot].phase {
        case .connecting: connectingPodEvent(slot)
        case .established:
            if readiness.contains(.error), flows[slot].down.isEnded { return reset(slot, clientIsLeft: true) }
            flows[slot].podIsReady(readiness)
            run(slot)
        case .resetting: resettingEvent(slot, readiness)
        }
    }

    /// The side that is left has been reset too: nothing remains to be delivered to it.
    private mutating func resettingEvent(_ slot: UInt32, _ readiness: Readiness) {
        if readiness.contains(.error) { remove(slot) }
    }

    // MARK: Running

    /// Moves what can be moved in both directions and ends the flow if it is over.
    mutating func run(_ slot: UInt32) {
        let client = flows[slot].clientFD
        let pod = flows[slot].podFD
        var mayRunAgain = false
        switch flows[slot].up.run(from: client, to: pod, &transfer, closesSink: flows[slot].down.isEnded) {
        case .waiting, .ended: break
        case .again:
            mayRunAgain = true
            if !flows[slot].hasBulkQueue, flows[slot].up.isSplicing { queueBulk(slot) }
        case .sourceReset: return reset(slot, clientIsLeft: false)
        case .sinkFailed:
            // The pod closed or reset. What it sent before that still belongs to the client.
            if flows[slot].down.isEnded { return reset(slot, clientIsLeft: true) }
            flows[slot].down.sourceReset()
        }
        switch flows[slot].down.run(from: pod, to: client, &transfer, closesSink: flows[slot].up.isEnded) {
        case .waiting, .ended: break
        case .again: mayRunAgain = true
        case .sourceReset: return reset(slot, clientIsLeft: true)
        case .sinkFailed:
            if flows[slot].up.isEnded { return reset(slot, clientIsLeft: false) }
            flows[slot].up.sourceReset()
            // The queue brings the flow back in this turn or the next, to drain the client.
            mayRunAgain = true
        }
        if flows[slot].up.isEnded, flows[slot].down.isEnded {
            counters.tcpClosed += 1
            return remove(slot)
        }
        if flows[slot].up.awaitsSink, !flows[slot].podReportsRoom {
            flows[slot].podReportsRoom = true
            if !reportRoom(.pod, slot, pod) { return reset(slot, clientIsLeft: true) }
        }
        if flows[slot].down.awaitsSink, !flows[slot].clientReportsRoom {
            flows[slot].clientReportsRoom = true
            if !reportRoom(.client, slot, client) { return reset(slot, clientIsLeft: false) }
        }
        if mayRunAgain, !flows[slot].isQueued {
            flows[slot].isQueued = true
            readyFlows.append(Self.token(.client, slot: slot, generation: flows.generation(slot)).rawValue)
        }
    }

    /// A client sends in bulk. One that is not nearby keeps the window that the kernel finds for its path.
    private mutating func queueBulk(_ slot: UInt32) {
        flows[slot].hasBulkQueue = true
        let client = flows[slot].clientFD
        if mayQueueBulk, Self.isNearby(client, flows[slot].clientAddress) { try? Socket.queueBulk(client) }
    }

    /// Whether a client is on this machine. The address alone is enough where it can say so: a handshake may be interrupted.
    static func isNearby(_ client: Int32, _ address: SocketAddress) -> Bool {
        address.ip.isLoopback || Socket.isNearby(client)
    }

    /// Runs the flows whose budget was used up, each once.
    mutating func runReadyFlows() {
        for _ in 0..<readyFlows.count {
            guard let raw = readyFlows.popFirst() else { return }
            let token = EventToken(rawValue: raw)
            if token.kind == Kind.datagram.rawValue {
                datagramEvent(token)
                continue
            }
            guard flows.isCurrent(token.slot, token.generation) else { continue }
            flows[token.slot].isQueued = false
            if flows[token.slot].phase == .established { run(token.slot) }
        }
    }

    // MARK: Ends

    /// One side is gone: resets the other as soon as its peer has everything that was sent before.
    mutating func reset(_ slot: UInt32, clientIsLeft: Bool) {
        counters.tcpReset += 1
        timers.cancel(&flows[slot].timer)
        flows[slot].up.abandon(&transfer)
        flows[slot].down.abandon(&transfer)
        flows[slot].phase = .resetting
        flows[slot].resetDeadline = now + 30_000
        flows[slot].clientIsLeft = clientIsLeft
        if clientIsLeft { flows[slot].pod = nil } else { flows[slot].client = nil }
        finishReset(slot)
    }

    /// A close with SO_LINGER 0 throws away what is not acknowledged yet, and there is no event for "everything is
    /// acknowledged"; hence looks at the queue, further and further apart up to 64 ms, for 30 s at most.
    mutating func finishReset(_ slot: UInt32) {
        let left = flows[slot].clientIsLeft ? flows[slot].clientFD : flows[slot].podFD
        if now >= flows[slot].resetDeadline || Socket.unacknowledgedBytes(left) == 0 {
            Socket.resetOnClose(left)
            return remove(slot)
        }
        let token = Self.token(.resetTimer, slot: slot, generation: flows.generation(slot))
        flows[slot].timer = timers.arm(at: now + UInt64(flows[slot].resetDelay), token)
        flows[slot].resetDelay = min(64, flows[slot].resetDelay * 2)
    }

    /// Ends the flow: its sockets close, orderly unless they were told otherwise.
    mutating func remove(_ slot: UInt32) {
        timers.cancel(&flows[slot].timer)
        counters.tcpBytesUp += flows[slot].up.total
        counters.tcpBytesDown += flows[slot].down.total
        flows[slot].up.abandon(&transfer)
        flows[slot].down.abandon(&transfer)
        _ = flows.remove(slot)
        // Descriptors are free again.
        isAcceptPaused = false
    }

    /// Resets every connection; for the end of the pod.
    mutating func resetAllFlows() {
        for slot in 0..<flows.slotCount where flows.isOccupied(slot) {
            if flows[slot].clientFD >= 0 { Socket.resetOnClose(flows[slot].clientFD) }
            if flows[slot].podFD >= 0 { Socket.resetOnClose(flows[slot].podFD) }
            remove(slot)
        }
    }
}
