// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine

func systemCheckCommand() -> Command<Session> {
    Command("check", summary: "Check storage consistency") {
        CommandDeclaration(
            description:
                "Check storage for consistency: every image has its content and its unpacked layers, with the right digests, files and sizes. Prints one line per problem and exits with 125 when there is one.",
            usage: "[options]",
            examples: ["samara system check", "samara system check --quick", "samara system check --repair"],
            flags: [
                .bool("force", short: "f", help: "Remove containers which use damaged images, and the images"),
                .bool("quick", short: "q", help: "Skip time-consuming checks: of digests and of the files in layers"),
                .bool("repair", short: "r", help: "Remove damaged images that no container uses"),
            ],
            positional: .none,
            run: { session, arguments in
                let engine = try session.engine(arguments)
                let force = arguments.bool("force")
                let users = try ImageLookup.users(engine)
                var line = ["check"]
                if arguments.bool("quick") { line.append("--quick") }
                if force || arguments.bool("repair") { line.append("--repair") }
                if !force { for id in users.keys.sorted() { line += ["--used", id] } }
                let code = try engine.runImageTool(line)
                guard force else { return code }
                // The images are gone; what was made from them cannot start again.
                for (id, containers) in users {
                    if try ImageLookup.find("sha256:" + id, engine) != nil { continue }
                    for container in containers {
                        try engine.remove(container, force: true, removesVolumes: true, timeout: nil)
                        try session.print("Deleted container: \(container.record.id)\n")
                    }
                }
                return code
            })
    }
}
