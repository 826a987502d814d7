// SPDX-License-Identifier: Apache-2.0
import LinuxSystem

/// What samara-net asks of the keeper. 56 bytes on the wire.
public struct KeeperRequest: Equatable, Sendable {
    public enum Kind: UInt8, Sendable {
        /// The tap's descriptor.
        case tap = 1
        /// `count` unconnected TCP sockets of `family`.
        case sockets = 2
        /// One UDP socket bound to `source` and connected to `target`, with the way back arranged.
        case datagramFlow = 3
        /// The flow from `source` is over: its way back may go when no other flow of that address needs it.
        case endDatagramFlow = 4
        /// The host's resolv.conf, opened: samara-net sees no file of the host.
        case resolverFile = 5
    }

    public enum Family: UInt8, Sendable { case ipv4 = 4, ipv6 = 6 }

    public static let size = 56
    /// Sockets in one answer; SCM_RIGHTS carries up to 253, and a batch this size keeps the keeper's turn short.
    public static let socketLimit = 64

    public var kind: Kind
    public var family: Family
    /// Sockets wanted, 1 to `socketLimit`; 0 for the other kinds.
    public var count: UInt8
    /// Comes back in the answer; the keeper does not look at it.
    public var cookie: UInt64
    public var source: IPAddress
    public var sourcePort: UInt16
    public var target: IPAddress
    public var targetPort: UInt16

    public init(
        _ kind: Kind, family: Family = .ipv4, count: UInt8 = 0, cookie: UInt64 = 0, source: IPAddress = .anyIPv6,
        sourcePort: UInt16 = 0, target: IPAddress = .anyIPv6, targetPort: UInt16 = 0
    ) {
        self.kind = kind
        self.family = family
        self.count = count
        self.cookie = cookie
        self.source = source
        self.sourcePort = sourcePort
        self.target = target
        self.targetPort = targetPort
    }

    /// Writes the record to the first `size` bytes of `buffer`.
    public func encode(into buffer: UnsafeMutableRawBufferPointer) {
        buffer.storeBytes(of: wireVersion, toByteOffset: 0, as: UInt32.self)
        buffer.storeBytes(of: kind.rawValue, toByteOffset: 4, as: UInt8.self)
        buffer.storeBytes(of: family.rawValue, toByteOffset: 5, as: UInt8.self)
        buffer.storeBytes(of: count, toByteOffset: 6, as: UInt8.self)
        buffer.storeBytes(of: 0, toByteOffset: 7, as: UInt8.self)
        buffer.storeBytes(of: cookie, toByteOffset: 8, as: UInt64.self)
        buffer.storeBytes(of: source.high, toByteOffset: 16, as: UInt64.self)
        buffer.storeBytes(of: source.low, toByteOffset: 24, as: UInt64.self)
        buffer.storeBytes(of: target.high, toByteOffset: 32, as: UInt64.self)
        buffer.storeBytes(of: target.low, toByteOffset: 40, as: UInt64.self)
        buffer.storeBytes(of: sourcePort, toByteOffset: 48, as: UInt16.self)
        buffer.storeBytes(of: targetPort, toByteOffset: 50, as: UInt16.self)
        buffer.storeBytes(of: 0, toByteOffset: 52, as: UInt32.self)
    }

    /// Nil unless `buffer` is exactly one record of this version with a known kind, family and count.
    public init?(decoding buffer: UnsafeRawBufferPointer) {
        guard buffer.count == Self.size, buffer.loadUnaligned(as: UInt32.self) == wireVersion,
            let kind = Kind(rawValue: buffer[4]), let family = Family(rawValue: buffer[5]),
            kind == .sockets ? (1...Self.socketLimit).contains(Int(buffer[6])) : buffer[6] == 0
        else { return nil }
        func word(_ offset: Int) -> UInt64 { buffer.loadUnaligned(fromByteOffset: offset, as: UInt64.self) }
        self.init(
            kind, family: family, count: buffer[6], cookie: word(8), source: IPAddress(high: word(16), low: word(24)),
            sourcePort: buffer.loadUnaligned(fromByteOffset: 48, as: UInt16.self),
            target: IPAddress(high: word(32), low: word(40)),
            targetPort: buffer.loadUnaligned(fromByteOffset: 50, as: UInt16.self))
    }
}

/// The keeper's answer; the descriptors travel beside it. 24 bytes on the wire.
/// `endDatagramFlow` has no answer, every other request has exactly one.
public struct KeeperReply: Equatable, Sendable {
    public static let size = 24

    public var kind: KeeperRequest.Kind
    public var family: KeeperRequest.Family
    /// Descriptors in this message.
    public var count: UInt8
    /// 0, or why there are fewer descriptors than asked for.
    public var errno: Int32
    public var cookie: UInt64

    public init(_ kind: KeeperRequest.Kind, family: KeeperRequest.Family, count: UInt8, errno: Int32, cookie: UInt64) {
        self.kind = kind
        self.family = family
        self.count = count
        self.errno = errno
        self.cookie = cookie
    }

    /// Writes the record to the first `size` bytes of `buffer`.
    public func encode(into buffer: UnsafeMutableRawBufferPointer) {
        buffer.storeBytes(of: wireVersion, toByteOffset: 0, as: UInt32.self)
        buffer.storeBytes(of: kind.rawValue, toByteOffset: 4, as: UInt8.self)
        buffer.storeBytes(of: family.rawValue, toByteOffset: 5, as: UInt8.self)
        buffer.storeBytes(of: count, toByteOffset: 6, as: UInt8.self)
        buffer.storeBytes(of: 0, toByteOffset: 7, as: UInt8.self)
        buffer.storeBytes(of: errno, toByteOffset: 8, as: Int32.self)
        buffer.storeBytes(of: 0, toByteOffset: 12, as: UInt32.self)
        buffer.storeBytes(of: cookie, toByteOffset: 16, as: UInt64.self)
    }

    /// Nil unless `buffer` is exactly one record of this version with a known kind and family.
    public init?(decoding buffer: UnsafeRawBufferPointer) {
        guard buffer.count == Self.size, buffer.loadUnaligned(as: UInt32.self) == wireVersion,
            let kind = KeeperRequest.Kind(rawValue: buffer[4]), let family = KeeperRequest.Family(rawValue: buffer[5])
        else { return nil }
        self.init(
            kind, family: family, count: buffer[6],
            errno: buffer.loadUnaligned(fromByteOffset: 8, as: Int32.self),
            cookie: buffer.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
    }
}

/// "SAM" and the version of every message in this module.
let wireVersion: UInt32 = 0x534d_4102
