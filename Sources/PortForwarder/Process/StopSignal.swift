// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

extension PortForwarder {
    /// SIGTERM ends the loop as a stop request does, so that connections are reset rather than cut.
    package mutating func stopOnSignal() throws(Errno) {
        let descriptor = try SignalDescriptor(blocking: SignalSet([SIGTERM]))
        try epoll.add(descriptor.descriptor, [.readable], token: Self.token(.signal).rawValue)
        signals = consume descriptor
    }
}
