// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import Presentation
import SystemPackage

/// proc_pid_stat(5), proc_pid_status(5), proc_pid_cmdline(5) of one process.
struct ShownProcess {
    let pid: Int32
    private let name: String
    /// The fields of `stat` from the third on.
    private let fields: [Substring]
    private let userID: UInt32
    private let groupID: UInt32
    /// Seconds.
    private let elapsed: Double
    private let used: Double

    /// USER_HZ, which the kernel promises to user space on every architecture that Swift runs on.
    private static let ticksPerSecond = 100.0

    init?(_ pid: Int32, uptime: Double) {
        let stat = ProcessFile.text("/proc/\(pid)/stat")
        // The name is in parentheses and may contain any of them.
        guard let open = stat.firstIndex(of: "("), let close = stat.lastIndex(of: ")") else { return nil }
        name = String(stat[stat.index(after: open)..<close])
        fields = stat[stat.index(after: close)...].split(separator: " ")
        guard fields.count > 21, let utime = Double(fields[11]), let stime = Double(fields[12]),
            let start = Double(fields[19])
        else { return nil }
        self.pid = pid
        used = (utime + stime) / Self.ticksPerSecond
        elapsed = max(0, uptime - start / Self.ticksPerSecond)
        let status = ProcessFile.text("/proc/\(pid)/status")
        userID = ShownProcess.effective("Uid:", status)
        groupID = ShownProcess.effective("Gid:", status)
    }

    private static func effective(_ label: String, _ status: String) -> UInt32 {
        let line = status.split(separator: "\n").first { $0.hasPrefix(label) } ?? ""
        let numbers = line.split(separator: "\t")
        return numbers.count > 2 ? UInt32(numbers[2]) ?? 0 : 0
    }

    func text(_ column: ProcessColumn, _ accounts: ContainerAccounts) -> String {
        switch column {
        case .args: arguments
        case .comm: name
        case .etime: duration(elapsed)
        case .group: accounts.group(groupID)
        case .hpid: String(pid)
        case .huser: String(userID)
        case .nice: String(fields[16])
        case .pcpu: share
        case .pgid: ProcessFile.inner(Int32(fields[2]) ?? 0)
        case .pid: ProcessFile.inner(pid)
        case .ppid: parent
        case .rss: String((Int64(fields[21]) ?? 0) * 4)
        case .state: String(fields[0])
        case .time: duration(used)
        case .tty: terminal
        case .user: accounts.user(userID)
        case .vsz: String((Int64(fields[20]) ?? 0) / 1024)
        }
    }

    /// As exact as the kernel's ticks.
    private func duration(_ seconds: Double) -> String {
        GoDuration.text(nanoseconds: Int64((seconds * Self.ticksPerSecond).rounded()) * 10_000_000)
    }

    /// Percent of one processor since the start, with three digits.
    private var share: String {
        let thousandths = elapsed > 0 ? Int((used / elapsed * 100_000).rounded()) : 0
        return "\(thousandths / 1000).\(String(thousandths % 1000 + 1000).dropFirst())"
    }

    private var arguments: String {
        let text = ProcessFile.text("/proc/\(pid)/cmdline").split(separator: "\0").joined(separator: " ")
        return text.isEmpty ? "[\(name)]" : text
    }

    /// 0 for a parent outside of the container, as the process itself sees it.
    private var parent: String {
        let parent = Int32(fields[1]) ?? 0
        guard parent > 0, ProcessFile.depth(parent) == ProcessFile.depth(pid) else { return "0" }
        return ProcessFile.inner(parent)
    }

    /// tty_nr: the major number is in bits 8 to 15, the minor in the others.
    private var terminal: String {
        let number = UInt32(bitPattern: Int32(fields[4]) ?? 0)
        let (major, minor) = (number >> 8 & 0xFFF, (number & 0xFF) | (number >> 12 & 0xFFF00))
        if number == 0 { return "?" }
        return (136...143).contains(major) ? "pts/\((major - 136) * 256 + minor)" : "tty\(minor)"
    }
}

/// Reading /proc, where what cannot be read belongs to somebody else or has just ended.
enum ProcessFile {
    static func text(_ path: String) -> String {
        String(decoding: (try? File.read(path, limit: 1 << 20)) ?? [], as: UTF8.self)
    }

    /// The mount namespace; nil for a process of another user.
    static func namespace(_ pid: Int32) -> String? { try? File.readLink("/proc/\(pid)/ns/mnt") }

    /// The process id inside its own namespace: the last of `NSpid`.
    static func inner(_ pid: Int32) -> String { ids(pid).last.map(String.init) ?? String(pid) }

    static func depth(_ pid: Int32) -> Int { ids(pid).count }

    private static func ids(_ pid: Int32) -> [Substring] {
        let line = text("/proc/\(pid)/status").split(separator: "\n").first { $0.hasPrefix("NSpid:") } ?? ""
        return Array(line.split(separator: "\t").dropFirst())
    }
}

/// The names of a container's users and groups, by the ids that this process sees.
struct ContainerAccounts {
    private let users: [UInt32: String]
    private let groups: [UInt32: String]
    private let userMap: [(inner: UInt32, outer: UInt32, count: UInt32)]
    private let groupMap: [(inner: UInt32, outer: UInt32, count: UInt32)]

    init(of pid: Int32) {
        users = ContainerAccounts.names("/proc/\(pid)/root/etc/passwd")
        groups = ContainerAccounts.names("/proc/\(pid)/root/etc/group")
        userMap = ContainerAccounts.map("/proc/\(pid)/uid_map")
        groupMap = ContainerAccounts.map("/proc/\(pid)/gid_map")
    }

    func user(_ id: UInt32) -> String { ContainerAccounts.name(id, users, userMap) }
    func group(_ id: UInt32) -> String { ContainerAccounts.name(id, groups, groupMap) }

    private static func name(
        _ id: UInt32, _ names: [UInt32: String], _ map: [(inner: UInt32, outer: UInt32, count: UInt32)]
    ) -> String {
        let extent = map.first { $0.outer <= id && id - $0.outer < $0.count }
        let inner = extent.map { $0.inner + (id - $0.outer) } ?? id
        return names[inner] ?? String(inner)
    }

    /// passwd(5), group(5): the name is the first field, the id the third.
    private static func names(_ path: String) -> [UInt32: String] {
        var names: [UInt32: String] = [:]
        for line in ProcessFile.text(path).split(separator: "\n") {
            let fields = line.split(separator: ":", omittingEmptySubsequences: false)
            if fields.count > 2, let id = UInt32(fields[2]), names[id] == nil { names[id] = String(fields[0]) }
        }
        return names
    }

    private static func map(_ path: String) -> [(inner: UInt32, outer: UInt32, count: UInt32)] {
        ProcessFile.text(path).split(separator: "\n").compactMap { line in
            let numbers = line.split(separator: " ").compactMap { UInt32($0) }
            return numbers.count == 3 ? (numbers[0], numbers[1], numbers[2]) : nil
        }
    }
}
