// SPDX-License-Identifier: Apache-2.0
import Testing

/// What the command line says before there is any container. Exit codes and texts are Podman's.
@Suite(.serialized)
struct CommandLineTests {
    let samara: Samara

    init() throws {
        samara = try Self.empty.get()
    }

    private static let empty = Result { try Samara.fresh() }

    @Test func versionIsPrinted() throws {
        #expect(try samara.succeed("--version").hasPrefix("samara version "))
        #expect(try samara.succeed("version").contains("Version:"))
        let version = try samara.succeed("version", "--format", "{{.Client.Version}}")
        #expect(version.wholeMatch(of: /[0-9]+\.[0-9]+\.[0-9]+.*/) != nil, "\(version)")
    }

    @Test(arguments: ["--help", "help", "pod --help", "pod create --help", "run --help", "exec --help"])
    func helpGoesToStandardOutput(arguments: String) throws {
        let result = try samara.run(arguments.split(separator: " ").map(String.init))
        #expect(result.status == 0)
        #expect(result.stdout.contains("Usage:"))
        #expect(result.stderr.isEmpty)
    }

    @Test func unknownCommandsAreErrors() throws {
        let command = try samara.run("nosuchcmd")
        #expect(command.status == 125)
        #expect(command.stderr.contains("unrecognized command `samara nosuchcmd`"), "\(command)")
        let subcommand = try samara.run("pod", "nosuchcmd")
        #expect(subcommand.status == 125)
        #expect(subcommand.stderr.contains("unrecognized command `samara pod nosuchcmd`"), "\(subcommand)")
    }

    @Test(arguments: ["run", "pod create", "ps", "pod ps", "exec", "rm", "volume ls"])
    func unknownFlagsAreErrors(command: String) throws {
        let result = try samara.run(command.split(separator: " ").map(String.init) + ["--nosuchflag", "x"])
        #expect(result.status == 125)
        #expect(result.stderr.contains("Error: unknown flag: --nosuchflag"), "\(result)")
        #expect(result.stderr.contains("See 'samara \(command) --help'"), "\(result)")
        #expect(result.stdout.isEmpty)
    }

    static let missing: [(arguments: String, status: Int32)] = [
        ("pod rm nosuch", 1), ("rm nosuch", 1), ("volume rm nosuch", 1), ("pod rm -f nosuch", 0),
        ("rm -f nosuch", 0), ("pod exists nosuch", 1), ("pod inspect nosuch", 125), ("inspect nosuch", 125),
        ("stop nosuch", 125), ("logs nosuch", 125), ("exec nosuch true", 125),
    ]

    @Test(arguments: missing)
    func whatDoesNotExist(arguments: String, status: Int32) throws {
        let result = try samara.run(arguments.split(separator: " ").map(String.init))
        #expect(result.status == status, "\(result)")
        let isNamed = status != 0 && !arguments.contains("exists")
        #expect(result.stderr.contains("no such") == isNamed, "\(result)")
    }

    @Test func emptyListsHaveTheirHeadings() throws {
        #expect(try samara.succeed("pod", "ps").split(separator: " ").first == "POD")
        #expect(try samara.succeed("ps").hasPrefix("CONTAINER ID"))
        #expect(try samara.succeed("images").hasPrefix("REPOSITORY"))
        #expect(try samara.succeed("pod", "ps", "--noheading").isEmpty)
    }
}
