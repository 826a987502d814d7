// SPDX-License-Identifier: Apache-2.0
import Arguments
import Presentation

/// The flags of commands that talk to registries, and what samara-image is told of them.
enum RegistryFlags {
    static func authFile() -> Flag {
        .string(
            "authfile", help: "Path of the authentication file. Use REGISTRY_AUTH_FILE environment variable to override"
        )
    }

    static func tlsVerify() -> Flag {
        .bool("tls-verify", default: true, help: "Require HTTPS and verify certificates when contacting registries")
    }

    static func certificateDirectory() -> Flag {
        .string("cert-dir", help: "Pathname of a directory containing TLS certificates and keys")
    }

    private static func credentials() -> Flag {
        .string(
            "creds", placeholder: "[username[:password]]",
            help: "Credentials (USERNAME:PASSWORD) to use for authenticating to a registry")
    }

    private static func retry() -> Flag {
        .uint("retry", default: 3, help: "Number of times to retry in case of failure")
    }

    private static func retryDelay() -> Flag {
        .string("retry-delay", help: "Delay between retries in case of failures")
    }

    /// What `run` and `create` take for the pull that they may start.
    static var forContainers: [Flag] {
        [authFile(), certificateDirectory(), tlsVerify(), credentials(), retry(), retryDelay()] + platform
    }

    static let forTransfers: [Flag] = [
        authFile(), certificateDirectory(), tlsVerify(), credentials(), retry(), retryDelay(),
        .bool("disable-content-trust", help: "Accepted for compatibility with Docker: there is no content trust"),
        .string(
            "progress", default: "auto", help: "How progress is shown on standard error (auto, tty, plain, json, none)"),
        .bool("quiet", short: "q", help: "Suppress output information"),
    ]

    static let platform: [Flag] = [
        .string("platform", help: "Specify the platform for selecting the image.  (Conflicts with arch and os)"),
        .string("arch", help: "Use ARCH instead of the architecture of the machine for choosing images"),
        .string("os", help: "Use OS instead of the running OS for choosing images"),
        .string("variant", help: "Use VARIANT instead of the running architecture variant for choosing images"),
    ]

    /// Of the flags declared by `names`, those that were given.
    static func line(_ arguments: ParsedArguments, _ names: [String]) throws -> [String] {
        var line: [String] = []
        for name in names where arguments.isSet(name) {
            switch name {
            case "quiet": if arguments.bool(name) { line.append("--quiet") }
            case "tls-verify": line += ["--tls-verify", arguments.bool(name) ? "true" : "false"]
            case "retry": line += ["--retry", String(arguments.uint(name))]
            case "retry-delay": line += ["--retry-delay", String(try milliseconds(arguments.string(name)))]
            default: line += ["--" + name, arguments.string(name)]
            }
        }
        return line
    }

    static let transferNames = [
        "authfile", "cert-dir", "tls-verify", "creds", "retry", "retry-delay", "progress", "quiet",
    ]

    static func platformLine(_ arguments: ParsedArguments) throws -> [String] {
        if arguments.isSet("platform"), arguments.isSet("arch") || arguments.isSet("os") {
            throw Failure("--platform option can not be specified with --arch or --os")
        }
        // The order matters: an architecture has its own variants.
        return try line(arguments, ["platform", "os", "arch", "variant"])
    }

    private static func milliseconds(_ text: String) throws -> Int64 {
        try GoDuration.nanoseconds(text) / 1_000_000
    }
}
