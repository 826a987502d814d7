// SPDX-License-Identifier: Apache-2.0
import FaultyServer
import Foundation
import Testing

extension Integration {
    /// What a pull needs in memory does not depend on how large a layer is.
    @Suite struct TransferMemoryTests {
        /// Bytes that all processes of a pull may have at their peaks, added up.
        private static let limit = 64 << 20

        /// Incompressible content larger than the limit, and content that is no larger before it is unpacked.
        enum Content: String, CaseIterable {
            case random = "head -c 72M /dev/urandom >big; tar -cf layer big; sha256sum <layer"
            case gzip = "seq 10000000 >big; tar -cf - big | tee tar | gzip -1 >layer; sha256sum <tar"

            var mediaType: String {
                "application/vnd.oci.image.layer.v1.tar" + (self == .random ? "" : "+\(self)")
            }
        }

        private func peak(_ pid: pid_t) -> Int {
            let status = (try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)) ?? ""
            let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
            return (line.flatMap { Int($0.filter(\.isNumber)) } ?? 0) << 10
        }

        /// What the command has started for the pull; the user namespace's holder is its child as well.
        private func tools(of pid: pid_t) -> [pid_t] {
            let text = try? String(contentsOfFile: "/proc/\(pid)/task/\(pid)/children", encoding: .utf8)
            return (text ?? "").split(separator: " ").compactMap { pid_t($0) }.filter {
                (try? String(contentsOfFile: "/proc/\($0)/comm", encoding: .utf8)) == "samara-image\n"
            }
        }

        @Test(arguments: Content.allCases)
        func largeLayers(_ content: Content) throws {
            let samara = try Samara.fresh()
            let made = try runCommand(
                ["/bin/sh", "-euc", "cd \"$0\"; \(content.rawValue)", samara.home],
                environment: ["PATH": "/usr/bin:/bin"], timeout: .seconds(60))
            try #require(made.status == 0, "\(made)")
            let blob = try Array(Data(contentsOf: URL(fileURLWithPath: samara.home + "/layer")))
            let image = try ServedImage(layers: [(content.mediaType, blob, "sha256:" + made.stdout.prefix(64))])
            // The last bytes do not come: by then all the others have been unpacked, and nothing has ended yet.
            let server = try FaultyServer { request in
                var reply = image.reply(request)
                if request.path.hasSuffix(image.layers[0]) { reply.stallAfter = blob.count - 64 }
                return reply
            }
            defer { server.stop() }
            let child = try ChildProcess(
                samara.command(["pull", "-q", "\(server.host)/large:1"]), environment: samara.environment)
            var sum = 0
            eventually("nearly all is there", within: .seconds(30)) {
                let folder = samara.root + "/tmp"
                let work = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
                return work.contains { name in
                    let path = "\(folder)/\(name)/blobs/incoming-\(image.layers[0].dropFirst(7))"
                    let size = (try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0
                    return size > blob.count - (600 << 10)
                }
            }
            let tools = tools(of: child.pid)
            #expect(tools.count == 1)
            // What was read last is still being written.
            eventually("the processes wait for the last bytes") {
                let before = ([child.pid] + tools).map(cpuTime)
                usleep(30_000)
                return before == ([child.pid] + tools).map(cpuTime)
            }
            sum = peak(child.pid) + tools.reduce(0) { $0 + peak($1) }
            print("\(content): \(sum >> 10) KiB at the peak")
            #expect(sum > 1 << 20 && sum < Self.limit, "\(sum) bytes")
            for pid in tools { kill(pid, SIGKILL) }
            child.killAndReap()
            try samara.destroy()
        }

        /// Clock ticks of a process: proc_pid_stat(5), utime and stime.
        private func cpuTime(_ pid: pid_t) -> Int {
            let text = (try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)) ?? ""
            let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
            return fields.count > 12 ? (Int(fields[11]) ?? 0) + (Int(fields[12]) ?? 0) : 0
        }
    }
}
