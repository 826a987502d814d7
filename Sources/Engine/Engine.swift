// SPDX-License-Identifier: Apache-2.0
import ContainerRuntime
import ImageStore
import JSON
import LinuxSystem
import SystemPackage

/// The engine: every verb of the command line, over records in files.
///
/// There is no daemon. A command reads records, checks them against the kernel, changes what it must under the object's
/// lock and exits; each step is ordered so that a kill between any two leaves something the next command understands:
/// - a name is reserved before its object appears, and the reservation names its maker, so a dead maker's is void;
/// - an object appears by one rename of a finished directory and disappears by one rename into the trash;
/// - "running" in a state file counts only while the recorded process exists.
public struct Engine: Sendable {
    public let paths: StorePaths
    public let images: ImageStore
    public let holder: UserNamespaceHolder
    /// Where samara-net and samara-image are: beside this executable.
    var executables: String {
        let own = SelfProtection.programPath
        return own.lastIndex(of: "/").map { String(own[..<$0]) } ?? "/usr/bin"
    }
    /// Called with one sentence when something was found broken and repaired or cannot be honoured.
    let warn: @Sendable (String) -> Void

    public init(root: String?, run: String?, warn: @escaping @Sendable (String) -> Void) throws(EngineError) {
        paths = try StorePaths(root: root, run: run)
        try paths.prepare()
        images = ImageStore(root: paths.root)
        holder = UserNamespaceHolder(directory: paths.run)
        self.warn = warn
    }

    /// Makes this process root of the user's namespace; whatever touches container files does it first.
    /// Descriptors and the host's network stay as they are.
    public func enterUserNamespace() throws(EngineError) {
        if EngineProcess.isInUserNamespace { return }
        // Below `unshare`: joining the namespace that one is in is EINVAL.
        if Identity.atStart.user == 0, let holder = holder.identity, isNamespace(of: holder.pid) {
            EngineProcess.isInUserNamespace = true
            return
        }
        do { try holder.join(survivors: survivors) } catch { throw EngineError(error.message) }
        EngineProcess.isInUserNamespace = true
    }

    /// The map of a namespace nested in the user's that gives the same ids. After `enterUserNamespace`.
    func nestedMap() throws(EngineError) -> IDMap {
        do { return try holder.nestedMap() } catch { throw EngineError("read", "/proc/self/uid_map", error) }
    }

    private func isNamespace(of pid: Int32) -> Bool {
        guard let own = try? File.status("/proc/self/ns/user"), let other = try? File.status("/proc/\(pid)/ns/user")
        else { return false }
        return own.inode == other.inode && own.device == other.device
    }

    /// Whether this process is root of the user's namespace without having asked: below `unshare`.
    public var isUnshared: Bool {
        guard Identity.atStart.user == 0, let holder = holder.identity else { return false }
        return isNamespace(of: holder.pid)
    }

    /// Ends the user namespace holder when no container or pod is left to need it: after `rm --all` and `pod rm --all`
    /// nothing of samara runs. The next start makes a new one.
    public func releaseIfIdle() {
        sweep()
        let isEmpty = [paths.containers, paths.pods, paths.sandboxes].allSatisfy {
            ((try? Directory.names($0)) ?? [""]).isEmpty
        }
        if isEmpty { holder.stop() }
    }

    /// The container's lock: of its directory, so that nothing is made or deleted for it.
    func lockContainer(_ id: String) throws(EngineError) -> FileLock {
        let path = paths.container(id)
        let lock: FileLock?
        do { lock = try FileLock.acquire(directory: path) } catch { throw EngineError("lock", path, error) }
        guard let lock else { throw EngineError.noSuchContainer(id) }
        return lock
    }

    /// A pod's lock.
    func lock(_ id: String) throws(EngineError) -> FileLock {
        let path = paths.lock(id)
        do { return try FileLock.acquire(path) } catch { throw EngineError("lock", path, error) }
    }

    func writeRecord(_ path: String, _ json: JSON) throws(EngineError) {
        try attempt("write", path) { () throws(Errno) in try File.replace(path, json.serialized()) }
    }

    func readRecord(_ path: String) throws(EngineError) -> JSON {
        let bytes = try attempt("read", path) { () throws(Errno) in try File.readRecord(path, limit: 16 << 20) }
        return try parseRecord(bytes, path)
    }

    func parseRecord(_ bytes: [UInt8], _ path: String) throws(EngineError) -> JSON {
        do { return try JSON.parse(bytes) } catch {
            throw EngineError("the record \(path) is damaged at byte \(error.offset): \(error.reason)")
        }
    }

    /// The kernel's boot id: a pid recorded under another one means nothing.
    static let boot: String = {
        let bytes = (try? File.readRecord("/proc/sys/kernel/random/boot_id", limit: 64)) ?? []
        return String(decoding: bytes.prefix(36), as: UTF8.self)
    }()
}

/// State of this process that outlives a call. Processes of the engine have one thread, always (see Launch.join).
enum EngineProcess {
    nonisolated(unsafe) static var isInUserNamespace = false
}
