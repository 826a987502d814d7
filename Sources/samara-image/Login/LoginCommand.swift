// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import OCISpec
import RegistryClient

/// `samara-image login` and `logout`: podman-login(1), podman-logout(1).
struct LoginCommand {
    private var flags = TransferFlags()
    private var user: String?
    private var password: String?
    private var readsPassword = false
    private var onlyTells = false
    private var isVerbose = false
    private var removesAll = false
    private var words: [String] = []

    init(_ arguments: ArraySlice<String>) throws(CommandFailure) {
        var rest = arguments
        flags.progress = .none
        while let argument = rest.popFirst() {
            if try flags.take(argument, &rest) { continue }
            switch argument {
            case "-u", "--username": user = try Flags.value(argument, &rest)
            case "-p", "--password": password = try Flags.value(argument, &rest)
            case "--password-stdin": readsPassword = true
            case "--get-login": onlyTells = true
            case "-v", "--verbose": isVerbose = true
            case "-a", "--all": removesAll = true
            case _ where argument.hasPrefix("-"): throw CommandFailure("unknown argument: \"\(argument)\"")
            default: words.append(argument)
            }
        }
    }

    /// The key in the file: a host, or a host with a part of a repository's path.
    private func key() throws(CommandFailure) -> String {
        guard words.count == 1, var text = words.first, !text.isEmpty else {
            throw CommandFailure("please specify one registry, for example docker.io or localhost:5000")
        }
        for scheme in ["https://", "http://"] where text.hasPrefix(scheme) {
            text = String(text.dropFirst(scheme.count))
        }
        while text.hasSuffix("/") { text.removeLast() }
        return text == "index.docker.io" || text.hasPrefix("index.docker.io/") ? "docker.io" : text
    }

    func login() throws(CommandFailure) {
        let key = try key()
        let host = String(key.prefix { $0 != "/" })
        let path = String(key.dropFirst(host.count).drop { $0 == "/" })
        let store = CredentialStore(authFile: flags.authFile)
        if onlyTells {
            let known = try registry { () throws(RegistryError) in try store.credentials(host: host, repository: path) }
            guard case .password(let user, _) = known else { throw CommandFailure("not logged into \(key)") }
            return Output.line(user)
        }
        let credentials = try ask()
        var transfer = flags
        transfer.credentials = credentials
        let options = transfer.options(Progress(.none))
        try registry { () throws(RegistryError) in
            // Any repository will do: only the registry's own rules matter.
            let name = ImageReference(domain: host, path: path.isEmpty ? "any" : path, tag: nil)
            let place = try RegistriesConfiguration.load().sources(of: name).last
            try Registry(
                host: place?.host ?? host, isInsecure: place?.isInsecure ?? false, loop: try TransferLoop(),
                options: options
            ).checkLogin()
        }
        try registry { () throws(RegistryError) in try store.save(credentials, key: key) }
        if isVerbose { Output.line("Used: \(store.path)") }
        Output.line("Login Succeeded!")
    }

    private func ask() throws(CommandFailure) -> Credentials {
        if readsPassword {
            if password != nil { throw CommandFailure("Can't specify both --password-stdin and --password") }
            guard let user else { throw CommandFailure("Must provide --username with --password-stdin") }
            return .password(user: user, password: try Prompt.read())
        }
        if user == nil, !Terminal.isTerminal(0) {
            throw CommandFailure(
                "a user name is needed and standard input is no terminal; use --username and --password-stdin")
        }
        let name: String
        if let user { name = user } else { name = try Prompt.line("Username: ") }
        if let password { return .password(user: name, password: password) }
        return .password(user: name, password: try Prompt.password())
    }

    func logout() throws(CommandFailure) {
        let store = CredentialStore(authFile: flags.authFile)
        if removesAll {
            if !words.isEmpty { throw CommandFailure("--all takes no arguments") }
            try registry { () throws(RegistryError) in try store.removeAll() }
            return Output.line("Removed login credentials for all registries")
        }
        let key = try key()
        let isRemoved = try registry { () throws(RegistryError) in try store.remove(key: key) }
        if !isRemoved { throw CommandFailure("not logged into \(key)") }
        Output.line("Removed login credentials for \(key)")
    }

    private func registry<Result>(_ body: () throws(RegistryError) -> Result) throws(CommandFailure) -> Result {
        do { return try body() } catch { throw CommandFailure(error.description) }
    }
}
