// SPDX-License-Identifier: Apache-2.0

/// A program of a peer that has said its version.
struct PeerTool {
    /// "1.28"
    let version: String
    /// The peer with the version: "crun 1.28".
    let name: String
    let path: String

    /// The versions of a peer's program that the options ask for. One that is asked for and not installed, or that
    /// cannot even say its version, is named among the absent.
    ///
    /// - Parameter peer: the peer's name, where its program has another one: bubblewrap's is bwrap.
    /// - Parameter paths: where the program is, when not where `tools` find it.
    /// - Parameter ask: says the version of the program at a path, or throws a `BenchError`.
    static func find(
        _ program: String, peer: String? = nil, at paths: [String]? = nil, _ tools: Tools, _ options: Options,
        version ask: (String) throws -> String
    ) throws -> (found: [PeerTool], absent: [AbsentPeer]) {
        let peer = peer ?? program
        var found: [PeerTool] = []
        var absent: [AbsentPeer] = []
        let paths = paths ?? tools.versions(of: program)
        if paths.isEmpty, options.mentions(peer) { absent.append(AbsentPeer(peer: peer, reason: "not installed")) }
        for path in paths {
            do {
                var version = try ask(path)
                // Debian's pasta of 2022 says "unknown version".
                if version == ProcessRunner.unknownVersion, path == tools.installed(program) { version = "installed" }
                let name = "\(peer) \(version)"
                if options.includes(name) { found.append(PeerTool(version: version, name: name, path: path)) }
            } catch let error as BenchError {
                guard options.mentions(peer) || options.includes(path) else { continue }
                absent.append(AbsentPeer(peer: path, reason: error.description))
            }
        }
        return (found, absent)
    }
}
