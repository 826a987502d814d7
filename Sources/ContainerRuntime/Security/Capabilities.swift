// SPDX-License-Identifier: Apache-2.0
import CCapability
import CLinux

/// The sets of capabilities(7) as bit masks (bit n is capability number n).
public struct CapabilitySets: Sendable, Equatable {
    public var bounding: UInt64
    public var effective: UInt64
    public var permitted: UInt64
    public var inheritable: UInt64
    public var ambient: UInt64

    /// One set for bounding, permitted and effective; inheritable and ambient stay empty (CVE-2022-29162).
    public init(_ mask: UInt64) {
        bounding = mask
        effective = mask
        permitted = mask
        inheritable = 0
        ambient = 0
    }

    /// What Podman grants without --cap-add: containers.conf(5), default_capabilities.
    public static let podmanDefault = CapabilitySets(
        [
            CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_KILL, CAP_NET_BIND_SERVICE, CAP_SETFCAP,
            CAP_SETGID, CAP_SETPCAP, CAP_SETUID, CAP_SYS_CHROOT,
        ].reduce(0) { $0 | (UInt64(1) << UInt64($1)) })

    /// All that this kernel knows.
    public static var all: CapabilitySets {
        let count = UInt64(cap_max_bits())
        return CapabilitySets(count >= 64 ? .max : (1 << count) - 1)
    }

    /// The mask of one name, with or without "CAP_", in any case; nil if libcap does not know it: cap_from_name(3).
    public static func mask(named name: String) -> UInt64? {
        var lowered = name.lowercased()
        if !lowered.hasPrefix("cap_") { lowered = "cap_" + lowered }
        var value: cap_value_t = 0
        guard cap_from_name(lowered, &value) == 0, value >= 0, value < 64 else { return nil }
        return 1 << UInt64(value)
    }

    /// The names in `mask` in number order, as "CAP_CHOWN": cap_to_name(3).
    public static func names(_ mask: UInt64) -> [String] {
        (0..<64).compactMap { bit in
            guard mask & (1 << UInt64(bit)) != 0, let name = cap_to_name(cap_value_t(bit)) else { return nil }
            defer { cap_free(name) }
            return String(cString: name).uppercased()
        }
    }
}
