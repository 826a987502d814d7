// SPDX-License-Identifier: Apache-2.0
import Arguments
import ContainerRuntime

/// `checkpoint` and `restore` with the options that callers pass, so that the refusal is about the command and reaches
/// the caller's log: containerd shows the last line of that, Podman what is on standard error.
func checkpointCommands() -> [Command<RuntimeContext>] {
    let switches = [
        "leave-running", "tcp-established", "tcp-skip-in-flight", "link-remap", "ext-unix-sk", "shell-job",
        "file-locks",
        "pre-dump", "lazy-pages", "auto-dedup", "detach", "no-pivot", "no-subreaper", "no-new-keyring",
    ]
    let values = [
        "image-path", "work-path", "parent-path", "page-server", "status-fd", "manage-cgroups-mode", "empty-ns",
        "bundle",
        "pid-file", "console-socket", "lsm-profile", "lsm-mount-context",
    ]
    return ["checkpoint", "restore"].map { name in
        Command(name, summary: "Not supported", isHidden: true) {
            .init(
                usage: "ID",
                flags: switches.map { .bool($0, help: "Not supported") }
                    + values.map { .string($0, help: "Not supported") }, positional: .any,
                run: { _, _ in
                    throw RuntimeError("\(name): checkpoint and restore are not supported by samara-runtime")
                })
        }
    }
}
