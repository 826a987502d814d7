// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// The user namespace of a holder that was killed, found through processes that still live in it or below it.
///
/// A new namespace with the same map gives files the same owners, but its root has no power over the old one's
/// namespaces and processes: nothing could join a running pod or end its containers. So the new holder goes where the
/// old one was.
enum LostNamespace {
    /// The child of this process's own user namespace that one of `survivors` is in or below; nil if there is none.
    static func find(_ survivors: [ProcessIdentity]) -> OwnedFD? {
        guard let own = try? File.status("/proc/self/ns/user") else { return nil }
        for process in survivors {
            guard let namespace = try? File.open("/proc/\(process.pid)/ns/user", O_RDONLY), process.isAlive,
                let found = child(of: own.inode, above: namespace)
            else { continue }
            return found
        }
        return nil
    }

    private static func child(of ancestor: UInt64, above namespace: consuming OwnedFD) -> OwnedFD? {
        var namespace = namespace
        // The kernel nests them 32 deep: user_namespaces(7).
        for _ in 0..<33 {
            // NS_GET_PARENT, ioctl_ns(2). Refused above the caller's own namespace, where the search ends without success.
            let raw = samara_ioctl_value(namespace.raw, 0xb702, 0)
            if raw < 0 { return nil }
            let parent = OwnedFD(raw)
            guard let status = try? File.status(parent) else { return nil }
            if status.inode == ancestor { return namespace }
            namespace = parent
        }
        return nil
    }
}
