// SPDX-License-Identifier: Apache-2.0
import CLinux
import Foundation
import LinuxSystem
import SystemPackage
import Testing

@testable import Monitor

// Foundation has an OutputStream too.
typealias OutputStream = Monitor.OutputStream

/// A running MonitorProbe.
final class Probe {
    let pid: Int32
    private var code: Int32?

    static let path: String = {
        let own = (try? File.readLink("/proc/self/exe")) ?? ""
        let near = [CommandLine.arguments.first ?? "", own]
            .map { ($0 as NSString).deletingLastPathComponent + "/MonitorProbe" }
        return near.first { File.exists($0) } ?? "MonitorProbe"
    }()

    /// `descriptors` become 0, 1, 2, …
    init(_ arguments: [String], descriptors: [Int32]) throws {
        pid = try Spawn.start(Probe.path, arguments, descriptors: descriptors)
    }

    deinit {
        if code == nil {
            kill(pid, SIGKILL)
            _ = try? LinuxSystem.Process.wait(pid: pid)
        }
    }

    func wait() throws -> Int32 {
        if let code { return code }
        let status = try LinuxSystem.Process.wait(pid: pid)
        code = status.code
        return status.code
    }

    func signal(_ signal: Int32) { kill(pid, signal) }
}

/// A `MonitorProbe relay` whose foreground client is the test.
final class RelayUnderTest {
    let probe: Probe
    let client: TestClient

    init(_ options: [String], _ program: [String]) throws {
        let null = try File.open("/dev/null", O_RDWR)
        let pair = try AttachSocket.pair()
        probe = try Probe(
            ["relay", "client"] + options + ["--"] + program, descriptors: [null.raw, null.raw, 2, pair.second.raw])
        client = TestClient(pair.keepingFirst())
    }

    convenience init(_ options: [String], shell: String) throws { try self.init(options, ["/bin/sh", "-c", shell]) }
}

/// The other end of an attach connection, frame by frame.
final class TestClient {
    let socket: OwnedFD
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: AttachProtocol.frameSize, alignment: 16)
    private(set) var stdout: [UInt8] = []
    private(set) var stderr: [UInt8] = []
    private(set) var consumed = 0
    private(set) var inputClosed = false
    private(set) var exitCode: Int32?

    init(_ socket: consuming OwnedFD) { self.socket = socket }
    deinit { buffer.deallocate() }

    func send(_ frame: [UInt8]) throws {
        let result = frame.withUnsafeBytes { NonBlockingIO.send(socket.raw, $0) }
        try #require(result == .bytes(frame.count))
    }

    func type(_ text: String) throws { try send(AttachProtocol.frame(.stdin, Array(text.utf8))) }

    /// Receives one frame; nil when the connection is closed.
    func receive() throws -> AttachProtocol.Kind? {
        while true {
            switch NonBlockingIO.receive(socket.raw, into: buffer) {
            case .bytes(let count):
                let message = UnsafeRawBufferPointer(rebasing: buffer[..<count])
                let frame = try #require(AttachProtocol.Frame(message))
                switch frame.kind {
                case .stdout: stdout += Array(frame.payload)
                case .stderr: stderr += Array(frame.payload)
                case .stdinConsumed: consumed += Int(frame.number ?? 0)
                case .stdinClosed: inputClosed = true
                case .exited: exitCode = frame.number
                default: break
                }
                return frame.kind
            case .wouldBlock:
                var polls = PollSet()
                polls.add(socket.raw, .readable)
                try polls.wait(timeoutMilliseconds: 20_000)
                if polls.events(0) == [] { throw MonitorError("wait 20 s for a frame") }
            case .endOfFile: return nil
            case .failed(let error): throw error
            }
        }
    }

    func receive(until condition: () -> Bool) throws {
        while !condition() { if try receive() == nil { throw MonitorError("reach a condition before the end") } }
    }

    func receiveAll() throws { while try receive() != nil {} }

    var output: String { String(decoding: stdout, as: UTF8.self) }
}

/// A pseudo-terminal whose master the test holds.
struct TestTerminal: ~Copyable {
    let master: OwnedFD
    let slave: OwnedFD

    init() throws {
        let opened = OwnedFD(try checked(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)))
        _ = try checked(grantpt(opened.raw))
        _ = try checked(unlockpt(opened.raw))
        var name = [CChar](repeating: 0, count: 64)
        if ptsname_r(opened.raw, &name, name.count) != 0 { throw lastErrno() }
        let path = String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        slave = try File.open(path, O_RDWR | O_NOCTTY)
        master = opened
    }

    /// Whether the terminal has the settings it came with: canonical mode.
    var isCooked: Bool { get throws { try Terminal.attributes(slave.raw).endOfFile != nil } }

    func type(_ text: String) throws { try File.writeAll(master.raw, Array(text.utf8)) }

    /// Reads the screen until it shows `text`.
    func expect(_ text: String) throws {
        var seen = ""
        var buffer = [UInt8](repeating: 0, count: 4096)
        while !seen.contains(text) {
            var polls = PollSet()
            polls.add(master.raw, .readable)
            try polls.wait(timeoutMilliseconds: 20_000)
            if polls.events(0) == [] { throw MonitorError("wait 20 s for \"\(text)\" after \"\(seen)\"") }
            let count = try retrying { read(master.raw, &buffer, buffer.count) }
            seen += String(decoding: buffer[..<count], as: UTF8.self)
        }
    }
}

/// A directory that is removed with the value.
final class Scratch {
    let path: String
    init() throws {
        path = NSTemporaryDirectory() + "/samara-monitor-\(UInt64.random(in: .min ... .max))"
        try Directory.make(path, mode: 0o700)
    }
    deinit { try? FileManager.default.removeItem(atPath: path) }
    func file(_ name: String) -> String { "\(path)/\(name)" }
}

func text(_ path: String) throws -> String { String(decoding: try File.read(path), as: UTF8.self) }

/// Random numbers that can be had again: SplitMix64.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    init() {
        state = .random(in: .min ... .max)
        print("seed: \(state)")
    }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
