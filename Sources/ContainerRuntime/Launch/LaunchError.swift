// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import SystemPackage

/// The steps of a launch, in the order they happen. The child reports one of these with an errno.
public enum LaunchStage: Int32, Sendable {
    case joinNamespaces = 1
    case clone
    case idMap
    case mountPropagation
    case rootFilesystem
    case mounts
    case deviceNodes
    case pivotRoot
    case sysctl
    case maskedPaths
    case readOnlyPaths
    case hostname
    case terminal
    case standardStreams
    case limits
    case workingDirectory
    case userLookup
    case capabilities
    case identity
    case seccomp
    case descriptors
    case execute

    /// What was being done, as the verb phrase of a sentence.
    var operation: String {
        switch self {
        case .joinNamespaces: "join the namespaces of"
        case .clone: "create the namespaces for"
        case .idMap: "write the id map of"
        case .mountPropagation: "make private the mounts of"
        case .rootFilesystem: "mount the root filesystem"
        case .mounts: "mount"
        case .deviceNodes: "create the device"
        case .pivotRoot: "enter the root filesystem"
        case .sysctl: "set the sysctl"
        case .maskedPaths: "mask"
        case .readOnlyPaths: "make read-only"
        case .hostname: "set the host name"
        case .terminal: "open a terminal"
        case .standardStreams: "connect the standard streams of"
        case .limits: "set the resource limit"
        case .workingDirectory: "enter the working directory"
        case .userLookup: "find the user or group"
        case .capabilities: "set the capabilities of"
        case .identity: "become the user"
        case .seccomp: "load the seccomp filter"
        case .descriptors: "close the descriptors of"
        case .execute: "execute"
        }
    }
}

/// Why a container did not start.
public struct LaunchError: Error, Sendable, Equatable {
    public var stage: LaunchStage
    public var errno: Errno
    public var subject: String

    public init(stage: LaunchStage, errno: Errno, subject: String) {
        self.stage = stage
        self.errno = errno
        self.subject = subject
    }

    /// One sentence, with the words that callers of OCI runtimes match (Podman maps them to 126 and 127).
    public var message: String {
        switch (stage, errno) {
        case (.execute, .noSuchFileOrDirectory):
            return subject.contains("/")
                ? "executable file `\(subject)` not found: No such file or directory"
                : "executable file `\(subject)` not found in $PATH: No such file or directory"
        case (.execute, .isDirectory):
            return "the path `\(subject)` is not a regular file: Operation not permitted"
        case (.userLookup, .noSuchFileOrDirectory):
            return "unable to find user or group \(subject): no matching entry in the container's passwd or group file"
        default:
            return "\(stage.operation) `\(subject)`: \(errno.text)"
        }
    }

    /// 127 when the program does not exist, 126 when it cannot be executed, 125 for everything else.
    public var exitCode: Int32 {
        guard stage == .execute else { return stage == .workingDirectory || stage == .userLookup ? 126 : 125 }
        return errno == .noSuchFileOrDirectory ? 127 : 126
    }
}
