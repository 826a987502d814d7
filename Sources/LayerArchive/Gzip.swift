// SPDX-License-Identifier: Apache-2.0
import CIsal

/// Decompresses gzip as it is pulled: RFC 1952, members one after the other, by ISA-L.
final class GunzippedSource: ByteSource {
    private static let pieceBytes = 256 << 10

    private let source: any ByteSource
    /// What error messages call the stream.
    private let name: String
    private let context: UnsafeMutableRawPointer
    private let buffer: UnsafeMutablePointer<UInt8>
    private var input = UnsafeRawBufferPointer(start: nil, count: 0)
    private var isInMember = true
    private var isFinished = false

    init(_ source: any ByteSource, name: String) throws(LayerArchiveError) {
        guard let context = samara_gunzip_new() else { throw LayerArchiveError("read \(name): out of memory") }
        self.context = context
        self.source = source
        self.name = name
        buffer = UnsafeMutablePointer<UInt8>.allocate(capacity: GunzippedSource.pieceBytes)
    }

    deinit {
        samara_free(context)
        buffer.deallocate()
    }

    func next() throws(LayerArchiveError) -> UnsafeRawBufferPointer {
        var filled = 0
        while !isFinished, filled < GunzippedSource.pieceBytes {
            if input.isEmpty {
                input = try source.next()
                if input.isEmpty {
                    if isInMember {
                        throw LayerArchiveError("read \(name): the gzip data ends too early; it is damaged")
                    }
                    isFinished = true
                    break
                }
            }
            if !isInMember {
                // Some writers fill the last block with zeros.
                if input.allSatisfy({ $0 == 0 }) {
                    input = UnsafeRawBufferPointer(start: nil, count: 0)
                    continue
                }
                samara_gunzip_reset(context)
                isInMember = true
            }
            filled += try step(filled)
        }
        return UnsafeRawBufferPointer(start: buffer, count: filled)
    }

    private func step(_ filled: Int) throws(LayerArchiveError) -> Int {
        var next = input.baseAddress?.assumingMemoryBound(to: UInt8.self)
        var rest = input.count
        var produced = 0
        let code = samara_gunzip(
            context, &next, &rest, buffer + filled, GunzippedSource.pieceBytes - filled, &produced)
        if code < 0 {
            throw LayerArchiveError("read \(name): the gzip data is damaged (ISA-L error \(code)); get it again")
        }
        input = UnsafeRawBufferPointer(start: next, count: rest)
        if code == 1 { isInMember = false }
        return produced
    }
}

/// Compresses to one gzip member.
final class GzipCompressor {
    private static let pieceBytes = 128 << 10

    private let context: UnsafeMutableRawPointer
    private let buffer: UnsafeMutablePointer<UInt8>

    init() throws(LayerArchiveError) {
        guard let context = samara_gzip_new() else { throw LayerArchiveError("compress: out of memory") }
        self.context = context
        buffer = UnsafeMutablePointer<UInt8>.allocate(capacity: GzipCompressor.pieceBytes)
    }

    deinit {
        samara_free(context)
        buffer.deallocate()
    }

    /// Hands compressed pieces to `output`, each valid during its call. With `isLast` the stream ends.
    func compress(
        _ bytes: UnsafeRawBufferPointer, isLast: Bool,
        to output: (UnsafeRawBufferPointer) throws(LayerArchiveError) -> Void
    ) throws(LayerArchiveError) {
        var next = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        var rest = bytes.count
        while true {
            var produced = 0
            let code = samara_gzip(
                context, &next, &rest, isLast ? 1 : 0, buffer, GzipCompressor.pieceBytes, &produced)
            if code < 0 { throw LayerArchiveError("compress the new layer: ISA-L refuses") }
            if produced > 0 { try output(UnsafeRawBufferPointer(start: buffer, count: produced)) }
            if code == 0, rest == 0 { return }
        }
    }
}
