// SPDX-License-Identifier: Apache-2.0
import JSON
import LinuxSystem
import SystemPackage

/// Why a registry could not be used: one sentence naming the thing, the place, the cause and the remedy.
package struct RegistryError: Error, Equatable, CustomStringConvertible {
    package enum Cause: Equatable, Sendable {
        /// 401: no credentials, or wrong ones.
        case unauthorized
        /// 403
        case forbidden
        /// 404
        case notFound
        /// 429
        case limited
        /// 5xx
        case serverFailed
        /// No connection, or a cut one.
        case network
        /// The other side does not speak TLS.
        case notTLS
        /// The certificate is not trusted.
        case untrusted
        /// Content that is not what it should be.
        case damaged
        case other
    }

    package var cause: Cause
    package var description: String
    /// Trying again may help.
    var isTemporary = false
    /// Seconds that the server asked to wait: RFC 9110, 10.2.3.
    var retryAfter: Int64?

    package init(_ cause: Cause, _ description: String) {
        self.cause = cause
        self.description = description
    }

    /// `verb "subject": kernel text`.
    package init(_ verb: String, _ subject: String, _ error: Errno) {
        self.init(.other, "\(verb) \"\(subject)\": \(error.text)")
    }

    /// The same with the number of tries, once no more are made.
    func afterTries(_ count: Int) -> RegistryError {
        var copy = self
        copy.isTemporary = false
        if count > 1 { copy.description += " (tried \(count) times)" }
        return copy
    }
}

extension RegistryError {
    /// What an answer other than the wanted one means.
    ///
    /// - Parameters:
    ///   - what: what was asked for, as a noun: "the manifest of docker.io/library/nginx:latest".
    ///   - host: the registry.
    static func answer(_ response: HTTPResponse, what: String, host: String) -> RegistryError {
        let said = message(response.body).map { ": \($0)" } ?? ""
        let status = "\(response.status)\(StatusText.text(response.status))"
        var error: RegistryError
        switch response.status {
        case 401:
            error = RegistryError(
                .unauthorized,
                "\(host) wants credentials for \(what), or refuses the ones given (\(status)\(said)); log in with \"samara login \(host)\""
            )
        case 403:
            error = RegistryError(
                .forbidden,
                "\(host) denies access to \(what) (\(status)\(said)); log in with \"samara login \(host)\" as a user who may"
            )
        case 404:
            error = RegistryError(.notFound, "\(host) does not have \(what) (\(status)\(said)); check the name")
        case 429:
            error = RegistryError(
                .limited,
                "\(host) limits the rate of requests for \(what) (\(status)\(said)); try again later or log in")
            error.isTemporary = true
        case 408, 500...599:
            error = RegistryError(
                .serverFailed, "\(host) failed to answer for \(what) (\(status)\(said)); try again later")
            error.isTemporary = true
        case 300...399:
            error = RegistryError(
                .other, "\(host) redirects \(what) to nowhere (\(status)); its configuration is wrong")
        default:
            error = RegistryError(.other, "\(host) answered for \(what) with \(status)\(said)")
        }
        error.retryAfter = response.header("retry-after").flatMap { Int64($0) }
        return error
    }

    /// The registry's own words: distribution-spec, "Error Codes".
    private static func message(_ body: [UInt8]) -> String? {
        guard let json = try? JSON.parse(body) else { return nil }
        let errors = json["errors"]?.arrayValue ?? []
        let texts = errors.compactMap { entry -> String? in
            let text = entry["message"]?.stringValue ?? entry["code"]?.stringValue
            return text.map { $0.filter { !$0.isNewline } }
        }
        if !texts.isEmpty { return texts.joined(separator: ", ") }
        return json["details"]?.stringValue ?? json["message"]?.stringValue
    }
}

/// The names of RFC 9110's status codes that registries use.
enum StatusText {
    static func text(_ status: Int) -> String {
        switch status {
        case 400: " Bad Request"
        case 401: " Unauthorized"
        case 403: " Forbidden"
        case 404: " Not Found"
        case 405: " Method Not Allowed"
        case 408: " Request Timeout"
        case 413: " Content Too Large"
        case 416: " Range Not Satisfiable"
        case 429: " Too Many Requests"
        case 500: " Internal Server Error"
        case 502: " Bad Gateway"
        case 503: " Service Unavailable"
        case 504: " Gateway Timeout"
        default: ""
        }
    }
}
