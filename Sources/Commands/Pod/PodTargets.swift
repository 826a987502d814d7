// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine

/// One pod that a command works on.
struct PodTarget {
    /// As typed, or the id.
    let text: String
    let known: Pod?

    func pod(_ engine: Engine) throws(EngineError) -> Pod {
        if let known { return known }
        return try engine.pod(text)
    }
}

/// Which pods a command with several names works on: names, --all, --latest, --pod-id-file.
enum PodTargets {
    static func all(_ help: String) -> Flag { .bool("all", short: "a", help: help) }
    static let latest = Flag.bool("latest", short: "l", help: "Act on the latest pod samara is aware of")
    static let idFile = Flag.stringArray("pod-id-file", help: "Read the pod ID from the file")
    static let ignore = Flag.bool("ignore", short: "i", help: "Ignore errors when a specified pod is missing")

    static func select(
        _ arguments: ParsedArguments, _ engine: Engine, hasAll: Bool = true, hasFiles: Bool = false
    ) throws -> [PodTarget] {
        let wantsAll = hasAll && arguments.bool("all")
        let wantsLatest = arguments.bool("latest")
        let files = hasFiles ? arguments.strings("pod-id-file") : []
        if wantsAll, wantsLatest { throw Failure("--all and --latest cannot be used together") }
        if !files.isEmpty, wantsAll || wantsLatest {
            throw Failure("--\(wantsAll ? "all" : "latest") and --pod-id-file cannot be used together")
        }
        if wantsAll, !arguments.positional.isEmpty { throw Failure("no arguments are needed with --all") }
        if wantsLatest, !arguments.positional.isEmpty { throw Failure("--latest and pods cannot be used together") }
        if wantsAll { return try engine.pods().map { PodTarget(text: $0.record.id, known: $0) } }
        if wantsLatest {
            let pod = try latest(engine)
            return [PodTarget(text: pod.record.id, known: pod)]
        }
        let ids = try files.map { path in String(try TextFile.read(path).prefix { !$0.isNewline }) }
        let targets = (ids + arguments.positional).map { PodTarget(text: $0, known: nil) }
        if targets.isEmpty { throw Failure("you must provide at least one name or id") }
        return targets
    }

    /// The pod made last.
    static func latest(_ engine: Engine) throws -> Pod {
        guard let pod = try engine.pods().max(by: { $0.record.created < $1.record.created }) else {
            throw Failure("no pods found: no such pod")
        }
        return pod
    }

    /// What is printed for a pod that succeeded: podman prints the name as given for some verbs and the id for others.
    enum Echo { case asGiven, id }

    static func each(
        _ session: Session, _ engine: Engine, _ targets: [PodTarget], echo: Echo, ignoringMissing: Bool = false,
        _ act: (Pod) throws -> Void
    ) throws -> Int32 {
        var failures = Failures()
        for target in targets {
            do {
                let pod = try target.pod(engine)
                try act(pod)
                try session.print((echo == .id ? pod.record.id : target.text) + "\n")
            } catch let error as EngineError where error.kind == .noSuchPod && ignoringMissing {
                continue
            } catch {
                failures.add(error, exitCode: 125)
            }
        }
        return failures.report(session)
    }
}
