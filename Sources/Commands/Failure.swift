// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine
import ImageStore
import LinuxSystem
import OCISpec
import Presentation
import SystemPackage

/// Why a command failed, as it is shown: one sentence and an exit code.
struct Failure: Error, Equatable {
    var message: String
    /// 125 unless the table of podman-run(1) and podman-rm(1) says otherwise.
    var exitCode: Int32

    init(_ message: String, exitCode: Int32 = 125) {
        self.message = message
        self.exitCode = exitCode
    }

    /// The one place where the errors of the layers below become text and a code.
    init(_ error: any Error) {
        switch error {
        case let error as Failure: self = error
        case let error as EngineError: self.init(error.message, exitCode: error.exitCode)
        case let error as ImageStoreError: self.init(error.description)
        case let error as ImageSpecError: self.init(error.description)
        case let error as ArgumentError: self.init(error.message)
        case let error as PresentationError: self.init(error.message)
        case let error as TemplateError: self.init(error.message)
        case let error as Errno: self.init(error.text)
        default: self.init(String(describing: error))
        }
    }
}

/// A failure that another program has told about already.
struct Reported: Error {
    var exitCode: Int32
}

/// The errors of a command that was given several names and goes on after each.
struct Failures {
    private(set) var list: [(message: String, exitCode: Int32)] = []

    var isEmpty: Bool { list.isEmpty }

    mutating func add(_ error: any Error) {
        let failure = Failure(error)
        list.append((failure.message, failure.exitCode))
    }

    mutating func add(_ error: any Error, exitCode: Int32) {
        list.append((Failure(error).message, exitCode))
    }

    /// Prints every error on a line of its own and returns the exit code: 0 without errors; 1 as soon as one object
    /// was missing, as podman-rm(1) has it; else the last other special code; else 125.
    func report(_ session: Session) -> Int32 {
        for entry in list { session.complain("Error: \(entry.message)") }
        return exitCode
    }

    var exitCode: Int32 {
        if list.isEmpty { return 0 }
        if list.contains(where: { $0.exitCode == 1 }) { return 1 }
        return list.last { $0.exitCode != 125 }?.exitCode ?? 125
    }
}

extension EngineError.Kind {
    /// The exit code of the removing commands: 1 not found, 2 running or in use.
    var removalExitCode: Int32 {
        switch self {
        case .noSuchContainer, .noSuchPod, .noSuchVolume, .noSuchImage: 1
        case .inUse, .stateImproper: 2
        case .other: 125
        }
    }

    var isMissing: Bool { removalExitCode == 1 }
}
