// SPDX-License-Identifier: Apache-2.0
import ContainerRuntime
import JSON
import LinuxSystem

/// Where errors and warnings go: standard error, and the file of --log as the caller wants it.
///
/// containerd reads the last line with level "error" of a JSON log, so a message is always one whole line.
struct RuntimeLog: Sendable {
    let path: String?
    let isJSON: Bool
    let isVerbose: Bool

    func error(_ message: String) {
        append("error", message)
        File.complain(message)
    }

    func warning(_ message: String) {
        append("warning", message)
        if isVerbose || path == nil { File.complain("warning: " + message) }
    }

    private func append(_ level: String, _ message: String) {
        guard let path else { return }
        let oneLine = message.split(separator: "\n").joined(separator: "; ")
        let time = Timestamp.now.rfc3339
        let line: String
        if isJSON {
            let json: JSON = ["level": .string(level), "msg": .string(oneLine), "time": .string(time)]
            line = json.serializedText()
        } else {
            line = "time=\"\(time)\" level=\(level) msg=\(JSON.string(oneLine).serializedText())"
        }
        // A log that cannot be written must not change what the command does.
        try? File.write(path, Array((line + "\n").utf8), flags: 0o2000 | 0o100)
    }
}
