// SPDX-License-Identifier: Apache-2.0
import Arguments

/// The command tree. Each entry is a name, a line of help and a closure; see `Command`.
func rootCommand() -> Command<Session> {
    Command("samara", summary: "Manage pods, containers and images") {
        .group(usage: "[options]", flags: globalFlags(), version: Version.current) {
            [
                attachCommand(), commitCommand(), containerGroup(), createCommand(), diffCommand(), execCommand(),
                exportCommand(), historyCommand(), imageGroup(),
                imagesCommand(), importCommand(), infoCommand(), inspectCommand(), killCommand(), loadCommand(),
                loginCommand(),
                logoutCommand(), logsCommand(), podGroup(), portCommand(), psCommand(), pullCommand(), pushCommand(),
                restartCommand(), removeCommand(), removeImageCommand("rmi"), runCommand(), saveCommand(),
                startCommand(), stopCommand(), systemGroup(), tagCommand(), topCommand(), unshareCommand(),
                untagCommand(),
                updateCommand(),
                versionCommand(), volumeGroup(), waitCommand(),
            ]
        }
    }
}

/// Flags of every command. Podman has more; those that select a backend are accepted with the only value that is true
/// here, and everything else is an error rather than ignored.
private func globalFlags() -> [Flag] {
    [
        Flag.custom(
            "cgroup-manager", typeName: "string", default: "cgroupfs", help: "Cgroup manager to use (\"cgroupfs\")",
            problem: { $0 == "cgroupfs" ? nil : "samara manages cgroups itself: must be \"cgroupfs\"" }
        ).inherited(),
        Flag.custom(
            "events-backend", typeName: "string", default: "none", help: "Events backend to use (\"none\")",
            problem: { $0 == "none" ? nil : "samara writes no events: must be \"none\"" }
        ).inherited(),
        Flag.string(
            "log-level", default: "warn",
            help: "Log messages above specified level (trace, debug, info, warn, warning, error, fatal, panic)"
        ).inherited(),
        Flag.string(
            "root", help: "Path to the directory in which data, including images, is stored"
        ).inherited(),
        Flag.string(
            "runroot", help: "Path to the directory in which pids, sockets and locks are stored"
        ).inherited(),
        Flag.custom(
            "storage-driver", typeName: "string", default: "overlay",
            help: "Select which storage driver is used to manage storage of images and containers (\"overlay\")",
            problem: { $0 == "overlay" ? nil : "must be \"overlay\"" }
        ).inherited(),
    ]
}
