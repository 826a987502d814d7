// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine

func importCommand() -> Command<Session> {
    Command("import", summary: "Import a tarball to create a filesystem image") {
        CommandDeclaration(
            description:
                "Create a container image from the contents of the specified tarball (.tar, .tar.gz, .tar.zst).",
            usage: "[options] PATH [REFERENCE]",
            examples: [
                "samara import ctr.tar", "cat ctr.tar | samara import - image-imported",
                "samara import --change CMD=/bin/bash ctr.tar image-imported",
            ],
            flags: [
                .stringArray(
                    "change", short: "c",
                    help:
                        "Apply the following possible instructions to the created image (default []): CMD | ENTRYPOINT | ENV | EXPOSE | LABEL | ONBUILD | STOPSIGNAL | USER | VOLUME | WORKDIR"
                ),
                .string("message", short: "m", help: "Set commit message for imported image"),
                .string("arch", help: "Set the architecture of the imported image"),
                .string("os", help: "Set the OS of the imported image"),
                .string("variant", help: "Set the variant of the imported image"),
                .bool("quiet", short: "q", help: "Suppress output"),
            ],
            positional: .between(1, 2),
            run: { session, arguments in
                var line = ["import"]
                for change in arguments.strings("change") { line += ["--change", change] }
                for name in ["message", "os", "arch", "variant"] where arguments.isSet(name) {
                    line += ["--" + name, arguments.string(name)]
                }
                return try session.engine(arguments).runImageTool(line + ["--"] + arguments.positional)
            })
    }
}
