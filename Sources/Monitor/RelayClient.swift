// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import SystemPackage

/// The relay's end of one attach connection.
final class RelayClient {
    private let socket: OwnedFD
    /// Started the container and may hold it back without limit.
    let isForeground: Bool
    private var queue = FrameQueue()
    /// Monotonic milliseconds at which the client last took something while something was waiting for it.
    private(set) var stalledSince: Int64?
    private(set) var isGone = false
    /// The client said that it leaves, as opposed to being killed.
    var hasDetached = false
    var wasToldStart = false
    var wasToldInputClosed = false
    /// The client's input is the process's.
    var feedsInput = false
    var hasEndedInput = false
    var pollIndex: Int?

    init(_ socket: consuming OwnedFD, isForeground: Bool) {
        self.socket = consume socket
        self.isForeground = isForeground
    }

    var raw: Int32 { socket.raw }
    /// Frames wait for the client: nothing more is read for it.
    var isStalled: Bool { !isGone && !queue.isEmpty }

    func send(_ frame: UnsafeRawBufferPointer) {
        queue.send(frame, to: socket.raw)
        settle(progressed: false)
    }

    func send(_ frame: [UInt8]) { frame.withUnsafeBytes { send($0) } }

    func flush() { settle(progressed: queue.flush(to: socket.raw)) }

    func drop() { isGone = true }

    private func settle(progressed: Bool) {
        if queue.isBroken { isGone = true }
        if queue.isEmpty {
            stalledSince = nil
        } else if progressed || stalledSince == nil {
            stalledSince = MonotonicClock.signedMilliseconds
        }
    }
}
