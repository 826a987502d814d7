// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

/// Debian's docker-registry, started on loopback with a configuration and storage of its own.
final class Registry {
    enum Guard {
        case nobody
        /// htpasswd with the user `me` and the password `secret`.
        case password
    }

    let folder: String
    let port: UInt16
    let usesTLS: Bool
    private var server: ChildProcess?

    var host: String { "localhost:\(port)" }
    /// The folder with the authority's certificate, for --cert-dir.
    var certificates: String { folder + "/certs" }

    init(_ guardedBy: Guard = .nobody, tls: Bool = false) throws {
        var template = Array("/tmp/smrg.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw HarnessError("mkdtemp: errno \(errno)") }
        folder = template.withUnsafeBufferPointer { String(cString: $0.baseAddress.unsafelyUnwrapped) }
        port = try freePort()
        usesTLS = tls
        var configuration = """
            version: 0.1
            log: {level: error, accesslog: {disabled: true}}
            storage:
              filesystem: {rootdirectory: \(folder)/data}
            http:
              addr: 127.0.0.1:\(port)

            """
        if tls {
            try makeCertificates()
            configuration += "  tls: {certificate: \(folder)/server.crt, key: \(folder)/server.key}\n"
        }
        if guardedBy == .password {
            let hash = try tool(["htpasswd", "-Bbn", "me", "secret"]).text
            try Data((hash + "\n").utf8).write(to: URL(fileURLWithPath: folder + "/htpasswd"))
            configuration += "auth:\n  htpasswd: {realm: test, path: \(folder)/htpasswd}\n"
        }
        try Data(configuration.utf8).write(to: URL(fileURLWithPath: folder + "/config.yml"))
        try start()
    }

    func start() throws {
        server = try ChildProcess(
            ["/usr/bin/docker-registry", "serve", folder + "/config.yml"], environment: ["PATH": "/usr/bin:/bin"])
        try eventually("the registry answers") {
            let answer = try runCommand(
                [
                    "/usr/bin/curl", "-sk", "-o", "/dev/null", "--max-time", "2",
                    "\(usesTLS ? "https" : "http")://\(host)/v2/",
                ],
                environment: ["PATH": "/usr/bin:/bin"])
            return answer.status == 0
        }
    }

    func end() {
        server?.killAndReap()
        server = nil
    }

    func destroy() {
        end()
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// Runs a program of the system, which must succeed.
    @discardableResult
    func tool(_ command: [String]) throws -> CommandResult {
        let path = ["/usr/bin/", "/bin/", "/usr/sbin/"].map { $0 + command[0] }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
        let result = try runCommand(
            [try #require(path, "\(command[0]) is not installed; hack/setup installs it")] + command.dropFirst(),
            environment: ["PATH": "/usr/bin:/bin", "HOME": folder], timeout: .seconds(60))
        guard result.status == 0 else { throw HarnessError("\(result)") }
        return result
    }

    private func makeCertificates() throws {
        try FileManager.default.createDirectory(atPath: certificates, withIntermediateDirectories: true)
        try tool([
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
            "2",
            "-subj", "/CN=test authority", "-keyout", folder + "/ca.key", "-out", certificates + "/ca.crt",
        ])
        try tool([
            "openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
            "/CN=localhost", "-keyout", folder + "/server.key", "-out", folder + "/server.csr",
        ])
        try Data("subjectAltName=DNS:localhost,IP:127.0.0.1\n".utf8).write(to: URL(fileURLWithPath: folder + "/san"))
        try tool([
            "openssl", "x509", "-req", "-in", folder + "/server.csr", "-CA", certificates + "/ca.crt", "-CAkey",
            folder + "/ca.key", "-CAcreateserial", "-days", "2", "-extfile", folder + "/san", "-out",
            folder + "/server.crt",
        ])
    }
}

extension Samara {
    /// What the store has: nothing of a failed command may be among it.
    var storeContents: [String] {
        ["blobs/sha256", "layers", "images", "tags", "tmp"].flatMap { folder in
            ((try? FileManager.default.contentsOfDirectory(atPath: "\(root)/\(folder)")) ?? []).map {
                "\(folder)/\($0)"
            }
        }.sorted()
    }
}
