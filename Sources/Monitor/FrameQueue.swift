// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import SystemPackage

/// Frames on their way to a peer that may be slow. Each goes straight to the socket while that has room; only then are
/// they kept, in order.
struct FrameQueue {
    private var frames: [[UInt8]] = []
    private var head = 0
    /// The peer is gone: nothing sent from now on arrives.
    private(set) var isBroken = false

    var isEmpty: Bool { head == frames.count }

    /// Sends a frame, or keeps a copy of it.
    mutating func send(_ frame: UnsafeRawBufferPointer, to socket: Int32) {
        if isBroken { return }
        if isEmpty {
            switch NonBlockingIO.send(socket, frame) {
            case .bytes: return
            case .wouldBlock: break
            case .endOfFile, .failed:
                fail()
                return
            }
        }
        frames.append(Array(frame))
    }

    mutating func send(_ frame: [UInt8], to socket: Int32) {
        frame.withUnsafeBytes { send($0, to: socket) }
    }

    /// Sends what is kept, as far as the socket has room. True if at least one frame left.
    mutating func flush(to socket: Int32) -> Bool {
        var progressed = false
        while !isEmpty {
            let result = frames[head].withUnsafeBytes { NonBlockingIO.send(socket, $0) }
            switch result {
            case .bytes:
                progressed = true
                frames[head] = []
                head += 1
            case .wouldBlock: return progressed
            case .endOfFile, .failed:
                fail()
                return progressed
            }
        }
        frames.removeAll()
        head = 0
        return progressed
    }

    private mutating func fail() {
        isBroken = true
        frames = []
        head = 0
    }
}
