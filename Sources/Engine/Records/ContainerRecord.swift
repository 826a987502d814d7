// SPDX-License-Identifier: Apache-2.0
import JSON
import LinuxSystem

/// How a container's network is made: --network.
public enum NetworkMode: Sendable, Equatable {
    /// An own namespace with a tap and samara-net (Podman's names: private, slirp4netns, pasta, bridge).
    case `private`
    /// An own namespace with only a loopback device.
    case none
    case host
    /// The pod's.
    case pod
    /// Another container's: --network container:ID.
    case container(String)

    public var text: String {
        switch self {
        case .private: "private"
        case .none: "none"
        case .host: "host"
        case .pod: "pod"
        case .container(let id): "container:\(id)"
        }
    }

    public init?(_ text: String) {
        switch text {
        case "private": self = .private
        case "none": self = .none
        case "host": self = .host
        case "pod": self = .pod
        default:
            guard text.hasPrefix("container:"), text.count > 10 else { return nil }
            self = .container(String(text.dropFirst(10)))
        }
    }
}

/// One volume, bind mount or tmpfs of a container.
public struct MountRecord: Sendable, Equatable {
    public enum Kind: String, Sendable { case volume, bind, tmpfs }
    public var kind: Kind
    /// The volume's name, the host path, or empty.
    public var source: String
    public var destination: String
    public var isReadOnly = false
    public var options: [String] = []
    /// A volume made for this container only, removed with it (`--rm`, `rm -v`).
    public var isAnonymous = false

    public init(kind: Kind, source: String, destination: String) {
        self.kind = kind
        self.source = source
        self.destination = destination
    }

    init?(_ json: JSON) {
        guard let kind = Kind(rawValue: json.text("kind")) else { return nil }
        self.init(kind: kind, source: json.text("source"), destination: json.text("destination"))
        isReadOnly = json.flag("readOnly")
        options = json.texts("options")
        isAnonymous = json.flag("anonymous")
    }

    var json: JSON {
        [
            "kind": .string(kind.rawValue), "source": .string(source), "destination": .string(destination),
            "readOnly": .bool(isReadOnly), "options": .texts(options), "anonymous": .bool(isAnonymous),
        ]
    }
}

/// One published port, as given with -p.
public struct PortRecord: Sendable, Equatable {
    /// "" publishes on every address.
    public var hostIP: String
    public var hostPort: UInt16
    public var containerPort: UInt16
    /// Consecutive ports from both numbers on.
    public var range: UInt16
    /// "tcp" or "udp".
    public var transport: String
    /// mode=activate: the container's program gets the socket itself.
    public var isActivated = false
    /// mode=loopback: it leads to the loopback address of the container's network.
    public var targetsLoopback = false

    public init(hostIP: String, hostPort: UInt16, containerPort: UInt16, range: UInt16, transport: String) {
        self.hostIP = hostIP
        self.hostPort = hostPort
        self.containerPort = containerPort
        self.range = range
        self.transport = transport
    }

    init(_ json: JSON) {
        self.init(
            hostIP: json.text("hostIP"), hostPort: UInt16(clamping: json.number("hostPort")),
            containerPort: UInt16(clamping: json.number("containerPort")),
            range: UInt16(clamping: max(1, json.number("range"))), transport: json.text("transport"))
        isActivated = json.flag("activated")
        targetsLoopback = json.flag("loopback")
    }

    var json: JSON {
        [
            "hostIP": .string(hostIP), "hostPort": .int(Int64(hostPort)), "containerPort": .int(Int64(containerPort)),
            "range": .int(Int64(range)), "transport": .string(transport),
            "activated": .bool(isActivated), "loopback": .bool(targetsLoopback),
        ]
    }
}

/// What a container is: written once when it is created, changed only by commands that say so (rename, update).
public struct ContainerRecord: Sendable {
    public var id = ""
    public var name = ""
    public var created = Timestamp(seconds: 0)
    public var imageID = ""
    /// As Podman shows it: the image's name, normalised.
    public var imageName = ""
    /// Chain ids, topmost first.
    public var layers: [String] = []
    /// --rootfs: a directory instead of an image.
    public var rootDirectory: String?
    public var podID: String?

    // Process.
    public var command: [String] = []
    public var entrypoint: [String] = []
    public var environment: [String] = []
    public var workingDirectory = "/"
    public var user = ""
    public var groups: [String] = []
    public var hasTerminal = false
    public var isInteractive = false
    public var usesInit = false
    public var umask: UInt32 = 0o022
    public var stopSignal: Int32 = 15
    /// Seconds.
    public var stopTimeout: Int64 = 10
    /// Seconds; 0 is without end: --timeout.
    public var runTimeout: Int64 = 0

    // Isolation.
    public var hostname: String?
    public var network = NetworkMode.private
    /// `--network` with its options when it had any: `NetworkOptions`.
    public var networkOptions = ""
    public var sharesHostPID = false
    public var sharesHostIPC = false
    public var sharesHostUTS = false
    public var capabilitiesAdded: [String] = []
    public var capabilitiesDropped: [String] = []
    public var isPrivileged = false
    public var noNewPrivileges = false
    public var isSeccompUnconfined = false
    public var unmaskedPaths: [String] = []
    public var maskedPaths: [String] = []
    public var isReadOnly = false
    public var hasReadOnlyTmpfs = true
    /// Bytes of /dev/shm.
    public var shmSize: Int64 = 65_536_000
    public var sysctls: [(key: String, value: String)] = []
    /// `name=soft:hard` as given with --ulimit.
    public var limits: [String] = []
    public var mounts: [MountRecord] = []

    // Network.
    public var ports: [PortRecord] = []
    public var exposedPorts: [String] = []
    public var addedHosts: [String] = []
    public var dnsServers: [String] = []
    public var dnsSearch: [String] = []
    public var dnsOptions: [String] = []
    public var hasOwnHostsFile = false

    // Life.
    public var isAutoRemoved = false
    /// "no", "always", "on-failure[:N]", "unless-stopped".
    public var restartPolicy = "no"
    public var logDriver = "k8s-file"
    /// Bytes; 0 is without limit.
    public var logSizeLimit: Int64 = 0
    public var labels: [(key: String, value: String)] = []
    public var annotations: [(key: String, value: String)] = []
    public var createCommand: [String] = []
    public var cidFile: String?

    public init() {}
}
