// SPDX-License-Identifier: Apache-2.0
import FaultyServer
import Foundation
import LayerArchive
import OCISpec
import Synchronization
import Testing

@testable import RegistryClient

/// Collects a blob in memory.
final class MemorySink: BlobSink {
    var bytes: [UInt8] = []
    var isFinished = false
    func write(_ piece: UnsafeRawBufferPointer) { bytes += piece }
    func flush() {}
    func finish() { isFinished = true }
}

final class MemorySource: UploadSource {
    let bytes: [UInt8]
    private var offset = 0
    init(_ bytes: [UInt8]) { self.bytes = bytes }
    var size: Int64 { Int64(bytes.count) }
    func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(buffer.count, bytes.count - offset)
        buffer.copyBytes(from: bytes[offset..<(offset + count)])
        offset += count
        return count
    }
    func seek(to offset: Int64) { self.offset = Int(offset) }
}

/// A registry that misbehaves in one way at a time.
/// One after the other: each has a server with descriptors and ports of its own, which the next may get again.
@Suite(.serialized) struct RegistryTests {
    typealias Reply = FaultyServer.Reply
    typealias Request = FaultyServer.Request

    private func repository(
        _ server: FaultyServer, credentials: Credentials = .none, retries: Int = 2
    ) throws -> Repository {
        var options = RegistryOptions(credentials: CredentialStore(authFile: nil, environment: { _ in nil }))
        options.givenCredentials = credentials
        options.limits.retries = retries
        options.limits.retryDelay = 1
        options.limits.slowSeconds = 1
        let loop = try TransferLoop()
        return Repository(
            try Registry(host: server.host, isInsecure: false, loop: loop, options: options), path: "a/b")
    }

    private func failure<Result>(_ body: () throws -> Result) -> String {
        do {
            _ = try body()
            return "no error"
        } catch { return String(describing: error) }
    }

    private func download(_ repository: Repository, _ bytes: [UInt8], digest: String) throws -> MemorySink {
        let sink = MemorySink()
        let downloads = BlobDownloads(repository)
        let download = downloads.add(
            Descriptor(mediaType: "", digest: try Digest(digest), size: Int64(bytes.count)), to: sink)
        while !download.isComplete { try downloads.pump(waits: true) }
        return sink
    }

    private func blob(_ count: Int) throws -> (bytes: [UInt8], digest: String) {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
        return (bytes, try SHA256.digest(bytes).description)
    }

    // MARK: Documents

    @Test func documentsAreFetchedAndFailuresAreSentences() throws {
        let image = try ServedImage([Array("x".utf8)])
        let server = try FaultyServer { request in
            switch request.path {
            case "/v2/a/b/manifests/denied":
                Reply(403, body: Array(#"{"errors":[{"message":"not for you"}]}"#.utf8))
            case "/v2/a/b/manifests/secret": Reply(401)
            case "/v2/a/b/manifests/gone": .notFound
            default: image.reply(request)
            }
        }
        defer { server.stop() }
        let repository = try repository(server)
        let document = try repository.document("1", what: "the manifest")
        #expect(document.bytes == image.manifest)
        #expect(document.mediaType == MediaType.manifest)
        let denied = failure { try repository.document("denied", what: "the manifest of x") }
        #expect(denied.contains("denies access to the manifest of x (403 Forbidden: not for you)"), "\(denied)")
        let secret = failure { try repository.document("secret", what: "x") }
        #expect(secret.contains("wants credentials") && secret.contains("samara login \(server.host)"), "\(secret)")
        let gone = failure { try repository.document("gone", what: "x") }
        #expect(gone.contains("does not have x (404 Not Found: manifest unknown)"), "\(gone)")
    }

    @Test func serverErrorsAreTriedAgain() throws {
        let image = try ServedImage([])
        let count = Mutex(0)
        let server = try FaultyServer { request in
            guard request.path.contains("manifests") else { return image.reply(request) }
            let tries = count.withLock { value in
                value += 1
                return value
            }
            return tries < 3 ? Reply(tries == 1 ? 500 : 503) : image.reply(request)
        }
        defer { server.stop() }
        #expect(try repository(server).document("1", what: "x").bytes == image.manifest)
        count.withLock { $0 = -100 }
        let text = failure { try repository(server).document("1", what: "x") }
        #expect(text.contains("503 Service Unavailable") && text.hasSuffix("(tried 3 times)"), "\(text)")
    }

    @Test func retryAfterIsHonoured() throws {
        let image = try ServedImage([])
        let first = Mutex(true)
        let server = try FaultyServer { request in
            guard request.path.contains("manifests") else { return image.reply(request) }
            let isFirst = first.withLock { value in
                defer { value = false }
                return value
            }
            return isFirst ? Reply(429, headers: [("Retry-After", "1")]) : image.reply(request)
        }
        defer { server.stop() }
        let started = ContinuousClock.now
        #expect(try repository(server).document("1", what: "x").bytes == image.manifest)
        // The configured delay is one millisecond.
        #expect(ContinuousClock.now - started >= .milliseconds(900))
    }

    @Test func tooLargeDocumentsAreRefused() throws {
        let server = try FaultyServer { request in
            Reply(200, body: request.path == "/v2/" ? [] : [UInt8](repeating: 32, count: 5 << 20))
        }
        defer { server.stop() }
        #expect(failure { try repository(server).document("1", what: "x") }.contains("larger than 4194304 bytes"))
    }

    // MARK: Redirects

    @Test func credentialsStayWithTheirHost() throws {
        let image = try ServedImage([])
        let other = try FaultyServer { image.reply($0) }
        defer { other.stop() }
        let target = other.host
        let server = try FaultyServer { request in
            guard request.headers["authorization"] == "Basic dTpw" else {
                return Reply(401, headers: [("WWW-Authenticate", "Basic realm=\"x\"")])
            }
            return Reply(307, headers: [("Location", "http://\(target)\(request.path)")])
        }
        defer { server.stop() }
        let repository = try repository(server, credentials: .password(user: "u", password: "p"))
        #expect(try repository.document("1", what: "x").bytes == image.manifest)
        #expect(!other.requests.isEmpty)
        #expect(other.requests.allSatisfy { $0.headers["authorization"] == nil })
    }

    @Test func aCircleOfRedirectsEnds() throws {
        let server = try FaultyServer { request in
            request.path == "/v2/" ? Reply(200) : Reply(302, headers: [("Location", request.path)])
        }
        defer { server.stop() }
        #expect(failure { try repository(server).document("1", what: "x") }.contains("redirects x in a circle"))
    }

    // MARK: Tokens

    @Test func tokensAreFetchedOncePerScopeAndRenewed() throws {
        let image = try ServedImage([])
        let tokens = Mutex(0)
        let address = Mutex("")
        let server = try FaultyServer { request in
            if request.path.hasPrefix("/token") {
                let number = tokens.withLock { value in
                    value += 1
                    return value
                }
                return Reply(200, body: Array("{\"token\":\"t\(number)\"}".utf8))
            }
            // The first token is refused once: it expired.
            if request.headers["authorization"] == "Bearer t2" { return image.reply(request) }
            let host = address.withLock { $0 }
            return Reply(
                401, headers: [("WWW-Authenticate", "Bearer realm=\"http://\(host)/token\",service=\"reg\"")])
        }
        defer { server.stop() }
        address.withLock { $0 = server.host }
        let repository = try repository(server, credentials: .password(user: "u", password: "p"))
        #expect(try repository.document("1", what: "x").bytes == image.manifest)
        #expect(try repository.document("1", what: "x").bytes == image.manifest)
        let asked = server.requests.filter { $0.path.hasPrefix("/token") }
        #expect(asked.count == 2)
        #expect(asked[0].path == "/token?service=reg&scope=repository%3Aa%2Fb%3Apull")
        #expect(asked[0].headers["authorization"] == "Basic dTpw")
    }

    @Test func identityTokensAreExchanged() throws {
        let image = try ServedImage([])
        let address = Mutex("")
        let server = try FaultyServer { request in
            if request.path == "/token" {
                let form = String(decoding: request.body, as: UTF8.self)
                let isRight = request.method == "POST" && form.contains("refresh_token=id%2Btoken")
                return isRight ? Reply(200, body: Array(#"{"access_token":"good"}"#.utf8)) : Reply(400)
            }
            if request.headers["authorization"] == "Bearer good" { return image.reply(request) }
            return Reply(
                401, headers: [("WWW-Authenticate", "Bearer realm=\"http://\(address.withLock { $0 })/token\"")])
        }
        defer { server.stop() }
        address.withLock { $0 = server.host }
        let repository = try repository(server, credentials: .identityToken("id+token"))
        #expect(try repository.document("1", what: "x").bytes == image.manifest)
    }

    // MARK: Blobs

    @Test func aCutBlobIsResumed() throws {
        let (bytes, digest) = try blob(300_000)
        let image = try ServedImage([])
        let server = try FaultyServer { request in
            guard request.path.hasSuffix(digest) else { return image.reply(request) }
            let first = request.headers["range"].flatMap { Int($0.dropFirst(6).dropLast()) } ?? 0
            var reply = Reply(first == 0 ? 200 : 206, body: Array(bytes[first...]))
            if first > 0 { reply.headers = [("Content-Range", "bytes \(first)-\(bytes.count - 1)/\(bytes.count)")] }
            if first < 200_000 { reply.cutAfter = 70_000 }
            return reply
        }
        defer { server.stop() }
        // Four connections with one retry each: progress starts the count again.
        let sink = try download(try repository(server, retries: 1), bytes, digest: digest)
        #expect(sink.bytes == bytes)
        #expect(sink.isFinished)
        let ranges = server.requests.filter { $0.path.hasSuffix(digest) }.map { $0.headers["range"] }
        #expect(ranges == [nil, "bytes=70000-", "bytes=140000-", "bytes=210000-"])
    }

    @Test func aServerWithoutRangesSendsAllAgain() throws {
        let (bytes, digest) = try blob(100_000)
        let image = try ServedImage([])
        let count = Mutex(0)
        let server = try FaultyServer { request in
            guard request.path.hasSuffix(digest) else { return image.reply(request) }
            var reply = Reply(200, body: bytes)
            if count.withLock({ value in
                value += 1; return value
            }) == 1 {
                reply.cutAfter = 33_333
            }
            return reply
        }
        defer { server.stop() }
        #expect(try download(try repository(server), bytes, digest: digest).bytes == bytes)
    }

    @Test func aWrongPartIsRefused() throws {
        let (bytes, digest) = try blob(1000)
        let image = try ServedImage([])
        let server = try FaultyServer { request in
            guard request.path.hasSuffix(digest) else { return image.reply(request) }
            if request.headers["range"] != nil {
                return Reply(206, headers: [("Content-Range", "bytes 900-999/1000")], body: Array(bytes[900...]))
            }
            var reply = Reply(200, body: bytes)
            reply.cutAfter = 500
            return reply
        }
        defer { server.stop() }
        #expect(
            failure { try download(try repository(server), bytes, digest: digest) }.contains(
                "sends another part of the blob"))
    }

    @Test func moreBytesThanDeclaredAreRefused() throws {
        let (bytes, digest) = try blob(1000)
        let image = try ServedImage([])
        let server = try FaultyServer { $0.path.hasSuffix(digest) ? Reply(200, body: bytes + [1]) : image.reply($0) }
        defer { server.stop() }
        #expect(failure { try download(try repository(server), bytes, digest: digest) }.contains("more for the blob"))
    }

    @Test func aShortBlobIsAnErrorInTheEnd() throws {
        let (bytes, digest) = try blob(1000)
        let image = try ServedImage([])
        let server = try FaultyServer {
            $0.path.hasSuffix(digest) ? Reply(200, body: Array(bytes.prefix(10))) : image.reply($0)
        }
        defer { server.stop() }
        let text = failure { try download(try repository(server, retries: 1), bytes, digest: digest) }
        #expect(text.contains("after 10 of 1000 bytes"), "\(text)")
    }

    @Test func aSilentServerIsGivenUp() throws {
        let (bytes, digest) = try blob(1000)
        let image = try ServedImage([])
        let server = try FaultyServer { request in
            guard request.path.hasSuffix(digest) else { return image.reply(request) }
            var reply = Reply(200, body: bytes)
            reply.stallAfter = 10
            return reply
        }
        defer { server.stop() }
        let text = failure { try download(try repository(server, retries: 0), bytes, digest: digest) }
        #expect(text.contains("was too slow for the blob"), "\(text)")
    }

    @Test func noRegistryAtAll() throws {
        let server = try FaultyServer { _ in Reply(200) }
        server.stop()
        let text = failure { try repository(server, retries: 1).document("1", what: "x") }
        #expect(text.contains("cannot connect to \(server.host)") && text.hasSuffix("(tried 2 times)"), "\(text)")
    }

    // MARK: Pushing

    @Test func anUploadElsewhereGetsNoCredentials() throws {
        let (bytes, digest) = try blob(1000)
        let other = try FaultyServer { _ in Reply(201) }
        defer { other.stop() }
        let target = other.host
        let server = try FaultyServer { request in
            guard request.headers["authorization"] == "Basic dTpw" else {
                return Reply(401, headers: [("WWW-Authenticate", "Basic realm=\"x\"")])
            }
            return Reply(202, headers: [("Location", "http://\(target)/upload")])
        }
        defer { server.stop() }
        let repository = try repository(server, credentials: .password(user: "u", password: "p"))
        _ = try repository.push(try Digest(digest), from: MemorySource(bytes), mountFrom: nil)
        #expect(other.requests.count == 1)
        #expect(other.requests.first?.headers["authorization"] == nil)
    }

    @Test func blobsAreUploadedOrMounted() throws {
        let (bytes, digest) = try blob(200_000)
        let image = try ServedImage([])
        let server = try FaultyServer { request in
            if request.method == "POST" {
                if request.path.contains("from=mine") { return Reply(201) }
                return Reply(202, headers: [("Location", "/upload/1?state=x")])
            }
            if request.method == "PUT" { return Reply(request.body == bytes ? 201 : 400) }
            return image.reply(request)
        }
        defer { server.stop() }
        let repository = try repository(server)
        #expect(try repository.push(try Digest(digest), from: MemorySource(bytes), mountFrom: nil) == false)
        let put = try #require(server.requests.first { $0.method == "PUT" })
        #expect(put.path == "/upload/1?state=x&digest=" + digest.replacingOccurrences(of: ":", with: "%3A"))
        #expect(try repository.push(try Digest(digest), from: MemorySource(bytes), mountFrom: "mine"))
        #expect(server.requests.count { $0.method == "PUT" } == 1)
        // Not mountable: sent.
        #expect(try repository.push(try Digest(digest), from: MemorySource(bytes), mountFrom: "other") == false)
    }

    // MARK: Tags

    @Test func tagsComeInPages() throws {
        let server = try FaultyServer { request in
            switch request.path {
            case "/v2/": Reply(200)
            case "/v2/a/b/tags/list":
                Reply(
                    200, headers: [("Link", "</v2/a/b/tags/list?n=2&last=two>; rel=\"next\"")],
                    body: Array(#"{"name":"a/b","tags":["one","two"]}"#.utf8))
            case "/v2/a/b/tags/list?n=2&last=two": Reply(200, body: Array(#"{"name":"a/b","tags":["three"]}"#.utf8))
            default: .notFound
            }
        }
        defer { server.stop() }
        #expect(try repository(server).tags() == ["one", "two", "three"])
    }

    @Test(arguments: [
        ("[]", nil, "no list of tags"), (#"{"tags":[1]}"#, nil, "no list of tags"), ("<html>", nil, "no list of tags"),
        (#"{"tags":["x"]}"#, "<http://192.0.2.1/v2/a/b/tags/list>; rel=\"next\"", "goes on at another host"),
        (#"{"tags":["x"]}"#, "</v2/a/b/tags/list>; rel=\"next\"", "does not end"), (#"{"tags":null}"#, nil, "no error"),
    ])
    func listsOfTagsThatLie(_ body: String, _ link: String?, _ text: String) throws {
        let server = try FaultyServer { request in
            if request.path == "/v2/" { return Reply(200) }
            return Reply(200, headers: link.map { [("Link", $0)] } ?? [], body: Array(body.utf8))
        }
        defer { server.stop() }
        let repository = try repository(server)
        #expect(failure { try repository.tags(pages: 3) }.contains(text))
    }
}
