// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import SystemPackage

/// What a container's process and the command that makes it tell each other over a SOCK_SEQPACKET connection:
///
///     create                                   init
///       |-- clone3 ------------------------------>|
///       |<- pid N --------------------------------|  (only from an intermediate that joined namespaces by path)
///       |-- go: maps, cgroup, hooks are done ----->|
///       |<- terminal (the pty master attached) ---|  (only with a terminal)
///       |<- ready | failure SENTENCE -------------|
///
///     start (or `run`, on the first connection) init
///       |-- connect to ROOT/ID/start, go -------->|
///       |<- listener (a seccomp descriptor) ------|  (only with a listenerPath)
///       |<- end of file: the program runs --------|  or failure SENTENCE
enum SetupMessage {
    case go, ready
    case terminal(Int32)
    case listener(Int32)
    case pid(Int32)
    case failure(String)
    case endOfFile

    private static let limit = 8192

    func send(_ socket: Int32) throws(Errno) {
        switch self {
        case .go: try UnixSocket.send(socket, [UInt8(ascii: "G")])
        case .ready: try UnixSocket.send(socket, [UInt8(ascii: "R")])
        case .terminal(let master): try UnixSocket.send(socket, [UInt8(ascii: "T")], descriptors: [master])
        case .listener(let fd): try UnixSocket.send(socket, [UInt8(ascii: "L")], descriptors: [fd])
        case .pid(let pid): try UnixSocket.send(socket, Array("P\(pid)".utf8))
        case .failure(let sentence):
            try UnixSocket.send(socket, Array(("E" + sentence).utf8.prefix(SetupMessage.limit)))
        case .endOfFile: break
        }
    }

    static func receive(_ socket: Int32) throws(Errno) -> SetupMessage {
        let message: UnixSocket.Message
        do { message = try UnixSocket.receive(socket, limit: limit, descriptorLimit: 1) } catch .connectionReset {
            // The peer died with a message of ours unread.
            return .endOfFile
        }
        let text = String(decoding: message.bytes.dropFirst(), as: UTF8.self)
        switch message.bytes.first {
        case nil: return .endOfFile
        case UInt8(ascii: "G"): return .go
        case UInt8(ascii: "R"): return .ready
        case UInt8(ascii: "E"): return .failure(text)
        case UInt8(ascii: "P"):
            guard let pid = Int32(text), pid > 0 else { throw .badMessage }
            return .pid(pid)
        case UInt8(ascii: "T"):
            guard let master = message.descriptors.first else { throw .badMessage }
            return .terminal(master)
        case UInt8(ascii: "L"):
            guard let listener = message.descriptors.first else { throw .badMessage }
            return .listener(listener)
        default: throw .badMessage
        }
    }
}
