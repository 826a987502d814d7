// SPDX-License-Identifier: Apache-2.0

/// The offload header in front of each frame of a tap opened with IFF_VNET_HDR: struct virtio_net_hdr, 10 bytes, or
/// virtio_net_hdr_mrg_rxbuf, 12 (virtio 1.2, section 5.1.6). Little-endian (TUNSETVNETLE, the default on the
/// little-endian machines that Swift supports).
package struct VirtioNetHeader: BitwiseCopyable, Equatable {
    package enum Segmentation: UInt8, BitwiseCopyable {
        case none = 0
        case tcpIPv4 = 1
        case tcpIPv6 = 4
        case udp = 5
    }

    /// VIRTIO_NET_HDR_F_NEEDS_CSUM: the field at `checksumStart + checksumOffset` holds the pseudo-header sum only.
    package var needsChecksum = false
    /// VIRTIO_NET_HDR_F_DATA_VALID: the sender's kernel has verified the checksum.
    package var isDataValid = false
    package var segmentation = Segmentation.none
    /// Bytes of Ethernet, network and transport header; a hint of the sender that nothing here relies on.
    package var headerLength: UInt16 = 0
    /// Payload bytes of each segment.
    package var segmentSize: UInt16 = 0
    /// From the start of the Ethernet header.
    package var checksumStart: UInt16 = 0
    package var checksumOffset: UInt16 = 0

    package init() {}

    /// Nil for a segmentation type that was never offered (the legacy UDP fragmentation offload among them) and for
    /// one without a segment size or without checksum offload.
    package init?(_ bytes: ByteView) {
        let flags = bytes.u8(0)
        needsChecksum = flags & 1 != 0
        isDataValid = flags & 2 != 0
        // Bit 7 marks congestion-experienced segments (VIRTIO_NET_HDR_GSO_ECN).
        guard let segmentation = Segmentation(rawValue: bytes.u8(1) & 0x7f) else { return nil }
        self.segmentation = segmentation
        headerLength = bytes.littleU16(2)
        segmentSize = bytes.littleU16(4)
        checksumStart = bytes.littleU16(6)
        checksumOffset = bytes.littleU16(8)
        if segmentation != .none && (segmentSize == 0 || !needsChecksum) { return nil }
    }

    /// Writes the first 10 bytes and, when `length` is 12, a zero buffer count.
    @inline(__always)
    package func write(to bytes: MutableByteView, length: Int) {
        if length == 0 { return }
        bytes.set8(0, (needsChecksum ? 1 : 0) | (isDataValid ? 2 : 0))
        bytes.set8(1, segmentation.rawValue)
        bytes.setLittle16(2, headerLength)
        bytes.setLittle16(4, segmentSize)
        bytes.setLittle16(6, checksumStart)
        bytes.setLittle16(8, checksumOffset)
        if length == 12 { bytes.set16(10, 0) }
    }
}
