// SPDX-License-Identifier: Apache-2.0
import CBench
import Foundation
import Glibc

@main
enum Benchmark {
    static func main() {
        var arguments = Array(CommandLine.arguments.dropFirst())
        if arguments.contains("--help") || arguments.contains("-h") {
            print(Options.usage, terminator: "")
            return
        }
        if arguments.isEmpty { arguments = ["--help"] }
        // A reader of the progress or the report that has gone must not end the benchmark before its cleanup. Commands get
        // the default back.
        signal(SIGPIPE, SIG_IGN)
        do {
            let options = try Options(arguments)
            if options.scenario == "report" { exit(try reuse(options)) }
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
        let began = cbench_now_ns()
        let workspace = try Workspace()
        let runner = try ProcessRunner(directory: workspace.path)
        let progress = Progress()
        var report = Report(
            command: options.command, scenario: options.scenario, facts: .gather(workspace: workspace.path))
        let tools = Tools(ProcessInfo.processInfo.environment)
        let holder: UserNamespace
        do { holder = try UserNamespace(tools, workspace, runner) } catch {
            runner.endEverything()
            try? FileManager.default.removeItem(atPath: workspace.path)
            throw error
        }
        let bench = Bench(
            options: options, tools: tools, workspace: workspace, runner: runner, holder: holder, progress: progress)
        let status = runAll(bench, &report)
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
        report.seconds = Double(cbench_now_ns() - began) / 1e9
        let found = try publish(report, options)
        return status == 0 ? found : status
    }

    /// Puts earlier reports together: the first one's machine, everybody's sections, the later file's where two have the
    /// same.
    private static func reuse(_ options: Options) throws -> Int32 {
        let reports = try options.files.map(Report.read)
        var whole = reports[0]
        for report in reports.dropFirst() {
            for section in report.metrics {
                whole.metrics.removeAll { $0.id == section.id }
                whole.metrics.append(section)
            }
            whole.command += "\n" + report.command
            whole.seconds += report.seconds
            whole.facts.containers.merge(report.facts.containers) { $1 }
            whole.facts.notes += report.facts.notes.filter { !whole.facts.notes.contains($0) }
        }
        return try publish(whole, options)
    }

    /// - Returns: 3 when the comparison found that something of Samara's got worse.
    private static func publish(_ report: Report, _ options: Options) throws -> Int32 {
        let comparison = try options.compare.map {
            Comparison(old: try Report.read($0), new: report, threshold: options.thresholdPercent / 100)
        }
        print(report.text, terminator: "")
        if let comparison { print("\n" + ComparisonTable(comparison).text) }
        if let json = options.json { try report.write(to: json) }
        if let html = options.html {
            let jsonName = options.json.map { String($0[($0.lastIndex(of: "/").map($0.index(after:)) ?? $0.startIndex)...]) }
            let text = HTMLReport(report: report, comparison: comparison, jsonName: jsonName).html
            do { try text.write(toFile: html, atomically: true, encoding: .utf8) } catch {
                throw BenchError("cannot write \(html): \(error.localizedDescription)")
            }
        }
        return comparison.map { $0.regressions.isEmpty ? 0 : 3 } ?? 0
    }

    /// The scenarios in turn, each cleaned up before the next. One that fails does not keep the others from running;
    /// an interrupt ends all.
    private static func runAll(_ bench: Bench, _ report: inout Report) -> Int32 {
        var status: Int32 = 0
        let names = bench.options.scenarios
        for (index, name) in names.enumerated() {
            guard let type = Scenarios.named(name) else { continue }
            var own = bench
            own.options.scenario = name
            bench.progress.secondsAfterwards = names[(index + 1)...].reduce(0) { sum, name in
                var options = bench.options
                options.scenario = name
                return sum + options.secondsPerGroup * Double(options.groups.count)
            }
            var scenario = type.init(own)
            do { try scenario.run(report: &report) } catch is Interrupted {
                report.stopped = "interrupted"
                status = 130
            } catch {
                let text = "\(name): \(error)"
                report.stopped = report.stopped.map { $0 + "; " + text } ?? text
                status = 1
            }
            bench.runner.ignoresInterrupts = true
            bench.progress.end()
            bench.progress.say("cleaning up")
            scenario.cleanUp()
            if status == 130 { break }
            bench.runner.ignoresInterrupts = false
        }
        bench.runner.ignoresInterrupts = true
        return status
    }
}
