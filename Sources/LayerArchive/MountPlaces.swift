// SPDX-License-Identifier: Apache-2.0

/// Paths that the engine makes in a container for its own mounts. They are nobody's change: `diff` does not show them
/// and `commit` does not keep them. Podman leaves out the same.
package enum MountPlaces {
    /// Without the first slash.
    package static let paths = files.union(["dev", "proc", "sys"].map { Array($0.utf8) })

    /// Those that an image can do without: of a whole tree, the empty directories for mounts stay.
    static let files = Set(
        ["etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/mtab", "run/.containerenv", "run/secrets"]
            .map { Array($0.utf8) })
}
