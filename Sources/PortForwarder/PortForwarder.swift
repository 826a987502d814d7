// SPDX-License-Identifier: Apache-2.0
//
// Theory of operation
//
// Published ports of one pod, in the host's network namespace, without a capability. One thread, one epoll.
//
//      client ─▶ listener ─accept─▶ Flow ─socket of the pod's namespace─▶ service
//                                    │ up:   client → pod      two `Direction`s: copy, or splice through a pipe
//                                    └ down: pod → client
//
// Connections. A pod socket comes from `PodSocketPool` (the keeper made it: transparent, marked), is bound to the
// client's address and connected to the pod's address. Over the pod's lo that completes at once, so accept, connect and
// the first bytes are one wake-up; a refusal becomes a reset of the client in the same turn.
//
// Events. Everything is edge-triggered and registered once; in steady state there is no epoll_ctl. A listener with
// connections waiting stands in a queue instead of being armed, so that a shortage (descriptors, pod sockets) stops
// accepting without spinning, and the end of a flow or the arrival of sockets continues it.
//
// Ends. Half-close is kept for as long as both sides like. A reset travels only after everything that was sent before
// it: into the sink's socket first, then acknowledged by the sink's peer (SIOCOUTQ), then the reset.
//
// Datagrams. One socket of the pod's namespace per flow, connected, see `DatagramFlow`; up to 32 per system call.
//
// Limits: 32,768 connections, 16,384 datagram flows, 32 pipes, 16 MiB of overflow buffers; all memory is allocated when
// first needed and kept, so that a warm forwarder does not allocate. Idle, it does not wake up at all.
//
// Objects are in slabs, named by tokens; nothing here is a class and nothing is shared.
import CLinux
import EventLoop
import LinuxSystem
import NetControl
import SystemPackage

/// The forwarder of one pod: single-threaded, driven by `turn`.
public struct PortForwarder: ~Copyable {
    /// The kinds of token of the forwarder; 12 and up belong to the loop's other participant.
    enum Kind: UInt8 {
        case keeper, control, controlPeer, listener, client, pod, datagram, signal
        case resetTimer, keepaliveTimer, datagramTimer, retryTimer
    }

    static let flowLimit = 32768
    static let datagramFlowLimit = 16384
    /// Descriptors for everything that is not a flow: pipes, pod sockets in stock, control connections.
    static let reservedDescriptors = 448

    let configuration: NetConfiguration
    package let keeper: OwnedFD
    package var epoll: Epoll
    var polling = AdaptivePolling()
    var timers: TimerWheel
    /// Milliseconds, read once per turn.
    var now: UInt64
    var transfer: SocketTransfer
    var pool = PodSocketPool()
    var keeperMessages = KeeperMessages()
    /// For the other participant, when the keeper has sent it: the host's resolv.conf, nil where there is none.
    var resolverFile: OwnedFD??
    var listeners = Slab<Listener>(capacity: 65536 * 2)
    var flows = Slab<Flow>(capacity: flowLimit)
    /// Made with the first datagram: most pods publish no UDP port.
    var datagramBatch: DatagramBatch?
    var datagrams = DatagramTable(capacity: datagramFlowLimit)
    /// Listeners with connections waiting.
    var readyListeners = ValueQueue()
    /// UDP sockets with datagrams waiting.
    var readyDatagramListeners = ValueQueue()
    /// Flows whose turn budget was used up.
    var readyFlows = ValueQueue()
    /// Flows that wait for a pod socket.
    var waitingFlows = ValueQueue()
    var counters = NetStatistics()
    var isAcceptPaused = false
    /// What accepting waited for at the last look.
    var lastObstacle: AcceptObstacle?
    var retryTimer = TimerID.none
    /// Descriptors that flows may use.
    let descriptorBudget: Int
    /// The host's default for TCP; nil if it is reno, or not to be had.
    let hostCongestion: CongestionControl?
    let mayQueueBulk = Socket.mayQueueBulk
    var control: OwnedFD?
    var signals: SignalDescriptor?
    var controlPeers = Slab<OwnedFD>(capacity: 64)
    var exit: Exit?

    /// Why the forwarder is over.
    public enum Exit: Equatable, Sendable {
        /// The keeper's socket closed: the pod is gone.
        case podEnded
        /// `stop` on the control socket, or SIGTERM.
        case stopped
    }

    /// `keeper` is the socket to the process in the pod's namespace; `descriptorLimit` is RLIMIT_NOFILE.
    /// `overflowLimit` is the number of 64 KiB buffers for sinks that do not keep up.
    public init(
        configuration: NetConfiguration, keeper: consuming OwnedFD, descriptorLimit: Int, overflowLimit: Int = 256
    ) throws(Errno) {
        let epoll = try Epoll()
        try epoll.add(keeper.raw, [.readable, .peerEnded, .edgeTriggered], token: Self.token(.keeper).rawValue)
        self.epoll = epoll
        self.configuration = configuration
        now = MonotonicClock.milliseconds
        timers = TimerWheel(now: now)
        transfer = SocketTransfer(overflowLimit: overflowLimit)
        descriptorBudget = max(16, descriptorLimit - Self.reservedDescriptors)
        self.keeper = keeper
        hostCongestion = Self.hostCongestion()
    }

    private static func hostCongestion() -> CongestionControl? {
        guard let socket = try? Socket.make(family: AF_INET, .tcp), let found = Socket.congestionControl(socket.raw)
        else { return nil }
        return found.isReno ? nil : found
    }

    static func token(_ kind: Kind, slot: UInt32 = 0, generation: UInt32 = 0) -> EventToken {
        EventToken(kind: kind.rawValue, slot: slot, generation: generation)
    }

    /// The counters, those of open connections included.
    public func statistics() -> NetStatistics {
        var result = counters
        result.listeners = UInt64(listeners.count)
        result.tcpActive = UInt64(flows.count)
        result.udpActive = UInt64(datagrams.flows.count)
        result.pipes = UInt64(transfer.pipes.count)
        result.tcpBytesSpliced = transfer.spliced
        for slot in 0..<flows.slotCount where flows.isOccupied(slot) {
            result.tcpBytesUp += flows[slot].up.total
            result.tcpBytesDown += flows[slot].down.total
        }
        return result
    }
}
