// SPDX-License-Identifier: Apache-2.0
import ContainerRuntime
import SystemPackage

/// Why a command failed: one sentence for people and Podman's exit code.
public struct EngineError: Error, Sendable {
    public var message: String
    /// 125 engine error, 126 cannot execute, 127 not found, 1 no such object (rm), 2 in use (rm).
    public var exitCode: Int32
    /// What callers tell apart without reading the text.
    public var kind: Kind

    public enum Kind: Sendable, Equatable {
        case other, noSuchContainer, noSuchPod, noSuchVolume, noSuchImage, inUse, stateImproper
    }

    public init(_ message: String, exitCode: Int32 = 125, kind: Kind = .other) {
        self.message = message
        self.exitCode = exitCode
        self.kind = kind
    }

    init(_ operation: String, _ path: String, _ error: Errno) {
        let remedy: String
        switch error {
        case .noSpace, Errno(rawValue: 122): remedy = "; free some space there"
        case .readOnlyFileSystem, .permissionDenied: remedy = "; choose a writable place with --root and --runroot"
        default: remedy = ""
        }
        self.init("\(operation) \(path): \(error.text)\(remedy)")
    }

    init(_ error: LaunchError) {
        self.init(error.message, exitCode: error.exitCode)
    }

    static func noSuchContainer(_ name: String) -> EngineError {
        EngineError(
            "no container with name or ID \"\(name)\" found: no such container", exitCode: 125, kind: .noSuchContainer)
    }

    static func noSuchPod(_ name: String) -> EngineError {
        EngineError("no pod with name or ID \(name) found: no such pod", exitCode: 125, kind: .noSuchPod)
    }

    static func noSuchVolume(_ name: String) -> EngineError {
        EngineError("no volume with name \"\(name)\" found: no such volume", exitCode: 125, kind: .noSuchVolume)
    }
}

/// Runs a file operation and says which path it was about.
func attempt<Result: ~Copyable>(
    _ operation: String, _ path: String, _ body: () throws(Errno) -> Result
) throws(EngineError) -> Result {
    do { return try body() } catch { throw EngineError(operation, path, error) }
}
