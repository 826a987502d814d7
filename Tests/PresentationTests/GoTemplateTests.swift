// SPDX-License-Identifier: Apache-2.0

import JSON
import Testing

@testable import Presentation

private let sample: TemplateValue = .structure(
    TemplateStructure(
        typeName: "*define.Sample",
        fields: [
            ("Name", "web"), ("Count", 3), ("Ratio", .double(2.5)), ("Running", true), ("Empty", ""), ("Nil", nil),
            ("Labels", ["app": "web", "tier": "front"]), ("Names", ["a", "b", "c"]), ("None", []),
            (
                "Containers",
                [["ID": "1", "State": ["Pid": 7]], ["ID": "2", "State": ["Pid": 8]]]
            ),
            (
                "State",
                .structure(TemplateStructure(typeName: "define.State", fields: [("Status", "up"), ("Pid", 42)]))
            ),
        ],
        aliases: ["ID": "Name"],
        methods: [
            "Label": { (arguments) throws(TemplateError) in
                guard case .string(let key)? = arguments.first else { throw TemplateError("want a key") }
                return key == "app" ? "web" : ""
            }
        ]))

private func render(_ text: String, _ value: TemplateValue = sample) throws -> String {
    try GoTemplate(parsing: text, name: "t").render(value)
}

@Suite struct TemplateRendering {
    static let fieldsCases: [(String, String)] = [
        ("plain", "plain"), ("{{.Name}}", "web"), ("{{ .Name }}", "web"), ("{{.State.Status}}/{{.State.Pid}}", "up/42"),
        ("{{.Labels}}", "map[app:web tier:front]"), ("{{.Labels.app}}", "web"), ("{{.Labels.nope}}", "<no value>"),
        ("{{.Labels.nope.deeper}}", "<no value>"), ("{{.Names}}", "[a b c]"), ("{{.None}}", "[]"),
        ("{{.Nil}}", "<nil>"),
        ("{{.Running}} {{.Count}} {{.Ratio}}", "true 3 2.5"), ("{{.ID}}", "web"), ("{{.State}}", "{up 42}"),
        ("{{(index .Containers 1).State.Pid}}", "8"), ("{{$.Name}}", "web"), ("{{.Label \"app\"}}", "web"),
        ("{{(.Label \"app\") | upper}}", "WEB"), ("{{\"app\" | .Label}}", "web"),
        (
            "{{.}}",
            "{web 3 2.5 true  <nil> "
                + "map[app:web tier:front] [a b c] [] [map[ID:1 State:map[Pid:7]] map[ID:2 State:map[Pid:8]]] {up 42}}"
        ),
    ]
    @Test(arguments: fieldsCases) func fieldsAndPrinting(text: String, expected: String) throws {
        #expect(try render(text) == expected)
    }

    static let controlCases: [(String, String)] = [
        ("{{if .Running}}y{{else}}n{{end}}", "y"), ("{{if .Empty}}y{{end}}", ""),
        ("{{if .None}}y{{else}}n{{end}}", "n"),
        ("{{if .Empty}}1{{else if .Running}}2{{else}}3{{end}}", "2"),
        ("{{if .Empty}}1{{else if .Nil}}2{{else}}3{{end}}", "3"),
        ("{{range .Names}}<{{.}}>{{end}}", "<a><b><c>"),
        ("{{range $i, $n := .Names}}{{$i}}={{$n}} {{end}}", "0=a 1=b 2=c "),
        ("{{range $n := .Names}}{{$n}}{{$.Count}}{{end}}", "a3b3c3"), ("{{range .None}}x{{else}}none{{end}}", "none"),
        ("{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}", "app=web;tier=front;"),
        ("{{range .Containers}}{{.ID}}:{{.State.Pid}} {{end}}", "1:7 2:8 "), ("{{range 3}}{{.}}{{end}}", "012"),
        ("{{range .Names}}{{if eq . \"b\"}}{{break}}{{end}}{{.}}{{end}}", "a"),
        ("{{range .Names}}{{if eq . \"b\"}}{{continue}}{{end}}{{.}}{{end}}", "ac"),
        ("{{range .Names}}{{range $.Names}}{{break}}{{end}}{{.}}{{end}}", "abc"),
        ("{{with .State}}{{.Status}}{{end}}", "up"), ("{{with .Empty}}x{{else}}e{{end}}", "e"),
        ("{{with $s := .State}}{{$s.Pid}}{{end}}", "42"), ("{{with .Empty}}x{{else with .Name}}{{.}}{{end}}", "web"),
        ("{{$x := 1}}{{$x}}", "1"), ("{{$x := 1}}{{$x = 2}}{{$x}}", "2"),
        ("{{$x := 1}}{{if true}}{{$x = 5}}{{end}}{{$x}}", "5"),
        ("{{$x := 1}}{{if true}}{{$x := 5}}{{$x}}{{end}}{{$x}}", "51"),
        ("{{$n := 0}}{{range .Names}}{{$n = len $.Names}}{{end}}{{$n}}", "3"),
        ("{{/* note */}}a{{- /* x */ -}} b", "ab"), ("a  {{- .Name -}}  b", "awebb"), ("a {{.Count}} b", "a 3 b"),
        ("{{range .Names -}}\n {{.}}\n{{- end}}", "abc"), ("{{- 3}}", "3"), ("{{-3}}", "-3"),
        ("{{if\ntrue}}x{{end}}", "x"),
        ("{{\"}}\"}}", "}}"), ("{{`a\\n`}}", "a\\n"), ("{{\"a\\n\\t\\\"\\x41\\u00e9\\101\"}}", "a\n\t\"AéA"),
        ("{{'a'}}", "97"),
    ]
    @Test(arguments: controlCases) func controlFlow(text: String, expected: String) throws {
        #expect(try render(text) == expected)
    }

    static let functionsCases: [(String, String)] = [
        ("{{eq .Name \"web\"}}", "true"), ("{{eq .Name \"a\" \"web\"}}", "true"), ("{{ne .Count 3}}", "false"),
        ("{{lt 1 2}}{{le 2 2}}{{gt 1 2}}{{ge 2 3}}", "truetruefalsefalse"), ("{{lt \"a\" \"b\"}}", "true"),
        ("{{eq .Ratio 2.5}}", "true"), ("{{eq .Nil nil}}", "true"), ("{{eq .Count 3.0}}", "true"),
        ("{{and .Running .Name}}", "web"), ("{{and .Empty .NoSuch}}", ""), ("{{or .Empty .Name}}", "web"),
        ("{{or .Running .NoSuch}}", "true"), ("{{not .Running}}", "false"),
        ("{{if and .Running (eq .Count 3)}}y{{end}}", "y"),
        ("{{len .Names}}{{len .Labels}}{{len .Name}}", "323"), ("{{index .Names 1}}", "b"),
        ("{{index .Labels \"app\"}}", "web"), ("[{{index .Labels \"no\"}}]", "[]"),
        ("{{index .Containers 0 \"State\" \"Pid\"}}", "7"), ("{{slice .Name 1}}{{slice .Names 0 2}}", "eb[a b]"),
        ("{{print .Name 1 2 \"x\" true}}", "web1 2xtrue"), ("{{println .Name 1}}", "web 1\n"),
        ("{{printf \"%s-%d\" .Name .Count}}", "web-3"), ("{{.Name | printf \"%q\"}}", "\"web\""),
        ("{{.Name | printf \"%s=%s\" \"k\"}}", "k=web"), ("{{json .Labels}}", #"{"app":"web","tier":"front"}"#),
        ("{{json .State}}", #"{"Status":"up","Pid":42}"#), ("{{json .Nil}}", "null"),
        ("{{.Names | json}}", #"["a","b","c"]"#),
        ("{{join .Names \", \"}}", "a, b, c"), ("{{upper .Name}}{{lower \"ABC\"}}", "WEBabc"),
        ("{{title \"a web app\"}}", "A Web App"),
        ("{{split \"a,b,,c\" \",\"}}", "[a b  c]"), ("{{index (split \"a:b\" \":\") 1}}", "b"),
        ("{{split \"ab\" \"\"}}", "[a b]"),
        ("{{pad .Name 1 2}}|", " web  |"), ("{{truncate .Name 2}}", "we"), ("{{len (print 12 34)}}", "5"),
    ]
    @Test(arguments: functionsCases) func functions(text: String, expected: String) throws {
        #expect(try render(text) == expected)
    }

    /// Expected texts are Go's.
    static let printfCases: [(String, [TemplateValue], String)] = [
        ("%v %v %v", ["a", 1, .double(1.5)], "a 1 1.5"), ("%5s|%-5s|", ["ab", "ab"], "   ab|ab   |"),
        ("%05d|%+d|% d", [-42, 7, 7], "-0042|+7| 7"), ("%x %X %#x %o %b", [255, 255, 255, 8, 5], "ff FF 0xff 10 101"),
        ("%.2f|%8.3f|%e", [.double(3.14159), .double(2.5), .double(12345.678)], "3.14|   2.500|1.234568e+04"),
        ("%g %G", [.double(1e21), .double(0.00001)], "1e+21 1E-05"), ("%q %q", ["a\"b\n", 97], "\"a\\\"b\\n\" 'a'"),
        ("%t %v", [true, false], "true false"), ("%c%U", [97, 97], "aU+0061"), ("%.2s", ["abc"], "ab"),
        ("%*d|%-*d|", [4, 7, 4, 7], "   7|7   |"), ("%%", [], "%"), ("%d", ["x"], "%!d(string=x)"),
        ("%s", [3], "%!s(int=3)"), ("%s", [], "%!s(MISSING)"), ("%d", [1, 2], "1%!(EXTRA int=2)"),
        ("%", [], "%!(NOVERB)"),
        ("%s", [["a", "b"]], "[a b]"), ("%s", [nil], "%!s(<nil>)"), ("%v", [nil], "<nil>"), ("%x", ["hi"], "6869"),
        ("%6.2f%%", [.double(12.345)], " 12.35%"), ("%T", ["x"], "string"), ("%z", [1], "%!z(int=1)"),
        ("%03s|%-05d|", ["x", 3], "00x|3    |"),
    ]
    @Test(arguments: printfCases) func printfLikeGo(format: String, arguments: [TemplateValue], expected: String) {
        #expect(TemplatePrintf.format(format, arguments) == expected)
    }

    @Test(
        arguments: [
            (0, "0"), (1, "1"), (1.5, "1.5"), (100_000, "100000"), (1e20, "100000000000000000000"), (1e21, "1e+21"),
            (0.0001, "0.0001"), (0.00001, "1e-05"), (1.5e-7, "1.5e-07"), (-2.25, "-2.25"), (1e100, "1e+100"),
        ] as [(Double, String)])
    func doubles(value: Double, text: String) {
        #expect(GoFormat.text(.double(value)) == text)
    }
}

@Suite struct TemplateErrors {
    static let executingCases: [(String, String)] = [
        ("{{.NoSuch}}", "t:1:2: executing \"t\" at <.NoSuch>: can't evaluate field NoSuch in type *define.Sample"),
        ("ab\n {{.NoSuch}}", "t:2:3: executing \"t\" at <.NoSuch>: can't evaluate field NoSuch in type *define.Sample"),
        ("{{.State.Nope}}", "t:1:8: executing \"t\" at <.State.Nope>: can't evaluate field Nope in type define.State"),
        ("{{.Name.X}}", "t:1:7: executing \"t\" at <.Name.X>: can't evaluate field X in type string"),
        ("{{.Nil.X}}", "t:1:6: executing \"t\" at <.Nil.X>: nil pointer evaluating interface {}.X"),
        (
            "{{.AVeryLongFieldNameIndeed}}",
            "t:1:2: executing \"t\" at <.AVeryLongFieldNameI...>: "
                + "can't evaluate field AVeryLongFieldNameIndeed in type *define.Sample"
        ),
        (
            "{{index .Names 9}}",
            "t:1:2: executing \"t\" at <index .Names 9>: error calling index: index out of range: 9"
        ),
        ("{{.Name 1}}", "t:1:2: executing \"t\" at <.Name>: Name has arguments but cannot be invoked as function"),
        ("{{.Labels.app 1}}", "t:1:9: executing \"t\" at <.Labels.app>: app is not a method but has arguments"),
        ("{{1 2}}", "t:1:2: executing \"t\" at <1>: can't give argument to non-function 1"),
        ("{{range .Name}}{{end}}", "t:1:8: executing \"t\" at <.Name>: range can't iterate over web"),
        (
            "{{eq .Name 1}}",
            "t:1:2: executing \"t\" at <eq .Name 1>: error calling eq: incompatible types for comparison"
        ),
        (
            "{{eq .Names .Names}}",
            "t:1:2: executing \"t\" at <eq .Names .Names>: error calling eq: non-comparable type []interface {}"
        ),
        (
            "{{upper 1}}",
            "t:1:2: executing \"t\" at <upper 1>: error calling upper: wrong type for value; expected string; got int"
        ),
        ("{{.Label 1}}", "t:1:2: executing \"t\" at <.Label>: error calling Label: want a key"),
        ("{{len 3}}", "t:1:2: executing \"t\" at <len 3>: error calling len: len of type int"),
        (
            "{{eq 1}}",
            "t:1:2: executing \"t\" at <eq 1>: error calling eq: wrong number of args for eq: want at least 2 got 1"
        ),
        ("{{nil}}", "t:1:2: executing \"t\" at <nil>: nil is not a command"),
    ]
    @Test(arguments: executingCases) func whileExecuting(text: String, message: String) throws {
        let template = try GoTemplate(parsing: text, name: "t")
        #expect(throws: TemplateError("template: " + message)) { try template.render(sample) }
    }

    static let parsingCases: [(String, String)] = [
        ("{{", "1: unclosed action"), ("{{.Name", "1: unclosed action"), ("a\n{{.Name", "2: unclosed action"),
        ("{{if .Name}}", "1: unexpected EOF"),
        ("{{end}}", "1: unexpected {{end}}"), ("{{else}}", "1: unexpected {{else}}"),
        ("{{}}", "1: missing value for command"),
        ("{{if}}{{end}}", "1: missing value for if"), ("{{nosuch .}}", "1: function \"nosuch\" not defined"),
        ("{{$x}}", "1: undefined variable \"$x\""),
        ("{{if true}}{{$x := 1}}{{end}}{{$x}}", "1: undefined variable \"$x\""),
        ("{{if $x := 1}}{{end}}{{$x}}", "1: undefined variable \"$x\""), ("{{$x = 1}}", "1: undefined variable \"$x\""),
        ("{{\"abc}}", "1: unterminated quoted string"), ("{{`abc}}", "1: unterminated raw quoted string"),
        ("{{break}}", "1: {{break}} outside {{range}}"), ("{{1x}}", "1: bad number syntax: \"1x\""),
        ("{{.Name | 1}}", "1: non executable command in pipeline stage 2"),
        ("{{(.Name}}", "1: unexpected \"}}\" in parenthesized pipeline"),
        ("{{.Name)}}", "1: unexpected \")\" in command"), ("{{/* a}}", "1: unclosed comment"),
        ("{{#}}", "1: unrecognized character in action: U+0023 '#'"),
        ("{{define \"x\"}}{{end}}", "1: {{define}} is not available in a format"),
        ("{{range $i, $j}}{{end}}", "1: range can only initialize variables"),
        ("{{if true}}{{else}}{{else}}{{end}}", "1: expected end; found {{else}}"),
        ("{{|}}", "1: missing value for command"),
        ("{{.Name | }}", "1: missing value for command"), ("{{\"\\z\"}}", "1: invalid syntax"),
    ]
    @Test(arguments: parsingCases) func whileParsing(text: String, message: String) {
        #expect(throws: TemplateError("template: t:" + message)) { try GoTemplate(parsing: text, name: "t") }
    }

    @Test func hostileNesting() {
        let deep = String(repeating: "(", count: 100_000)
        #expect(throws: TemplateError.self) { try GoTemplate(parsing: "{{" + deep, name: "t") }
        #expect(throws: TemplateError.self) { try GoTemplate(parsing: "{{\(deep) 1 }}", name: "t") }
        let blocks = String(repeating: "{{if 1}}", count: 100_000)
        #expect(throws: TemplateError.self) { try GoTemplate(parsing: blocks, name: "t") }
        let chain = "{{if 0}}" + String(repeating: "{{else if 0}}", count: 100_000) + "{{end}}"
        #expect(throws: TemplateError.self) { try GoTemplate(parsing: chain, name: "t") }
    }
}

@Suite struct TemplateRobustness {
    /// Whatever the text, parsing and running end with output or an error.
    @Test func randomTextNeverTraps() {
        let seed = UInt64.random(in: .min ... .max)
        var source = SplitMix(state: seed)
        let pieces = [
            "{{", "}}", "{{- ", " -}}", ".", ".Name", ".Labels", " ", "$", "$x", ":=", "=", ",", "|", "(", ")", "if",
            "else", "end",
            "range", "with", "\"a\"", "`r`", "'c'", "1", "-2", "1.5", "0x", "1_", "/*", "*/", "\n", "é", "index",
            "printf", "\"%d %*s\"",
            "len", "slice", "and", "nil", "true", "-", "\"", "\\", "break", "{{end}}", "{{range .Names}}",
            "{{if .Name}}",
        ]
        var rendered = 0
        for _ in 0..<3_000 {
            var text = ""
            for _ in 0..<Int.random(in: 1...12, using: &source) {
                text += pieces[Int.random(in: 0..<pieces.count, using: &source)]
            }
            if let template = try? GoTemplate(parsing: text, name: "t"), (try? template.render(sample)) != nil {
                rendered += 1
            }
        }
        #expect(rendered > 0, "seed \(seed)")
        print("random templates: seed \(seed), \(rendered) rendered")
    }
}

@Suite struct TemplateValues {
    @Test func structsFromJSON() throws {
        let json: JSON = [
            "Id": "x", "Labels": ["a": "1"], "State": ["Pid": 5], "List": [["Id": "y"]],
            "Ports": ["80/tcp": ["Host": "h"]],
        ]
        let value = TemplateValue(json, typeName: "define.X", maps: ["Labels", "Ports"], aliases: ["ID": "Id"])
        #expect(
            try render("{{.ID}} {{.State.Pid}} {{(index .List 0).ID}} {{.Labels.none}}", value) == "x 5 y <no value>")
        #expect(throws: TemplateError.self) { try render("{{.State.Nope}}", value) }
        #expect(throws: TemplateError.self) { try render("{{(index .Ports \"80/tcp\").Nope}}", value) }
        #expect(value.json == json)
        #expect(try render("{{json .}}", value) == json.serializedText())
        #expect(try render("{{.Nope}}", TemplateValue(json)) == "<no value>")
    }

    @Test func lazyFieldsAreComputedOnlyWhenAsked() throws {
        let value = TemplateValue.structure(
            TemplateStructure(typeName: "X", fieldNames: ["A", "B"]) { name in
                switch name {
                case "A": return "a"
                case "B":
                    Issue.record("B was computed")
                    return "b"
                default: return nil
                }
            })
        #expect(try render("{{.A}}", value) == "a")
    }
}
