// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// Parts of config.json that engines use only for some containers.
    @Suite struct RuntimeFeatures {
        /// An agent that answers every notified call with the errno 19 and prints the state it was handed.
        private static let agent = """
            import array, ctypes, fcntl, json, os, socket, struct, sys
            server = socket.socket(socket.AF_UNIX); server.bind(sys.argv[1]); server.listen(1)
            print('listening', flush=True)
            peer, _ = server.accept()
            text, control, _, _ = peer.recvmsg(1 << 16, socket.CMSG_SPACE(4))
            fd = array.array('i', control[0][2])[0]
            state = json.loads(text)
            print(state['fds'][0], state['metadata'], state['state']['id'], state['pid'] > 1, flush=True)
            while True:
                notification = bytearray(80)
                try: fcntl.ioctl(fd, 0xc0502100, notification)
                except OSError: break
                answer = bytearray(struct.pack('QqiI', struct.unpack_from('Q', notification)[0], 0, -19, 0))
                try: fcntl.ioctl(fd, 0xc0182101, answer)
                except OSError: break
            """

        @Test func aSeccompAgentDecidesAboutCalls() throws {
            let bundle = try RuntimeBundle()
            let socket = bundle.folder + "/agent"
            let agent = try BackgroundCommand(
                ["/usr/bin/python3", "-c", Self.agent, socket], environment: bundle.environment)
            eventually("the agent listens") { FileManager.default.fileExists(atPath: socket) }
            bundle.setLinux(
                "seccomp",
                [
                    "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": socket, "listenerMetadata": "from-the-test",
                    "syscalls": [["names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"]],
                ])
            bundle.shell("mkdir /tmp/x 2>&1 | grep -o 'No such device'")
            #expect(try bundle.succeed("run", "c") == "No such device")
            eventually("the agent has printed the state") {
                agent.stdout.contains("seccompFd from-the-test c True")
            }
        }

        @Test func unknownNamesAreErrors() throws {
            let bundle = try RuntimeBundle()
            bundle.shell("true")
            bundle.setProcess("capabilities", ["bounding": ["CAP_NOTHING"]])
            #expect(try bundle.run("run", "c").stderr.contains("`CAP_NOTHING` is not a capability"))
            bundle.setProcess("capabilities", [String: [String]]())
            bundle.setLinux(
                "seccomp",
                ["defaultAction": "SCMP_ACT_ERRNO", "syscalls": [["names": ["nothing"], "action": "SCMP_ACT_ALLOW"]]])
            #expect(try bundle.run("run", "c").stderr.contains("`nothing` is not a system call"))
            bundle.setLinux("seccomp", NSNull())
            bundle.addMount([
                "destination": "/mapped", "type": "bind", "source": bundle.rootfs, "options": ["rbind", "idmap"],
            ])
            #expect(try bundle.run("run", "c").stderr.contains("id-map `\(bundle.rootfs)`"))
        }

        /// The range of /etc/subuid, written by newuidmap and newgidmap while the container makes its namespaces.
        @Test func aRangeOfIDsIsMapped() throws {
            let bundle = try RuntimeBundle()
            try bundle.mapSubordinateIDs()
            bundle.setProcess("user", ["uid": 7, "gid": 8, "additionalGids": [9]])
            bundle.shell("id -u; id -g; id -G")
            #expect(try bundle.succeed("run", "c") == "7\n8\n8 9")
        }

        /// Owners of a bind mount by the mount's own map and by the container's: a filesystem that root of this namespace
        /// has mounted, because the kernel asks for privilege over it.
        @Test(arguments: [false, true]) func ownersOfAMountAreMapped(byTheContainersMap: Bool) throws {
            let bundle = try RuntimeBundle()
            let source = bundle.folder + "/t"
            try FileManager.default.createDirectory(atPath: source, withIntermediateDirectories: true)
            func map(_ pairs: [(Int, Int, Int)]) -> [[String: Int]] {
                pairs.map { ["containerID": $0.0, "hostID": $0.1, "size": $0.2] }
            }
            var mount: [String: Any] = ["destination": "/mapped", "type": "bind", "source": source]
            let own = map([(0, 0, 1), (1, 101, 50)])
            if byTheContainersMap {
                mount["options"] = ["rbind", "idmap"]
            } else {
                mount["options"] = ["rbind"]
                mount["uidMappings"] = map([(5, 9, 1)])
                mount["gidMappings"] = map([(6, 10, 1)])
                bundle.setNamespaces("pid", "mount", "uts", "ipc")
            }
            bundle.setLinux("uidMappings", byTheContainersMap ? own : NSNull())
            bundle.setLinux("gidMappings", byTheContainersMap ? own : NSNull())
            bundle.addMount(mount)
            bundle.addMount(["destination": "/plain", "type": "bind", "source": source, "options": ["rbind"]])
            bundle.setProcess("args", ["stat", "-c", "%u:%g", "/mapped/file", "/plain/file"])
            let preparation = "mount -t tmpfs tmpfs '\(source)'; : >'\(source)/file'; chown 5:6 '\(source)/file'"
            let result = try bundle.runNested(after: preparation, "run", "c")
            #expect(result.lines == (byTheContainersMap ? ["5:6", "65534:65534"] : ["9:10", "5:6"]), "\(result)")
        }

        /// Devices of the host that engines pass on as a whole.
        @Test func theHostsTerminalMultiplexerIsNotPassedOn() throws {
            let bundle = try RuntimeBundle()
            bundle.setLinux(
                "devices",
                [
                    ["path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2],
                    ["path": "/dev/sub/null", "type": "c", "major": 1, "minor": 3],
                ])
            bundle.shell("readlink /dev/ptmx; echo x >/dev/sub/null && echo written")
            #expect(try bundle.succeed("run", "c") == "pts/ptmx\nwritten")
        }

        @Test func aRunThatIsKilledBeforeTheStartLeavesNoProcess() throws {
            let bundle = try RuntimeBundle()
            bundle.setProcess("args", ["sleep", "1000"])
            bundle.config["hooks"] = ["startContainer": [["path": "/bin/sleep", "args": ["sleep", "1000"]]]]
            try bundle.save()
            let child = try ChildProcess(
                [bundle.program, "--root", bundle.folder + "/state", "run", "-b", bundle.folder, "c"],
                environment: bundle.environment)
            try eventually("the container is there") { try bundle.run("state", "c").status == 0 }
            let pid = try bundle.succeed("ps", "--format", "json", "c")
            #expect(pid.hasPrefix("["))
            child.killAndReap()
            #expect(try bundle.run("delete", "--force", "c").status == 0)
            #expect(try bundle.run("state", "c").status != 0)
        }
    }
}
