// SPDX-License-Identifier: Apache-2.0
import LinuxSystem

/// Appends the fields of a message; the reader takes them in the same order.
struct MessageWriter {
    var bytes: [UInt8] = []

    init(kind: UInt8) {
        put(wireVersion)
        put(kind)
    }

    mutating func put<Value: FixedWidthInteger>(_ value: Value) {
        withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
    }

    mutating func put(_ address: IPAddress) {
        put(address.high)
        put(address.low)
    }

    mutating func put(_ address: IPAddress?) {
        put(UInt8(address == nil ? 0 : 1))
        put(address ?? .anyIPv6)
    }

    mutating func put(_ text: String) {
        let utf8 = Array(text.utf8)
        put(UInt32(utf8.count))
        bytes.append(contentsOf: utf8)
    }
}

/// Takes the fields of a message; nil as soon as one is missing.
struct MessageReader {
    private let bytes: [UInt8]
    private var offset = 0
    let kind: UInt8

    /// Nil for a message of another version.
    init?(_ bytes: [UInt8]) {
        guard bytes.count >= 5, bytes.withUnsafeBytes({ $0.loadUnaligned(as: UInt32.self) }) == wireVersion else {
            return nil
        }
        self.bytes = bytes
        kind = bytes[4]
        offset = 5
    }

    /// Whether every byte has been taken: a longer message is as wrong as a shorter one.
    var isAtEnd: Bool { offset == bytes.count }

    mutating func take<Value: FixedWidthInteger>(_ type: Value.Type = Value.self) -> Value? {
        let size = MemoryLayout<Value>.size
        guard bytes.count - offset >= size else { return nil }
        defer { offset += size }
        return bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: Value.self) }
    }

    mutating func takeAddress() -> IPAddress? {
        guard let high = take(UInt64.self), let low = take(UInt64.self) else { return nil }
        return IPAddress(high: high, low: low)
    }

    /// The outer nil is a missing field, the inner one an absent address.
    mutating func takeOptionalAddress() -> IPAddress?? {
        guard let flag = take(UInt8.self), flag <= 1, let address = takeAddress() else { return nil }
        return .some(flag == 1 ? address : nil)
    }

    mutating func takeText() -> String? {
        guard let count = take(UInt32.self), Int(count) <= bytes.count - offset else { return nil }
        defer { offset += Int(count) }
        return String(validating: bytes[offset..<(offset + Int(count))], as: UTF8.self)
    }
}

extension NetRequest {
    public var encoded: [UInt8] {
        switch self {
        case .configure(let configuration, let listenerCount):
            var writer = MessageWriter(kind: 1)
            writer.put(configuration.podIPv4)
            writer.put(configuration.podIPv6)
            writer.put(configuration.gatewayIPv4)
            writer.put(configuration.gatewayIPv6)
            writer.put(UInt8(configuration.outbound == nil ? 0 : 1))
            configuration.outbound?.encode(&writer)
            writer.put(UInt32(listenerCount))
            writer.put(configuration.podName)
            return writer.bytes
        case .publish(let listeners): return Self.encode(kind: 2, listeners)
        case .unpublish(let listeners): return Self.encode(kind: 3, listeners)
        case .statistics: return MessageWriter(kind: 4).bytes
        case .stop: return MessageWriter(kind: 5).bytes
        }
    }

    /// Nil unless `bytes` is exactly one request of this version.
    public init?(decoding bytes: [UInt8]) {
        guard var reader = MessageReader(bytes) else { return nil }
        switch reader.kind {
        case 1:
            guard let podIPv4 = reader.takeAddress(), let podIPv6 = reader.takeOptionalAddress(),
                let gatewayIPv4 = reader.takeAddress(), let gatewayIPv6 = reader.takeOptionalAddress(),
                let hasOutbound = reader.take(UInt8.self), hasOutbound <= 1
            else { return nil }
            var outbound: OutboundConfiguration?
            if hasOutbound == 1 {
                outbound = OutboundConfiguration(&reader)
                if outbound == nil { return nil }
            }
            guard let count = reader.take(UInt32.self), let podName = reader.takeText() else { return nil }
            self = .configure(
                NetConfiguration(
                    podName: podName, podIPv4: podIPv4, podIPv6: podIPv6, gatewayIPv4: gatewayIPv4,
                    gatewayIPv6: gatewayIPv6, outbound: outbound),
                listenerCount: Int(count))
        case 2:
            guard let listeners = Self.takeListeners(&reader) else { return nil }
            self = .publish(listeners)
        case 3:
            guard let listeners = Self.takeListeners(&reader) else { return nil }
            self = .unpublish(listeners)
        case 4: self = .statistics
        case 5: self = .stop
        default: return nil
        }
        if !reader.isAtEnd { return nil }
    }

    private static func encode(kind: UInt8, _ listeners: [PublishedListener]) -> [UInt8] {
        var writer = MessageWriter(kind: kind)
        writer.put(UInt16(listeners.count))
        for listener in listeners {
            writer.put(listener.transport.rawValue)
            writer.put(listener.hostIP)
            writer.put(listener.hostPort)
            writer.put(listener.podPort)
            writer.put(UInt8(listener.targetsLoopback ? 1 : 0))
        }
        return writer.bytes
    }

    private static func takeListeners(_ reader: inout MessageReader) -> [PublishedListener]? {
        guard let count = reader.take(UInt16.self), count <= listenerLimit else { return nil }
        var listeners: [PublishedListener] = []
        for _ in 0..<count {
            guard let number = reader.take(UInt8.self), let transport = Socket.Transport(rawValue: number),
                let hostIP = reader.takeAddress(), let hostPort = reader.take(UInt16.self),
                let podPort = reader.take(UInt16.self), let loopback = reader.take(UInt8.self), loopback < 2
            else { return nil }
            var listener = PublishedListener(
                transport: transport, hostIP: hostIP, hostPort: hostPort, podPort: podPort)
            listener.targetsLoopback = loopback == 1
            listeners.append(listener)
        }
        return listeners
    }
}

extension NetReply {
    public var encoded: [UInt8] {
        switch self {
        case .done: return MessageWriter(kind: 1).bytes
        case .failed(let sentence):
            var writer = MessageWriter(kind: 2)
            writer.put(sentence)
            return writer.bytes
        case .statistics(let statistics):
            var writer = MessageWriter(kind: 3)
            for field in statistics.fields { writer.put(field.value) }
            return writer.bytes
        }
    }

    /// Nil unless `bytes` is exactly one reply of this version.
    public init?(decoding bytes: [UInt8]) {
        guard var reader = MessageReader(bytes) else { return nil }
        switch reader.kind {
        case 1: self = .done
        case 2:
            guard let sentence = reader.takeText() else { return nil }
            self = .failed(sentence)
        case 3:
            var values: [UInt64] = []
            for _ in 0..<NetStatistics.fieldCount {
                guard let value = reader.take(UInt64.self) else { return nil }
                values.append(value)
            }
            self = .statistics(NetStatistics(values: values))
        default: return nil
        }
        if !reader.isAtEnd { return nil }
    }
}
