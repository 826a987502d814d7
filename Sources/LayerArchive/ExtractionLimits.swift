// SPDX-License-Identifier: Apache-2.0

/// Bounds on what an archive may make this machine do. Far above real images, far below a full disk's worth.
package struct ExtractionLimits: Sendable {
    /// Entries of one layer. The largest images in use have about a million files.
    package var entries = 4 << 20
    /// Directories above an entry. Removing a tree holds no descriptor per level, but other programs' tools do.
    package var depth = 500
    /// Bytes of a whole path: PATH_MAX less its NUL.
    package var pathBytes = 4095
    /// Bytes of one component: NAME_MAX.
    package var nameBytes = 255
    /// A layer may unpack to `expansionBase` + `expansionRatio` × its blob, bytes. Gzip reaches 1030:1 and zstd far
    /// more on zeros; whole layers of real images stay below 20:1.
    package var expansionBase: Int64 = 4 << 30
    package var expansionRatio: Int64 = 100
    /// Bytes of a manifest, index or config: what registries accept.
    package var documentBytes = 4 << 20
    /// Files in an image archive (not in a layer).
    package var archiveEntries = 100_000

    package init() {}

    /// The most bytes that a blob of `size` bytes may decompress to.
    package func uncompressed(_ size: Int64) -> Int64 {
        let (product, overflow) = size.multipliedReportingOverflow(by: expansionRatio)
        if overflow { return .max }
        let (sum, overflowed) = product.addingReportingOverflow(expansionBase)
        return overflowed ? .max : sum
    }
}
