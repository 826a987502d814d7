// SPDX-License-Identifier: Apache-2.0
import CLinux
import ContainerRuntime
import LinuxSystem
import SystemPackage

extension Engine {
    /// Fills new named volumes with what the image has at their destination, with owners and modes: at the first use
    /// by a container, once. Podman's and Docker's rule; `nocopy` turns it off.
    func copyUpVolumes(_ record: ContainerRecord) throws(EngineError) {
        for mount in record.mounts where mount.kind == .volume {
            var volume = try volume(mount.source)
            guard volume.needsCopyUp else { continue }
            let data = paths.volume(volume.name) + "/_data"
            let isEmpty = ((try? Directory.names(data)) ?? [""]).isEmpty
            if isEmpty, !mount.options.contains("nocopy"), imageHas(record, mount.destination) {
                try copyUp(record, from: mount.destination, to: data)
            }
            volume.needsCopyUp = false
            try writeRecord(paths.volume(volume.name) + "/config.json", volume.json)
        }
    }

    private func imageHas(_ record: ContainerRecord, _ destination: String) -> Bool {
        record.layers.contains { layer in
            guard let root = try? File.open("\(paths.root)/layers/\(layer)/diff", O_PATH | O_DIRECTORY) else {
                return false
            }
            let relative = destination.drop { $0 == "/" }
            return
                (try? File.open2(
                    String(relative), O_PATH | O_DIRECTORY, resolve: UInt64(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS),
                    at: root.raw)) != nil
        }
    }

    /// A copy of this process, in a mount namespace of its own, mounts the image and copies: the merged view is the
    /// kernel's, not a second implementation of overlayfs.
    private func copyUp(_ record: ContainerRecord, from destination: String, to data: String) throws(EngineError) {
        let answer: (read: Int32, write: Int32)
        do { answer = try PipePair.make().release() } catch { throw EngineError("copy to the volume at", data, error) }
        let child: (pid: Int32, pidfd: Int32)
        do {
            child = try NamespaceProcess.start([.user, .mount], name: record.name) {
                do throws(Errno) { try mountAndCopy(record, destination, data) } catch {
                    _ = try? File.writeAll(answer.write, Array(error.text.utf8))
                }
                Process.exitNow(0)
            }
        } catch { throw EngineError(error) }
        _ = OwnedFD(answer.write)
        let reading = OwnedFD(answer.read)
        _ = OwnedFD(child.pidfd)
        let text = String(decoding: (try? File.readAll(reading, limit: 4096)) ?? [], as: UTF8.self)
        _ = try? Process.wait(pid: child.pid)
        if !text.isEmpty {
            throw EngineError("cannot copy \(destination) of the image into the volume at \(data): \(text)")
        }
    }

    private func mountAndCopy(_ record: ContainerRecord, _ destination: String, _ data: String) throws(Errno) {
        _ = try checked(mount(nil, "/", nil, MS_REC_VALUE | MS_PRIVATE_VALUE, nil))
        _ = try checked(chdir(paths.root))
        // A second lower directory makes an overlay of a single layer; the empty one adds nothing.
        let layers = record.layers.map { "layers/\($0)/diff" } + [paths.empty]
        _ = try checked(
            mount(
                "overlay", paths.rootMountPoint, "overlay", UInt(MS_RDONLY),
                "userxattr,lowerdir=" + layers.joined(separator: ":")))
        let root = try File.open(paths.rootMountPoint, O_PATH | O_DIRECTORY)
        let source = try File.open2(
            String(destination.drop { $0 == "/" }), O_RDONLY | O_DIRECTORY,
            resolve: UInt64(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS), at: root.raw)
        let target = try File.open(data, O_RDONLY | O_DIRECTORY)
        try TreeCopy.contents(of: source, into: target)
        try TreeCopy.attributes(of: source, to: target)
    }
}

/// Copies a directory tree by descriptors: files, directories and links with owner, group, mode and time.
/// Devices, sockets and FIFOs are left out: a volume has no use for an image's.
enum TreeCopy {
    static func contents(of source: borrowing OwnedFD, into target: borrowing OwnedFD) throws(Errno) {
        for name in try Directory.names(".", at: source.raw) {
            let status = try File.status(name, follow: false, at: source.raw)
            if status.isDirectory {
                try Directory.make(name, mode: 0o700, at: target.raw)
                let from = try File.open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: source.raw)
                let to = try File.open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: target.raw)
                try contents(of: from, into: to)
                try attributes(of: from, to: to)
            } else if status.isSymbolicLink {
                try File.symlink(try File.readLink(name, at: source.raw), name, at: target.raw)
                _ = try checked(fchownat(target.raw, name, status.owner, status.group, AT_SYMLINK_NOFOLLOW))
            } else if status.isRegular {
                let from = try File.open(name, O_RDONLY | O_NOFOLLOW, at: source.raw)
                let to = try File.open(name, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600, at: target.raw)
                while try retrying({ sendfile(to.raw, from.raw, nil, 1 << 20) }) > 0 {}
                try attributes(of: from, to: to)
            }
        }
    }

    static func attributes(of source: borrowing OwnedFD, to target: borrowing OwnedFD) throws(Errno) {
        let status = try File.status(source)
        // The owner first: chown clears the set-id bits that chmod then sets.
        _ = try checked(fchown(target.raw, status.owner, status.group))
        _ = try checked(fchmod(target.raw, status.permissions))
        var times = [
            timespec(tv_sec: Int(status.modifiedSeconds), tv_nsec: 0),
            timespec(tv_sec: Int(status.modifiedSeconds), tv_nsec: 0),
        ]
        _ = try checked(futimens(target.raw, &times))
    }
}
