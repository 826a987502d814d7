// SPDX-License-Identifier: Apache-2.0
import CAllocationCount
import Glibc

/// What one operation costs: nanoseconds in each of several samples, and allocations.
struct Measurement {
    let id: String
    let title: String
    let nanoseconds: [Double]
    /// malloc, calloc, realloc and the like, per operation, after a warm-up.
    let allocations: Double
}

/// Samples of operations that are repeated until a sample lasts long enough for the clock.
struct Measuring {
    var sampleMilliseconds = 4.0
    var samples = 9
    /// Only those; empty for all.
    var wanted: Set<String> = []
    private(set) var measurements: [Measurement] = []

    /// - Parameter body: runs the operation that many times. Closures, `Any` and arrays of its own would be counted.
    mutating func measure(_ id: String, _ title: String, _ body: (Int) throws -> Void) rethrows {
        guard wanted.isEmpty || wanted.contains(id) else { return }
        var count = 8
        // Warm-up: tables grow to their high-water mark meanwhile.
        while true {
            let began = now()
            try body(count)
            let elapsed = Double(now() - began) / 1e6
            if elapsed >= sampleMilliseconds / 2 {
                count = max(8, Int(Double(count) * sampleMilliseconds / elapsed))
                break
            }
            count *= 2
        }
        var times: [Double] = []
        times.reserveCapacity(samples)
        var allocations: UInt = 0
        for _ in 0..<samples {
            let before = samara_allocation_count()
            let began = now()
            try body(count)
            let ended = now()
            allocations = UInt(samara_allocation_count() - before)
            times.append(Double(ended - began) / Double(count))
        }
        measurements.append(
            Measurement(id: id, title: title, nanoseconds: times, allocations: Double(allocations) / Double(count)))
    }

    /// A JSON object with an entry for each benchmark.
    var json: String {
        let entries = measurements.map {
            "\"\($0.id)\": {\"title\": \"\($0.title)\", \"nanoseconds\": \($0.nanoseconds), \"allocations\": \($0.allocations)}"
        }
        return "{" + entries.joined(separator: ",\n ") + "}"
    }

    private func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

/// Keeps the compiler from removing what nobody looks at.
@inline(never) @_optimize(none)
func keep<Value: ~Copyable>(_ value: borrowing Value) {}
