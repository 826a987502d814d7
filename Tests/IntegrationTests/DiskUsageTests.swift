// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    @Suite struct DiskUsageTests {
        @Test func usageIsShownAndPruned() throws {
            let samara = try Samara.fresh()
            let empty = try samara.run("system", "df", "--format", "{{.Type}} {{.Total}} {{.Size}}")
            #expect(empty.lines == ["Images 0 0B", "Containers 0 0B", "Local Volumes 0 0B"], "\(empty)")
            try samara.succeed("load", "-i", "\(samara.images)/busybox.tar", timeout: .seconds(60))
            try samara.succeed("tag", "busybox", "other")
            try samara.succeed("volume", "create", "kept")
            try samara.succeed(
                "run", "--name", "box", "-v", "used:/data", "busybox", "sh", "-c",
                "head -c 100000 /dev/zero > /file; head -c 5000 /dev/zero > /data/f")
            let full = try samara.run("system", "df", "--format", "{{.Type}} {{.Total}} {{.Active}} {{.RawSize}}")
            #expect(
                full.lines.dropFirst().elementsEqual(["Containers 1 0 100000", "Local Volumes 2 1 5000"]), "\(full)")
            #expect(full.lines.first?.hasPrefix("Images 1 1 ") == true, "\(full)")
            let table = try samara.run("system", "df")
            #expect(
                table.lines.first?.split(separator: " ").map(String.init) == [
                    "TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE",
                ])
            #expect(try samara.succeed("system", "df", "-v").contains("Local Volumes space usage:"))
            #expect(try samara.run("system", "df", "-v", "--format", "json").status == 125)

            // Nothing happens without a yes.
            let no = try samara.run(["system", "prune"], stdin: "n\n")
            #expect(no.status == 0 && no.stdout.contains("WARNING! This command removes:"), "\(no)")
            #expect(try samara.succeed("ps", "-aq") != "")
            let some = try samara.run("system", "prune", "--force")
            #expect(
                some.status == 0 && some.stdout.contains("Deleted Containers")
                    && some.stdout.contains("Total reclaimed space: 100kB"), "\(some)")
            #expect(try samara.succeed("volume", "ls", "-q").contains("kept"))
            let rest = try samara.run("system", "prune", "--force", "--all", "--volumes")
            #expect(
                rest.status == 0 && rest.stdout.contains("Deleted Volumes") && rest.stdout.contains("Deleted Images"),
                "\(rest)")
            #expect(samara.storeContents.isEmpty, "\(samara.storeContents)")
            #expect(try samara.succeed("volume", "ls", "-q").isEmpty)
            try samara.destroy()
        }
    }
}
