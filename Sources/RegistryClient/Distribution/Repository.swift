// SPDX-License-Identifier: Apache-2.0
import OCISpec

/// A manifest or an index as a registry sent it.
package struct RemoteDocument {
    package var bytes: [UInt8]
    /// As the registry says it; the document may say it itself.
    package var mediaType: String
}

/// One repository of a registry.
package struct Repository {
    package let registry: Registry
    /// Below the registry: `library/nginx`.
    package let path: String

    package init(_ registry: Registry, path: String) {
        self.registry = registry
        self.path = path
    }

    var pullScope: String { "repository:\(path):pull" }
    var pushScope: String { "repository:\(path):pull,push" }

    func url(_ rest: String) throws(RegistryError) -> String { try registry.baseURL() + "/v2/\(path)/" + rest }

    /// The manifest or index behind a tag or a digest: distribution-spec, "Pulling manifests". Its digest is the
    /// caller's to verify.
    package func document(_ reference: String, what: String) throws(RegistryError) -> RemoteDocument {
        var request = HTTPRequest("GET", try url("manifests/\(reference)"))
        // Schema 1 is accepted so that the refusal can say what is wrong.
        request.headers = [
            MediaType.index, MediaType.manifest, MediaType.dockerIndex, MediaType.dockerManifest,
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
        ].map { ("Accept", $0) }
        let response = try registry.request(request, scopes: [pullScope], what: what)
        if !response.isSuccess { throw RegistryError.answer(response, what: what, host: registry.host) }
        let type = response.header("content-type")?.prefix { $0 != ";" && $0 != " " } ?? ""
        return RemoteDocument(bytes: response.body, mediaType: String(type))
    }

    /// Whether the repository has a blob: distribution-spec, "Checking if content exists in the registry".
    package func hasBlob(_ digest: Digest) throws(RegistryError) -> Bool {
        let what = "the blob \(digest)"
        let response = try registry.request(
            HTTPRequest("HEAD", try url("blobs/\(digest)")), scopes: [pushScope], what: what)
        if response.isSuccess { return true }
        if response.status == 404 { return false }
        throw RegistryError.answer(response, what: what, host: registry.host)
    }

    /// Sends a blob, or has the registry take it from another of its repositories: distribution-spec, "Pushing blobs"
    /// and "Mounting a blob from another repository".
    ///
    /// - Parameter other: a repository of the same registry that may have the blob.
    /// - Returns: true when nothing had to be sent.
    package func push(
        _ digest: Digest, from source: any UploadSource, mountFrom other: String?
    ) throws(RegistryError) -> Bool {
        let what = "the blob \(digest)"
        return try registry.retrying(what) { () throws(RegistryError) in
            var scopes = [pushScope]
            var address = "blobs/uploads/"
            if let other {
                scopes.append("repository:\(other):pull")
                address += "?mount=\(QueryText.encode(digest.description))&from=\(QueryText.encode(other))"
            }
            let opened = try registry.request(
                HTTPRequest("POST", try url(address)), scopes: scopes, what: "an upload to \(path)")
            if opened.status == 201 { return true }
            guard opened.status == 202, let location = opened.header("location") else {
                throw RegistryError.answer(opened, what: "an upload to \(path)", host: registry.host)
            }
            var request = HTTPRequest(
                "PUT", try registry.absolute(location, query: "digest=" + QueryText.encode(digest.description)))
            request.headers = [("Content-Type", "application/octet-stream")]
            request.body = .stream(source)
            try source.seek(to: 0)
            // An upload may lead to another host, which brings its own authorization in the address.
            if request.url.hasPrefix(try registry.baseURL() + "/") {
                request = try registry.authorized(request, scopes: scopes)
            }
            let transfer = try registry.start(request, receive: nil)
            try registry.loop.finish(transfer)
            if let error = registry.failure(of: transfer, what: what) { throw error }
            if transfer.response.status == 401 { try registry.renew(transfer.response, scopes: scopes) }
            guard transfer.response.isSuccess else {
                throw RegistryError.answer(transfer.response, what: "the upload of \(what)", host: registry.host)
            }
            return false
        }
    }

    /// Stores a manifest under a tag or its digest: distribution-spec, "Pushing manifests".
    package func putDocument(
        _ bytes: [UInt8], mediaType: String, reference: String, what: String
    ) throws(RegistryError) {
        var request = HTTPRequest("PUT", try url("manifests/\(reference)"))
        request.headers = [("Content-Type", mediaType)]
        request.body = .bytes(bytes)
        let response = try registry.request(request, scopes: [pushScope], what: what)
        if !response.isSuccess { throw RegistryError.answer(response, what: what, host: registry.host) }
    }
}

extension Registry {
    /// A Location header as a whole URL, with one more parameter.
    func absolute(_ location: String, query: String) throws(RegistryError) -> String {
        let whole = location.hasPrefix("/") ? try baseURL() + location : location
        return whole + (whole.contains("?") ? "&" : "?") + query
    }
}
