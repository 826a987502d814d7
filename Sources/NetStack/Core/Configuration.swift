// SPDX-License-Identifier: Apache-2.0

/// What a stack is told once, at its start.
package struct Configuration: Sendable {
    /// The stack's addresses of one family. Every pod address lies inside `prefix`.
    package struct Subnet: BitwiseCopyable, Sendable {
        package var prefix: InternetPrefix
        package var gateway: InternetAddress
        package var dns: InternetAddress

        package init(prefix: InternetPrefix, gateway: InternetAddress, dns: InternetAddress) {
            self.prefix = prefix
            self.gateway = gateway
            self.dns = dns
        }
    }

    /// Capacities; each is a hard ceiling that a guest can reach but not pass.
    package struct Limits: BitwiseCopyable, Sendable {
        package var tcpFlows = 32_768
        /// Connections that wait for the host side or for the guest's last handshake segment; the oldest gives way.
        package var tcpHalfOpen = 1_024
        package var udpMappings = 16_384
        package var echoMappings = 256
        /// Share of a table, in percent, that one pod address may hold.
        package var sharePerSource = 50
        /// Bytes of queued answers that belong to no flow.
        package var controlFrameBytes = 262_144
        package var events = 256

        package init() {}
    }

    /// Of the tap device, 1280...65520.
    package var mtu: Int
    /// Bytes of virtio_net_hdr before each frame: 0, 10 or 12. With 0 no offload exists in either direction.
    package var virtioHeaderLength: Int
    /// The tap has TUN_F_TSO4, TUN_F_TSO6 (and USO4, USO6): frames larger than the MTU may be written.
    package var hasSegmentationOffload: Bool
    package var gatewayMAC: MACAddress
    /// Where frames go until the guest has sent its first, from which its address is learned. Kernels ignore TCP in
    /// broadcast frames, so set it if connections are opened towards a guest that may not have spoken.
    package var guestMAC = MACAddress.broadcast
    package var ipv4: Subnet?
    package var ipv6: Subnet?
    /// Random, from the kernel, never reused between processes.
    package var key: HashKey
    package var limits = Limits()

    package init(
        mtu: Int, virtioHeaderLength: Int, hasSegmentationOffload: Bool, gatewayMAC: MACAddress, ipv4: Subnet?,
        ipv6: Subnet?, key: HashKey
    ) {
        self.mtu = mtu
        self.virtioHeaderLength = virtioHeaderLength
        self.hasSegmentationOffload = hasSegmentationOffload
        self.gatewayMAC = gatewayMAC
        self.ipv4 = ipv4
        self.ipv6 = ipv6
        self.key = key
    }

    func checkPreconditions() {
        precondition((1280...65520).contains(mtu), "MTU outside 1280...65520")
        precondition(virtioHeaderLength == 0 || virtioHeaderLength == 10 || virtioHeaderLength == 12)
        precondition(virtioHeaderLength != 0 || !hasSegmentationOffload, "offload needs the virtio header")
        precondition((1...100).contains(limits.sharePerSource) && limits.events >= 16)
        precondition(limits.controlFrameBytes >= 4096 && !gatewayMAC.isGroup)
    }
}
