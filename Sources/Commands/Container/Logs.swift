// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine
import LinuxSystem
import Monitor
import Presentation

func logsCommand() -> Command<Session> {
    Command("logs", summary: "Fetch the logs of one or more containers") {
        CommandDeclaration(
            description: """
                Retrieves logs for one or more containers.

                This does not guarantee execution order when combined with samara run (i.e., your run may not have generated any logs at the time you execute samara logs).
                """,
            usage: "[options] CONTAINER [CONTAINER...]",
            examples: [
                "samara logs ctrID", "samara logs --names ctrID1 ctrID2", "samara logs --tail 2 mywebserver",
                "samara logs --follow=true --since 10m ctrID", "samara logs mywebserver mydbserver",
            ],
            flags: LogText.flags + [ContainerTargets.latest],
            run: { session, arguments in
                let query = try LogText.query(arguments, now: .now)
                let engine = try session.engine(arguments)
                let targets = try ContainerTargets.select(arguments, engine, hasAll: false)
                let containers = try targets.map { try $0.container(engine) }
                try LogText.print(containers, query, engine)
                return 0
            })
    }
}

/// What `logs` and `pod logs` share.
enum LogText {
    static var flags: [Flag] {
        [
            .bool("color", help: "Output the containers with different colors in the log."),
            .bool("follow", short: "f", help: "Follow log output."),
            .bool("names", short: "n", help: "Output the container names in the log"),
            .string("since", help: "Show logs since TIMESTAMP"),
            .int(
                "tail", default: -1,
                help:
                    "Output the specified number of LINES at the end of the logs.  Defaults to -1, which prints all lines"
            ),
            .bool("timestamps", short: "t", help: "Output the timestamps in the log"),
            .string("until", help: "Show logs until TIMESTAMP"),
        ]
    }

    static func query(_ arguments: ParsedArguments, now: Moment) throws -> LogQuery {
        var query = LogQuery()
        query.color = arguments.bool("color")
        query.follow = arguments.bool("follow")
        query.names = arguments.bool("names")
        query.timestamps = arguments.bool("timestamps")
        let tail = arguments.int("tail")
        query.tail = tail < 0 ? nil : tail
        query.since = try moment(arguments, "since", now)
        query.until = try moment(arguments, "until", now)
        return query
    }

    private static func moment(
        _ arguments: ParsedArguments, _ name: String, _ now: Moment
    ) throws -> LinuxSystem.Timestamp? {
        guard let text = arguments.stringIfSet(name), !text.isEmpty else { return nil }
        let moment = try Moment.interpreting(text, now: now, direction: name == "since" ? .past : .future)
        return LinuxSystem.Timestamp(seconds: moment.seconds, nanoseconds: moment.nanoseconds)
    }

    static func print(_ containers: [Container], _ query: LogQuery, _ engine: Engine) throws {
        // The descriptors live as long as the reader waits on them.
        var pidfds: [SharedDescriptor] = []
        var sources: [LogSource] = []
        for container in containers {
            let record = container.record
            if record.logDriver == "none" {
                throw Failure(
                    "this container is using the 'none' log driver, cannot read logs: this container is not logging output"
                )
            }
            let monitor = query.follow ? container.state.monitor.flatMap(SharedDescriptor.init) : nil
            if let monitor { pidfds.append(monitor) }
            sources.append(
                LogSource(
                    path: engine.logPath(of: container), id: record.id, name: record.name,
                    wakeDescriptor: monitor?.raw,
                    isRunning: { (try? engine.container(record.id).isRunning) ?? false }))
        }
        do { try LogReader.run(sources, query) } catch { throw Failure(error.description) }
        withExtendedLifetime(pidfds) {}
    }

    /// A pidfd that several closures may keep.
    private final class SharedDescriptor {
        private let descriptor: OwnedFD
        var raw: Int32 { descriptor.raw }

        init?(_ process: ProcessIdentity) {
            guard let opened = try? process.open() else { return nil }
            descriptor = opened
        }
    }
}
