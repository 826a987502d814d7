// SPDX-License-Identifier: Apache-2.0
import NetStack
import Testing

@Suite struct TableTests {
    @Test func slabReusesPlacesUnderNewGenerations() throws {
        var slab = Slab<UInt64>(capacity: 600)
        var ids = [SlabID]()
        for i in 0..<600 {
            let index = slab.allocate(UInt64(i))
            ids.append(slab.id(try #require(index)))
        }
        let beyond = slab.allocate(1)
        #expect(beyond == nil)
        let last = slab.find(ids[599])?.pointee
        #expect(last == 599)
        slab.free(ids[300].index)
        let freed = slab.find(ids[300])
        #expect(freed == nil)
        let again = slab.allocate(7)
        let reused = slab.id(try #require(again))
        #expect(reused.index == ids[300].index && reused.generation != ids[300].generation)
        let stale = slab.find(ids[300])
        let fresh = slab.find(reused)?.pointee
        let unknown = slab.find(SlabID(index: 5_000, generation: 1))
        #expect(stale == nil && fresh == 7 && unknown == nil)
    }

    @Test func hashIndexAgreesWithADictionary() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed)
        var index = HashIndex()
        var model = [UInt32: UInt32]()
        for step in 0..<20_000 {
            if model.count < 3_000 && random.chance(model.count < 2_000 ? 550 : 450) {
                let key = UInt32(step)
                // Few distinct hashes: long runs and equal hashes.
                let hash = UInt32.random(in: 0..<700, using: &random) &* 0x9e37
                index.insert(hash, key)
                model[key] = hash
            } else if let key = model.keys.randomElement(using: &random), let hash = model.removeValue(forKey: key) {
                index.remove(hash, key)
            }
        }
        #expect(index.count == model.count)
        for (key, hash) in model {
            var probe = index.probe(hash)
            var found = false
            while let candidate = index.next(&probe) {
                #expect(model[candidate] == hash, "seed \(seed)")
                found = found || candidate == key
            }
            #expect(found, "seed \(seed)")
        }
    }

    @Test func timerQueueAgreesWithAModel() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed)
        var queue = TimerQueue()
        var model = [UInt32: UInt64]()
        for _ in 0..<30_000 {
            let record = UInt32.random(in: 0..<500, using: &random)
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<6:
                let time = UInt64.random(in: 0..<1_000_000, using: &random)
                queue.schedule(record, at: MonotonicTime(nanoseconds: time))
                model[record] = min(model[record] ?? .max, time)
            case 6:
                queue.cancel(record)
                model[record] = nil
            default:
                let now = UInt64.random(in: 0..<300_000, using: &random)
                let popped = queue.popExpired(MonotonicTime(nanoseconds: now))
                let earliest = model.values.min() ?? .max
                #expect((popped != nil) == (earliest <= now), "seed \(seed)")
                if let popped { #expect(model.removeValue(forKey: popped) == earliest, "seed \(seed)") }
            }
            #expect(queue.earliest.nanoseconds == (model.values.min() ?? .max), "seed \(seed)")
            #expect(queue.count == model.count)
        }
    }

    @Test func frameQueueAgreesWithAnArray() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed)
        var queue = FrameQueue(capacity: 4_096)
        var model = [Bytes]()
        var refused = 0
        var out = Bytes(repeating: 0, count: 4_096)
        for _ in 0..<20_000 {
            if random.chance(520) {
                let frame = random.bytes(Int.random(in: 1...(random.chance(50) ? 4_200 : 700), using: &random))
                if let memory = queue.reserve(frame.count) {
                    frame.withUnsafeBytes { memory.copy(ByteView($0), at: 0) }
                    queue.commit()
                    model.append(frame)
                } else {
                    refused += 1
                    // Never refused without a reason: an empty queue takes whatever fits at all.
                    #expect(!model.isEmpty || frame.count > 4_088, "seed \(seed)")
                }
            } else {
                let length = out.withUnsafeMutableBytes { queue.pop(into: MutableByteView($0)) }
                #expect(length.map { Bytes(out[..<$0]) } == model.first, "seed \(seed)")
                if !model.isEmpty { model.removeFirst() }
            }
            #expect(queue.count == model.count, "seed \(seed)")
        }
        #expect(refused > 100)
    }

    @Test func prefixes() {
        let ten = InternetPrefix(InternetAddress(10, 0, 2, 0), 24)
        #expect(ten.contains(InternetAddress(10, 0, 2, 255)) && !ten.contains(InternetAddress(10, 0, 3, 0)))
        #expect(!ten.contains(Addresses.pod6))
        let all4 = InternetPrefix(InternetAddress(0, 0, 0, 0), 0)
        #expect(all4.contains(InternetAddress(203, 0, 113, 1)) && !all4.contains(Addresses.pod6))
        let all6 = InternetPrefix(.unspecifiedIPv6, 0)
        #expect(all6.contains(Addresses.server6))
        let host = InternetPrefix(Addresses.server6, 128)
        #expect(host.contains(Addresses.server6) && !host.contains(Addresses.pod6))
        #expect(
            MACAddress(0x5255_0a00_0202).linkLocal == InternetAddress(high: 0xfe80 << 48, low: 0x5055_0aff_fe00_0202))
    }

    @Test func sequenceNumbersWrap() {
        let near = SequenceNumber(0xffff_fff0)
        #expect(near < near + 0x20 && near + 0x20 > near)
        #expect((near + 0x20).value == 0x10)
        #expect((near + 0x20) - near == 0x20 && near - (near + 0x20) == -0x20)
        #expect(!(near < near) && near <= near)
    }

    /// Reference values from an independent implementation of SipHash over the same 40 bytes.
    @Test func keyedHashes() {
        let key = HashKey(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908)
        #expect(
            key.sequenceHash(
                0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908, 0x1716_1514_1312_1110, 0x1f1e_1d1c_1b1a_1918,
                0x2726_2524_2322_2120) == 0x5304_a7d0)
        #expect(key.tableHash(1, 2, 3, 4, 5) != key.tableHash(1, 2, 3, 4, 6))
    }

    @Test func recordOfAFlowIsSmall() {
        // Slab place, two index entries, timer entry and back-pointer.
        #expect(NetStack.bytesPerIdleFlow < 256)
    }
}
