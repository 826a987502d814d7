// SPDX-License-Identifier: Apache-2.0
import Arguments
import ContainerRuntime
import Testing

@testable import RuntimeCommands

/// Command lines as conmon, containerd's shim, CRI-O and Podman write them.
@Suite struct CallerOptionTests {
    private func parsed(_ line: String) throws -> ParsedArguments {
        let resolution = try rootCommand().resolve(line.split(separator: " ").map(String.init))
        guard case .invocation(let invocation) = resolution else { throw ArgumentError("only text: \(line)") }
        return invocation.arguments
    }

    @Test(arguments: [
        // conmon, for Podman and CRI-O
        "--log-format=json --log=/b/oci-log create --bundle /b --pid-file /b/pidfile ID",
        "--systemd-cgroup --log-format=json --log=/l create --bundle /b --pid-file /p --console-socket /s --no-pivot --no-new-keyring ID",
        "--root=/run/crun exec --pid-file /p --process /process.json --detach ID",
        "--root=/r exec --pid-file /p --process /process.json --detach --console-socket /s --tty ID",
        "--cgroup-manager disabled create --bundle /b --pid-file /p ID",
        "--rootless=true --root /r state ID",
        "start ID", "kill ID 9", "kill --all ID KILL", "kill -a ID 15", "delete --force ID", "pause ID", "resume ID",
        "update --resources=/f ID", "update -r - ID", "update --resources - ID", "--debug state ID",
        "update --memory 1 --memory-swap -1 --memory-reservation 1 --cpu-period 1 --cpu-quota -1 --cpu-share 2 --cpuset-cpus 0 --cpuset-mems 0 --pids-limit -1 --blkio-weight 10 ID",
        // containerd's shim
        "--root /s/ns --log /t/log.json --log-format json --systemd-cgroup create --bundle /b --pid-file /p --no-pivot ID",
        "--root /s/ns --log /t/log.json --log-format json exec --process /p --console-socket /c --detach --pid-file /f ID",
        "--root /s/ns --rootless=false --log /l --log-format json --debug=true create --bundle /b --pid-file /p --pidfd-socket /q ID",
        "--root /s/ns ps --format json ID", "--root /s/ns events --stats ID", "events --interval=1s ID",
        "--root /s/ns list --format=json", "--root /s/ns delete ID", "features", "--log-level debug list -q",
        // by hand
        "run -d --keep --preserve-fds 2 -f /config.json -b /b ID",
        "exec -t -e A=1 --cwd / -u 1:2 -g 3 -c CAP_KILL --no-new-privs --apparmor p --process-label l --cgroup g --ignore-paused ID sh -c x",
        "spec --rootless -b /b",
    ])
    func whatCallersPassIsAccepted(line: String) throws { _ = try parsed(line) }

    @Test func optionsHaveTheMeaningThatCallersGiveThem() throws {
        let create = try parsed(
            "--root=/r --log-format=json create --bundle /b --pid-file /p --console-socket /s --no-pivot ID")
        #expect(create.string("root") == "/r" && create.string("log-format") == "json")
        #expect(create.string("bundle") == "/b" && create.string("pid-file") == "/p")
        #expect(create.string("console-socket") == "/s" && create.bool("no-pivot") && !create.bool("no-new-keyring"))
        #expect(create.positional == ["ID"])
        // What follows the id belongs to the program.
        let exec = try parsed("exec -d -u 1 ID ls -u --detach")
        #expect(exec.positional == ["ID", "ls", "-u", "--detach"] && exec.string("user") == "1" && exec.bool("detach"))
        #expect(try parsed("--debug=false state ID").bool("debug") == false)
    }

    @Test(arguments: [
        "checkpoint --image-path /i --work-path /w --leave-running ID",
        "restore --detach --bundle /b --image-path /i --pid-file /p --console-socket /s ID",
    ])
    func checkpointsAreRefused(line: String) throws {
        guard
            case .invocation(let invocation) = try rootCommand().resolve(
                line.split(separator: " ").map(String.init))
        else { return }
        let context = RuntimeContext(commandLine: [], flags: invocation.arguments)
        let error = #expect(throws: RuntimeError.self) { try invocation.run(context) }
        #expect(error?.message.contains("checkpoint and restore are not supported") == true)
    }

    @Test(
        arguments: [
            ("nothing", "unrecognized command"),
            ("create --nothing ID", "--nothing"), ("create", "accepts 1 arg"), ("create a b", "accepts 1 arg"),
            ("--log-format yaml list", "must be text or json"),
            ("--rootless maybe list", "must be auto, true or false"),
            ("--cgroup-manager x list", "must be cgroupfs, systemd or disabled"), ("ps --format x ID", "table or json"),
            ("create --preserve-fds x ID", "preserve-fds"), ("events --interval 0 ID", "positive"),
            ("exec", "at least 1 arg"),
        ] as [(String, String)])
    func whatIsRefusedIsNamed(line: String, words: String) {
        let error = #expect(throws: ArgumentError.self) { try parsed(line) }
        #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
    }
}
