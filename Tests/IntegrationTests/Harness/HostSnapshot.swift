// SPDX-License-Identifier: Apache-2.0
import Foundation

/// What this user has on the host that a container engine could leave behind. Two snapshots are compared: what
/// a test began with is what it must end with.
struct HostSnapshot: Equatable {
    /// "pid title" of every process of this user and of the user's subordinate IDs, but for the test process.
    var processes: Set<String> = []
    /// Mount points in the test's own mount namespace.
    var mounts: Set<String> = []
    /// "tcp6 [::]:8080"-like entries of sockets that this user listens with.
    var listeners: Set<String> = []
    /// Paths below the data and runtime folders, without the store of images and layers.
    var files: Set<String> = []

    /// Folders of the data folder that hold images: they may grow and are no leak.
    static let imageFolders: Set<String> = ["blobs", "layers", "images", "tags", "cache"]

    init(of samara: Samara) {
        processes = Self.currentProcesses()
        mounts = Self.lines(of: "/proc/self/mountinfo", field: 4)
        listeners = Self.currentListeners()
        files = Self.paths(below: samara.root, without: Self.imageFolders).union(Self.paths(below: samara.runroot))
    }

    /// What this one has that the other does not, as readable lines.
    func added(since earlier: HostSnapshot) -> [String] {
        processes.subtracting(earlier.processes).sorted().map { "process \($0)" }
            + mounts.subtracting(earlier.mounts).sorted().map { "mount \($0)" }
            + listeners.subtracting(earlier.listeners).sorted().map { "listener \($0)" }
            + files.subtracting(earlier.files).sorted().map { "file \($0)" }
    }

    private static func contents(of path: String) -> String {
        // Files of /proc have no length: FileManager reads them to their end all the same.
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    private static func lines(of path: String, field: Int) -> Set<String> {
        Set(
            contents(of: path).split(separator: "\n").compactMap { line in
                let fields = line.split(separator: " ")
                return fields.count > field ? String(fields[field]) : nil
            })
    }

    /// The user's own ID and its ranges in /etc/subuid: a process of a container has one of these.
    static let userIDs: [Range<Int>] = {
        let own = Int(getuid())
        let ranges = contents(of: "/etc/subuid").split(separator: "\n").compactMap { line -> Range<Int>? in
            let fields = line.split(separator: ":")
            guard fields.count == 3, fields[0] == NSUserName() || Int(fields[0]) == own,
                let start = Int(fields[1]), let count = Int(fields[2])
            else { return nil }
            return start..<start + count
        }
        return [own..<own + 1] + ranges
    }()

    private static func currentProcesses() -> Set<String> {
        var found: Set<String> = []
        for name in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] {
            guard let pid = pid_t(name), pid != getpid() else { continue }
            // The owner of /proc/PID is root when the process is not dumpable; its status has the real user ID.
            let status = contents(of: "/proc/\(name)/status").split(separator: "\n")
            func field(_ key: String) -> Substring? {
                status.first { $0.hasPrefix(key + ":\t") }?.dropFirst(key.utf8.count + 2).split(separator: "\t").first
            }
            guard let user = field("Uid").flatMap({ Int($0) }), userIDs.contains(where: { $0.contains(user) }) else {
                continue
            }
            // An orphan that has ended is init's to reap, and the init of some sandboxes never does.
            if field("State")?.hasPrefix("Z") == true, field("PPid") == "1" { continue }
            let title = contents(of: "/proc/\(name)/cmdline").replacingOccurrences(of: "\0", with: " ")
            found.insert("\(pid) \(title.isEmpty ? contents(of: "/proc/\(name)/comm") : title)")
        }
        return found
    }

    static func currentListeners() -> Set<String> {
        var found: Set<String> = []
        // proc_pid_net(5): local address in hexadecimal, state (0A is LISTEN; 07 is a UDP socket's only one), user ID.
        for (file, state) in [("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")] {
            for line in contents(of: "/proc/self/net/\(file)").split(separator: "\n").dropFirst() {
                let fields = line.split(separator: " ")
                if fields.count > 7, fields[3] == state, fields[7] == "\(getuid())" {
                    found.insert("\(file) \(fields[1])")
                }
            }
        }
        return found
    }

    private static func paths(below folder: String, without excluded: Set<String> = []) -> Set<String> {
        var found: Set<String> = []
        for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        where !excluded.contains(name) {
            let path = "\(folder)/\(name)"
            found.insert(path)
            var status = stat()
            if lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
                found.formUnion(paths(below: path))
            }
        }
        return found
    }
}
