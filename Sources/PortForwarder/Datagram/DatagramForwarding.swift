// SPDX-License-Identifier: Apache-2.0
import CLinux
import EventLoop
import LinuxSystem
import NetControl
import SystemPackage

extension PortForwarder {
    /// Batches per socket and turn.
    private static let batchQuota = 4

    /// Runs `body` with the batch, which is not in `self` meanwhile.
    private mutating func withBatch<Result>(
        _ body: (inout PortForwarder, borrowing DatagramBatch) -> Result
    ) -> Result {
        let batch = datagramBatch.take() ?? DatagramBatch()
        let result = body(&self, batch)
        datagramBatch = consume batch
        return result
    }

    // MARK: Client to pod

    mutating func queueDatagrams(_ token: EventToken) {
        if listeners[token.slot].isQueued { return }
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
            if withBatch({ $0.receiveDatagrams(token, $1) }) { queueDatagrams(token) }
        }
    }

    /// True if there may be more to read.
    private mutating func receiveDatagrams(_ token: EventToken, _ batch: borrowing DatagramBatch) -> Bool {
        let descriptor = listeners[token.slot].socket.raw
        for _ in 0..<Self.batchQuota {
            let count = batch.receive(descriptor, listener: token.slot)
            if count < 0 {
                if lastErrno() == .wouldBlock { return false }
                // An error that an earlier datagram came back with (ICMP) belongs to nobody here.
                continue
            }
            forward(batch, count, token)
            // Less than a batch was all there was; what comes now, data or error, is an event of its own.
            if count < DatagramBatch.capacity { return false }
        }
        return true
    }

    /// Sends a batch to the pod: neighbours of one flow together, the first of a new client as a new flow.
    private mutating func forward(_ batch: borrowing DatagramBatch, _ count: Int, _ listener: EventToken) {
        var index = 0
        while index < count {
            let key = batch.keys[index]
            guard let slot = datagramFlow(key, listener) else {
                counters.udpDropped += 1
                index += 1
                continue
            }
            let descriptor = datagrams.flows[slot].socketFD
            if descriptor < 0 {
                hold(batch.datagram(index), slot, listener)
                index += 1
                continue
            }
            datagrams.flows[slot].lastActive = now
            datagrams.touch(slot)
            var end = index + 1
            while end < count, batch.keys[end] == key { end += 1 }
            let sent = batch.send(index..<end, descriptor)
            if sent > 0 {
                counters.udpDatagramsUp += UInt64(sent)
                index += sent
                continue
            }
            if lastErrno() == .connectionRefused { datagramsRefused(slot) } else { counters.udpDropped += 1 }
            index += 1
        }
    }

    /// The flow of `key`, new if need be.
    private mutating func datagramFlow(_ key: DatagramKey, _ listener: EventToken) -> UInt32? {
        let hash = datagrams.hash(key)
        if let known = datagrams.find(key, hash) { return known }
        guard makeRoomForDatagramFlow() else { return nil }
        counters.udpFlows += 1
        return datagrams.insert(
            DatagramFlow(key: key, hash: hash, listenerGeneration: listener.generation, source: key.peer.ip, now: now))
    }

    /// Keeps a datagram until the flow's socket is there, as far as there is room.
    private mutating func hold(_ datagram: UnsafeRawBufferPointer, _ slot: UInt32, _ listener: EventToken) {
        if datagrams.flows[slot].waiting < 0, !startDatagramFlow(slot, listener) {
            counters.udpDropped += 1
            return removeDatagramFlow(slot)
        }
        let (buffer, offset) = (datagrams.flows[slot].waiting, datagrams.flows[slot].waitingLength)
        let fits = withUnsafeBytes(of: UInt32(datagram.count)) { transfer.writeOverflow(buffer, at: offset, $0) }
        guard fits, transfer.writeOverflow(buffer, at: offset + 4, datagram) else {
            counters.udpDropped += 1
            return
        }
        datagrams.flows[slot].waitingLength = offset + 4 + datagram.count
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

    /// Asks the keeper for the flow's socket and takes a buffer for what comes meanwhile. False if that cannot be.
    private mutating func startDatagramFlow(_ slot: UInt32, _ listener: EventToken) -> Bool {
        let client = datagrams.flows[slot].key.peer
        let byIPv4 = client.ip.isIPv4 || datagrams.flows[slot].prefersIPv4 || configuration.podIPv6 == nil
        let isReplaced = needsGatewaySource(client.ip) || byIPv4 != client.ip.isIPv4
        let gateway = byIPv4 ? configuration.gatewayIPv4 : configuration.gatewayIPv6
        let target = target(byIPv4 ? .ipv4 : .ipv6, listeners[listener.slot].published.targetsLoopback)
        guard let gateway, let target, transfer.hasOverflow else { return false }
        let source = isReplaced ? gateway : client.ip
        let token = Self.token(.datagram, slot: slot, generation: datagrams.flows.generation(slot))
        let request = KeeperRequest(
            .datagramFlow, family: byIPv4 ? .ipv4 : .ipv6, cookie: token.rawValue, source: source,
            sourcePort: client.port, target: target, targetPort: listeners[listener.slot].published.podPort)
        guard send(request) else { return false }
        datagrams.flows[slot].source = source
        datagrams.flows[slot].lastActive = now
        datagrams.flows[slot].waiting = transfer.takeOverflow()
        datagrams.flows[slot].waitingLength = 0
        return true
    }

    mutating func datagramFlowReady(_ token: EventToken, _ socket: consuming OwnedFD) {
        let slot = token.slot
        guard datagrams.flows.isCurrent(slot, token.generation) else { return }
        let descriptor = socket.raw
        do throws(Errno) {
            try epoll.add(descriptor, [.readable, .edgeTriggered], token: token.rawValue)
        } catch {
            _ = send(KeeperRequest(.endDatagramFlow, source: datagrams.flows[slot].source))
            return datagramFlowFailed(token)
        }
        datagrams.flows[slot].socket = consume socket
        datagrams.flows[slot].lastActive = now
        sendWaiting(slot, descriptor)
        if datagrams.flows[slot].timer.isNone { armDatagramTimer(slot) }
    }

    private mutating func sendWaiting(_ slot: UInt32, _ descriptor: Int32) {
        let buffer = datagrams.flows[slot].waiting
        if buffer < 0 { return }
        let bytes = transfer.overflowBytes(buffer)
        var offset = 0
        while offset < datagrams.flows[slot].waitingLength {
            let length = Int(bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
            let datagram = UnsafeRawBufferPointer(rebasing: bytes[(offset + 4)..<(offset + 4 + length)])
            if case .bytes = Transfer.send(descriptor, datagram) {
                counters.udpDatagramsUp += 1
            } else {
                counters.udpDropped += 1
            }
            offset += 4 + length
        }
        transfer.releaseOverflow(buffer)
        datagrams.flows[slot].waiting = -1
    }

    /// The keeper could not make the flow's socket; the datagrams are lost, as datagrams may be.
    mutating func datagramFlowFailed(_ token: EventToken) {
        guard datagrams.flows.isCurrent(token.slot, token.generation) else { return }
        counters.udpDropped += 1
        // The keeper keeps nothing for a flow that it could not make.
        removeDatagramFlow(token.slot)
    }

    /// As above, of every flow that waits for the keeper.
    mutating func failWaitingDatagramFlows() {
        for slot in 0..<datagrams.flows.slotCount
        where datagrams.flows.isOccupied(slot) && datagrams.flows[slot].waiting >= 0 {
            // What it made has been lost on the way, so its return path has to go as well.
            _ = send(KeeperRequest(.endDatagramFlow, source: datagrams.flows[slot].source))
            datagramFlowFailed(Self.token(.datagram, slot: slot, generation: datagrams.flows.generation(slot)))
        }
    }

    // MARK: Pod to client

    mutating func datagramEvent(_ token: EventToken) {
        guard datagrams.flows.isCurrent(token.slot, token.generation) else { return }
        let listener = datagrams.flows[token.slot].key.listener
        guard listeners.isCurrent(listener, datagrams.flows[token.slot].listenerGeneration) else {
            return removeDatagramFlow(token.slot)
        }
        let mayHaveMore = withBatch { $0.answer(token.slot, $0.listeners[listener].socket.raw, $1) }
        if mayHaveMore { readyFlows.append(token.rawValue) }
    }

    /// Sends what the service has answered to the client. True if there may be more.
    private mutating func answer(_ slot: UInt32, _ listener: Int32, _ batch: borrowing DatagramBatch) -> Bool {
        let descriptor = datagrams.flows[slot].socketFD
        for _ in 0..<Self.batchQuota {
            let count = batch.receive(descriptor)
            if count < 0 {
                switch lastErrno() {
                case .wouldBlock: break
                case .connectionRefused: datagramsRefused(slot)
                default: removeDatagramFlow(slot)
                }
                return false
            }
            datagrams.flows[slot].isReplied = true
            datagrams.flows[slot].lastActive = now
            datagrams.touch(slot)
            var index = 0
            while index < count {
                let sent = batch.send(index..<count, listener, to: datagrams.flows[slot].key)
                if sent > 0 { counters.udpDatagramsDown += UInt64(sent) } else { counters.udpDropped += 1 }
                index += max(1, sent)
            }
            if count < DatagramBatch.capacity { return false }
        }
        return true
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
        if datagrams.flows[slot].waiting >= 0 {
            datagrams.flows[slot].lastActive = now
            return armDatagramTimer(slot)
        }
        removeDatagramFlow(slot)
    }

    mutating func removeDatagramFlow(_ slot: UInt32) {
        timers.cancel(&datagrams.flows[slot].timer)
        if datagrams.flows[slot].waiting >= 0 { transfer.releaseOverflow(datagrams.flows[slot].waiting) }
        if datagrams.flows[slot].socketFD >= 0 {
            _ = send(KeeperRequest(.endDatagramFlow, source: datagrams.flows[slot].source))
        }
        _ = datagrams.remove(slot)
        isAcceptPaused = false
    }
}
