// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import ContainerRuntime
@testable import OCISpec

@Suite struct SystemdTests {
    @Test func scopesAreNamedByTheirPath() throws {
        let scope = try SystemdScope(path: "machine.slice:libpod:abc", id: "x", isRootless: false)
        #expect(scope.unit == "libpod-abc.scope" && scope.slice == "machine.slice")
        let none = try SystemdScope(path: nil, id: "x", isRootless: true)
        #expect(none.unit == "samara-x.scope" && none.slice == "user.slice")
        for path in ["a", "/a/b", "a:b:c:d", "a.slice:../b:c", "a:b:c"] {
            #expect(throws: RuntimeError.self) {
                _ = try SystemdScope(path: path, id: "x", isRootless: false)
            }
        }
    }

    @Test func annotationsBecomeProperties() {
        #expect(SystemdScope.value("true") == .bool(true))
        #expect(SystemdScope.value("'a b'") == .string("a b"))
        #expect(SystemdScope.value("uint64 5") == .uint64(5))
        #expect(SystemdScope.value("-5") == .int32(-5))
        for text in ["", "uint64", "uint64 -1", "[1]", "1x"] { #expect(SystemdScope.value(text) == nil, "\(text)") }
    }

    /// The bytes of a reply with one string, as dbus-daemon sends them.
    private static func reply(_ text: String) -> [UInt8] {
        var body = BusWriter()
        body.string(text)
        var writer = BusWriter()
        for byte in [UInt8(ascii: "l"), 2, 1, 1] as [UInt8] { writer.byte(byte) }
        writer.uint32(UInt32(body.bytes.count))
        writer.uint32(9)
        writer.array(alignment: 8) { writer in
            writer.byte(5)
            writer.signature("u")
            writer.uint32(7)
            writer.align(8)
            writer.byte(8)
            writer.signature("g")
            writer.signature("s")
        }
        writer.align(8)
        return writer.bytes + body.bytes
    }

    @Test func repliesAreRead() throws {
        let bytes = Self.reply("/job/1")
        let message = try #require(BusMessage(bytes))
        #expect(message.kind == .reply && message.replySerial == 7 && message.texts == ["/job/1"])
    }

    /// Whatever a bus sends: no crash, and nothing from a message that is not whole.
    @Test func damagedMessagesAreRefused() {
        let bytes = Self.reply("/job/1")
        for length in 0..<bytes.count { #expect(BusMessage(Array(bytes[..<length])) == nil) }
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed \(seed)")
        var state = seed
        for _ in 0..<20_000 {
            var damaged = bytes
            for _ in 0..<3 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                damaged[Int(state >> 33) % damaged.count] = UInt8(truncatingIfNeeded: state >> 24)
            }
            _ = BusMessage(damaged)
        }
    }
}
