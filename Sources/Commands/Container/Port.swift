// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine

func portCommand() -> Command<Session> {
    Command("port", summary: "List port mappings or a specific mapping for the container") {
        CommandDeclaration(
            description:
                "List port mappings for the CONTAINER, or look up the public-facing port that is NAT-ed to the PRIVATE_PORT",
            usage: "[options] CONTAINER [PORT]",
            examples: ["samara port --all", "samara port ctrID 80/tcp", "samara port ctrID"],
            flags: [ContainerTargets.all("Display port information for all containers"), ContainerTargets.latest],
            positional: .atMost(2), run: port)
    }
}

private func port(_ session: Session, _ arguments: ParsedArguments) throws -> Int32 {
    let wantsAll = arguments.bool("all")
    if wantsAll, arguments.bool("latest") { throw Failure("--all and --latest cannot be used together") }
    if wantsAll, !arguments.positional.isEmpty { throw Failure("no arguments are needed with --all") }
    let engine = try session.engine(arguments)
    if wantsAll {
        let lines = try ContainerListing.load(engine).filter { $0.state.status == .running }.flatMap { listed in
            PortLines.list(listed.ports).map { "\(listed.record.id.prefix(12))\t\($0)\n" }
        }
        try session.print(lines.joined())
        return 0
    }
    let (ports, rest) = try target(arguments, engine)
    guard let wanted = rest.first else {
        try session.print(PortLines.list(ports).map { $0 + "\n" }.joined())
        return 0
    }
    let found = try PortLines.matching(ports, wanted)
    if found.isEmpty { throw Failure("failed to find published port \"\(wanted)\"") }
    try session.print(found.map { $0 + "\n" }.joined())
    return 0
}

private func target(_ arguments: ParsedArguments, _ engine: Engine) throws -> (ports: [PortRecord], rest: [String]) {
    do {
        let (container, rest) = try ContainerTargets.single(arguments, engine)
        return (engine.ports(of: container), rest)
    } catch let error as EngineError where error.kind == .noSuchContainer {
        guard let name = arguments.positional.first, let pod = try InfraContainers.pod(of: name, engine) else {
            throw error
        }
        return (engine.ports(ofPod: pod.record.id), Array(arguments.positional.dropFirst()))
    }
}

/// The lines of `port`.
enum PortLines {
    /// `80/tcp -> 0.0.0.0:8080`.
    static func list(_ ports: [PortRecord]) -> [String] {
        PortText.expanded(ports).map { "\($0.containerPort)/\($0.transport) -> \(hostSide($0))" }
    }

    /// The host's side of one port, `80` or `80/udp`.
    static func matching(_ ports: [PortRecord], _ text: String) throws(Failure) -> [String] {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let number = UInt16(parts[0]), number > 0 else {
            throw Failure("port should be a number: strconv.ParseUint: parsing \"\(parts[0])\": invalid syntax")
        }
        let transport = parts.count == 2 ? parts[1].lowercased() : "tcp"
        return PortText.expanded(ports).filter { $0.containerPort == number && $0.transport == transport }.map(hostSide)
    }

    private static func hostSide(_ port: PortRecord) -> String { "\(PortText.address(port.hostIP)):\(port.hostPort)" }
}
