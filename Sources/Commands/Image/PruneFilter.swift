// SPDX-License-Identifier: Apache-2.0
import Engine
import ImageStore
import Presentation

/// --filter of `image prune` and `system prune`: `until=MOMENT`, `label=KEY[=VALUE]`, `label!=KEY[=VALUE]`.
///
/// Several labels must all fit, as with Podman.
struct PruneFilter {
    private var tests: [(_ created: Moment, _ labels: [(String, String)]) -> Bool] = []

    init(_ texts: [String], now: Moment) throws {
        for text in texts {
            let (key, value) = KeyValueList.split(text)
            guard let value else { throw Failure("invalid filter \"\(text)\": must be of the form KEY=VALUE") }
            switch key {
            case "until":
                let moment = try Moment.interpreting(value, now: now)
                tests.append { created, _ in created < moment }
            case "label": tests.append { _, labels in LabelFilter.fits(labels, value) }
            case "label!": tests.append { _, labels in !LabelFilter.fits(labels, value) }
            default: throw Failure("\"\(key)\" is an invalid prune filter: must be until, label or label!")
            }
        }
    }

    var isEmpty: Bool { tests.isEmpty }

    func accepts(created: Moment, labels: [(String, String)]) -> Bool {
        tests.allSatisfy { $0(created, labels) }
    }

    func acceptsImage(_ image: ListedImage) -> Bool {
        accepts(
            created: image.record.createdMoment, labels: image.record.config.labels.map { ($0.key, $0.value) })
    }

    func accepts(_ container: Container) -> Bool {
        accepts(
            created: Moment(container.record.created), labels: container.record.labels.map { ($0.key, $0.value) })
    }
}
