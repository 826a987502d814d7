// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// Attacks on `samara-runtime` by what an image has where mounts, devices, masks and the terminal go.
    @Suite struct RuntimeImages {
        /// CVE-2021-30465 and its successors: destinations that are links.
        @Test(arguments: ["", "../../../../../..", "/proc/self/root", "/proc/1/root"])
        func linksInTheImageDoNotMoveMounts(prefix: String) throws {
            let bundle = try RuntimeBundle()
            let outside = bundle.folder + "/outside"
            try FileManager.default.createDirectory(atPath: outside, withIntermediateDirectories: true)
            try FileManager.default.createSymbolicLink(
                atPath: bundle.rootfs + "/link", withDestinationPath: prefix + outside)
            bundle.addMount(["destination": "/link/made", "type": "tmpfs", "source": "tmpfs"])
            bundle.setProcess("args", ["true"])
            // Whether it fails or stays inside: nothing may appear outside.
            _ = try bundle.run("run", "c")
            #expect(try FileManager.default.contentsOfDirectory(atPath: outside).isEmpty)
        }

        /// Exchanges two names in a directory of the host again and again, as a container with the same volume could.
        /// Returns when it does.
        private static func racer(_ one: String, _ other: String, _ bundle: RuntimeBundle) throws -> BackgroundCommand {
            let script = """
                import ctypes,sys
                libc=ctypes.CDLL(None)
                one,other=[name.encode() for name in sys.argv[1:]]
                print('racing',flush=True)
                while True: libc.renameat2(-100,one,-100,other,2)
                """
            let racer = try BackgroundCommand(
                ["/usr/bin/python3", "-c", script, one, other], environment: bundle.environment)
            eventually("the racer runs") { racer.stdout.hasPrefix("racing") }
            return racer
        }

        /// Destinations that become links meanwhile: first those that exist, then those that are made.
        @Test func aRacerDoesNotMoveMounts() throws {
            let bundle = try RuntimeBundle()
            let files = FileManager.default
            let outside = bundle.folder + "/outside"
            // The link's target exists inside of the root as well, so that both of its states can be mounted on.
            for folder in [outside, bundle.rootfs + outside, bundle.rootfs + "/v/d"] {
                try files.createDirectory(atPath: "\(folder)/there", withIntermediateDirectories: true)
            }
            try files.createSymbolicLink(atPath: bundle.rootfs + "/v/l", withDestinationPath: outside)
            // What is mounted shows in the container's mount namespace while the host's paths still work.
            let script = "while read -r line; do echo \"$line\"; done </proc/self/mountinfo >>'\(bundle.folder)/mounts'"
            bundle.config["hooks"] = ["createContainer": [["path": "/bin/sh", "args": ["sh", "-c", script]]]]
            bundle.setProcess("args", ["true"])
            let mounts = bundle.config["mounts"]
            let racer = try Self.racer(bundle.rootfs + "/v/d", bundle.rootfs + "/v/l", bundle)
            defer { racer.killNow() }
            for run in 0..<20 {
                bundle.config["mounts"] = mounts
                for number in 0..<10 {
                    let name = run < 10 ? "there" : "\(run)-\(number)"
                    bundle.addMount(["destination": "/v/d/\(name)", "type": "tmpfs", "source": "tmpfs"])
                }
                _ = try bundle.run("run", "c")
            }
            #expect(try files.contentsOfDirectory(atPath: outside) == ["there"])
            let seen = try String(contentsOfFile: bundle.folder + "/mounts", encoding: .utf8)
            #expect(
                seen.contains(" \(bundle.rootfs)/v/d/there ") || seen.contains(" \(bundle.rootfs)\(outside)/there "))
            #expect(!seen.contains(" \(outside)/"))
        }

        /// The same for the directory of the devices, in an image without a filesystem of its own on it.
        @Test func aRacerDoesNotMoveDevices() throws {
            let bundle = try RuntimeBundle()
            bundle.removeMounts("/dev")
            let outside = bundle.folder + "/outside"
            for folder in [outside, bundle.rootfs + "/dev"] {
                try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            }
            try FileManager.default.createSymbolicLink(atPath: bundle.rootfs + "/l", withDestinationPath: outside)
            bundle.setProcess("args", ["true"])
            let racer = try Self.racer(bundle.rootfs + "/dev", bundle.rootfs + "/l", bundle)
            defer { racer.killNow() }
            for _ in 0..<20 { _ = try bundle.run("run", "c") }
            #expect(try FileManager.default.contentsOfDirectory(atPath: outside).isEmpty)
        }

        /// CVE-2026-41579, CVE-2023-28642, CVE-2025-31133: what the runtime itself relies on is a link of the image.
        @Test(arguments: [
            ("dev", "/elsewhere", true), ("dev", "/elsewhere", false), ("dev", "../../..", false),
            ("dev", "/etc", false),
            ("proc", "/elsewhere", true), ("proc", "../../..", true),
        ])
        func aLinkInPlaceOfASpecialDirectoryIsRefused(name: String, target: String, isMounted: Bool) throws {
            let bundle = try RuntimeBundle()
            if !isMounted { bundle.removeMounts("/dev") }
            try FileManager.default.createDirectory(
                atPath: bundle.rootfs + "/elsewhere", withIntermediateDirectories: true)
            try? FileManager.default.removeItem(atPath: bundle.rootfs + "/" + name)
            try FileManager.default.createSymbolicLink(
                atPath: bundle.rootfs + "/" + name, withDestinationPath: target)
            bundle.setProcess("args", ["true"])
            let result = try bundle.run("run", "c")
            #expect(result.status != 0, "\(result)")
            #expect(result.stderr.contains("/" + name) && result.stderr.contains("Not a directory"), "\(result)")
            #expect(!FileManager.default.fileExists(atPath: bundle.rootfs + "/null"))
        }

        /// CVE-2025-52881: what the runtime writes to /proc goes to a procfs, whatever the image has there.
        @Test func kernelParametersAreNotWrittenToTheImage() throws {
            let bundle = try RuntimeBundle()
            bundle.removeMounts("/proc")
            for list in ["maskedPaths", "readonlyPaths"] { bundle.setLinux(list, [String]()) }
            bundle.setNamespaces("pid", "mount", "uts", "ipc", "user", "network")
            let folder = bundle.rootfs + "/proc/sys/net/ipv4"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try "untouched".write(toFile: bundle.rootfs + "/victim", atomically: true, encoding: .utf8)
            try FileManager.default.createSymbolicLink(
                atPath: folder + "/ip_default_ttl", withDestinationPath: "/victim")
            bundle.addMount(["destination": "/real", "type": "proc", "source": "proc"])
            bundle.setLinux("sysctl", ["net.ipv4.ip_default_ttl": "77"])
            bundle.shell("cat /victim; echo; cat /real/sys/net/ipv4/ip_default_ttl")
            #expect(try bundle.succeed("run", "c") == "untouched\n77")
        }

        /// CVE-2019-16884: the destination is a link of the image to what must not be covered.
        @Test(arguments: ["/proc", "/proc/sys/kernel", "proc/self/attr"])
        func aLinkDoesNotCoverProc(target: String) throws {
            let bundle = try RuntimeBundle()
            try FileManager.default.createSymbolicLink(
                atPath: bundle.rootfs + "/link", withDestinationPath: target)
            bundle.addMount(["destination": "/link", "type": "tmpfs", "source": "tmpfs"])
            bundle.shell("echo reached")
            let result = try bundle.run("run", "c")
            #expect(result.status != 0 && result.stdout.isEmpty, "\(result)")
            #expect(result.stderr.contains("/link"), "\(result)")
        }

        /// CVE-2025-52565: the terminal is bound on what the image has as /dev/console.
        @Test func aLinkAsConsoleIsRefused() throws {
            let bundle = try RuntimeBundle()
            bundle.removeMounts("/dev")
            bundle.addMount([
                "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance"],
            ])
            try FileManager.default.createDirectory(atPath: bundle.rootfs + "/dev", withIntermediateDirectories: true)
            try FileManager.default.createSymbolicLink(
                atPath: bundle.rootfs + "/dev/console", withDestinationPath: "/etc/passwd")
            bundle.setProcess("terminal", true)
            bundle.shell("echo reached")
            let result = try bundle.run("run", "c")
            #expect(result.status != 0 && !result.stdout.contains("reached"), "\(result)")
            #expect(result.stderr.contains("terminal"), "\(result)")
        }

        /// The same with names of terminals: the terminal is what the multiplexer's descriptor says.
        @Test func theNameOfATerminalIsNotUsed() throws {
            let bundle = try RuntimeBundle()
            bundle.removeMounts("/dev")
            bundle.addMount(["destination": "/real", "type": "devpts", "source": "devpts", "options": ["newinstance"]])
            let terminals = bundle.rootfs + "/dev/pts"
            try FileManager.default.createDirectory(atPath: terminals, withIntermediateDirectories: true)
            try "untouched".write(toFile: bundle.rootfs + "/victim", atomically: true, encoding: .utf8)
            for (name, target) in [("ptmx", "/real/ptmx"), ("0", "/victim")] {
                try FileManager.default.createSymbolicLink(
                    atPath: "\(terminals)/\(name)", withDestinationPath: target)
            }
            bundle.setProcess("terminal", true)
            bundle.shell("[ -t 1 ] && cat /victim && [ -c /dev/console ] && echo ' console'")
            let result = try bundle.run("run", "c")
            #expect(result.status == 0 && result.text == "untouched console", "\(result)")
        }

        @Test func theImagesNullDeviceIsNotUsed() throws {
            let bundle = try RuntimeBundle()
            bundle.removeMounts("/dev")
            try FileManager.default.createDirectory(atPath: bundle.rootfs + "/dev", withIntermediateDirectories: true)
            try FileManager.default.createSymbolicLink(
                atPath: bundle.rootfs + "/dev/null", withDestinationPath: "/etc/passwd")
            bundle.setProcess("args", ["true"])
            let result = try bundle.run("run", "c")
            #expect(result.status != 0 && result.stderr.contains("/dev/null"), "\(result)")
        }

        /// CVE-2025-31133: files are masked with the host's null device, not with what the container has by that name.
        @Test func theContainersNullDeviceMasksNothing() throws {
            let bundle = try RuntimeBundle()
            bundle.removeMounts("/dev")
            let devices = bundle.folder + "/dev"
            try FileManager.default.createDirectory(atPath: devices, withIntermediateDirectories: true)
            for file in [devices + "/null", bundle.rootfs + "/secret"] {
                try "secret".write(toFile: file, atomically: true, encoding: .utf8)
            }
            bundle.addMount(["destination": "/dev", "type": "bind", "source": devices, "options": ["rbind"]])
            bundle.setLinux("maskedPaths", ["/secret"])
            bundle.setProcess("args", ["stat", "-c", "%F %t:%T", "/secret"])
            #expect(try bundle.succeed("run", "c") == "character special file 1:3")
            // And where the host's is something else, nothing is masked with it.
            let result = try bundle.runNested(after: "mount --bind '\(devices)/null' /dev/null", "run", "c")
            #expect(result.status != 0 && result.stderr.contains("open `/dev/null`"), "\(result)")
        }
    }
}
