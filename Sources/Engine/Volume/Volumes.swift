// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import SystemPackage

extension Engine {
    /// Every volume, by name.
    public func volumes() throws(EngineError) -> [VolumeRecord] {
        let directory = paths.volumes
        let names = try attempt("list", directory) { () throws(Errno) in try Directory.names(directory) }
        var result: [VolumeRecord] = []
        for name in names.sorted() {
            if let record = try? volume(name) { result.append(record) }
        }
        return result
    }

    public func volume(_ name: String) throws(EngineError) -> VolumeRecord {
        if Engine.isVolumeName(name), File.exists(paths.volume(name) + "/config.json") {
            return VolumeRecord(try readRecord(paths.volume(name) + "/config.json"))
        }
        let matches = ((try? Directory.names(paths.volumes)) ?? []).filter {
            !name.isEmpty && $0.hasPrefix(name) && $0.utf8.count == 64
        }
        guard matches.count == 1 else { throw EngineError.noSuchVolume(name) }
        return VolumeRecord(try readRecord(paths.volume(matches[0]) + "/config.json"))
    }

    /// Makes a volume; an existing one of the name is an error unless `ignoresExisting`.
    public func createVolume(
        name: String?, labels: [(key: String, value: String)] = [], options: [(key: String, value: String)] = [],
        ignoresExisting: Bool = false, isAnonymous: Bool = false
    ) throws(EngineError) -> VolumeRecord {
        var record = VolumeRecord()
        record.name = name ?? NameTable.newID()
        guard Engine.isVolumeName(record.name) else {
            throw EngineError(
                "running volume create option: names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument")
        }
        record.created = Timestamp.now
        record.labels = labels
        record.options = options
        record.isAnonymous = isAnonymous
        let final = paths.volume(record.name)
        if File.exists(final) {
            if ignoresExisting { return try volume(record.name) }
            throw EngineError("volume with name \(record.name) already exists: volume already exists")
        }
        let temporary = stagingPath(NameTable.newID())
        do throws(EngineError) {
            try attempt("create the volume", final) { () throws(Errno) in
                try Directory.make(temporary, mode: 0o700)
                try Directory.make(temporary + "/_data", mode: 0o755)
            }
            try writeRecord(temporary + "/config.json", record.json)
            do throws(Errno) { try File.rename(temporary, final) } catch {
                // Another command made it at the same moment: an existing directory that is not empty.
                guard error == .directoryNotEmpty || error == .fileExists, ignoresExisting else {
                    throw EngineError("create the volume", final, error)
                }
                try? FileTree.remove(temporary)
                return try volume(record.name)
            }
        } catch {
            try? FileTree.remove(temporary)
            throw error
        }
        return record
    }

    /// The ids of containers that mount the volume.
    public func volumeUsers(_ name: String) throws(EngineError) -> [String] {
        let direct = try containers().filter { container in
            container.record.mounts.contains { $0.kind == .volume && $0.source == name }
        }
        return direct.map(\.record.id)
    }

    /// Removes a volume; one in use only with `force`, together with the containers that use it.
    public func removeVolume(_ name: String, force: Bool) throws(EngineError) {
        let record = try volume(name)
        let users = try volumeUsers(record.name)
        if !users.isEmpty {
            guard force else {
                throw EngineError(
                    "volume \(record.name) is being used by the following container(s): \(users.joined(separator: ", ")): volume is being used",
                    exitCode: 2, kind: .inUse)
            }
            for id in users { try remove(try container(id), force: true, removesVolumes: false) }
        }
        try enterUserNamespace()
        let trash = "\(paths.trash)/volume-\(record.name)-\(NameTable.newID().prefix(12))"
        try attempt("remove the volume", record.name) { () throws(Errno) in
            try File.rename(paths.volume(record.name), trash)
        }
        emptyTrash()
    }

    static func isVolumeName(_ name: String) -> Bool { (try? NameTable.check(name)) != nil }

    /// Makes the volumes that a new container names.
    func createVolumes(_ mounts: [MountRecord]) throws(EngineError) {
        for mount in mounts where mount.kind == .volume {
            if File.exists(paths.volume(mount.source)) { continue }
            _ = try createVolume(name: mount.source, ignoresExisting: true, isAnonymous: mount.isAnonymous)
        }
    }
}
