// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine

func loginCommand() -> Command<Session> {
    Command("login", summary: "Log in to a container registry") {
        CommandDeclaration(
            description: "Log in to a container registry on a specified server.",
            usage: "[options] REGISTRY",
            examples: [
                "samara login quay.io", "samara login --username ... --password ... quay.io",
                "samara login --authfile dir/auth.json quay.io",
            ],
            flags: [
                RegistryFlags.authFile(), RegistryFlags.certificateDirectory(), RegistryFlags.tlsVerify(),
                .bool("get-login", help: "Return the current login user for the registry"),
                .string("password", short: "p", help: "Password for registry"),
                .bool("password-stdin", help: "Take the password from stdin"),
                .string("username", short: "u", help: "Username for registry"),
                .bool("verbose", short: "v", help: "Write more detailed information to stdout"),
            ],
            positional: .atMost(1),
            run: { session, arguments in
                var line = ["login"]
                line += try RegistryFlags.line(
                    arguments, ["authfile", "cert-dir", "tls-verify", "username", "password"])
                for name in ["get-login", "password-stdin", "verbose"] where arguments.bool(name) {
                    line.append("--" + name)
                }
                let registry = arguments.positional.first ?? "docker.io"
                return try session.engine(arguments).runImageTool(line + [registry], touchesImages: false)
            })
    }
}

func logoutCommand() -> Command<Session> {
    Command("logout", summary: "Log out of a container registry") {
        CommandDeclaration(
            description: "Remove the cached username and password for the registry.",
            usage: "[options] [REGISTRY]",
            examples: ["samara logout quay.io", "samara logout --all"],
            flags: [
                RegistryFlags.authFile(),
                .bool("all", short: "a", help: "Remove the cached credentials for all registries in the auth file"),
            ],
            positional: .atMost(1),
            run: { session, arguments in
                var line = ["logout"] + (try RegistryFlags.line(arguments, ["authfile"]))
                if arguments.bool("all") {
                    line.append("--all")
                } else if arguments.positional.isEmpty {
                    line.append("docker.io")
                }
                return try session.engine(arguments).runImageTool(line + arguments.positional, touchesImages: false)
            })
    }
}
