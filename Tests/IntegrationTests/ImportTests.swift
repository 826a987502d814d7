// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    @Suite struct ImportTests {
        @Test(arguments: ["", "gzip", "zstd"])
        func anArchiveOfFilesIsAnImage(_ compression: String) throws {
            let samara = try Samara.shared()
            let folder = samara.home + "/import"
            defer { try? FileManager.default.removeItem(atPath: folder) }
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let script = """
                cd "$1" && "$2" save busybox > image.tar && mkdir image root && tar -xf image.tar -C image
                for layer in image/*.tar; do tar -xf "$layer" -C root; done
                tar -cf root.tar -C root . && case "$3" in "") cp root.tar in ;; *) "$3" -c root.tar > in ;; esac
                """
            let wrapper = folder + "/samara"
            let command = samara.command([]).map { "'\($0)'" }.joined(separator: " ")
            try Data("#!/bin/sh\nexec \(command) \"$@\"\n".utf8).write(to: URL(fileURLWithPath: wrapper))
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: wrapper)
            let made = try runCommand(
                ["/bin/sh", "-c", script, "sh", folder, wrapper, compression], environment: samara.environment,
                timeout: .seconds(60))
            try #require(made.status == 0, "\(made)")
            let id = try samara.succeed(
                "import", "-c", "CMD [\"echo\", \"from cmd\"]", "-c", "ENV A=1 B=\"two words\"", "-c", "LABEL x=y",
                "-m", "words",
                folder + "/in", "imported:1")
            #expect(id.hasPrefix("sha256:"))
            #expect(try samara.succeed("run", "--rm", "imported:1") == "from cmd")
            #expect(try samara.succeed("run", "--rm", "imported:1", "sh", "-c", "echo $A $B") == "1 two words")
            #expect(try samara.succeed("history", "--format", "{{.Comment}}", "imported:1") == "words")
            try samara.succeed("rmi", "imported:1")
        }

        @Test func wrongInputIsNamed() throws {
            let samara = try Samara.shared()
            let before = samara.storeContents
            let notTar = try samara.run(["import", "-"], stdin: "this is no archive, and it is longer than a word")
            #expect(notTar.status == 125 && notTar.stderr.hasPrefix("Error: "), "\(notTar)")
            let change = try samara.run(["import", "-c", "RUN x", "-"], stdin: "")
            #expect(change.status == 125 && change.stderr.contains("RUN is none of"), "\(change)")
            #expect(samara.storeContents == before)
        }
    }
}
