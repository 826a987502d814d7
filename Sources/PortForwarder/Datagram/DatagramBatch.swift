// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem

/// Datagrams that travel together: what one recvmmsg(2) fills and sendmmsg(2) sends again, without a copy.
///
/// A slot is as large as the largest datagram; of the memory only those pages exist that a datagram has reached.
struct DatagramBatch: ~Copyable {
    static let capacity = 32
    private static let slotSize = 64 << 10
    /// Enough for in_pktinfo and in6_pktinfo with their headers: cmsg(3).
    private static let controlSize = 96

    private let bytes = UnsafeMutableRawPointer.allocate(byteCount: capacity * slotSize, alignment: 4096)
    private let controls = UnsafeMutableRawPointer.allocate(byteCount: (capacity + 1) * controlSize, alignment: 16)
    private let messages = UnsafeMutablePointer<mmsghdr>.allocate(capacity: capacity)
    private let vectors = UnsafeMutablePointer<iovec>.allocate(capacity: capacity)
    private let peers = UnsafeMutablePointer<sockaddr_in6>.allocate(capacity: capacity + 1)
    /// Of every received datagram; only for a listener's.
    let keys = UnsafeMutablePointer<DatagramKey>.allocate(capacity: capacity)

    init() {
        messages.initialize(repeating: mmsghdr(), count: Self.capacity)
        peers.initialize(repeating: sockaddr_in6(), count: Self.capacity + 1)
        controls.initializeMemory(as: UInt8.self, repeating: 0, count: (Self.capacity + 1) * Self.controlSize)
        for index in 0..<Self.capacity {
            let slot = bytes + index * Self.slotSize
            (vectors + index).initialize(to: iovec(iov_base: slot, iov_len: Self.slotSize))
            messages[index].msg_hdr.msg_iov = vectors + index
            messages[index].msg_hdr.msg_iovlen = 1
        }
    }

    deinit {
        bytes.deallocate()
        controls.deallocate()
        messages.deallocate()
        vectors.deallocate()
        peers.deallocate()
        keys.deallocate()
    }

    /// What slot `index` holds.
    func datagram(_ index: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: bytes + index * Self.slotSize, count: Int(messages[index].msg_len))
    }

    /// Receives what has arrived at a published port, with `keys`. -1 and errno as recvmmsg(2).
    func receive(_ socket: Int32, listener: UInt32) -> Int {
        for index in 0..<Self.capacity {
            vectors[index].iov_len = Self.slotSize
            messages[index].msg_hdr.msg_name = UnsafeMutableRawPointer(peers + index)
            messages[index].msg_hdr.msg_namelen = UInt32(MemoryLayout<sockaddr_in6>.size)
            messages[index].msg_hdr.msg_control = controls + index * Self.controlSize
            messages[index].msg_hdr.msg_controllen = Self.controlSize
        }
        let count = Int(samara_receive_messages(socket, messages, UInt32(Self.capacity)))
        if count <= 0 { return count }
        for index in 0..<count {
            var local = in6_addr()
            var interface: UInt32 = 0
            samara_datagram_destination(&messages[index].msg_hdr, &local, &interface)
            (keys + index).initialize(
                to: DatagramKey(
                    listener: listener, interface: interface, peer: SocketAddress(raw: peers[index]),
                    local: IPAddress(local)))
        }
        return count
    }

    /// Receives what a connected socket has; nothing but the datagrams. -1 and errno as recvmmsg(2).
    func receive(_ socket: Int32) -> Int {
        for index in 0..<Self.capacity {
            vectors[index].iov_len = Self.slotSize
            clearAddresses(index)
        }
        return Int(samara_receive_messages(socket, messages, UInt32(Self.capacity)))
    }

    /// Sends received datagrams on a connected socket: how many were sent, or -1 and errno, for the first of them.
    func send(_ range: Range<Int>, _ socket: Int32) -> Int {
        for index in range {
            clearAddresses(index)
            vectors[index].iov_len = Int(messages[index].msg_len)
        }
        return Int(samara_send_messages(socket, messages + range.lowerBound, UInt32(range.count)))
    }

    /// As above, to a client of a published port, from the address of the host that it had sent to.
    func send(_ range: Range<Int>, _ socket: Int32, to key: DatagramKey) -> Int {
        let peer = peers + Self.capacity
        let control = controls + Self.capacity * Self.controlSize
        peer.pointee = key.peer.raw
        var local = key.local.raw
        let length = samara_datagram_source(control, peer, &local, key.interface)
        let nameLength = key.peer.family == AF_INET ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size
        for index in range {
            vectors[index].iov_len = Int(messages[index].msg_len)
            messages[index].msg_hdr.msg_name = UnsafeMutableRawPointer(peer)
            messages[index].msg_hdr.msg_namelen = UInt32(nameLength)
            messages[index].msg_hdr.msg_control = length > 0 ? control : nil
            messages[index].msg_hdr.msg_controllen = length
        }
        return Int(samara_send_messages(socket, messages + range.lowerBound, UInt32(range.count)))
    }

    private func clearAddresses(_ index: Int) {
        messages[index].msg_hdr.msg_name = nil
        messages[index].msg_hdr.msg_namelen = 0
        messages[index].msg_hdr.msg_control = nil
        messages[index].msg_hdr.msg_controllen = 0
    }
}
