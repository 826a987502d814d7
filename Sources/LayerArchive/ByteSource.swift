// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import OCISpec
import SystemPackage

/// A stream of bytes that is pulled in pieces. A class, because libarchive's callbacks hold it by address.
package protocol ByteSource: AnyObject {
    /// The next piece, valid until the next call; empty at the end.
    func next() throws(LayerArchiveError) -> UnsafeRawBufferPointer

    /// Passes over up to `count` bytes without reading them; returns how many, 0 if it cannot.
    func skip(_ count: Int64) -> Int64
}

extension ByteSource {
    package func skip(_ count: Int64) -> Int64 { 0 }

    /// Reads to the end.
    package func drain() throws(LayerArchiveError) {
        while try !next().isEmpty {}
    }
}

/// The bytes of an open file.
package final class DescriptorSource: ByteSource {
    private static let pieceBytes = 256 << 10

    private let fd: OwnedFD
    /// What error messages call the file.
    private let name: String
    private let buffer: UnsafeMutableRawBufferPointer
    private let canSeek: Bool

    package init(_ fd: consuming OwnedFD, name: String) throws(LayerArchiveError) {
        do { canSeek = try File.status(fd).isRegular } catch { throw LayerArchiveError("read", name, error) }
        self.fd = fd
        self.name = name
        buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: DescriptorSource.pieceBytes, alignment: 64)
    }

    deinit { buffer.deallocate() }

    package func next() throws(LayerArchiveError) -> UnsafeRawBufferPointer {
        do {
            return UnsafeRawBufferPointer(rebasing: buffer[..<(try OpenFile.read(fd, buffer))])
        } catch {
            throw LayerArchiveError("read", name, error)
        }
    }

    package func skip(_ count: Int64) -> Int64 {
        // A file that ends inside what is skipped shows at the next read.
        guard canSeek, (try? OpenFile.skip(fd, count)) != nil else { return 0 }
        return count
    }
}

/// Passes another source through, counting and hashing, and fails beyond a limit.
package final class DigestingSource: ByteSource {
    private let source: any ByteSource
    private let hash: SHA256
    private let limit: Int64
    private let excess: String
    /// Bytes that went through.
    package private(set) var count: Int64 = 0

    /// - Parameters:
    ///   - limit: the most bytes there may be.
    ///   - excess: the error's text when there are more.
    package init(_ source: any ByteSource, limit: Int64, excess: String) throws(LayerArchiveError) {
        self.source = source
        self.limit = limit
        self.excess = excess
        hash = try SHA256()
    }

    package func next() throws(LayerArchiveError) -> UnsafeRawBufferPointer {
        let piece = try source.next()
        if piece.isEmpty { return piece }
        count += Int64(piece.count)
        if count > limit { throw LayerArchiveError(excess) }
        hash.update(piece)
        return piece
    }

    /// The digest of what went through. Call once, at the end.
    package func digest() -> Digest { hash.finish() }
}
