// SPDX-License-Identifier: Apache-2.0
import LinuxSystem

/// One published port as samara-net knows it; its listening (TCP) or bound (UDP) socket travels beside it.
public struct PublishedListener: Equatable, Sendable {
    public var transport: Socket.Transport
    /// The host address the socket is bound to: 0.0.0.0 or :: for all.
    public var hostIP: IPAddress
    /// The port the socket is bound to, never 0.
    public var hostPort: UInt16
    /// The port inside the pod.
    public var podPort: UInt16
    /// Whether the port is that of the pod's loopback address instead of its own.
    public var targetsLoopback = false

    public init(transport: Socket.Transport, hostIP: IPAddress, hostPort: UInt16, podPort: UInt16) {
        self.transport = transport
        self.hostIP = hostIP
        self.hostPort = hostPort
        self.podPort = podPort
    }
}

/// What samara-net must know about its pod.
public struct NetConfiguration: Equatable, Sendable {
    /// For the process title and for messages.
    public var podName: String
    /// Where published ports are reached inside the pod: the tap's addresses.
    public var podIPv4: IPAddress
    public var podIPv6: IPAddress?
    /// As whom a client on the host's loopback appears inside the pod.
    public var gatewayIPv4: IPAddress
    public var gatewayIPv6: IPAddress?
    /// The pod's way out through the tap, which the keeper is asked for; nil for a pod without.
    public var outbound: OutboundConfiguration?

    public init(
        podName: String, podIPv4: IPAddress, podIPv6: IPAddress?, gatewayIPv4: IPAddress, gatewayIPv6: IPAddress?,
        outbound: OutboundConfiguration? = nil
    ) {
        self.podName = podName
        self.podIPv4 = podIPv4
        self.podIPv6 = podIPv6
        self.gatewayIPv4 = gatewayIPv4
        self.gatewayIPv6 = gatewayIPv6
        self.outbound = outbound
    }
}

/// What the engine asks of samara-net.
public enum NetRequest: Equatable, Sendable {
    /// The first message on the starter socket; `listenerCount` listeners follow in `publish` messages.
    case configure(NetConfiguration, listenerCount: Int)
    /// One descriptor per listener, in order; at most `listenerLimit`.
    case publish([PublishedListener])
    /// Stops accepting on these; their established connections go on. All or none: an unknown one refuses the message.
    case unpublish([PublishedListener])
    case statistics
    /// Close the listeners, reset what is open, answer, exit.
    case stop

    /// SCM_MAX_FD is 253.
    public static let listenerLimit = 240
    /// The largest request in bytes.
    public static let sizeLimit = 16 + listenerLimit * 24 + 4096
}

/// samara-net's answer.
public enum NetReply: Equatable, Sendable {
    case done
    /// One sentence.
    case failed(String)
    case statistics(NetStatistics)

    public static let sizeLimit = 8192
}

/// Counters since the start of samara-net. Byte counts are payload, `up` is towards the pod.
public struct NetStatistics: Equatable, Sendable {
    public var listeners: UInt64 = 0
    public var tcpActive: UInt64 = 0
    public var tcpAccepted: UInt64 = 0
    /// Ended by an orderly close of both sides.
    public var tcpClosed: UInt64 = 0
    /// Ended by a reset of either side.
    public var tcpReset: UInt64 = 0
    /// Refused because nothing listened in the pod.
    public var tcpRefused: UInt64 = 0
    /// Ended because the pod could not be reached for another reason.
    public var tcpUnreachable: UInt64 = 0
    public var tcpBytesUp: UInt64 = 0
    public var tcpBytesDown: UInt64 = 0
    /// The part of both byte counts that went through a pipe.
    public var tcpBytesSpliced: UInt64 = 0
    /// Connections that appear in the pod with the client's address but another port.
    public var sourcePortChanged: UInt64 = 0
    /// Connections that appear in the pod as the gateway although the client was not on the host's loopback.
    public var sourceReplaced: UInt64 = 0
    /// IPv6 clients served by an IPv4-only service.
    public var ipv6ToIPv4: UInt64 = 0
    /// Times that accepting stopped for want of descriptors or memory: the one to look at when clients have to wait.
    public var acceptPausesDescriptors: UInt64 = 0
    /// Because there were as many connections as there can be.
    public var acceptPausesFlows: UInt64 = 0
    /// For a moment, until sockets of the pod arrived.
    public var acceptPausesSockets: UInt64 = 0
    public var udpActive: UInt64 = 0
    public var udpFlows: UInt64 = 0
    public var udpDatagramsUp: UInt64 = 0
    public var udpDatagramsDown: UInt64 = 0
    public var udpDropped: UInt64 = 0
    /// Pipes that exist for splicing.
    public var pipes: UInt64 = 0
    /// Frames of the tap, received from the pod and sent to it.
    public var tapFramesReceived: UInt64 = 0
    public var tapFramesSent: UInt64 = 0
    /// Connections from the pod: open, opened in all, refused by policy or by the other side.
    public var outboundActive: UInt64 = 0
    public var outboundOpened: UInt64 = 0
    public var outboundRefused: UInt64 = 0
    /// Data sent again because the pod did not acknowledge it.
    public var outboundRetransmissions: UInt64 = 0
    /// UDP and echo sockets that stand for sockets of the pod.
    public var outboundMappings: UInt64 = 0
    /// Datagrams and connections that the policy kept from the host.
    public var outboundProhibited: UInt64 = 0
    /// Those that failed for want of descriptors or memory.
    public var outboundShortages: UInt64 = 0

    public init() {}

    static let fieldCount = 31

    /// Every counter with its name, in declaration order.
    public var fields: [(name: String, value: UInt64)] {
        [
            ("listeners", listeners), ("tcpActive", tcpActive), ("tcpAccepted", tcpAccepted),
            ("tcpClosed", tcpClosed), ("tcpReset", tcpReset), ("tcpRefused", tcpRefused),
            ("tcpUnreachable", tcpUnreachable), ("tcpBytesUp", tcpBytesUp), ("tcpBytesDown", tcpBytesDown),
            ("tcpBytesSpliced", tcpBytesSpliced), ("sourcePortChanged", sourcePortChanged),
            ("sourceReplaced", sourceReplaced), ("ipv6ToIPv4", ipv6ToIPv4),
            ("acceptPausesDescriptors", acceptPausesDescriptors), ("acceptPausesFlows", acceptPausesFlows),
            ("acceptPausesSockets", acceptPausesSockets), ("udpActive", udpActive), ("udpFlows", udpFlows),
            ("udpDatagramsUp", udpDatagramsUp),
            ("udpDatagramsDown", udpDatagramsDown), ("udpDropped", udpDropped), ("pipes", pipes),
            ("tapFramesReceived", tapFramesReceived), ("tapFramesSent", tapFramesSent),
            ("outboundActive", outboundActive), ("outboundOpened", outboundOpened),
            ("outboundRefused", outboundRefused), ("outboundRetransmissions", outboundRetransmissions),
            ("outboundMappings", outboundMappings), ("outboundProhibited", outboundProhibited),
            ("outboundShortages", outboundShortages),
        ]
    }

    init(values: [UInt64]) {
        (listeners, tcpActive, tcpAccepted, tcpClosed, tcpReset) = (
            values[0], values[1], values[2], values[3], values[4]
        )
        (tcpRefused, tcpUnreachable, tcpBytesUp, tcpBytesDown) = (values[5], values[6], values[7], values[8])
        (tcpBytesSpliced, sourcePortChanged, sourceReplaced) = (values[9], values[10], values[11])
        (ipv6ToIPv4, acceptPausesDescriptors, acceptPausesFlows) = (values[12], values[13], values[14])
        (acceptPausesSockets, udpActive, udpFlows) = (values[15], values[16], values[17])
        (udpDatagramsUp, udpDatagramsDown, udpDropped) = (values[18], values[19], values[20])
        (pipes, tapFramesReceived, tapFramesSent) = (values[21], values[22], values[23])
        (outboundActive, outboundOpened, outboundRefused) = (values[24], values[25], values[26])
        (outboundRetransmissions, outboundMappings) = (values[27], values[28])
        (outboundProhibited, outboundShortages) = (values[29], values[30])
    }
}
