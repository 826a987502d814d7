// SPDX-License-Identifier: Apache-2.0
import JSON
import LinuxSystem

/// The codec pieces that all records share. A field that is missing reads as its default, so that an older record
/// stays readable; `schema` tells a newer one apart.
let recordSchema: Int64 = 1

extension JSON {
    func text(_ key: String) -> String { self[key]?.stringValue ?? "" }
    func optionalText(_ key: String) -> String? { self[key]?.stringValue }
    func flag(_ key: String) -> Bool { self[key]?.boolValue ?? false }
    func number(_ key: String) -> Int64 { self[key]?.intValue ?? 0 }
    func texts(_ key: String) -> [String] { self[key]?.arrayValue?.compactMap(\.stringValue) ?? [] }
    func list(_ key: String) -> [JSON] { self[key]?.arrayValue ?? [] }
    func map(_ key: String) -> [(key: String, value: String)] {
        self[key]?.objectValue?.compactMap { entry in entry.value.stringValue.map { (entry.key, $0) } } ?? []
    }
    func moment(_ key: String) -> Timestamp? {
        guard let pair = self[key]?.arrayValue, pair.count == 2, let seconds = pair[0].intValue,
            let nanoseconds = pair[1].intValue
        else { return nil }
        return Timestamp(seconds: seconds, nanoseconds: Int32(truncatingIfNeeded: nanoseconds))
    }
    func process(_ key: String) -> ProcessIdentity? {
        guard let pair = self[key]?.arrayValue, pair.count == 2, let pid = pair[0].intValue,
            let start = pair[1].intValue
        else { return nil }
        return ProcessIdentity(pid: Int32(truncatingIfNeeded: pid), startTime: UInt64(bitPattern: start))
    }

    static func texts(_ values: [String]) -> JSON { .array(values.map { .string($0) }) }
    static func map(_ pairs: [(key: String, value: String)]) -> JSON {
        var object = JSONObject()
        for pair in pairs { object[pair.key] = .string(pair.value) }
        return .object(object)
    }
    static func moment(_ value: Timestamp?) -> JSON {
        value.map { .array([.int($0.seconds), .int(Int64($0.nanoseconds))]) } ?? .null
    }
    static func process(_ value: ProcessIdentity?) -> JSON {
        value.map { .array([.int(Int64($0.pid)), .int(Int64(bitPattern: $0.startTime))]) } ?? .null
    }
}
