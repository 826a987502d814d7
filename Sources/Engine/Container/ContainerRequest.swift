// SPDX-License-Identifier: Apache-2.0
import ImageStore

/// What `run` and `create` were asked for, before the image's configuration and the pod are merged in.
public struct ContainerRequest: Sendable {
    public var image = ""
    /// What the caller found under that name, so that it is not looked up again.
    public var foundImage: FoundImage?
    public var name: String?
    /// --replace: remove the container that has the name.
    public var replacesExisting = false
    /// --pod NAME, or --pod new:NAME to make it.
    public var pod: String?
    /// The pod a `new:` makes: its -p and --network are the pod's.
    public var createsPod = false
    public var command: [String] = []
    /// nil keeps the image's; `[""]` or empty clears it.
    public var entrypoint: [String]?
    /// KEY=VALUE in the order given; later ones win; merged over the image's.
    public var environment: [String] = []
    public var unsetEnvironment: [String] = []
    public var clearsEnvironment = false
    public var workingDirectory: String?
    public var user: String?
    public var stopSignal: String?
    /// -v as given: `source:destination[:options]`, `destination`.
    public var volumes: [String] = []
    /// --mount as given: `type=bind,source=…,target=…`.
    public var mounts: [String] = []
    /// --tmpfs as given: `destination[:options]`.
    public var tmpfs: [String] = []
    /// -p as given.
    public var ports: [String] = []
    public var publishesAll = false
    public var exposed: [String] = []
    /// --network as given; nil is the default.
    public var network: String?
    public var cidFile: String?
    /// Everything that goes into the record as it is: terminal, labels, capabilities, DNS, limits…
    public var settings = ContainerRecord()
    public init() {}
}

/// What `pod create` was asked for.
public struct PodRequest: Sendable {
    public var name: String?
    public var replacesExisting = false
    public var ports: [String] = []
    public var volumes: [String] = []
    public var network: String?
    /// --share as given; nil is "ipc,net,uts".
    public var share: String?
    /// --infra; nil is on unless nothing is shared.
    public var hasInfra: Bool?
    public var podIDFile: String?
    public var settings = PodRecord()
    public init() {}
}

/// What `exec` was asked for.
public struct ExecRequest: Sendable {
    public var command: [String] = []
    public var environment: [String] = []
    public var workingDirectory: String?
    public var user: String?
    public var hasTerminal = false
    public var isInteractive = false
    public var isDetached = false
    public var isPrivileged = false
    public var detachKeys = "ctrl-p,ctrl-q"
    public var preservedDescriptors = 0
    public init() {}
}

/// How `run` in the foreground or `start -a` follows a container.
public struct AttachRequest: Sendable {
    public var forwardsInput = false
    public var forwardsSignals = true
    public var detachKeys = "ctrl-p,ctrl-q"
    public init() {}
}
