// SPDX-License-Identifier: Apache-2.0

/// The 64 bits that travel with a registered descriptor or an armed timer: generation (32), kind (4), slot (28).
public struct EventToken: Equatable, Sendable {
    @usableFromInline static let slotBits: UInt64 = 28
    @usableFromInline static let slotMask: UInt64 = (1 << 28) - 1

    public let rawValue: UInt64

    @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// `kind` is 0 to 15, `slot` below 2^28.
    @inlinable public init(kind: UInt8, slot: UInt32, generation: UInt32) {
        precondition(kind < 16 && UInt64(slot) <= Self.slotMask, "a token has 4 bits of kind and 28 of slot")
        rawValue = UInt64(generation) << 32 | UInt64(kind) << Self.slotBits | UInt64(slot)
    }

    @inlinable public var kind: UInt8 { UInt8(truncatingIfNeeded: rawValue >> Self.slotBits) & 15 }
    @inlinable public var slot: UInt32 { UInt32(truncatingIfNeeded: rawValue & Self.slotMask) }
    @inlinable public var generation: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) }
}
