// SPDX-License-Identifier: Apache-2.0

/// Everything the stack counts. Each reason for dropping a frame has its own counter, so that "why did my packet
/// vanish" is answered by reading the numbers.
package enum Counter: Int, CaseIterable, Sendable {
    case framesReceived
    case framesSent
    case tcpOpened
    case tcpRefused
    case tcpEstablished
    case tcpReset
    case tcpTimedOut
    case tcpRetransmissions
    case tcpFastRetransmissions
    case tcpOutOfOrder
    case tcpChallengeAcks
    case tcpZeroWindowProbes
    case tcpHalfOpenEvicted
    case tcpTableFull
    case udpReceived
    case udpSent
    case udpFiltered
    case mappingsOpened
    case mappingsEvicted
    case icmpErrorsSent
    case icmpErrorsIgnored
    case datagramsReassembled
    case dropMalformedOffload
    case dropMalformedEthernet
    case dropForeignMAC
    case dropUnknownEtherType
    case dropMalformedARP
    case dropMalformedIPv4
    case dropIPv4Checksum
    case dropSourceRoute
    case dropMalformedIPv6
    case dropMappedAddress
    case dropIPv6Extension
    case dropDisabledFamily
    case dropForeignSource
    case dropMulticast
    case dropHopLimit
    case dropFragment
    case dropFragmentOverlap
    case dropFragmentTimeout
    case dropFragmentEvicted
    case dropUnknownProtocol
    case dropMalformedTCP
    case dropTCPChecksum
    case dropMalformedUDP
    case dropUDPChecksum
    case dropMalformedICMP
    case dropICMPChecksum
    case dropIgnoredICMP
    case dropPolicy
    case dropRateLimited
    case dropQueueFull
    case dropEventsFull
}

/// One 64-bit number per `Counter`.
struct Counters: ~Copyable {
    private let values: UnsafeMutablePointer<UInt64>

    init() {
        values = .allocate(capacity: Counter.allCases.count)
        values.initialize(repeating: 0, count: Counter.allCases.count)
    }

    deinit { values.deallocate() }

    @inline(__always)
    subscript(counter: Counter) -> UInt64 { values[counter.rawValue] }

    @inline(__always)
    func count(_ counter: Counter) { values[counter.rawValue] &+= 1 }
}
