// SPDX-License-Identifier: Apache-2.0
import ContainerRuntime
import JSON
import LinuxSystem
import PodNetwork

/// The namespaces that a pod's containers share (or that a container outside pods has for itself), as two processes:
///
///     keeper      owns user, net, ipc, uts (and pid) namespaces; mints sockets in them; PID 1 when pid is shared
///     samara-net  host network namespace, no capability: published ports, and the pod's way out
///
/// The two end together: samara-net when the keeper's socket closes, and whoever stops a sandbox ends both.
struct SandboxSpec {
    /// The pod's or container's id.
    var id: String
    /// What ps(1) and messages call it.
    var name: String
    var hostname: String
    var namespaces: NamespaceSet
    /// nil: no own network namespace.
    var network: Network?
    var shmSize: Int64
    var sysctls: [(key: String, value: String)] = []

    enum Network {
        case loopbackOnly
        /// `options` is `--network` as recorded: `NetworkOptions`.
        case full(ports: [PortRecord], options: String)
    }
}

/// A running sandbox, as recorded in the run directory.
struct SandboxState {
    var keeper: ProcessIdentity
    /// nil without published network.
    var network: ProcessIdentity?
    var namespaces: NamespaceSet
    var boot: String
    /// Ports with the numbers that the kernel chose where none was given.
    var ports: [PortRecord] = []

    init(keeper: ProcessIdentity, network: ProcessIdentity?, namespaces: NamespaceSet, boot: String) {
        self.keeper = keeper
        self.network = network
        self.namespaces = namespaces
        self.boot = boot
    }

    init?(_ json: JSON) {
        guard let keeper = json.process("keeper") else { return nil }
        self.init(
            keeper: keeper, network: json.process("network"),
            namespaces: NamespaceSet(rawValue: UInt64(bitPattern: json.number("namespaces"))), boot: json.text("boot"))
        ports = json.list("ports").map(PortRecord.init)
    }

    var json: JSON {
        [
            "schema": .int(recordSchema), "keeper": .process(keeper), "network": .process(network),
            "namespaces": .int(Int64(bitPattern: namespaces.rawValue)), "boot": .string(boot),
            "ports": .array(ports.map(\.json)),
        ]
    }
}

extension StorePaths {
    func sandboxState(_ id: String) -> String { sandbox(id) + "/state.json" }
    func sandboxControl(_ id: String) -> String { sandbox(id) + "/net.sock" }
    func sandboxKeeper(_ id: String) -> String { sandbox(id) + "/keeper.sock" }
    /// Where the keeper's mount namespace has the tmpfs that members of an ipc namespace share as /dev/shm.
    func sandboxShm(_ id: String) -> String { sandbox(id) + "/shm" }
}
