// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// What a monitor and an attach client say to each other.
///
/// One SOCK_SEQPACKET message is one frame: a byte for the kind, then the payload, whose length is that of the message.
/// Message boundaries come from the kernel, so a frame is sent whole or not at all and a reader never resynchronises.
/// Integers are little-endian. Both ends may be different versions (a container outlives an upgrade): the first frame
/// to a client is `started` with the version, or `failed`.
enum AttachProtocol {
    /// Changes whenever an older peer would misunderstand a frame.
    static let version: UInt8 = 1
    /// Bytes of output or input in one frame, at most.
    static let chunkSize = 32 << 10
    static let inputChunkSize = 16 << 10
    /// The largest frame: a chunk and its kind.
    static let frameSize = chunkSize + 1
    /// Bytes of input that a client may have sent beyond those reported by `stdinConsumed`.
    static let stdinWindow = 64 << 10

    /// Kinds of frames. Those to the client are below 16.
    enum Kind: UInt8 {
        /// Bytes of the process's standard output, or of its terminal.
        case stdout = 1
        /// Bytes of the process's standard error.
        case stderr = 2
        /// The process runs. Payload: version (1).
        case started = 3
        /// There is and will be no process. Payload: exit code for the command (4), text (UTF-8).
        case failed = 4
        /// The process ended and this was all of its output. Payload: the code in the shell's convention (4).
        case exited = 5
        /// Input has reached the process. Payload: number of bytes (4).
        case stdinConsumed = 6
        /// The process takes no input any more. No payload.
        case stdinClosed = 7

        /// Bytes for the process's standard input.
        case stdin = 16
        /// No more input from this client. No payload.
        case stdinEnd = 17
        /// The size of the client's terminal. Payload: rows, columns, pixel width, pixel height (2 each).
        case windowSize = 18
        /// A signal for the process. Payload: its number (4).
        case signal = 19
        /// The client leaves on purpose: the process's input stays open. No payload.
        case detach = 20
        /// The client's input is the process's: when the client is killed, the input ends. No payload.
        case stdinBegin = 21
    }

    /// A frame received: a view into the receiver's buffer.
    struct Frame {
        var kind: Kind
        var payload: UnsafeRawBufferPointer

        /// nil for an empty message or a kind that this version does not know.
        init?(_ message: UnsafeRawBufferPointer) {
            guard let first = message.first, let kind = Kind(rawValue: first) else { return nil }
            self.kind = kind
            payload = UnsafeRawBufferPointer(rebasing: message[1...])
        }

        /// The payload's leading four bytes as a number; nil if there are fewer.
        var number: Int32? {
            guard payload.count >= 4 else { return nil }
            return Int32(littleEndian: payload.loadUnaligned(as: Int32.self))
        }

        var size: WindowSize? {
            guard payload.count == 8 else { return nil }
            func field(_ index: Int) -> UInt16 {
                UInt16(littleEndian: payload.loadUnaligned(fromByteOffset: index * 2, as: UInt16.self))
            }
            return WindowSize(rows: field(0), columns: field(1), pixelWidth: field(2), pixelHeight: field(3))
        }
    }

    static func frame(_ kind: Kind, _ payload: [UInt8] = []) -> [UInt8] { [kind.rawValue] + payload }

    static func frame(_ kind: Kind, number: Int32) -> [UInt8] {
        withUnsafeBytes(of: number.littleEndian) { [kind.rawValue] + $0 }
    }

    static func frame(_ size: WindowSize) -> [UInt8] {
        var bytes = [Kind.windowSize.rawValue]
        for field in [size.rows, size.columns, size.pixelWidth, size.pixelHeight] {
            withUnsafeBytes(of: field.littleEndian) { bytes.append(contentsOf: $0) }
        }
        return bytes
    }

    static func started() -> [UInt8] { frame(.started, [version]) }

    static func failed(code: Int32, text: String) -> [UInt8] {
        var bytes = frame(.failed, number: code)
        bytes.append(contentsOf: text.utf8.prefix(chunkSize - 4))
        return bytes
    }
}

/// The two ends of an attach connection, made before the monitor is forked.
public enum AttachSocket {
    /// `first` for the command, `second` for the monitor. After the fork each closes the other's (`keepingFirst`,
    /// `keepingSecond`), or neither notices that the other is gone.
    public static func pair() throws(Errno) -> SocketPair { try UnixSocket.pair(type: Int32(SOCK_SEQPACKET.rawValue)) }

    /// Tells the command on `socket` that its container did not start: `text` is shown to the user, `code` becomes the
    /// command's exit code (125, 126, 127). For failures before there is a `Relay`.
    public static func reportFailure(_ socket: borrowing OwnedFD, code: Int32, text: String) {
        AttachProtocol.failed(code: code, text: text).withUnsafeBytes { _ = NonBlockingIO.send(socket.raw, $0) }
    }
}
