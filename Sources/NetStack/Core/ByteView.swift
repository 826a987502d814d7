// SPDX-License-Identifier: Apache-2.0

/// A read-only window on bytes owned by someone else, with every access bounds-checked in all build modes.
///
/// Multi-byte reads convert from network byte order. A view made from a received frame is valid until the next
/// mutating call on the `NetStack` that handed it out; nothing may keep it longer. It is used instead of `RawSpan`
/// because events carry it out of the call that made it, which a lifetime-bound span cannot do.
///
/// Out-of-range access traps: decoders check lengths first and drop the packet, the trap is the second line of defence.
package struct ByteView: BitwiseCopyable {
    /// The viewed memory.
    package let buffer: UnsafeRawBufferPointer

    @inline(__always)
    package init(_ buffer: UnsafeRawBufferPointer) { self.buffer = buffer }

    /// A view of no bytes.
    package static var empty: ByteView { ByteView(UnsafeRawBufferPointer(start: nil, count: 0)) }

    /// Length in bytes.
    @inline(__always)
    package var count: Int { buffer.count }

    @inline(__always)
    private func check(_ offset: Int, _ length: Int) {
        // SAFETY: the only gate between a packet-derived offset and memory; both operands are non-negative and the
        // subtraction cannot overflow, so no addition of attacker-chosen values happens.
        precondition(offset >= 0 && length >= 0 && length <= buffer.count && offset <= buffer.count - length)
    }

    @inline(__always)
    package func u8(_ offset: Int) -> UInt8 {
        check(offset, 1)
        return buffer.load(fromByteOffset: offset, as: UInt8.self)
    }

    @inline(__always)
    package func u16(_ offset: Int) -> UInt16 {
        check(offset, 2)
        return UInt16(bigEndian: buffer.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }

    @inline(__always)
    package func u32(_ offset: Int) -> UInt32 {
        check(offset, 4)
        return UInt32(bigEndian: buffer.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    @inline(__always)
    package func u64(_ offset: Int) -> UInt64 {
        check(offset, 8)
        return UInt64(bigEndian: buffer.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    /// Little-endian read: only the virtio header is little-endian on this wire.
    @inline(__always)
    package func littleU16(_ offset: Int) -> UInt16 { u16(offset).byteSwapped }

    /// The `length` bytes from `offset`.
    @inline(__always)
    package func slice(_ offset: Int, _ length: Int) -> ByteView {
        check(offset, length)
        return ByteView(UnsafeRawBufferPointer(rebasing: buffer[offset..<(offset + length)]))
    }

    /// Everything from `offset` on.
    @inline(__always)
    package func from(_ offset: Int) -> ByteView { slice(offset, buffer.count - offset) }

    /// At most the first `length` bytes.
    @inline(__always)
    package func prefix(_ length: Int) -> ByteView { slice(0, min(length, buffer.count)) }
}

/// A writable window on memory owned by someone else: the counterpart of `ByteView`, checked the same way.
package struct MutableByteView: BitwiseCopyable {
    package let buffer: UnsafeMutableRawBufferPointer

    @inline(__always)
    package init(_ buffer: UnsafeMutableRawBufferPointer) { self.buffer = buffer }

    @inline(__always)
    package var count: Int { buffer.count }

    /// The same bytes, read-only.
    @inline(__always)
    package var readOnly: ByteView { ByteView(UnsafeRawBufferPointer(buffer)) }

    @inline(__always)
    private func check(_ offset: Int, _ length: Int) {
        // SAFETY: as ByteView.check.
        precondition(offset >= 0 && length >= 0 && length <= buffer.count && offset <= buffer.count - length)
    }

    @inline(__always)
    package func set8(_ offset: Int, _ value: UInt8) {
        check(offset, 1)
        buffer.storeBytes(of: value, toByteOffset: offset, as: UInt8.self)
    }

    @inline(__always)
    package func set16(_ offset: Int, _ value: UInt16) {
        check(offset, 2)
        buffer.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self)
    }

    @inline(__always)
    package func set32(_ offset: Int, _ value: UInt32) {
        check(offset, 4)
        buffer.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
    }

    @inline(__always)
    package func set64(_ offset: Int, _ value: UInt64) {
        check(offset, 8)
        buffer.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt64.self)
    }

    @inline(__always)
    package func setLittle16(_ offset: Int, _ value: UInt16) { set16(offset, value.byteSwapped) }

    /// Copies `source` to `offset`; the two may not overlap.
    @inline(__always)
    package func copy(_ source: ByteView, at offset: Int) {
        check(offset, source.count)
        if source.count > 0 {
            UnsafeMutableRawBufferPointer(rebasing: buffer[offset..<(offset + source.count)])
                .copyMemory(from: source.buffer)
        }
    }

    /// Writes `length` zero bytes at `offset`.
    @inline(__always)
    package func zero(_ offset: Int, _ length: Int) {
        check(offset, length)
        if length > 0 {
            UnsafeMutableRawBufferPointer(rebasing: buffer[offset..<(offset + length)])
                .initializeMemory(as: UInt8.self, repeating: 0)
        }
    }

    @inline(__always)
    package func slice(_ offset: Int, _ length: Int) -> MutableByteView {
        check(offset, length)
        return MutableByteView(UnsafeMutableRawBufferPointer(rebasing: buffer[offset..<(offset + length)]))
    }

    @inline(__always)
    package func from(_ offset: Int) -> MutableByteView { slice(offset, buffer.count - offset) }
}
