// SPDX-License-Identifier: Apache-2.0
import CLinux
import SystemPackage

/// Reading trees whose names are bytes, by descriptors: what archives of directories are made from.
extension DirectoryEntry {
    /// The names in an open directory in the order of their bytes, without "." and "..": `readdir(3)`.
    public static func names(_ directory: borrowing OwnedFD) throws(Errno) -> [PathBytes] {
        try FileTree.names(directory).sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
    }

    /// Where a symbolic link points: `readlinkat(2)`.
    public static func readLink(_ name: PathBytes, in directory: borrowing OwnedFD) throws(Errno) -> [UInt8] {
        let raw = directory.raw
        return try name.call { (text) throws(Errno) -> [UInt8] in
            // PATH_MAX
            var target = [CChar](repeating: 0, count: 4096)
            let count = readlinkat(raw, text, &target, target.count)
            if count < 0 { throw lastErrno() }
            return target[..<count].map { UInt8(bitPattern: $0) }
        }
    }

    /// The extended attributes of a name, which is not followed: `llistxattr(2)`, `lgetxattr(2)` through
    /// `/proc/self/fd`. None where the file system has none.
    public static func extendedAttributes(
        _ name: PathBytes, in directory: borrowing OwnedFD
    ) throws(Errno) -> [(name: [UInt8], value: [UInt8])] {
        let path = PathBytes(Array("/proc/self/fd/\(directory.raw)/".utf8) + name.bytes)
        return try path.call { (path) throws(Errno) -> [(name: [UInt8], value: [UInt8])] in
            // XATTR_LIST_MAX
            var list = [CChar](repeating: 0, count: 65536)
            let length = llistxattr(path, &list, list.count)
            if length < 0 {
                let error = lastErrno()
                if error == .notSupported { return [] }
                throw error
            }
            var found: [(name: [UInt8], value: [UInt8])] = []
            for attribute in list[..<length].map({ UInt8(bitPattern: $0) }).split(separator: 0) {
                // XATTR_SIZE_MAX
                var value = [UInt8](repeating: 0, count: 65536)
                let name = PathBytes(attribute)
                let count = try name.call { (text) throws(Errno) -> Int in
                    let count = lgetxattr(path, text, &value, value.count)
                    if count >= 0 { return count }
                    let error = lastErrno()
                    // Gone meanwhile, or not for us.
                    if error == .noData || error == .notSupported { return -1 }
                    throw error
                }
                if count >= 0 { found.append((Array(attribute), Array(value[..<count]))) }
            }
            return found
        }
    }
}
