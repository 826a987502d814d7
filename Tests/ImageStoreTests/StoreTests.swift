// SPDX-License-Identifier: Apache-2.0
import Foundation
import ImageStore
import JSON
import LinuxSystem
import OCISpec
import Testing

/// A store in a directory of its own, removed at the end.
final class StoreFixture {
    let directory: String
    let store: ImageStore

    init() throws {
        directory = FileManager.default.temporaryDirectory.path + "/samara-store-" + UUID().uuidString
        store = ImageStore(root: directory)
        try store.prepare()
    }

    deinit { try? FileTree.remove(directory) }

    static func digest(_ digit: Character) -> Digest {
        guard let digest = Digest(hex: String(repeating: digit, count: 64)) else { preconditionFailure("not a digit") }
        return digest
    }

    static func config(_ created: String) throws -> ImageConfig {
        try ImageConfig(
            .object([
                "os": "linux", "architecture": "amd64", "created": .string(created),
                "config": [
                    "Env": ["A=1", "B=2"], "Cmd": ["sh"], "ExposedPorts": ["80/tcp": .object([:])],
                    "Labels": ["k": "v"],
                    "Healthcheck": ["Test": ["CMD", "true"], "Interval": 5],
                ],
                "rootfs": ["type": "layers", "diff_ids": []],
                "history": [["created_by": "x", "empty_layer": true]],
            ]))
    }

    /// Stores an image whose id, layers and blobs are digits repeated.
    @discardableResult
    func add(
        _ id: Character, layers: [Character] = [], names: [String] = [], created: String = "2026-01-01T00:00:00Z",
        hiding: Set<Character> = []
    ) throws -> ImageRecord {
        let staging = try Staging(in: store)
        let parts = layers.map {
            ImageLayer(
                chainID: StoreFixture.digest($0), diffID: StoreFixture.digest($0), blob: StoreFixture.digest($0),
                mediaType: MediaType.layer, blobSize: 1, tarSize: 1, hidesLower: hiding.contains($0))
        }
        let record = ImageRecord(
            id: StoreFixture.digest(id), manifestDigest: StoreFixture.digest(id), manifestMediaType: MediaType.manifest,
            config: try StoreFixture.config(created), layers: parts, size: 2)
        for blob in record.blobs { try File.write(staging.blobPath(blob), [1]) }
        for layer in parts {
            try Directory.makeAll(staging.layerDirectory(layer.chainID) + "/diff")
            try File.write(staging.layerDirectory(layer.chainID) + "/layer.json", layer.json.serialized())
        }
        var references: [ImageReference] = []
        for name in names { references.append(try ImageReference(normalizing: name)) }
        try staging.commit([Staging.NewImage(record: record, names: references)])
        return record
    }

    func entries(_ name: String) throws -> Set<Character> {
        Set(try Directory.names(directory + "/" + name).compactMap(\.first))
    }
}

@Suite struct StoreTests {
    let fixture: StoreFixture
    var store: ImageStore { fixture.store }

    init() throws { fixture = try StoreFixture() }

    func cause(_ body: () throws(ImageStoreError) -> some Any) -> ImageStoreError.Cause? {
        do { _ = try body() } catch { return error.cause }
        return nil
    }

    @Test func aRecordSurvivesItsFile() throws {
        let record = try fixture.add("a", layers: ["1", "2"], names: ["nginx"])
        #expect(try ImageRecord(JSON.parse(record.json.serialized())) == record)
        #expect(try store.resolve("nginx") == record)
    }

    @Test func resolvesInTheDocumentedOrder() throws {
        try fixture.add("a", names: ["nginx"])
        try fixture.add("b", names: ["localhost/nginx"])
        try fixture.add("c", names: ["quay.io/team/tool:2"])
        try fixture.add("d", names: ["quay.io/one/twice", "x.y/dd"])
        try fixture.add("e", names: ["quay.io/two/twice"])
        func found(_ text: String) throws -> String? {
            let image = try store.find(text)
            return "\(image.record.id.hex.prefix(1)) \(image.name ?? "-")"
        }
        #expect(try found("nginx") == "b localhost/nginx:latest")
        #expect(try found("docker.io/nginx") == "a docker.io/library/nginx:latest")
        #expect(try found("library/nginx") == "a docker.io/library/nginx:latest")
        #expect(try found("tool:2") == "c quay.io/team/tool:2")
        #expect(try found("team/tool:2") == "c quay.io/team/tool:2")
        #expect(try found("cc") == "c -")
        #expect(try found("sha256:cc") == "c -")
        #expect(try found(String(repeating: "c", count: 64)) == "c -")
        #expect(try found("quay.io/team/tool@sha256:" + String(repeating: "c", count: 64)) == "c quay.io/team/tool:2")
        // A name is preferred to the beginning of an id.
        #expect(try found("dd") == "d x.y/dd:latest")
        #expect(cause { () throws(ImageStoreError) in try store.find("ool:2") } == .notKnown)
        #expect(cause { () throws(ImageStoreError) in try store.find("tool") } == .notKnown)
        #expect(cause { () throws(ImageStoreError) in try store.find("twice") } == .ambiguous)
        #expect(cause { () throws(ImageStoreError) in try store.find("Nginx") } == .invalidName)
        #expect(throws: ImageStoreError(.notKnown, "nosuch: image not known")) { try store.resolve("nosuch") }
        #expect(throws: ImageStoreError(.notKnown, "ff: image not known")) { try store.resolve("ff") }
    }

    @Test func anAmbiguousPrefixIsAnError() throws {
        try fixture.add("a")
        let other = try #require(Digest(hex: "aa" + String(repeating: "0", count: 62)))
        var record = try fixture.add("b")
        record.id = other
        try File.write(fixture.directory + "/images/\(other.hex).json", record.json.serialized())
        #expect(cause { () throws(ImageStoreError) in try store.find("aa") } == .ambiguous)
        #expect(try store.resolve("aa0").id == other)
    }

    @Test func aNameMovesToTheNewerImage() throws {
        try fixture.add("a", names: ["nginx"])
        try fixture.add("b", names: ["nginx"], created: "2026-02-01T00:00:00Z")
        let listed = try store.list()
        #expect(listed.map { $0.record.id.hex.first } == ["b", "a"])
        #expect(listed.map(\.names) == [["docker.io/library/nginx:latest"], []])
    }

    @Test func tagsAndUntags() throws {
        try fixture.add("a", names: ["nginx"])
        try store.tag("nginx", as: "mine:1")
        #expect(
            try store.names(of: StoreFixture.digest("a")) == ["docker.io/library/nginx:latest", "localhost/mine:1"])
        #expect(throws: ImageStoreError(.notKnown, "other: tag not known")) { try store.untag("nginx", ["other"]) }
        try store.untag("mine:1", ["nginx"])
        #expect(try store.names(of: StoreFixture.digest("a")) == ["localhost/mine:1"])
        try store.untag("aaa")
        #expect(try store.list().map(\.names) == [[]])
        #expect(cause { () throws(ImageStoreError) in try store.tag("nosuch", as: "x") } == .notKnown)
        #expect(cause { () throws(ImageStoreError) in try store.tag("aaa", as: "X") } == .invalidName)
        #expect(
            cause { () throws(ImageStoreError) in
                try store.tag("aaa", as: "x@sha256:" + String(repeating: "a", count: 64))
            } == .invalidName)
    }

    @Test func aNameTooLongForAFileIsRefused() throws {
        try fixture.add("a")
        let name = String(repeating: "n", count: 200) + ":" + String(repeating: "t", count: 60)
        #expect(cause { () throws(ImageStoreError) in try store.tag("aaa", as: name) } == .invalidName)
        #expect(cause { () throws(ImageStoreError) in try store.find(name) } == .notKnown)
    }

    @Test func removalUntagsThenDeletes() throws {
        try fixture.add("a", layers: ["1", "2"], names: ["nginx", "quay.io/a/b"])
        let used = { (_: String) in ["c0ffee"] }
        // One of two names goes even while containers use the image.
        #expect(try store.remove("nginx", usedBy: used) == RemovalReport(untagged: ["docker.io/library/nginx:latest"]))
        #expect(
            throws: ImageStoreError(
                .inUse,
                "image used by c0ffee: image is in use by a container: consider listing external containers and force-removing image"
            )
        ) {
            try store.remove("quay.io/a/b", usedBy: used)
        }
        #expect(try store.list().count == 1)
        let report = try store.remove("quay.io/a/b", usedBy: { _ in [] })
        #expect(report == RemovalReport(untagged: ["quay.io/a/b:latest"], deleted: [StoreFixture.digest("a").hex]))
        #expect(try store.list().isEmpty)
        for directory in ["layers", "blobs/sha256", "images", "tags", "tmp"] {
            #expect(try fixture.entries(directory).isEmpty)
        }
    }

    @Test func removalByIDOfSeveralNamesNeedsForce() throws {
        try fixture.add("a", names: ["nginx", "quay.io/a/b"])
        let id = StoreFixture.digest("a").hex
        #expect(
            throws: ImageStoreError(
                .severalNames,
                "unable to delete image \"\(id)\" by ID with more than one tag ([docker.io/library/nginx:latest quay.io/a/b:latest]): please force removal"
            )
        ) {
            try store.remove("aaaa", usedBy: { _ in [] })
        }
        let report = try store.remove("aaaa", force: true, usedBy: { _ in [] })
        #expect(report.untagged.count == 2 && report.deleted == [id])
    }

    @Test func sharedLayersStayUntilTheLastImage() throws {
        try fixture.add("a", layers: ["1", "2"], names: ["x.y/a"])
        try fixture.add("b", layers: ["1", "3"], names: ["x.y/b"])
        _ = try store.remove("x.y/a", usedBy: { _ in [] })
        #expect(try fixture.entries("layers") == ["1", "3"])
        #expect(try fixture.entries("blobs/sha256") == ["1", "3", "b"])
        _ = try store.remove("x.y/b", usedBy: { _ in [] })
        #expect(try fixture.entries("layers").isEmpty)
    }

    @Test func layerPathsAreHighestFirstAndStopAtAnOpaqueRoot() throws {
        let record = try fixture.add("a", layers: ["1", "2", "3"])
        #expect(store.layerPaths(of: record) == ["3", "2", "1"].map { store.layerPath(StoreFixture.digest($0)) })
        let hiding = try fixture.add("b", layers: ["4", "5", "6"], hiding: ["5"])
        #expect(store.layerPaths(of: hiding) == ["6", "5"].map { store.layerPath(StoreFixture.digest($0)) })
        #expect(store.layerPaths(of: try fixture.add("c")).isEmpty)
    }

    @Test func garbageIsWhatNobodyNeeds() throws {
        try fixture.add("a", layers: ["1"], names: ["x.y/a"])
        try Directory.makeAll(store.layerDirectory(StoreFixture.digest("2")) + "/diff")
        try File.write(store.blobPath(StoreFixture.digest("3")), [1])
        // Of a killed process: nobody holds its lock.
        try Directory.makeAll(fixture.directory + "/tmp/staging-dead/blobs")
        // Of a process at work, which relies on a layer and a blob that no image has yet.
        try Directory.makeAll(store.layerDirectory(StoreFixture.digest("4")) + "/diff")
        try File.write(store.layerDirectory(StoreFixture.digest("4")) + "/layer.json", [])
        try File.write(store.blobPath(StoreFixture.digest("5")), [1])
        let work = try Staging(in: store)
        #expect(try work.claim(layer: StoreFixture.digest("4")))
        #expect(try work.claim(blob: StoreFixture.digest("5")))
        #expect(try !work.claim(blob: StoreFixture.digest("6")))
        try File.write(work.blobPath(StoreFixture.digest("7")), [1])

        try store.garbageCollect()
        #expect(try fixture.entries("layers") == ["1", "4"])
        #expect(try fixture.entries("blobs/sha256") == ["1", "5", "a"])
        #expect(try Directory.names(fixture.directory + "/tmp").count == 1)
        #expect(File.exists(work.blobPath(StoreFixture.digest("7"))))
    }

    @Test func workInProgressLeavesNothingBehind() throws {
        func work() throws {
            let staging = try Staging(in: store)
            try File.write(staging.blobPath(StoreFixture.digest("7")), [1])
        }
        try work()
        #expect(try Directory.names(fixture.directory + "/tmp").isEmpty)
    }

    @Test func aDamagedRecordIsNamedAndNothingIsCollected() throws {
        try fixture.add("a", layers: ["1"], names: ["x.y/a"])
        let path = fixture.directory + "/images/\(StoreFixture.digest("a").hex).json"
        try File.write(path, Array("{\"schemaVersion\":1".utf8))
        #expect(cause { () throws(ImageStoreError) in try store.find("x.y/a") } == .damaged)
        #expect(cause { () throws(ImageStoreError) in try store.garbageCollect() } == .damaged)
        #expect(try fixture.entries("layers") == ["1"])
        try File.write(path, Array("{\"schemaVersion\":2}".utf8))
        #expect(cause { () throws(ImageStoreError) in try store.find("x.y/a") } == .damaged)
    }

    @Test func pruneTakesDanglingImagesAndAllTakesUnusedOnes() throws {
        try fixture.add("a", names: ["x.y/a"])
        try fixture.add("b")
        try fixture.add("c")
        let used = { (id: String) in id.hasPrefix("c") ? ["1"] : [] }
        #expect(try store.prune(usedBy: used).deleted == [StoreFixture.digest("b").hex])
        #expect(try store.prune(all: true, usedBy: used).deleted == [StoreFixture.digest("a").hex])
        #expect(try fixture.entries("images") == ["c"])
    }

    @Test func anEmptyStoreHasNothing() throws {
        let store = ImageStore(root: fixture.directory + "/never")
        #expect(try store.list().isEmpty)
        #expect(cause { () throws(ImageStoreError) in try store.find("nginx") } == .notKnown)
        #expect(!File.exists(store.root))
    }

    @Test func treesWithAnyNamesAndDepthAreRemoved() throws {
        let top = fixture.directory + "/tree"
        try Directory.make(top)
        var directory = try File.open(top, 0)
        for _ in 0..<300 {
            try DirectoryEntry.makeDirectory(PathBytes([0xff, 0xfe]), mode: 0o700, in: directory)
            _ = try DirectoryEntry.create(PathBytes([0x80]), mode: 0, in: directory)
            let next = try DirectoryEntry.open(PathBytes([0xff, 0xfe]), 0, resolve: 0, in: directory)
            try OpenFile.setMode(directory, 0)
            directory = next
        }
        try FileTree.remove(top)
        #expect(!File.exists(top))
    }
}
