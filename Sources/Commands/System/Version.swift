// SPDX-License-Identifier: Apache-2.0
import Arguments
import JSON
import Presentation

/// What this program calls itself.
enum Version {
    static let current = "0.1.0"
    /// The Podman release whose command line and output this one follows: what scripts compare with.
    static let api = "5.4.2"

    /// Go's names, because that is what tools ask for.
    static var architecture: String {
        #if arch(x86_64)
            "amd64"
        #elseif arch(arm64)
            "arm64"
        #else
            "unknown"
        #endif
    }

    static var json: JSON {
        [
            "APIVersion": .string(api), "Version": .string(current), "GoVersion": "", "GitCommit": "",
            // Builds are reproducible, so they do not know when they were made.
            "BuiltTime": "Thu Jan  1 00:00:00 1970", "Built": 0, "BuildOrigin": "",
            "OsArch": .string("linux/\(architecture)"), "Os": "linux",
        ]
    }
}

func versionCommand() -> Command<Session> {
    Command("version", summary: "Display the Samara version information") {
        CommandDeclaration(
            description: "Display the Samara version information",
            usage: "[options]", examples: ["samara version", "samara version --format '{{.Client.Version}}'"],
            flags: [.string("format", short: "f", help: "Change the output format to JSON or a Go template")],
            positional: .none,
            run: { session, arguments in
                let format = arguments.string("format")
                // There is no server process; what it would answer is what the client is.
                let report: JSON = ["Client": Version.json, "Server": Version.json]
                if ReportFormat.isJSON(format) {
                    try session.print(FormattedOutput.json(["Client": Version.json], indent: 2))
                } else if arguments.isSet("format") {
                    let value = TemplateValue(report, typeName: "*define.Version", aliases: ["GoArch": "OsArch"])
                    try FormattedOutput.value(value, format: format, name: "version", into: session)
                } else {
                    try session.print(
                        Table(
                            header: nil,
                            rows: [
                                ["Client:", "Samara"], ["Version:", Version.current], ["API Version:", Version.api],
                                ["OS/Arch:", "linux/\(Version.architecture)"],
                            ]
                        ).text())
                }
                return 0
            })
    }
}
