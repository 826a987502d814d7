// SPDX-License-Identifier: Apache-2.0

extension NetStack {
    /// Timeouts in a row without a word from the guest before a connection is given up.
    static var maximumSilence: UInt8 { 8 }

    /// The flow's timer is due, or was when it was last scheduled.
    mutating func expireFlow(_ index: UInt32) {
        let flow = tcp.flows[index]
        if flow.pointee.deadline > now {
            if flow.pointee.deadline != .never { tcp.timers.schedule(index, at: flow.pointee.deadline) }
            return
        }
        flow.pointee.deadline = .never
        if flow.pointee.state == .timeWait {
            tcp.remove(index)
            return
        }
        let isHandshake = flow.pointee.state == .synSent || flow.pointee.state == .synReceived
        let isProbe = !isHandshake && flow.pointee.sndWnd == 0
        guard isHandshake || flow.pointee.hasOutstanding || isBlockedByZeroWindow(flow) else { return }
        flow.pointee.silence += 1
        if flow.pointee.silence > Self.maximumSilence {
            sendReset(
                flow.pointee.pod, flow.pointee.remote, sequence: flow.pointee.controlSequence,
                acknowledgement: flow.pointee.state == .synSent ? nil : flow.pointee.rcvNxt)
            endFlow(index, .timedOut)
            return
        }
        if flow.pointee.backoff < 6 { flow.pointee.backoff += 1 }
        if isHandshake {
            counters.count(.tcpRetransmissions)
            flow.pointee.flags.insert(.sendSyn)
            tcp.enqueue(index)
        } else if isProbe {
            counters.count(.tcpZeroWindowProbes)
            flow.pointee.sndNxt = flow.pointee.sndUna
            flow.pointee.flags.insert(.probe)
            tcp.enqueue(index)
        } else {
            counters.count(.tcpRetransmissions)
            flow.pointee.dupAckCount = 0
            rewind(index, flow)
        }
        tcp.arm(index, flow.pointee.retransmissionTimeout, now)
    }

    /// Something waits to be sent and the guest's window is closed: nobody but a probe will find out that it opens when
    /// the update is lost (RFC 9293, section 3.8.6.1).
    func isBlockedByZeroWindow(_ flow: UnsafeMutablePointer<TCPFlow>) -> Bool {
        flow.pointee.sndWnd == 0 && flow.pointee.state.sendsData
            && (flow.pointee.sndNxt < flow.pointee.sndMax || flow.pointee.flags.contains(.hostReadable))
    }
}
