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

        /// The folders of work in progress and of work that ended too early.
        private func work(_ samara: Samara) -> [String] {
            ((try? FileManager.default.contentsOfDirectory(atPath: samara.root + "/tmp")) ?? [])
                .map { "\(samara.root)/tmp/\($0)" }
        }

        private func incoming(_ samara: Samara) -> [String] {
            work(samara).flatMap { folder in
                ((try? FileManager.default.contentsOfDirectory(atPath: folder + "/blobs")) ?? [])
                    .filter { $0.hasPrefix("incoming-") }.map { "\(folder)/blobs/\($0)" }
            }
        }

        /// True if nobody holds the lock of a folder of work.
        private func isAbandoned(_ folder: String) -> Bool {
            let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            guard descriptor >= 0 else { return true }
            defer { close(descriptor) }
            return flock(descriptor, LOCK_EX | LOCK_NB) == 0
        }

        /// Pulls an image; what had to be fetched for it, by digest.
        private func fetchedBlobs(_ samara: Samara, _ name: String, _ comment: Comment? = nil) throws -> Set<String> {
            let pull = try samara.run("pull", name, timeout: .seconds(60))
            #expect(pull.status == 0, "\(comment.map { "\($0): " } ?? "")\(pull)")
            return Set(
                pull.stderr.split(separator: "\n")
                    .filter { $0.hasPrefix("Copying blob") && !$0.hasSuffix("already exists") }
                    .map { String($0.dropFirst("Copying blob sha256:".count)) })
        }

        /// Content of the store and of work that ended too early, by digest.
        private func wholeBlobs(_ samara: Samara) -> Set<String> {
            let folders = [samara.root + "/blobs/sha256"] + work(samara).map { $0 + "/blobs" }
            return Set(
                folders.flatMap { (try? FileManager.default.contentsOfDirectory(atPath: $0)) ?? [] }
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

        /// A pull that is killed in its commit has moved its blobs and not written what refers to them: the next pull of the
        /// image uses them, one of another image frees their space.
        @Test func killedInTheCommit() throws {
            let registry = try Registry()
            defer { registry.destroy() }
            let samara = try Samara.fresh()
            for image in ["busybox", "redis"] {
                try samara.succeed("load", "-i", "\(samara.images)/\(image).tar", timeout: .seconds(60))
                try samara.succeed("push", "-q", image, "\(registry.host)/\(image):1", timeout: .seconds(60))
            }
            try samara.succeed("rmi", "--all", "--force")
            func killInCommit() throws {
                for folder in ["images", "tags"] {
                    for name in try FileManager.default.contentsOfDirectory(atPath: "\(samara.root)/\(folder)") {
                        try FileManager.default.removeItem(atPath: "\(samara.root)/\(folder)/\(name)")
                    }
                }
            }
            #expect(try !fetchedBlobs(samara, "\(registry.host)/redis:1").isEmpty)
            try killInCommit()
            #expect(try fetchedBlobs(samara, "\(registry.host)/redis:1").isEmpty)
            #expect(try samara.succeed("run", "--rm", "\(registry.host)/redis:1", "redis-cli", "--version") != "")
            let whole = samara.storeContents
            try killInCommit()
            #expect(try !fetchedBlobs(samara, "\(registry.host)/busybox:1").isEmpty)
            #expect(samara.storeContents.count < whole.count, "\(samara.storeContents)")
            try samara.succeed("rmi", "--all", "--force")
            #expect(samara.storeContents.isEmpty)
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
            // A tool that started between the look at its parent and the parent's end is still at work.
            eventually("nothing is at work", within: .seconds(60)) { work(samara).allSatisfy(isAbandoned) }
            for image in images {
                // What killed pulls had whole is used by the next that needs it. What that does not need is gone then.
                let kept = wholeBlobs(samara)
                let fetched = try fetchedBlobs(samara, "\(registry.host)/\(image):1", "seed \(seed)")
                print("parallelPullsAreKilled: \(image): \(kept.count) blobs are whole, \(fetched.count) are fetched")
                #expect(fetched.isDisjoint(with: kept), "seed \(seed): \(image): \(fetched.intersection(kept))")
            }
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
