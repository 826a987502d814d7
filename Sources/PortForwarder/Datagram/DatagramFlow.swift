// SPDX-License-Identifier: Apache-2.0
import CLinux
import EventLoop
import LinuxSystem

/// Who talks to which published UDP port through which address of the host.
struct DatagramKey: Equatable {
    var listener: UInt32
    var interface: UInt32
    var peer: SocketAddress
    var local: IPAddress

    static func == (left: DatagramKey, right: DatagramKey) -> Bool {
        left.listener == right.listener && left.peer.port == right.peer.port && left.peer.ip == right.peer.ip
            && left.local == right.local && left.peer.scope == right.peer.scope
    }
}

/// One client of one published UDP port, and the pod socket that stands for it: bound to the client's address,
/// connected to the service.
struct DatagramFlow: ~Copyable {
    /// RFC 4787 §4.3 asks for at least 2 minutes once there is traffic in both directions.
    static let repliedTimeout: UInt64 = 180_000
    static let unrepliedTimeout: UInt64 = 30_000

    let key: DatagramKey
    let hash: UInt64
    /// The listener's generation; the flow ends with its listener.
    let listenerGeneration: UInt32
    /// The address the pod knows the client by.
    var source: IPAddress
    /// Nil while the keeper makes it.
    var socket: OwnedFD?
    /// Overflow buffer with the datagrams that came before the socket, each behind its length (UInt32); -1 when sent.
    var waiting: Int32 = -1
    var waitingLength = 0
    /// The service does not listen on IPv6: go by IPv4, as the gateway.
    var prefersIPv4 = false
    var isReplied = false
    var lastActive: UInt64
    var timer = TimerID.none
    /// The next flow in the same hash bucket.
    var nextInBucket: UInt32 = .max
    /// Neighbours in the order of last use.
    var older: UInt32 = .max
    var newer: UInt32 = .max

    init(key: DatagramKey, hash: UInt64, listenerGeneration: UInt32, source: IPAddress, now: UInt64) {
        self.key = key
        self.hash = hash
        self.listenerGeneration = listenerGeneration
        self.source = source
        lastActive = now
    }

    /// -1 while there is none.
    var socketFD: Int32 {
        switch socket {
        case .some(let fd): fd.raw
        case .none: -1
        }
    }
}

/// The datagram flows by key, and in the order of last use. Every operation is O(1) on average; the hash is keyed, so
/// that nobody outside can choose addresses that fall into one bucket.
struct DatagramTable: ~Copyable {
    private static let buckets = 4096

    var flows: Slab<DatagramFlow>
    private var heads: UnsafeMutablePointer<UInt32>?
    private let key: (UInt64, UInt64)
    private(set) var oldest: UInt32 = .max
    private var newest: UInt32 = .max

    init(capacity: Int) {
        flows = Slab(capacity: capacity)
        var generator = SystemRandomNumberGenerator()
        key = (generator.next(), generator.next())
    }

    deinit { heads?.deallocate() }

    func hash(_ datagramKey: DatagramKey) -> UInt64 {
        let peer = datagramKey.peer.ip
        var state = mix(peer.high ^ key.0, peer.low ^ key.1)
        state = mix(state ^ datagramKey.local.high, datagramKey.local.low ^ key.0)
        return mix(state ^ UInt64(datagramKey.listener) << 16 ^ UInt64(datagramKey.peer.port), key.1)
    }

    /// The two halves of the 128-bit product, folded.
    private func mix(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let product = (left | 1).multipliedFullWidth(by: right | 1)
        return product.high ^ product.low ^ left
    }

    func find(_ datagramKey: DatagramKey, _ hash: UInt64) -> UInt32? {
        guard let heads else { return nil }
        var slot = heads[Int(hash % UInt64(Self.buckets))]
        while slot != .max {
            if flows[slot].hash == hash, flows[slot].key == datagramKey { return slot }
            slot = flows[slot].nextInBucket
        }
        return nil
    }

    mutating func insert(_ flow: consuming DatagramFlow) -> UInt32 {
        let heads = bucketHeads()
        let bucket = Int(flow.hash % UInt64(Self.buckets))
        let slot = flows.insert(flow)
        flows[slot].nextInBucket = heads[bucket]
        heads[bucket] = slot
        linkNewest(slot)
        return slot
    }

    /// Made with the first flow: most pods publish no UDP port.
    private mutating func bucketHeads() -> UnsafeMutablePointer<UInt32> {
        if let heads { return heads }
        let made = UnsafeMutablePointer<UInt32>.allocate(capacity: Self.buckets)
        made.initialize(repeating: .max, count: Self.buckets)
        heads = made
        return made
    }

    mutating func remove(_ slot: UInt32) -> DatagramFlow {
        let heads = bucketHeads()
        let bucket = Int(flows[slot].hash % UInt64(Self.buckets))
        if heads[bucket] == slot {
            heads[bucket] = flows[slot].nextInBucket
        } else {
            var before = heads[bucket]
            while flows[before].nextInBucket != slot { before = flows[before].nextInBucket }
            flows[before].nextInBucket = flows[slot].nextInBucket
        }
        unlink(slot)
        return flows.remove(slot)
    }

    /// Marks the flow as the last used one.
    mutating func touch(_ slot: UInt32) {
        if newest == slot { return }
        unlink(slot)
        linkNewest(slot)
    }

    private mutating func linkNewest(_ slot: UInt32) {
        flows[slot].older = newest
        flows[slot].newer = .max
        if newest != .max { flows[newest].newer = slot } else { oldest = slot }
        newest = slot
    }

    private mutating func unlink(_ slot: UInt32) {
        let (older, newer) = (flows[slot].older, flows[slot].newer)
        if older != .max { flows[older].newer = newer } else { oldest = newer }
        if newer != .max { flows[newer].older = older } else { newest = older }
    }
}
