// SPDX-License-Identifier: Apache-2.0
import NetStack
import Testing

@Suite struct ChecksumTests {
    /// RFC 1071, section 3: the numerical example, 00 01 f2 03 f4 f5 f6 f7 sums to ddf2.
    @Test func exampleOfTheRFC() {
        let bytes: Bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]
        bytes.withUnsafeBytes {
            var checksum = InternetChecksum()
            checksum.add(ByteView($0))
            #expect(checksum.partial == 0xddf2)
            #expect(checksum.value == 0x220d)
        }
    }

    @Test func agreesWithTheReferenceForAnyLengthAndAlignment() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed)
        for _ in 0..<400 {
            let length = Int.random(in: 0...(random.chance(100) ? 65_535 : 300), using: &random)
            let alignment = Int.random(in: 0..<16, using: &random)
            var bytes = random.bytes(alignment + length)
            // Long runs of ones provoke every carry.
            if random.chance(300) { bytes = Bytes(repeating: 0xff, count: bytes.count) }
            let expected = referenceSum(Bytes(bytes[alignment...]))
            bytes.withUnsafeBytes {
                let view = ByteView($0).from(alignment)
                var whole = InternetChecksum()
                whole.add(view)
                #expect(whole.partial == expected, "seed \(seed) length \(length)")
                // In two pieces, split at an even place.
                let split = Int.random(in: 0...(length / 2), using: &random) * 2
                var pieces = InternetChecksum()
                pieces.add(view.prefix(split))
                pieces.add(view.from(min(split, length)))
                #expect(pieces.partial == expected, "seed \(seed) length \(length) split \(split)")
            }
        }
    }

    @Test func pseudoHeadersOfBothFamilies() {
        for (source, destination) in [(Addresses.pod, Addresses.server), (Addresses.pod6, Addresses.server6)] {
            for length in [0, 1, 1460, 65_515] {
                var checksum = InternetChecksum()
                checksum.addPseudoHeader(
                    source: source, destination: destination, protocolNumber: 17, length: length)
                #expect(checksum.partial == referenceSum(pseudoHeader(source, destination, 17, length)))
            }
        }
    }
}
