// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import NetControl
import SystemPackage

/// Sockets of the pod's namespace, made in advance by the keeper: one list for each family.
///
/// A connection takes one without any conversation, and what was taken is asked for again. Sockets of a family that the
/// pod cannot have are never asked for again.
struct PodSocketPool: ~Copyable {
    private struct Stock {
        var count = 0
        var isAsked = false
        var isUnavailable = false
    }

    private static let limit = 2 * KeeperRequest.socketLimit

    private let sockets: UnsafeMutablePointer<Int32>
    private var ipv4 = Stock()
    private var ipv6 = Stock()

    init() { sockets = .allocate(capacity: 2 * Self.limit) }

    deinit {
        for index in 0..<ipv4.count { _ = close(sockets[index]) }
        for index in 0..<ipv6.count { _ = close(sockets[Self.limit + index]) }
        sockets.deallocate()
    }

    private subscript(_ family: KeeperRequest.Family) -> Stock {
        get { family == .ipv4 ? ipv4 : ipv6 }
        set { if family == .ipv4 { ipv4 = newValue } else { ipv6 = newValue } }
    }

    private func base(_ family: KeeperRequest.Family) -> UnsafeMutablePointer<Int32> {
        family == .ipv4 ? sockets : sockets + Self.limit
    }

    /// Descriptors that the pool holds.
    var count: Int { ipv4.count + ipv6.count }

    func isEmpty(_ family: KeeperRequest.Family) -> Bool { self[family].count == 0 }

    /// Whether the keeper said that the pod has no such sockets.
    func isUnavailable(_ family: KeeperRequest.Family) -> Bool { self[family].isUnavailable }

    mutating func markUnavailable(_ family: KeeperRequest.Family) { self[family].isUnavailable = true }

    mutating func take(_ family: KeeperRequest.Family) -> OwnedFD? {
        let count = self[family].count
        if count == 0 { return nil }
        self[family].count = count - 1
        return OwnedFD(base(family)[count - 1])
    }

    /// How many to ask for, 0 for none now; they then count as asked for until `answered`.
    ///
    /// Few at a time as long as there are plenty, and not beside a new connection (`isBusy`): the keeper takes 7 us for
    /// each, and whoever waits for an answer would find it on his processor. The client is busy once he has his answer.
    /// Many at a time when they are used up faster than that.
    mutating func countToAsk(_ family: KeeperRequest.Family, isBusy: Bool) -> Int {
        let stock = self[family]
        if stock.isAsked || stock.isUnavailable { return 0 }
        let missing = KeeperRequest.socketLimit - stock.count
        let isHalfUsed = missing > KeeperRequest.socketLimit / 2
        if !isHalfUsed, isBusy || missing < Self.fewest { return 0 }
        self[family].isAsked = true
        return isHalfUsed ? missing : Self.fewest
    }

    private static let fewest = 24

    mutating func answered(_ family: KeeperRequest.Family) { self[family].isAsked = false }

    /// Takes over a socket that arrived.
    mutating func deposit(_ socket: consuming OwnedFD, _ family: KeeperRequest.Family) {
        // More than was asked for would be a keeper's error: the surplus is closed.
        let count = self[family].count
        if count == Self.limit { return }
        base(family)[count] = socket.release()
        self[family].count = count + 1
    }
}
