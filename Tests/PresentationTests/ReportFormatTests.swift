// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Presentation

private let rows: [TemplateValue] = [("4a0a61200b66-infra", "mypod"), ("web", "mypod"), ("side", "")].map { name, pod in
    .structure(
        TemplateStructure(
            typeName: "containers.psReporter", fields: [("Names", .string(name)), ("PodName", .string(pod))],
            methods: ["Label": { (_) throws(TemplateError) in "v" }]))
}

private let headers = ReportFormat.headers(for: ["Names", "PodName", "Label"], overriding: ["PodName": "PODNAME"])

private func render(_ format: String, _ rows: [TemplateValue] = rows, showsHeader: Bool = true) throws -> String {
    try ReportFormat(format, name: "ps").render(rows: rows, headers: headers, showsHeader: showsHeader)
}

@Suite struct ReportFormats {
    static let cases = [
        ("{{.Names}}", "4a0a61200b66-infra\nweb\nside\n"), ("{{.Names}}\\n", "4a0a61200b66-infra\nweb\nside\n"),
        ("{{.Names}}\n", "4a0a61200b66-infra\nweb\nside\n"),
        ("{{.Names}}\\t{{.PodName}}|", "4a0a61200b66-infra\tmypod|\nweb\tmypod|\nside\t|\n"),
        ("{{range .}}{{.Names}} {{end}}", "4a0a61200b66-infra web side \n"),
        ("{{range .}}{{.Names}} {{end -}}", "4a0a61200b66-infra web side "),
        (
            "table {{.Names}} {{.PodName}}",
            "NAMES               PODNAME\n4a0a61200b66-infra  mypod\nweb                 mypod\nside                \n"
        ),
        ("table {{ .Names }}\\n", "NAMES\n4a0a61200b66-infra\nweb\nside\n"),
        ("table {{printf \"%s x\" .Names}}", "NAMES x\n4a0a61200b66-infra x\nweb x\nside x\n"),
        ("{{range .}}{{printf \"\\n\"}}{{end -}}", "\n\n\n"),
        ("{{.Names}}{{\"\\t\"}}x", "4a0a61200b66-infra\tx\nweb\tx\nside\tx\n"),
        ("table {{.PodName}} {{.Label \"x\"}}", "PODNAME     LABEL\nmypod       v\nmypod       v\n            v\n"),
    ]

    @Test(arguments: cases) func renders(format: String, expected: String) throws {
        #expect(try render(format) == expected)
    }

    @Test func tableHeader() throws {
        #expect(try render("table {{.Names}}", []) == "NAMES\n")
        #expect(try render("table {{.Names}}", [], showsHeader: false) == "")
        #expect(try render("{{.Names}}", []) == "")
    }

    /// The very error podman prints: column 68 counts the `{{range .}}` put in front.
    @Test func errorsFollowTheOutputBeforeThem() throws {
        let pod = TemplateValue.structure(
            TemplateStructure(
                typeName: "interface {}",
                fields: [
                    ("Name", "mypod"), ("State", "Running"), ("SharedNamespaces", ["uts", "ipc", "net"]),
                    ("Labels", ["app": "web"]),
                ]))
        let format = try ReportFormat(
            "{{.Name}} {{.State}} {{.SharedNamespaces}} {{.Labels}} {{.NoSuchField}}", name: "inspect")
        var output = ""
        let error = #expect(throws: TemplateError.self) { try format.render(rows: [pod], into: &output) }
        #expect(output == "mypod Running [uts ipc net] map[app:web] ")
        #expect(
            error?.message == #"template: inspect:1:68: executing "inspect" at <.NoSuchField>: "#
                + "can't evaluate field NoSuchField in type interface {}")
    }

    @Test func oneValue() throws {
        var output = ""
        try ReportFormat("{{.Host.Arch}}", name: "info", scope: .value).render(
            ["Host": ["Arch": "amd64"]], into: &output)
        #expect(output == "amd64\n")
    }

    @Test(arguments: [
        ("json", true), (" json ", true), ("{{json .}}", true), ("{{ json . }}", true), ("{{json}}", true),
        ("jsonl", false), ("{{json .Names}}", false), ("", false),
    ])
    func recognisesJSON(format: String, isJSON: Bool) {
        #expect(ReportFormat.isJSON(format) == isJSON)
    }

    @Test(arguments: [
        ("Names", "NAMES"), ("PodName", "POD NAME"), ("ID", "ID"), ("ImageID", "IMAGE ID"), ("CPUPerc", "CPU PERC"),
        ("FieldA", "FIELD A"), ("Fieldb", "FIELDB"), ("NumberOfContainers", "NUMBER OF CONTAINERS"),
    ])
    func titles(field: String, title: String) {
        #expect(ReportFormat.headers(for: [field]) == [field: title])
    }
}
