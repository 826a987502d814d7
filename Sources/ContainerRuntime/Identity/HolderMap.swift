// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// The id map of the user's namespace: root inside is the user, 1… are the subordinate ids.
struct HolderMap {
    let account: Account
    /// nil for the real root user, who maps everything onto itself.
    let ranges: (users: SubordinateRange, groups: SubordinateRange)?

    static func forThisUser() throws(IdentityError) -> HolderMap {
        let account = Account.current()
        // Root of the initial namespace, or of a namespace around this one: every id that exists here, unchanged.
        if account.uid == 0 { return HolderMap(account: account, ranges: nil) }
        let who = account.name ?? String(account.uid)
        guard let users = SubordinateRange.first(in: "/etc/subuid", name: account.name, uid: account.uid) else {
            throw missing(who, "user", "/etc/subuid", "--add-subuids")
        }
        guard let groups = SubordinateRange.first(in: "/etc/subgid", name: account.name, uid: account.uid) else {
            throw missing(who, "group", "/etc/subgid", "--add-subgids")
        }
        return HolderMap(account: account, ranges: (users, groups))
    }

    private static func missing(_ who: String, _ kind: String, _ file: String, _ option: String) -> IdentityError {
        IdentityError(
            message:
                "user \(who) has no subordinate \(kind) ids in \(file); add a range with 'sudo usermod \(option) 100000-165535 \(who)'"
        )
    }

    func write(to pid: Int32) throws(IdentityError) {
        guard let ranges else {
            do throws(Errno) { try IDMap.identity().write(to: pid) } catch {
                throw IdentityError(message: "cannot write the id map of the user namespace: \(error.text)")
            }
            return
        }
        try run("newuidmap", pid, account.uid, ranges.users, "/etc/subuid")
        try run("newgidmap", pid, account.gid, ranges.groups, "/etc/subgid")
    }

    private func run(
        _ program: String, _ pid: Int32, _ own: UInt32, _ range: SubordinateRange, _ file: String
    ) throws(IdentityError) {
        guard let path = HolderMap.find(program) else {
            throw IdentityError(
                message:
                    "\(program) is not installed; install the package uidmap (Debian, Ubuntu) or shadow-utils (Fedora)")
        }
        let outcome: Spawn.Outcome
        do {
            outcome = try Spawn.run(path, ["\(pid)", "0", "\(own)", "1", "1", "\(range.start)", "\(range.count)"])
        } catch {
            throw IdentityError(message: "cannot run \(path): \(error.text)")
        }
        guard outcome.status == .exited(0) else {
            let said = outcome.standardError.split(separator: "\n").joined(separator: "; ")
            throw IdentityError(
                message:
                    "\(path) refused to map \(file)'s range \(range.start)-\(UInt64(range.start) + UInt64(range.count) - 1): \(said.isEmpty ? "exit status \(outcome.status.code)" : said)"
            )
        }
    }

    /// The absolute path of a program in PATH, then in the usual places: a set-uid helper is never run by a relative name.
    static func find(_ program: String) -> String? {
        let path = Identity.environment("PATH") ?? ""
        for directory in path.split(separator: ":").map(String.init) + ["/usr/bin", "/bin", "/usr/sbin", "/sbin"]
        where directory.hasPrefix("/") {
            let candidate = "\(directory)/\(program)"
            if let status = try? File.status(candidate), status.isRegular, status.permissions & 0o111 != 0 {
                return candidate
            }
        }
        return nil
    }
}
