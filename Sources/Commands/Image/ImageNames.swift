// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine
import ImageStore

func tagCommand() -> Command<Session> {
    Command("tag", summary: "Add an additional name to a local image") {
        CommandDeclaration(
            description: "Adds one or more additional names to locally-stored image.",
            usage: "IMAGE TARGET_NAME [TARGET_NAME...]",
            examples: [
                "samara tag 0e3bbc2 fedora:latest", "samara tag imageID:latest myNewImage:newTag",
                "samara tag httpd myregistryhost:5000/fedora/httpd:v2",
            ],
            positional: .atLeast(2),
            run: { session, arguments in
                let store = try session.engine(arguments).images
                for name in arguments.positional.dropFirst() { try store.tag(arguments.positional[0], as: name) }
                return 0
            })
    }
}

func untagCommand() -> Command<Session> {
    Command("untag", summary: "Remove a name from a local image") {
        CommandDeclaration(
            description: "Removes one or more names from a locally-stored image.",
            usage: "IMAGE [IMAGE...]",
            examples: ["samara untag 0e3bbc2", "samara untag imageID:latest otherImageName:latest"],
            positional: .atLeast(1),
            run: { session, arguments in
                let store = try session.engine(arguments).images
                try store.untag(arguments.positional[0], Array(arguments.positional.dropFirst()))
                return 0
            })
    }
}

func imageExistsCommand() -> Command<Session> {
    Command("exists", summary: "Check if an image exists in local storage") {
        CommandDeclaration(
            description:
                "If the named image exists in local storage, samara image exists exits with 0, otherwise the exit code will be 1.",
            usage: "IMAGE",
            examples: ["samara image exists ID", "samara image exists IMAGE || samara load -i ARCHIVE"],
            positional: .exactly(1),
            run: { session, arguments in
                try ImageLookup.find(arguments.positional[0], try session.engine(arguments)) == nil ? 1 : 0
            })
    }
}

func imageGroup() -> Command<Session> {
    Command("image", summary: "Manage images") {
        .group(description: "Manage images") {
            [
                diffCommand(.image), imageExistsCommand(), historyCommand(), imageInspectCommand(),
                imagesCommand("list", aliases: ["ls"]), importCommand(), loadCommand(), imageMountCommand(),
                imagePruneCommand(), pullCommand(), pushCommand(), removeImageCommand("rm"), saveCommand(),
                tagCommand(), imageTreeCommand(), imageUnmountCommand(), untagCommand(),
            ]
        }
    }
}
