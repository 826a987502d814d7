// SPDX-License-Identifier: Apache-2.0
import CLinux
import JSON
import LinuxSystem
import OCISpec
import SystemPackage

/// Hands a seccomp listener to the agent of linux.seccomp.listenerPath: config-linux.md, "The Container Process State".
enum SeccompAgent {
    /// - Parameter pid: the process that has the filter, as the host knows it.
    static func hand(
        _ listener: consuming OwnedFD, _ config: RuntimeConfig, _ record: ContainerRecord, pid: Int32
    ) throws(RuntimeError) {
        // The section was compiled before, so it can be parsed.
        guard let section = config.linux.seccomp, let profile = try? section.parsed(), let path = profile.listenerPath
        else { throw RuntimeError("linux.seccomp: there is no listenerPath for the filter's listener") }
        let state: JSON = [
            "ociVersion": .string(record.version), "fds": ["seccompFd"], "pid": .int(Int64(pid)),
            "metadata": .string(profile.listenerMetadata), "state": record.state(.running),
        ]
        try describing("send the seccomp listener to", path) { () throws(Errno) in
            let socket = try UnixSocket.connect(path: path, type: Int32(samara_sock_stream))
            _ = try UnixSocket.send(socket.raw, state.serialized(), descriptors: [listener.raw])
        }
    }
}
