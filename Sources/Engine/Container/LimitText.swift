// SPDX-License-Identifier: Apache-2.0
import CLinux
import ContainerRuntime

/// `--ulimit name=soft[:hard]`: setrlimit(2).
enum LimitText {
    private static let resources: [(name: String, number: Int32)] = [
        ("cpu", 0), ("fsize", 1), ("data", 2), ("stack", 3), ("core", 4), ("rss", 5), ("nproc", 6), ("nofile", 7),
        ("memlock", 8), ("as", 9), ("locks", 10), ("sigpending", 11), ("msgqueue", 12), ("nice", 13), ("rtprio", 14),
        ("rttime", 15),
    ]

    static func parse(_ text: String) throws(EngineError) -> ResourceLimit {
        func invalid(_ why: String) -> EngineError {
            EngineError("invalid ulimit \"\(text)\": \(why); use name=soft[:hard], for example nofile=1024:2048")
        }
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else { throw invalid("the value is missing") }
        guard let resource = resources.first(where: { $0.name == parts[0].lowercased() }) else {
            throw invalid("unknown limit \"\(parts[0])\"")
        }
        let values = parts[1].split(separator: ":", omittingEmptySubsequences: false)
        guard values.count <= 2, let first = values.first, let soft = number(first) else { throw invalid("bad number") }
        guard let hard = values.count == 2 ? number(values[1]) : soft else { throw invalid("bad number") }
        guard soft <= hard else { throw invalid("the soft limit is above the hard limit") }
        return ResourceLimit(resource: resource.number, soft: soft, hard: hard)
    }

    private static func number(_ text: Substring) -> UInt64? {
        text == "-1" || text == "unlimited" ? .max : UInt64(text)
    }
}
