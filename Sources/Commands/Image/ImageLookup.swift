// SPDX-License-Identifier: Apache-2.0
import Engine
import ImageStore
import OCISpec

/// An image with all its names, sorted; none for a dangling one.
struct NamedImage {
    let record: ImageRecord
    let names: [String]
}

extension NamedImage {
    init(_ image: ListedImage) { self.init(record: image.record, names: image.names) }
}

/// Images by the names people type.
enum ImageLookup {
    /// The image with all its names; nil when there is none of that name.
    static func find(_ name: String, _ engine: Engine) throws(ImageStoreError) -> NamedImage? {
        do throws(ImageStoreError) {
            let record = try engine.images.resolve(name)
            return NamedImage(record: record, names: try engine.images.names(of: record.id).sorted())
        } catch {
            guard isMissing(error) else { throw error }
            return nil
        }
    }

    static func isMissing(_ error: ImageStoreError) -> Bool {
        if case .notKnown = error.cause { return true }
        return false
    }

    /// The containers made from each image, by image id.
    static func users(_ engine: Engine) throws(EngineError) -> [String: [Container]] {
        var users: [String: [Container]] = [:]
        for container in try engine.containers() where !container.record.imageID.isEmpty {
            users[container.record.imageID, default: []].append(container)
        }
        return users
    }
}

/// `docker.io/library/nginx:latest` in two columns.
enum ImageName {
    static func split(_ name: String) -> (repository: String, tag: String) {
        if let at = name.firstIndex(of: "@") { return (String(name[..<at]), "<none>") }
        let slash = name.lastIndex(of: "/") ?? name.startIndex
        guard let colon = name[slash...].lastIndex(of: ":") else { return (name, "<none>") }
        return (String(name[..<colon]), String(name[name.index(after: colon)...]))
    }

    /// `docker.io/library/nginx@sha256:…`, for RepoDigests.
    static func digested(_ names: [String], _ digest: Digest) -> [String] {
        var seen: Set<String> = []
        return names.map { split($0).repository }.filter { seen.insert($0).inserted }.map { "\($0)@\(digest)" }
    }
}

extension ImageRecord {
    /// When it was built; the zero time when the builder did not say.
    var createdMoment: Moment {
        guard let created, let moment = try? Moment(rfc3339: created) else { return .zero }
        return moment
    }
}
