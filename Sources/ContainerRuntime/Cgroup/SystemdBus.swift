// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// systemd's manager on the system bus, or on the user's bus for a rootless caller: org.freedesktop.systemd1(5).
struct SystemdBus: ~Copyable {
    private let socket: OwnedFD
    private var serial: UInt32 = 0
    private var buffered: [UInt8] = []
    private let deadline = samara_monotonic_milliseconds() + 10_000

    private static let manager = "org.freedesktop.systemd1.Manager"

    private init(_ socket: consuming OwnedFD) { self.socket = socket }

    /// Connects and says hello.
    static func connect(isRootless: Bool) throws(RuntimeError) -> SystemdBus {
        let path = busPath(isRootless)
        let bus = isRootless ? "user" : "system"
        var manager = SystemdBus(
            try describing("systemd cgroups: connect to the \(bus) bus", path) { () throws(Errno) in
                try UnixSocket.connect(path: path, type: Int32(samara_sock_stream))
            })
        try manager.greet(path)
        return manager
    }

    private mutating func greet(_ path: String) throws(RuntimeError) {
        // EXTERNAL without a name: the bus takes the socket's credentials, which are right inside a user namespace too,
        // where this process's own number is another one than the bus sees.
        try send(Array("\0AUTH EXTERNAL\r\nDATA\r\n".utf8))
        var line = try readLine()
        if line.hasPrefix("DATA") { line = try readLine() }
        guard line.hasPrefix("OK") else { throw RuntimeError("systemd cgroups: the bus `\(path)` refused: \(line)") }
        try send(Array("BEGIN\r\n".utf8))
        _ = try call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello")
    }

    private static func busPath(_ isRootless: Bool) -> String {
        let variable = isRootless ? "DBUS_SESSION_BUS_ADDRESS" : "DBUS_SYSTEM_BUS_ADDRESS"
        for address in (Identity.environment(variable) ?? "").split(separator: ";") {
            guard address.hasPrefix("unix:") else { continue }
            for part in address.dropFirst(5).split(separator: ",") where part.hasPrefix("path=") {
                return String(part.dropFirst(5))
            }
        }
        guard isRootless else { return "/run/dbus/system_bus_socket" }
        return (Identity.environment("XDG_RUNTIME_DIR") ?? "/run/user/\(Identity.effective.0)") + "/bus"
    }

    /// Starts a scope with the properties and waits until its processes are in it.
    mutating func startScope(_ unit: String, _ properties: [(name: String, value: BusValue)]) throws(RuntimeError) {
        var match = BusWriter()
        match.string("type='signal',interface='\(SystemdBus.manager)',member='JobRemoved'")
        _ = try call(
            "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch", "s", match)
        _ = try callManager("Subscribe")
        var body = BusWriter()
        body.string(unit)
        body.string("fail")
        body.array(alignment: 8) { writer in
            for property in properties {
                writer.align(8)
                writer.string(property.name)
                writer.variant(property.value)
            }
        }
        body.array(alignment: 8) { _ in }
        let job = try callManager("StartTransientUnit", "ssa(sv)a(sa(sv))", body).texts.first
        while true {
            let message = try receive()
            // JobRemoved(u id, o job, s unit, s result); a call's reply may overtake the job's end or follow it.
            guard message.kind == .signal, message.member == "JobRemoved", message.texts.first == job,
                let result = message.texts.last
            else { continue }
            if result == "done" { return }
            throw RuntimeError("systemd cgroups: starting `\(unit)` ended with `\(result)`")
        }
    }

    /// Ends a scope; one that is gone already is no error.
    mutating func stop(_ unit: String) {
        var body = BusWriter()
        body.string(unit)
        var reset = body
        body.string("replace")
        _ = try? callManager("StopUnit", "ss", body)
        swap(&body, &reset)
        _ = try? callManager("ResetFailedUnit", "s", body)
    }

    // MARK: Messages

    private mutating func callManager(
        _ member: String, _ signature: String = "", _ body: BusWriter = BusWriter()
    ) throws(RuntimeError) -> BusMessage {
        try call(
            "org.freedesktop.systemd1", "/org/freedesktop/systemd1", SystemdBus.manager, member, signature, body)
    }

    private mutating func call(
        _ destination: String, _ path: String, _ interface: String, _ member: String, _ signature: String = "",
        _ body: BusWriter = BusWriter()
    ) throws(RuntimeError) -> BusMessage {
        serial += 1
        try send(
            BusWriter.call(
                serial: serial, path: path, interface: interface, member: member, destination: destination,
                signature: signature, body: body))
        while true {
            let message = try receive()
            guard message.replySerial == serial else { continue }
            if message.kind == .error {
                throw RuntimeError(
                    "systemd cgroups: \(member): \(message.texts.first ?? message.errorName)")
            }
            return message
        }
    }

    private func send(_ bytes: [UInt8]) throws(RuntimeError) {
        do { try UnixSocket.send(socket.raw, bytes) } catch {
            throw RuntimeError("systemd cgroups: write to", "the bus", error)
        }
    }

    private mutating func receive() throws(RuntimeError) -> BusMessage {
        try fill(16)
        guard let length = BusMessage.length(buffered) else {
            throw RuntimeError("systemd cgroups: the bus sent something that is not a message")
        }
        try fill(length)
        defer { buffered.removeFirst(length) }
        guard let message = BusMessage(Array(buffered[..<length])) else {
            throw RuntimeError("systemd cgroups: the bus sent a damaged message")
        }
        return message
    }

    private mutating func readLine() throws(RuntimeError) -> String {
        while true {
            if let end = buffered.firstIndex(of: 10) {
                defer { buffered.removeFirst(end + 1) }
                return String(decoding: buffered[..<end].filter { $0 != 13 }, as: UTF8.self)
            }
            try fill(buffered.count + 1)
        }
    }

    /// Reads until at least `count` bytes are there, or ten seconds after the connection was made.
    private mutating func fill(_ count: Int) throws(RuntimeError) {
        while buffered.count < count {
            let now = samara_monotonic_milliseconds()
            var set = PollSet()
            let readable = set.add(socket.raw, .readable)
            let rest = deadline > now ? Int64(deadline - now) : 0
            guard (try? set.wait(timeoutMilliseconds: rest)) != nil, !set.events(readable).isEmpty else {
                throw RuntimeError("systemd cgroups: systemd did not answer within 10 s")
            }
            let message: UnixSocket.Message
            do { message = try UnixSocket.receive(socket.raw, limit: 16 << 10, descriptorLimit: 0) } catch {
                throw RuntimeError("systemd cgroups: read from", "the bus", error)
            }
            if message.bytes.isEmpty { throw RuntimeError("systemd cgroups: the bus closed the connection") }
            buffered += message.bytes
        }
    }
}
