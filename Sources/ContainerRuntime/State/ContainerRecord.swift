// SPDX-License-Identifier: Apache-2.0
import CLinux
import JSON
import LinuxSystem
import OCISpec
import SystemPackage

/// What is stored about a created container: ROOT/ID/state.json.
package struct ContainerRecord: Sendable {
    package enum Status: String, Sendable { case creating, created, running, paused, stopped }

    package var id: String
    package var version: String
    package var bundle: String
    package var rootfs: String
    /// The first process; pid 0 while there is none.
    package var process: ProcessIdentity
    package var bootID: String
    package var created: Timestamp
    /// CLONE_NEW* of the namespaces that `exec` joins.
    package var namespaces: UInt64
    package var cgroup: Cgroup
    package var annotations: [(name: String, value: String)]

    package init(
        id: String, version: String, bundle: String, rootfs: String, process: ProcessIdentity, namespaces: UInt64,
        cgroup: Cgroup, annotations: [(name: String, value: String)]
    ) {
        self.id = id
        self.version = version
        self.bundle = bundle
        self.rootfs = rootfs
        self.process = process
        self.bootID = ContainerRecord.currentBootID
        self.created = .now
        self.namespaces = namespaces
        self.cgroup = cgroup
        self.annotations = annotations
    }

    // MARK: Coding

    private static let limit = 4 << 20

    /// Read once: no process outlives a boot.
    private static let currentBootID: String = {
        let bytes = (try? File.read("/proc/sys/kernel/random/boot_id", limit: 128)) ?? []
        return String(decoding: bytes.filter { $0 > 32 }, as: UTF8.self)
    }()

    /// The state document of runtime.md, "State", also what hooks read.
    package func state(_ status: Status) -> JSON {
        var object: JSONObject = [
            "ociVersion": .string(version), "id": .string(id), "status": .string(status.rawValue),
            "pid": .int(status == .stopped ? 0 : Int64(process.pid)), "bundle": .string(bundle),
            "rootfs": .string(rootfs), "created": .string(created.rfc3339), "owner": "",
        ]
        if !annotations.isEmpty {
            object["annotations"] = .object(JSONObject(annotations.map { (key: $0.name, value: .string($0.value)) }))
        }
        return .object(object)
    }

    /// Writes the record under a name that nobody reads; `publish` gives it the one that makes the container exist.
    func prepare(_ directory: String) throws(RuntimeError) {
        let json: JSON = [
            "id": .string(id), "version": .string(version), "bundle": .string(bundle), "rootfs": .string(rootfs),
            "pid": .int(Int64(process.pid)), "startTime": .int(Int64(clamping: process.startTime)),
            "bootID": .string(bootID), "created": .int(created.seconds),
            "createdNanoseconds": .int(Int64(created.nanoseconds)),
            "namespaces": .int(Int64(bitPattern: namespaces)), "cgroup": .array(cgroup.directories.map { .string($0) }),
            "unit": cgroup.unit.map { .string($0) } ?? .null,
            "annotations": .object(JSONObject(annotations.map { (key: $0.name, value: .string($0.value)) })),
        ]
        try describing("write", "\(directory)/state.new") { () throws(Errno) in
            try File.write("\(directory)/state.new", json.serialized(), mode: 0o600)
        }
    }

    func publish(_ directory: String) throws(RuntimeError) {
        try describing("write", "\(directory)/state.json") { () throws(Errno) in
            try File.rename("\(directory)/state.new", "\(directory)/state.json")
        }
    }

    /// Reads the record of `id`; the text of an unknown one is what engines match.
    package static func read(_ id: String, _ root: StateRoot) throws(RuntimeError) -> ContainerRecord {
        let directory = try root.directory(id)
        let bytes: [UInt8]
        do { bytes = try File.read("\(directory)/state.json", limit: limit) } catch {
            guard error == .noSuchFileOrDirectory else { throw RuntimeError("read", "\(directory)/state.json", error) }
            if File.exists(directory) { throw RuntimeError("container `\(id)` is being created") }
            throw RuntimeError("container `\(id)` does not exist: container does not exist")
        }
        func damaged(_ what: String) -> RuntimeError {
            RuntimeError("the state of container `\(id)` is damaged: \(what)")
        }
        do {
            let fields = try RuntimeFields(try JSON.parse(bytes, depthLimit: 8), path: "state.json")
            guard let pid: Int32 = try fields.integer("pid"), let startTime: UInt64 = try fields.integer("startTime"),
                pid > 0,
                try fields.required("id") == id
            else { throw damaged("no process") }
            var record = ContainerRecord(
                id: id, version: try fields.required("version"), bundle: try fields.required("bundle"),
                rootfs: try fields.required("rootfs"), process: ProcessIdentity(pid: pid, startTime: startTime),
                namespaces: UInt64(bitPattern: try fields.integer("namespaces") ?? 0),
                cgroup: Cgroup(directories: try fields.absolutePaths("cgroup"), unit: try fields.string("unit")),
                annotations: try fields.stringMap("annotations"))
            record.bootID = try fields.string("bootID") ?? ""
            record.created = Timestamp(
                seconds: try fields.integer("created") ?? 0, nanoseconds: try fields.integer("createdNanoseconds") ?? 0)
            return record
        } catch let error as RuntimeSpecError { throw damaged(error.description) } catch let error as JSONError {
            throw damaged(error.description)
        } catch let error as RuntimeError { throw error } catch { throw damaged("\(error)") }
    }

    // MARK: Status

    /// Computed from the process: nothing stored can be out of date.
    package func status(_ directory: String) -> Status {
        guard isAlive else { return .stopped }
        if File.exists("\(directory)/start") { return .created }
        return cgroup.isFrozen ? .paused : .running
    }

    package var isAlive: Bool { bootID == ContainerRecord.currentBootID && process.isAlive }

    /// A pidfd of exactly this container's first process.
    package func open() throws(RuntimeError) -> OwnedFD {
        guard bootID == ContainerRecord.currentBootID, let pidfd = try? process.open() else {
            throw RuntimeError("container `\(id)` is not running: container not running")
        }
        return pidfd
    }
}

extension Timestamp {
    /// RFC 3339 with nanoseconds, in UTC.
    package var rfc3339: String {
        var broken = tm()
        var seconds = time_t(self.seconds)
        gmtime_r(&seconds, &broken)
        func digits(_ value: Int32, _ width: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, width - text.count)) + text
        }
        return "\(digits(broken.tm_year + 1900, 4))-\(digits(broken.tm_mon + 1, 2))-\(digits(broken.tm_mday, 2))T"
            + "\(digits(broken.tm_hour, 2)):\(digits(broken.tm_min, 2)):\(digits(broken.tm_sec, 2)).\(digits(nanoseconds, 9))Z"
    }
}
