// SPDX-License-Identifier: Apache-2.0
import Foundation

/// The floor programs and the processes they join: a pod, and a container in it.
///
/// These have the same shape as Samara's, but depend on none of it: the benchmark has a floor on a machine where
/// Samara does not run.
final class Floor {
    private let root: String
    private let program: String
    private let scratch: String
    private let environment: [String: String]
    private let holder: UserNamespace
    /// The seccomp filter's arguments.
    private let filter: [String]
    let filterText: String
    private let pod: UserNamespace.Resident
    private let container: UserNamespace.Resident

    /// - Parameter filterFile: the seccomp program that Samara loads, if it is known.
    init(root: String, filterFile: String?, _ holder: UserNamespace, _ workspace: Workspace, _ runner: ProcessRunner)
        throws
    {
        self.root = root
        self.holder = holder
        program = holder.program
        environment = holder.environment
        scratch = try workspace.directory("floor")
        if let filterFile, let size = (try? FileManager.default.attributesOfItem(atPath: filterFile))?[.size] as? Int {
            filter = ["--seccomp", filterFile]
            filterText = "Samara's own filter, \(size / 8) instructions"
        } else {
            filter = ["--seccomp-length", "1000"]
            filterText = "a stand-in of 1000 instructions"
        }
        pod = try holder.hold(["--user-of", "\(holder.pid)", "--namespaces", "user,net,ipc,uts", "--hold"])
        container = try holder.hold(
            ["--join", "\(pod.pid)", "--root", root, "--mounts", "oci", "--print-pid"] + filter + ["--", "/bin/cat"])
        runner.adoptResidents()
    }

    private func command(_ arguments: [String]) -> Command {
        Command(path: program, arguments: arguments + ["--", "/bin/true"], environment: environment)
    }

    /// A fresh container: everything, or what `extra` makes of it.
    func start(_ extra: [String] = [], overlay: Bool = true, filtered: Bool = true) -> Command {
        command(
            ["--user-of", "\(holder.pid)", "--root", root] + (overlay ? ["--overlay", scratch] : [])
                + (filtered ? filter : []) + extra)
    }

    /// A container in the pod.
    func join() -> Command { command(["--join", "\(pod.pid)", "--root", root, "--overlay", scratch] + filter) }

    /// A process in the container.
    func exec() -> Command { command(["--exec", "\(container.pid)"] + filter) }
}
