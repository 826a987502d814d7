// SPDX-License-Identifier: Apache-2.0
import NetStack

/// One end of a TCP connection as a guest kernel has it, small: Reno-like repeating, out-of-order data kept, a reader that
/// is sometimes slow. Written from RFC 9293, independently of the stack under test.
struct GuestTCP {
    let local: InternetEndpoint
    let remote: InternetEndpoint
    /// Segment size towards the stack; with offload, frames of many segments are sent.
    let mss = 1460
    let usesOffload: Bool
    let bufferSize: Int

    // Sending.
    let outgoing: Bytes
    var una = 0  // offsets in the stream; -1 stands for the SYN
    var next = 0
    var highest = 0
    var iss: UInt32
    var isConnected = false
    var peerWindow = 0
    var peerScale = 0
    var duplicates = 0
    var recover = 0
    var deadline: UInt64 = 0
    var timeout: UInt64 = 200
    var finSent: Bool { highest > outgoing.count }
    var finAcknowledged: Bool { una > outgoing.count }

    // Receiving.
    var irs: UInt32 = 0
    var incoming = Bytes()
    var unread = 0
    var early = [Int: Bytes]()
    var finOffset: Int?
    var finReceived = false
    var ackPending = 0
    var wasReset = false

    init(
        local: InternetEndpoint, remote: InternetEndpoint, iss: UInt32, outgoing: Bytes, usesOffload: Bool,
        bufferSize: Int
    ) {
        self.local = local
        self.remote = remote
        self.iss = iss
        self.outgoing = outgoing
        self.usesOffload = usesOffload
        self.bufferSize = bufferSize
    }

    var isDone: Bool { finAcknowledged && finReceived }
    /// Octets both ways: what must keep growing.
    var progress: Int { una + incoming.count }

    var window: Int { max(0, bufferSize - unread) }

    private func segment(_ flags: TCPFlags, _ offset: Int, _ data: Bytes = []) -> Segment {
        Segment(
            source: local, destination: remote, seq: iss &+ 1 &+ UInt32(truncatingIfNeeded: offset),
            ack: isConnected ? irs &+ 1 &+ UInt32(incoming.count + (finReceived ? 1 : 0)) : 0, flags: flags,
            window: min(65_535, isConnected ? window >> 6 : window), data: data)
    }

    /// Segments to send at `now` (ms).
    mutating func output(_ now: UInt64) -> [Segment] {
        if wasReset { return [] }
        var out = [Segment]()
        if !isConnected {
            if deadline <= now {
                deadline = now + timeout
                var syn = segment(.syn, -1)
                syn.options = [2, 4, 5, 0xb4, 1, 3, 3, 6]
                out.append(syn)
            }
            return out
        }
        if deadline <= now && (una < highest || (peerWindow == 0 && una < outgoing.count)) {
            timeout = min(timeout * 2, 3000)
            deadline = now + timeout
            next = una
            recover = highest
            duplicates = 0
            if peerWindow == 0 {
                // Window probe: an old sequence number.
                out.append(segment(.ack, una - 1))
            }
        }
        while next < outgoing.count && next - una < peerWindow {
            let room = min(outgoing.count - next, peerWindow - (next - una))
            let size = min(room, usesOffload ? 40 * mss : mss)
            if highest == una { deadline = now + timeout }
            out.append(segment([.ack, .psh], next, Bytes(outgoing[next..<(next + size)])))
            next += size
            highest = max(highest, next)
            ackPending = 0
        }
        if next == outgoing.count {
            if highest == una { deadline = now + timeout }
            out.append(segment([.fin, .ack], next))
            next += 1
            highest = max(highest, next)
            ackPending = 0
        }
        for _ in 0..<ackPending { out.append(segment(.ack, highest)) }
        ackPending = 0
        return out
    }

    mutating func read(_ octets: Int) {
        let before = window
        unread = max(0, unread - octets)
        if before < 2 * mss && window >= 2 * mss && isConnected { ackPending = max(ackPending, 1) }
    }

    mutating func receive(_ frame: Received, _ now: UInt64) {
        guard frame.proto == 6, frame.destinationPort == Int(local.port), !wasReset else { return }
        let flags = frame.flags
        if !isConnected {
            guard flags == [.syn, .ack], frame.ack == iss &+ 1 else { return }
            irs = frame.seq
            let options = frame.tcpOptions
            if let at = options.firstIndex(of: 3), options.count > at + 2 { peerScale = Int(options[at + 2]) }
            peerWindow = frame.window
            isConnected = true
            deadline = now + 200
            timeout = 200
            ackPending = 1
            return
        }
        let offset = Int(Int32(bitPattern: frame.seq &- irs &- 1))
        if flags.contains(.rst) {
            if offset == incoming.count { wasReset = true }
            return
        }
        if flags.contains(.syn) {
            ackPending = max(ackPending, 1)
            return
        }
        acknowledge(frame, now)
        let data = frame.data
        if flags.contains(.fin) { finOffset = offset + data.count }
        if !data.isEmpty || flags.contains(.fin) || offset < incoming.count { ackPending += 1 }
        if !data.isEmpty && offset + data.count <= incoming.count + window {
            if offset <= incoming.count {
                accept(data, at: offset)
                while let key = early.keys.filter({ $0 <= incoming.count }).min() {
                    accept(early.removeValue(forKey: key) ?? [], at: key)
                }
                // One acknowledgement for what was filled in.
                ackPending = 1
            } else if early[offset].map({ $0.count < data.count }) ?? true {
                early[offset] = data
            }
        }
        if finOffset == incoming.count { finReceived = true }
    }

    private mutating func accept(_ data: Bytes, at offset: Int) {
        let skip = incoming.count - offset
        guard skip < data.count else { return }
        incoming += data[skip...]
        unread += data.count - skip
    }

    private mutating func acknowledge(_ frame: Received, _ now: UInt64) {
        let ack = Int(Int32(bitPattern: frame.ack &- iss &- 1))
        guard ack <= highest, ack >= una else { return }
        let window = frame.window << peerScale
        if ack > una {
            una = ack
            next = max(next, una)
            duplicates = 0
            timeout = 200
            deadline = now + timeout
        } else if frame.data.isEmpty && !frame.flags.contains(.fin) && una < highest && window == peerWindow {
            duplicates += 1
            if duplicates == 3 && una >= recover {
                next = una
                recover = highest
                deadline = now + timeout
            }
        }
        if window > 0 && peerWindow == 0 {
            timeout = 200
            deadline = now + timeout
        }
        peerWindow = window
    }
}
