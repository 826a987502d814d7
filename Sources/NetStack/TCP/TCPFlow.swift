// SPDX-License-Identifier: Apache-2.0

/// States of RFC 9293, section 3.3.2, seen from the stack; LISTEN and CLOSED have no record. What each permits is in the
/// Theory of Operation (NetStack.swift).
package enum TCPState: UInt8, BitwiseCopyable, Sendable {
    case connecting
    case synReceived
    case synSent
    case established
    case finWait1
    case finWait2
    case closeWait
    case closing
    case lastAck
    case timeWait

    /// The guest may still send data.
    @inline(__always)
    var acceptsData: Bool { self == .established || self == .finWait1 || self == .finWait2 }

    /// Data, new or repeated, may go to the guest.
    @inline(__always)
    var sendsData: Bool {
        switch self {
        case .established, .closeWait, .finWait1, .closing, .lastAck: true
        default: false
        }
    }
}

/// One connection of the guest. Names follow RFC 9293, section 3.3.1: snd is towards the guest, rcv from it.
struct TCPFlow: BitwiseCopyable {
    struct Flags: OptionSet, BitwiseCopyable {
        let rawValue: UInt16
        /// In the transmit queue.
        static var queued: Self { Self(rawValue: 1) }
        /// In the list of half-open connections.
        static var halfOpen: Self { Self(rawValue: 2) }
        /// The host socket may have bytes behind sndMax.
        static var hostReadable: Self { Self(rawValue: 4) }
        /// The host side has ended; finSeq is where.
        static var finKnown: Self { Self(rawValue: 8) }
        /// Octets were offered that the caller did not take: the guest must be told when there is room.
        static var droppedInput: Self { Self(rawValue: 16) }
        /// A SYN or SYN-ACK is to be sent.
        static var sendSyn: Self { Self(rawValue: 32) }
        /// A zero-window probe is to be sent.
        static var probe: Self { Self(rawValue: 64) }
        /// The offered octets end with FIN.
        static var offeredFin: Self { Self(rawValue: 128) }
        /// Octets before `recover` are being sent again.
        static var recovering: Self { Self(rawValue: 256) }
        /// Both sides sent a window scale option.
        static var scaling: Self { Self(rawValue: 512) }
        /// In the list of flows whose acknowledgement waits for something to go with.
        static var ackDeferred: Self { Self(rawValue: 1024) }
        /// The acknowledgement has waited long enough.
        static var ackDue: Self { Self(rawValue: 2048) }
        /// Every segment carries timestamps: without them a guest that has to repeat much learns no round trip time, and keeps
        /// doubling its timeout (RFC 6298, section 5).
        static var timestamps: Self { Self(rawValue: 4096) }
    }

    /// Our shift count: 65,535 << 7 is 8 MiB, twice the largest capacity that is advertised.
    static var receiveScale: UInt8 { 7 }
    static var maximumCapacity: Int { 4 << 20 }

    var pod: InternetEndpoint
    var remote: InternetEndpoint
    var state: TCPState
    var flags: Flags = []
    /// The guest's shift count, 0 without scaling.
    var sendScale: UInt8 = 0
    var dupAckCount: UInt8 = 0
    /// Doublings of the retransmission timeout.
    var backoff: UInt8 = 0
    /// Timeouts since the guest was last heard.
    var silence: UInt8 = 0
    /// Pure acknowledgements to send; more than one only to repeat one.
    var pendingAcks: UInt8 = 0
    /// Octets per segment towards the guest.
    var mss: UInt16

    var iss = SequenceNumber(0)
    var sndUna = SequenceNumber(0)
    var sndNxt = SequenceNumber(0)
    /// The highest sndNxt ever: sndNxt goes back to repeat.
    var sndMax = SequenceNumber(0)
    /// sndMax when repeating began.
    var recover = SequenceNumber(0)
    /// The sequence number of our FIN, when known.
    var finSeq = SequenceNumber(0)
    /// Octets, scaled.
    var sndWnd: UInt32 = 0
    var maxSndWnd: UInt32 = 0
    /// Sequence and acknowledgement of the segment that set sndWnd.
    var sndWl1 = SequenceNumber(0)
    var sndWl2 = SequenceNumber(0)

    var irs: SequenceNumber
    /// Everything before was taken by the caller.
    var rcvNxt: SequenceNumber
    /// The right edge of the window the guest knows.
    var rcvAdv: SequenceNumber
    /// rcvNxt as the guest knows it.
    var rcvAcked: SequenceNumber
    /// The guest's timestamp to echo: TS.Recent of RFC 7323, section 4.3.
    var recentTimestamp: UInt32 = 0
    /// Octets the caller can take.
    var capacity: UInt32 = 0
    var maxCapacity: UInt32 = 0
    /// Octets of the unanswered data event.
    var offered: UInt32 = 0
    /// The first of the segments that wait for those before them, in the order of their sequence numbers.
    var firstHeld: UInt32 = .max

    var hash: UInt32
    /// When the timer is really due, `.never` when it is not running.
    var deadline = MonotonicTime.never
    var queueOlder: UInt32 = .max
    var queueNewer: UInt32 = .max
    /// Neighbours in the list of half-open flows, later in that of deferred acknowledgements.
    var listOlder: UInt32 = .max
    var listNewer: UInt32 = .max

    /// Octets of our TCP headers but the SYN's.
    @inline(__always)
    var headerLength: Int { flags.contains(.timestamps) ? 32 : TCPSegment.minimumLength }

    /// Octets or a FIN that the guest has not acknowledged.
    @inline(__always)
    var hasOutstanding: Bool { sndUna < sndMax }

    @inline(__always)
    var receiveWindow: Int { max(0, rcvAdv - rcvNxt) }

    /// Milliseconds until the next retransmission: 200 doubling to 12,800.
    @inline(__always)
    var retransmissionTimeout: UInt64 { min(200 << UInt64(backoff), 12_800) }

    /// The sequence number for a segment without data: the highest the guest may have seen, so that the guest does not
    /// take it for an old duplicate, but not beyond a window that the guest has taken back.
    @inline(__always)
    var controlSequence: SequenceNumber {
        let edge = sndUna + Int(sndWnd)
        return edge < sndMax ? edge : sndMax
    }
}
