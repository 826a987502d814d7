// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension Integration {
    /// Which images `images` shows.
    @Suite struct ImageListingTests {
        let samara: Samara
        init() throws { samara = try Samara.shared() }

        private func names(_ arguments: String...) throws -> [String] { try names(arguments) }

        private func names(_ arguments: [String]) throws -> [String] {
            let result = try samara.run(["images", "--format", "{{.Repository}}:{{.Tag}}"] + arguments)
            #expect(result.status == 0, "\(result)")
            return result.lines.sorted()
        }

        private func commit(_ image: String, as name: String, _ change: String) throws {
            try samara.succeed("create", "--name", "c", image)
            try samara.succeed("commit", "-q", "--pause=false", "--change", change, "c", name)
            try samara.succeed("rm", "c")
        }

        @Test func filters() throws {
            try commit("busybox", as: "localhost/base:1", "LABEL tier=web")
            try commit("localhost/base:1", as: "localhost/child:1", "LABEL stage=two")
            defer { _ = try? samara.run("rmi", "-f", "localhost/child:1", "localhost/base:1") }
            let (base, child) = ("localhost/base:1", "localhost/child:1")
            let distribution = [
                "docker.io/library/busybox:latest", "docker.io/library/nginx:latest", "docker.io/library/redis:latest",
            ]
            #expect(try names() == distribution + [base, child])
            #expect(try names("-a") == names())
            let cases: [(filters: [String], names: [String])] = [
                (["label=tier"], [base, child]), (["label=tier=web", "label=stage=two"], [child]),
                (["label!=stage"], distribution + [base]), (["reference=localhost/*"], [base, child]),
                (["reference=base", "reference=*/child"], [base, child]), (["reference!=localhost/*"], distribution),
                (["since=localhost/base:1"], [child]), (["after=localhost/base:1"], [child]),
                (["before=localhost/child:1", "label=tier"], [base]), (["until=2000-01-01"], []),
                (["dangling=true"], []), (["dangling=false", "label=tier"], [base, child]), (["intermediate=true"], []),
                (["readonly=true"], []), (["readonly=false", "label=tier"], [base, child]), (["manifest=true"], []),
                (["containers=true"], []),
            ]
            for (filters, expected) in cases {
                let found = try names(filters.flatMap { ["--filter", $0] })
                #expect(found == expected, "\(filters)")
            }
            for (filter, text) in [
                ("colour=red", "unsupported image filter"), ("dangling=maybe", "must be true or false"),
                ("label", "of the form"),
            ] {
                let result = try samara.run("images", "--filter", filter)
                #expect(result.status == 125 && result.stderr.contains(text), "\(result)")
            }

            // Without a name, and another image stands on it: Podman calls that intermediate and shows it on request.
            try samara.succeed("untag", base)
            #expect(try names("--filter", "label=tier") == [child])
            #expect(try names("-a", "--filter", "label=tier") == ["<none>:<none>", child])
            #expect(try names("-a", "--filter", "intermediate=true") == ["<none>:<none>"])
            #expect(try names("-a", "--filter", "dangling=true") == [])
            // Nobody stands on it any more.
            try samara.succeed("rmi", child)
            #expect(try names("--filter", "dangling=true") == ["<none>:<none>"])
            #expect(try names("-a", "--filter", "intermediate=true") == [])
            #expect(try samara.succeed("image", "prune", "-f").count == 64)
            let table = try samara.run("images", "--history", "busybox")
            #expect(table.lines.first?.hasSuffix("HISTORY") == true, "\(table)")
            #expect(table.lines.last?.hasSuffix("docker.io/library/busybox:latest") == true, "\(table)")
        }

        @Test func pausingIsRefused() throws {
            try samara.succeed("create", "--name", "c", "busybox")
            let result = try samara.run("commit", "--pause", "c", "localhost/paused:1")
            #expect(result.status == 125 && result.stderr.contains("--pause is not supported"), "\(result)")
            #expect(try samara.run("image", "exists", "localhost/paused:1").status == 1)
        }
    }
}
