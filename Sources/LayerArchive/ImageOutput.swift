// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import OCISpec
import SystemPackage

/// What `save` writes into: an archive, or a directory.
protocol ImageOutput: AnyObject {
    func addDirectory(_ path: String) throws(LayerArchiveError)

    /// Adds a file of exactly `size` bytes.
    func add(_ path: String, size: Int64, _ content: any ByteSource) throws(LayerArchiveError)

    /// Adds a document.
    func add(_ path: String, _ bytes: [UInt8]) throws(LayerArchiveError)

    func finish() throws(LayerArchiveError)
}

/// A directory that `save` fills. It may have been one of its kind before: each file is replaced by a whole one, and
/// documents come last, so that what the directory had can be read until then.
final class DirectoryOutput: ImageOutput {
    let path: String
    /// What this object made, in that order; removed again unless the whole is finished.
    private var made: [(path: String, isDirectory: Bool)] = []
    private var written: Set<String> = []
    private var isFinished = false

    /// - Parameter mark: the file that tells a directory of this kind from one with something else in it.
    init(_ path: String, mark: String) throws(LayerArchiveError) {
        self.path = path
        do throws(Errno) {
            do throws(Errno) {
                try Directory.make(path, mode: 0o755)
                made.append((path, true))
            } catch .fileExists {
                guard try File.status(path).isDirectory else { throw .notDirectory }
            }
            if File.exists(path + "/" + mark) { return }
            if try Directory.names(path).isEmpty { return }
        } catch { throw LayerArchiveError("write", path, error) }
        throw LayerArchiveError(
            "write \"\(path)\": the directory is not empty and has no \"\(mark)\"; give an empty one, or one that save has written"
        )
    }

    deinit {
        if isFinished { return }
        for (path, isDirectory) in made.reversed() {
            if isDirectory { try? FileTree.removeEmptyDirectory(path) } else { try? File.unlink(path) }
        }
    }

    func addDirectory(_ name: String) throws(LayerArchiveError) {
        let full = path + "/" + (name.hasSuffix("/") ? String(name.dropLast()) : name)
        do throws(Errno) {
            try Directory.make(full, mode: 0o755)
            made.append((full, true))
        } catch .fileExists {} catch { throw LayerArchiveError("write", full, error) }
    }

    func add(_ name: String, _ bytes: [UInt8]) throws(LayerArchiveError) {
        try add(name, size: Int64(bytes.count), BytesSource(bytes))
    }

    func add(_ name: String, size: Int64, _ content: any ByteSource) throws(LayerArchiveError) {
        let full = path + "/" + name
        let temporary = "\(full).\(Process.id).tmp"
        do throws(LayerArchiveError) {
            try write(temporary, size: size, content)
            do throws(Errno) {
                let isNew = !File.exists(full)
                try File.rename(temporary, full)
                if isNew { made.append((full, false)) }
            } catch { throw LayerArchiveError("write", full, error) }
        } catch {
            try? File.unlink(temporary)
            throw error
        }
        written.insert(name)
    }

    private func write(_ file: String, size: Int64, _ content: any ByteSource) throws(LayerArchiveError) {
        let fd: OwnedFD
        do { fd = try File.open(file, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o644) } catch {
            throw LayerArchiveError("write", file, error)
        }
        var count: Int64 = 0
        while true {
            let piece = try content.next()
            if piece.isEmpty { break }
            count += Int64(piece.count)
            do { try File.writeAll(fd.raw, piece) } catch { throw LayerArchiveError("write", file, error) }
        }
        if count != size {
            throw LayerArchiveError(
                "write \"\(file)\": it has \(count) bytes instead of \(size); the image store is damaged")
        }
        // A full disk may show only here: see OutputFile.
        do { try File.synchronize(fd) } catch { throw LayerArchiveError("write", file, error) }
    }

    /// Removes what an image that was here before has left: files that are named by a digest.
    func removeOtherBlobs() throws(LayerArchiveError) {
        do {
            for name in try Directory.names(path) where Digest(hex: name[...]) != nil && !written.contains(name) {
                try File.unlink(path + "/" + name)
            }
        } catch { throw LayerArchiveError("write", path, error) }
    }

    func finish() throws(LayerArchiveError) { isFinished = true }
}
