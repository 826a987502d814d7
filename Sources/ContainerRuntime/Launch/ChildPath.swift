// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem

/// Paths inside the container's root, resolved so that no link of an image can lead out: openat2(2) RESOLVE_IN_ROOT.
enum ChildPath {
    /// Opens `path` (relative to the root) as O_PATH or with `flags`; -1 with errno.
    static func open(
        _ root: Int32, _ path: CText, _ flags: Int32, mode: UInt64 = 0, resolve: Int32 = RESOLVE_IN_ROOT
    ) -> Int32 {
        var how = open_how()
        how.flags = UInt64(UInt32(bitPattern: flags | O_CLOEXEC))
        how.mode = mode
        how.resolve = UInt64(resolve | RESOLVE_NO_MAGICLINKS)
        while true {
            let fd = samara_openat2(root, path, &how, MemoryLayout<open_how>.size)
            // EAGAIN: a rename raced with the resolution of ".."; the caller of openat2 is expected to repeat.
            if fd < 0, samara_errno() == EAGAIN || samara_errno() == EINTR { continue }
            return fd
        }
    }

    /// The mount target `path` inside `root`, made if missing: a directory, or an empty file for `file`.
    /// Each component is made through the descriptor of the one before, never by a path that could be exchanged
    /// (CVE-2021-30465).
    static func target(_ plan: UnsafePointer<ChildPlan>, _ root: Int32, _ path: CText, file: Bool) -> Int32 {
        let existing = open(root, path, O_PATH)
        if existing >= 0 || samara_errno() != ENOENT { return existing }
        let buffer = plan.pointee.scratch + ScratchLayout.path
        let length = strlen(path)
        if length >= 4096 {
            samara_set_errno(ENAMETOOLONG)
            return -1
        }
        return buffer.withMemoryRebound(to: CChar.self, capacity: ScratchLayout.pathSize) { text in
            strcpy(text, path)
            var parent = open(root, ".", O_PATH | O_DIRECTORY)
            var start = 0
            while parent >= 0 {
                var end = start
                while end < length, text[end] != slash { end += 1 }
                let isLast = restIsSlashes(text, end, length)
                let saved = text[end]
                text[end] = 0
                if end == start || (end == start + 1 && text[start] == dot) {
                    if isLast { return parent }
                    text[end] = saved
                    start = end + 1
                    continue
                }
                // The prefix so far, resolved from the root: a link in the image stays inside.
                var next = open(root, text, isLast ? O_PATH : O_PATH | O_DIRECTORY)
                if next < 0, samara_errno() == ENOENT {
                    let made =
                        isLast && file
                        ? makeFile(parent, text + start) : mkdirat(parent, text + start, 0o755)
                    if made != 0, samara_errno() != EEXIST {
                        close(parent)
                        return -1
                    }
                    next = open(root, text, isLast ? O_PATH : O_PATH | O_DIRECTORY)
                }
                close(parent)
                if next < 0 || isLast { return next }
                parent = next
                text[end] = saved
                start = end + 1
            }
            return -1
        }
    }

    /// Makes `path` and its missing parents below `root` (or from the current root for an absolute path).
    static func makeDirectories(_ plan: UnsafePointer<ChildPlan>, root: Int32, _ path: CText) -> Bool {
        var relative = path
        while relative.pointee == slash { relative += 1 }
        let base = samara_openat(root, "/", O_PATH | O_DIRECTORY | O_CLOEXEC, 0)
        if base < 0 { return false }
        let fd = target(plan, base, relative, file: false)
        close(base)
        if fd < 0 { return false }
        close(fd)
        return true
    }

    private static func makeFile(_ directory: Int32, _ name: CText) -> Int32 {
        let fd = samara_openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o644)
        if fd < 0 { return -1 }
        close(fd)
        return 0
    }

    private static func restIsSlashes(_ text: UnsafePointer<CChar>, _ from: Int, _ length: Int) -> Bool {
        var index = from
        while index < length {
            if text[index] != slash { return false }
            index += 1
        }
        return true
    }

    static let slash = CChar(bitPattern: UInt8(ascii: "/"))
    static let dot = CChar(bitPattern: UInt8(ascii: "."))
}
