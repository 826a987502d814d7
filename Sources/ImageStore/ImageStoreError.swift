// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import SystemPackage

/// Why the store refused: one sentence for people, and the cause for the exit code.
public struct ImageStoreError: Error, Equatable, CustomStringConvertible {
    public enum Cause: Equatable, Sendable {
        /// No image of this name or id.
        case notKnown
        /// The name or id prefix fits several images.
        case ambiguous
        /// What was typed cannot be an image name.
        case invalidName
        /// Containers use the image.
        case inUse
        /// The image has several names, so removing it needs force.
        case severalNames
        /// A file of the store is not what it should be.
        case damaged
        /// The kernel refused.
        case system(Errno)
    }

    public var cause: Cause
    public var description: String

    public init(_ cause: Cause, _ description: String) {
        self.cause = cause
        self.description = description
    }

    /// `verb "subject": kernel text`, with the remedy where the cause is known.
    public init(_ verb: String, _ subject: String, _ error: Errno) {
        self.init(.system(error), "\(verb) \"\(subject)\": \(error.text)\(ImageStoreError.remedy(error))")
    }

    /// What to do about a failed write, as the end of a sentence; empty where the text says it all.
    package static func remedy(_ error: Errno) -> String {
        switch error {
        case .noSpace, .diskQuotaExceeded:
            "; remove images that are not needed (image prune) or free space on the file system of the image store"
        case .readOnlyFileSystem, .permissionDenied:
            "; the image store must be writable by the user who runs the command (see --root)"
        default: ""
        }
    }

    /// The exit status of `rmi`, podman-rmi(1): 1 for an unknown image, 2 for one in use, otherwise 125.
    public var removalExitStatus: Int32 {
        switch cause {
        case .notKnown: 1
        case .inUse, .severalNames: 2
        default: 125
        }
    }
}
