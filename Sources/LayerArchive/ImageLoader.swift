// SPDX-License-Identifier: Apache-2.0
import CLinux
import ImageStore
import LinuxSystem
import OCISpec
import SystemPackage

/// `load`: archives and layouts into images of the store.
package struct ImageLoader {
    private let store: ImageStore
    private let options: LayerOptions
    private let platform: Platform

    package init(store: ImageStore, options: LayerOptions, platform: Platform = .host) {
        self.store = store
        self.options = options
        self.platform = platform
    }

    /// What came out of an archive.
    package struct LoadedImage: Equatable {
        package var id: Digest
        package var names: [String]
    }

    /// Loads all images of the file or directory at `path`.
    package func load(path: String) throws(LayerArchiveError) -> [LoadedImage] {
        let isDirectory: Bool
        do { isDirectory = try File.status(path).isDirectory } catch { throw LayerArchiveError("open", path, error) }
        if isDirectory {
            var blobs = StagedBlobs(try newStaging(), limits: options.limits)
            return try load(InputArchive(directory: path), path, &blobs)
        }
        return try load(try open(path), name: path)
    }

    private func open(_ path: String) throws(LayerArchiveError) -> OwnedFD {
        do { return try File.open(path, O_RDONLY) } catch { throw LayerArchiveError("open", path, error) }
    }

    /// Loads all images of the archive that `fd` reads.
    package func load(_ fd: consuming OwnedFD, name: String) throws(LayerArchiveError) -> [LoadedImage] {
        try load(try DescriptorSource(fd, name: name), name: name)
    }

    package func load(_ source: any ByteSource, name: String) throws(LayerArchiveError) -> [LoadedImage] {
        var blobs = StagedBlobs(try newStaging(), limits: options.limits)
        let archive = try InputArchive(source, name: name, into: &blobs, limits: options.limits)
        return try load(archive, name, &blobs)
    }

    private func newStaging() throws(LayerArchiveError) -> Staging {
        do {
            // First, so that the space of killed commands is free.
            try store.garbageCollect()
            return try Staging(in: store)
        } catch { throw LayerArchiveError(error) }
    }

    private func load(
        _ archive: InputArchive, _ name: String, _ blobs: inout StagedBlobs
    ) throws(LayerArchiveError) -> [LoadedImage] {
        let images: [ArchivedImage]
        // Docker's archives since version 25 are both; the OCI form has the original manifests.
        if try archive.file("index.json", in: &blobs) != nil {
            images = try OCILayout(archive: archive, platform: platform, limits: options.limits).images(in: &blobs)
        } else if let file = try archive.file("manifest.json", in: &blobs) {
            // Docker's archives have a list of images there, also when somebody has unpacked them.
            if archive.isDirectory, try blobs.document(file.digest, name: "manifest.json").objectValue != nil {
                images = [
                    try DirectoryImage(archive: archive, platform: platform, limits: options.limits).image(in: &blobs)
                ]
            } else {
                images = try DockerArchive(archive: archive).images(in: &blobs)
            }
        } else {
            throw LayerArchiveError(
                "\(name) is neither an OCI archive (index.json) nor a Docker archive (manifest.json)")
        }
        var new: [Staging.NewImage] = []
        for image in images {
            let shown = image.names.first?.description ?? image.id.description
            if platform.fitness(of: image.config.platform) == nil {
                options.warnings.warn("\(shown) is for \(image.config.platform), and this machine is \(platform)")
            }
            let layers = try blobs.prepareLayers(
                image.layers, diffIDs: image.config.diffIDs, image: shown, options: options)
            new.append(
                Staging.NewImage(
                    record: ImageRecord(
                        id: image.id, manifestDigest: image.manifestDigest,
                        manifestMediaType: image.manifestMediaType, config: image.config, layers: layers,
                        size: layers.reduce(image.configSize + image.manifestSize) { $0 + $1.tarSize }),
                    names: image.names))
        }
        do { try blobs.staging.commit(new) } catch { throw LayerArchiveError(error) }
        return new.map { LoadedImage(id: $0.record.id, names: $0.names.map(\.description)) }
    }
}
