// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc

/// What one scenario does between the common beginning and the common end.
protocol Scenario {
    /// Fills the report as far as it gets.
    mutating func run(report: inout Report) throws

    /// Removes what engines keep; processes and files are ended and removed by the caller.
    func cleanUp()
}

@main
enum Benchmark {
    static func main() {
        var arguments = Array(CommandLine.arguments.dropFirst())
        if arguments.contains("--help") || arguments.contains("-h") {
            print(Options.usage, terminator: "")
            return
        }
        if arguments.isEmpty { arguments = ["--help"] }
        do {
            let options = try Options(arguments)
            guard getuid() != 0 else {
                throw BenchError(
                    "this measures what an unprivileged user gets, and root is exempt from limits: run hack/bench")
            }
            exit(try run(options))
        } catch {
            FileHandle.standardError.write(Data("samara-bench: \(error)\n".utf8))
            exit(1)
        }
    }

    private static func run(_ options: Options) throws -> Int32 {
        let workspace = try Workspace()
        let runner = try ProcessRunner(directory: workspace.path)
        let progress = Progress()
        var report = Report(scenario: options.scenario, facts: .gather(workspace: workspace.path))
        let tools = Tools(ProcessInfo.processInfo.environment)
        let holder: UserNamespace
        do { holder = try UserNamespace(tools, workspace, runner) } catch {
            runner.endEverything()
            try? FileManager.default.removeItem(atPath: workspace.path)
            throw error
        }
        var scenario: any Scenario =
            switch options.scenario {
            case "forward": ForwardScenario(options, tools, workspace, runner, holder, progress)
            default: StartScenario(options, tools, workspace, runner, holder, progress)
            }
        var status: Int32 = 0
        do { try scenario.run(report: &report) } catch is Interrupted {
            report.stopped = "interrupted"
            status = 130
        } catch {
            report.stopped = "\(error)"
            status = 1
        }
        runner.ignoresInterrupts = true
        progress.end()
        progress.say("cleaning up")
        scenario.cleanUp()
        // Podman's pause process and Samara's holder have nothing to hold any more, and would write where they live.
        runner.endEverything(except: holder.pid)
        holder.remove(workspace.path)
        holder.end()
        runner.endEverything()
        try? FileManager.default.removeItem(atPath: workspace.path)
        if FileManager.default.fileExists(atPath: workspace.path) {
            progress.say("\(workspace.path) could not be removed whole")
        }
        report.facts.loadAverageAfter = ((try? String(contentsOfFile: "/proc/loadavg", encoding: .utf8)) ?? "")
            .trimmingCharacters(in: .newlines)
        print(report.text, terminator: "")
        if let json = options.json { try report.write(to: json) }
        return status
    }
}
