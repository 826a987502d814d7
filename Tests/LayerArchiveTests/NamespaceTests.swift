// SPDX-License-Identifier: Apache-2.0
import FaultyServer
import Foundation
import ImageStore
import LayerArchive
import LinuxSystem
import OCISpec
import Testing

/// Commands as root of a new user namespace.
enum UserNamespace {
    struct Outcome {
        var status: Int32
        var output: String
        var error: String
    }

    static let isAvailable = (try? run(["true"]))?.status == 0

    /// Beside the test program.
    static var program: String {
        get throws {
            URL(fileURLWithPath: try File.readLink("/proc/self/exe")).deletingLastPathComponent().path + "/samara-image"
        }
    }

    /// Runs a command as root of a new user and mount namespace with the user's subordinate ids.
    static func run(_ command: [String]) throws -> Outcome {
        let process = Foundation.Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/unshare")
        process.arguments = ["--user", "--mount", "--map-root-user", "--map-auto", "--"] + command
        let (output, error) = (Pipe(), Pipe())
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = error
        try process.run()
        let outputText = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let errorText = String(decoding: error.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return Outcome(status: process.terminationStatus, output: outputText, error: errorText)
    }
}

/// The built `samara-image` inside a user namespace, as `samara` runs it.
@Suite(.enabled(if: UserNamespace.isAvailable, "needs newuidmap and a range in /etc/subuid and /etc/subgid"))
struct NamespaceTests {
    let directory = FileManager.default.temporaryDirectory.path + "/samara-namespace-" + UUID().uuidString

    /// Runs `body` with a directory that is removed by the namespace's root, whose ids own what is in it.
    func withDirectory(_ body: () throws -> Void) throws {
        try Directory.make(directory)
        defer { _ = try? UserNamespace.run(["rm", "-rf", directory]) }
        try body()
    }

    func archive(_ body: (inout TarBuilder) -> Void) throws -> String {
        let path = directory + "/image.tar"
        try File.write(path, try OCIArchive(layers: [TarBuilder.build(body)]).bytes)
        return path
    }

    func load(_ path: String) throws -> UserNamespace.Outcome {
        try UserNamespace.run([try UserNamespace.program, "--root", directory + "/store", "load", "-i", path])
    }

    func layer() throws -> String {
        let store = ImageStore(root: directory + "/store")
        return try #require(store.layerPaths(of: try store.resolve("example.com/image:1")).first)
    }

    @Test func ownersSetIDBitsAndCapabilitiesAreKept() throws {
        try withDirectory { () throws in
            // VFS_CAP_REVISION_2, effective, cap_net_raw: capabilities(7), linux/capability.h.
            let capability: [UInt8] = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
            let path = try archive {
                $0.add("owned", mode: 0o4755, user: 33, group: 44, content: "x")
                $0.add("last", mode: 0o2755, user: 65535, group: 65535)
                $0.add("home", type: "5", mode: 0o2770, user: 1000, group: 1000)
                $0.add("home/link", type: "2", user: 5, group: 6, link: "x")
                $0.extended([("SCHILY.xattr.security.capability", capability)])
                $0.add("ping", mode: 0o755)
            }
            let outcome = try load(path)
            #expect(outcome.output == "Loaded image: example.com/image:1\n")
            #expect(outcome.error == "" && outcome.status == 0)
            let listing = try UserNamespace.run(
                [
                    "sh", "-c", "cd \"$0\" && stat -c '%n %u %g %a' owned last home home/link && getcap ping || true",
                    try layer(),
                ])
            #expect(
                listing.output.contains(
                    "owned 33 44 4755\nlast 65535 65535 2755\nhome 1000 1000 2770\nhome/link 5 6 777\n"), "\(listing)")
            let ping = try File.open(try layer() + "/ping", 0)
            // As this namespace's user sees it: revision 3 with the owner's id.
            let stored = try OpenFile.extendedAttribute(ping, PathBytes("security.capability"))
            #expect(stored?.prefix(8) == [1, 0, 0, 3, 0, 0x20, 0, 0])
        }
    }

    @Test func anOwnerOutsideTheMapIsAnErrorWithTheRemedy() throws {
        try withDirectory { () throws in
            let outcome = try load(try archive { $0.add("big", user: 2_000_000) })
            #expect(outcome.status == 125)
            #expect(
                outcome.error.hasPrefix("Error: the layer's entry \"big\" belongs to 2000000:0, which is not mapped"),
                "\(outcome)")
            #expect(outcome.error.contains("/etc/subuid"))
            #expect(try Directory.names(directory + "/store/tmp").isEmpty)
        }
    }

    @Test func aFullDiskIsOneSentenceAndChangesNothing() throws {
        try withDirectory { () throws in
            let small = try archive { $0.add("small", content: "x") }
            let large = directory + "/large.tar"
            var image = OCIArchive(layers: [
                TarBuilder.build { $0.add(Array("l".utf8), content: [UInt8](repeating: 7, count: 3 << 20)) }
            ])
            image.name = "example.com/large:1"
            try File.write(large, try image.bytes)
            try Directory.make(directory + "/store")
            let script = """
                mount -t tmpfs -o size=4m none "$2/store" || exit 9
                "$1" --root "$2/store" load -i "$3" && before=$(cd "$2/store" && find . -printf '%p %s %m\\n' | sort)
                "$1" --root "$2/store" load -i "$4"
                echo "status $?"
                [ "$before" = "$(cd "$2/store" && find . -printf '%p %s %m\\n' | sort)" ] && echo unchanged
                """
            let outcome = try UserNamespace.run([
                "sh", "-c", script, "sh", try UserNamespace.program, directory, small, large,
            ])
            #expect(outcome.output == "Loaded image: example.com/image:1\nstatus 125\nunchanged\n", "\(outcome)")
            #expect(outcome.error.contains("No space left on device; remove images"), "\(outcome)")
            #expect(outcome.error.split(separator: "\n").count == 1)
        }
    }

    @Test func aFullDiskEndsAPullLikewise() throws {
        try withDirectory { () throws in
            let small = try archive { $0.add("small", content: "x") }
            let image = try ServedImage([[UInt8](repeating: 7, count: 6 << 20)])
            let server = try FaultyServer { image.reply($0) }
            defer { server.stop() }
            try Directory.make(directory + "/store")
            let script = """
                mount -t tmpfs -o size=4m none "$2/store" || exit 9
                "$1" --root "$2/store" load -i "$3" && before=$(cd "$2/store" && find . -printf '%p %s %m\\n' | sort)
                "$1" --root "$2/store" pull -q "$4"
                echo "status $?"
                [ "$before" = "$(cd "$2/store" && find . -printf '%p %s %m\\n' | sort)" ] && echo unchanged
                """
            let outcome = try UserNamespace.run([
                "sh", "-c", script, "sh", try UserNamespace.program, directory, small, server.host + "/large:1",
            ])
            #expect(outcome.output == "Loaded image: example.com/image:1\nstatus 125\nunchanged\n", "\(outcome)")
            #expect(outcome.error.contains("No space left on device; remove images"), "\(outcome)")
            #expect(outcome.error.split(separator: "\n").count == 1, "\(outcome)")
        }
    }

    @Test func whatAKilledLoadLeftIsSwept() throws {
        try withDirectory { () throws in
            let path = try archive { $0.add("f", user: 1, content: "x") }
            // Dies on a pipe that never ends, with half the archive staged.
            let script = """
                mkfifo "$2/pipe"
                "$1" --root "$2/store" load -i "$2/pipe" & pid=$!
                exec 3>"$2/pipe"
                head -c 2000 "$3" >&3
                until ls "$2"/store/tmp/staging-*/blobs/incoming-1; do :; done >/dev/null 2>&1
                kill -9 $pid; wait $pid 2>/dev/null
                ls "$2/store/tmp" | wc -l
                "$1" --root "$2/store" load -i "$3"
                ls "$2/store/tmp" | wc -l
                """
            let outcome = try UserNamespace.run(["sh", "-c", script, "sh", try UserNamespace.program, directory, path])
            #expect(outcome.output == "1\nLoaded image: example.com/image:1\n0\n", "\(outcome)")
        }
    }

    @Test func theCommandLineIsStrict() throws {
        try withDirectory { () throws in
            func error(_ arguments: [String]) throws -> String {
                let outcome = try UserNamespace.run([try UserNamespace.program] + arguments)
                #expect(outcome.status == 125 && outcome.output.isEmpty)
                return outcome.error
            }
            let root = ["--root", directory + "/store"]
            #expect(try error([]).contains("usage:"))
            #expect(try error(["--root", "relative", "load"]).contains("absolute"))
            #expect(
                try error(root)
                    == "Error: a command is missing (load, save, import, gc, pull, push, login, logout, check, export, diff, commit)\n"
            )
            #expect(
                try error(root + ["frob"])
                    == "Error: unknown command \"frob\" (load, save, import, gc, pull, push, login, logout, check, export, diff, commit)\n"
            )
            #expect(try error(root + ["load", "-i"]) == "Error: flag needs an argument: -i\n")
            #expect(try error(root + ["load", "-x"]) == "Error: unknown argument of load: \"-x\"\n")
            #expect(
                try error(root + ["load", "-i", "/nonexistent"])
                    == "Error: open \"/nonexistent\": No such file or directory\n")
            #expect(try error(root + ["save"]) == "Error: save needs at least one image\n")
            #expect(
                try error(root + ["save", "--format", "x", "y"])
                    == "Error: unknown format \"x\" (docker-archive, oci-archive, docker-dir, oci-dir)\n")
            #expect(try error(root + ["save", "-o", directory + "/o", "nosuch"]) == "Error: nosuch: image not known\n")
            #expect(!File.exists(directory + "/o"))
            #expect(try error(root + ["gc", "x"]) == "Error: gc takes no argument, not \"x\"\n")
        }
    }
}
