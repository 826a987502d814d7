// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

/// A JSON value that a test walks by keys and indices; a wrong step gives nil.
struct Value {
    let raw: Any?

    init(_ raw: Any?) { self.raw = raw }

    init(parsing text: String) throws {
        raw = try JSONSerialization.jsonObject(with: Data(text.utf8), options: .fragmentsAllowed)
    }

    subscript(_ key: String) -> Value { Value((raw as? [String: Any])?[key]) }
    subscript(_ index: Int) -> Value {
        let list = raw as? [Any] ?? []
        return Value(list.indices.contains(index) ? list[index] : nil)
    }

    var text: String? { raw as? String }
    var number: Int? { (raw as? NSNumber)?.intValue }
    var flag: Bool? { raw as? Bool }
    var list: [Value]? { (raw as? [Any])?.map(Value.init) }
    var texts: [String]? { raw as? [String] }
    var keys: Set<String>? { (raw as? [String: Any]).map { Set($0.keys) } }
}

extension Samara {
    /// The first object that `samara inspect` (or another command that prints a JSON list) shows.
    func inspect(_ arguments: String..., sourceLocation: SourceLocation = #_sourceLocation) throws -> Value {
        let words = arguments.count == 1 ? ["inspect"] + arguments : arguments
        let result = try run(words)
        try #require(result.status == 0, "\(result)", sourceLocation: sourceLocation)
        let value = try Value(parsing: result.stdout)
        return value.list.flatMap(\.first) ?? value
    }

    /// The container's first process on the host.
    func pid(of container: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> Int {
        let pid = try inspect(container, sourceLocation: sourceLocation)["State"]["Pid"].number ?? 0
        try #require(pid > 1, "the process of \(container)", sourceLocation: sourceLocation)
        return pid
    }

    /// A folder of the host below this installation, for bind mounts.
    func folder(_ name: String) throws -> String {
        let path = "\(home)/\(name)"
        try? FileManager.default.removeItem(atPath: path)
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        return path
    }

    /// Gets a page through the host.
    func fetch(_ port: UInt16, _ path: String = "/", host: String = "localhost") throws -> CommandResult {
        try runCommand(
            ["/usr/bin/curl", "-sS", "--noproxy", "*", "--max-time", "5", "http://\(host):\(port)\(path)"],
            environment: environment)
    }

    /// Waits until a page is served.
    func waitForPage(
        _ port: UInt16, _ path: String = "/", sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> String {
        var page = try fetch(port, path)
        try eventually("a page at port \(port)", sourceLocation: sourceLocation) {
            if page.status == 0 { return true }
            page = try fetch(port, path)
            return page.status == 0
        }
        return page.stdout
    }
}

/// Makes an empty file, which a program in a container waits for.
func touch(_ path: String) throws { try Data().write(to: URL(fileURLWithPath: path)) }

/// SplitMix64, so that a random test can be repeated: it prints the seed, and SAMARA_TEST_SEED sets it.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(announcing test: String) {
        let given = ProcessInfo.processInfo.environment["SAMARA_TEST_SEED"].flatMap { UInt64($0) }
        state = given ?? UInt64.random(in: .min ... .max)
        print("\(test): SAMARA_TEST_SEED=\(state)")
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}
