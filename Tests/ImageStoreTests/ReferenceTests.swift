// SPDX-License-Identifier: Apache-2.0
import OCISpec
import Testing

@Suite struct ReferenceTests {
    static let digest = "sha256:" + String(repeating: "a", count: 64)

    @Test(arguments: [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("foo/bar", "docker.io/foo/bar:latest"),
        ("docker.io/nginx", "docker.io/library/nginx:latest"),
        ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
        ("quay.io/foo/bar:v1", "quay.io/foo/bar:v1"),
        ("localhost/foo", "localhost/foo:latest"),
        ("localhost:5000/foo", "localhost:5000/foo:latest"),
        ("localhost:5000/foo:5000", "localhost:5000/foo:5000"),
        ("Host/foo", "Host/foo:latest"),
        ("[::1]:5000/foo", "[::1]:5000/foo:latest"),
        ("a.b/c__d/e-f/g--h/i.j:T_a-g.1", "a.b/c__d/e-f/g--h/i.j:T_a-g.1"),
        ("nginx@" + ReferenceTests.digest, "docker.io/library/nginx@" + ReferenceTests.digest),
        ("nginx:1@" + ReferenceTests.digest, "docker.io/library/nginx:1@" + ReferenceTests.digest),
    ])
    func normalizesAsARegistryReads(_ text: String, _ expected: String) throws {
        #expect(try ImageReference(normalizing: text).description == expected)
    }

    @Test(arguments: [
        ("nginx", "localhost/nginx:latest"), ("foo/bar:1", "localhost/foo/bar:1"),
        ("docker.io/nginx", "docker.io/library/nginx:latest"), ("quay.io/x/y", "quay.io/x/y:latest"),
    ])
    func aNameGivenHereIsLocal(_ text: String, _ expected: String) throws {
        #expect(try ImageReference(local: text).description == expected)
    }

    @Test(arguments: [
        "", ":", "a:", "a@", "/a", "a/", "a//b", "Nginx", "foo/Bar", "a..b", "a___b", "-a", "a-", "_a", "a b", "a+b",
        "..",
        "../a", "a/../b", "a:b:c", "a:-b", "a.b:x/c", "a.b:/c", "a.b:99999/c", "-a.b/c", "[::1/c", "[]/c", "é", "a\0b",
        "a@sha256:12", "a@md5:" + String(repeating: "a", count: 32), "a@" + ReferenceTests.digest.uppercased(),
        "a:" + String(repeating: "t", count: 129), String(repeating: "a", count: 256),
        String(repeating: "a", count: 64),
    ])
    func refusesWhatIsNotAName(_ text: String) {
        #expect(throws: ImageSpecError.self) { try ImageReference(normalizing: text) }
    }

    @Test func saysThatNamesAreLowercase() {
        #expect(throws: ImageSpecError("invalid image name \"foo/Bar\": the repository name must be lowercase")) {
            try ImageReference(normalizing: "foo/Bar")
        }
    }

    @Test func theLengthCountsWhatIsNotTyped() throws {
        // docker.io/library/ has 18 bytes, localhost/ 10.
        #expect(try ImageReference(normalizing: String(repeating: "a", count: 237)).repository.utf8.count == 255)
        #expect(throws: ImageSpecError.self) { try ImageReference(normalizing: String(repeating: "a", count: 238)) }
        #expect(try ImageReference(local: String(repeating: "a", count: 245)).repository.utf8.count == 255)
        #expect(throws: ImageSpecError.self) { try ImageReference(local: String(repeating: "a", count: 246)) }
    }

    @Test func theLongestTagFits() throws {
        let tag = String(repeating: "t", count: 128)
        #expect(try ImageReference(normalizing: "a:" + tag).tag == tag)
    }

    @Test func choosesThePlatform() throws {
        func descriptor(_ hex: Character, _ architecture: String, _ variant: String?) throws -> Descriptor {
            Descriptor(
                mediaType: MediaType.manifest, digest: try Digest("sha256:" + String(repeating: hex, count: 64)),
                size: 1,
                platform: Platform(os: "linux", architecture: architecture, variant: variant))
        }
        let index = ImageIndex(manifests: [
            try descriptor("1", "amd64", "v3"), try descriptor("2", "amd64", nil), try descriptor("3", "arm", "v6"),
            try descriptor("4", "arm", "v7"), try descriptor("5", "arm", "v8"), try descriptor("6", "arm64", "v8"),
        ])
        func best(_ architecture: String, _ variant: String?) -> Character? {
            index.best(for: Platform(os: "linux", architecture: architecture, variant: variant))?.digest.hex.first
        }
        #expect(best("amd64", nil) == "2")
        #expect(best("arm", "v7") == "4")
        #expect(best("arm", "v6") == "3")
        #expect(best("arm64", "v8") == "6")
        #expect(best("s390x", nil) == nil)
    }
}
