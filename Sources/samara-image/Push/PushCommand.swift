// SPDX-License-Identifier: Apache-2.0
import CLinux
import ImageStore
import LayerArchive
import LinuxSystem
import OCISpec
import RegistryClient
import SystemPackage

/// `samara-image push`: an image as it is in the store, byte for byte, unless another form is asked for.
struct PushCommand {
    private let store: ImageStore
    private var flags = TransferFlags()
    private var digestFile: String?
    private var form = OutgoingImage.Form()
    private var words: [String] = []

    init(_ store: ImageStore, _ arguments: ArraySlice<String>) throws(CommandFailure) {
        self.store = store
        var rest = arguments
        while let argument = rest.popFirst() {
            if try flags.take(argument, &rest) { continue }
            switch argument {
            case "--digestfile": digestFile = try Flags.value(argument, &rest)
            case "--format":
                let text = try Flags.value(argument, &rest)
                guard let schema = OutgoingImage.Form.Schema(rawValue: text) else {
                    throw CommandFailure("unknown format \"\(text)\" (oci, v2s2)")
                }
                form.schema = schema
            case "--gzip": form.isGzip = true
            case "--":
                words += rest
                rest = []
            case _ where argument.hasPrefix("-"): throw CommandFailure("unknown argument of push: \"\(argument)\"")
            default: words.append(argument)
            }
        }
        if !(1...2).contains(words.count) { throw CommandFailure("push needs an image and may have a destination") }
    }

    func run() throws(CommandFailure) {
        Process.ignoreSignals([SIGPIPE])
        let progress = Progress(flags.progress)
        do throws(CommandFailure) { try push(progress) } catch {
            progress.close()
            throw error
        }
    }

    private func push(_ progress: Progress) throws(CommandFailure) {
        let found: FoundImage
        do { found = try store.find(words[0]) } catch { throw CommandFailure(error.description) }
        let staging = try claimed(found.record)
        guard let text = words.count == 2 ? words[1] : found.name else {
            throw CommandFailure("\(words[0]) has no name that says where to push it; give a destination")
        }
        let image: OutgoingImage
        let digest: Digest
        do {
            image = try OutgoingImage(found.record, form, in: staging)
            digest = try SHA256.digest(image.manifest)
        } catch { throw CommandFailure(error.description) }
        let transfer = try Transferring(flags, progress)
        do throws(RegistryError) {
            let name: ImageReference
            do { name = try ImageReference(normalizing: try PullCommand.name(text)) } catch {
                throw RegistryError(.other, String(describing: error))
            }
            try send(image, to: name, transfer, progress)
        } catch { throw CommandFailure(error.description) }
        extendLifetime(staging)
        if let digestFile {
            do { try File.write(digestFile, Array(digest.description.utf8)) } catch {
                throw CommandFailure("write \"\(digestFile)\": \(error.text)")
            }
        }
    }

    /// Claims on the image's content, so that what is being sent is not removed meanwhile.
    private func claimed(_ record: ImageRecord) throws(CommandFailure) -> Staging {
        do throws(ImageStoreError) {
            let staging = try Staging(in: store)
            for blob in record.blobs where try !staging.claim(blob: blob) {
                throw ImageStoreError(
                    .damaged,
                    "the image \(words[0]) lacks its content \(blob) in the store; remove it and load or pull it again")
            }
            return staging
        } catch { throw CommandFailure(error.description) }
    }

    private func send(
        _ image: OutgoingImage, to name: ImageReference, _ transfer: Transferring, _ progress: Progress
    ) throws(RegistryError) {
        guard let place = try transfer.configuration.sources(of: name).last else { return }
        let registry: Registry
        do { registry = try transfer.registry(place.host, isInsecure: place.isInsecure) } catch {
            throw RegistryError(.other, error.description)
        }
        let repository = Repository(registry, path: place.path)
        progress.message("Getting image source signatures")
        let mountable = try siblings(of: name)
        var sent: Set<Digest> = []
        for blob in image.layers + [image.config] where sent.insert(blob.digest).inserted {
            let file = try StoredBlob(blob)
            let descriptor = Descriptor(mediaType: "", digest: blob.digest, size: blob.size)
            let kind = blob.digest == image.config.digest ? "config" : "blob"
            if try repository.hasBlob(blob.digest) {
                progress.alreadyPresent(kind, descriptor)
                continue
            }
            progress.begin(kind, descriptor)
            file.moved = { progress.update(kind, descriptor, $0) }
            let other = mountable.first { $0.blobs.contains(blob.digest) }?.path
            _ = try repository.push(blob.digest, from: file, mountFrom: other)
            progress.end(kind, descriptor)
        }
        progress.message("Writing manifest to image destination")
        let digest: Digest
        do { digest = try SHA256.digest(image.manifest) } catch { throw RegistryError(.other, error.description) }
        try repository.putDocument(
            image.manifest, mediaType: image.mediaType, reference: name.tag ?? digest.description,
            what: "the manifest of \(name)")
    }

    /// Other repositories of the same registry which, as far as this store knows, have the blobs.
    private func siblings(of name: ImageReference) throws(RegistryError) -> [(path: String, blobs: Set<Digest>)] {
        var found: [(path: String, blobs: Set<Digest>)] = []
        let images: [ListedImage]
        do { images = try store.list() } catch { throw RegistryError(.other, error.description) }
        for image in images {
            for text in image.names {
                guard let other = try? ImageReference(normalizing: text), other.domain == name.domain,
                    other.path != name.path
                else { continue }
                found.append((other.path, Set(image.record.blobs)))
            }
        }
        return found
    }
}

/// A blob of the store on its way out.
final class StoredBlob: UploadSource {
    let size: Int64
    private let path: String
    private let fd: OwnedFD
    private var offset: Int64 = 0
    /// Told how many bytes were read.
    var moved: (Int64) -> Void = { _ in }

    init(_ blob: OutgoingImage.Blob) throws(RegistryError) {
        path = blob.path
        size = blob.size
        do { fd = try File.open(path, O_RDONLY) } catch { throw RegistryError("read the blob", path, error) }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(RegistryError) -> Int {
        do {
            let count = try OpenFile.read(fd, buffer)
            offset += Int64(count)
            moved(offset)
            return count
        } catch { throw RegistryError("read the blob", path, error) }
    }

    func seek(to offset: Int64) throws(RegistryError) {
        do { try OpenFile.skip(fd, offset - self.offset) } catch { throw RegistryError("read the blob", path, error) }
        self.offset = offset
    }
}
