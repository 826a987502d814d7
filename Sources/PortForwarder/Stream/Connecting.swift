// SPDX-License-Identifier: Apache-2.0
import EventLoop
import LinuxSystem
import NetControl
import SystemPackage

extension PortForwarder {
    /// The addresses of one attempt to reach the pod.
    private struct Route {
        var family: KeeperRequest.Family
        var source: SocketAddress
        var target: SocketAddress
    }

    /// Whether a client's address means something else inside the pod, or nothing: loopback, link-local, the pod's own.
    /// Such clients appear as the gateway; never as loopback, which services trust.
    func needsGatewaySource(_ address: IPAddress) -> Bool {
        address.isLoopback || address.isLinkLocal || address.isUnspecified || address.isMulticastOrBroadcast
            || address == configuration.podIPv4 || address == configuration.podIPv6
    }

    /// Where the pod is reached: at its own address, or at its loopback's when that was asked for. Nil without IPv6.
    func target(_ family: KeeperRequest.Family, _ toLoopback: Bool) -> IPAddress? {
        let pod = family == .ipv4 ? configuration.podIPv4 : configuration.podIPv6
        return toLoopback && pod != nil ? (family == .ipv4 ? .loopbackIPv4 : .loopbackIPv6) : pod
    }

    /// Nil when the attempt does not apply to this client.
    private func route(_ attempt: Flow.Attempt, _ slot: UInt32) -> Route? {
        let (client, podPort) = (flows[slot].clientAddress, flows[slot].podPort)
        let toLoopback = flows[slot].targetsLoopback
        let address = client.ip
        if attempt == .gatewayIPv4 {
            if address.isIPv4 { return nil }
            return Route(
                family: .ipv4, source: SocketAddress(configuration.gatewayIPv4, port: 0),
                target: SocketAddress(target(.ipv4, toLoopback) ?? configuration.podIPv4, port: podPort))
        }
        let pod = target(address.isIPv4 ? .ipv4 : .ipv6, toLoopback)
        let gateway = address.isIPv4 ? configuration.gatewayIPv4 : configuration.gatewayIPv6
        guard let pod, let gateway else { return nil }
        let isReplaced = attempt == .gateway || needsGatewaySource(address)
        return Route(
            family: address.isIPv4 ? .ipv4 : .ipv6,
            source: SocketAddress(
                isReplaced ? gateway : address, port: attempt == .sameAddressAndPort ? client.port : 0),
            target: SocketAddress(pod, port: podPort))
    }

    /// Tries to reach the pod, attempt after attempt, until one is connected, under way, or waits for a socket; resets
    /// the client when there is none left.
    mutating func connect(_ slot: UInt32) {
        while true {
            let attempt = flows[slot].attempt
            guard let route = route(attempt, slot),
                !pool.isUnavailable(route.family)
            else {
                if nextAttempt(slot) { continue }
                return refuse(slot, isRefusal: false)
            }
            guard let socket = pool.take(route.family) else { return waitForSocket(slot) }
            do throws(Errno) { try Socket.bind(socket.raw, route.source) } catch {
                let isTaken = error == .addressInUse || error == .addressNotAvailable
                // An unbound socket is as good as before.
                pool.deposit(socket, route.family)
                if isTaken, nextAttempt(slot) { continue }
                return refuse(slot, isRefusal: false)
            }
            var outcome = Socket.connect(socket.raw, route.target)
            // Over lo the handshake is complete when connect returns; a second call says so, at the price of one
            // system call instead of a turn through epoll.
            if outcome == .inProgress { outcome = Socket.connect(socket.raw, route.target) }
            if case .failed(let error) = outcome {
                if mayRetry(slot, after: error) { continue }
                return refuse(slot, isRefusal: error == .connectionRefused)
            }
            flows[slot].pod = consume socket
            flows[slot].podReportsRoom = outcome != .connected
            if !register(.pod, slot, flows[slot].podFD) { return refuse(slot, isRefusal: false) }
            if outcome == .connected { establish(slot) }
            return
        }
    }

    /// Moves on to the next attempt that applies. False if there is none.
    private mutating func nextAttempt(_ slot: UInt32) -> Bool {
        let isReplaced = needsGatewaySource(flows[slot].clientAddress.ip)
        while let next = Flow.Attempt(rawValue: flows[slot].attempt.rawValue + 1) {
            flows[slot].attempt = next
            if next == .gateway, isReplaced { continue }
            if route(next, slot) != nil { return true }
        }
        return false
    }

    /// Whether another attempt can help after `error`, and moves on to it.
    private mutating func mayRetry(_ slot: UInt32, after error: Errno) -> Bool {
        switch error {
        case .addressInUse, .addressNotAvailable: return nextAttempt(slot)
        case .connectionRefused:
            if flows[slot].clientAddress.ip.isIPv4 || flows[slot].attempt == .gatewayIPv4 { return false }
            flows[slot].attempt = .gatewayIPv4
            return true
        default: return false
        }
    }

    private mutating func waitForSocket(_ slot: UInt32) {
        waitingFlows.append(Self.token(.client, slot: slot, generation: flows.generation(slot)).rawValue)
        askForSockets()
    }

    /// Continues the flows that waited for pod sockets, in their order.
    mutating func resumeWaitingFlows() {
        for _ in 0..<waitingFlows.count {
            guard let raw = waitingFlows.popFirst() else { return }
            let token = EventToken(rawValue: raw)
            if flows.isCurrent(token.slot, token.generation) { connect(token.slot) }
        }
    }

    /// The answer of the pod to a connect that was under way.
    mutating func connectingPodEvent(_ slot: UInt32) {
        guard let route = route(flows[slot].attempt, slot) else { return }
        switch Socket.connect(flows[slot].podFD, route.target) {
        case .inProgress: return
        case .connected: establish(slot)
        case .failed(let error):
            flows[slot].pod = nil
            if mayRetry(slot, after: error) { return connect(slot) }
            refuse(slot, isRefusal: error == .connectionRefused)
        }
    }

    private mutating func establish(_ slot: UInt32) {
        flows[slot].phase = .established
        countSource(slot)
        let generation = flows.generation(slot)
        flows[slot].timer = timers.arm(
            at: now + Self.keepaliveDelay, Self.token(.keepaliveTimer, slot: slot, generation: generation))
        if !register(.client, slot, flows[slot].clientFD) { return refuse(slot, isRefusal: false) }
        // A client that speaks first has usually spoken by the time the pod is connected: reading at once saves a
        // wake-up and costs one system call where it has not.
        flows[slot].up.sourceReady(mayHaveMore: false)
        run(slot)
    }

    private mutating func countSource(_ slot: UInt32) {
        switch flows[slot].attempt {
        case .sameAddressAndPort: break
        case .sameAddress: counters.sourcePortChanged += 1
        case .gateway: counters.sourceReplaced += 1
        case .gatewayIPv4: counters.ipv6ToIPv4 += 1
        }
    }

    private static let interest: Readiness = [.readable, .peerEnded, .urgent, .edgeTriggered]

    private mutating func register(_ kind: Kind, _ slot: UInt32, _ descriptor: Int32) -> Bool {
        let token = Self.token(kind, slot: slot, generation: flows.generation(slot))
        let reportsRoom = kind == .pod && flows[slot].podReportsRoom
        let interest = reportsRoom ? Self.interest.union(.writable) : Self.interest
        do throws(Errno) { try epoll.add(descriptor, interest, token: token.rawValue) } catch { return false }
        return true
    }

    /// From now on, events of the socket tell when it is writable; at once, if it is by now.
    mutating func reportRoom(_ kind: Kind, _ slot: UInt32, _ descriptor: Int32) -> Bool {
        let token = Self.token(kind, slot: slot, generation: flows.generation(slot))
        do throws(Errno) {
            try epoll.modify(descriptor, Self.interest.union(.writable), token: token.rawValue)
        } catch { return false }
        return true
    }

    /// Milliseconds of a connection's life before the pod's side gets keepalive; the client's has inherited it from the
    /// listener. Most connections are over by then, and save the system calls.
    private static let keepaliveDelay: UInt64 = 30_000

    mutating func startKeepalive(_ slot: UInt32) { try? Socket.setKeepalive(flows[slot].podFD) }

    /// Resets the client: it sees at once that there is nobody.
    private mutating func refuse(_ slot: UInt32, isRefusal: Bool) {
        if isRefusal { counters.tcpRefused += 1 } else { counters.tcpUnreachable += 1 }
        Socket.resetOnClose(flows[slot].clientFD)
        remove(slot)
    }
}
