// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import OCISpec
import SystemPackage

/// The nodes and links of a container's /dev: config-linux.md, "Default Devices", and those that the config adds.
struct BundleDevices: ~Copyable {
    private static let standard: [(name: String, major: UInt32, minor: UInt32)] = [
        ("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0),
    ]
    private static let links: [(name: String, target: String)] = [
        ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"), ("ptmx", "pts/ptmx"),
    ]

    /// Makes them below `root`; nothing when a bind mount provides the whole of /dev.
    static func make(_ root: borrowing RootDirectory, _ config: RuntimeConfig) throws(RuntimeError) {
        let isProvided = config.mounts.contains { $0.isBind && RootDirectory.relative($0.destination) == "dev" }
        if isProvided { return }
        var devices = BundleDevices()
        do {
            // An image whose /dev is a link must not receive them elsewhere (CVE-2026-41579, CVE-2026-47766).
            let directory = try describing("create the devices in", "/dev") { () throws(Errno) in
                try root.target("dev", isFile: false, isSpecial: true)
            }
            for device in standard {
                let spec = RuntimeDevice("/dev/" + device.name, major: device.major, minor: device.minor)
                // A node that the config lists itself is made with the config's mode.
                if config.linux.devices.contains(where: { $0.path == spec.path }) { continue }
                try devices.make(spec, device.name, in: directory)
            }
            for link in links {
                do { try File.symlink(link.target, link.name, at: directory.raw) } catch {
                    // The image's own; a container that changes it harms only itself.
                    if error != .fileExists { throw RuntimeError("create the link", "/dev/" + link.name, error) }
                }
            }
        }
        // Engines that pass on every device of the host pass on its /dev/ptmx; the container has the one of its devpts.
        for device in config.linux.devices where device.path != "/dev/ptmx" {
            let directory = try describing("create the device", device.path) { () throws(Errno) in
                try root.parent(of: device.path)
            }
            try devices.make(device, RootDirectory.lastComponent(device.path), in: directory)
        }
    }

    /// false after the first refusal: a user namespace may not make nodes (mknod(2), EPERM).
    private var canMakeNodes = true

    private mutating func make(
        _ device: RuntimeDevice, _ name: String, in directory: borrowing OwnedFD
    ) throws(RuntimeError) {
        do throws(Errno) {
            if canMakeNodes || device.kind == .fifo {
                let code = samara_mknodat(
                    directory.raw, name, device.kind.type | device.mode,
                    device.kind == .fifo ? 0 : samara_makedev(device.major, device.minor))
                if code == 0 {
                    _ = try checked(fchownat(directory.raw, name, device.user, device.group, AT_SYMLINK_NOFOLLOW))
                    _ = try checked(fchmodat(directory.raw, name, device.mode, 0))
                    return
                }
                let error = lastErrno()
                if error == .fileExists, try BundleDevices.isThere(device, directory, name) { return }
                guard error == .notPermitted || error == .fileExists, device.kind != .fifo else { throw error }
                canMakeNodes = error != .notPermitted
            }
            // The host's node on an empty file instead.
            try BundleDevices.bind(device, directory, name)
        } catch {
            throw RuntimeError("create the device", device.path, error)
        }
    }

    /// Whether the device is there already; throws EEXIST where something else is.
    private static func isThere(_ device: RuntimeDevice, _ directory: borrowing OwnedFD, _ name: String) throws(Errno)
        -> Bool
    {
        let status = try File.status(name, follow: false, at: directory.raw)
        if status.mode & 0o170000 == device.kind.type,
            device.kind == .fifo || status.specialDevice == samara_makedev(device.major, device.minor)
        {
            return true
        }
        // An empty file is what an earlier bind left in an image without a tmpfs on /dev.
        if status.isRegular, status.size == 0 { return false }
        throw .fileExists
    }

    /// Where the host has the node: under the same path, or, being one that every Linux has, under its own name.
    private static func hostPath(of device: RuntimeDevice) -> String {
        guard device.kind == .character, !File.exists(device.path),
            let usual = standard.first(where: { $0.major == device.major && $0.minor == device.minor })
        else { return device.path }
        return "/dev/" + usual.name
    }

    private static func bind(_ device: RuntimeDevice, _ directory: borrowing OwnedFD, _ name: String) throws(Errno) {
        if samara_mknodat(directory.raw, name, 0o100666, 0) != 0 {
            let error = lastErrno()
            guard error == .fileExists else { throw error }
            if try isThere(device, directory, name) { return }
        }
        let source = try DetachedMount.copy(hostPath(of: device), recursive: false)
        let status = try File.status(source)
        // The host's file of that name must be the device that was asked for.
        guard status.mode & 0o170000 == device.kind.type,
            status.specialDevice == samara_makedev(device.major, device.minor)
        else {
            throw Errno(rawValue: ENODEV)
        }
        // One component, whose link would not be followed: move_mount(2), MOVE_MOUNT_T_SYMLINKS.
        _ = try checked(
            samara_move_mount(source.raw, "", directory.raw, name, UInt32(MOVE_MOUNT_F_EMPTY_PATH)))
    }
}

extension RuntimeDevice {
    fileprivate init(_ path: String, major: UInt32, minor: UInt32) {
        self.init(path: path, kind: .character, major: major, minor: minor, mode: 0o666, user: 0, group: 0)
    }
}

extension RuntimeDevice.Kind {
    /// S_IFCHR, S_IFBLK or S_IFIFO.
    fileprivate var type: UInt32 {
        switch self {
        case .character, .unbufferedCharacter: 0o020000
        case .block: 0o060000
        case .fifo: 0o010000
        }
    }
}
