// SPDX-License-Identifier: Apache-2.0
import Engine
import ImageStore
import Presentation

/// --filter of `images`: podman-images(1).
struct ImageFilters {
    private var tests: [(NamedImage) -> Bool] = []
    /// Which of an image's names the `reference` filters leave; nil without one.
    private(set) var references: ((String) -> Bool)?

    /// - Parameter parents: the ids of images without a name that others were made from.
    init(
        _ texts: [String], _ engine: Engine, users: [String: [Container]], parents: Set<String>, now: Moment
    ) throws {
        var patterns: [String] = []
        for text in texts {
            let (key, value) = KeyValueList.split(text)
            guard let value else { throw Failure("invalid filter \"\(text)\": must be of the form KEY=VALUE") }
            switch key {
            case "reference": patterns.append(value)
            case "reference!": tests.append { !$0.names.contains { name in ImageFilters.matches(name, value) } }
            case "dangling":
                let wanted = try ImageFilters.truth(value, key)
                tests.append { ($0.names.isEmpty && !parents.contains($0.record.id.hex)) == wanted }
            case "intermediate":
                let wanted = try ImageFilters.truth(value, key)
                tests.append { parents.contains($0.record.id.hex) == wanted }
            default: tests.append(try ImageFilters.test(key, value, engine, users, now))
            }
        }
        if patterns.isEmpty { return }
        let accepted = patterns
        references = { name in accepted.contains { ImageFilters.matches(name, $0) } }
        tests.append { image in
            image.names.contains { name in accepted.contains { ImageFilters.matches(name, $0) } }
        }
    }

    func accepts(_ image: NamedImage) -> Bool { tests.allSatisfy { $0(image) } }

    private static func test(
        _ key: String, _ value: String, _ engine: Engine, _ users: [String: [Container]], _ now: Moment
    ) throws -> (NamedImage) -> Bool {
        switch key {
        case "readonly", "manifest":
            // There are no stores of other owners, and of an index only one image is kept.
            let wanted = try truth(value, key)
            return { _ in !wanted }
        case "containers":
            let wanted = try truth(value, key)
            return { (users[$0.record.id.hex] != nil) == wanted }
        case "id":
            return { $0.record.id.hex.hasPrefix(value.hasPrefix("sha256:") ? String(value.dropFirst(7)) : value) }
        case "digest": return { $0.record.manifestDigest.description.hasPrefix(value) }
        case "label":
            return { LabelFilter.fits($0.record.config.labels.map { ($0.key, $0.value) }, value) }
        case "label!":
            return { !LabelFilter.fits($0.record.config.labels.map { ($0.key, $0.value) }, value) }
        case "before":
            let other = try engine.images.resolve(value).createdMoment
            return { $0.record.createdMoment < other }
        case "since", "after":
            let other = try engine.images.resolve(value).createdMoment
            return { $0.record.createdMoment > other }
        case "until":
            let moment = try Moment.interpreting(value, now: now)
            return { $0.record.createdMoment < moment }
        default:
            throw Failure(
                "unsupported image filter \"\(key)\": must be after, before, containers, dangling, digest, id, intermediate, label, label!, manifest, readonly, reference, reference!, since or until"
            )
        }
    }

    private static func truth(_ text: String, _ key: String) throws(Failure) -> Bool {
        switch text.lowercased() {
        case "true", "1", "t": return true
        case "false", "0", "f": return false
        default: throw Failure("invalid value \"\(text)\" for the filter \(key): must be true or false")
        }
    }

    /// A reference filter: a name with or without domain and tag, in which `*` stands for any text without a slash and
    /// `?` for one such character.
    static func matches(_ name: String, _ pattern: String) -> Bool {
        let (repository, _) = ImageName.split(name)
        var candidates: [Substring] = []
        for whole in [name, repository] {
            var rest = Substring(whole)
            while true {
                candidates.append(rest)
                guard let slash = rest.firstIndex(of: "/") else { break }
                rest = rest[rest.index(after: slash)...]
            }
        }
        return candidates.contains { glob(Array($0), Array(pattern)) }
    }

    private static func glob(_ text: [Character], _ pattern: [Character]) -> Bool {
        var (position, index) = (0, 0)
        var star: (position: Int, index: Int)?
        while position < text.count {
            if index < pattern.count, pattern[index] == "*" {
                star = (position, index)
                index += 1
            } else if index < pattern.count,
                pattern[index] == text[position] || (pattern[index] == "?" && text[position] != "/")
            {
                position += 1
                index += 1
            } else if let back = star, text[back.position] != "/" {
                // The last star takes one character more.
                star = (back.position + 1, back.index)
                position = back.position + 1
                index = back.index + 1
            } else {
                return false
            }
        }
        return pattern[index...].allSatisfy { $0 == "*" }
    }
}
