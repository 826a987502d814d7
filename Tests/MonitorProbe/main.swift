// SPDX-License-Identifier: Apache-2.0
//
// What MonitorTests drive: each mode is one process of the product, reduced to the Monitor module.
//
//     MonitorProbe relay [options] -- program…     the monitor's role; a client's socket is descriptor 3
//     MonitorProbe attach [options]                the command's role; the monitor's socket is descriptor 3
//     MonitorProbe local [options] -- program…     `exec`
//     MonitorProbe logs log=PATH [tail=N]          `logs`
//     MonitorProbe full log=PATH                   a log that meets a full disk
import CLinux
import LinuxSystem
import Monitor
import SystemPackage

struct Arguments {
    var flags: Set<String> = []
    var values: [String: String] = [:]
    var program: [String] = []

    init(_ arguments: ArraySlice<String>) {
        var rest = arguments
        while let argument = rest.popFirst() {
            if argument == "--" {
                program = Array(rest)
                return
            }
            let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
            if parts.count == 2 { values[parts[0]] = parts[1] } else { flags.insert(argument) }
        }
    }
}

func sessionOptions(_ arguments: Arguments) throws -> SessionOptions {
    SessionOptions(
        forwardsInput: !arguments.flags.contains("no-input"), hasTerminal: arguments.flags.contains("tty"),
        proxiesSignals: !arguments.flags.contains("no-proxy"),
        detachKeys: try arguments.values["keys"].map(DetachKeys.init) ?? .standard)
}

func relay(_ arguments: Arguments) throws -> Int32 {
    let policy: Relay.InputPolicy =
        switch arguments.values["input"] {
        case "open": .open
        case "once": .openForOneClient
        default: .closed
        }
    var options = Relay.Options(input: policy)
    if let limit = arguments.values["stall"].flatMap(Int64.init) { options.stallLimit = limit }
    let log = arguments.values["log"].map { LogWriter(path: $0, format: .k8sFile) }
    let listener: OwnedFD?
    if let path = arguments.values["listen"] { listener = try UnixSocket.listen(path: path) } else { listener = nil }
    let relay = try Relay(options, log: log, listener: listener)
    if arguments.flags.contains("client") { relay.addForegroundClient(OwnedFD(3)) }
    var status = ExitStatus.exited(0)
    for _ in 0..<(arguments.values["times"].flatMap(Int.init) ?? 1) {
        status = try relay.run(startProgram(arguments))
    }
    if let path = arguments.values["record"] { try File.write(path, Array("\(status.code)".utf8)) }
    relay.finish(status)
    return status.code
}

func attach(_ arguments: Arguments) throws -> Int32 {
    let outcome = try AttachClient.run(OwnedFD(3), try sessionOptions(arguments))
    if let path = arguments.values["outcome"] { try File.write(path, Array("\(outcome)".utf8)) }
    if case .exited(let code) = outcome { return code }
    return 0
}

func local(_ arguments: Arguments) throws -> Int32 {
    let session = try LocalSession(try startProgram(arguments), try sessionOptions(arguments))
    switch try session.run() {
    case .exited(let status): return status.code
    case .detached:
        try session.discardOutput()
        return 200
    case .interrupted(let signal): return 128 + signal
    }
}

/// A file size limit stands for the full disk: EFBIG instead of ENOSPC, without needing a file system of its own.
func full(_ arguments: Arguments) throws -> Int32 {
    guard let path = arguments.values["log"] else { return 2 }
    let signals = try SignalDescriptor(blocking: SignalSet([SIGXFSZ]))
    let log = LogWriter(path: path, format: .k8sFile)
    var limit = rlimit(rlim_cur: 2000, rlim_max: rlim_t.max)
    setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
    for number in 0..<100 {
        Array("line \(number) before\n".utf8).withUnsafeBytes { log.write(.stdout, $0) }
    }
    limit.rlim_cur = rlim_t.max
    setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
    Array("after\n".utf8).withUnsafeBytes { log.write(.stdout, $0) }
    _ = signals.descriptor
    return 0
}

func dispatch() throws -> Int32 {
    let arguments = Arguments(CommandLine.arguments.dropFirst(2))
    switch CommandLine.arguments.dropFirst().first {
    case "relay": return try relay(arguments)
    case "attach": return try attach(arguments)
    case "local": return try local(arguments)
    case "logs":
        guard let path = arguments.values["log"] else { return 2 }
        var query = LogQuery()
        query.tail = arguments.values["tail"].flatMap(Int.init)
        try LogReader.run([LogSource(path: path, id: "id", name: "name") { false }], query)
        return 0
    case "full": return try full(arguments)
    default: return 2
    }
}

// The programs started here must not hold the connection open.
_ = samara_fcntl(3, F_SETFD, Int(FD_CLOEXEC))
// A test's thread has signals blocked, and a child inherits that.
var unblocked = sigset_t()
sigemptyset(&unblocked)
sigprocmask(SIG_SETMASK, &unblocked, nil)
do { Process.exitNow(try dispatch()) } catch {
    try? File.writeAll(2, Array("Error: \(error)\n".utf8))
    Process.exitNow(125)
}
