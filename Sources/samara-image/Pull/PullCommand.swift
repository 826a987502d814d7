// SPDX-License-Identifier: Apache-2.0
import CLinux
import ImageStore
import LayerArchive
import LinuxSystem
import OCISpec
import RegistryClient

/// `samara-image pull`: the flags, the names, the places.
struct PullCommand {
    /// --policy: podman-pull(1).
    enum Policy: String {
        case always, missing, never, newer
    }

    private let store: ImageStore
    private var flags = TransferFlags()
    private var policy = Policy.always
    private var platform = Platform.host
    private var isPlatformChosen = false
    private var printsID = true
    private var takesAllTags = false
    private var names: [String] = []

    init(_ store: ImageStore, _ arguments: ArraySlice<String>) throws(CommandFailure) {
        self.store = store
        var rest = arguments
        while let argument = rest.popFirst() {
            if try flags.take(argument, &rest) { continue }
            switch argument {
            case "--policy":
                let text = try Flags.value(argument, &rest)
                guard let known = Policy(rawValue: text) else {
                    throw CommandFailure("--policy must be always, missing, never or newer, not \"\(text)\"")
                }
                policy = known
            case "--platform":
                let parts = try Flags.value(argument, &rest).split(separator: "/").map(String.init)
                guard (2...3).contains(parts.count) else {
                    throw CommandFailure("--platform must be OS/ARCH or OS/ARCH/VARIANT")
                }
                platform = Platform(os: parts[0], architecture: parts[1], variant: parts.count == 3 ? parts[2] : nil)
                isPlatformChosen = true
            case "--os":
                platform.os = try Flags.value(argument, &rest)
                isPlatformChosen = true
            case "--arch":
                platform = Platform(os: platform.os, architecture: try Flags.value(argument, &rest))
                isPlatformChosen = true
            case "--variant":
                platform.variant = try Flags.value(argument, &rest)
                isPlatformChosen = true
            case "--without-id": printsID = false
            case "--all-tags": takesAllTags = true
            case "--":
                names += rest
                rest = []
            case _ where argument.hasPrefix("-"): throw CommandFailure("unknown argument of pull: \"\(argument)\"")
            default: names.append(argument)
            }
        }
        if names.isEmpty { throw CommandFailure("pull needs at least one image") }
    }

    func run() throws(CommandFailure) {
        Process.ignoreSignals([SIGPIPE])
        let progress = Progress(flags.progress)
        do throws(CommandFailure) {
            let transfer = try Transferring(flags, progress)
            let warnings = WarningLog { text in
                progress.close(); Output.error("Warning: \(text)")
            }
            let options = LayerOptions(ownership: try ImageCommand.ownership(warnings), warnings: warnings)
            let pull = ImagePull(
                store: store, options: options, platform: platform, progress: progress)
            for name in takesAllTags ? try allTags(transfer) : names {
                let id = try self.pull(name, pull, transfer, progress)
                if printsID { Output.line(id.hex) }
            }
        } catch {
            progress.close()
            throw error
        }
    }

    private func pull(
        _ text: String, _ pull: ImagePull, _ transfer: Transferring, _ progress: Progress
    ) throws(CommandFailure) -> Digest {
        let text = try PullCommand.name(text)
        var local = try self.local(text)
        if isPlatformChosen, let record = local, platform.fitness(of: record.platform) == nil { local = nil }
        if let local, policy == .missing || policy == .never { return local.id }
        if policy == .never { throw CommandFailure("\(text): image not known") }
        let candidates: [ImageReference]
        do { candidates = try transfer.configuration.candidates(text) } catch {
            throw CommandFailure(error.description)
        }
        var failures: [String] = []
        for candidate in candidates {
            progress.message("Trying to pull \(candidate)...")
            do {
                return try self.pull(
                    candidate, pull, transfer, progress, local: policy == .newer ? local : nil)
            } catch { failures.append(error.description) }
        }
        // What is here is good enough for "newer".
        if policy == .newer, let local { return local.id }
        if failures.count == 1 { throw CommandFailure(failures[0]) }
        throw CommandFailure("no registry could provide \(text): " + failures.joined(separator: "; "))
    }

    private func pull(
        _ name: ImageReference, _ pull: ImagePull, _ transfer: Transferring, _ progress: Progress,
        local: ImageRecord?
    ) throws(CommandFailure) -> Digest {
        let sources: [PullSource]
        do { sources = try transfer.configuration.sources(of: name) } catch { throw CommandFailure(error.description) }
        var failures: [String] = []
        for source in sources {
            do {
                let registry = try transfer.registry(source.host, isInsecure: source.isInsecure)
                return try pull.pull(name, from: Repository(registry, path: source.path), local: local)
            } catch let error as CommandFailure {
                failures.append(error.description)
            } catch let error as LayerArchiveError {
                failures.append(error.description)
            } catch {
                failures.append(String(describing: error))
            }
            progress.close()
            if source.isMirror, let last = failures.last { progress.note("the mirror \(source.host) failed: \(last)") }
        }
        // The place itself has the last word; what its mirrors said was noted.
        throw CommandFailure(failures.last ?? "\(name) has no place to be pulled from")
    }

    /// --all-tags: every name that the repositories have.
    private func allTags(_ transfer: Transferring) throws(CommandFailure) -> [String] {
        var all: [String] = []
        for name in names {
            let text = try PullCommand.name(name)
            if text.contains("@") || text.split(separator: "/").last?.contains(":") == true {
                throw CommandFailure("\(text): --all-tags takes a repository, without tag or digest")
            }
            var failures: [String] = []
            var found: [String]?
            do throws(RegistryError) {
                for candidate in try transfer.configuration.candidates(text) where found == nil {
                    for source in try transfer.configuration.sources(of: candidate) where found == nil {
                        do {
                            let registry = try transfer.registry(source.host, isInsecure: source.isInsecure)
                            let repository = "\(candidate.domain)/\(candidate.path)"
                            found = try Repository(registry, path: source.path).tags().map { "\(repository):\($0)" }
                        } catch { failures.append(String(describing: error)) }
                    }
                }
            } catch { throw CommandFailure(error.description) }
            guard let found else { throw CommandFailure(failures.joined(separator: "; ")) }
            if found.isEmpty { throw CommandFailure("\(text) has no tags") }
            all += found
        }
        return all
    }

    private func local(_ text: String) throws(CommandFailure) -> ImageRecord? {
        do { return try store.resolve(text) } catch {
            if error.cause == .notKnown { return nil }
            throw CommandFailure(error.description)
        }
    }

    /// Without the transport `docker://`, the only one that leads to a registry.
    static func name(_ text: String) throws(CommandFailure) -> String {
        if text.hasPrefix("docker://") { return String(text.dropFirst(9)) }
        for transport in ["docker-archive:", "oci-archive:", "oci:", "dir:", "containers-storage:", "docker-daemon:"]
        where text.hasPrefix(transport) {
            throw CommandFailure(
                "the transport of \"\(text)\" is no registry; use load and save for archives and layouts")
        }
        return text
    }
}

/// What `pull` and `push` need to reach registries.
final class Transferring {
    let configuration: RegistriesConfiguration
    private let loop: TransferLoop
    private let options: RegistryOptions
    /// By host, so that several images share connections and tokens.
    private var registries: [String: Registry] = [:]

    init(_ flags: TransferFlags, _ progress: Progress) throws(CommandFailure) {
        do throws(RegistryError) {
            configuration = try RegistriesConfiguration.load()
            loop = try TransferLoop()
        } catch { throw CommandFailure(error.description) }
        options = flags.options(progress)
    }

    func registry(_ host: String, isInsecure: Bool) throws(CommandFailure) -> Registry {
        let key = host + (isInsecure ? " insecure" : "")
        if let known = registries[key] { return known }
        do throws(RegistryError) {
            let registry = try Registry(host: host, isInsecure: isInsecure, loop: loop, options: options)
            registries[key] = registry
            return registry
        } catch { throw CommandFailure(error.description) }
    }
}
