// SPDX-License-Identifier: Apache-2.0
//
// Theory of operation
//
// The pod's way out: the other end of its tap. `NetStack` knows the protocols and makes no system call; this module
// makes the system calls and knows no protocol.
//
//      pod's kernel ── tap ──▶ NetStack ──events──▶ host sockets          send straight from the frame's memory
//                        ◀──── NetStack ◀──answers── host sockets          MSG_PEEK straight into the frame
//
// It lives in the event loop of the port forwarder (`LoopParticipant`), single-threaded, without a capability.
//
// Connections. A SYN is answered after the host's socket is connected; what the host's connect says is what the pod's
// connect says. Data from the pod is acknowledged when the host's socket has taken it, so what the socket can take
// (SO_SNDBUF less SIOCOUTQ) is the window. Data for the pod stays in the host's socket: a frame is filled by MSG_PEEK at
// the offset that the stack wants (SO_PEEK_OFF), and taken off (MSG_TRUNC) when the pod has acknowledged it. So no byte
// is copied in user space and an idle connection costs two records.
//
// Datagrams. One unconnected host socket per socket of the pod (RFC 4787, endpoint-independent mapping), made when the
// first datagram shows which family the host needs. Batches pass as batches (UDP_SEGMENT, UDP_GRO). Errors come back
// through the error queue with the destination they belong to.
//
// The host. Its loopback, its own addresses and the link-local ones are refused by the stack's policy, which is rebuilt
// when the kernel tells of a change. Two addresses of the pod's network are translated: the name server's, port 53 only,
// to the host's resolver, and the gateway's to the host's loopback, for the ports that the user has opened.
//
// Events. Everything is edge-triggered and registered once. A socket whose send buffer is nearly full is re-registered
// (EPOLL_CTL_MOD), which makes the kernel look and report the moment it has room.
//
// Turn: at most 4 rounds of 64 frames in, what they cause, 64 frames out. Idle, nothing wakes up.
import CLinux
import EventLoop
import LinuxSystem
import NetControl
import NetStack
import Netlink
import PortForwarder
import SystemPackage

/// The other end of one pod's tap.
package struct UserNetwork: ~Copyable, LoopParticipant {
    /// Kinds of token; the forwarder has those below.
    enum Kind: UInt8 {
        case tap = 12
        /// The host's own addresses; `resolverNotice`: its resolv.conf.
        case connection, mapping, addresses
    }

    static let resolverNotice = SlabID(index: 1, generation: 0)

    /// Frames in and frames out per round, and rounds per turn.
    static let burst = 64
    static let rounds = 4
    /// Milliseconds that a busy loop holds an acknowledgement back: less than the 40 ms of other kernels.
    static let acknowledgementDelay: UInt64 = 10

    let configuration: NetConfiguration
    let outbound: OutboundConfiguration
    let tap: OwnedFD
    var stack: NetStack
    var connections = HostTable(empty: HostConnection())
    var mappings = HostTable(empty: HostMapping())
    var host: HostView
    var resolvers: Resolvers
    /// Nil when the servers do not come from the host's file.
    let resolverWatch: DirectoryWatch?
    /// The forwarder's socket to the keeper, which reads the host's files.
    let keeper: Int32
    var now: MonotonicTime
    /// Milliseconds, as `now`.
    var milliseconds: UInt64
    /// No event has come since the last turn.
    var isQuiet = true
    /// The last turn, in milliseconds, that began without deferred acknowledgements.
    var acknowledgementsDeferred: UInt64 = 0
    /// An event has come in one of the last turns.
    var wasActive = false
    /// The last turn has sent a batch of datagrams: more come faster than they are read, and to look ahead for them
    /// would take the core from the receiver, whose default buffer a millisecond of them fills.
    var hadBatch = false
    /// Datagrams of the same size for the same place, on their way to the host.
    var batch = DatagramBatch()
    /// The tap may have frames.
    var isTapReadable = true
    /// The stack may have frames.
    var hasOutput = false
    /// First of the connections with bytes to be taken off, linked by `nextAcknowledged`.
    var acknowledged: UInt32 = .max
    /// Connections and datagrams that failed for want of descriptors or memory.
    var shortages: UInt64 = 0
    /// Mapping sockets with datagrams waiting beyond their quota.
    var readyMappings = ValueQueue()
    /// The kernel peeks at an offset by itself, by family.
    let hasPeekOffset: (ipv4: Bool, ipv6: Bool)
    let mayQueueBulk = Socket.mayQueueBulk
    let input: UnsafeMutableRawBufferPointer
    let output: UnsafeMutableRawBufferPointer
    let datagrams: UnsafeMutableRawBufferPointer
    /// Written by kernels without SO_PEEK_OFF, read by nobody.
    var waste: UnsafeMutableRawBufferPointer?

    /// Registers what the network of the pod waits for: the tap (IFF_VNET_HDR) and the host's addresses.
    package static func register(
        tap: borrowing OwnedFD, host: borrowing HostView, resolverWatch: DirectoryWatch?, epoll: borrowing Epoll
    ) throws(Errno) {
        let only = SlabID(index: 0, generation: 0)
        if let resolverWatch {
            try epoll.add(resolverWatch.descriptor, .readable, token: token(.addresses, resolverNotice))
        }
        try epoll.add(tap.raw, [.readable, .edgeTriggered], token: token(.tap, only))
        if host.descriptor >= 0 { try epoll.add(host.descriptor, .readable, token: token(.addresses, only)) }
    }

    /// Takes over what was registered.
    package init(
        _ configuration: NetConfiguration, _ outbound: OutboundConfiguration, tap: consuming OwnedFD,
        host: consuming HostView, resolvers: Resolvers, resolverWatch: DirectoryWatch?, keeper: Int32
    ) {
        let offloads = Tap.requestOffloads(tap)
        let hasFrames = offloads.contains(.tcpSegmentation) && offloads.contains(.checksum)
        let capacity = NetStack.outputCapacity + NetStack.datagramHeadroom
        input = .allocate(byteCount: capacity, alignment: 64)
        output = .allocate(byteCount: capacity, alignment: 64)
        datagrams = .allocate(byteCount: capacity, alignment: 64)
        milliseconds = MonotonicClock.milliseconds
        now = MonotonicTime(milliseconds: milliseconds)
        hasPeekOffset = (PeekedStream.hasOffset(family: AF_INET), PeekedStream.hasOffset(family: AF_INET6))
        stack = NetStack(
            configuration.stack(outbound, hasSegmentationOffload: hasFrames),
            policy: configuration.policy(outbound, hostAddresses: host.addresses))
        stack.defersAcknowledgements = true
        self.resolvers = outbound.nameServers.isEmpty ? resolvers : Resolvers(outbound.nameServers)
        self.resolverWatch = resolverWatch
        self.keeper = keeper
        self.configuration = configuration
        self.outbound = outbound
        self.host = host
        self.tap = tap
    }

    deinit {
        connections.forEachDescriptor { _ = OwnedFD($0) }
        mappings.forEachDescriptor { _ = OwnedFD($0) }
        input.deallocate()
        output.deallocate()
        datagrams.deallocate()
        waste?.deallocate()
    }

    static func token(_ kind: Kind, _ id: SlabID) -> UInt64 {
        EventToken(kind: kind.rawValue, slot: id.index, generation: id.generation).rawValue
    }

    package func report(to statistics: inout NetStatistics) {
        statistics.tapFramesReceived = stack.count(of: .framesReceived)
        statistics.tapFramesSent = stack.count(of: .framesSent)
        statistics.outboundActive = UInt64(stack.tcpFlowCount)
        statistics.outboundOpened = stack.count(of: .tcpOpened)
        statistics.outboundRefused = stack.count(of: .tcpRefused)
        statistics.outboundRetransmissions =
            stack.count(of: .tcpRetransmissions) + stack.count(of: .tcpFastRetransmissions)
        statistics.outboundMappings = UInt64(stack.mappingCount)
        statistics.outboundProhibited = stack.count(of: .dropPolicy)
        statistics.outboundShortages = shortages
    }
}
