// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import SystemPackage

/// Bytes on their way to the process's standard input, which may take them slowly or never.
final class InputQueue {
    private enum Item {
        case bytes([UInt8], from: RelayClient?)
        case end
    }

    private var channel: Channel?
    private let isTerminal: Bool
    private var items: [Item] = []
    /// Bytes of the first item that are written.
    private var written = 0
    private var lastByte = UInt8(ascii: "\n")

    /// nil: the process has no input, and everything for it is consumed at once.
    init(_ channel: Channel?, isTerminal: Bool) {
        self.channel = channel
        self.isTerminal = isTerminal
    }

    var isOpen: Bool { channel != nil }
    /// The descriptor to poll for room, nil while nothing waits. (Polled without need it would report a closed reader
    /// for ever.)
    var waiting: Int32? { items.isEmpty ? nil : channel?.raw }

    /// `sender` is nil for a session without clients.
    func append(_ bytes: UnsafeRawBufferPointer, from sender: RelayClient? = nil) {
        items.append(.bytes(Array(bytes), from: sender))
    }

    /// Ends the input after what is queued. A pipe is closed; a terminal gets its end-of-file key.
    func appendEnd() { items.append(.end) }

    /// Writes what there is room for; `consumed` gets each sender's number of bytes that need no more room.
    func flush(consumed: (RelayClient, Int) -> Void = { _, _ in }) {
        while let item = items.first {
            switch item {
            case .bytes(let bytes, let sender):
                guard let channel else {
                    if let sender { consumed(sender, bytes.count - written) }
                    next()
                    continue
                }
                let result = bytes.withUnsafeBytes {
                    NonBlockingIO.write(channel.raw, UnsafeRawBufferPointer(rebasing: $0[written...]))
                }
                switch result {
                case .bytes(let count):
                    written += count
                    lastByte = bytes[written - 1]
                    if let sender { consumed(sender, count) }
                    if written == bytes.count { next() }
                case .wouldBlock: return
                case .endOfFile, .failed: close()
                }
            case .end:
                if !finish() { return }
                next()
            }
        }
    }

    /// Gives up the descriptor. A terminal's master stays open for its output.
    func close() { channel = nil }

    private func next() {
        items.removeFirst()
        written = 0
    }

    /// False if the terminal has no room for its end-of-file key yet.
    private func finish() -> Bool {
        guard let channel else { return true }
        guard isTerminal else {
            close()
            return true
        }
        // In the middle of a line the key only delivers the line; a second one is the end of file (termios(3), VEOF).
        guard let key = (try? Terminal.attributes(channel.raw))?.endOfFile else { return true }
        let keys = lastByte == UInt8(ascii: "\n") ? [key] : [key, key]
        let result = keys.withUnsafeBytes { NonBlockingIO.write(channel.raw, $0) }
        return result != .wouldBlock
    }
}
