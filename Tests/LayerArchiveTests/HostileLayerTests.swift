// SPDX-License-Identifier: Apache-2.0
import Foundation
import LayerArchive
import LinuxSystem
import Testing

/// Layers that try to get out, or to make this machine do too much. Each must fail with a sentence that names the
/// entry, or stay inside; none may change a file outside the layer.
@Suite struct HostileLayerTests {
    let fixture: ArchiveFixture

    init() throws { fixture = try ArchiveFixture() }

    @Test(arguments: [
        "../x", "..", "a/../../x", "a/..", "./../x", "a/b/../../../x", "../../../../../../../../tmp/x", "a//../..//x",
        "dir/.. ",
    ])
    func dotDotIsRefused(_ name: String) throws {
        if name.hasSuffix(" ") {
            // Not "..": a legal, odd name.
            let layer = try fixture.unpack { $0.add(name) }
            #expect(File.exists(layer + "/dir/.. "))
            return try fixture.expectOutsideUntouched()
        }
        let text = try fixture.refusal { $0.add(name, content: "bad") }
        #expect(text.contains("\"\(name)\"") && text.contains("\"..\" in its name"), "\(text)")
    }

    @Test func absoluteNamesAreRefused() throws {
        let name = fixture.outside + "/pwned"
        let text = try fixture.refusal {
            $0.extended([("path", Array(name.utf8))]); $0.add("x")
        }
        #expect(text.contains("absolute name"), "\(text)")
        #expect(try fixture.refusal { $0.directory("//x/") }.contains("absolute name"))
    }

    @Test(arguments: ["file", "link", "dir/new", "dir/inner", "dir/"])
    func writingThroughLinksStaysInside(_ leaf: String) throws {
        let outside = fixture.outside
        // Absolute, relative, by a chain, and by a link that climbs above the root: the kernel resolves each inside.
        let targets = [outside, "../../../../../../../../../../.." + outside, "next", "sub/../.." + outside]
        for (index, target) in targets.enumerated() {
            var builder = TarBuilder()
            builder.link("next", to: outside)
            builder.directory("sub")
            builder.link("out", to: target)
            builder.add("out/" + leaf, type: leaf.hasSuffix("/") ? "5" : "0", content: leaf.hasSuffix("/") ? "" : "bad")
            let text = try fixture.refusal(of: OCIArchive(layers: [builder.finished]).bytes)
            // The links' targets do not exist inside the layer.
            #expect(text.contains("\"out\"") && text.contains("not in this layer"), "\(index): \(text)")
        }
        try fixture.expectOutsideUntouched()
    }

    @Test func aLinkWhoseTargetIsInsideIsFollowedInside() throws {
        let layer = try fixture.unpack {
            $0.directory("usr")
            $0.directory("usr/bin")
            $0.link("bin", to: "usr/bin")
            $0.link("sbin", to: "/usr/bin")
            $0.link("up", to: "../../../../usr/bin")
            $0.add("bin/a", content: "a")
            $0.add("sbin/b", content: "b")
            $0.add("up/c", content: "c")
        }
        #expect(try Set(Directory.names(layer + "/usr/bin")) == ["a", "b", "c"])
        try fixture.expectOutsideUntouched()
    }

    @Test func aLinkIsReplacedNeverWrittenThrough() throws {
        let target = fixture.outside + "/file"
        let layer = try fixture.unpack {
            $0.link("a", to: target)
            $0.add("a", content: "new")
            $0.link("b", to: target)
            $0.directory("b")
            $0.link("c", to: target)
            $0.add("c", type: "6")
            $0.add("d", content: "own")
            $0.link("e", to: target)
            $0.hardLink("e", to: "d")
        }
        #expect(try File.read(layer + "/a") == Array("new".utf8))
        #expect(try File.status(layer + "/b", follow: false).isDirectory)
        #expect(try File.status(layer + "/c", follow: false).mode & 0o170000 == 0o010000)
        #expect(try File.read(layer + "/e") == Array("own".utf8))
        try fixture.expectOutsideUntouched()
    }

    @Test func directoriesAttributesDoNotGoThroughLaterLinks() throws {
        let outside = fixture.outside
        let layer = try fixture.unpack {
            $0.directory("d", mode: 0o777, mtime: 5)
            $0.link("d", to: outside + "/dir")
        }
        #expect(try File.readLink(layer + "/d") == outside + "/dir")
        try fixture.expectOutsideUntouched()
    }

    @Test(arguments: ["../outside/file", "/../etc/passwd", "a/../../x", ".."])
    func hardLinksOutAreRefused(_ target: String) throws {
        let text = try fixture.refusal { $0.hardLink("x", to: target) }
        #expect(text.contains("\"..\" in its name"), "\(text)")
    }

    @Test func anAbsoluteHardLinkTargetIsInTheLayer() throws {
        #expect(try fixture.refusal { $0.hardLink("x", to: "/etc/passwd") }.contains("has no target"))
        #expect(try fixture.refusal { $0.hardLink("x", to: "/") }.contains("would link a directory"))
        let layer = try fixture.unpack {
            $0.directory("/", mode: 0o700)
            $0.add("etc/passwd", content: "inside")
            $0.hardLink("x", to: "/etc/passwd")
        }
        #expect(try File.read(layer + "/x") == Array("inside".utf8))
        #expect(try File.status(layer).permissions == 0o700)
    }

    @Test func aLinkThatLosesItsTargetInTheReaderIsRefused() throws {
        // Go writes a link's name that has no ASCII at all only into the extended header, where libarchive drops it.
        let target = Array("\u{65e5}\u{672c}".utf8)
        for type: Character in ["1", "2"] {
            let text = try fixture.refusal {
                $0.add(target)
                $0.extended([("linkpath", target)])
                $0.add("x", type: type)
            }
            #expect(text.contains("\"x\""), "\(text)")
        }
    }

    @Test func hardLinksThroughLinksStayInside() throws {
        let outside = fixture.outside
        let text = try fixture.refusal {
            $0.link("out", to: outside)
            $0.hardLink("x", to: "out/file")
        }
        #expect(text.contains("hard link \"x\" to \"out/file\" has no target"), "\(text)")
        // A hard link to a symbolic link is one more name of the link itself.
        let layer = try fixture.unpack {
            $0.link("out", to: outside + "/file")
            $0.hardLink("x", to: "out")
            $0.add("x", content: "new")
        }
        #expect(try File.read(layer + "/x") == Array("new".utf8))
        #expect(try File.readLink(layer + "/out") == outside + "/file")
        try fixture.expectOutsideUntouched()
    }

    @Test func hardLinksNeedATargetThatMayBeLinked() throws {
        #expect(try fixture.refusal { $0.hardLink("x", to: "missing") }.contains("has no target"))
        #expect(
            try fixture.refusal {
                $0.directory("d"); $0.hardLink("x", to: "d")
            }.contains("would link a directory"))
        #expect(
            try fixture.refusal {
                $0.add(".wh.w"); $0.hardLink("x", to: "w")
            }.contains("or a whiteout"))
        #expect(try fixture.refusal { $0.hardLink("x", to: "x") }.contains("has no target"))
        #expect(try fixture.refusal { $0.hardLink("x", to: ".") }.contains("would link a directory"))
    }

    @Test(arguments: [".wh.", ".wh..", ".wh...", ".wh..wh.", ".wh..wh.x", "d/.wh..", ".wh..wh..opq.", ".wh..wh.plnk"])
    func whiteoutsOfNothingAreRefused(_ name: String) throws {
        let text = try fixture.refusal { $0.add(name) }
        #expect(text.contains("\"\(name)\"") && text.contains("does not name anything"), "\(text)")
    }

    @Test(arguments: [".wh.d/x", ".wh..wh..opq/x", "a/.wh.../x"])
    func nothingIsBelowAWhiteout(_ name: String) throws {
        #expect(try fixture.refusal { $0.add(name) }.contains("reserved for whiteouts"))
    }

    @Test func whiteoutsThroughLinksStayInside() throws {
        let outside = fixture.outside
        for name in ["out/.wh.file", "out/.wh..wh..opq", "out/dir/.wh.inner"] {
            let text = try fixture.refusal {
                $0.link("out", to: outside)
                $0.add(name)
            }
            #expect(text.contains("not in this layer"), "\(text)")
        }
    }

    @Test func deviceNodesAreLeftOut() throws {
        // A whiteout in overlay's own form would hide lower files without saying so.
        let text = try fixture.refusal { $0.add("passwd", type: "3", device: (0, 0)) }
        #expect(text.contains("\"passwd\" is the device 0:0"), "\(text)")
        let linked = try fixture.refusal {
            $0.add("mem", type: "3", device: (1, 1))
            $0.hardLink("x", to: "mem")
        }
        #expect(linked.contains("has no target"), "\(linked)")
        let layer = try fixture.unpack {
            $0.directory("dev")
            $0.add("dev/null", type: "3", device: (1, 3))
            $0.add("dev/zero", type: "3", device: (1, 5))
            $0.directory("etc")
            $0.add("etc/mem", type: "3", device: (1, 1))
            $0.add("etc/disk", type: "4", device: (8, 0))
            $0.add("etc/file")
        }
        #expect(try Directory.names(layer + "/dev").isEmpty)
        #expect(try Directory.names(layer + "/etc") == ["file"])
        #expect(Set(fixture.warnings).count == 2 && fixture.warnings.allSatisfy { $0.contains("only real root") })
    }

    @Test func namesBeyondTheKernelsLimitsAreRefused() throws {
        func named(_ name: String) -> (inout TarBuilder) -> Void {
            {
                $0.extended([("path", Array(name.utf8))]); $0.add("x")
            }
        }
        let component = String(repeating: "n", count: 256)
        #expect(try fixture.refusal(named(component)).contains("more than 255 bytes"))
        let long = Array(repeating: String(repeating: "n", count: 200), count: 21).joined(separator: "/")
        #expect(try fixture.refusal(named(long)).contains("more than 4095 bytes"))
        let deep = Array(repeating: "d", count: 501).joined(separator: "/")
        #expect(try fixture.refusal(named(deep)).contains("more than 500 directories deep"))
        #expect(try fixture.refusal { $0.add([]) }.contains("empty name"))
        let target = String(repeating: "t", count: 4096)
        let text = try fixture.refusal {
            $0.extended([("linkpath", Array(target.utf8))])
            $0.link("x", to: "t")
        }
        #expect(text.contains("target of more than 4095 bytes"), "\(text)")
    }

    @Test func aNULEndsANameAndNothingElseHappens() throws {
        var hidden = Array("inside".utf8) + [0]
        hidden += Array("/../../../outside/file".utf8)
        let layer = try fixture.unpack {
            $0.extended([("path", hidden)]); $0.add("x", content: "y")
        }
        #expect(try Directory.names(layer) == ["inside"])
        try fixture.expectOutsideUntouched()
    }

    @Test func entriesAreCounted() throws {
        var limits = ExtractionLimits()
        limits.entries = 3
        let text = try fixture.refusal(limits: limits) { for index in 0..<4 { $0.add("f\(index)") } }
        #expect(text.contains("more than 3 entries"), "\(text)")
    }

    @Test(arguments: [Compression.gzip, .zstd])
    func decompressionBombsAreCut(_ compression: Compression) throws {
        var limits = ExtractionLimits()
        limits.expansionBase = 1 << 20
        limits.expansionRatio = 10
        let bomb = TarBuilder.build { $0.add(Array("zeros".utf8), content: [UInt8](repeating: 0, count: 8 << 20)) }
        let text = try fixture.refusal(of: OCIArchive(layers: [bomb], compression: compression).bytes, limits: limits)
        #expect(text.contains("decompression bomb"), "\(text)")
    }

    /// The archive around the layers is compressed as well.
    @Test(arguments: [Compression.gzip, .zstd])
    func bombsOfArchivesAreCut(_ compression: Compression) throws {
        var limits = ExtractionLimits()
        limits.expansionBase = 1 << 20
        limits.expansionRatio = 10
        // In one file, and in many of one name that are each below the limit.
        for (count, size) in [(1, 8 << 20), (32, 256 << 10)] {
            let archive = TarBuilder.build { tar in
                for _ in 0..<count { tar.add(Array("zeros".utf8), content: [UInt8](repeating: 0, count: size)) }
            }
            let text = try fixture.refusal(of: compression.compress(archive), limits: limits)
            #expect(text.contains("decompression bomb"), "\(text)")
        }
    }

    @Test func filesOfArchivesAreCounted() throws {
        var limits = ExtractionLimits()
        limits.archiveEntries = 3
        for name in ["one", "directory/"] {
            let archive = TarBuilder.build { tar in
                for _ in 0..<4 { tar.add(name, type: name.hasSuffix("/") ? "5" : "0") }
            }
            let text = try fixture.refusal(of: archive, limits: limits)
            #expect(text.contains("more than 3 files"), "\(text)")
        }
    }

    @Test(arguments: Compression.allCases)
    func truncatedLayersAreRefused(_ compression: Compression) throws {
        let tar = TarBuilder.build {
            $0.add(Array("file".utf8), content: (0..<100_000).map { UInt8(truncatingIfNeeded: $0 * 7919 >> 3) })
        }
        let whole = compression.compress(tar)
        for kept in [whole.count / 2, 600, 100, 20] where kept < whole.count {
            var archive = OCIArchive(layers: [tar], compression: compression)
            archive.layers[0].blob = Array(whole[..<kept])
            let text = try fixture.refusal(of: archive.bytes)
            #expect(text.contains("layer 1 of 1 of example.com/image:1"), "\(text)")
        }
    }

    @Test func headersThatLieAboutSizesAreRefused() throws {
        // Larger than the archive, negative in base 256, and a pax header of gigabytes.
        for size in [1 << 32, (1 << 33) - 1] {
            let text = try fixture.refusal { $0.add(Array("f".utf8), content: [1], declaredSize: size) }
            #expect(text.contains("read layer 1"), "\(text)")
        }
        let negative = try fixture.refusal {
            $0.add(Array("f".utf8), content: [1]) { header in
                for index in 124..<136 { header[index] = 0xff }
            }
        }
        #expect(!negative.isEmpty)
        for type: Character in ["x", "L", "K", "g"] {
            let text = try fixture.refusal { $0.add(Array("h".utf8), type: type, content: [1], declaredSize: 1 << 31) }
            #expect(text.contains("read layer 1"), "\(type): \(text)")
        }
    }

    @Test func aDamagedHeaderIsRefused() throws {
        var tar = TarBuilder.build {
            $0.add("good", content: "1")
            $0.add("bad", content: "2")
            $0.add("last", content: "3")
        }
        tar[1024 + 2] ^= 0xff
        let text = try fixture.refusal(of: OCIArchive(layers: [tar]).bytes)
        #expect(text.contains("read layer 1 of 1"), "\(text)")
    }

    @Test func ownersBeyondIDsAreRefused() throws {
        let text = try fixture.refusal {
            $0.extended([("uid", Array("4294967295".utf8))]); $0.add("x")
        }
        #expect(text.contains("not a user or group id"), "\(text)")
    }

    @Test func aFileBelowAFileIsRefused() throws {
        let text = try fixture.refusal {
            $0.add("a", content: "1")
            $0.add("a/b", content: "2")
        }
        #expect(text.contains("\"a\", which is not a directory"), "\(text)")
    }

    @Test func overlaysOwnAttributesAreLeftOut() throws {
        let layer = try fixture.unpack {
            $0.extended([
                ("SCHILY.xattr.user.overlay.redirect", Array("/etc".utf8)), ("SCHILY.xattr.user.kept", Array("1".utf8)),
            ])
            $0.directory("d")
        }
        let fd = try File.open(layer + "/d", 0)
        #expect(try OpenFile.extendedAttribute(fd, PathBytes("user.overlay.redirect")) == nil)
        #expect(try OpenFile.extendedAttribute(fd, PathBytes("user.kept")) == Array("1".utf8))
        #expect(fixture.warnings.contains { $0.contains("user.overlay.redirect") })
    }
}
