// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import RegistryClient

/// The flags that `pull`, `push` and `login` share; `samara` has checked their grammar for people.
struct TransferFlags {
    var authFile: String?
    var certificateDirectory: String?
    var verifiesTLS: Bool?
    var credentials: Credentials?
    var limits = TransferLimits()
    var progress = Progress.Mode.automatic

    /// Takes one flag off `rest` if it is one of these; false when it is not.
    mutating func take(_ flag: String, _ rest: inout ArraySlice<String>) throws(CommandFailure) -> Bool {
        switch flag {
        case "--authfile": authFile = try Flags.value(flag, &rest)
        case "--cert-dir": certificateDirectory = try Flags.value(flag, &rest)
        case "--tls-verify":
            let text = try Flags.value(flag, &rest)
            guard let verifies = Bool(text) else {
                throw CommandFailure("--tls-verify must be true or false, not \"\(text)\"")
            }
            verifiesTLS = verifies
        case "--creds": credentials = try TransferFlags.credentials(try Flags.value(flag, &rest))
        case "--retry":
            let text = try Flags.value(flag, &rest)
            guard let count = Int(text), (0...1000).contains(count) else {
                throw CommandFailure("--retry must be a number up to 1000, not \"\(text)\"")
            }
            limits.retries = count
        case "--retry-delay":
            let text = try Flags.value(flag, &rest)
            guard let milliseconds = Int64(text), (0...3_600_000).contains(milliseconds) else {
                throw CommandFailure("--retry-delay must be milliseconds up to an hour, not \"\(text)\"")
            }
            limits.retryDelay = milliseconds
        case "-q", "--quiet": progress = .none
        case "--progress":
            let text = try Flags.value(flag, &rest)
            guard let mode = Progress.Mode(rawValue: text) else {
                throw CommandFailure("--progress must be auto, tty, plain, json or none, not \"\(text)\"")
            }
            if progress != .none { progress = mode }
        default: return false
        }
        return true
    }

    func options(_ progress: Progress) -> RegistryOptions {
        var options = RegistryOptions(credentials: CredentialStore(authFile: authFile))
        options.limits = limits
        options.verifiesTLS = verifiesTLS
        options.certificateDirectory = certificateDirectory
        options.givenCredentials = credentials
        options.note = { progress.note($0) }
        return options
    }

    /// `user:password`, or a user whose password is asked for.
    private static func credentials(_ text: String) throws(CommandFailure) -> Credentials {
        guard let colon = text.firstIndex(of: ":") else {
            return .password(user: text, password: try Prompt.password())
        }
        return .password(user: String(text[..<colon]), password: String(text[text.index(after: colon)...]))
    }
}

enum Flags {
    static func value(_ flag: String, _ rest: inout ArraySlice<String>) throws(CommandFailure) -> String {
        guard let value = rest.popFirst() else { throw CommandFailure("flag needs an argument: \(flag)") }
        return value
    }
}
