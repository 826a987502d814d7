// SPDX-License-Identifier: Apache-2.0
import CCurl
import LinuxSystem

/// One request on its way: a libcurl easy handle with its callbacks, libcurl-easy(3).
///
/// Made by `TransferLoop.start`. `result` is set when it has ended; the callbacks touch nothing but this object.
final class Transfer {
    let handle: UnsafeMutableRawPointer
    private let request: HTTPRequest
    private let bodyLimit: Int
    /// Takes the body of an answer with 200 or 206 instead of `response.body`; told the response at its first call.
    private let receive: ((HTTPResponse, UnsafeRawBufferPointer) throws(RegistryError) -> Void)?
    private var list: UnsafeMutablePointer<curl_slist>?
    private let errorText: UnsafeMutablePointer<CChar>
    private(set) var response = HTTPResponse()
    /// Thrown by `receive` or the upload's source inside a callback; libcurl only knows that it failed.
    private(set) var failure: RegistryError?
    /// libcurl's verdict; nil while the transfer runs.
    var result: CURLcode?

    init(
        _ request: HTTPRequest, tls: TLSSettings, limits: TransferLimits,
        receive: ((HTTPResponse, UnsafeRawBufferPointer) throws(RegistryError) -> Void)?
    ) throws(RegistryError) {
        guard let handle = curl_easy_init() else {
            throw RegistryError(.other, "cannot start a transfer: out of memory")
        }
        self.handle = handle
        self.request = request
        self.receive = receive
        bodyLimit = limits.largestDocument
        errorText = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        configure(limits)
        secure(tls)
        setBody()
    }

    deinit {
        // The loop has removed the handle from its set: libcurl's rule.
        curl_easy_cleanup(handle)
        curl_slist_free_all(list)
        errorText.deallocate()
    }

    /// libcurl's sentence about what went wrong.
    var problem: String {
        let text = String(cString: errorText)
        if !text.isEmpty { return text }
        return result.map { String(cString: curl_easy_strerror($0)) } ?? ""
    }

    /// Where the answer came from, after redirects.
    var finalURL: String { samara_curl_effective_url(handle).map { String(cString: $0) } ?? request.url }

    private func configure(_ limits: TransferLimits) {
        samara_curl_set_text(handle, CURLOPT_URL, request.url)
        samara_curl_set_text(handle, CURLOPT_USERAGENT, UserAgent.text)
        // HTTP/2 where TLS negotiates it, otherwise 1.1.
        samara_curl_set_long(handle, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_2TLS))
        samara_curl_set_long(handle, CURLOPT_NOSIGNAL, 1)
        samara_curl_set_long(handle, CURLOPT_TCP_KEEPALIVE, 1)
        samara_curl_set_long(handle, CURLOPT_CONNECTTIMEOUT, limits.connectSeconds)
        samara_curl_set_long(handle, CURLOPT_LOW_SPEED_LIMIT, limits.slowestRate)
        samara_curl_set_long(handle, CURLOPT_LOW_SPEED_TIME, limits.slowSeconds)
        samara_curl_set_long(handle, CURLOPT_BUFFERSIZE, 256 << 10)
        samara_curl_set_long(handle, CURLOPT_FOLLOWLOCATION, 1)
        samara_curl_set_long(handle, CURLOPT_MAXREDIRS, 10)
        // From TLS to plain text never.
        let isSecure = request.url.hasPrefix("https:")
        samara_curl_set_text(handle, CURLOPT_PROTOCOLS_STR, "http,https")
        samara_curl_set_text(handle, CURLOPT_REDIR_PROTOCOLS_STR, isSecure ? "https" : "http,https")
        setProxy(isSecure: isSecure)
        samara_curl_set_pointer(handle, CURLOPT_ERRORBUFFER, errorText)
        var headers = request.headers.map { "\($0.name): \($0.value)" }
        // Waiting a second for "100 Continue" from servers that do not know it costs more than it saves.
        headers.append("Expect:")
        for header in headers { list = curl_slist_append(list, header) }
        samara_curl_set_list(handle, CURLOPT_HTTPHEADER, list)
        if request.firstByte > 0 { samara_curl_set_text(handle, CURLOPT_RANGE, "\(request.firstByte)-") }

        let context = Unmanaged.passUnretained(self).toOpaque()
        samara_curl_set_callback(handle, CURLOPT_HEADERFUNCTION) { bytes, size, count, context in
            Transfer.from(context).header(UnsafeRawBufferPointer(start: bytes, count: size * count))
            return size * count
        }
        samara_curl_set_pointer(handle, CURLOPT_HEADERDATA, context)
        samara_curl_set_callback(handle, CURLOPT_WRITEFUNCTION) { bytes, size, count, context in
            Transfer.from(context).body(UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
        }
        samara_curl_set_pointer(handle, CURLOPT_WRITEDATA, context)
    }

    /// libcurl reads `https_proxy`, `HTTPS_PROXY`, `http_proxy`, `NO_PROXY`. Like Go's programs, whose users these are,
    /// `HTTP_PROXY` counts too (no client could have set it: this is no CGI program), and this machine itself is never
    /// asked for through a proxy.
    private func setProxy(isSecure: Bool) {
        let authority = request.url.drop { $0 != ":" }.dropFirst(3).prefix { $0 != "/" }
        let isLocal = ["localhost", "localhost:", "127.", "[::1]"].contains { prefix in
            prefix == "localhost" ? authority == prefix : authority.hasPrefix(prefix)
        }
        if isLocal {
            samara_curl_set_text(handle, CURLOPT_PROXY, "")
        } else if !isSecure, Identity.environment("http_proxy") == nil, let proxy = Identity.environment("HTTP_PROXY") {
            samara_curl_set_text(handle, CURLOPT_PROXY, proxy)
        }
    }

    private func secure(_ tls: TLSSettings) {
        if !tls.verifies {
            samara_curl_set_long(handle, CURLOPT_SSL_VERIFYPEER, 0)
            samara_curl_set_long(handle, CURLOPT_SSL_VERIFYHOST, 0)
        }
        // The system's authorities stay trusted through libcurl's default directory.
        if !tls.authorities.isEmpty {
            _ = tls.authorities.withUnsafeBytes {
                samara_curl_set_blob(handle, CURLOPT_CAINFO_BLOB, $0.baseAddress, $0.count)
            }
        }
        if let certificate = tls.clientCertificate { samara_curl_set_text(handle, CURLOPT_SSLCERT, certificate) }
        if let key = tls.clientKey { samara_curl_set_text(handle, CURLOPT_SSLKEY, key) }
    }

    private func setBody() {
        switch request.body {
        case .none:
            switch request.method {
            case "GET": break
            case "HEAD": samara_curl_set_long(handle, CURLOPT_NOBODY, 1)
            default:
                // An empty body with a length: servers refuse a POST without one.
                samara_curl_set_long(handle, CURLOPT_POSTFIELDSIZE, 0)
                samara_curl_set_text(handle, CURLOPT_COPYPOSTFIELDS, "")
                samara_curl_set_text(handle, CURLOPT_CUSTOMREQUEST, request.method)
            }
        case .bytes(let bytes):
            samara_curl_set_offset(handle, CURLOPT_POSTFIELDSIZE_LARGE, bytes.count)
            _ = bytes.withUnsafeBytes { samara_curl_set_bytes(handle, CURLOPT_COPYPOSTFIELDS, $0.baseAddress) }
            samara_curl_set_text(handle, CURLOPT_CUSTOMREQUEST, request.method)
        case .stream(let source):
            let context = Unmanaged.passUnretained(self).toOpaque()
            samara_curl_set_long(handle, CURLOPT_UPLOAD, 1)
            samara_curl_set_long(handle, CURLOPT_UPLOAD_BUFFERSIZE, 256 << 10)
            samara_curl_set_text(handle, CURLOPT_CUSTOMREQUEST, request.method)
            samara_curl_set_offset(handle, CURLOPT_INFILESIZE_LARGE, Int(source.size))
            samara_curl_set_callback(handle, CURLOPT_READFUNCTION) { bytes, size, count, context in
                Transfer.from(context).send(UnsafeMutableRawBufferPointer(start: bytes, count: size * count))
            }
            samara_curl_set_pointer(handle, CURLOPT_READDATA, context)
            samara_curl_set_seek(
                handle,
                { context, offset, _ in
                    Transfer.from(context).rewind(to: Int64(offset)) ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL
                },
                context)
        }
    }

    // MARK: Callbacks

    // SAFETY: libcurl calls back only while the handle is in the loop's set, and the loop keeps this object as long.
    private static func from(_ context: UnsafeMutableRawPointer?) -> Transfer {
        guard let context else { preconditionFailure("libcurl calls back with the context that it was given") }
        return Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
    }

    private func header(_ bytes: UnsafeRawBufferPointer) {
        let line = String(decoding: bytes, as: UTF8.self)
        if line.hasPrefix("HTTP/") {
            // The next answer: after a redirect, or after 100.
            response = HTTPResponse()
            response.status = line.split(separator: " ").dropFirst().first.flatMap { Int($0.prefix(3)) } ?? 0
            return
        }
        guard let colon = line.firstIndex(of: ":") else { return }
        var value = line[line.index(after: colon)...]
        while let last = value.last, last.isWhitespace { value.removeLast() }
        response.headers.append((line[..<colon].lowercased(), String(value.drop(while: \.isWhitespace))))
    }

    private func body(_ bytes: UnsafeRawBufferPointer) -> Bool {
        if failure != nil { return false }
        if response.status == 200 || response.status == 206, let receive {
            do throws(RegistryError) { try receive(response, bytes) } catch {
                failure = error
                return false
            }
            return true
        }
        if response.body.count + bytes.count > bodyLimit {
            failure = RegistryError(
                .damaged, "the answer of \(request.url) is larger than \(bodyLimit) bytes; it is not read")
            return false
        }
        response.body.append(contentsOf: bytes)
        return true
    }

    private func send(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard case .stream(let source) = request.body else { return 0 }
        do throws(RegistryError) { return try source.read(into: buffer) } catch {
            failure = error
            return Int(CURL_READFUNC_ABORT)
        }
    }

    private func rewind(to offset: Int64) -> Bool {
        guard case .stream(let source) = request.body else { return false }
        do throws(RegistryError) { try source.seek(to: offset) } catch {
            failure = error
            return false
        }
        return true
    }
}
