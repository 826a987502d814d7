// SPDX-License-Identifier: Apache-2.0
import ImageStore
import LinuxSystem
import OCISpec

/// `-v`, `--mount` and `--tmpfs` as given.
extension Engine {
    func mounts(_ request: ContainerRequest, _ image: ImageRecord?) throws(EngineError) -> [MountRecord] {
        var mounts: [MountRecord] = []
        for text in request.volumes { mounts.append(try MountText.volume(text)) }
        for text in request.mounts { mounts.append(try MountText.mount(text)) }
        for text in request.tmpfs { mounts.append(try MountText.tmpfs(text)) }
        // The image's own volumes, unless something is mounted there.
        for path in image?.config.volumes.sorted() ?? [] {
            let destination = MountText.clean(path)
            if destination == "/" || mounts.contains(where: { $0.destination == destination }) { continue }
            var mount = MountRecord(kind: .volume, source: NameTable.newID(), destination: destination)
            mount.isAnonymous = true
            mounts.append(mount)
        }
        for mount in mounts where mount.kind == .bind && !File.exists(mount.source) {
            throw EngineError("cannot mount \(mount.source): no such file or directory: create it first")
        }
        // A parent is mounted before what is mounted inside it.
        return mounts.sorted { MountText.depth($0.destination) < MountText.depth($1.destination) }
    }
}

enum MountText {
    /// `[source:]destination[:options]`; a source that starts with "/" or "." is a path, else a volume's name.
    static func volume(_ text: String) throws(EngineError) -> MountRecord {
        func invalid(_ why: String) -> EngineError {
            EngineError(
                "incorrect volume format \"\(text)\": \(why); use [[SOURCE-VOLUME|HOST-DIR:]CONTAINER-DIR[:OPTIONS]]")
        }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard parts.count <= 3 else { throw invalid("more than three parts") }
        guard !parts.contains("") else { throw invalid("an empty part") }
        let destination = parts.count == 1 ? parts[0] : parts[1]
        guard destination.hasPrefix("/") else {
            throw invalid("the destination \(destination) is not an absolute path")
        }
        var mount: MountRecord
        if parts.count == 1 {
            mount = MountRecord(kind: .volume, source: NameTable.newID(), destination: clean(destination))
            mount.isAnonymous = true
        } else if parts[0].hasPrefix("/") || parts[0].hasPrefix(".") {
            mount = MountRecord(kind: .bind, source: try absolute(parts[0]), destination: clean(destination))
        } else {
            guard Engine.isVolumeName(parts[0]) else {
                throw invalid(
                    "\"\(parts[0])\" is neither an absolute path nor a volume name ([a-zA-Z0-9][a-zA-Z0-9_.-]*)")
            }
            mount = MountRecord(kind: .volume, source: parts[0], destination: clean(destination))
        }
        if parts.count == 3 {
            for option in parts[2].split(separator: ",").map(String.init) { try apply(option, to: &mount, text) }
        }
        return mount
    }

    private static let options: Set<String> = [
        "rbind", "bind", "private", "rprivate", "slave", "rslave", "shared", "rshared", "exec", "noexec", "suid",
        "nosuid",
        "dev", "nodev", "copy", "nocopy", "z", "Z",
    ]

    private static func apply(_ option: String, to mount: inout MountRecord, _ text: String) throws(EngineError) {
        switch option {
        case "ro", "readonly": mount.isReadOnly = true
        case "rw": mount.isReadOnly = false
        case _ where options.contains(option): mount.options.append(option)
        default:
            throw EngineError(
                "invalid mount option \"\(option)\" in \"\(text)\"; known are ro, rw, \(options.sorted().joined(separator: ", "))"
            )
        }
    }

    /// `type=bind|volume|tmpfs,source=…,target=…[,readonly]…`
    static func mount(_ text: String) throws(EngineError) -> MountRecord {
        var type = "volume"
        var source = ""
        var destination = ""
        var rest: [String] = []
        var pairs: [String] = []
        for field in text.split(separator: ",").map(String.init) {
            let parts = field.split(separator: "=", maxSplits: 1).map(String.init)
            let value = parts.count > 1 ? parts[1] : ""
            switch parts.first ?? "" {
            case "type": type = value
            case "source", "src": source = value
            case "target", "destination", "dst": destination = value
            case "readonly", "ro": rest.append(value == "false" ? "rw" : "ro")
            case "rw": rest.append("rw")
            case "bind-propagation": rest.append(value)
            case "tmpfs-size": pairs.append("size=\(value)")
            case "tmpfs-mode": pairs.append("mode=\(value)")
            case let word where parts.count == 1: rest.append(word)
            case let word: throw EngineError("invalid mount option \"\(word)\" in --mount \(text)")
            }
        }
        guard destination.hasPrefix("/") else {
            throw EngineError("invalid --mount \(text): the target must be an absolute path, as in target=/data")
        }
        var mount: MountRecord
        switch type {
        case "bind":
            guard !source.isEmpty else { throw EngineError("invalid --mount \(text): a bind mount needs a source") }
            mount = MountRecord(kind: .bind, source: try absolute(source), destination: clean(destination))
        case "volume":
            mount = MountRecord(
                kind: .volume, source: source.isEmpty ? NameTable.newID() : source, destination: clean(destination))
            mount.isAnonymous = source.isEmpty
            guard Engine.isVolumeName(mount.source) else {
                throw EngineError("invalid --mount \(text): bad volume name \(source)")
            }
        case "tmpfs":
            mount = MountRecord(kind: .tmpfs, source: "", destination: clean(destination))
            mount.options = pairs + rest.filter { $0 != "ro" && $0 != "rw" }
            mount.isReadOnly = rest.last { $0 == "ro" || $0 == "rw" } == "ro"
            return mount
        default:
            throw EngineError("invalid mount type \"\(type)\" in --mount \(text); use bind, volume or tmpfs")
        }
        if !pairs.isEmpty { throw EngineError("invalid --mount \(text): tmpfs options need type=tmpfs") }
        for option in rest { try apply(option, to: &mount, text) }
        return mount
    }

    /// `destination[:options]`
    static func tmpfs(_ text: String) throws(EngineError) -> MountRecord {
        let parts = text.split(separator: ":", maxSplits: 1).map(String.init)
        guard let destination = parts.first, destination.hasPrefix("/") else {
            throw EngineError("invalid tmpfs \"\(text)\": the destination must be an absolute path")
        }
        var mount = MountRecord(kind: .tmpfs, source: "", destination: clean(destination))
        mount.options = parts.count > 1 ? parts[1].split(separator: ",").map(String.init) : []
        return mount
    }

    static func absolute(_ path: String) throws(EngineError) -> String {
        if path.hasPrefix("/") { return clean(path) }
        do { return clean(try Directory.current() + "/" + path) } catch {
            throw EngineError("find the current directory for", path, error)
        }
    }

    /// Without doubled or trailing slashes and "." parts; ".." is taken lexically, as Podman does.
    static func clean(_ path: String) -> String {
        var parts: [Substring] = []
        for part in path.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return "/" + parts.joined(separator: "/")
    }

    static func depth(_ path: String) -> Int { path.split(separator: "/").count }
}
