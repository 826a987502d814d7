// SPDX-License-Identifier: Apache-2.0
import CLinux
import JSON
import LinuxSystem
import OCISpec
import SystemPackage

/// The directory that holds one directory for each container of the OCI runtime:
///
///     ROOT/ID/state.json    what `ContainerRecord` holds; absent while `create` works
///     ROOT/ID/config.json   the bundle's, as it was at creation: later changes have no effect
///     ROOT/ID/start         socket on which the created process waits; unlinked by `start`
///
/// The directory's mkdir(2) is what makes an id unique. Status is never stored: it is what the process is doing.
package struct StateRoot: Sendable {
    package let path: String

    /// - Parameter path: absolute, or relative to the current directory; nil is the user's default.
    package init(_ path: String?) throws(RuntimeError) {
        if let path {
            let current = try describing("read", "the current directory") { () throws(Errno) in try Directory.current()
            }
            self.path = path.hasPrefix("/") ? path : current + "/" + path
        } else {
            self.path = StateRoot.defaultPath()
        }
    }

    private static func defaultPath() -> String {
        let (uid, _) = Identity.effective
        // Root of a user namespace is somebody's rootless container engine, whose /run is not its own.
        if uid == 0, !UserNamespace.isNested { return "/run/samara-runtime" }
        if let directory = Identity.environment("XDG_RUNTIME_DIR"), directory.hasPrefix("/") {
            return directory + "/samara-runtime"
        }
        return "/tmp/samara-runtime-\(UserNamespace.outerID(uid))"
    }

    /// Makes the directory, and refuses one that another user made first.
    package func prepare() throws(RuntimeError) {
        try describing("create the state directory", path) { () throws(Errno) in
            try Directory.makeAll(path, mode: 0o700)
        }
        let status = try describing("open the state directory", path) { () throws(Errno) in
            try File.status(path, follow: false)
        }
        guard status.isDirectory, status.owner == Identity.effective.0, status.permissions & 0o022 == 0 else {
            throw RuntimeError("the state directory `\(path)` must be a directory that only this user can write to")
        }
    }

    /// The directory of the container `id`, which is checked to be one path component.
    package func directory(_ id: String) throws(RuntimeError) -> String {
        if let problem = RuntimeIdentifier.problem(id) { throw RuntimeError("\(problem): `\(id.prefix(64))`") }
        return "\(path)/\(id)"
    }

    /// Ids of everything in the directory, sorted.
    package func ids() throws(RuntimeError) -> [String] {
        do { return try Directory.names(path).filter { RuntimeIdentifier.problem($0) == nil }.sorted() } catch {
            if error == .noSuchFileOrDirectory { return [] }
            throw RuntimeError("list", path, error)
        }
    }
}

/// Where this process stands among user namespaces: user_namespaces(7).
package enum UserNamespace {
    private static var extents: [IDMap.Extent] {
        (try? File.read("/proc/self/uid_map", limit: 1 << 16)).map(IDMap.parse) ?? []
    }

    /// Whether this is not the initial namespace, whose one map is the identity over all 2^32 - 1 ids.
    package static var isNested: Bool {
        extents != [IDMap.Extent(inside: 0, outside: 0, count: .max)]
    }

    /// The id that `id` has in the parent namespace.
    static func outerID(_ id: UInt32) -> UInt32 {
        for extent in extents where id >= extent.inside && id - extent.inside < extent.count {
            return extent.outside + (id - extent.inside)
        }
        return id
    }
}
