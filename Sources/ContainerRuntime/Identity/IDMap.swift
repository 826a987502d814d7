// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import SystemPackage

/// The lines of uid_map and gid_map: user_namespaces(7).
public struct IDMap: Sendable, Equatable {
    public struct Extent: Sendable, Equatable {
        public var inside: UInt32
        public var outside: UInt32
        public var count: UInt32
        public init(inside: UInt32, outside: UInt32, count: UInt32) {
            self.inside = inside
            self.outside = outside
            self.count = count
        }
    }

    public var users: [Extent]
    public var groups: [Extent]
    public init(users: [Extent], groups: [Extent]) {
        self.users = users
        self.groups = groups
    }

    static func text(_ extents: [Extent]) -> String {
        extents.reduce(into: "") { $0 += "\($1.inside) \($1.outside) \($1.count)\n" }
    }

    /// Parses the kernel's own `/proc/PID/uid_map` form.
    static func parse(_ bytes: [UInt8]) -> [Extent] {
        bytes.split(separator: UInt8(ascii: "\n")).compactMap { line in
            let numbers = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: true)
                .compactMap { UInt32(String(decoding: $0, as: UTF8.self)) }
            return numbers.count == 3 ? Extent(inside: numbers[0], outside: numbers[1], count: numbers[2]) : nil
        }
    }

    /// The map that gives a namespace nested in this process's one the same ids. It repeats the extents one by
    /// one: a range across two parent extents is EINVAL.
    public static func identity() throws(Errno) -> IDMap { try nested(in: "self") }

    /// The same for a namespace nested in that of a process, by its name in /proc.
    static func nested(in process: String) throws(Errno) -> IDMap {
        func same(_ extents: [Extent]) -> [Extent] {
            extents.map { Extent(inside: $0.inside, outside: $0.inside, count: $0.count) }
        }
        return IDMap(
            users: same(parse(try File.readRecord("/proc/\(process)/uid_map"))),
            groups: same(parse(try File.readRecord("/proc/\(process)/gid_map"))))
    }

    /// Writes the maps of the process `pid`, whose user namespace is new and a child of this process's one.
    /// The caller has CAP_SETUID and CAP_SETGID in its own namespace.
    func write(to pid: Int32) throws(Errno) {
        try File.write("/proc/\(pid)/uid_map", Array(IDMap.text(users).utf8), flags: 0)
        try File.write("/proc/\(pid)/gid_map", Array(IDMap.text(groups).utf8), flags: 0)
    }
}
