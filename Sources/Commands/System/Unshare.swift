// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine
import LinuxSystem
import SystemPackage

func unshareCommand() -> Command<Session> {
    Command("unshare", summary: "Run a command in a modified user namespace") {
        CommandDeclaration(
            description:
                "Runs a command inside of the user namespace that containers of this user have: files of images and volumes belong there to the users that they are meant for. Mounts made by the command end with it.",
            usage: "[COMMAND [ARG...]]",
            examples: [
                "samara unshare id", "samara unshare cat /proc/self/uid_map",
                "samara unshare sh -c 'ls $(samara image mount alpine)'",
            ],
            isInterspersed: false,
            run: { session, arguments in
                let engine = try session.engine(arguments)
                try engine.prepareTrees()
                let program = arguments.positional.first ?? Identity.environment("SHELL") ?? "/bin/sh"
                do throws(Errno) { try Spawn.become(program, Array(arguments.positional.dropFirst())) } catch {
                    let code: Int32 = error == .noSuchFileOrDirectory ? 127 : 126
                    throw Failure("cannot run \(program): \(error.text)", exitCode: code)
                }
                return 0
            })
    }
}
