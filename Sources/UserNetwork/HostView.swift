// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import Netlink

/// The host's own addresses, kept up to date by the kernel's notices.
package struct HostView: ~Copyable {
    private let source: LocalAddresses?
    private(set) var addresses: [IPAddress] = []

    /// Without netlink (a locked-down host) only the addresses known by their form are protected.
    package init() {
        source = try? LocalAddresses()
        refresh()
    }

    /// Readable when addresses may have changed; -1 for none.
    var descriptor: Int32 {
        switch source {
        case .some(let source): source.descriptor
        case .none: -1
        }
    }

    /// Asks again. What was known stays known when the kernel does not answer.
    mutating func refresh() {
        switch source {
        case .some(let source):
            if let current = try? source.current() { addresses = current }
        case .none: break
        }
    }

    /// Whether packets for `address` never leave this machine.
    func isLocal(_ address: IPAddress) -> Bool { address.isLoopback || addresses.contains(address) }
}
