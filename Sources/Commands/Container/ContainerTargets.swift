// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine

/// One container that a command works on: a name still to be looked up, or one that a flag selected.
struct ContainerTarget {
    /// As typed, or the id: what is printed on success.
    let text: String
    let known: Container?

    func container(_ engine: Engine) throws(EngineError) -> Container {
        if let known { return known }
        return try engine.container(text)
    }
}

/// Which containers a command with several names works on: names, --all, --latest, --cidfile, --filter.
enum ContainerTargets {
    static func all(_ help: String) -> Flag { .bool("all", short: "a", help: help) }
    static let latest = Flag.bool("latest", short: "l", help: "Act on the latest container samara is aware of")
    static let cidFile = Flag.stringArray("cidfile", help: "Read the container ID from the file")
    static let filter = Flag.stringArray(
        "filter", placeholder: "filter", help: "Filter output based on conditions given")
    static let ignore = Flag.bool("ignore", short: "i", help: "Ignore errors when a specified container is missing")

    /// The targets in the order given. `isEligible` narrows --all and --filter.
    static func select(
        _ arguments: ParsedArguments, _ engine: Engine, hasAll: Bool = true, hasFiles: Bool = false,
        hasFilter: Bool = false, isEligible: (Container) -> Bool = { _ in true }
    ) throws -> [ContainerTarget] {
        let wantsAll = hasAll && arguments.bool("all")
        let wantsLatest = arguments.bool("latest")
        let files = hasFiles ? arguments.strings("cidfile") : []
        let filters = hasFilter ? arguments.strings("filter") : []
        let names = arguments.positional
        if wantsAll, wantsLatest { throw Failure("--all and --latest cannot be used together") }
        if !files.isEmpty, wantsAll || wantsLatest {
            throw Failure("--\(wantsAll ? "all" : "latest") and --cidfile cannot be used together")
        }
        if wantsAll, !names.isEmpty { throw Failure("no arguments are needed with --all") }
        if wantsLatest, !names.isEmpty { throw Failure("--latest and containers cannot be used together") }
        if wantsLatest { return [try latest(engine)] }
        if wantsAll || !filters.isEmpty {
            let filter = try ContainerFilters(filters, engine)
            return try ContainerListing.load(engine).filter {
                !$0.isInfra && isEligible($0.container) && filter.accepts($0)
            }
            .map { ContainerTarget(text: $0.container.record.id, known: $0.container) }
        }
        var targets: [ContainerTarget] = []
        for path in files {
            let id = String(try TextFile.read(path).prefix { !$0.isNewline })
            targets.append(ContainerTarget(text: id, known: nil))
        }
        targets += names.map { ContainerTarget(text: $0, known: nil) }
        if targets.isEmpty { throw Failure("you must provide at least one name or id") }
        return targets
    }

    /// The container made last.
    static func latest(_ engine: Engine) throws -> ContainerTarget {
        guard let newest = try engine.containers().last else { throw Failure("no containers found: no such container") }
        return ContainerTarget(text: newest.record.id, known: newest)
    }

    /// The one container of a command that takes one name or --latest; the other words follow.
    static func single(_ arguments: ParsedArguments, _ engine: Engine) throws -> (container: Container, rest: [String])
    {
        if arguments.bool("latest") {
            guard let container = try latest(engine).known else {
                throw Failure("no containers found: no such container")
            }
            return (container, arguments.positional)
        }
        guard let name = arguments.positional.first else { throw Failure("you must provide at least one name or id") }
        return (try engine.container(name), Array(arguments.positional.dropFirst()))
    }

    /// Does `act` for each target, prints each name that succeeded, and goes on after an error.
    static func each(
        _ session: Session, _ engine: Engine, _ targets: [ContainerTarget], ignoringMissing: Bool = false,
        _ act: (Container) throws -> Void
    ) throws -> Int32 {
        var failures = Failures()
        for target in targets {
            do {
                try act(try target.container(engine))
                try session.print(target.text + "\n")
            } catch let error as EngineError where error.kind == .noSuchContainer && ignoringMissing {
                continue
            } catch {
                failures.add(error, exitCode: 125)
            }
        }
        return failures.report(session)
    }
}

/// -t, --time: seconds until a stopping container is killed; nil when not given, so that the container's own applies.
enum StopTimeout {
    static let flag = Flag.custom(
        "time", short: "t", typeName: "int", default: "10",
        help: "Seconds to wait for stop before killing the container; -1 waits without end",
        problem: { text in
            guard let value = Int64(text) else {
                return "strconv.ParseInt: parsing \"\(text)\": invalid syntax"
            }
            return value < -1 ? "must be -1 or more" : nil
        })

    /// Without end is the most that the engine's milliseconds hold, 24 days.
    private static let longest: Int64 = 2_147_483

    static func seconds(_ arguments: ParsedArguments) -> Int64? {
        arguments.stringIfSet("time").flatMap(Int64.init).map { $0 < 0 ? longest : min($0, longest) }
    }
}
