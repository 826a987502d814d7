// SPDX-License-Identifier: Apache-2.0
import LinuxSystem

/// What a `Direction` can do to the world: the boundary that makes its state machine testable without sockets.
///
/// Handles are descriptors in the product and anything in a test. There is one scratch buffer for all directions,
/// because only one runs at a time; what has to stay beyond a turn goes to an overflow buffer or stays in a pipe.
protocol StreamTransfer: ~Copyable {
    /// The size of the scratch buffer and of every overflow buffer, in bytes.
    var bufferSize: Int { get }

    /// Reads into the scratch buffer.
    mutating func receive(_ source: Int32) -> TransferOutcome
    /// Reads into the scratch buffer and leaves the bytes where they are.
    mutating func peek(_ source: Int32) -> TransferOutcome
    /// Takes off `count` bytes that were peeked.
    mutating func discard(_ source: Int32, _ count: Int) -> TransferOutcome
    /// Writes scratch bytes `offset` up to `end`. `endFollows`: once they are written, nothing but the end is.
    mutating func send(_ sink: Int32, offset: Int, end: Int, endFollows: Bool) -> TransferOutcome

    /// Whether `takeOverflow` would succeed.
    var hasOverflow: Bool { get }
    /// An overflow buffer that holds scratch bytes `offset` up to `end` at its start.
    mutating func takeOverflow(offset: Int, end: Int) -> Int32
    /// Writes overflow bytes `offset` up to `end`.
    mutating func sendOverflow(_ buffer: Int32, _ sink: Int32, offset: Int, end: Int) -> TransferOutcome
    mutating func releaseOverflow(_ buffer: Int32)

    /// An empty pipe; nil when there is none to have, so that the caller copies.
    mutating func takePipe() -> Int32?
    /// Fills an empty pipe from the source.
    mutating func fill(_ pipe: Int32, from source: Int32) -> TransferOutcome
    /// Empties the pipe, which holds `count` bytes, into the sink.
    mutating func drain(_ pipe: Int32, into sink: Int32, _ count: Int) -> TransferOutcome
    /// Gives the pipe back; one that is not empty is closed, since its bytes belong to nobody else.
    mutating func releasePipe(_ pipe: Int32, isEmpty: Bool)

    /// Ends the sink's sending direction (FIN).
    mutating func endSending(_ sink: Int32)
}
