// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// curl, dig and ping in the pod.
enum ProgramChecks {
    static func run() throws {
        let port = RemoteServices.web
        let hosts = ["10.0.2.2", "[fd00::2]", "203.0.113.7", "[2001:db8:1::7]"]
        for host in hosts {
            Check.equal(
                try output("/usr/bin/curl -sS --noproxy '*' -m 10 'http://\(host):\(port)/'"), "reached\n",
                "curl of \(host)")
        }
        Check.equal(
            try output("/usr/bin/curl -sS --noproxy '*' -m 10 http://10.0.2.2:\(RemoteServices.echo)/ || echo $?")
                .hasSuffix("7\n"), true, "curl of a port that is not open")
        for server in ["10.0.2.3", "fd00::3"] {
            for transport in ["+notcp", "+tcp"] {
                Check.equal(
                    try output("/usr/bin/dig +short +time=5 +tries=1 \(transport) @\(server) web.test A"),
                    "192.0.2.1\n",
                    "dig \(transport) of \(server)")
            }
        }
        for gateway in ["10.0.2.2", "fd00::2"] {
            let text = try output("/usr/bin/ping -n -c 1 -W 5 \(gateway)")
            Check.equal(text.contains(" 0% packet loss"), true, "ping of \(gateway): \(text)")
        }
    }

    /// What a command line writes, errors included.
    private static func output(_ command: String) throws -> String {
        let pair = try UnixSocket.pair(type: Int32(SOCK_STREAM.rawValue))
        let child = try spawn("/bin/sh", ["-c", "exec >&3 2>&3; \(command)"], [pair.second.raw])
        _ = dup2(2, pair.second.raw)
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(pair.first.raw, &buffer, buffer.count, 0)
            if count <= 0 { break }
            text += buffer[..<count]
        }
        _ = try Process.wait(pid: child)
        return String(decoding: text, as: UTF8.self)
    }
}
