// SPDX-License-Identifier: Apache-2.0
import ContainerRuntime
import JSON
import LinuxSystem

extension Engine {
    /// Recorded processes that live in the user's namespace or below it: keepers, monitors, containers. For the search of
    /// a namespace whose holder was killed, so it reads every record.
    func survivors() -> [ProcessIdentity] {
        var found: [ProcessIdentity] = []
        for id in (try? Directory.names(paths.sandboxes)) ?? [] {
            if let state = sandbox(id) { found.append(state.keeper) }
        }
        for id in (try? Directory.names(paths.containers)) ?? [] {
            guard let bytes = try? File.read(paths.container(id) + "/state.json", limit: 1 << 20),
                let json = try? JSON.parse(bytes)
            else { continue }
            let state = ContainerState(json)
            if state.boot == Engine.boot { found += [state.monitor, state.process].compactMap { $0 } }
        }
        return found.filter(\.isAlive)
    }
}
