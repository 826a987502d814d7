// SPDX-License-Identifier: Apache-2.0

// Theory of Operation
// ===================
//
// NetStack is the "outside" of a pod: what the pod's kernel finds at the other end of its tap. It is a pure state
// machine. Frames, the time and the results of the caller's socket calls go in; frames and events come out. It makes
// no system call, reads no clock, starts no thread, and after warm-up allocates nothing.
//
//      guest kernel            NetStack                        caller (one epoll loop)
//      ------------            --------                        -----------------------
//      SYN          -receive-> policy, flow        -event->    connect() on the host
//                   <-output-  SYN-ACK             <-call-     acceptConnection
//      data         -receive-> in order?           -event->    send(); take(n)
//                   <-output-  ACK of n
//                   <-output-  header template     <-fill-     hostReadable; recv(MSG_PEEK) behind the header
//      ACK          -receive-> forget              -event->    recv(MSG_TRUNC): consume what the guest has
//
// One turn of the caller:  receive(frame) -> drain nextEvent -> ... -> drain nextOutput -> write frames.
// After a timer:           advance(now)   -> drain nextEvent -> drain nextOutput; sleep until nextDeadline.
//
// Goals
//   - Truth: a connection is accepted after the host side connected, refused when it was refused, data is acknowledged
//     after the host's socket took it, a FIN is passed on when everything before it was.
//   - No copy of payload is kept. Data towards the guest stays in the host's socket until acknowledged, so the stack
//     asks for it by stream offset and can ask again; data from the guest that cannot be taken is dropped and comes again.
//     The exception are segments behind a lost one (TCPReordering): without them a guest repeats whole windows.
//   - Everything from the guest is hostile. Decoders check before they read (ByteView traps as a last resort), tables
//     are bounded, hashes and sequence numbers are keyed, errors and challenges are rate-limited.
//
// Non-goals: SACK, congestion control and round-trip estimates (the peer is this machine's kernel behind a
// link that loses only when its queue overflows), routing, being a host.
//
// Limits (Configuration.Limits): TCP flows 32,768, of which half-open 1,024 (the oldest gives way); UDP mappings
// 16,384 (the least recently used gives way); echo mappings 256; one pod address holds at most half of a table;
// 64 datagrams and 4 MiB in reassembly for at most 15 s; 1,024 segments (1.5 MiB) behind lost ones. Memory per idle TCP flow below 256 bytes.
//
// TCP states, by what is permitted (see TCPState; TCP/ has one file per activity)
//   connecting    SYN taken, host dial running. Nothing was promised to the guest: no timer, no sequence number.
//   synReceived   SYN-ACK sent; retransmitted. No data either way.
//   synSent       the stack opened towards the guest; retransmitted.
//   established   data both ways.
//   finWait1/2    we sent FIN (acknowledged in 2); data from the guest only, without time limit.
//   closeWait     the guest's FIN was taken; data to the guest only, without time limit.
//   closing       both sent FIN, ours not acknowledged.
//   lastAck       as closing, after closeWait.
//   timeWait      1 s: re-acknowledges a repeated FIN, gives way to a new SYN.
//
// Timers: retransmission 200 ms doubling to 12.8 s, 8 tries, then reset; zero-window probes on the same schedule without
// limit as long as they are answered; mappings 30 s unreplied, 180 s replied; reassembly 15 s.
//
// Output: stateless answers wait in a byte ring (FrameQueue). A flow that has something to say is linked once into a
// queue, whatever it has to say: what is sent is decided when the frame is built, so a burst of input costs one ACK per
// flow, and the queue needs no memory.
//
// Invariants
//   sndUna <= sndNxt <= sndMax; sndMax - sndUna octets are in the guest or on the way.
//   The advertised right edge (rcvAdv) never moves left, also not by rounding to the window scale.
//   A record is in the timer queue, the transmit queue or the half-open list only while it is in the slab.
//   At most one event for data is unanswered: that of the last `receive`.

/// A userspace TCP/IP stack as a pure state machine. See the Theory of Operation above.
///
/// Belongs to one thread; noncopyable, owns all of its memory. Each operation is O(1) but for timers (O(log n)).
package struct NetStack: ~Copyable {
    /// Bytes that the buffer given to `nextOutput` must hold: the largest frame with its offload header.
    package static var outputCapacity: Int { 12 + Ethernet.headerLength + 65_535 }

    package let configuration: Configuration
    /// May be replaced at any time; flows that exist are not looked at again.
    package var policy: DestinationPolicy
    /// Small acknowledgements wait for data to go with; the caller must call `flushAcknowledgements` before it sleeps.
    package var defersAcknowledgements = false

    let counters = Counters()
    var events: EventRing
    var controlFrames: FrameQueue
    var tcp: TCPTable
    var mappings: MappingTable
    var fragments: FragmentTable

    /// Time of the call being served.
    var now = MonotonicTime(nanoseconds: 0)
    /// Source of the guest's last frame.
    var guestMAC: MACAddress
    let gatewayLinkLocal: InternetAddress
    /// Bytes before the network header in every frame.
    let linkHeaderLength: Int
    var identification: UInt32
    var errorBucket = TokenBucket(rate: 100, burst: 50)
    var challengeBucket = TokenBucket(rate: 1000, burst: 200)
    var echoRefusalBucket = TokenBucket(rate: 1, burst: 1)
    /// Working space for messages that are copied at once.
    let scratch: UnsafeMutableRawBufferPointer

    /// Traps when the configuration contradicts itself: that is the program's mistake, never the guest's.
    package init(_ configuration: Configuration, policy: DestinationPolicy) {
        configuration.checkPreconditions()
        self.configuration = configuration
        self.policy = policy
        let limits = configuration.limits
        events = EventRing(capacity: limits.events)
        controlFrames = FrameQueue(capacity: limits.controlFrameBytes)
        tcp = TCPTable(limits, key: configuration.key)
        mappings = MappingTable(limits, key: configuration.key)
        fragments = FragmentTable()
        guestMAC = configuration.guestMAC
        gatewayLinkLocal = configuration.gatewayMAC.linkLocal
        linkHeaderLength = configuration.virtioHeaderLength + Ethernet.headerLength
        identification = configuration.key.sequenceHash(1, 0, 0, 0, 0)
        scratch = .allocate(byteCount: 128, alignment: 16)
    }

    deinit { scratch.deallocate() }

    /// The oldest event, or nil when all were taken.
    package mutating func nextEvent() -> Event? { events.pop() }

    /// How often `counter` was counted.
    package func count(of counter: Counter) -> UInt64 { counters[counter] }

    /// TCP flows in any state, `timeWait` included.
    package var tcpFlowCount: Int { tcp.flows.count }
    /// Connections in `connecting`, `synReceived` and `synSent`.
    package var tcpHalfOpenCount: Int { tcp.halfOpenCount }
    /// UDP and echo mappings.
    package var mappingCount: Int { mappings.records.count }

    /// When `advance` has work at the latest, `.never` when no timer runs. May be early, is never late.
    package var nextDeadline: MonotonicTime {
        min(tcp.timers.earliest, min(mappings.timers.earliest, fragments.earliest))
    }

    /// Runs the timers that are due. Stops early when the events fill up: drain them and call again while
    /// `nextDeadline` is not ahead.
    package mutating func advance(now: MonotonicTime) {
        self.now = now
        while events.room >= 2, let index = tcp.timers.popExpired(now) { expireFlow(index) }
        while events.room >= 2, let index = mappings.timers.popExpired(now) { expireMapping(index) }
        expireFragments()
    }
}
