// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import SystemPackage

/// A range of subordinate ids: subuid(5), subgid(5).
public struct SubordinateRange: Sendable, Equatable {
    public var start: UInt32
    public var count: UInt32

    /// The first range in `file` for the user, by name or number; nil if there is none.
    static func first(in file: String, name: String?, uid: UInt32) -> SubordinateRange? {
        guard let bytes = try? File.read(file, limit: 4 << 20) else { return nil }
        return parse(bytes, name: name, uid: uid)
    }

    static func parse(_ bytes: [UInt8], name: String?, uid: UInt32) -> SubordinateRange? {
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
                .map { String(decoding: $0, as: UTF8.self) }
            guard fields.count == 3, fields[0] == name || fields[0] == String(uid),
                let start = UInt32(fields[1]), let count = UInt32(fields[2]), count > 0
            else { continue }
            return SubordinateRange(start: start, count: count)
        }
        return nil
    }
}

/// The account this process runs for. Static glibc has no usable NSS, so the file is read directly; an account that
/// is only in a directory service has no name here and its subordinate ids must be listed by number.
public struct Account: Sendable {
    public var uid: UInt32
    public var gid: UInt32
    public var name: String?
    public var home: String?

    public static func current() -> Account {
        let (uid, gid) = Identity.effective
        var account = Account(uid: uid, gid: gid, name: nil, home: nil)
        guard let bytes = try? File.read("/etc/passwd", limit: 16 << 20) else { return account }
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
            guard fields.count >= 6, UInt32(String(decoding: fields[2], as: UTF8.self)) == uid else { continue }
            account.name = String(decoding: fields[0], as: UTF8.self)
            account.home = String(decoding: fields[5], as: UTF8.self)
            break
        }
        return account
    }
}
