// SPDX-License-Identifier: Apache-2.0
import FaultyServer
import Foundation
import Testing

@testable import RegistryClient

/// Credentials in a home of the test's own.
final class CredentialTests {
    let home = FileManager.default.temporaryDirectory.path + "/samara-credentials-" + UUID().uuidString

    deinit { try? FileManager.default.removeItem(atPath: home) }

    private func write(_ path: String, _ text: String, mode: Int = 0o600) throws {
        let url = URL(fileURLWithPath: home + "/" + path)
        try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: url)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: url.path)
    }

    private func store(_ more: [String: String] = [:], authFile: String? = nil) -> CredentialStore {
        let environment = ["HOME": home].merging(more) { $1 }
        return CredentialStore(authFile: authFile, environment: { environment[$0] })
    }

    @Test func base64() {
        #expect(Base64.encode(Array("user:secret".utf8)) == "dXNlcjpzZWNyZXQ=")
        for text in ["", "a", "ab", "abc", "abcd", "\u{0}\u{ff}é"] {
            #expect(Base64.decode(Base64.encode(Array(text.utf8))) == Array(text.utf8))
        }
        #expect(Base64.decode("dXNlcjpzZWNyZXQ") == Array("user:secret".utf8))
        for bad in ["a", "a*bc", "ab=c"] { #expect(Base64.decode(bad) == nil) }
    }

    @Test func challenges() {
        let parsed = Challenge.parse(
            #"Bearer realm="https://auth.example/token",service="a, \"b\"",scope="repository:x:pull,push", Basic realm=x"#
        )
        #expect(
            parsed == [
                Challenge(
                    scheme: "bearer",
                    parameters: [
                        "realm": "https://auth.example/token", "service": "a, \"b\"", "scope": "repository:x:pull,push",
                    ]),
                Challenge(scheme: "basic", parameters: ["realm": "x"]),
            ])
        #expect(Challenge.parse("").isEmpty)
        #expect(
            Challenge.parse("Bearer realm=\"unfinished") == [
                Challenge(scheme: "bearer", parameters: ["realm": "unfinished"])
            ])
    }

    @Test func theLongestKeyWins() throws {
        try write(
            ".config/containers/auth.json",
            #"{"auths":{"example.com":{"auth":"YTpi"},"example.com/team/app":{"auth":"Yzpk"}}}"#)
        #expect(
            try store().credentials(host: "example.com", repository: "other") == .password(user: "a", password: "b"))
        #expect(
            try store().credentials(host: "example.com", repository: "team/app/x")
                == .password(user: "c", password: "d"))
        #expect(try store().credentials(host: "example.org", repository: "team/app") == .none)
    }

    @Test func dockerFilesAreRead() throws {
        try write(
            ".docker/config.json",
            #"{"auths":{"https://index.docker.io/v1/":{"auth":"YTpi"},"tokens.io":{"identitytoken":"t"}},"psFormat":"x"}"#
        )
        #expect(
            try store().credentials(host: "docker.io", repository: "library/x") == .password(user: "a", password: "b"))
        #expect(try store().credentials(host: "tokens.io", repository: "") == .identityToken("t"))
    }

    @Test func loginsAreWrittenAndRemovedAndTheRestStays() throws {
        let path = home + "/auth.json"
        try write("auth.json", #"{"credHelpers":{"x":"y"},"auths":{"old.io":{"auth":"YTpi"}}}"#)
        let store = store(authFile: path)
        try store.save(.password(user: "u", password: "p:q"), key: "new.io")
        #expect(try store.credentials(host: "new.io", repository: "") == .password(user: "u", password: "p:q"))
        #expect(try store.credentials(host: "old.io", repository: "") == .password(user: "a", password: "b"))
        #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o600)
        #expect(try store.remove(key: "new.io"))
        #expect(try !store.remove(key: "new.io"))
        #expect(try store.credentials(host: "new.io", repository: "") == .none)
        #expect(
            String(decoding: try Data(contentsOf: URL(fileURLWithPath: path)), as: UTF8.self).contains("credHelpers"))
    }

    @Test func helpersAreAsked() throws {
        try write(
            "bin/docker-credential-test",
            """
            #!/bin/sh
            read server
            case "$server" in
            known.io) echo '{"ServerURL":"known.io","Username":"h","Secret":"s"}' ;;
            token.io) echo '{"Username":"<token>","Secret":"t"}' ;;
            broken.io) echo 'no keyring'; exit 1 ;;
            *) echo 'credentials not found in native keychain'; exit 1 ;;
            esac
            """, mode: 0o755)
        try write(".docker/config.json", #"{"credsStore":"test","credHelpers":{"gone.io":"missing"}}"#)
        let store = store(["PATH": home + "/bin:/usr/bin:/bin"])
        #expect(try store.credentials(host: "known.io", repository: "") == .password(user: "h", password: "s"))
        #expect(try store.credentials(host: "token.io", repository: "") == .identityToken("t"))
        #expect(try store.credentials(host: "unknown.io", repository: "") == .none)
        let broken = #expect(throws: RegistryError.self) { try store.credentials(host: "broken.io", repository: "") }
        #expect(broken?.description.contains("no keyring") == true)
        let missing = #expect(throws: RegistryError.self) { try store.credentials(host: "gone.io", repository: "") }
        #expect(missing?.description.contains("docker-credential-missing") == true)
    }

    @Test(arguments: ["[]", "{", #"{"auths":{"x.io":{"auth":"!!"}}}"#, #"{"auths":{"x.io":{"auth":"YWI="}}}"#])
    func damagedFilesAreNamed(_ text: String) throws {
        try write("auth.json", text)
        let error = #expect(throws: RegistryError.self) {
            try store(authFile: home + "/auth.json").credentials(host: "x.io", repository: "")
        }
        #expect(error?.description.contains(home + "/auth.json") == true)
    }

    /// Any bytes end in credentials or in an error that names the file, never in a trap.
    @Test func damagedFilesAreSurvived() throws {
        let seed = UInt64.random(in: .min ... .max)
        print("damagedFilesAreSurvived: seed \(seed)")
        var mutation = Mutation(seed: seed)
        let corpus = [
            #"{"auths":{"x.io":{"auth":"dXNlcjpzZWNyZXQ="},"https://x.io/v1/":{"identitytoken":"t"}}}"#,
            #"{"auths":{"x.io/a/b":{"auth":"YTpi","username":"u","password":"p"}},"credHelpers":{}}"#,
        ].map { Array($0.utf8) }
        try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
        for _ in 0..<1500 {
            let bytes = mutation.damaged(corpus)
            try Data(bytes).write(to: URL(fileURLWithPath: home + "/auth.json"))
            do { _ = try store(authFile: home + "/auth.json").credentials(host: "x.io", repository: "a/b") } catch {
                #expect(error.description.contains("auth.json"), "seed \(seed): \(error)")
            }
        }
    }
}
