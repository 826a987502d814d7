// SPDX-License-Identifier: Apache-2.0
import JSON

/// One mount: config.md, "Mounts"; its options sorted by what they act on.
package struct RuntimeMount: Sendable {
    /// MOUNT_ATTR_* of mount_setattr(2): what an option word sets or clears.
    package struct Attributes: Sendable, Equatable {
        package var set: UInt64 = 0
        package var clear: UInt64 = 0
    }

    /// The owners that files of a bind mount appear with; empty lists mean the map of the container's user namespace.
    package struct IDMapping: Sendable, Equatable {
        package var users: [RuntimeIDMapping]
        package var groups: [RuntimeIDMapping]
        package var isRecursive: Bool
    }

    package var destination: String
    package var type: String
    package var source: String
    package var isBind = false
    package var isRecursive = false
    package var isRemount = false
    package var copiesUp = false
    package var idMapping: IDMapping?
    package var attributes = Attributes()
    /// Of the mount and everything below it: the words `rro`, `rnosuid`, …
    package var recursiveAttributes = Attributes()
    /// MS_PRIVATE, MS_SLAVE, MS_SHARED or MS_UNBINDABLE, and whether for the whole tree; in the order given.
    package var propagation: [(flag: UInt64, isRecursive: Bool)] = []
    /// What the filesystem itself understands: `size=64k`, `newinstance`.
    package var data: [(key: String, value: String?)] = []

    init(_ fields: RuntimeFields) throws(RuntimeSpecError) {
        let given = try fields.required("destination")
        // Relative destinations are deprecated, and taken from the root.
        destination = given.hasPrefix("/") ? given : "/" + given
        type = try fields.string("type") ?? ""
        source = try fields.string("source") ?? ""
        let users = try RuntimeIDMapping.list(fields, "uidMappings")
        let groups = try RuntimeIDMapping.list(fields, "gidMappings")
        if type == "bind" { isBind = true }
        for option in try fields.strings("options") { try apply(option, fields) }
        if users.isEmpty != groups.isEmpty {
            throw fields.failure("uidMappings", "uidMappings and gidMappings must be given together")
        }
        if !users.isEmpty {
            idMapping = IDMapping(users: users, groups: groups, isRecursive: idMapping?.isRecursive ?? false)
        }
        if idMapping != nil, !isBind {
            throw fields.failure("options", "an id-mapped mount must be a bind mount")
        }
        if type.isEmpty, !isBind, !isRemount { throw fields.failure("type", "is required unless it is a bind mount") }
        if isBind, source.isEmpty { throw fields.failure("source", "is required for a bind mount") }
    }

    private mutating func apply(_ option: String, _ fields: RuntimeFields) throws(RuntimeSpecError) {
        switch option {
        case "defaults", "async", "loud", "nomand", "noiversion", "nolazytime", "silent", "": return
        case "bind": isBind = true
        case "rbind":
            isBind = true
            isRecursive = true
        case "remount": isRemount = true
        case "tmpcopyup": copiesUp = true
        case "idmap", "ridmap": idMapping = IDMapping(users: [], groups: [], isRecursive: option == "ridmap")
        default:
            if let attribute = MountWords.attributes[option] {
                attributes.add(attribute)
            } else if option.hasPrefix("r"), let attribute = MountWords.attributes[String(option.dropFirst())] {
                recursiveAttributes.add(attribute)
            } else if let flag = MountWords.propagation[option] {
                propagation.append((flag, false))
            } else if option.hasPrefix("r"), let flag = MountWords.propagation[String(option.dropFirst())] {
                propagation.append((flag, true))
            } else if let equals = option.firstIndex(of: "=") {
                data.append((String(option[..<equals]), String(option[option.index(after: equals)...])))
            } else {
                data.append((option, nil))
            }
        }
    }

    /// A mount over /proc hides what the runtime and the kernel's own checks rely on (CVE-2019-16884): only real
    /// procfs may be there, and below it only the files that LXCFS provides.
    func validate() throws(RuntimeSpecError) {
        let components = destination.split(separator: "/").filter { $0 != "." }
        if components.contains("..") {
            throw RuntimeSpecError("mounts: the destination `\(destination)` must not contain `..`")
        }
        guard components.first == "proc" else { return }
        let path = "/" + components.joined(separator: "/")
        if path == "/proc" {
            if type == "proc" || (isBind && source == "/proc") || isRemount { return }
        } else if MountWords.allowedBelowProc.contains(path) {
            return
        }
        throw RuntimeSpecError("mounts: `\(destination)` cannot be mounted because it is inside /proc")
    }
}

extension RuntimeMount.Attributes {
    fileprivate mutating func add(_ word: (set: UInt64, clear: UInt64)) {
        set = set & ~word.clear | word.set
        clear = clear & ~word.set | word.clear
    }
}

/// The option words of config.md, "Linux mount options"; values are the kernel's (linux/mount.h).
package enum MountWords {
    private static let readOnly: UInt64 = 0x1, noSuid: UInt64 = 0x2, noDevices: UInt64 = 0x4, noExecute: UInt64 = 0x8
    private static let accessTime: UInt64 = 0x70, noAccessTime: UInt64 = 0x10, strictAccessTime: UInt64 = 0x20
    private static let noDirectoryAccessTime: UInt64 = 0x80, noFollow: UInt64 = 0x20_0000

    static let attributes: [String: (set: UInt64, clear: UInt64)] = [
        "ro": (readOnly, 0), "rw": (0, readOnly), "nosuid": (noSuid, 0), "suid": (0, noSuid),
        "nodev": (noDevices, 0), "dev": (0, noDevices), "noexec": (noExecute, 0), "exec": (0, noExecute),
        "noatime": (noAccessTime, accessTime), "atime": (0, accessTime),
        "relatime": (0, accessTime), "norelatime": (strictAccessTime, accessTime),
        "strictatime": (strictAccessTime, accessTime), "nostrictatime": (0, accessTime),
        "nodiratime": (noDirectoryAccessTime, 0), "diratime": (0, noDirectoryAccessTime),
        "nosymfollow": (noFollow, 0), "symfollow": (0, noFollow),
    ]
    static let propagation: [String: UInt64] = [
        "private": 1 << 18, "slave": 1 << 19, "shared": 1 << 20, "unbindable": 1 << 17,
    ]
    static let allowedBelowProc: Set<String> = [
        "/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat", "/proc/swaps", "/proc/uptime",
        "/proc/loadavg", "/proc/slabinfo", "/proc/net/dev", "/proc/sys/kernel/ns_last_pid",
        "/proc/sys/crypto/fips_enabled",
    ]

    /// Every word, for `features`.
    package static var all: [String] {
        let words = Array(attributes.keys) + Array(propagation.keys)
        let recursive = words.map { "r" + $0 }
        return
            (words + recursive + [
                "bind", "rbind", "idmap", "ridmap", "defaults", "remount", "tmpcopyup", "async", "sync", "dirsync",
                "lazytime", "mand",
            ])
            .sorted()
    }
}
