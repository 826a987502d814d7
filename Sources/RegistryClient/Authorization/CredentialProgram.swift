// SPDX-License-Identifier: Apache-2.0
import JSON
import LinuxSystem
import SystemPackage

/// A program `docker-credential-NAME` that keeps credentials: docker-credential-helpers, "Development".
struct CredentialProgram {
    let name: String
    let environment: (String) -> String?

    private var program: String? {
        // A name is part of a program's name, never a path.
        if name.isEmpty || name.contains("/") { return nil }
        return (environment("PATH") ?? "/usr/bin:/bin").split(separator: ":")
            .map { "\($0)/docker-credential-\(name)" }
            .first { File.exists($0) }
    }

    /// The credentials it has for a server; none when it has none.
    func get(_ server: String) throws(RegistryError) -> Credentials {
        guard let program else {
            throw RegistryError(
                .other,
                "the credential helper docker-credential-\(name), which the file with credentials names, is not in PATH; install it"
            )
        }
        let (status, output) = try run(program, "get", input: server)
        let text = String(decoding: output.prefix(200).filter { $0 != 10 && $0 != 13 }, as: UTF8.self)
        if status != .exited(0) {
            // The one failure that means "nothing here": credentials.errCredentialsNotFoundMessage.
            if text.contains("credentials not found") { return .none }
            throw RegistryError(.other, "the credential helper \(program) failed for \(server): \(text)")
        }
        guard let json = try? JSON.parse(output), let user = json["Username"]?.stringValue,
            let secret = json["Secret"]?.stringValue
        else {
            throw RegistryError(
                .other,
                "the credential helper \(program) did not answer with credentials: \(text.isEmpty ? "it said nothing" : "its output is not the protocol's")"
            )
        }
        return user == "<token>" ? .identityToken(secret) : .password(user: user, password: secret)
    }

    private func run(
        _ program: String, _ verb: String, input: String
    ) throws(RegistryError) -> (status: ExitStatus, output: [UInt8]) {
        do throws(Errno) {
            let sending = try PipePair.make()
            let receiving = try PipePair.make()
            let pid = try Spawn.start(
                program, [verb], descriptors: [sending.readEnd.raw, receiving.writeEnd.raw, 2])
            let writer = sending.keepingWriteEnd()
            let reader = receiving.keepingReadEnd()
            // A server's name fits a pipe's buffer; a helper that does not read it is no failure.
            do throws(Errno) { try File.writeAll(writer.raw, Array(input.utf8)) } catch .brokenPipe {}
            try writer.close()
            let output = try File.readAll(reader, limit: 1 << 20)
            return (try Process.wait(pid: pid), output)
        } catch {
            throw RegistryError("run the credential helper", program, error)
        }
    }
}
