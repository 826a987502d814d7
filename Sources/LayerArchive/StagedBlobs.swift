// SPDX-License-Identifier: Apache-2.0
import CLinux
import ImageStore
import JSON
import LinuxSystem
import OCISpec
import SystemPackage

/// Content on its way into the store: made, found and read by digest.
///
/// What the store has already is claimed and not written again.
package struct StagedBlobs: ~Copyable {
    package let staging: Staging
    private let limits: ExtractionLimits
    private var incoming = 0

    package init(_ staging: consuming Staging, limits: ExtractionLimits) {
        self.staging = staging
        self.limits = limits
    }

    /// The blob's size if the store has it, in bytes.
    package func claim(_ digest: Digest) throws(LayerArchiveError) -> Int64? {
        guard try claimed(digest) else { return nil }
        let path = staging.store.blobPath(digest)
        do { return try File.status(path).size } catch { throw LayerArchiveError("read", path, error) }
    }

    private func claimed(_ digest: Digest) throws(LayerArchiveError) -> Bool {
        do { return try staging.claim(blob: digest) } catch { throw LayerArchiveError(error) }
    }

    /// Writes a stream to a file that is named by its digest once it is whole.
    ///
    /// - Parameters:
    ///   - name: what error messages call the stream.
    ///   - limit: the most bytes it may have.
    ///   - expected: what it must be; nil accepts anything.
    package mutating func stage(
        _ source: any ByteSource, name: String, limit: Int64 = .max, expected: Digest? = nil
    ) throws(LayerArchiveError) -> (digest: Digest, size: Int64) {
        incoming += 1
        let path = staging.path + "/blobs/incoming-\(incoming)"
        let hashed = try DigestingSource(
            source, limit: limit, excess: "\(name) is larger than its declared \(limit) bytes")
        let file = try create(path)
        while true {
            let piece = try hashed.next()
            if piece.isEmpty { break }
            do { try File.writeAll(file.raw, piece) } catch { throw LayerArchiveError("write \(name) to", path, error) }
        }
        let digest = hashed.digest()
        do { try file.close() } catch { throw LayerArchiveError("write \(name) to", path, error) }
        if let expected, expected != digest {
            throw LayerArchiveError(
                "\(name) has the digest \(digest), not \(expected): the archive is damaged; get it again")
        }
        do { try File.rename(path, staging.blobPath(digest)) } catch {
            throw LayerArchiveError("write \(name) to", path, error)
        }
        return (digest, hashed.count)
    }

    private func create(_ path: String) throws(LayerArchiveError) -> OwnedFD {
        do { return try File.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o600) } catch {
            throw LayerArchiveError("write", path, error)
        }
    }

    /// Stages a document made here.
    package func stage(_ bytes: [UInt8]) throws(LayerArchiveError) -> Digest {
        let digest = try SHA256.digest(bytes)
        do { try File.write(staging.blobPath(digest), bytes, mode: 0o600) } catch {
            throw LayerArchiveError("write", staging.blobPath(digest), error)
        }
        return digest
    }

    /// True if a command that was killed left this blob, and it is what it should be; otherwise it is removed.
    package func isAdopted(_ digest: Digest, size: Int64) throws(LayerArchiveError) -> Bool {
        let path = staging.blobPath(digest)
        if !File.exists(path) { return false }
        let content = try DigestingSource(
            try DescriptorSource(try open(digest, name: path), name: path), limit: .max, excess: "")
        try content.drain()
        if content.count == size, content.digest() == digest { return true }
        do { try File.unlink(path) } catch { throw LayerArchiveError("remove", path, error) }
        return false
    }

    /// Where a blob that arrives from elsewhere is written; renamed to `staging.blobPath` once its digest is verified.
    package func incomingPath(_ digest: Digest) -> String { staging.path + "/blobs/incoming-" + digest.hex }

    /// The content with this digest, staged or claimed before.
    package func open(_ digest: Digest, name: String) throws(LayerArchiveError) -> OwnedFD {
        do {
            do { return try File.open(staging.blobPath(digest), O_RDONLY) } catch .noSuchFileOrDirectory {}
            return try File.open(staging.store.blobPath(digest), O_RDONLY)
        } catch {
            if error == .noSuchFileOrDirectory {
                throw LayerArchiveError("\(name) refers to \(digest), which the archive does not contain")
            }
            throw LayerArchiveError("read \(name) from", staging.path, error)
        }
    }

    /// A whole document; its digest was verified when it was staged.
    package func document(_ digest: Digest, name: String) throws(LayerArchiveError) -> JSON {
        let fd = try open(digest, name: name)
        let bytes: [UInt8]
        do { bytes = try File.readAll(fd, limit: limits.documentBytes) } catch {
            if error == .fileTooLarge {
                throw LayerArchiveError("\(name) is larger than \(limits.documentBytes) bytes; it is not loaded")
            }
            throw LayerArchiveError("read", name, error)
        }
        do { return try JSON.parse(bytes) } catch { throw LayerArchiveError("\(name): \(error)") }
    }

    /// The size of a staged or claimed blob, bytes.
    package func size(_ digest: Digest, name: String) throws(LayerArchiveError) -> Int64 {
        let fd = try open(digest, name: name)
        do { return try File.status(fd).size } catch { throw LayerArchiveError("read", name, error) }
    }
}
