// SPDX-License-Identifier: Apache-2.0
import ContainerRuntime
import JSON
import Presentation

/// What a command computes before and after the kernel's part: the launch plan, records, templates.
func measureDocuments(_ measuring: inout Measuring) throws {
    let spec = containerSpec()
    measuring.measure("launch-plan", "launch plan of a container") { count in
        for _ in 0..<count {
            keep(LaunchPlan(spec, name: "name", base: "/home/user/samara", emptyDirectory: "/run/user/1/empty"))
        }
    }
    let record = record()
    let bytes = record.serialized()
    measuring.measure("json-parse", "container record of \(bytes.count) B parsed") { count in
        for _ in 0..<count {
            if let parsed = try? JSON.parse(bytes) { keep(parsed) }
        }
    }
    measuring.measure("json-write", "the same record written") { count in
        for _ in 0..<count { keep(record.serialized()) }
    }
    let text = "{{.ID}}\t{{.Names}}\t{{if eq .State \"running\"}}up{{else}}down{{end}}\t{{range .Ports}}{{.}},{{end}}"
    let template = try GoTemplate(parsing: text, name: "ps")
    let value = TemplateValue.map([
        "ID": .string("0123456789ab"), "Names": .string("web"), "State": .string("running"),
        "Ports": .list([.string("0.0.0.0:8080->80/tcp"), .string("0.0.0.0:8443->443/tcp")]),
    ])
    try measuring.measure("template-parse", "format template parsed") { count in
        for _ in 0..<count { keep(try GoTemplate(parsing: text, name: "ps")) }
    }
    try measuring.measure("template", "format template rendered") { count in
        for _ in 0..<count { keep(try template.render(value)) }
    }
}

private func containerSpec() -> ContainerSpec {
    let layers = (0..<6).map { "/home/user/samara/layers/sha256:\(String(repeating: "\($0)", count: 64))" }
    var spec = ContainerSpec(
        root: .overlay(
            lower: layers, upper: "/home/user/samara/containers/0/diff", work: "/home/user/samara/containers/0/work"),
        mountPoint: "/home/user/samara/containers/0/merged")
    spec.newNamespaces = [.user, .mount, .pid, .network, .ipc, .uts, .cgroup]
    spec.maskedPaths = ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"]
    spec.readOnlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"]
    spec.hostname = "container"
    spec.process.arguments = ["nginx", "-g", "daemon off;"]
    spec.process.environment = (0..<12).map { "VARIABLE_\($0)=value of the variable \($0)" }
    return spec
}

private func record() -> JSON {
    [
        "schema": 1, "id": .string(String(repeating: "0123456789abcdef", count: 4)), "name": "merry_cedar",
        "image": .string("docker.io/library/nginx:latest"), "created": "2026-11-25T22:36:53.123456789Z",
        "command": ["nginx", "-g", "daemon off;"],
        "environment": .array((0..<12).map { .string("VARIABLE_\($0)=value of the variable \($0)") }),
        "layers": .array((0..<6).map { .string("sha256:" + String(repeating: "\($0)", count: 64)) }),
        "ports": [["host_ip": "127.0.0.1", "host_port": 8080, "container_port": 80, "protocol": "tcp"]],
        "limits": ["memory": 536_870_912, "cpus": 1.5, "pids": 2048], "terminal": false, "labels": [:],
    ]
}
