// SPDX-License-Identifier: Apache-2.0
import CLinux
import EventLoop
import LinuxSystem
import NetControl
import SystemPackage

extension PortForwarder {
    /// Datagrams per socket and turn.
    private static let datagramQuota = 64

    // MARK: Client to pod

    mutating func queueDatagrams(_ token: EventToken) {
        if listeners[token.slot].isQueued || listeners[token.slot].isWaitingForFlow { return }
        listeners[token.slot].isQueued = true
        readyDatagramListeners.append(token.rawValue)
    }

    /// Reads from the UDP sockets that have datagrams waiting.
    mutating func receiveDatagrams() {
        for _ in 0..<readyDatagramListeners.count {
            guard let raw = readyDatagramListeners.popFirst() else { return }
            let token = EventToken(rawValue: raw)
            guard listeners.isCurrent(token.slot, token.generation) else { continue }
            listeners[token.slot].isQueued = false
            if receiveDatagrams(token) { queueDatagrams(token) }
        }
    }

    /// True if there may be more to read.
    private mutating func receiveDatagrams(_ token: EventToken) -> Bool {
        let descriptor = listeners[token.slot].socket.raw
        for _ in 0..<Self.datagramQuota {
            var peer = sockaddr_in6()
            var local = in6_addr()
            var interface: UInt32 = 0
            let count = samara_receive_datagram(
                descriptor, transfer.scratch.baseAddress, transfer.scratch.count, &peer, &local, &interface)
            if count < 0 {
                switch lastErrno() {
                case .wouldBlock: return false
                // An error that an earlier datagram came back with (ICMP) belongs to nobody here.
                default: continue
                }
            }
            let key = DatagramKey(
                listener: token.slot, interface: interface, peer: SocketAddress(raw: peer), local: IPAddress(local))
            forward(key, count, token)
            if listeners[token.slot].isWaitingForFlow { return false }
        }
        return true
    }

    /// Sends the scratch buffer's first `count` bytes to the pod, as a new flow if it is the first from there.
    private mutating func forward(_ key: DatagramKey, _ count: Int, _ listener: EventToken) {
        let hash = datagrams.hash(key)
        let slot: UInt32
        if let known = datagrams.find(key, hash) {
            slot = known
        } else {
            guard makeRoomForDatagramFlow() else {
                counters.udpDropped += 1
                return
            }
            slot = datagrams.insert(
                DatagramFlow(
                    key: key, hash: hash, listenerGeneration: listener.generation, source: key.peer.ip, now: now))
            counters.udpFlows += 1
        }
        let descriptor = datagrams.flows[slot].socketFD
        if descriptor < 0 { return startDatagramFlow(slot, count, listener) }
        datagrams.flows[slot].lastActive = now
        datagrams.touch(slot)
        switch sendDatagram(descriptor, count) {
        case .failed(.connectionRefused): datagramsRefused(slot)
        case .failed, .wouldBlock, .endOfFile: counters.udpDropped += 1
        case .bytes: counters.udpDatagramsUp += 1
        }
    }

    private func sendDatagram(_ descriptor: Int32, _ count: Int) -> TransferOutcome {
        Transfer.send(descriptor, UnsafeRawBufferPointer(rebasing: transfer.scratch[..<count]))
    }

    /// Ends the flow that was used the longest ago if there is no room for another one.
    private mutating func makeRoomForDatagramFlow() -> Bool {
        if datagrams.flows.isFull || 2 * flows.count + datagrams.flows.count + 1 > descriptorBudget {
            let oldest = datagrams.oldest
            // A flow that the keeper is working on is not given up: its socket is on the way.
            if oldest == .max || datagrams.flows[oldest].socketFD < 0 { return false }
            removeDatagramFlow(oldest)
        }
        return true
    }

    // MARK: Making a flow

    /// Asks the keeper for the flow's socket and keeps the datagram until it is there.
    private mutating func startDatagramFlow(_ slot: UInt32, _ count: Int, _ listener: EventToken) {
        let client = datagrams.flows[slot].key.peer
        let byIPv4 = client.ip.isIPv4 || datagrams.flows[slot].prefersIPv4 || configuration.podIPv6 == nil
        let isReplaced = needsGatewaySource(client.ip) || byIPv4 != client.ip.isIPv4
        let gateway = byIPv4 ? configuration.gatewayIPv4 : configuration.gatewayIPv6
        let target = byIPv4 ? configuration.podIPv4 : configuration.podIPv6
        guard let gateway, let target, transfer.hasOverflow else {
            counters.udpDropped += 1
            return removeDatagramFlow(slot)
        }
        let source = isReplaced ? gateway : client.ip
        let token = Self.token(.datagram, slot: slot, generation: datagrams.flows.generation(slot))
        let request = KeeperRequest(
            .datagramFlow, family: byIPv4 ? .ipv4 : .ipv6, cookie: token.rawValue, source: source,
            sourcePort: client.port, target: target, targetPort: listeners[listener.slot].published.podPort)
        guard send(request) else {
            counters.udpDropped += 1
            return removeDatagramFlow(slot)
        }
        datagrams.flows[slot].source = source
        datagrams.flows[slot].lastActive = now
        datagrams.flows[slot].firstDatagram = transfer.takeOverflow(offset: 0, end: count)
        datagrams.flows[slot].firstLength = count
        listeners[listener.slot].isWaitingForFlow = true
    }

    mutating func datagramFlowReady(_ token: EventToken, _ socket: consuming OwnedFD) {
        let slot = token.slot
        guard datagrams.flows.isCurrent(slot, token.generation) else { return }
        let descriptor = socket.raw
        do throws(Errno) {
            try epoll.add(descriptor, [.readable, .edgeTriggered], token: token.rawValue)
        } catch {
            counters.udpDropped += 1
            return datagramFlowFailed(token)
        }
        datagrams.flows[slot].socket = consume socket
        datagrams.flows[slot].lastActive = now
        let length = datagrams.flows[slot].firstLength
        switch transfer.sendOverflow(datagrams.flows[slot].firstDatagram, descriptor, offset: 0, end: length) {
        case .bytes: counters.udpDatagramsUp += 1
        default: counters.udpDropped += 1
        }
        transfer.releaseOverflow(datagrams.flows[slot].firstDatagram)
        datagrams.flows[slot].firstDatagram = -1
        if datagrams.flows[slot].timer.isNone { armDatagramTimer(slot) }
        continueListener(slot)
    }

    /// The keeper could not make the flow's socket; the datagram is lost, as datagrams may be.
    mutating func datagramFlowFailed(_ token: EventToken) {
        guard datagrams.flows.isCurrent(token.slot, token.generation) else { return }
        counters.udpDropped += 1
        continueListener(token.slot)
        // The keeper keeps nothing for a flow that it could not make.
        removeDatagramFlow(token.slot)
    }

    /// As above, of every flow that waits for the keeper.
    mutating func failWaitingDatagramFlows() {
        for slot in 0..<datagrams.flows.slotCount
        where datagrams.flows.isOccupied(slot) && datagrams.flows[slot].firstDatagram >= 0 {
            // What it made has been lost on the way, so its return path has to go as well.
            _ = send(KeeperRequest(.endDatagramFlow, source: datagrams.flows[slot].source))
            datagramFlowFailed(Self.token(.datagram, slot: slot, generation: datagrams.flows.generation(slot)))
        }
    }

    private mutating func continueListener(_ slot: UInt32) {
        let listener = datagrams.flows[slot].key.listener
        let generation = datagrams.flows[slot].listenerGeneration
        guard listeners.isCurrent(listener, generation) else { return }
        listeners[listener].isWaitingForFlow = false
        queueDatagrams(Self.token(.listener, slot: listener, generation: generation))
    }

    // MARK: Pod to client

    mutating func datagramEvent(_ token: EventToken) {
        let slot = token.slot
        guard datagrams.flows.isCurrent(slot, token.generation) else { return }
        let listener = datagrams.flows[slot].key.listener
        guard listeners.isCurrent(listener, datagrams.flows[slot].listenerGeneration) else {
            return removeDatagramFlow(slot)
        }
        let descriptor = datagrams.flows[slot].socketFD
        var peer = datagrams.flows[slot].key.peer.raw
        var local = datagrams.flows[slot].key.local.raw
        for _ in 0..<Self.datagramQuota {
            let length: Int
            switch Transfer.receive(descriptor, into: transfer.scratch) {
            case .bytes(let count): length = count
            case .endOfFile: length = 0  // an empty datagram
            case .wouldBlock: return
            case .failed(.connectionRefused): return datagramsRefused(slot)
            case .failed: return removeDatagramFlow(slot)
            }
            datagrams.flows[slot].isReplied = true
            datagrams.flows[slot].lastActive = now
            datagrams.touch(slot)
            let sent = samara_send_datagram(
                listeners[listener].socket.raw, transfer.scratch.baseAddress, length, &peer, &local,
                datagrams.flows[slot].key.interface)
            if sent >= 0 { counters.udpDatagramsDown += 1 } else { counters.udpDropped += 1 }
        }
        readyFlows.append(token.rawValue)
    }

    // MARK: Ends

    /// Nothing listens in the pod. An IPv6 client's next datagram tries IPv4; others keep trying, as UDP does, since
    /// the service may come.
    private mutating func datagramsRefused(_ slot: UInt32) {
        counters.udpDropped += 1
        let flow = datagrams.flows[slot].key.peer.ip
        if flow.isIPv4 || datagrams.flows[slot].isReplied || configuration.podIPv6 == nil { return }
        if datagrams.flows[slot].prefersIPv4 == false { counters.ipv6ToIPv4 += 1 }
        datagrams.flows[slot].prefersIPv4.toggle()
        datagrams.flows[slot].socket = nil
        _ = send(KeeperRequest(.endDatagramFlow, source: datagrams.flows[slot].source))
    }

    private mutating func armDatagramTimer(_ slot: UInt32) {
        let timeout =
            datagrams.flows[slot].isReplied ? DatagramFlow.repliedTimeout : DatagramFlow.unrepliedTimeout
        let token = Self.token(.datagramTimer, slot: slot, generation: datagrams.flows.generation(slot))
        datagrams.flows[slot].timer = timers.arm(at: datagrams.flows[slot].lastActive + timeout, token)
    }

    /// The timer is not moved with every datagram; when it fires it looks at the time of the last one.
    mutating func datagramTimerFired(_ token: EventToken) {
        let slot = token.slot
        guard datagrams.flows.isCurrent(slot, token.generation) else { return }
        datagrams.flows[slot].timer = .none
        let timeout =
            datagrams.flows[slot].isReplied ? DatagramFlow.repliedTimeout : DatagramFlow.unrepliedTimeout
        if datagrams.flows[slot].lastActive + timeout > now { return armDatagramTimer(slot) }
        // The listener waits for the keeper's answer to this flow, which has to find it.
        if datagrams.flows[slot].firstDatagram >= 0 {
            datagrams.flows[slot].lastActive = now
            return armDatagramTimer(slot)
        }
        removeDatagramFlow(slot)
    }

    mutating func removeDatagramFlow(_ slot: UInt32) {
        timers.cancel(&datagrams.flows[slot].timer)
        if datagrams.flows[slot].firstDatagram >= 0 { transfer.releaseOverflow(datagrams.flows[slot].firstDatagram) }
        if datagrams.flows[slot].socketFD >= 0 {
            _ = send(KeeperRequest(.endDatagramFlow, source: datagrams.flows[slot].source))
        }
        _ = datagrams.remove(slot)
        isAcceptPaused = false
    }
}
