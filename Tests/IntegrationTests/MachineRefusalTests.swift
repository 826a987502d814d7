// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// Machines that lack something: the error names it and the remedy, and nothing half-made stays.
    @Suite struct MachineRefusalTests {
        let samara: Samara

        init() throws {
            samara = try Samara.shared()
        }

        private func expect(
            _ result: CommandResult, stdout: [String], stderr: [String],
            sourceLocation: SourceLocation = #_sourceLocation
        ) {
            #expect(result.status == 0, "the script: \(result)", sourceLocation: sourceLocation)
            for line in stdout {
                #expect(result.lines.contains(line), "no \"\(line)\": \(result)", sourceLocation: sourceLocation)
            }
            for text in stderr {
                #expect(result.stderr.contains(text), "no \"\(text)\": \(result)", sourceLocation: sourceLocation)
            }
        }

        static let identities: [(preparation: String, texts: [String])] = [
            (
                "mount --bind /dev/null /etc/subuid",
                ["no subordinate user ids in /etc/subuid", "usermod --add-subuids"]
            ),
            (
                "mount --bind /dev/null /etc/subgid",
                ["no subordinate group ids in /etc/subgid", "usermod --add-subgids"]
            ),
            ("mount --bind /dev/null \"$(command -v newuidmap)\"", ["newuidmap is not installed", "uidmap"]),
            ("mount --bind /dev/null \"$(command -v newgidmap)\"", ["newgidmap"]),
            // There, newuidmap has no privilege.
            (":", ["newuidmap refused to map"]),
        ]

        @Test(arguments: identities)
        func withoutSubordinateIDs(preparation: String, texts: [String]) throws {
            let home = try samara.folder("lesser")
            // The image is known; only the user namespace is missing.
            let script = """
                mkdir -p "$HOME/root"
                tell load samara load -i "$IMAGES/busybox.tar"
                tell pod samara pod create --name mypod
                tell start samara pod start mypod
                tell remove samara pod rm -f mypod
                tell run samara run --rm --network none --rootfs / true
                tell left test -z "$(samara ps -aq)"
                tell images samara images -q
                tell ps samara ps -aq
                """
            let result = try Machine.withOneID.run(script, after: preparation, home: home, on: samara)
            let isNewgidmap = preparation.contains("newgidmap")
            // newuidmap comes first and is without privilege in this namespace.
            let wanted = isNewgidmap ? ["refused to map"] : texts
            expect(
                result,
                stdout: [
                    "load: 125", "pod: 0", "start: 125", "remove: 0", "run: 126", "left: 0", "images: 0", "ps: 0",
                ],
                stderr: ["Error: "] + wanted)
            #expect(HostProcess.all(titled: "samara: holder").isEmpty)
            let sandboxes = try FileManager.default.contentsOfDirectory(atPath: home + "/run/sandboxes")
            #expect(sandboxes.isEmpty, "\(sandboxes)")
        }

        static let tuns: [(preparation: String, texts: [String])] = [
            ("mount -t tmpfs none /dev/net", ["/dev/net/tun", "--network none"]),
            ("mount --bind /dev/null /dev/net/tun", ["/dev/net/tun"]),
        ]

        @Test(arguments: tuns)
        func withoutTun(preparation: String, texts: [String]) throws {
            let home = try samara.folder("lesser")
            let script = """
                samara load -q -i "$IMAGES/busybox.tar" >/dev/null
                tell run samara run --rm busybox true
                tell pod samara pod create --name mypod -p 127.0.0.1:0:80
                tell pod2 samara pod create --name mypod
                tell member samara run -d --pod mypod busybox sleep 1000
                tell none samara run --rm --network none busybox echo works without
                tell host samara run --rm --network host busybox true
                tell local samara run -d --pod new:local --network none busybox sleep 1000
                samara ps -a --format '{{.Names}} {{.State}}'
                ls "$HOME/run/sandboxes" | wc -l
                samara pod rm -f -a -t 0 >/dev/null; samara rm -f -a -t 0 >/dev/null; samara rmi -a -f >/dev/null
                ps -o args= | grep -c '^samara' || :
                """
            let result = try Machine.withAllIDs.run(script, after: preparation, home: home, on: samara)
            expect(
                result,
                stdout: [
                    "run: 126", "pod: 125", "pod2: 0", "works without", "none: 0", "host: 0", "local: 0",
                    "local-busybox running",
                ],
                stderr: texts)
            #expect(result.lines.contains("member: 125") || result.lines.contains("member: 126"), "\(result)")
            #expect(HostProcess.all(titled: "samara").isEmpty)
        }

        @Test func fullDiskWhileLoading() throws {
            let home = try samara.folder("lesser")
            let script = """
                tell load samara load -i "$IMAGES/nginx.tar"
                tell images samara images -q
                tell small samara load -i "$IMAGES/busybox.tar"
                tell run samara run --rm --network none busybox echo room for this
                samara rmi -a -f >/dev/null
                find "$HOME/root" -type f -not -path '*/base/*' -not -path '*/cache/*' -not -path '*/locks/*'
                """
            let result = try Machine.withAllIDs.run(
                script, after: "mount -t tmpfs -o size=12m none \"$HOME\"", home: home, on: samara)
            expect(
                result, stdout: ["load: 125", "images: 0", "small: 0", "room for this", "run: 0"],
                stderr: ["Error: ", "No space left on device"])
            #expect(result.lines.last == "run: 0", "files stay: \(result)")
        }

        @Test func fullDiskWhileRunning() throws {
            let home = try samara.folder("lesser")
            let script = """
                samara load -i "$IMAGES/busybox.tar" >/dev/null
                samara pod create --name mypod >/dev/null
                samara run -d --pod mypod --name before busybox sleep 1000 >/dev/null
                dd if=/dev/zero of="$HOME/filler" bs=4k >/dev/null 2>&1
                tell full test "$(df --output=avail "$HOME" | tail -n 1)" -eq 0
                tell run samara run --name during --network none busybox true
                tell pod samara pod create --name second
                tell ps samara ps -a --format '{{.Names}}'
                tell exec samara exec before echo alive
                tell remove samara pod rm -f -t 0 mypod
                rm "$HOME/filler"
                tell again samara run --name during --network none busybox echo there is room
                tell again-pod samara pod create --name second
                samara pod rm -f -a -t 0 >/dev/null; samara rm -f -a -t 0 >/dev/null; samara rmi -a -f >/dev/null
                ls "$HOME/root/containers" "$HOME/root/pods" "$HOME/root/names" "$HOME/root/trash" | grep -v ':$' | grep .
                """
            let result = try Machine.withAllIDs.run(
                script, after: "mount -t tmpfs -o size=16m none \"$HOME\"", home: home, on: samara)
            #expect(result.lines.contains("full: 0"), "\(result)")
            expect(
                // grep finds nothing: the script ends with 1.
                CommandResult(status: 0, stdout: result.stdout, stderr: result.stderr, command: result.command),
                stdout: ["ps: 0", "alive", "exec: 0", "remove: 0", "there is room", "again: 0", "again-pod: 0"],
                stderr: ["Error: ", "No space left on device"])
            for name in ["run", "pod"] {
                #expect(result.lines.contains("\(name): 125") || result.lines.contains("\(name): 126"), "\(result)")
            }
            #expect(
                result.lines.last?.hasPrefix("again-pod") == true || result.lines.last?.count == 64,
                "something stays: \(result)")
            #expect(HostProcess.all(titled: "samara").isEmpty)
        }

        @Test func storeThatCannotBeWritten() throws {
            let folder = try samara.folder("closed")
            #expect(chmod(folder, 0o555) == 0)
            defer { chmod(folder, 0o755) }
            let file = samara.home + "/file"
            try touch(file)
            for (flag, path, text) in [
                ("--root", folder + "/store", "Permission denied"), ("--runroot", folder + "/run", "Permission denied"),
                ("--root", file, "Not a directory"), ("--root", "/proc/store", "/proc/store"),
            ] {
                for command in [
                    ["ps"], ["run", "--rm", "busybox", "true"], ["load", "-i", "\(samara.images)/busybox.tar"],
                ] {
                    let folders =
                        flag == "--root"
                        ? [flag, path, "--runroot", samara.runroot] : ["--root", samara.root, flag, path]
                    let result = try runCommand(
                        ["\(samara.executables)/samara"] + folders + command, environment: samara.environment)
                    #expect(result.status == 125, "\(result)")
                    #expect(
                        result.stderr.hasPrefix("Error: ") && result.stderr.contains(text)
                            && result.stderr.contains(path), "\(result)")
                }
            }
        }

        @Test func readOnlyFilesystem() throws {
            let home = try samara.folder("lesser")
            let script = """
                samara load -i "$IMAGES/busybox.tar" >/dev/null
                mount --bind "$HOME/root" "$HOME/root"
                mount -o remount,bind,ro "$HOME/root"
                tell ps samara ps -a
                tell images samara images -q
                tell run samara run --rm --network none busybox true
                tell pod samara pod create
                tell load samara load -i "$IMAGES/redis.tar"
                umount "$HOME/root"
                tell after samara run --rm --network none busybox echo writable
                samara rm -f -a >/dev/null; samara rmi -a -f >/dev/null
                """
            let result = try Machine.withAllIDs.run(script, after: ":", home: home, on: samara)
            expect(
                result, stdout: ["ps: 0", "images: 0", "run: 125", "pod: 125", "load: 125", "writable", "after: 0"],
                stderr: ["Error: ", "Read-only file system"])
        }

        @Test func runFolderOfSomebodyElse() throws {
            let result = try runCommand(
                ["\(samara.executables)/samara", "--root", samara.root, "--runroot", "/tmp", "ps"],
                environment: samara.environment)
            #expect(
                result.status == 125 && result.stderr.hasPrefix("Error: ") && result.stderr.contains("/tmp"),
                "\(result)")
        }
    }
}
