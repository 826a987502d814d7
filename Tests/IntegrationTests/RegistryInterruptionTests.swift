// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// A real registry and real images; processes end at bad moments.
    @Suite struct RegistryInterruptionTests {
        /// The process of samara-image that a `samara pull` waits for.
        private func tool(of child: ChildProcess) -> pid_t? {
            let children = try? String(
                contentsOfFile: "/proc/\(child.pid)/task/\(child.pid)/children", encoding: .utf8)
            return children?.split(separator: " ").compactMap { pid_t($0) }.first
        }

        private func incoming(_ samara: Samara) -> [String] {
            let work = (try? FileManager.default.contentsOfDirectory(atPath: samara.root + "/tmp")) ?? []
            return work.flatMap { name in
                let folder = "\(samara.root)/tmp/\(name)/blobs"
                return ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [])
                    .filter { $0.hasPrefix("incoming-") }.map { folder + "/" + $0 }
            }
        }

        /// Content of the store and of work that ended too early, by digest.
        private func wholeBlobs(_ samara: Samara) -> Set<String> {
            let files = FileManager.default
            let work = (try? files.contentsOfDirectory(atPath: samara.root + "/tmp")) ?? []
            let folders = ["blobs/sha256"] + work.map { "tmp/\($0)/blobs" }
            return Set(
                folders.flatMap { (try? files.contentsOfDirectory(atPath: "\(samara.root)/\($0)")) ?? [] }
                    .filter { $0.count == 64 })
        }

        /// The registry is killed while a blob is on its way and started again: the pull goes on where it was.
        @Test func registryRestartedDuringAPull() throws {
            let registry = try Registry()
            defer { registry.destroy() }
            let samara = try Samara.fresh()
            try samara.succeed("load", "-i", "\(samara.images)/redis.tar", timeout: .seconds(60))
            let name = "\(registry.host)/restarted:1"
            try samara.succeed("push", "-q", "redis", name, timeout: .seconds(60))
            let digest = try samara.succeed("image", "inspect", "--format", "{{.Digest}}", "redis")
            try samara.succeed("rmi", "--all", "--force")

            let child = try ChildProcess(
                samara.command(["pull", "--retry-delay", "200ms", name]), environment: samara.environment)
            var stopped: pid_t?
            // Stopped in its middle: otherwise it could be over before the registry is.
            eventually("a blob is on its way") {
                guard let pid = tool(of: child), !incoming(samara).isEmpty else { return child.ended() != nil }
                kill(pid, SIGSTOP)
                stopped = pid
                return true
            }
            let pid = try #require(stopped, "the pull ended before it was stopped")
            registry.end()
            try registry.start()
            kill(pid, SIGCONT)
            var status: Int32?
            eventually("the pull ends", within: .seconds(60)) {
                status = child.ended()
                return status != nil
            }
            #expect(status == 0)
            #expect(try samara.succeed("image", "inspect", "--format", "{{.Digest}}", name) == digest)
            #expect(try samara.run("system", "check", timeout: .seconds(60)).status == 0)
            try samara.destroy()
        }

        /// Eight pulls of images that share layers, killed at random moments: what is in the store is sound, and the
        /// next pulls complete.
        @Test func parallelPullsAreKilled() throws {
            let seed = UInt64.random(in: .min ... .max)
            print("parallelPullsAreKilled: seed \(seed)")
            var random = Splits(state: seed)
            let registry = try Registry()
            defer { registry.destroy() }
            let samara = try Samara.fresh()
            let images = ["busybox", "nginx", "redis"]
            for image in images {
                try samara.succeed("load", "-i", "\(samara.images)/\(image).tar", timeout: .seconds(60))
                try samara.succeed("push", "-q", image, "\(registry.host)/\(image):1", timeout: .seconds(60))
            }
            try samara.succeed("rmi", "--all", "--force")
            #expect(samara.storeContents.isEmpty, "\(samara.storeContents)")

            for _ in 0..<3 {
                let children = try (0..<8).map { index in
                    try ChildProcess(
                        samara.command(["pull", "-q", "\(registry.host)/\(images[index % images.count]):1"]),
                        environment: samara.environment)
                }
                for child in children.shuffled(using: &random) {
                    usleep(UInt32.random(in: 0...120_000, using: &random))
                    guard Int.random(in: 0..<4, using: &random) > 0 else { continue }
                    if let pid = tool(of: child) { kill(pid, SIGKILL) }
                    kill(child.pid, SIGKILL)
                }
                for child in children {
                    eventually("a pull ends", within: .seconds(60)) { child.ended() != nil }
                }
                let check = try samara.run("system", "check", timeout: .seconds(60))
                #expect(check.status == 0, "seed \(seed): \(check)")
            }
            // What the killed pulls had whole is used: it is not fetched again.
            let kept = wholeBlobs(samara)
            print("parallelPullsAreKilled: \(kept.count) blobs are whole")
            var fetched: Set<String> = []
            for image in images {
                let pull = try samara.run("pull", "\(registry.host)/\(image):1", timeout: .seconds(60))
                #expect(pull.status == 0, "seed \(seed): \(pull)")
                for line in pull.stderr.split(separator: "\n")
                where line.hasPrefix("Copying blob") && !line.hasSuffix("already exists") {
                    fetched.insert(String(line.dropFirst("Copying blob sha256:".count)))
                }
            }
            #expect(fetched.isDisjoint(with: kept), "seed \(seed): \(fetched.intersection(kept))")
            let check = try samara.run("system", "check", timeout: .seconds(60))
            #expect(check.status == 0 && check.stdout.isEmpty, "seed \(seed): \(check)")
            #expect(try samara.succeed("run", "--rm", "\(registry.host)/redis:1", "redis-cli", "--version") != "")
            try samara.succeed("rmi", "--all", "--force")
            #expect(samara.storeContents.isEmpty, "seed \(seed): \(samara.storeContents)")
            try samara.destroy()
        }

        private struct Splits: RandomNumberGenerator {
            var state: UInt64
            /// SplitMix64.
            mutating func next() -> UInt64 {
                state &+= 0x9e37_79b9_7f4a_7c15
                var value = state
                value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
                value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
                return value ^ (value >> 31)
            }
        }
    }
}
