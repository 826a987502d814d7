// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import SystemPackage

/// This process's standard output or error, written without waiting for its reader, so that signals and window sizes
/// are still served while a pager sits on the other end.
///
/// O_NONBLOCK is no way to do that: it would change the file for the shell that shares it.
final class OutputSink {
    private enum Way {
        /// A file: writing never waits for anyone.
        case plain
        /// A pipe: `pwritev2(2)` RWF_NOWAIT.
        case noWait
        /// A terminal or a kernel without RWF_NOWAIT on pipes: what `poll(2)` calls room, in portions of a page.
        case polled
    }

    let descriptor: Int32
    /// Found out when there is something to write.
    private lazy var way: Way = NonBlockingIO.isRegularFile(descriptor) ? .plain : .noWait
    private var pending: [UInt8] = []
    private var sent = 0
    /// The reader is gone: everything is discarded.
    private(set) var isBroken = false
    /// Why output was lost that somebody wanted, such as ENOSPC.
    private(set) var failure: Errno?
    var pollIndex: Int?

    /// POLLOUT on a pipe promises room for PIPE_BUF bytes: pipe(7).
    private static let portion = 4096

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    /// Bytes wait for the reader: nothing more should be written.
    var isBlocked: Bool { sent < pending.count }

    /// Writes `bytes`, or as much as there is room for and keeps the rest.
    func write(_ bytes: UnsafeRawBufferPointer) {
        if isBroken { return }
        let count = isBlocked ? 0 : put(bytes)
        if count < bytes.count, !isBroken {
            pending.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[count...]))
        }
    }

    /// Writes what is kept, as far as there is room.
    func flush() {
        sent += pending.withUnsafeBytes { put(UnsafeRawBufferPointer(rebasing: $0[sent...])) }
        if isBroken || !isBlocked {
            pending.removeAll(keepingCapacity: true)
            sent = 0
        }
    }

    /// The number of bytes written.
    private func put(_ bytes: UnsafeRawBufferPointer) -> Int {
        var done = 0
        while done < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
            let result: TransferOutcome
            switch way {
            case .plain: result = NonBlockingIO.write(descriptor, rest)
            case .noWait: result = NonBlockingIO.writeNoWait(descriptor, rest)
            case .polled:
                if !PollSet.events(of: descriptor, .writable).contains(.writable) { return done }
                let count = min(rest.count, OutputSink.portion)
                result = NonBlockingIO.write(descriptor, UnsafeRawBufferPointer(rebasing: rest[..<count]))
            }
            switch result {
            case .bytes(let count): done += count
            case .wouldBlock: return done
            case .failed(let reason):
                if way == .noWait, OutputSink.lacksNoWait(reason) {
                    way = .polled
                    continue
                }
                isBroken = true
                // EPIPE and a terminal's EIO mean that nobody wants the output: no error of ours.
                if reason != .brokenPipe, reason != .ioError { failure = reason }
                return done
            case .endOfFile: return done
            }
        }
        return done
    }

    private static func lacksNoWait(_ reason: Errno) -> Bool {
        [.notSupported, .invalidArgument, .noFunction, .illegalSeek].contains(reason)
    }
}
