// SPDX-License-Identifier: Apache-2.0

import Synchronization
import Testing

@testable import Arguments

/// Which declarations were evaluated, in order.
private final class Trace: Sendable {
    let names = Mutex<[String]>([])
    func note(_ name: String) { names.withLock { $0.append(name) } }
}

private func tree(_ trace: Trace = Trace()) -> Command<String> {
    Command("samara", summary: "Manage pods, containers and images") {
        trace.note("samara")
        return .group(
            usage: "[options]",
            flags: [.string("root", help: "Storage root").inherited(), .bool("debug", short: "D", help: "Debug")],
            version: "1.2.3"
        ) {
            [
                Command("run", summary: "Run a command in a new container") {
                    trace.note("run")
                    return .init(
                        usage: "[options] IMAGE [COMMAND [ARG...]]",
                        flags: [
                            .bool("help", help: ""), .bool("rm", help: "Remove container"),
                            .string("hostname", short: "h", help: "Set container hostname"),
                        ],
                        positional: .atLeast(1), isInterspersed: false,
                        run: { context, arguments in Int32(context.count + arguments.positional.count) })
                },
                Command("pod", summary: "Manage pods") {
                    trace.note("pod")
                    return .group(description: "Pods are a group of one or more containers.") {
                        [
                            Command("ps", aliases: ["ls", "list"], summary: "List pods") {
                                trace.note("ps")
                                return .init(
                                    usage: "[options]", examples: ["samara pod ps"],
                                    flags: [.bool("quiet", short: "q", help: "Print IDs")], positional: .none,
                                    run: { _, _ in 0 })
                            },
                            Command("create", summary: "Create a new empty pod") {
                                trace.note("create")
                                return .init(positional: .atMost(1), run: { _, _ in 0 })
                            },
                            Command("secret-door", summary: "Not listed", isHidden: true) {
                                .init(run: { _, _ in 0 })
                            },
                        ]
                    }
                },
            ]
        }
    }
}

@Suite struct CommandResolution {
    @Test func runsTheSelectedCommand() throws {
        guard case .invocation(let invocation) = try tree().resolve(["run", "--rm", "image", "ls", "-l"]) else {
            Issue.record("expected an invocation")
            return
        }
        #expect(invocation.path == "samara run")
        #expect(invocation.arguments.positional == ["image", "ls", "-l"])
        #expect(try invocation.run("1234") == 7)
    }

    @Test func preparedWorkNeedsNothingOfTheCommandLine() throws {
        weak var declared: Trace?
        func prepare() throws -> () throws -> Int32 {
            let trace = Trace()
            declared = trace
            let tree = Command<String>("samara", summary: "") {
                .init(
                    flags: [
                        .custom("name", typeName: "string", help: "") {
                            trace.note($0)
                            return nil
                        }
                    ],
                    prepare: { context, arguments in
                        let count = context.count + arguments.string("name").count
                        return { Int32(count) }
                    })
            }
            guard case .invocation(let invocation) = try tree.resolve(["--name", "abc"]) else { return { -1 } }
            return try invocation.prepare("1234")
        }
        let work = try prepare()
        #expect(declared == nil)
        #expect(try work() == 7)
    }

    @Test(arguments: [
        ["--root", "/r", "pod", "ls"], ["pod", "--root=/r", "ps"], ["pod", "list", "--root", "/r"],
        ["-D", "--root=/x", "pod", "ps", "-q", "--root=/r"],
    ])
    func inheritsFlagsAtEveryLevel(line: [String]) throws {
        guard case .invocation(let invocation) = try tree().resolve(line) else {
            Issue.record("expected an invocation")
            return
        }
        #expect(invocation.path == "samara pod ps")
        #expect(invocation.arguments.string("root") == "/r")
    }

    @Test func evaluatesOnlyThePathToTheCommand() throws {
        let trace = Trace()
        _ = try tree(trace).resolve(["pod", "ps"])
        #expect(trace.names.withLock { $0 } == ["samara", "pod", "ps"])
        let helpTrace = Trace()
        _ = try tree(helpTrace).resolve(["--help"])
        #expect(helpTrace.names.withLock { $0 } == ["samara"])
    }

    static let hint = "\nTry 'samara --help' for more information"

    @Test(arguments: [
        (["nosuchcmd"], "unrecognized command `samara nosuchcmd`" + hint),
        (
            ["ru"],
            "unrecognized command `samara ru`\n\nDid you mean this?\n\trun\n\nTry 'samara --help' for more information"
        ),
        (
            ["rnu"],
            "unrecognized command `samara rnu`\n\nDid you mean this?\n\trun\n\nTry 'samara --help' for more information"
        ),
        (
            ["pod", "nosuchcmd"],
            "unrecognized command `samara pod nosuchcmd`\nTry 'samara pod --help' for more information"
        ),
        (["--foo", "run"], "unknown flag: --foo\nSee 'samara --help'"),
        (["pod", "-D", "ps"], "unknown shorthand flag: 'D' in -D\nSee 'samara pod --help'"),
        (["pod", "nosuchcmd", "--foo"], "unknown flag: --foo\nSee 'samara pod --help'"),
        (["run"], "requires at least 1 arg(s), only received 0"),
        (["pod", "ps", "x"], "`samara pod ps` takes no arguments"),
        (["pod", "create", "a", "b"], "accepts at most 1 arg(s), received 2"),
        (["help", "nosuchcmd"], "unrecognized command `samara nosuchcmd`" + hint),
    ])
    func errors(line: [String], message: String) {
        let error = #expect(throws: ArgumentError.self) { try tree().resolve(line) }
        #expect(error?.message == message)
        #expect(error?.helpText == nil)
    }

    @Test(arguments: [([], "samara"), (["pod"], "samara pod")])
    func missingCommandPrintsHelpFirst(line: [String], path: String) throws {
        let error = #expect(throws: ArgumentError.self) { try tree().resolve(line) }
        #expect(error?.message == "missing command '\(path) COMMAND'")
        #expect(try error?.helpText == text(line + ["--help"]))
    }

    @Test(arguments: [
        (PositionalLimit.exactly(1), ["a"], ["accepts 1 arg(s), received 0"]),
        (.between(1, 2), ["a", "b"], ["accepts between 1 and 2 arg(s), received 0"]),
        (
            .check { $0.positional.isEmpty ? "you must provide at least one name or id" : nil }, ["a"],
            ["you must provide at least one name or id"]
        ),
    ])
    func limits(limit: PositionalLimit, accepted: [String], message: [String]) throws {
        #expect(try parse(accepted, [], positional: limit).positional == accepted)
        let error = #expect(throws: ArgumentError.self) { try parse([], [], positional: limit) }
        #expect(error?.message == message.first)
    }

    private func text(_ line: [String]) throws -> String {
        guard case .text(let text) = try tree().resolve(line) else {
            Issue.record("\(line) did not print text")
            return ""
        }
        return text
    }

    @Test(arguments: [["--version"], ["-v"], ["-D", "-v"]]) func version(line: [String]) throws {
        #expect(try text(line) == "samara version 1.2.3\n")
    }

    @Test(arguments: [
        ["pod", "--help"], ["--help", "pod"], ["help", "pod"], ["pod", "-h"], ["pod", "--help", "--help=true"],
        ["pod", "nosuchcmd", "--help"],
    ])
    func groupHelp(line: [String]) throws {
        #expect(
            try text(line) == """
                Manage pods

                Description:
                  Pods are a group of one or more containers.

                Usage:
                  samara pod [command]

                Available Commands:
                  create      Create a new empty pod
                  ps          List pods


                """)
    }

    @Test(arguments: [
        ["pod", "ps", "--help"], ["pod", "ls", "x", "-h"], ["--help", "pod", "ps"], ["help", "pod", "list"],
    ])
    func commandHelp(line: [String]) throws {
        #expect(
            try text(line) == """
                List pods

                Description:
                  List pods

                Usage:
                  samara pod ps [options]

                Aliases:
                  ps, ls, list

                Examples:
                  samara pod ps

                Options:
                  -q, --quiet   Print IDs


                """)
    }

    @Test func rootHelp() throws {
        #expect(
            try text(["--help"]) == """
                Manage pods, containers and images

                Usage:
                  samara [options] [command]

                Available Commands:
                  help        Help about any command
                  pod         Manage pods
                  run         Run a command in a new container

                Options:
                  -D, --debug         Debug
                      --root string   Storage root
                  -v, --version       Print the version

                """)
    }

    @Test func declaredLetterIsNotHelp() throws {
        guard case .invocation(let invocation) = try tree().resolve(["run", "-h", "box", "image"]) else {
            Issue.record("-h printed help")
            return
        }
        #expect(invocation.arguments.string("hostname") == "box")
        #expect(try text(["run", "--help"]).hasPrefix("Run a command in a new container\n\nDescription:\n"))
    }
}

@Suite struct HelpLayout {
    /// Lines of `podman pod create --help`, 5.4.2.
    @Test func podmanOptionTable() {
        let table = HelpText<Void>.flagTable(
            [
                .uint("cpu-shares", short: "c", help: "CPU shares (relative weight)"),
                .strings("add-host", help: "Add a custom host-to-IP mapping (host:ip)").showingDefault("[]"),
                .strings(
                    "blkio-weight-device", placeholder: "DEVICE_NAME:WEIGHT",
                    help: "Block IO weight (relative device weight, format: DEVICE_NAME:WEIGHT)"),
                .float("cpus", help: "Number of CPUs. The default is 0.000 which means no limit"),
                .string("exit-policy", default: "continue", help: "Behaviour when the last container exits"),
                .bool("help", help: ""), .bool("never", help: "").hidden(),
                .bool(
                    "infra", default: true,
                    help: "Create an infra container associated with the pod to share namespaces with"),
                .stringArray("volume", short: "v", help: "Bind mount a volume into the container"),
            ].filter { !$0.isHidden })
        #expect(
            table.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) == [
                "      --add-host strings                         Add a custom host-to-IP mapping (host:ip) (default [])",
                "      --blkio-weight-device DEVICE_NAME:WEIGHT   Block IO weight (relative device weight, format: DEVICE_NAME:WEIGHT)",
                "  -c, --cpu-shares uint                          CPU shares (relative weight)",
                "      --cpus float                               Number of CPUs. The default is 0.000 which means no limit",
                "      --exit-policy string                       Behaviour when the last container exits (default \"continue\")",
                "      --help                                     ",
                "      --infra                                    Create an infra container associated with the pod to share namespaces with (default true)",
                "  -v, --volume stringArray                       Bind mount a volume into the container",
            ])
    }

    @Test func impliedValuesAndLongHelp() {
        let table = HelpText<Void>.flagTable([
            .string("color", help: "When\nto color").implying("always"), .count("verbose", help: "More"),
            .int("n", help: "Number").implying("5"), .bool("help", help: ""),
        ])
        #expect(
            table.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) == [
                "      --color string[=\"always\"]   When",
                "                                  to color",
                "      --help                      ",
                "      --n int[=5]                 Number",
                "      --verbose count             More",
            ])
    }
}
