// SPDX-License-Identifier: Apache-2.0
//
// Theory of operation
//
// `-p 8080:80,mode=activate` hands the listening socket itself to the container's program, in the way of systemd:
// descriptors from 3 on, LISTEN_FDS their number, LISTEN_PID the program's pid (1), LISTEN_FDNAMES one name each,
// `80/tcp`: sd_listen_fds(3). Nothing forwards, so it is as fast as without a container and clients keep their
// address, also with --network none. The price: the program has a socket of the host's network namespace, which a
// hostile one can turn around and connect with; hence only when asked for.
//
// The command that starts the container binds the sockets, its monitor keeps them, so that a restarted program gets
// them again, and they close before the container counts as ended.
import CLinux
import LinuxSystem
import PodNetwork
import SystemPackage

extension Engine {
    /// The specifications of -p apart: those that are forwarded, and those with mode=activate. A comma separates the
    /// values of -p, so the mode arrives as an element of its own behind its port.
    static func splitPublished(_ texts: [String]) -> (forwarded: [String], activated: [String]) {
        var groups: [[String]] = []
        for text in texts {
            if text.hasPrefix("mode="), !groups.isEmpty {
                groups[groups.count - 1].append(text)
            } else {
                groups.append([text])
            }
        }
        let isActivated = { (group: [String]) in group.last == "mode=activate" }
        return (groups.filter { !isActivated($0) }.flatMap(\.self), groups.filter(isActivated).flatMap(\.self))
    }

    /// Ports of -p as given.
    static func parsePorts(_ texts: [String]) throws(EngineError) -> [PortRecord] {
        var ports: [PortRecord] = []
        var last = 0..<0
        for text in texts {
            if text.hasPrefix("mode=") {
                guard !last.isEmpty, ["mode=activate", "mode=forward", "mode=loopback"].contains(text) else {
                    throw EngineError(
                        "invalid port \"\(text)\": behind a port, mode=forward, mode=loopback or mode=activate can be given"
                    )
                }
                for index in last {
                    ports[index].targetsLoopback = text == "mode=loopback"
                    if text == "mode=activate" { try activate(&ports[index]) }
                }
                continue
            }
            do {
                let parsed = try PublishedPort.parse(text).map(PortRecord.init)
                last = ports.count..<(ports.count + parsed.count)
                ports += parsed
            } catch { throw EngineError("invalid port \"\(text)\": \(error.message)") }
        }
        return ports
    }

    private static func activate(_ port: inout PortRecord) throws(EngineError) {
        if port.hostPort == 0 {
            throw EngineError(
                "invalid port \"\(port.containerPort),mode=activate\": it needs a host port, as in -p 8080:\(port.containerPort),mode=activate"
            )
        }
        port.isActivated = true
    }

    /// Whether this container's program can be handed sockets.
    func checkActivated(_ record: ContainerRecord, _ pod: PodRecord?) throws(EngineError) {
        guard record.ports.contains(where: \.isActivated) else { return }
        // LISTEN_PID has to be known before the program runs.
        if record.sharesHostPID || pod.map({ $0.shares("pid") && $0.hasInfra }) == true {
            throw EngineError("mode=activate needs a pid namespace of the container's own: do not share it")
        }
        if record.usesInit {
            throw EngineError("mode=activate and --init cannot be used together: init would get the sockets")
        }
    }

    /// Binds the sockets that the container's program gets.
    func bindActivated(_ record: ContainerRecord) throws(EngineError) -> BoundPorts {
        do {
            let bound = try BoundPorts(binding: record.activatedPorts.map(\.published))
            for descriptor in bound.descriptors {
                // As systemd hands them over; a program sets O_NONBLOCK itself if it wants that.
                let flags = try checked(samara_fcntl(descriptor, F_GETFL, 0))
                _ = try checked(samara_fcntl(descriptor, F_SETFL, Int(flags & ~O_NONBLOCK)))
            }
            return bound
        } catch let error as PortBindingError { throw EngineError(error.message) } catch {
            throw EngineError("cannot prepare the sockets of \(record.name): \(error)")
        }
    }
}

/// The sockets among a monitor's descriptors.
enum ActivatedSockets {
    static let first: Int32 = 3

    /// Moves `sockets` to the descriptors from `first` on, to stay open in the program, and `others` out of their way.
    /// - Returns: the new numbers of `others`.
    static func arrange(_ sockets: [Int32], others: [Int32]) throws(Errno) -> [Int32] {
        if sockets.isEmpty { return others }
        let end = Int(first) + sockets.count
        let moved = try others.map { (fd) throws(Errno) in try checked(samara_fcntl(fd, F_DUPFD_CLOEXEC, end)) }
        // Two passes: a target number may be the source of a later one.
        let high = try sockets.map { (fd) throws(Errno) in try checked(samara_fcntl(fd, F_DUPFD_CLOEXEC, end)) }
        for (index, descriptor) in high.enumerated() { _ = try checked(dup2(descriptor, first + Int32(index))) }
        return moved
    }

    /// Descriptors of `count` arranged sockets.
    static func descriptors(_ count: Int) -> Range<Int32> { first..<(first + Int32(count)) }

    /// What tells the program: sd_listen_fds(3).
    static func environment(_ ports: [PortRecord]) -> [String] {
        if ports.isEmpty { return [] }
        let names = ports.map { "\($0.containerPort)/\($0.transport)" }.joined(separator: ":")
        return ["LISTEN_FDS=\(ports.count)", "LISTEN_PID=1", "LISTEN_FDNAMES=\(names)"]
    }
}

extension ContainerRecord {
    /// The single ports with mode=activate, each once, in the order of the program's descriptors.
    var activatedPorts: [PortRecord] {
        var ports: [PortRecord] = []
        for port in self.ports.filter(\.isActivated).flatMap(\.singles) where !ports.contains(port) {
            ports.append(port)
        }
        return ports
    }
}
