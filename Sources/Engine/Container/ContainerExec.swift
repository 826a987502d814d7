// SPDX-License-Identifier: Apache-2.0
import CLinux
import ContainerRuntime
import LinuxSystem
import Monitor
import SystemPackage

extension Engine {
    /// Runs a further program in a running container: this process joins the container's namespaces from outside, clones
    /// the program and is its parent, so there is no monitor and no other process in between.
    ///
    /// - Returns: the program's exit code; 0 for a detached one.
    public func exec(_ container: Container, _ request: ExecRequest) throws(EngineError) -> Int32 {
        let record = container.record
        guard container.isRunning, let target = container.state.process else {
            throw EngineError(
                "can only create exec sessions on running containers: container state improper", kind: .stateImproper)
        }
        let plan = LaunchPlan(
            process: try execProcess(record, request), name: record.name, dieWithParent: !request.isDetached)
        let pidfd: OwnedFD
        do { pidfd = try target.open() } catch {
            throw EngineError("container \(record.name) has just ended: container state improper", kind: .stateImproper)
        }
        if request.isDetached { return try execDetached(plan, record, pidfd) }
        do throws(LaunchError) {
            try Launch.join(pidfd, execNamespaces(record), name: record.name)
        } catch { throw EngineError(error) }
        return try execForeground(plan, record, request)
    }

    private func execProcess(_ record: ContainerRecord, _ request: ExecRequest) throws(EngineError) -> ProcessSpec {
        var own = record
        own.isPrivileged = record.isPrivileged || request.isPrivileged
        own.limits = []
        var process = try ContainerPlanner(engine: self, record: own, pod: nil, joined: []).process()
        process.usesInit = false
        process.arguments = request.command
        process.user = request.user ?? record.user
        process.hasTerminal = request.hasTerminal
        process.workingDirectory = request.workingDirectory ?? record.workingDirectory
        process.makesWorkingDirectory = false
        process.preservedDescriptors = request.preservedDescriptors
        var environment = record.environment.filter { entry in
            !request.environment.contains { $0.prefix { $0 != "=" } == entry.prefix { $0 != "=" } }
        }
        if request.hasTerminal, !environment.contains(where: { $0.hasPrefix("TERM=") }),
            !request.environment.contains(where: { $0.hasPrefix("TERM=") })
        {
            environment.append("TERM=xterm")
        }
        process.environment = environment + request.environment
        return process
    }

    /// The container's namespaces that are not the host's: to join the host's network again would need privilege there.
    private func execNamespaces(_ record: ContainerRecord) -> NamespaceSet {
        var namespaces: NamespaceSet = [.user, .mount, .cgroup]
        if !record.sharesHostPID { namespaces.insert(.pid) }
        if !record.sharesHostIPC { namespaces.insert(.ipc) }
        if record.network != .host { namespaces.insert(.network) }
        if !record.sharesHostUTS, record.network != .host || record.hostname != nil { namespaces.insert(.uts) }
        return namespaces
    }

    private func execForeground(
        _ plan: borrowing LaunchPlan, _ record: ContainerRecord, _ request: ExecRequest
    ) throws(EngineError) -> Int32 {
        let streams: ProcessStreams
        let pidfd: OwnedFD
        do {
            if request.hasTerminal {
                var launched = try Launch.start(plan, streams: .init(input: 0, output: 1, error: 2))
                guard let master = launched.terminal.take() else { throw Errno.noSuchAddressOrDevice }
                streams = .terminal(master)
                pidfd = launched.descriptor()
            } else {
                let own = try ExecStreams(isInteractive: request.isInteractive)
                let launched = try Launch.start(plan, streams: own.child)
                streams = own.parentEnds()
                pidfd = launched.descriptor()
            }
        } catch let error as LaunchError { throw EngineError(error) } catch {
            throw EngineError("cannot execute in \(record.name): \((error as? Errno)?.text ?? "no terminal")")
        }
        do throws(MonitorError) {
            let options = SessionOptions(
                forwardsInput: request.isInteractive, hasTerminal: request.hasTerminal,
                detachKeys: try DetachKeys(request.detachKeys))
            let session = try LocalSession(MonitoredProcess(pidfd: pidfd, streams: streams), options)
            switch try session.run() {
            case .exited(let status): return status.code
            case .detached:
                // The program runs on; somebody must keep its terminal open and take its output.
                let child: Int32
                do { child = try Process.fork() } catch {
                    throw MonitorError("leave the program running", record.name, error)
                }
                if child == 0 {
                    try? session.discardOutput()
                    Process.exitNow(0)
                }
                return 0
            case .interrupted(let signal): return 128 + signal
            }
        } catch { throw EngineError(error.description) }
    }

    /// A child does it, so that this command can go while the program runs; the program's parent is then the
    /// container's own first process.
    private func execDetached(
        _ plan: borrowing LaunchPlan, _ record: ContainerRecord, _ pidfd: borrowing OwnedFD
    ) throws(EngineError) -> Int32 {
        let result: (first: Int32, second: Int32)
        let child: Int32
        do throws(Errno) {
            result = try AttachSocket.pair().release()
            child = try Process.fork()
        } catch { throw EngineError("cannot execute in \(record.name): \(error.text)") }
        if child == 0 {
            let answer = OwnedFD(result.second)
            do {
                try Launch.join(pidfd, execNamespaces(record), name: record.name)
                let null = try File.open("/dev/null", O_RDWR).release()
                let high = samara_fcntl(null, F_DUPFD_CLOEXEC, 10)
                _ = try Launch.start(plan, streams: .init(input: high, output: high, error: high))
            } catch let error as LaunchError {
                AttachSocket.reportFailure(answer, code: error.exitCode, text: error.message)
            } catch {
                AttachSocket.reportFailure(answer, code: 125, text: "cannot execute in \(record.name)")
            }
            Process.exitNow(0)
        }
        let mine = OwnedFD(result.first)
        _ = OwnedFD(result.second)
        defer { Process.reap(child) }
        // The child ends without a word when all went well.
        if case .failed(let code, let text) = AttachClient.waitForStart(mine) {
            throw EngineError(text, exitCode: code)
        }
        return 0
    }
}

/// The standard streams of an exec without terminal.
///
/// A stream of the caller that is not a terminal is given to the program as it is: no copy. The caller's terminal is
/// not: the program could open it again for reading through /proc/self/fd and see what the user types elsewhere.
private struct ExecStreams: ~Copyable {
    var child: LaunchPlan.StandardStreams
    private var childEnds: [Int32] = []
    private var input: OwnedFD?
    private var output: OwnedFD?
    private var error: OwnedFD?

    init(isInteractive: Bool) throws(Errno) {
        child = .init(input: -1, output: -1, error: -1)
        if !isInteractive {
            child.input = try File.open("/dev/null", O_RDONLY).release()
        } else if Terminal.isTerminal(0) {
            let pipe = try PipePair.make()
            let ends = pipe.release()
            child.input = ends.read
            input = OwnedFD(ends.write)
        } else {
            child.input = try ExecStreams.above(0)
        }
        if Terminal.isTerminal(1) {
            let ends = try PipePair.make().release()
            child.output = ends.write
            output = OwnedFD(ends.read)
        } else {
            child.output = try ExecStreams.above(1)
        }
        if Terminal.isTerminal(2) {
            let ends = try PipePair.make().release()
            child.error = ends.write
            error = OwnedFD(ends.read)
        } else {
            child.error = try ExecStreams.above(2)
        }
        childEnds = [child.input, child.output, child.error]
    }

    private static func above(_ descriptor: Int32) throws(Errno) -> Int32 {
        try checked(samara_fcntl(descriptor, F_DUPFD_CLOEXEC, 10))
    }

    /// Closes what only the program needs and returns this process's ends.
    consuming func parentEnds() -> ProcessStreams {
        for descriptor in childEnds { _ = OwnedFD(descriptor) }
        return .pipes(stdin: input, stdout: output, stderr: error)
    }
}
