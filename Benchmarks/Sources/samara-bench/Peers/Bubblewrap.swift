// SPDX-License-Identifier: Apache-2.0

/// bubblewrap with the nearest options it has: a single mapped ID, its own small /dev, no seccomp filter.
enum Bubblewrap {
    static func command(_ path: String, root: String, _ environment: [String: String]) -> Command {
        Command(
            path: path,
            arguments: [
                "--unshare-all", "--uid", "0", "--gid", "0", "--bind", root, "/", "--proc", "/proc", "--dev", "/dev",
                "--tmpfs",
                "/dev/shm", "--mqueue", "/dev/mqueue", "--cap-drop", "ALL", "--die-with-parent", "/bin/true",
            ], environment: environment)
    }
}
