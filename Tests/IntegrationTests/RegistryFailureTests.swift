// SPDX-License-Identifier: Apache-2.0
import FaultyServer
import Foundation
import Synchronization
import Testing

extension Integration {
    /// Pulls that fail: one sentence, status 125, and a store in which nothing changed.
    @Suite struct RegistryFailureTests {
        typealias Reply = FaultyServer.Reply
        typealias Request = FaultyServer.Request

        /// A failing pull of an image with two layers.
        private func pull(
            expecting words: [String], arguments: [String] = ["--retry", "1", "--retry-delay", "10ms"],
            image: ServedImage? = nil, sourceLocation: SourceLocation = #_sourceLocation,
            _ respond: @escaping @Sendable (Request, ServedImage) -> Reply
        ) throws {
            let image = try image ?? ServedImage([[UInt8](repeating: 7, count: 400_000), Array("two".utf8)])
            let server = try FaultyServer { respond($0, image) }
            defer { server.stop() }
            let samara = try Samara.shared()
            let before = samara.storeContents
            let result = try samara.run(["pull"] + arguments + ["\(server.host)/app:1"])
            #expect(result.status == 125, "\(result)", sourceLocation: sourceLocation)
            #expect(result.stdout.isEmpty, "\(result)", sourceLocation: sourceLocation)
            let lines = result.stderr.split(separator: "\n").filter { $0.hasPrefix("Error: ") }
            #expect(lines.count == 1, "\(result)", sourceLocation: sourceLocation)
            for word in words {
                #expect(lines.first?.contains(word) == true, "\(result)", sourceLocation: sourceLocation)
            }
            #expect(samara.storeContents == before, "\(result)", sourceLocation: sourceLocation)
        }

        @Test func notThere() throws {
            try pull(expecting: ["does not have the manifest of", "404 Not Found: manifest unknown"]) { request, _ in
                request.path == "/v2/" ? Reply(200) : .notFound
            }
        }

        @Test func forbidden() throws {
            try pull(expecting: ["denies access to the manifest", "403"]) { request, _ in
                request.path == "/v2/" ? Reply(200) : Reply(403)
            }
        }

        @Test func limited() throws {
            try pull(expecting: ["limits the rate of requests", "429", "tried 2 times"]) { request, image in
                request.path.contains("/blobs/") ? Reply(429) : image.reply(request)
            }
        }

        @Test func failing() throws {
            try pull(expecting: ["500 Internal Server Error", "tried 2 times"]) { request, image in
                request.path.contains("/blobs/") ? Reply(500) : image.reply(request)
            }
        }

        @Test func redirectsInACircle() throws {
            try pull(expecting: ["in a circle"]) { request, image in
                request.path.contains("/blobs/")
                    ? Reply(302, headers: [("Location", request.path)]) : image.reply(request)
            }
        }

        @Test func wrongContent() throws {
            try pull(expecting: ["arrived with the digest", "nothing of it is used"]) { request, image in
                var reply = image.reply(request)
                if request.path.hasSuffix(image.layers[0]) { reply.body[100_000] ^= 1 }
                return reply
            }
        }

        @Test func wrongManifest() throws {
            let image = try ServedImage([])
            let server = try FaultyServer { request in
                var reply = image.reply(request)
                if request.path.contains("manifests") { reply.body.append(32) }
                return reply
            }
            defer { server.stop() }
            let result = try Samara.shared().run("pull", "\(server.host)/app@\(image.manifestDigest)")
            #expect(result.status == 125 && result.stderr.contains("arrived with the digest"), "\(result)")
        }

        @Test func alwaysCut() throws {
            try pull(expecting: ["for the blob", "tried 2 times"]) { request, image in
                var reply = image.reply(request)
                if request.path.hasSuffix(image.layers[0]) { reply.cutAfter = 0 }
                return reply
            }
        }

        @Test func schemaOne() throws {
            try pull(expecting: ["Docker's schema 1", "push the image again"]) { request, image in
                if !request.path.contains("manifests") { return image.reply(request) }
                return Reply(
                    200, headers: [("Content-Type", "application/vnd.docker.distribution.manifest.v1+prettyjws")],
                    body: Array(#"{"schemaVersion":1,"name":"app","fsLayers":[]}"#.utf8))
            }
        }

        @Test func notAnImage() throws {
            try pull(expecting: ["the manifest of"]) { request, image in
                request.path.contains("manifests") ? Reply(200, body: Array("<html>".utf8)) : image.reply(request)
            }
        }

        /// The first connection of the blob ends in its middle: the pull succeeds and asks for the rest only.
        @Test func cutOnce() throws {
            let image = try ServedImage([[UInt8](repeating: 9, count: 700_000)])
            let isCut = Mutex(false)
            let server = try FaultyServer { request in
                var reply = image.reply(request)
                guard request.path.hasSuffix(image.layers[0]) else { return reply }
                let isFirst = isCut.withLock { value in
                    defer { value = true }
                    return !value
                }
                if isFirst { reply.cutAfter = 300_000 }
                return reply
            }
            defer { server.stop() }
            let samara = try Samara.shared()
            let result = try samara.run("pull", "--retry-delay", "10ms", "\(server.host)/cut:1")
            #expect(result.status == 0, "\(result)")
            let asked = server.requests.filter { $0.path.hasSuffix(image.layers[0]) }
            #expect(asked.map { $0.headers["range"] } == [nil, "bytes=300000-"])
            try samara.succeed("rmi", "\(server.host)/cut:1")
        }

        /// A pull that is killed leaves nothing that is used, and the next one works.
        @Test func killed() throws {
            let image = try ServedImage([[UInt8](repeating: 3, count: 500_000), [UInt8](repeating: 4, count: 500_000)])
            let mayFinish = Mutex(false)
            let server = try FaultyServer { request in
                var reply = image.reply(request)
                if request.path.hasSuffix(image.layers[1]), !mayFinish.withLock({ $0 }) { reply.stallAfter = 1000 }
                return reply
            }
            defer { server.stop() }
            let samara = try Samara.shared()
            let before = samara.storeContents
            let name = "\(server.host)/killed:1"
            let child = try ChildProcess(samara.command(["pull", name]), environment: samara.environment)
            eventually("the first layer is whole and the last one on its way") {
                let isAsked = server.requests.contains { $0.path.hasSuffix(image.layers[1]) }
                let work = (try? FileManager.default.contentsOfDirectory(atPath: samara.root + "/tmp")) ?? []
                let whole = work.contains {
                    FileManager.default.fileExists(
                        atPath: "\(samara.root)/tmp/\($0)/blobs/\(image.layers[0].dropFirst(7))")
                }
                return isAsked && whole
            }
            // samara waits for samara-image: both are killed, as by the end of a session.
            let tool = try String(contentsOfFile: "/proc/\(child.pid)/task/\(child.pid)/children", encoding: .utf8)
                .split(separator: " ").compactMap { pid_t($0) }
            for pid in tool { kill(pid, SIGKILL) }
            child.killAndReap()
            #expect(try samara.run("image", "exists", name).status == 1)
            mayFinish.withLock { $0 = true }
            try samara.succeed("pull", name)
            // The layer that was whole is not fetched again.
            #expect(server.requests.count { $0.path.hasSuffix(image.layers[0]) } == 1)
            try samara.succeed("rmi", name)
            #expect(samara.storeContents == before)
        }
    }
}
