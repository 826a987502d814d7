// SPDX-License-Identifier: Apache-2.0
//
// A server in the way of sd_listen_fds(3): answers every connection and datagram with what it was told about its
// sockets and who the client is. With the argument "once" it ends after the first connection.
import CLinux
import LinuxSystem
import SystemPackage

func variable(_ name: String) -> String { getenv(name).map { String(cString: $0) } ?? "" }

let told = "\(variable("LISTEN_FDS")) \(variable("LISTEN_PID")) \(variable("LISTEN_FDNAMES"))"
guard variable("LISTEN_PID") == String(getpid()), let count = Int32(variable("LISTEN_FDS")) else { Process.exitNow(3) }
// The descriptor behind the last one must not be open.
guard samara_fcntl(3 + count, F_GETFD, 0) < 0 else { Process.exitNow(4) }
while true {
    var entries = (0..<count).map { pollfd(fd: 3 + $0, events: Int16(POLLIN), revents: 0) }
    _ = poll(&entries, nfds_t(count), -1)
    for entry in entries where entry.revents != 0 {
        var peer = sockaddr_in6()
        let connection = samara_accept(entry.fd, &peer)
        if connection >= 0 {
            let text = "\(told) \(SocketAddress(raw: peer).ip)\n"
            _ = samara_send_with_fds(connection, text, text.utf8.count, nil, 0, 0)
            _ = close(connection)
            if CommandLine.arguments.count > 1 { Process.exitNow(0) }
        } else {
            var local = in6_addr()
            var interface: UInt32 = 0
            var byte: UInt8 = 0
            if samara_receive_datagram(entry.fd, &byte, 1, &peer, &local, &interface) < 0 { continue }
            let text = "\(told) \(SocketAddress(raw: peer).ip)\n"
            _ = samara_send_datagram(entry.fd, text, text.utf8.count, &peer, &local, interface)
        }
    }
}
