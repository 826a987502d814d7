// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import OCISpec
import SystemPackage

/// The id maps of a config's new user namespace, while they are being written.
///
/// newuidmap and newgidmap take longer than everything that a container otherwise waits for. Both are started before
/// anything is waited for, and the container's process uses the time for what needs no ids.
struct IDMapping: ~Copyable {
    private let users: Helper?
    private let groups: Helper?

    /// Writes the maps of `pid`, or starts the programs that do.
    static func begin(_ linux: RuntimeLinux, _ pid: Int32) throws(RuntimeError) -> IDMapping {
        let (user, group) = Identity.effective
        let map = IDMap(users: extents(linux.userMappings, user), groups: extents(linux.groupMappings, group))
        do throws(Errno) {
            if !needsHelpers(linux) {
                // One's own single id needs no privilege, at the price of setgroups(2): user_namespaces(7).
                if user != 0 { try File.write("/proc/\(pid)/setgroups", Array("deny".utf8), flags: 0) }
                try map.write(to: pid)
                return IDMapping(users: nil, groups: nil)
            }
        } catch {
            throw RuntimeError("write", "the id map of the container", error)
        }
        let users = try Helper.start("newuidmap", pid, map.users)
        let groups = try Helper.start("newgidmap", pid, map.groups)
        return IDMapping(users: consume users, groups: consume groups)
    }

    /// Whether the maps are more than this user may write: then they take the time of two programs.
    static func needsHelpers(_ linux: RuntimeLinux) -> Bool {
        let (user, group) = Identity.effective
        if user == 0 { return false }
        return !isOwn(extents(linux.userMappings, user), user) || !isOwn(extents(linux.groupMappings, group), group)
    }

    /// Returns when the maps are there.
    consuming func finish() throws(RuntimeError) {
        let ofUsers = users?.problem() ?? nil
        let ofGroups = groups?.problem() ?? nil
        if let problem = ofUsers ?? ofGroups { throw RuntimeError(problem) }
    }

    private static func extents(_ mappings: [RuntimeIDMapping], _ own: UInt32) -> [IDMap.Extent] {
        mappings.isEmpty
            ? [IDMap.Extent(inside: 0, outside: own, count: 1)]
            : mappings.map { IDMap.Extent(inside: $0.containerID, outside: $0.hostID, count: $0.size) }
    }

    private static func isOwn(_ extents: [IDMap.Extent], _ own: UInt32) -> Bool {
        extents.count == 1 && extents[0].count == 1 && extents[0].outside == own
    }

    /// newuidmap(1) or newgidmap(1) at work.
    private struct Helper: ~Copyable {
        private let path: String
        private let pid: Int32
        private let standardError: OwnedFD

        static func start(_ program: String, _ target: Int32, _ extents: [IDMap.Extent]) throws(RuntimeError) -> Helper
        {
            guard let path = HolderMap.find(program) else {
                throw RuntimeError(
                    "\(program) is not installed; install the package uidmap (Debian, Ubuntu) or shadow-utils (Fedora)")
            }
            let arguments = ["\(target)"] + extents.flatMap { ["\($0.inside)", "\($0.outside)", "\($0.count)"] }
            return try describing("run", path) { () throws(Errno) in
                let null = try File.open("/dev/null", O_RDWR)
                let pipe = try PipePair.make()
                let pid = try Spawn.start(path, arguments, descriptors: [null.raw, null.raw, pipe.writeEnd.raw])
                return Helper(path: path, pid: pid, standardError: pipe.keepingReadEnd())
            }
        }

        /// Waits for its end; nil when it has written the map.
        borrowing func problem() -> String? {
            let text = (try? File.readAll(standardError, limit: 64 << 10)) ?? []
            guard (try? Process.wait(pid: pid)) != .exited(0) else { return nil }
            let lines = String(decoding: text, as: UTF8.self).split(separator: "\n").joined(separator: "; ")
            return "\(path) refused the id map: \(lines)"
        }
    }
}
