// SPDX-License-Identifier: Apache-2.0
import CCurl
import JSON
import LinuxSystem
import OCISpec
import SystemPackage

/// How a command wants registries to be used.
package struct RegistryOptions {
    package var limits = TransferLimits()
    /// --tls-verify; nil when not given.
    package var verifiesTLS: Bool?
    /// --cert-dir
    package var certificateDirectory: String?
    package var credentials: CredentialStore
    /// --creds; wins over files.
    package var givenCredentials: Credentials?
    /// Told what is tried again and why.
    package var note: (String) -> Void = { _ in }

    package init(credentials: CredentialStore) { self.credentials = credentials }
}

/// One registry: distribution-spec 1.1.
///
/// The first request finds out whether it speaks TLS and how it wants to be authorized.
package final class Registry {
    /// As in image names.
    package let host: String
    let loop: TransferLoop
    let options: RegistryOptions
    private let isInsecure: Bool
    private let tls: TLSSettings
    private var base: String?
    /// What the registry asked for when it was first contacted; none when it lets anybody in.
    private var challenges: [Challenge] = []
    /// Authorization headers by repository and rights.
    private var authorizations: [String: String] = [:]

    /// - Parameters:
    ///   - host: host with optional port, as in image names.
    ///   - isInsecure: the configuration allows unverified TLS and plain HTTP.
    package init(host: String, isInsecure: Bool, loop: TransferLoop, options: RegistryOptions) throws(RegistryError) {
        self.host = host
        self.loop = loop
        self.options = options
        // The command line wins over the configuration.
        let isInsecure = options.verifiesTLS.map { !$0 } ?? isInsecure
        self.isInsecure = isInsecure
        var tls = try CertificateDirectory.settings(
            host: host, chosen: options.certificateDirectory, environment: { Identity.environment($0) })
        tls.verifies = !isInsecure
        self.tls = tls
    }

    /// This machine's own addresses, where plain HTTP passes no wire.
    private var isLocal: Bool {
        let name: Substring
        if host.first == "[" { name = host.dropFirst().prefix { $0 != "]" } } else { name = host.prefix { $0 != ":" } }
        return name == "localhost" || name == "::1" || name.hasPrefix("127.")
    }

    /// Docker Hub's registry has another name than its images.
    private var server: String { host == "docker.io" ? "registry-1.docker.io" : host }

    // MARK: First contact

    /// `https://host`, or `http://host` where that is allowed and TLS is not spoken.
    func baseURL() throws(RegistryError) -> String {
        if let base { return base }
        return try retrying("the first contact") { () throws(RegistryError) in try contact() }
    }

    private func contact() throws(RegistryError) -> String {
        let mayBePlain = isInsecure || (isLocal && options.verifiesTLS != true)
        var url = "https://" + server
        var response: HTTPResponse
        do {
            response = try send(HTTPRequest("GET", url + "/v2/"), what: "its version")
        } catch {
            // Nobody listens on TLS's port, or somebody who does not speak it. A wrong certificate is no reason.
            guard mayBePlain, error.cause == .notTLS || error.cause == .network else { throw error }
            url = "http://" + server
            response = try send(HTTPRequest("GET", url + "/v2/"), what: "its version")
        }
        if response.status == 429 || response.status >= 500 {
            throw RegistryError.answer(response, what: "the registry itself", host: host)
        }
        if response.status == 401 { challenges = Registry.challenges(response) }
        base = url
        return url
    }

    /// Logs in: throws unless the registry accepts the credentials.
    package func checkLogin() throws(RegistryError) {
        let url = try baseURL() + "/v2/"
        var request = HTTPRequest("GET", url)
        if let header = try authorization(scopes: []) { request.headers.append(("Authorization", header)) }
        let response = try retrying("the login") { () throws(RegistryError) in
            let response = try send(request, what: "the login")
            if response.status >= 500 || response.status == 429 {
                throw RegistryError.answer(response, what: "the login", host: host)
            }
            return response
        }
        if response.status == 401 || response.status == 403 {
            throw RegistryError(
                .unauthorized,
                "\(host) refuses the user name or the password (\(response.status)\(StatusText.text(response.status)))")
        }
        if !response.isSuccess { throw RegistryError.answer(response, what: "the login", host: host) }
    }

    // MARK: Requests

    /// Sends a request with authorization, again when that may help. Any answer but 401, 408, 429 and 5xx is returned.
    ///
    /// - Parameters:
    ///   - scopes: distribution's `repository:PATH:RIGHTS`.
    ///   - what: what is asked for, as a noun for error messages.
    func request(_ request: HTTPRequest, scopes: [String], what: String) throws(RegistryError) -> HTTPResponse {
        try retrying(what) { () throws(RegistryError) in
            var response = try send(try authorized(request, scopes: scopes), what: what)
            if response.status == 401 {
                // The token expired, or this repository is guarded by another one than the registry.
                try renew(response, scopes: scopes)
                response = try send(try authorized(request, scopes: scopes), what: what)
            }
            if [401, 408, 429].contains(response.status) || response.status >= 500 {
                throw RegistryError.answer(response, what: what, host: host)
            }
            return response
        }
    }

    func authorized(_ request: HTTPRequest, scopes: [String]) throws(RegistryError) -> HTTPRequest {
        var request = request
        if let header = try authorization(scopes: scopes) { request.headers.append(("Authorization", header)) }
        return request
    }

    /// Forgets the authorization that an answer with 401 says is not good, and takes its challenges.
    func renew(_ response: HTTPResponse, scopes: [String]) throws(RegistryError) {
        authorizations[scopes.joined(separator: " ")] = nil
        let new = Registry.challenges(response)
        if !new.isEmpty { challenges = new }
    }

    private static func challenges(_ response: HTTPResponse) -> [Challenge] {
        response.headers.filter { $0.name == "www-authenticate" }.flatMap { Challenge.parse($0.value) }
    }

    /// Tries `body` again while it fails for a reason that may pass.
    func retrying<Result>(_ what: String, _ body: () throws(RegistryError) -> Result) throws(RegistryError) -> Result {
        var failures = 0
        while true {
            do throws(RegistryError) { return try body() } catch {
                failures += 1
                guard error.isTemporary, failures <= options.limits.retries else { throw error.afterTries(failures) }
                try wait(pause(error, failures))
                options.note("retrying \(what): \(error.description)")
            }
        }
    }

    /// Milliseconds before the next try; the server's own wish counts up to two minutes.
    func pause(_ error: RegistryError, _ failures: Int) -> Int64 {
        if let seconds = error.retryAfter { return min(max(seconds, 0), 120) * 1000 }
        return options.limits.delay(afterFailures: failures)
    }

    private func wait(_ milliseconds: Int64) throws(RegistryError) {
        let end = MonotonicClock.signedMilliseconds + milliseconds
        while true {
            let left = end - MonotonicClock.signedMilliseconds
            if left <= 0 { return }
            // Other transfers move meanwhile.
            try loop.drive(waitMilliseconds: min(left, 1000))
        }
    }

    /// One request as it stands.
    private func send(_ request: HTTPRequest, what: String) throws(RegistryError) -> HTTPResponse {
        let transfer = try start(request, receive: nil)
        try loop.finish(transfer)
        if let error = failure(of: transfer, what: what) { throw error }
        return transfer.response
    }

    func start(
        _ request: HTTPRequest,
        receive: ((HTTPResponse, UnsafeRawBufferPointer) throws(RegistryError) -> Void)?
    ) throws(RegistryError) -> Transfer {
        let transfer = try Transfer(request, tls: tls, limits: options.limits, receive: receive)
        try loop.start(transfer)
        return transfer
    }

    // MARK: Authorization

    /// The header for requests within `scopes`; nil when none is wanted.
    private func authorization(scopes: [String]) throws(RegistryError) -> String? {
        // First contact says whether any is needed.
        _ = try baseURL()
        let key = scopes.joined(separator: " ")
        if let known = authorizations[key] { return known }
        let header: String?
        if let bearer = challenges.first(where: { $0.scheme == "bearer" }) {
            header = "Bearer " + (try token(bearer, scopes: scopes))
        } else if challenges.contains(where: { $0.scheme == "basic" }) {
            guard case .password(let user, let password) = try credentials(scopes) else { return nil }
            header = "Basic " + Base64.encode(Array("\(user):\(password)".utf8))
        } else {
            header = nil
        }
        authorizations[key] = header
        return header
    }

    private func credentials(_ scopes: [String]) throws(RegistryError) -> Credentials {
        if let given = options.givenCredentials { return given }
        let repository = scopes.first.flatMap { $0.split(separator: ":").dropFirst().first } ?? ""
        return try options.credentials.credentials(host: host, repository: String(repository))
    }

    /// A token from the service that the challenge names: distribution, "Token Authentication Specification".
    private func token(_ challenge: Challenge, scopes: [String]) throws(RegistryError) -> String {
        guard let realm = challenge.parameters["realm"], realm.hasPrefix("https://") || realm.hasPrefix("http://")
        else {
            throw RegistryError(.other, "\(host) asks for a token but names no service that gives one")
        }
        if base?.hasPrefix("https:") == true, realm.hasPrefix("http://"), !isInsecure {
            throw RegistryError(
                .other, "\(host) sends its users to \(realm), which does not use TLS; credentials are not sent there")
        }
        let service = challenge.parameters["service"]
        var request: HTTPRequest
        let credentials = try credentials(scopes)
        if case .identityToken(let refresh) = credentials {
            var form = "grant_type=refresh_token&client_id=samara&refresh_token=" + QueryText.encode(refresh)
            if let service { form += "&service=" + QueryText.encode(service) }
            if !scopes.isEmpty { form += "&scope=" + QueryText.encode(scopes.joined(separator: " ")) }
            request = HTTPRequest("POST", realm)
            request.headers.append(("Content-Type", "application/x-www-form-urlencoded"))
            request.body = .bytes(Array(form.utf8))
        } else {
            var query: [String] = []
            if let service { query.append("service=" + QueryText.encode(service)) }
            for scope in scopes { query.append("scope=" + QueryText.encode(scope)) }
            let separator = realm.contains("?") ? "&" : "?"
            request = HTTPRequest("GET", query.isEmpty ? realm : realm + separator + query.joined(separator: "&"))
            if case .password(let user, let password) = credentials {
                request.headers.append(("Authorization", "Basic " + Base64.encode(Array("\(user):\(password)".utf8))))
            }
        }
        let what = "a token"
        let response = try retrying(what) { () throws(RegistryError) in
            let response = try send(request, what: what)
            if !response.isSuccess { throw RegistryError.answer(response, what: what, host: host) }
            return response
        }
        guard let json = try? JSON.parse(response.body),
            let token = json["token"]?.stringValue ?? json["access_token"]?.stringValue, !token.isEmpty
        else { throw RegistryError(.other, "the token service of \(host) gave no token") }
        return token
    }
}

extension Registry {
    /// Why a transfer failed before an answer was complete; nil when it did not.
    func failure(of transfer: Transfer, what: String) -> RegistryError? {
        if let failure = transfer.failure { return failure }
        guard let result = transfer.result, result != CURLE_OK else { return nil }
        func error(_ cause: RegistryError.Cause, _ text: String, isTemporary: Bool = false) -> RegistryError {
            var error = RegistryError(cause, text)
            error.isTemporary = isTemporary
            return error
        }
        let problem = transfer.problem
        switch result {
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY:
            return error(
                .network, "cannot find the address of \(host) for \(what) (\(problem)); check the name and the network")
        case CURLE_COULDNT_CONNECT:
            return error(
                .network,
                "cannot connect to \(host) for \(what) (\(problem)); check that the registry runs and is reachable",
                isTemporary: true)
        case CURLE_SSL_CONNECT_ERROR:
            return error(
                .notTLS,
                "\(host) does not speak TLS as it should (\(problem)); a registry without TLS must be marked insecure in registries.conf, or use --tls-verify=false"
            )
        case CURLE_PEER_FAILED_VERIFICATION:
            return error(
                .untrusted,
                "the certificate of \(host) is not trusted (\(problem)); put its authority's certificate into certs.d/\(host)/ca.crt or --cert-dir"
            )
        case CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CERTPROBLEM:
            return error(.other, "the certificates configured for \(host) cannot be used (\(problem))")
        case CURLE_TOO_MANY_REDIRECTS:
            return error(
                .other, "\(host) redirects \(what) in a circle (more than 10 times); its configuration is wrong")
        case CURLE_UNSUPPORTED_PROTOCOL:
            return error(.other, "\(host) redirects \(what) to an address that is not allowed (\(problem))")
        case CURLE_OPERATION_TIMEDOUT:
            return error(
                .network, "\(host) was too slow for \(what) (\(problem)); try again later", isTemporary: true)
        case CURLE_PARTIAL_FILE, CURLE_RECV_ERROR, CURLE_SEND_ERROR, CURLE_GOT_NOTHING, CURLE_HTTP2, CURLE_HTTP2_STREAM:
            return error(
                .network, "\(host) cut the connection for \(what) (\(problem)); try again", isTemporary: true)
        default:
            return error(.other, "the transfer of \(what) from \(host) failed (\(problem))")
        }
    }
}
