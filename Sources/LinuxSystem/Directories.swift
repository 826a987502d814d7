// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// Directories: making, listing, removing.
public enum Directory {
    /// `mkdirat(2)`.
    public static func make(
        _ path: String, mode: UInt32 = 0o755, at directory: Int32 = AT_FDCWD
    ) throws(Errno) {
        _ = try checked(CLinux.mkdirat(directory, path, mode))
    }

    /// Makes `path` and every missing parent; an existing directory is not an error.
    public static func makeAll(_ path: String, mode: UInt32 = 0o700) throws(Errno) {
        do { try make(path, mode: mode) } catch .fileExists {
            if try !File.status(path).isDirectory { throw .notDirectory }
        } catch .noSuchFileOrDirectory {
            guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
                throw .noSuchFileOrDirectory
            }
            try makeAll(String(path[..<slash]), mode: mode)
            do { try make(path, mode: mode) } catch .fileExists {}
        }
    }

    /// The names in the directory at `path`, without "." and "..", in no order: `readdir(3)`.
    public static func names(_ path: String, at directory: Int32 = AT_FDCWD) throws(Errno) -> [String] {
        let fd = try File.open(path, O_RDONLY | O_DIRECTORY, at: directory)
        guard let stream = fdopendir(fd.raw) else { throw lastErrno() }
        _ = fd.release()
        defer { closedir(stream) }
        var names: [String] = []
        samara_set_errno(0)
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
            samara_set_errno(0)
        }
        if samara_errno() != 0 { throw lastErrno() }
        return names
    }
}

extension Directory {
    /// The current directory's absolute path: `getcwd(2)`.
    public static func current() throws(Errno) -> String {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let length = try checked(syscall_getcwd(&buffer, buffer.count))
        return String(decoding: buffer[..<max(0, length - 1)], as: UTF8.self)
    }
}
