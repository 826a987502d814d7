// SPDX-License-Identifier: Apache-2.0
import Engine
import Presentation

/// --filter of `ps` and of the commands that select containers: podman-ps(1). Different keys must all fit, of one key's
/// values one must; labels must all fit.
struct ContainerFilters {
    private let tests: [(ListedContainer) -> Bool]
    /// `status` was given, so containers in all states are looked at.
    let namesStatus: Bool

    init(_ texts: [String], _ engine: Engine, now: Moment = .now) throws {
        var values: [(key: String, values: [String])] = []
        for text in texts {
            let (key, value) = KeyValueList.split(text)
            guard let value else { throw Failure("invalid filter \"\(text)\"") }
            if let index = values.firstIndex(where: { $0.key == key }) {
                values[index].values.append(value)
            } else {
                values.append((key, [value]))
            }
        }
        namesStatus = values.contains { $0.key == "status" }
        tests = try values.map { try ContainerFilters.test($0.key, $0.values, engine, now) }
    }

    func accepts(_ container: ListedContainer) -> Bool { tests.allSatisfy { $0(container) } }

    private static func test(
        _ key: String, _ values: [String], _ engine: Engine, _ now: Moment
    ) throws -> (ListedContainer) -> Bool {
        func any(_ test: @escaping (ListedContainer, String) -> Bool) -> (ListedContainer) -> Bool {
            { container in values.contains { test(container, $0) } }
        }
        switch key {
        case "id":
            return any { $0.record.id.hasPrefix($1) }
        case "name":
            let patterns = try values.map(NamePattern.init)
            return { container in patterns.contains { $0.matches(container.record.name) } }
        case "label":
            return { container in values.allSatisfy { LabelFilter.fits(container.record.labels, $0) } }
        case "label!":
            return { container in values.allSatisfy { !LabelFilter.fits(container.record.labels, $0) } }
        case "exited":
            let codes = try values.map { text throws(Failure) in
                guard let code = Int32(text) else {
                    throw Failure("exited code out of range \"\(text)\": invalid argument")
                }
                return code
            }
            return { $0.state.status == .exited && codes.contains($0.state.exitCode) }
        case "status":
            let states = try values.map(status)
            return { states.contains($0.state.status) }
        case "ancestor": return any { imageFits($0.record, $1) }
        case "before":
            let created = try values.map { try engine.container($0).record.created }
            return { container in created.contains { container.record.created < $0 } }
        case "since":
            let created = try values.map { try engine.container($0).record.created }
            return { container in created.contains { container.record.created > $0 } }
        case "until":
            let moments = try values.map { try Moment.interpreting($0, now: now) }
            return { container in moments.allSatisfy { Moment(container.record.created) < $0 } }
        case "volume":
            return any { container, value in
                container.record.mounts.contains { $0.source == value || $0.destination == value }
            }
        case "pod":
            return any { container, value in
                !value.isEmpty && (container.podName == value || container.record.podID?.hasPrefix(value) == true)
            }
        case "network": return any { $0.record.network.text == $1 }
        case "restart-policy":
            return any { container, value in
                container.record.restartPolicy.prefix { $0 != ":" } == value || container.record.restartPolicy == value
            }
        case "command": return any { container, value in container.command.first == value }
        default: throw Failure("\(key) is an invalid filter")
        }
    }

    private static func status(_ text: String) throws(Failure) -> ContainerStatus {
        switch text {
        case "stopped": return .exited
        case "configured", "initialized": return .created
        default:
            guard let status = ContainerStatus(rawValue: text) else {
                throw Failure("unknown container state: \(text): invalid argument")
            }
            return status
        }
    }

    /// An image by id or its beginning, by full name, or by name without domain or tag.
    private static func imageFits(_ record: ContainerRecord, _ value: String) -> Bool {
        if value.isEmpty { return false }
        let hex = value.hasPrefix("sha256:") ? value.dropFirst(7) : value[...]
        if record.imageID.hasPrefix(hex) { return true }
        let name = record.imageName
        let slash = name.lastIndex(of: "/") ?? name.startIndex
        let tagless = name[slash...].firstIndex(of: ":").map { String(name[..<$0]) } ?? name
        return [name, tagless].contains { $0 == value || $0.hasSuffix("/" + value) }
    }
}

/// `label=key` or `label=key=value`.
enum LabelFilter {
    static func fits(_ labels: [(key: String, value: String)], _ filter: String) -> Bool {
        let (key, value) = KeyValueList.split(filter)
        // Podman's patterns: `*` at the end stands for any rest.
        return labels.contains { label in
            let keyFits = key.hasSuffix("*") ? label.key.hasPrefix(key.dropLast()) : label.key == key
            return keyFits && (value.map { $0 == label.value } ?? true)
        }
    }
}

/// A `name` filter: a part of the name, anchored by `^` and `$`. Podman takes any regular expression; the rest of that
/// language is refused rather than misread.
struct NamePattern {
    private let text: String
    private let isAnchoredAtStart: Bool
    private let isAnchoredAtEnd: Bool

    init(_ pattern: String) throws(Failure) {
        var text = pattern[...]
        isAnchoredAtStart = text.hasPrefix("^")
        if isAnchoredAtStart { text.removeFirst() }
        isAnchoredAtEnd = text.hasSuffix("$")
        if isAnchoredAtEnd { text.removeLast() }
        if let special = text.first(where: { "*+?()[]{}|\\^$".contains($0) }) {
            throw Failure(
                "invalid name filter \"\(pattern)\": only ^ and $ are special, \"\(special)\" is not supported")
        }
        self.text = String(text)
    }

    func matches(_ name: String) -> Bool {
        switch (isAnchoredAtStart, isAnchoredAtEnd) {
        case (true, true): name == text
        case (true, false): name.hasPrefix(text)
        case (false, true): name.hasSuffix(text)
        case (false, false): text.isEmpty || name.contains(text)
        }
    }
}
