// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

extension UnixSocket {
    /// A listening SOCK_SEQPACKET socket at `path`, reachable by its owner only (mode 0600): unix(7).
    /// A socket left there by a dead process is replaced; the caller holds whatever lock makes that safe.
    public static func listen(
        path: String, backlog: Int32 = 16, isNonBlocking: Bool = false
    ) throws(Errno) -> OwnedFD {
        let type = Int32(samara_sock_seqpacket | samara_sock_cloexec | (isNonBlocking ? samara_sock_nonblock : 0))
        let fd = OwnedFD(try checked(socket(AF_UNIX, type, 0)))
        let raw = fd.raw
        // The mode is set on the unbound socket: the inode takes it, so there is no moment with a wider one.
        _ = try checked(fchmod(raw, 0o600))
        if path.utf8.count <= 107 {
            var address = try address(path)
            try bind(raw, &address, replacing: path)
        } else {
            let directory = try openDirectory(of: path)
            var address = try shortAddress(path, in: directory)
            try bind(raw, &address, replacing: path)
        }
        _ = try checked(CLinux.listen(raw, backlog))
        return fd
    }

    private static func bind(_ socket: Int32, _ address: inout sockaddr_un, replacing path: String) throws(Errno) {
        do throws(Errno) { _ = try checked(samara_bind_unix(socket, &address)) } catch {
            if error != .addressInUse { throw error }
            try File.unlink(path)
            _ = try checked(samara_bind_unix(socket, &address))
        }
    }

    /// A connection to the listener at `path`, whose type is SOCK_SEQPACKET unless said otherwise. ECONNREFUSED: nobody
    /// listens there any more.
    public static func connect(path: String, type: Int32 = Int32(samara_sock_seqpacket)) throws(Errno) -> OwnedFD {
        let fd = OwnedFD(try checked(socket(AF_UNIX, type | Int32(samara_sock_cloexec), 0)))
        let directory = try openDirectory(of: path)
        var address = try shortAddress(path, in: directory)
        let raw = fd.raw
        _ = try checked(samara_connect_unix(raw, &address))
        return fd
    }

    /// `accept4(2)`, non-blocking and close-on-exec.
    public static func accept(_ listener: Int32) throws(Errno) -> OwnedFD {
        let flags = Int32(samara_sock_cloexec | samara_sock_nonblock)
        return OwnedFD(try retrying { samara_accept_unix(listener, flags) })
    }

    private static func lastComponent(_ path: String) -> String {
        path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
    }

    private static func openDirectory(of path: String) throws(Errno) -> OwnedFD {
        guard let slash = path.lastIndex(of: "/") else { return try File.open(".", O_PATH | O_DIRECTORY) }
        return try File.open(slash == path.startIndex ? "/" : String(path[..<slash]), O_PATH | O_DIRECTORY)
    }

    /// sun_path holds 107 bytes and a run directory may be longer, so the socket is named through a descriptor of its
    /// directory.
    private static func shortAddress(_ path: String, in directory: borrowing OwnedFD) throws(Errno) -> sockaddr_un {
        let name = lastComponent(path)
        return try address(path.utf8.count <= 107 ? path : "/proc/self/fd/\(directory.raw)/\(name)")
    }

    private static func address(_ path: String) throws(Errno) -> sockaddr_un {
        let bytes = Array(path.utf8)
        guard bytes.count <= 107 else { throw .fileNameTooLong }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return address
    }
}
