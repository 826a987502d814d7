// SPDX-License-Identifier: Apache-2.0
import ImageStore
import LinuxSystem
import OCISpec
import SystemPackage

/// `image mount`: images mounted read-only at `root/mounts/<image id>`, in the mount namespace of `unshare`.
extension Engine {
    private func mountPath(_ id: Digest) -> String { paths.mounts + "/" + id.hex }

    /// The mount points of this mount namespace: proc_pid_mountinfo(5), the fifth field.
    private var mountPoints: [String] {
        let lines = String(
            decoding: (try? File.read("/proc/self/mountinfo", limit: 16 << 20)) ?? [], as: UTF8.self)
        return lines.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ", maxSplits: 5)
            return fields.count > 4 ? String(fields[4]) : nil
        }
    }

    /// The images mounted in this mount namespace, by id.
    public func mountedImages() -> [(id: Digest, path: String)] {
        let prefix = paths.mounts + "/"
        return mountPoints.compactMap { path in
            guard path.hasPrefix(prefix), let id = Digest(hex: path.dropFirst(prefix.utf8.count)) else { return nil }
            return (id, path)
        }
    }

    /// Mounts an image unless it is, and returns where.
    public func mountImage(_ image: ImageRecord) throws(EngineError) -> String {
        let path = mountPath(image.id)
        if mountedImages().contains(where: { $0.id == image.id }) { return path }
        do {
            try Directory.makeAll(paths.mounts)
            // A place of this mount namespace's own, so that nothing is left behind when it ends.
            if !mountPoints.contains(paths.mounts) { try ReadOnlyOverlay.coverWithMemory(paths.mounts) }
            try Directory.makeAll(path)
            try ReadOnlyOverlay.attach(images.layerPaths(of: image), empty: paths.empty, at: path)
        } catch {
            throw EngineError("cannot mount the image \(image.id.hex) at \(path): \(error.text)")
        }
        return path
    }

    public func unmountImage(_ id: Digest) throws(EngineError) {
        let path = mountPath(id)
        do { try ReadOnlyOverlay.detach(path) } catch { throw EngineError("cannot unmount \(path): \(error.text)") }
        try? FileTree.removeEmptyDirectory(path)
    }
}
