// SPDX-License-Identifier: Apache-2.0
import Foundation
import ImageStore
import LayerArchive
import LinuxSystem
import OCISpec
import Testing

/// What an honest layer looks like after unpacking.
@Suite struct LayerContentTests {
    let fixture: ArchiveFixture

    init() throws { fixture = try ArchiveFixture() }

    func status(_ path: String) throws -> FileStatus { try File.status(path, follow: false) }

    func isWhiteout(_ path: String) throws -> Bool {
        let status = try status(path)
        return status.isCharacterDevice && status.specialDevice == 0
    }

    func isOpaque(_ path: String) throws -> Bool {
        try OpenFile.extendedAttribute(try File.open(path, 0), PathBytes("user.overlay.opaque")) == Array("y".utf8)
    }

    func byteNames(_ directory: String) throws -> Set<[UInt8]> {
        // Foundation and the store's lists are text; the shell's view is bytes.
        let process = Foundation.Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/find")
        process.arguments = [directory, "-mindepth", "1", "-maxdepth", "1", "-printf", "%f\\0"]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Set(data.split(separator: 0).map { Array($0) })
    }

    @Test(arguments: Compression.allCases)
    func filesKeepContentModeAndTime(_ compression: Compression) throws {
        let large = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 4) }
        let tar = TarBuilder.build {
            $0.directory("./", mode: 0o711, mtime: 77)
            $0.directory("./d", mode: 0o1777, mtime: 1234)
            $0.add(Array("./d/large".utf8), mode: 0o640, mtime: 99, content: large)
            $0.add("./d/empty", mode: 0o4755)
            $0.add("./d/group", mode: 0o2711)
            $0.directory("./closed", mode: 0)
            $0.add("./closed/file", mode: 0, content: "x")
            $0.directory("./shared", mode: 0o2775)
            $0.add("./shared/file")
            $0.directory("./shared/sub")
            $0.link("./link", to: "/anywhere/at all")
            $0.hardLink("./d/second", to: "d/large")
            $0.add("./fifo", type: "6", mode: 0o620)
        }
        let record = try fixture.load(layers: [tar], compression: compression)
        let layer = try #require(fixture.store.layerPaths(of: record).first)
        #expect(try status(layer).permissions == 0o711)
        #expect(try status(layer).modifiedSeconds == 77)
        #expect(try status(layer + "/d").permissions == 0o1777)
        #expect(try status(layer + "/d").modifiedSeconds == 1234)
        #expect(try File.read(layer + "/d/large") == large)
        #expect(try status(layer + "/d/large").permissions == 0o640)
        #expect(try status(layer + "/d/large").modifiedSeconds == 99)
        #expect(try status(layer + "/d/large").inode == status(layer + "/d/second").inode)
        #expect(try status(layer + "/d/empty").permissions == 0o4755)
        #expect(try status(layer + "/d/group").permissions == 0o2711)
        #expect(try status(layer + "/closed").permissions == 0)
        #expect(try status(layer + "/shared").permissions == 0o2775)
        #expect(try status(layer + "/shared/sub").permissions == 0o755)
        #expect(try File.readLink(layer + "/link") == "/anywhere/at all")
        #expect(try status(layer + "/fifo").mode == 0o010620)
        #expect(record.layers[0].tarSize == Int64(tar.count))
    }

    @Test func paxAndGNUNamesOfAnyBytes() throws {
        let long = Array(String(repeating: "l", count: 255).utf8)
        let deep = Array("deep/".utf8) + long
        let latin: [UInt8] = [0x66, 0xe9, 0xff]
        let pax: [UInt8] = [0x70, 0xff, 0xe9]
        let gnu = Array((String(repeating: "g", count: 200)).utf8) + [0xfe]
        let unicode = Array("grüße-日本".utf8)
        let layer = try fixture.unpack {
            $0.add(latin)
            $0.extended([("path", pax)])
            $0.add("x")
            $0.extended([("path", unicode)])
            $0.add("x")
            $0.extended([("path", deep)])
            $0.add("x")
            $0.add(Array("././@LongLink".utf8), type: "L", content: gnu + [0], magic: "ustar  \u{0}")
            $0.add(Array(gnu.prefix(100)), content: [1], magic: "ustar  \u{0}")
        }
        #expect(try byteNames(layer) == [latin, pax, unicode, gnu, Array("deep".utf8)])
        #expect(try byteNames(layer + "/deep") == [long])
    }

    @Test func linksToNamesOfAnyBytes() throws {
        let name = Array("ä-日本".utf8)
        let layer = try fixture.unpack {
            $0.extended([("path", name)])
            $0.add("x", content: "here")
            $0.extended([("linkpath", name)])
            $0.hardLink("hard", to: "-")
            $0.extended([("linkpath", name)])
            $0.link("soft", to: "-")
            $0.add(Array("raw".utf8), type: "2", link: [0x78, 0xff])
        }
        #expect(try File.read(layer + "/hard") == Array("here".utf8))
        #expect(try File.readLink(layer + "/soft") == "ä-日本")
        #expect(try File.readLink(layer + "/raw") == "x\u{fffd}")
    }

    @Test func sparseFilesKeepTheirHoles() throws {
        let size = 1 << 20
        let layer = try fixture.unpack {
            // Old GNU form: 512 bytes at 512 KiB, then a hole up to 1 MiB.
            $0.add(
                Array("sparse".utf8), type: "S", content: [UInt8](repeating: 0x61, count: 512), magic: "ustar  \u{0}"
            ) { header in
                func octal(_ value: Int, _ offset: Int) {
                    let text = String(value, radix: 8)
                    let field = Array((String(repeating: "0", count: 11 - text.count) + text).utf8)
                    for (index, byte) in field.enumerated() { header[offset + index] = byte }
                }
                octal(size / 2, 386)
                octal(512, 398)
                octal(size, 410)
                octal(0, 422)
                octal(size, 483)
            }
        }
        let content = try File.read(layer + "/sparse")
        #expect(content.count == size)
        #expect(content[size / 2] == 0x61 && content[size / 2 + 511] == 0x61)
        #expect(content[0] == 0 && content[size / 2 + 512] == 0 && content[size - 1] == 0)
    }

    @Test func laterEntriesWin() throws {
        let layer = try fixture.unpack {
            $0.add("a", content: "first")
            $0.add("a", content: "second")
            $0.directory("b")
            $0.add("b/in", content: "x")
            $0.add("b", content: "file now")
            $0.add("c", content: "file")
            $0.directory("c")
            $0.add("c/in", content: "y")
            $0.link("d", to: "a")
            $0.add("d", content: "file too")
            $0.directory("e", mode: 0o700, mtime: 1)
            $0.add("e/in")
            $0.directory("e", mode: 0o750, mtime: 2)
        }
        #expect(try File.read(layer + "/a") == Array("second".utf8))
        #expect(try File.read(layer + "/b") == Array("file now".utf8))
        #expect(try File.read(layer + "/c/in") == Array("y".utf8))
        #expect(try status(layer + "/d").isRegular)
        #expect(try status(layer + "/e").permissions == 0o750)
        #expect(try status(layer + "/e").modifiedSeconds == 2)
        #expect(File.exists(layer + "/e/in"))
    }

    @Test func whiteoutsBecomeOverlays() throws {
        let lower = TarBuilder.build {
            $0.directory("d")
            $0.add("d/x")
            $0.add("file")
            $0.directory("replaced")
            $0.add("replaced/old")
        }
        let layer = try fixture.unpack([
            lower,
            TarBuilder.build {
                $0.add(".wh.file")
                $0.add("d/.wh..wh..opq")
                $0.add("d/new")
                // A whiteout and a new directory of the same name: the lower content is hidden, in either order.
                $0.add(".wh.replaced")
                $0.directory("replaced")
                $0.add("replaced/new")
                $0.directory("again")
                $0.add("again/in")
                $0.add(".wh.again")
                $0.add("kept", content: "kept")
                $0.add(".wh.kept")
                $0.add(".wh.parent")
                $0.add("parent/child")
                $0.add(".wh.becomes")
                $0.add("becomes", content: "file")
                $0.add("deep/er/.wh.gone")
            },
        ])
        #expect(try isWhiteout(layer + "/file"))
        #expect(try isOpaque(layer + "/d"))
        #expect(try Directory.names(layer + "/d") == ["new"])
        #expect(try isOpaque(layer + "/replaced"))
        #expect(try Directory.names(layer + "/replaced") == ["new"])
        #expect(try isOpaque(layer + "/again"))
        #expect(File.exists(layer + "/again/in"))
        #expect(try File.read(layer + "/kept") == Array("kept".utf8))
        #expect(try isOpaque(layer + "/parent"))
        #expect(File.exists(layer + "/parent/child"))
        #expect(try File.read(layer + "/becomes") == Array("file".utf8))
        #expect(try isWhiteout(layer + "/deep/er/gone"))
    }

    @Test func anOpaqueRootHidesAllLowerLayers() throws {
        let lower = TarBuilder.build { $0.add("old") }
        let upper = TarBuilder.build {
            $0.add(".wh..wh..opq")
            $0.add("new")
        }
        let record = try fixture.load(layers: [lower, upper])
        #expect(fixture.store.layerPaths(of: record) == [fixture.store.layerPath(record.layers[1].chainID)])
    }

    @Test func aDirectoryWithoutAnEntryLooksAsItDoesBelow() throws {
        let lower = TarBuilder.build {
            $0.directory("./", mode: 0o711)
            $0.directory("tmp", mode: 0o1777, mtime: 4242)
            $0.directory("usr/bin", mode: 0o711)
            $0.link("bin", to: "usr/bin")
        }
        let layer = try fixture.unpack([
            lower,
            TarBuilder.build {
                $0.add("tmp/x"); $0.add("bin/y"); $0.add("none/z")
            },
        ])
        #expect(try status(layer).permissions == 0o711)
        #expect(try status(layer + "/tmp").permissions == 0o1777)
        #expect(try status(layer + "/tmp").modifiedSeconds == 4242)
        #expect(try status(layer + "/bin").permissions == 0o711)
        #expect(try status(layer + "/none").permissions == 0o755)
    }

    @Test func attributesAreKept() throws {
        let layer = try fixture.unpack {
            $0.extended([("SCHILY.xattr.user.file", [0, 1, 255]), ("mtime", Array("1000000000.123456789".utf8))])
            $0.add("f", mode: 0o444)
            $0.extended([("SCHILY.xattr.user.dir", Array("v".utf8))])
            $0.directory("d", mode: 0o555)
            $0.add("d/x")
        }
        #expect(try OpenFile.extendedAttribute(try File.open(layer + "/f", 0), PathBytes("user.file")) == [0, 1, 255])
        #expect(
            try OpenFile.extendedAttribute(try File.open(layer + "/d", 0), PathBytes("user.dir")) == Array("v".utf8))
        #expect(try status(layer + "/f").permissions == 0o444)
    }

    @Test func emptyAndPaddedLayersAreLayers() throws {
        let empty = try fixture.unpack([[UInt8](repeating: 0, count: 1024)])
        #expect(try Directory.names(empty).isEmpty)
        let padded = TarBuilder.build { $0.add("f") } + [UInt8](repeating: 0, count: 10240)
        #expect(try Directory.names(try fixture.unpack([padded])) == ["f"])
    }

    /// A random tree, as an archive and as a model, compared after unpacking.
    @Test func randomTreesComeOutAsTheyWentIn() throws {
        let seed = UInt64.random(in: .min ... .max)
        print("randomTreesComeOutAsTheyWentIn: seed \(seed)")
        var state = seed
        func random(_ bound: Int) -> Int {
            // SplitMix64.
            state &+= 0x9e37_79b9_7f4a_7c15
            var value = state
            value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
            value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
            return Int((value ^ (value >> 31)) % UInt64(bound))
        }
        var model: [String: String] = [:]
        var directories = [""]
        let tar = TarBuilder.build { tar in
            for _ in 0..<300 {
                let name = directories[random(directories.count)] + "n\(random(12))"
                switch random(4) {
                case 0:
                    if model[name] == "d" { continue }
                    for key in model.keys where key.hasPrefix(name + "/") { model[key] = nil }
                    tar.directory(name)
                    model[name] = "d"
                    directories.append(name + "/")
                case 1:
                    for key in model.keys where key.hasPrefix(name + "/") { model[key] = nil }
                    directories.removeAll { $0.hasPrefix(name + "/") }
                    let target = "t\(random(1000))"
                    tar.link(name, to: target)
                    model[name] = "l" + target
                default:
                    for key in model.keys where key.hasPrefix(name + "/") { model[key] = nil }
                    directories.removeAll { $0.hasPrefix(name + "/") }
                    let content = String(repeating: "c", count: random(2000))
                    tar.add(name, content: content)
                    model[name] = "f" + content
                }
            }
        }
        let layer = try fixture.unpack([tar])
        var found: [String: String] = [:]
        func walk(_ path: String) throws {
            for name in try Directory.names(layer + "/" + path) {
                let name = path + name
                let status = try status(layer + "/" + name)
                if status.isDirectory {
                    found[name] = "d"
                    try walk(name + "/")
                } else if status.isSymbolicLink {
                    found[name] = "l" + (try File.readLink(layer + "/" + name))
                } else {
                    found[name] = "f" + String(decoding: try File.read(layer + "/" + name), as: UTF8.self)
                }
            }
        }
        try walk("")
        #expect(found == model, "seed \(seed)")
    }
}
