// SPDX-License-Identifier: Apache-2.0

/// What every container has mounted: OCI runtime-spec, config-linux.md "Default Filesystems", as Podman makes them.
public enum DefaultMounts {
    /// Where /dev/shm comes from.
    public enum SharedMemory: Sendable {
        case new(bytes: Int64)
        /// The pod's or the host's, by its path where the launch starts.
        case path(String)
    }

    /// The device nodes that every container has: OCI runtime-spec, config-linux.md, "Default Devices".
    public static let devices = ["null", "zero", "full", "tty", "random", "urandom"]
    /// Where the mounts of `list` below /dev go.
    public static let deviceDirectories = ["pts", "mqueue", "shm"]

    /// In mounting order; what is in /dev comes right behind it.
    ///
    /// - Parameters:
    ///   - hasOwnPID: a new proc needs an own pid namespace; without one the host's is bound.
    ///   - hasOwnIPC: a message queue filesystem shows an ipc namespace and needs to own it; without one the host's is bound.
    ///   - hasOwnNetwork: sysfs shows a network namespace and needs to own it; without one the host's is bound.
    ///   - terminalGroup: the group of pseudo-terminals, which must be mapped; nil leaves it out.
    public static func list(
        shm: SharedMemory, hasOwnPID: Bool, hasOwnIPC: Bool, hasOwnNetwork: Bool, terminalGroup: UInt32?
    ) -> [Mount] {
        var mounts: [Mount] = []
        func add(
            _ source: Mount.Source, _ destination: String, noExecute: Bool = true, noDevices: Bool = true,
            readOnly: Bool = false, inDevices: Bool = false
        ) {
            var mount = Mount(source, at: destination)
            mount.isInDevices = inDevices
            mount.noSuid = true
            mount.noExecute = noExecute
            mount.noDevices = noDevices
            mount.isReadOnly = readOnly
            mounts.append(mount)
        }
        add(hasOwnPID ? .filesystem(type: "proc", options: []) : .bind(path: "/proc", recursive: true), "/proc")
        add(.devices(options: [("mode", "755"), ("size", "65536k")]), "/dev", noExecute: false, noDevices: false)
        var pts: [(String, String?)] = [("newinstance", nil), ("ptmxmode", "0666"), ("mode", "0620")]
        if let terminalGroup { pts.append(("gid", "\(terminalGroup)")) }
        add(.filesystem(type: "devpts", options: pts), "/dev/pts", noDevices: false, inDevices: true)
        add(
            hasOwnIPC ? .filesystem(type: "mqueue", options: []) : .bind(path: "/dev/mqueue", recursive: false),
            "/dev/mqueue", inDevices: true)
        switch shm {
        case .new(let bytes):
            add(
                .filesystem(type: "tmpfs", options: [("mode", "1777"), ("size", "\(bytes)")]), "/dev/shm",
                inDevices: true)
        case .path(let path): add(.bind(path: path, recursive: false), "/dev/shm", inDevices: true)
        }
        add(
            hasOwnNetwork ? .filesystem(type: "sysfs", options: []) : .bind(path: "/sys", recursive: true), "/sys",
            readOnly: true)
        return mounts
    }
}

/// Parts of /proc and /sys that a container must not see or change: Podman's defaults.
public enum DefaultPaths {
    public static let masked = [
        "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug",
        "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/dev/block", "/sys/devices/virtual/powercap",
        "/sys/firmware", "/sys/fs/selinux",
    ]
    public static let readOnly = [
        "/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
    ]
    /// Those of `masked` that are directories where they exist: what is tried first is a guess, no more.
    static let directories = [
        "/proc/acpi", "/proc/scsi", "/sys/dev/block", "/sys/devices/virtual/powercap", "/sys/firmware",
        "/sys/fs/selinux",
    ]
}
