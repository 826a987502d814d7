// SPDX-License-Identifier: Apache-2.0
//
// Theory of operation
//
// This module speaks to registries: OCI distribution-spec 1.1 and Docker's registry protocol, which is the same for
// images. It knows nothing of the image store; what it receives goes to a `BlobSink`, what it sends comes from an
// `UploadSource`.
//
//   RegistriesConfiguration   what a name means: mirrors, insecure registries, short names (registries.conf, v2)
//   CredentialStore           who the user is there (auth.json, config.json, credential helpers)
//   Registry                  one registry: scheme, authorization, requests with retries
//   BlobDownloads             several blobs at once, each resumed where its connection was cut
//   TransferLoop, Transfer    libcurl's multi interface
//
// One thread. Whoever needs bytes drives the loop, and all transfers move while one of them is waited for. A
// transfer's end only sets a mark; what follows from it (a retry, a token, the next blob) is decided by the transfer's
// owner outside libcurl's callbacks, because libcurl may not be called from there.
//
// - Credentials go to the registry that asked for them, and to the token service that it names, which must use TLS
//   when the registry does. libcurl drops the Authorization header when a redirect leads to another host or port.
// - TLS is verified unless the configuration or --tls-verify=false says otherwise; plain HTTP is spoken only there
//   and on this machine's own addresses, where nobody listens in between.
// - A request is tried again when trying may help: the connection failed or was cut, or the answer was 408, 429 or
//   5xx. A blob that made progress starts its count again.
// - A body is bounded: documents by `largestDocument`, blobs by the size that the manifest declares.

/// Limits and patience.
package struct TransferLimits: Sendable {
    /// How often a request is tried again.
    package var retries = 3
    /// Milliseconds before the first retry; each further one waits twice as long. Nil: one second.
    package var retryDelay: Int64?
    /// A transfer that stays below `slowestRate` bytes per second for this many seconds is given up.
    package var slowSeconds = 30
    package var slowestRate = 100
    /// Seconds for connecting, TLS included.
    package var connectSeconds = 20
    /// Bytes of a manifest, an index, a config or a token: what registries accept.
    package var largestDocument = 4 << 20
    /// Blobs on the way at the same time.
    package var parallelBlobs = 3

    package init() {}

    /// Milliseconds to wait before try number `failures` + 1.
    func delay(afterFailures failures: Int) -> Int64 {
        let first = retryDelay ?? 1000
        return first << Int64(min(max(0, failures - 1), 6))
    }
}

/// What a registry is asked by and for, in every message: `samara/VERSION`.
package enum UserAgent {
    static let text = "samara/0.1"
}
