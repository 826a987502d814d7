// SPDX-License-Identifier: Apache-2.0
import NetStack
import Testing

@Suite struct DNSTests {
    func question(_ name: String, _ type: UInt16, flags: Int = 0x0100, opt: Bool = false) -> Bytes {
        var out: Bytes = [0x12, 0x34] + be16(flags) + [0, 1, 0, 0, 0, 0, 0, opt ? 1 : 0]
        for label in name.split(separator: ".") { out += [UInt8(label.utf8.count)] + Bytes(label.utf8) }
        out += [0] + be16(Int(type)) + [0, 1]
        if opt { out += [0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0] }
        return out
    }

    func respond(
        _ message: Bytes, capacity: Int = 512, _ code: DNSResponseCode = .noError,
        _ body: (inout DNSResponse) -> Void = { _ in }
    ) throws -> Bytes {
        try message.withUnsafeBytes { bytes in
            let query = try DNSQuery(ByteView(bytes))
            var out = Bytes(repeating: 0xee, count: capacity)
            let length = try out.withUnsafeMutableBytes { memory in
                var response = try #require(DNSResponse(to: MutableByteView(memory), answering: query))
                body(&response)
                return response.finish(code)
            }
            return Bytes(out[..<length])
        }
    }

    @Test func answerOctetByOctet() throws {
        let answer = try respond(question("Web.pod", 1)) { $0.add(Addresses.pod, timeToLive: 60) }
        #expect(
            answer
                == hex(
                    """
                    1234 8580 0001 0001 0000 0000  // response, authoritative, recursion, one answer
                    03 5765 62 03 706f 64 00 0001 0001  // the question as it was asked
                    c00c 0001 0001 0000 003c 0004 0a00 0264  // A 10.0.2.100, 60 s
                    """))
    }

    @Test func bothFamiliesAndNames() throws {
        let six = try respond(question("web.pod", 28)) { $0.add(Addresses.pod6, timeToLive: 60) }
        #expect(Bytes(six[25...]) == [0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 60, 0, 16] + addressBytes(Addresses.pod6))
        let pointer = try respond(question("100.2.0.10.in-addr.arpa", 12)) { response in
            for (name, isName) in [
                ("web.pod", true), ("", false), ("a..b", false), (".a", false),
                (String(repeating: "x", count: 64), false),
            ] {
                let added = Bytes(name.utf8).withUnsafeBytes { response.add(pointerTo: ByteView($0), timeToLive: 1) }
                #expect(added == isName, "\(name)")
            }
        }
        #expect(Bytes(pointer.suffix(11)) == [0, 9, 3] + Bytes("web".utf8) + [3] + Bytes("pod".utf8) + [0])
        #expect(pointer.at16(6) == 1)
        let missing = try respond(question("nobody.pod", 1), .nameError)
        #expect(missing[3] & 15 == 3 && missing.at16(6) == 0)
    }

    @Test func namesCompareWithoutCase() throws {
        try question("WEB.Pod", 1).withUnsafeBytes { bytes in
            let query = try DNSQuery(ByteView(bytes))
            for (text, isEqual) in [
                ("web.pod", true), ("WEB.POD", true), ("web.po", false), ("web.pods", false), ("web", false),
                ("", false), ("webxpod", false),
            ] {
                Bytes(text.utf8).withUnsafeBytes { #expect(query.nameEquals(ByteView($0)) == isEqual, "\(text)") }
            }
            var out = Bytes(repeating: 0, count: 16)
            let length = out.withUnsafeMutableBytes { query.copyName(into: MutableByteView($0)) }
            #expect(length == 7 && Bytes(out[..<7]) == Bytes("web.pod".utf8))
        }
    }

    @Test func reverseNames() throws {
        var six = ""
        for i in 0..<32 as Range<UInt64> {
            let word = i < 16 ? Addresses.pod6.low >> (4 * i) : Addresses.pod6.high >> (4 * i - 64)
            six += (i > 0 ? "." : "") + String(word & 15, radix: 16)
        }
        for (name, address) in [
            ("100.2.0.10.in-addr.arpa", Addresses.pod), (six + ".ip6.ARPA", Addresses.pod6),
            ("2.0.10.in-addr.arpa", nil),
            ("256.2.0.10.in-addr.arpa", nil), ("100.2.0.10.in-addr.arpa.x", nil), ("web.pod", nil),
            ("in-addr.arpa", nil),
        ] as [(String, InternetAddress?)] {
            try question(name, 12).withUnsafeBytes {
                let query = try DNSQuery(ByteView($0))
                #expect(query.reverseAddress == address, "\(name)")
            }
        }
    }

    @Test func extensionAndTruncation() throws {
        let answer = try respond(question("web.pod", 1, opt: true))
        #expect(answer.at16(10) == 1 && Bytes(answer.suffix(11)) == [0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0])
        try question("web.pod", 1, opt: true).withUnsafeBytes {
            let query = try DNSQuery(ByteView($0))
            #expect(query.maximumUDPLength == 1232)
        }
        let long = try respond(question("web.pod", 1), capacity: 60) { response in
            for _ in 0..<9 { response.add(Addresses.pod, timeToLive: 1) }
        }
        #expect(long.count <= 60 && long.at16(6) == 2 && long[2] & 2 == 2)
    }

    @Test func whatIsNoQuestion() {
        func rejection(_ message: Bytes) -> String {
            message.withUnsafeBytes {
                do throws(DNSQuery.Rejection) {
                    _ = try DNSQuery(ByteView($0))
                    return "none"
                } catch {
                    switch error {
                    case .ignore: return "ignore"
                    case .answer(let code): return "\(code)"
                    }
                }
            }
        }
        let good = question("web.pod", 1)
        #expect(rejection(good) == "none")
        #expect(rejection(Bytes(good[0..<11])) == "ignore")
        #expect(rejection(question("web.pod", 1, flags: 0x8100)) == "ignore")
        #expect(rejection(question("web.pod", 1, flags: 0x2800)) == "notImplemented")
        for cut in 12..<good.count { #expect(rejection(Bytes(good[0..<cut])) == "formatError") }
        var pointer = good
        pointer[12] = 0xc0
        #expect(rejection(pointer) == "formatError")
        #expect(
            rejection(question(Array(repeating: "abcdefghij", count: 30).joined(separator: "."), 1)) == "formatError")
        var two = good
        two[5] = 2
        #expect(rejection(two) == "formatError")
    }

    @Test func rejections() {
        let message = question("web.pod", 1, flags: 0x2900)
        var out = Bytes(repeating: 0xee, count: 12)
        let length = message.withUnsafeBytes { source in
            out.withUnsafeMutableBytes {
                DNSResponse.reject(ByteView(source), .notImplemented, to: MutableByteView($0))
            }
        }
        #expect(length == 12 && out == [0x12, 0x34, 0xa9, 0x84, 0, 0, 0, 0, 0, 0, 0, 0])
    }
}
