// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine
import JSON
import Presentation

func inspectCommand() -> Command<Session> {
    Command("inspect", summary: "Display the configuration of object denoted by ID") {
        CommandDeclaration(
            description: "Displays the low-level information on an object identified by name or ID.",
            usage: "[options] {CONTAINER|IMAGE|POD|VOLUME} [...]",
            examples: [
                "samara inspect fedora", "samara inspect --type image fedora", "samara inspect CtrID ImgID",
                "samara inspect --format \"imageId: {{.Id}} size: {{.Size}}\" fedora",
            ],
            flags: [
                .string("format", short: "f", default: "json", help: "Format the output to a Go template or json"),
                ContainerTargets.latest,
                .string("type", short: "t", default: "all", help: "Specify inspect-object type"),
            ],
            run: { session, arguments in
                let text = arguments.string("type")
                guard let type = InspectedType(rawValue: text) else {
                    throw Failure(
                        "invalid type \"\(text)\": must be \"image\", \"container\", \"pod\", \"volume\", or \"all\"")
                }
                return try inspect(session, arguments, type)
            })
    }
}

func containerInspectCommand() -> Command<Session> {
    Command("inspect", summary: "Display the configuration of a container") {
        CommandDeclaration(
            description: "Displays the low-level information on a container identified by name or ID.",
            usage: "[options] CONTAINER [CONTAINER...]",
            examples: [
                "samara container inspect myCtr", "samara container inspect -l --format '{{.Id}} {{.Config.Labels}}'",
            ],
            flags: [
                .string("format", short: "f", default: "json", help: "Format the output to a Go template or json"),
                ContainerTargets.latest,
            ],
            run: { session, arguments in try inspect(session, arguments, .container) })
    }
}

/// --type.
enum InspectedType: String {
    case all, container, image, pod, volume
}

/// One thing that was found, ready to be shown in either form.
struct InspectedObject {
    let json: () -> JSON
    let template: () -> TemplateValue
}

func inspect(_ session: Session, _ arguments: ParsedArguments, _ type: InspectedType) throws -> Int32 {
    var names = arguments.positional
    let wantsLatest = (type == .all || type == .container || type == .pod) && arguments.bool("latest")
    if names.isEmpty, !wantsLatest { throw Failure("no names or ids specified") }
    if wantsLatest, !names.isEmpty { throw Failure("--latest and arguments cannot be used together") }
    let engine = try session.engine(arguments)
    if wantsLatest {
        names = [type == .pod ? try PodTargets.latest(engine).record.id : try ContainerTargets.latest(engine).text]
    }
    var found: [InspectedObject] = []
    var failures = Failures()
    let finder = InspectionFinder(engine: engine)
    for name in names {
        do {
            if let object = try finder.find(name, type) {
                found.append(object)
            } else {
                failures.add(Failure(finder.missing(name, type)))
            }
        } catch { failures.add(error) }
    }
    // Objects first, `[]` when there are none, so that what is on standard output is always JSON.
    try FormattedOutput.inspection(
        of: found, format: arguments.string("format"), json: { $0.json() }, template: { $0.template() }, into: session)
    let code = failures.report(session)
    return code == 0 ? 0 : 125
}

/// Looks names up among the objects of a type, or of all types in Podman's order.
struct InspectionFinder {
    let engine: Engine

    func find(_ name: String, _ type: InspectedType) throws -> InspectedObject? {
        switch type {
        case .container: return try container(name)
        case .image: return try image(name)
        case .pod: return try pod(name)
        case .volume: return try volume(name)
        case .all: return try container(name) ?? image(name) ?? volume(name) ?? pod(name)
        }
    }

    func missing(_ name: String, _ type: InspectedType) -> String {
        switch type {
        case .all: "no such object: \"\(name)\""
        case .container: "no such container \(name)"
        case .image: "\(name): image not known"
        case .pod: "no such pod \(name)"
        case .volume: "no volume with name \"\(name)\" found: no such volume"
        }
    }

    private func container(_ name: String) throws -> InspectedObject? {
        guard let listed = try listed(name) else { return nil }
        let logPath = listed.isInfra ? "" : engine.logPath(of: listed.container)
        let paths = engine.paths
        return InspectedObject(
            json: { ContainerInspection(listed: listed, paths: paths, logPath: logPath, style: .json).json },
            template: { ContainerInspection(listed: listed, paths: paths, logPath: logPath, style: .template).template }
        )
    }

    private func listed(_ name: String) throws(EngineError) -> ListedContainer? {
        do throws(EngineError) {
            let container = try engine.container(name)
            let pod = try container.record.podID.map { (id) throws(EngineError) in try engine.pod(id) }
            return ListedContainer(
                container: container, isInfra: false, podName: pod?.record.name ?? "",
                ports: engine.ports(of: container), infraID: pod?.record.infraID ?? "")
        } catch {
            guard error.kind == .noSuchContainer else { throw error }
            guard let pod = try InfraContainers.pod(of: name, engine), let infra = InfraContainers.container(of: pod)
            else {
                return nil
            }
            return ListedContainer(
                container: infra, isInfra: true, podName: pod.record.name, ports: pod.record.ports,
                infraID: pod.record.infraID)
        }
    }

    private func image(_ name: String) throws -> InspectedObject? {
        guard let image = try ImageLookup.find(name, engine) else { return nil }
        return InspectedObject(
            json: { ImageInspection(image: image, style: .json).json },
            template: { ImageInspection(image: image, style: .template).template })
    }

    private func pod(_ name: String) throws(EngineError) -> InspectedObject? {
        do throws(EngineError) {
            let pod = try engine.pod(name)
            let ports = engine.ports(ofPod: pod.record.id)
            let statistics = engine.networkStatistics(of: pod.record.id)
            return InspectedObject(
                json: { PodInspection(pod: pod, ports: ports, statistics: statistics, style: .json).json },
                template: { PodInspection(pod: pod, ports: ports, statistics: statistics, style: .template).template })
        } catch {
            guard error.kind == .noSuchPod else { throw error }
            return nil
        }
    }

    private func volume(_ name: String) throws(EngineError) -> InspectedObject? {
        do throws(EngineError) {
            let volume = try engine.volume(name)
            let paths = engine.paths
            return InspectedObject(
                json: { VolumeInspection(volume: volume, paths: paths, style: .json).json },
                template: { VolumeInspection(volume: volume, paths: paths, style: .template).template })
        } catch {
            guard error.kind == .noSuchVolume else { throw error }
            return nil
        }
    }
}
