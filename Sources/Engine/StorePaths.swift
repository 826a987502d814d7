// SPDX-License-Identifier: Apache-2.0
import ContainerRuntime
import LinuxSystem
import SystemPackage

/// Where everything lives. `root` survives a reboot (XDG_DATA_HOME); `run` need not (XDG_RUNTIME_DIR).
///
///     root/blobs, layers, images, tags   the image store
///     root/containers/<id>/              config.json state.json diff/ work/ hosts hostname resolv.conf ctr.log
///     root/pods/<id>/                    config.json state.json
///     root/volumes/<name>/               config.json _data/
///     root/names/<name>                  symlink to its owner: an exclusive create that carries data
///     root/trash/                        renamed away, being deleted
///     root/base/                         the layer below every image: what the engine mounts on
///     run/holder                         pid and start time of the user namespace holder
///     run/locks/                         one flock file per pod; a container's lock is its directory
///     run/sandboxes/<id>/                a keeper with its samara-net
///     run/containers/<id>                attach socket
public struct StorePaths: Sendable {
    public let root: String
    public let run: String

    /// The user's defaults unless given: --root, --runroot.
    public init(root: String?, run: String?) throws(EngineError) {
        if let root {
            self.root = try StorePaths.absolute(root)
        } else {
            let data = Identity.environment("XDG_DATA_HOME").flatMap { $0.hasPrefix("/") ? $0 : nil }
            // The account file only where the environment says nothing.
            let home = Identity.environment("HOME").flatMap { $0.hasPrefix("/") ? $0 : nil } ?? Account.current().home
            guard let base = data ?? home.map({ $0 + "/.local/share" }) else {
                throw EngineError("cannot find a place for containers: set HOME, XDG_DATA_HOME or --root")
            }
            self.root = base + "/samara"
        }
        if let run {
            self.run = try StorePaths.absolute(run)
        } else {
            let runtime = Identity.environment("XDG_RUNTIME_DIR").flatMap {
                $0.hasPrefix("/") && File.exists($0) ? $0 : nil
            }
            self.run = runtime.map { $0 + "/samara" } ?? "/tmp/samara-run-\(Identity.atStart.user)"
        }
    }

    private static func absolute(_ path: String) throws(EngineError) -> String {
        var text = path
        if !text.hasPrefix("/") {
            text =
                try attempt("find the current directory for", path) { () throws(Errno) in try Directory.current() }
                + "/" + path
        }
        while text.count > 1, text.hasSuffix("/") { text.removeLast() }
        return text
    }

    public var containers: String { root + "/containers" }
    public var pods: String { root + "/pods" }
    public var volumes: String { root + "/volumes" }
    public var names: String { root + "/names" }
    public var trash: String { root + "/trash" }
    public var cache: String { root + "/cache" }
    /// Where `image mount` mounts, each `unshare` for itself: empty when looked at from outside.
    public var mounts: String { root + "/mounts" }
    /// The directory on which every container assembles its root, each in its own mount namespace.
    public var rootMountPoint: String { root + "/rootfs" }
    /// The lowest layer of every container's root: an empty file or directory for each mount of the engine, so that none
    /// is made in the container's own layer at each start, and deleted with it.
    public var baseLayer: String { root + "/base" }
    public var locks: String { run + "/locks" }
    public var sandboxes: String { run + "/sandboxes" }
    public var runContainers: String { run + "/containers" }
    /// An empty directory that masks directories.
    public var empty: String { run + "/empty" }

    public func container(_ id: String) -> String { "\(containers)/\(id)" }
    public func pod(_ id: String) -> String { "\(pods)/\(id)" }
    public func volume(_ name: String) -> String { "\(volumes)/\(name)" }
    public func sandbox(_ id: String) -> String { "\(sandboxes)/\(id)" }
    public func log(_ id: String) -> String { container(id) + "/ctr.log" }
    /// Its presence tells the monitor that the user stopped the container: no restart policy brings it back.
    func stopMark(_ id: String) -> String { container(id) + "/stopped" }
    func attachSocket(_ id: String) -> String { "\(runContainers)/\(id)" }
    public func lock(_ name: String) -> String { "\(locks)/\(name)" }

    /// Makes what is missing. One `stat` each when all is there.
    func prepare() throws(EngineError) {
        // The last one made is the mark that the others exist.
        if File.exists(empty), File.exists(baseLayer) { return try checkOwner() }
        for path in [containers, pods, volumes, names, trash, cache, mounts, rootMountPoint] {
            try attempt("create the directory", path) { () throws(Errno) in try Directory.makeAll(path) }
        }
        try attempt("make the directory", baseLayer) { () throws(Errno) in try makeBaseLayer() }
        for path in [locks, sandboxes, runContainers, empty] {
            try attempt("create the directory", path) { () throws(Errno) in try Directory.makeAll(path) }
        }
        try checkOwner()
    }

    /// Whole or not at all, whatever the umask: everybody in a container sees these.
    private func makeBaseLayer() throws(Errno) {
        if File.exists(baseLayer) { return }
        let maker = Process.identity
        let temporary = "\(trash)/new-base-\(maker.pid)-\(maker.startTime)"
        let former = Process.setFileModeMask(0)
        defer { _ = Process.setFileModeMask(former) }
        try? FileTree.remove(temporary)
        for name in ["", "/dev", "/etc", "/proc", "/run", "/sys"] { try Directory.make(temporary + name) }
        for name in ["etc/hosts", "etc/hostname", "etc/resolv.conf", "run/.containerenv"] {
            try File.write("\(temporary)/\(name)", [])
        }
        do { try File.rename(temporary, baseLayer) } catch {
            // Another command was first.
            try? FileTree.remove(temporary)
            if !File.exists(baseLayer) { throw error }
        }
    }

    /// A run directory in /tmp could have been made by somebody else.
    private func checkOwner() throws(EngineError) {
        let status = try attempt("inspect", run) { () throws(Errno) in try File.status(run, follow: false) }
        let uid = Identity.atStart.user
        guard status.isDirectory, status.owner == uid || uid == 0, status.permissions & 0o022 == 0 else {
            throw EngineError(
                "the run directory \(run) is not a directory that only this user can write; remove it or choose another with --runroot"
            )
        }
    }
}
