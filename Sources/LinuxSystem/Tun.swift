// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// Tap devices: Documentation/networking/tuntap.rst.
public enum Tap {
    /// The offloads that a tap with IFF_VNET_HDR may carry: TUN_F_*.
    public struct Offloads: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        /// TUN_F_CSUM
        public static let checksum = Offloads(rawValue: UInt32(TUN_F_CSUM))
        /// TUN_F_TSO4 and TUN_F_TSO6
        public static let tcpSegmentation = Offloads(rawValue: UInt32(TUN_F_TSO4 | TUN_F_TSO6))
        /// TUN_F_USO4 and TUN_F_USO6, Linux 6.2
        public static let udpSegmentation = Offloads(rawValue: UInt32(TUN_F_USO4 | TUN_F_USO6))
    }

    /// Makes the tap `name` in the current network namespace, without packet information and with a virtio header
    /// on every frame: TUNSETIFF IFF_TAP | IFF_NO_PI | IFF_VNET_HDR. The device lives as long as the descriptor.
    public static func make(_ name: String) throws(Errno) -> OwnedFD {
        let fd = try File.open("/dev/net/tun", O_RDWR | O_NONBLOCK)
        _ = try checked(samara_tun_attach(fd.raw, name, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
        return fd
    }

    /// Asks for the best set of offloads that this kernel grants and returns it: TUNSETOFFLOAD.
    public static func requestOffloads(_ tap: borrowing OwnedFD) -> Offloads {
        let wanted: [Offloads] = [
            [.checksum, .tcpSegmentation, .udpSegmentation], [.checksum, .tcpSegmentation], [.checksum],
        ]
        for set in wanted where samara_ioctl_value(tap.raw, samara_tun_set_offload, UInt(set.rawValue)) == 0 {
            return set
        }
        return []
    }
}
