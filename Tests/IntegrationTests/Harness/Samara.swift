// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

/// The built executables with a data and a runtime folder.
///
/// Most tests share one set of folders (`Samara.shared()`), where the images are loaded once, and tell their
/// objects apart by name. A test about the folders themselves makes its own with `Samara.fresh()`.
struct Samara: Sendable {
    let executables: String
    let images: String
    /// Everything of this installation lies below this path. It is short: unix socket paths end at 107 bytes.
    let home: String

    var root: String { home + "/root" }
    var runroot: String { home + "/run" }

    /// The environment of a user who is logged in without a session manager: no XDG_RUNTIME_DIR.
    var environment: [String: String] {
        var environment = [
            "HOME": home, "USER": NSUserName(), "PATH": "\(executables):/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "TERM": "xterm", "LANG": "C.UTF-8",
        ]
        environment["LD_LIBRARY_PATH"] = ProcessInfo.processInfo.environment["LD_LIBRARY_PATH"]
        return environment
    }

    func command(_ arguments: [String]) -> [String] {
        ["\(executables)/samara", "--root", root, "--runroot", runroot] + arguments
    }

    /// Runs `samara ARGUMENTS` to its end, whatever that is.
    func run(
        _ arguments: String..., stdin: String? = nil, environment extra: [String: String] = [:],
        timeout: Duration = .seconds(20)
    ) throws -> CommandResult {
        try run(arguments, stdin: stdin, environment: extra, timeout: timeout)
    }

    func run(
        _ arguments: [String], stdin: String? = nil, environment extra: [String: String] = [:],
        timeout: Duration = .seconds(20)
    ) throws -> CommandResult {
        try runCommand(
            command(arguments), environment: environment.merging(extra) { $1 },
            stdin: stdin.map { Array($0.utf8) }, timeout: timeout)
    }

    /// Runs `samara ARGUMENTS`, which must succeed.
    ///
    /// - Returns: standard output without surrounding white space.
    @discardableResult
    func succeed(
        _ arguments: String..., timeout: Duration = .seconds(20), sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> String {
        let result = try run(arguments, timeout: timeout)
        try #require(result.status == 0, "\(result)", sourceLocation: sourceLocation)
        return result.text
    }

    /// Starts `samara ARGUMENTS` on a terminal.
    func terminal(_ arguments: String..., rows: UInt16 = 24, columns: UInt16 = 80) throws -> Terminal {
        try Terminal(command(arguments), environment: environment, rows: rows, columns: columns)
    }

    /// Removes every pod, container and volume; images stay.
    func removeEverything() throws {
        for arguments in [
            ["pod", "rm", "--force", "--all", "--time", "0"], ["rm", "--force", "--all", "--time", "0"],
            ["volume", "rm", "--force", "--all"],
        ] {
            let result = try run(arguments, timeout: .seconds(60))
            try #require(result.status == 0, "\(result)")
        }
    }
}

extension Samara {
    private static let installation = Result { try Samara.make(loadingImages: true) }

    /// The installation that tests share, with busybox, nginx and redis loaded.
    static func shared() throws -> Samara { try installation.get() }

    /// An empty installation of a test's own. The test calls `destroy()`.
    static func fresh() throws -> Samara { try make(loadingImages: false) }

    private static func make(loadingImages: Bool) throws -> Samara {
        let environment = ProcessInfo.processInfo.environment
        guard let executables = environment["SAMARA_EXECUTABLES"], let images = environment["SAMARA_IMAGES"] else {
            throw HarnessError(
                "SAMARA_EXECUTABLES and SAMARA_IMAGES must name the folders of the built executables and of the image"
                    + " archives; hack/test --integration sets them")
        }
        guard getuid() != 0 else {
            throw HarnessError("the integration tests run as an unprivileged user; hack/test does that")
        }
        let prefix = environment["SAMARA_TEST_HOMES"] ?? "/tmp/smr"
        var template = Array("\(prefix).XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw HarnessError("mkdtemp: errno \(errno)") }
        let home = template.withUnsafeBufferPointer { String(cString: $0.baseAddress.unsafelyUnwrapped) }
        let samara = Samara(executables: executables, images: images, home: home)
        Leftovers.remember(samara)
        if loadingImages {
            for image in ["busybox", "nginx", "redis"] {
                let result = try samara.run("load", "-i", "\(images)/\(image).tar", timeout: .seconds(120))
                guard result.status == 0 else { throw HarnessError("\(result)") }
            }
        }
        return samara
    }

    /// Removes everything, the holder process and the folders.
    func destroy() throws {
        try removeEverything()
        // Layers have files of subordinate IDs, which only a command inside the user namespace can remove.
        let result = try run("rmi", "--all", "--force", timeout: .seconds(60))
        guard result.status == 0 else { throw HarnessError("\(result)") }
        endHolder()
        try FileManager.default.removeItem(atPath: home)
    }

    /// The process that keeps the user namespace lives until logout. `run/holder` has its pid and start time.
    fileprivate func endHolder() {
        let record = FileManager.default.contents(atPath: runroot + "/holder").map {
            String(decoding: $0, as: UTF8.self)
        }
        guard let pid = record?.split(separator: " ").first.flatMap({ pid_t($0) }),
            FileManager.default.contents(atPath: "/proc/\(pid)/cmdline")?.starts(with: Data("samara".utf8)) == true
        else { return }
        kill(pid, SIGKILL)
    }
}

/// Installations that are to be gone when the test process ends: Swift Testing has no hook after the last test.
private enum Leftovers {
    nonisolated(unsafe) private static var installations: [Samara] = []
    private static let lock = NSLock()

    static func remember(_ samara: Samara) {
        lock.withLock {
            if installations.isEmpty { atexit { Leftovers.remove() } }
            installations.append(samara)
        }
    }

    private static func remove() {
        for samara in installations where FileManager.default.fileExists(atPath: samara.home) {
            do { try samara.destroy() } catch {
                FileHandle.standardError.write(Data("could not remove \(samara.home): \(error)\n".utf8))
                // What belongs to subordinate IDs stays; the message above says where.
                samara.endHolder()
                try? FileManager.default.removeItem(atPath: samara.home)
            }
        }
    }
}
