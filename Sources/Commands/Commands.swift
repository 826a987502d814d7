// SPDX-License-Identifier: Apache-2.0
import Arguments
import ContainerRuntime
import Engine
import LinuxSystem
import SystemPackage

// Theory of operation
//
// The command line: one file per command, grouped by the object it works on. A command is three things: a declaration
// (flags and help, evaluated only when the command is selected), a translation from flags to an engine request that
// unit tests drive without an engine, and the text it prints.
//
//   argv -> Command tree -> Invocation -> Engine -> text on standard output, `Error: …` on standard error, exit code
//
// - Output, flags, texts and exit codes are Podman's, because scripts written for it are this program's users.
// - `Session` is what a command is given; `Failures` is how one goes on after an error with several names.
// - Listings and inspections build one JSON object per thing; `Report` prints it as a table, as JSON or by a template.
// - Nothing here is computed before it is needed: `samara exec` never builds the tables of `samara images`.

/// Runs the program with `arguments` (the program's own path first) and returns its exit code.
public func runCommandLine(_ arguments: [String]) -> Int32 {
    if arguments.first == InitProcess.name { return InitProcess.run(Array(arguments.dropFirst())) }
    // As Podman does: a container's root is a directory of ours, and its other users must be able to enter it.
    _ = Process.setFileModeMask(0o022)
    let session = Session(commandLine: arguments)
    do throws(Errno) { try Trace.start() } catch {
        session.complain("Error: cannot write the file that \(Trace.variable) names: \(error.text)")
        return 125
    }
    Trace.point("command begun")
    defer { Trace.point("command ended") }
    do {
        // Two steps: the flags' declarations go with the first one and are not in the memory of a monitor.
        return try selectedWork(arguments, session)()
    } catch let error as ArgumentError {
        if let help = error.helpText { try? session.print(help) }
        session.complain("Error: \(error.message)")
        return 125
    } catch let error as Reported {
        return error.exitCode
    } catch {
        let failure = Failure(error)
        session.complain("Error: \(failure.message)")
        return failure.exitCode
    }
}

/// Parses the command line; what is returned remains to be done.
private func selectedWork(_ arguments: [String], _ session: Session) throws -> () throws -> Int32 {
    switch try rootCommand().resolve(Array(arguments.dropFirst())) {
    case .text(let text):
        try session.print(text)
        return { 0 }
    case .invocation(let invocation):
        if let problem = LogLevel.problem(with: invocation.arguments.string("log-level")) {
            session.complain(problem)
            return { 1 }
        }
        if startsContainers(invocation.path) { try SelfProtection.ensure(arguments) }
        Trace.point("command arguments")
        return try invocation.prepare(session)
    }
}

/// Whether a command executes programs of a container, in itself or in a process that it leaves behind: those must not
/// be able to reach the file of this program.
private func startsContainers(_ path: String) -> Bool {
    guard let name = path.split(separator: " ").last else { return false }
    return ["run", "exec", "start", "restart", "create"].contains(name)
}
