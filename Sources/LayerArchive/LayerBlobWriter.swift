// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import OCISpec
import SystemPackage

/// Takes a layer's tar, compresses it and writes the blob; both digests are made in the same pass.
final class LayerBlobWriter: ByteSink {
    private let fd: OwnedFD
    private let path: String
    private let uncompressed: SHA256
    private let compressed: SHA256
    private let compressor: GzipCompressor
    /// Bytes of the tar.
    private(set) var tarSize: Int64 = 0
    /// Bytes of the blob.
    private(set) var blobSize: Int64 = 0

    init(_ path: String) throws(LayerArchiveError) {
        self.path = path
        do { fd = try File.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o600) } catch {
            throw LayerArchiveError("write", path, error)
        }
        uncompressed = try SHA256()
        compressed = try SHA256()
        compressor = try GzipCompressor()
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(LayerArchiveError) {
        tarSize += Int64(bytes.count)
        uncompressed.update(bytes)
        try compressor.compress(bytes, isLast: false) { (piece) throws(LayerArchiveError) in try put(piece) }
    }

    private func put(_ piece: UnsafeRawBufferPointer) throws(LayerArchiveError) {
        blobSize += Int64(piece.count)
        compressed.update(piece)
        do { try File.writeAll(fd.raw, piece) } catch { throw LayerArchiveError("write", path, error) }
    }

    /// Ends the stream; the value is spent afterwards.
    func finish() throws(LayerArchiveError) -> (blob: Digest, diffID: Digest) {
        try compressor.compress(UnsafeRawBufferPointer(start: nil, count: 0), isLast: true) {
            (piece) throws(LayerArchiveError) in try put(piece)
        }
        return (compressed.finish(), uncompressed.finish())
    }
}
