// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Arguments

/// Runs one command line against a command with these flags and returns what was parsed.
func parse(
    _ line: [String], _ flags: [Flag], positional: PositionalLimit = .any, isInterspersed: Bool = true
) throws(ArgumentError) -> ParsedArguments {
    let command = Command<Void>("samara", summary: "") {
        .group {
            [
                Command("run", summary: "") {
                    .init(flags: flags, positional: positional, isInterspersed: isInterspersed) { _, _ in 0 }
                }
            ]
        }
    }
    guard case .invocation(let invocation) = try command.resolve(["run"] + line) else {
        throw ArgumentError("printed text")
    }
    return invocation.arguments
}

@Suite struct FlagParsing {
    static let flags: [Flag] = [
        .bool("detach", short: "d", help: ""), .bool("interactive", short: "i", help: ""),
        .bool("tty", short: "t", help: ""), .bool("sig-proxy", default: true, help: ""),
        .string("name", short: "n", help: ""), .string("pull", default: "missing", help: ""),
        .int("time", short: "T", default: 10, help: ""), .uint("cpu-shares", short: "c", help: ""),
        .float("cpus", help: ""), .strings("publish", short: "p", help: ""),
        .stringArray("env", short: "e", help: ""), .count("verbose", short: "V", help: ""),
        .string("color", help: "").implying("always"), .stringArray("network", help: "").alias("net"),
        .strings("dns", default: "1.1.1.1,8.8.8.8", help: ""),
        .custom("restart", typeName: "policy", help: "") { $0 == "always" ? nil : "unknown policy" },
    ]

    @Test(arguments: [
        (["--name", "x"], "x"), (["--name=x"], "x"), (["-n", "x"], "x"), (["-nx"], "x"), (["-n=x"], "x"),
        (["-dn", "x"], "x"), (["-dnx"], "x"), (["--name=", "w"], ""), (["--name", "--tty"], "--tty"),
        (["--name=a=b"], "a=b"), (["--name", "a", "--name", "b"], "b"), (["-n", "-"], "-"), (["--name", ""], ""),
    ])
    func stringForms(line: [String], expected: String) throws {
        let parsed = try parse(line, Self.flags)
        #expect(parsed.string("name") == expected)
        #expect(parsed.isSet("name"))
        #expect(!parsed.bool("tty"))
    }

    @Test(arguments: [
        (["-dit"], true, true), (["-d", "-i", "-t"], true, true), (["--detach", "--tty=false"], true, false),
        (["-t=true", "--detach=0"], false, true), (["--detach=T", "--tty=1"], true, true), ([], false, false),
    ])
    func bools(line: [String], detach: Bool, tty: Bool) throws {
        let parsed = try parse(line, Self.flags)
        #expect(parsed.bool("detach") == detach)
        #expect(parsed.bool("tty") == tty)
        #expect(parsed.bool("sig-proxy"))
    }

    @Test func boolNeverTakesTheNextWord() throws {
        let parsed = try parse(["--tty", "false"], Self.flags)
        #expect(parsed.bool("tty"))
        #expect(parsed.positional == ["false"])
    }

    @Test func numbersListsAndDefaults() throws {
        let none = try parse([], Self.flags)
        #expect(none.int("time") == 10)
        #expect(none.intIfSet("time") == nil)
        #expect(none.string("pull") == "missing")
        #expect(none.stringIfSet("pull") == nil)
        #expect(none.strings("publish") == [])
        #expect(none.strings("dns") == ["1.1.1.1", "8.8.8.8"])
        #expect(none.int("verbose") == 0)

        let line =
            "-T -5 -c 0x10 --cpus 1.5 -p 80:80,81:81 --publish=82 -e A=1,2 -eB= -VVV --color --net=a --network b --dns 9"
        let parsed = try parse(line.split(separator: " ").map(String.init), Self.flags)
        #expect(parsed.int("time") == -5)
        #expect(parsed.uint("cpu-shares") == 16)
        #expect(parsed.double("cpus") == 1.5)
        #expect(parsed.strings("publish") == ["80:80", "81:81", "82"])
        #expect(parsed.strings("env") == ["A=1,2", "B="])
        #expect(parsed.int("verbose") == 3)
        #expect(parsed.string("color") == "always")
        #expect(parsed.strings("network") == ["a", "b"])
        #expect(parsed.isSet("network"))
        #expect(parsed.strings("dns") == ["9"])
    }

    @Test(arguments: [
        (["a", "-d", "b"], true, ["a", "b"], true), (["a", "-d", "b"], false, ["a", "-d", "b"], false),
        (["-d", "a", "-t"], false, ["a", "-t"], true), (["--", "-d"], true, ["-d"], false),
        (["a", "--", "-d", "--"], true, ["a", "-d", "--"], false), (["a", "--", "b"], false, ["a", "--", "b"], false),
        (["-", "-d"], true, ["-"], true), (["-d", "--", "a"], false, ["a"], true),
    ])
    func words(line: [String], isInterspersed: Bool, positional: [String], detach: Bool) throws {
        let parsed = try parse(line, Self.flags, isInterspersed: isInterspersed)
        #expect(parsed.positional == positional)
        #expect(parsed.bool("detach") == detach)
    }

    @Test(arguments: [
        (["--foo"], "unknown flag: --foo"), (["--foo=bar"], "unknown flag: --foo"),
        (["-x"], "unknown shorthand flag: 'x' in -x"), (["-dxt"], "unknown shorthand flag: 'x' in -xt"),
        (["--name"], "flag needs an argument: --name"), (["-n"], "flag needs an argument: 'n' in -n"),
        (["-dn"], "flag needs an argument: 'n' in -n"), (["--=x"], "bad flag syntax: --=x"),
        (["---x"], "bad flag syntax: ---x"),
        (["-T", "x"], #"invalid argument "x" for "-T, --time" flag: strconv.ParseInt: parsing "x": invalid syntax"#),
        (["--time="], #"invalid argument "" for "-T, --time" flag: strconv.ParseInt: parsing "": invalid syntax"#),
        (
            ["--time", "9223372036854775808"],
            #"invalid argument "9223372036854775808" for "-T, --time" flag: "#
                + #"strconv.ParseInt: parsing "9223372036854775808": value out of range"#
        ),
        (
            ["--cpu-shares=-1"],
            #"invalid argument "-1" for "-c, --cpu-shares" flag: strconv.ParseUint: parsing "-1": invalid syntax"#
        ),
        (
            ["--cpus", "1,5"],
            #"invalid argument "1,5" for "--cpus" flag: strconv.ParseFloat: parsing "1,5": invalid syntax"#
        ),
        (
            ["--tty=maybe"],
            #"invalid argument "maybe" for "-t, --tty" flag: strconv.ParseBool: parsing "maybe": invalid syntax"#
        ),
        (
            ["-p", #"a"b"#],
            #"invalid argument "a\"b" for "-p, --publish" flag: parse error on line 1, column 2: "#
                + #"bare " in non-quoted field"#
        ),
        (["--restart", "maybe"], #"invalid argument "maybe" for "--restart" flag: unknown policy"#),
        (["--help=x"], #"invalid argument "x" for "--help" flag: strconv.ParseBool: parsing "x": invalid syntax"#),
    ])
    func errors(line: [String], message: String) {
        let error = #expect(throws: ArgumentError.self) { try parse(line, Self.flags) }
        #expect(error?.message == message + "\nSee 'samara run --help'")
    }

    @Test(arguments: [
        ("0x1F", 31), ("0o17", 15), ("0b101", 5), ("017", 15), ("0", 0), ("+7", 7), ("-0x10", -16), ("0x1_0", 16),
    ])
    func integerBases(text: String, value: Int) throws {
        #expect(try parse(["--time=\(text)"], Self.flags).int("time") == value)
    }

    @Test(arguments: ["0x", "08", "1_0", "0x1__0", "0x_", "--1", "+-1", "1 ", "1e3", "0xg"])
    func malformedIntegers(text: String) {
        #expect(throws: ArgumentError.self) { try parse(["--time=\(text)"], Self.flags) }
    }

    @Test(arguments: [
        ("", []), ("a", ["a"]), ("a,b", ["a", "b"]), (",", ["", ""]), ("a,", ["a", ""]), (#""a,b",c"#, ["a,b", "c"]),
        (#""a""b""#, [#"a"b"#]), (#""""#, [""]),
    ])
    func commaSeparatedValues(text: String, items: [String]) throws {
        #expect(try FlagGrammar.commaSeparated(text) == items)
    }

    @Test(arguments: [
        #"""#: #"parse error on line 1, column 2: extraneous or missing " in quoted-field"#,
        #""a"b"#: #"parse error on line 1, column 3: extraneous or missing " in quoted-field"#,
        #"a,b""#: #"parse error on line 1, column 4: bare " in non-quoted field"#,
    ])
    func malformedCommaSeparatedValues(text: String, message: String) {
        #expect(throws: ArgumentError(message)) { try FlagGrammar.commaSeparated(text) }
    }
}
