// SPDX-License-Identifier: Apache-2.0
import FaultyServer
import Foundation
import ImageStore
import JSON
import LayerArchive
import LinuxSystem
import OCISpec
import Testing

/// Parsers of what strangers send: whatever the bytes, an error or a value that says the same when it is written and
/// read again; never a trap.
@Suite struct MutationTests {
    private static let rounds = 4000

    private func seed(_ name: String) -> UInt64 {
        let seed = UInt64.random(in: .min ... .max)
        print("\(name): seed \(seed)")
        return seed
    }

    @Test func references() throws {
        let seed = seed("references")
        var mutation = Mutation(seed: seed)
        let digest = "sha256:" + String(repeating: "0a", count: 32)
        let corpus = [
            "nginx", "docker.io/library/nginx:latest", "localhost:5000/a/b-c__d.e:v1.2_3", "[::1]:5000/x@\(digest)",
            "quay.io/foo/bar:tag@\(digest)", digest, "a/b/c/d/e",
        ].map { Array($0.utf8) }
        for _ in 0..<MutationTests.rounds {
            let text = String(decoding: mutation.damaged(corpus), as: UTF8.self)
            for isLocal in [false, true] {
                let parsed = isLocal ? try? ImageReference(local: text) : try? ImageReference(normalizing: text)
                guard let reference = parsed else { continue }
                let again = try ImageReference(normalizing: reference.description)
                #expect(again == reference, "\(text.debugDescription), seed \(seed)")
            }
        }
    }

    @Test func manifestsAndIndexes() throws {
        let seed = seed("manifestsAndIndexes")
        var mutation = Mutation(seed: seed)
        let image = try ServedImage([[1, 2, 3], [4]])
        let index = ImageIndex(manifests: [
            Descriptor(mediaType: MediaType.manifest, digest: try SHA256.digest(image.manifest), size: 5)
        ]).json.serialized()
        for _ in 0..<MutationTests.rounds {
            let bytes = mutation.damaged([image.manifest, index])
            guard let json = try? JSON.parse(bytes) else { continue }
            if let manifest = try? ImageManifest(json) {
                #expect(try ImageManifest(try JSON.parse(manifest.json.serialized())) == manifest, "seed \(seed)")
            }
            if let index = try? ImageIndex(json) {
                #expect(try ImageIndex(try JSON.parse(index.json.serialized())) == index, "seed \(seed)")
                _ = index.best(for: .host)
            }
        }
    }

    @Test func configs() throws {
        let seed = seed("configs")
        var mutation = Mutation(seed: seed)
        let digest = "sha256:" + String(repeating: "0a", count: 32)
        let text = """
            {"created":"2026-01-01T00:00:00.123Z","author":"a","architecture":"arm64","variant":"v8","os":"linux",
            "config":{"User":"1:2","ExposedPorts":{"80/tcp":{}},"Env":["A=b"],"Entrypoint":["/x"],"Cmd":["y"],
            "Volumes":{"/v":{}},"WorkingDir":"/w","Labels":{"k":"v"},"StopSignal":"SIGQUIT","Shell":["sh"],
            "Healthcheck":{"Test":["CMD","x"],"Interval":1000000000,"Retries":3},"OnBuild":["RUN x"]},
            "rootfs":{"type":"layers","diff_ids":["\(digest)"]},
            "history":[{"created":"2026-01-01T00:00:00Z","created_by":"x","comment":"c","empty_layer":true}]}
            """
        for _ in 0..<MutationTests.rounds {
            guard let json = try? JSON.parse(mutation.damaged([Array(text.utf8)])),
                let config = try? ImageConfig(json)
            else { continue }
            let again = try ContainerConfig(try JSON.parse(config.container.json.serialized()))
            #expect(again == config.container, "seed \(seed)")
        }
    }

    /// Whole archives: refused with nothing stored and nothing written outside, or loaded.
    @Test func layers() throws {
        let seed = seed("layers")
        var mutation = Mutation(seed: seed)
        let fixture = try ArchiveFixture()
        let corpus = [
            TarBuilder.build { tar in
                tar.directory("d")
                tar.add("d/file", content: "content")
                tar.link("d/up", to: "../../outside")
                tar.hardLink("d/hard", to: "d/file")
                tar.add("d/.wh.gone")
                tar.extended([("path", Array("d/long".utf8)), ("SCHILY.xattr.user.a", [1, 2])])
                tar.add("x", content: "more")
            },
            TarBuilder.build { tar in
                tar.add("d/up/file", content: "through a link")
                tar.add("../outside/file", content: "above")
                tar.add("/abs", content: "from the root")
                tar.link("d", to: "/")
            },
        ]
        let limits = ExtractionLimits()
        for round in 0..<300 {
            // Damage that the header's checksum hides would end every round at the first header.
            let tar = TarChecksums.repaired(mutation.damaged(corpus))
            do {
                let images = try fixture.load(OCIArchive(layers: [tar]).bytes, limits: limits)
                for image in images {
                    _ = try fixture.store.remove(image.id.hex, force: true) { _ in [] }
                }
            } catch is LayerArchiveError {}
            if round % 50 == 0 { try fixture.expectOutsideUntouched() }
        }
        try fixture.expectOutsideUntouched()
        for name in ["images", "tags", "layers", "blobs/sha256"] {
            #expect(try Directory.names(fixture.store.root + "/" + name).isEmpty, "\(name), seed \(seed)")
        }
    }
}

/// POSIX.1-2017, pax, "ustar Header Block": the checksum over a header.
enum TarChecksums {
    /// Gives every block that looks like a header the checksum that it should have.
    static func repaired(_ tar: [UInt8]) -> [UInt8] {
        var tar = tar
        var start = 0
        while start + 512 <= tar.count {
            if tar[(start + 257)..<(start + 262)].elementsEqual("ustar".utf8) {
                for index in 148..<156 { tar[start + index] = 32 }
                let sum = tar[start..<(start + 512)].reduce(0) { $0 + Int($1) }
                let digits = String(sum, radix: 8)
                let text = String(repeating: "0", count: max(0, 6 - digits.count)) + digits
                tar.replaceSubrange((start + 148)..<(start + 154), with: text.utf8)
                tar[start + 154] = 0
            }
            start += 512
        }
        return tar
    }
}
