// SPDX-License-Identifier: Apache-2.0
import JSON
import LinuxSystem
import SystemPackage

extension Engine {
    var nameTable: NameTable { NameTable(paths: paths) }

    /// The container named, or with the id or unambiguous id prefix, `name`.
    public func container(_ name: String) throws(EngineError) -> Container {
        let container = try loadContainer(try containerID(name))
        if container.state.status == .exited, container.state.monitor != nil {
            try settle(container.record)
            return try loadContainer(container.record.id)
        }
        return container
    }

    func containerID(_ name: String) throws(EngineError) -> String {
        if case .container(let id)? = nameTable.owner(of: name), File.exists(paths.container(id)) { return id }
        guard let id = try NameTable.resolve(prefix: name, in: paths.containers, kind: "container") else {
            throw EngineError.noSuchContainer(name)
        }
        return id
    }

    /// Every container, oldest first. One that is being made or removed at this moment is left out.
    public func containers() throws(EngineError) -> [Container] {
        let directory = paths.containers
        let ids = try attempt("list", directory) { () throws(Errno) in try Directory.names(directory) }
        var result: [Container] = []
        result.reserveCapacity(ids.count)
        for id in ids where id.utf8.count == 64 {
            do throws(EngineError) {
                let container = try loadContainer(id)
                result.append(container)
                // Nobody else will record the end of a container whose monitor was killed.
                if container.state.status == .exited, container.state.monitor != nil { try settle(container.record) }
            } catch {
                // Removed since it was listed; a damaged record is worth a word.
                if File.exists(paths.container(id)) { warn(error.message) }
            }
        }
        result.sort { ($0.record.created, $0.record.id) < ($1.record.created, $1.record.id) }
        return result
    }

    func loadContainer(_ id: String) throws(EngineError) -> Container {
        let directory = paths.container(id)
        guard File.exists(directory) else { throw EngineError.noSuchContainer(id) }
        let record = ContainerRecord(try readRecord(directory + "/config.json"))
        return Container(record: record, state: try loadState(id))
    }

    /// The state file, corrected by what the kernel says.
    func loadState(_ id: String) throws(EngineError) -> ContainerState {
        var state = try readState(id)
        guard state.status == .running || state.status == .paused || state.status == .stopping else { return state }
        if state.boot == Engine.boot, state.process?.isAlive == true, state.monitor?.isAlive == true { return state }
        // The process is gone, or dies with its monitor. A living monitor is about to record how it ended.
        if state.boot == Engine.boot, let monitor = state.monitor, monitor.isAlive {
            waitForMonitor(monitor)
            let later = try readState(id)
            if later.status == .exited || later.status == .created { return later }
            if later.process != state.process { return later }
        }
        state.error =
            state.boot == Engine.boot
            ? "its monitor process was killed, and the container with it"
            : "the machine restarted while it was running"
        state.status = .exited
        state.exitCode = state.boot == Engine.boot ? 137 : 255
        state.finished = state.finished ?? Timestamp.now
        return state
    }

    /// The state as recorded; a container that was never started has none.
    private func readState(_ id: String) throws(EngineError) -> ContainerState {
        let path = paths.container(id) + "/state.json"
        let bytes: [UInt8]
        do throws(Errno) { bytes = try File.readRecord(path, limit: 16 << 20) } catch {
            if error == .noSuchFileOrDirectory, File.exists(paths.container(id)) { return ContainerState() }
            throw EngineError("read", path, error)
        }
        return ContainerState(try parseRecord(bytes, path))
    }

    /// Gives a monitor whose container has ended a moment to record it: it does so at once.
    private func waitForMonitor(_ monitor: ProcessIdentity) {
        guard let pidfd = try? monitor.open() else { return }
        _ = Process.waitForEnd(pidfd, milliseconds: 2000)
    }

    func saveState(_ id: String, _ state: ContainerState) throws(EngineError) {
        try writeRecord(paths.container(id) + "/state.json", state.json)
    }
}
