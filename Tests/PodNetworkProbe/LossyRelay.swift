// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// A link between the pod's tap and the stack that loses, repeats and reorders frames, the same ones for the same seed.
///
/// The stack gets one end of a pair of SOCK_SEQPACKET sockets, which keep the borders of frames as the tap does.
struct LossyRelay {
    /// Parts of a thousand, each way.
    var loss: UInt64
    var seed: UInt64
    /// For captures: every frame has all its checksums.
    var completesChecksums = false

    /// Starts it beside the caller; returns the end that stands for the tap. It ends with the caller's namespace.
    func start(_ tap: borrowing OwnedFD) throws -> OwnedFD {
        // Without offloads every frame is one segment, so that losing one means what it means on a wire.
        _ = samara_ioctl_value(tap.raw, samara_tun_set_offload, 0)
        let pair = try UnixSocket.pair(type: Int32(samara_sock_seqpacket))
        for end in [pair.first.raw, pair.second.raw] {
            let flags = samara_fcntl(end, F_GETFL, 0)
            _ = samara_fcntl(end, F_SETFL, Int(flags | O_NONBLOCK))
            try Socket.set(end, SOL_SOCKET, SO_SNDBUF, 4 << 20)
        }
        let parent = Process.id
        if try checked(samara_fork()) != 0 {
            return OwnedFD(try checked(samara_fcntl(pair.first.raw, F_DUPFD_CLOEXEC, 3)))
        }
        _ = dup2(2, pair.first.raw)
        relay(tap.raw, pair.second.raw, parent)
        Process.exitNow(0)
    }

    private func relay(_ tap: Int32, _ stack: Int32, _ parent: Int32) {
        var state = seed | 1
        var held: [(frame: [UInt8], target: Int32)] = []
        func chance(_ parts: UInt64) -> Bool {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return state % 1000 < parts
        }
        var buffer = [UInt8](repeating: 0, count: 70_000)
        while getppid() == parent {
            var entries = [tap, stack].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            // What is held back goes a little later at the latest.
            _ = poll(&entries, 2, held.isEmpty ? 100 : 2)
            for (source, target) in [(tap, stack), (stack, tap)] {
                for _ in 0..<64 {
                    let count = read(source, &buffer, buffer.count)
                    if count <= 0 { break }
                    if chance(loss) { continue }
                    var frame = Array(buffer[..<count])
                    if completesChecksums && source == stack { Self.completeChecksum(&frame) }
                    if chance(loss) {
                        held.append((frame, target))
                        continue
                    }
                    put(frame, target)
                    if chance(loss) { put(frame, target) }
                }
            }
            for (frame, target) in held { put(frame, target) }
            held = []
        }
    }

    /// Does what a card would do: fills in the checksum that the offload header asks for (virtio 1.2, section 5.1.6).
    private static func completeChecksum(_ frame: inout [UInt8]) {
        guard frame.count > 10, frame[0] & 1 != 0 else { return }
        let start = 10 + (Int(frame[6]) | Int(frame[7]) << 8)
        let field = start + (Int(frame[8]) | Int(frame[9]) << 8)
        guard field + 1 < frame.count else { return }
        var sum: UInt32 = 0
        for index in start..<frame.count { sum += UInt32(frame[index]) << ((index - start) & 1 == 0 ? 8 : 0) }
        while sum > 0xffff { sum = (sum & 0xffff) + (sum >> 16) }
        let checksum = ~UInt16(sum)
        frame[field] = UInt8(checksum >> 8)
        frame[field + 1] = UInt8(checksum & 255)
        frame[0] = 0
    }

    private func put(_ frame: [UInt8], _ target: Int32) {
        while write(target, frame, frame.count) < 0, lastErrno() == .wouldBlock {
            var entry = pollfd(fd: target, events: Int16(POLLOUT), revents: 0)
            _ = poll(&entry, 1, 100)
        }
    }
}

/// Bulk over a bad link, one way after the other: everything arrives, and never stands still for a second.
enum LossyChecks {
    static func run(bytes: Int) {
        for remote in [OutboundProbe.remoteIPv4, OutboundProbe.remoteIPv6] {
            Check.noError("a lossy link to \(remote)") { try transfer(remote, bytes) }
        }
    }

    /// Sends the pattern and waits until all of it is acknowledged; the longest time in milliseconds without progress.
    private static func send(_ pattern: Pattern, _ socket: Int32, _ bytes: Int) -> UInt64? {
        let flags = samara_fcntl(socket, F_GETFL, 0)
        _ = samara_fcntl(socket, F_SETFL, Int(flags | O_NONBLOCK))
        defer { _ = samara_fcntl(socket, F_SETFL, Int(flags)) }
        var offset = 0
        var queued = 0
        var longest: UInt64 = 0
        var progressed = MonotonicClock.milliseconds
        while offset < bytes || queued > 0 {
            let sent = pattern.sendSome(socket, from: offset, atMost: bytes - offset)
            if sent < 0 { return nil }
            offset += sent
            let before = queued
            queued = Socket.unacknowledgedBytes(socket)
            let now = MonotonicClock.milliseconds
            longest = max(longest, now - progressed)
            if sent > 0 || queued < before { progressed = now } else if now - progressed > 10_000 { return nil }
            if sent == 0 { _ = usleep(5_000) }
        }
        return longest
    }

    private static func transfer(_ remote: IPAddress, _ bytes: Int) throws {
        let pattern = Pattern()
        let began = MonotonicClock.milliseconds
        let up = try OutboundChecks.dial(remote, RemoteServices.sink)
        guard let longest = send(pattern, up.raw, bytes) else { return Check.fail("sending to \(remote)") }
        Socket.endSending(up.raw)
        Check.equal(OutboundChecks.text(up.raw), "\(bytes)", "octets up to \(remote)")
        let turned = MonotonicClock.milliseconds
        let down = try OutboundChecks.dial(remote, RemoteServices.source)
        var stall: UInt64 = 0
        let received = pattern.receive(down.raw, atMost: bytes, longestStall: &stall)
        Check.equal(received, bytes, "octets down from \(remote)")
        // Not on standard output, where a line is a failure.
        let ended = MonotonicClock.milliseconds
        let report =
            "lossy link to \(remote): \(bytes) octets up in \(turned - began) ms, longest stall \(longest) ms;"
            + " down in \(ended - turned) ms, longest stall \(stall) ms\n"
        try? File.writeAll(2, Array(report.utf8))
        if max(longest, stall) > 1000 { Check.fail("stood still for \(longest) ms up and \(stall) ms down") }
    }
}
