// SPDX-License-Identifier: Apache-2.0
import CLinux
import ImageStore
import LayerArchive
import LinuxSystem
import OCISpec
import RegistryClient
import SystemPackage

/// A blob that arrives: written to a file of the work directory and hashed in the same pass, named by its digest once
/// that is right.
final class BlobFile: BlobSink {
    /// Bytes kept back, so that the file is not written in libcurl's pieces of 16 KiB.
    private static let bufferBytes = 256 << 10

    let digest: Digest
    let path: String
    let finalPath: String
    private let fd: OwnedFD
    private let hash: SHA256
    private let buffer: UnsafeMutableRawBufferPointer
    private var filled = 0
    /// Bytes that can be read from the file.
    private(set) var written: Int64 = 0

    /// - Parameters:
    ///   - path: where it is written.
    ///   - finalPath: what it is renamed to.
    init(_ digest: Digest, path: String, finalPath: String) throws(LayerArchiveError) {
        self.digest = digest
        self.path = path
        self.finalPath = finalPath
        do { fd = try File.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o600) } catch {
            throw LayerArchiveError("write", path, error)
        }
        hash = try SHA256()
        buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: BlobFile.bufferBytes, alignment: 64)
    }

    deinit { buffer.deallocate() }

    func write(_ bytes: UnsafeRawBufferPointer) throws(RegistryError) {
        if filled + bytes.count > buffer.count { try flush() }
        if bytes.count > buffer.count { return try put(bytes) }
        UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]).copyMemory(from: bytes)
        filled += bytes.count
    }

    func flush() throws(RegistryError) {
        if filled == 0 { return }
        let count = filled
        filled = 0
        try put(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
    }

    private func put(_ bytes: UnsafeRawBufferPointer) throws(RegistryError) {
        hash.update(bytes)
        do { try File.writeAll(fd.raw, bytes) } catch { throw failure(error) }
        written += Int64(bytes.count)
    }

    func finish() throws(RegistryError) {
        try flush()
        let actual = hash.finish()
        if actual != digest {
            throw RegistryError(
                .damaged,
                "the blob \(digest) arrived with the digest \(actual): the registry serves damaged content; nothing of it is used"
            )
        }
        do { try File.rename(path, finalPath) } catch { throw failure(error) }
    }

    private func failure(_ error: Errno) -> RegistryError {
        RegistryError(.other, "write the blob \(digest) to \"\(path)\": \(error.text)\(ImageStoreError.remedy(error))")
    }
}

/// The bytes of a blob while it arrives: read by the thread that unpacks it, behind the one that drives the downloads.
final class ArrivingSource: ByteSource {
    private static let pieceBytes = 256 << 10

    private let path: String
    private let fd: OwnedFD
    private let buffer: UnsafeMutableRawBufferPointer
    private var offset: Int64 = 0
    private let gate: Gate
    // Guarded by `gate`.
    /// Bytes that can be read from the file.
    var available: Int64
    var isComplete: Bool
    /// The pull has failed; there will be no more bytes.
    var isStopped = false

    init(_ file: BlobFile, isComplete: Bool, _ gate: Gate) throws(LayerArchiveError) {
        path = isComplete ? file.finalPath : file.path
        self.gate = gate
        self.isComplete = isComplete
        available = file.written
        // Stays valid when the file gets its final name.
        do { fd = try File.open(path, O_RDONLY) } catch { throw LayerArchiveError("read", path, error) }
        buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: ArrivingSource.pieceBytes, alignment: 64)
    }

    deinit { buffer.deallocate() }

    func next() throws(LayerArchiveError) -> UnsafeRawBufferPointer {
        let isStopped = gate.locked {
            // The file may have more than was told: then the offset is ahead.
            while offset >= available, !isComplete, !self.isStopped { gate.wait() }
            return self.isStopped
        }
        if isStopped { throw LayerArchiveError("the pull has failed") }
        let count: Int
        do { count = try OpenFile.read(fd, buffer) } catch { throw LayerArchiveError("read", path, error) }
        offset += Int64(count)
        return UnsafeRawBufferPointer(rebasing: buffer[..<count])
    }
}
