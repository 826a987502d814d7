// SPDX-License-Identifier: Apache-2.0
import Engine
import Presentation

/// --filter of `pod ps`: podman-pod-ps(1). Different keys must all fit, of one key's values one must; labels must all fit.
struct PodFilters {
    private let tests: [(Pod) -> Bool]

    init(_ texts: [String], now: Moment) throws {
        var values: [(key: String, values: [String])] = []
        for text in texts {
            let (key, value) = KeyValueList.split(text)
            guard let value else {
                throw Failure("filter input must be in the form of filter=value: \(text) is invalid")
            }
            if let index = values.firstIndex(where: { $0.key == key }) {
                values[index].values.append(value)
            } else {
                values.append((key, [value]))
            }
        }
        tests = try values.map { try PodFilters.test($0.key, $0.values, now) }
    }

    func accepts(_ pod: Pod) -> Bool { tests.allSatisfy { $0(pod) } }

    private static func test(_ key: String, _ values: [String], _ now: Moment) throws -> (Pod) -> Bool {
        func any(_ test: @escaping (Pod, String) -> Bool) -> (Pod) -> Bool {
            { pod in values.contains { test(pod, $0) } }
        }
        switch key {
        case "id": return any { $0.record.id.hasPrefix($1) }
        case "name":
            let patterns = try values.map { try NamePattern($0) }
            return { pod in patterns.contains { $0.matches(pod.record.name) } }
        case "label": return { pod in values.allSatisfy { LabelFilter.fits(pod.record.labels, $0) } }
        case "label!": return { pod in values.allSatisfy { !LabelFilter.fits(pod.record.labels, $0) } }
        case "status":
            let known = ["stopped", "running", "paused", "exited", "dead", "created", "degraded", "error"]
            for value in values where !known.contains(value.lowercased()) {
                throw Failure("\(value) is not a valid pod status: invalid argument")
            }
            return any { $0.status.rawValue.lowercased() == $1.lowercased() }
        case "ctr-ids": return any { pod, value in pod.containers.contains { $0.record.id.hasPrefix(value) } }
        case "ctr-names":
            let patterns = try values.map { try NamePattern($0) }
            return { pod in
                pod.containers.contains { container in patterns.contains { $0.matches(container.record.name) } }
            }
        case "ctr-number":
            let numbers = try values.map { text in
                guard let number = Int(text) else {
                    throw Failure("invalid ctr-number filter \"\(text)\": must be a number")
                }
                return number
            }
            return { numbers.contains($0.containers.count) }
        case "ctr-status":
            let states = try values.map { try waitCondition($0) }
            return { pod in pod.containers.contains { states.contains($0.state.status) } }
        case "network": return any { $0.record.network.text == $1 }
        case "until":
            let moments = try values.map { try Moment.interpreting($0, now: now) }
            return { pod in moments.allSatisfy { Moment(pod.record.created) < $0 } }
        default: throw Failure("\(key) is an invalid filter")
        }
    }
}
