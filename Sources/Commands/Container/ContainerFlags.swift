// SPDX-License-Identifier: Apache-2.0
import Arguments

/// The flags of `run` and `create`: podman-run(1). What they mean is in ContainerTranslation.
enum ContainerFlags {
    static let detachKeysHelp =
        "Override the key sequence for detaching a container. Format is a single character [a-Z] or a comma separated "
        + "sequence of `ctrl-<value>`, where `<value>` is one of: `a-z`, `@`, `^`, `[`, `\\`, `]` or `_`"

    static func declarations(forRun: Bool) -> [Flag] {
        process + identity + isolation + network + storage + life + RegistryFlags.forContainers
            + (forRun ? runOnly : [])
    }

    private static var process: [Flag] {
        [
            .string("entrypoint", help: "Overwrite the default ENTRYPOINT of the image"),
            .stringArray(
                "env", short: "e",
                help: "Set environment variables in container"
            ).showingDefault(
                "[PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin]"),
            .stringArray("env-file", help: "Read in a file of environment variables"),
            .bool("env-host", help: "Use all current host environment variables in container"),
            .bool(
                "http-proxy", default: true,
                help: "Set proxy environment variables in the container based on the host proxy vars"),
            .bool("init", help: "Run an init binary inside the container that forwards signals and reaps processes"),
            .bool("interactive", short: "i", help: "Make STDIN available to the contained process"),
            .string("stop-signal", help: "Signal to stop a container. Default is SIGTERM"),
            .uint(
                "stop-timeout", default: 10,
                help: "Timeout (in seconds) that containers stopped by user command have to exit. "
                    + "If exceeded, the container will be forcibly stopped via SIGKILL."),
            .uint(
                "timeout",
                help: "Maximum length of time a container is allowed to run. "
                    + "The container will be killed automatically after the time expires."),
            .bool("tty", short: "t", help: "Allocate a pseudo-TTY for container"),
            .string("umask", default: "0022", help: "Set umask in container"),
            .stringArray("unsetenv", help: "Unset environment default variables in container"),
            .bool("unsetenv-all", help: "Unset all default environment variables in container"),
            .string("workdir", short: "w", help: "Working directory inside the container"),
        ]
    }

    private static var identity: [Flag] {
        [
            .stringArray("annotation", help: "Add annotations to container (key=value)"),
            .string("cidfile", help: "Write the container ID to the file"),
            .strings("group-add", help: "Add additional groups to the primary container process."),
            .string("hostname", short: "h", help: "Set container hostname"),
            .stringArray("label", short: "l", help: "Set metadata on container"),
            .stringArray("label-file", help: "Read in a line delimited file of labels"),
            .string("name", help: "Assign a name to the container"),
            .string("pod", help: "Run container in an existing pod, or with new:NAME in one that is made for it"),
            .string("pod-id-file", help: "Read the pod ID from the file"),
            .bool("replace", help: "If a container with the same name exists, replace it"),
            .string("user", short: "u", help: "Username or UID (format: <name|uid>[:<group|gid>])"),
            // Only -h is the hostname here, so help has no letter.
            .bool("help", help: "").hidden(),
        ]
    }

    private static var isolation: [Flag] {
        [
            .strings("cap-add", help: "Add capabilities to the container"),
            .strings("cap-drop", help: "Drop capabilities from the container"),
            .string("ipc", help: "IPC namespace to use"),
            .string("pid", help: "PID namespace to use"),
            .bool("privileged", help: "Give extended privileges to container"),
            .bool("read-only", help: "Make containers root filesystem read-only"),
            .bool(
                "read-only-tmpfs", default: true,
                help:
                    "When running --read-only containers mount read-write tmpfs on /dev, /dev/shm, /run, /tmp and /var/tmp"
            ),
            .stringArray("security-opt", help: "Security Options"),
            .string(
                "shm-size", placeholder: "<number>[<unit>]", default: "65536k",
                help:
                    "Size of /dev/shm (format: <number>[<unit>], where unit = b (bytes), k (kibibytes), m (mebibytes), or g (gibibytes))"
            ),
            .strings("sysctl", help: "Sysctl options"),
            .strings("ulimit", help: "Ulimit options"),
            .string("uts", help: "UTS namespace to use"),
        ]
    }

    private static var network: [Flag] {
        [
            .strings("add-host", help: "Add a custom host-to-IP mapping (host:ip)"),
            .strings("dns", help: "Set custom DNS servers"),
            .strings("dns-option", help: "Set custom DNS options").alias("dns-opt"),
            .strings("dns-search", help: "Set custom DNS search domains"),
            .strings("expose", help: "Expose a port or a range of ports"),
            .stringArray("network", help: "Connect a container to a network").alias("net"),
            .bool(
                "no-hosts",
                help: "Do not create /etc/hosts within the container, instead use the version from the image"),
            .strings("publish", short: "p", help: "Publish a container's port, or a range of ports, to the host"),
            .bool("publish-all", short: "P", help: "Publish all exposed ports to random ports on the host interface"),
        ]
    }

    private static var storage: [Flag] {
        [
            .stringArray("mount", help: "Attach a filesystem mount to the container"),
            .bool("rootfs", help: "The first argument is not an image but the rootfs to the exploded container"),
            .stringArray("tmpfs", placeholder: "tmpfs", help: "Mount a temporary filesystem (tmpfs) into a container"),
            .stringArray("volume", short: "v", help: "Bind mount a volume into the container"),
        ]
    }

    private static var life: [Flag] {
        [
            .string("log-driver", default: "k8s-file", help: "Logging driver for the container"),
            .stringArray("log-opt", help: "Logging driver options"),
            .string("pull", default: "missing", help: "Pull image policy (\"always\"|\"missing\"|\"never\"|\"newer\")"),
            .bool("quiet", short: "q", help: "Suppress output information when pulling images"),
            .string(
                "restart",
                help: "Restart policy to apply when a container exits "
                    + "(\"always\"|\"no\"|\"never\"|\"on-failure\"|\"unless-stopped\")"),
            .bool(
                "rm", help: "Remove container and any anonymous unnamed volume associated with the container after exit"
            ),
        ]
    }

    private static var runOnly: [Flag] {
        [
            .strings("attach", short: "a", help: "Attach to STDIN, STDOUT or STDERR"),
            .bool("detach", short: "d", help: "Run container in background and print container ID"),
            .string("detach-keys", placeholder: "[a-Z]", default: "ctrl-p,ctrl-q", help: detachKeysHelp),
            .bool("sig-proxy", default: true, help: "Proxy received signals to the process"),
        ]
    }
}
