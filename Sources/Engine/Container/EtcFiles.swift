// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import PodNetwork
import SystemPackage

/// /etc/hosts, /etc/resolv.conf and /etc/hostname as containers see them: of the pod for its members, else their own.
extension Engine {
    func prepareEtc(_ record: ContainerRecord, _ pod: PodRecord?) throws(EngineError) {
        if let pod, sharedEtc(record, pod) != nil {
            if pod.managesHosts { editHosts(pod, adding: record.name) }
            return
        }
        let directory = paths.container(record.id)
        let addresses = PodAddresses(record.networkOptions)
        let hostname = record.hostname ?? String(record.id.prefix(12))
        try writeEtc("\(directory)/hostname", hostname + "\n")
        if !record.hasOwnHostsFile {
            var names: [(String, String)] = []
            switch record.network {
            case .private: names.append((addresses.ipv4, "\(hostname) \(record.name)"))
            case .none: names.append(("127.0.0.1", "\(hostname) \(record.name)"))
            default: break
            }
            try writeEtc(
                "\(directory)/hosts",
                Engine.hostsText(added: record.addedHosts, names, addresses, isHost: record.network == .host))
        }
        try writeEtc(
            "\(directory)/resolv.conf",
            Engine.resolvText(
                servers: record.dnsServers, search: record.dnsSearch, options: record.dnsOptions,
                network: record.network,
                addresses: addresses))
    }

    /// The directory of the pod's files that the container has; nil for one with its own.
    func sharedEtc(_ record: ContainerRecord, _ pod: PodRecord?) -> String? {
        guard let pod, pod.hasInfra, record.network == .pod else { return nil }
        return paths.pod(pod.id) + "/etc"
    }

    /// Adds or takes away one member's line in the pod's hosts file, without a look at the other members. A file that is
    /// not there is nobody's.
    func editHosts(_ pod: PodRecord, adding started: String? = nil, removing ended: String? = nil) {
        let path = paths.pod(pod.id) + "/etc/hosts"
        func line(_ name: String) -> [UInt8] { Array("127.0.0.1\t\(name)\n".utf8) }
        // Two members may start at the same time.
        guard let file = try? FileLock.take(file: path), let bytes = try? file.content(limit: 1 << 20) else { return }
        if let started {
            if lineRange(line(started), in: bytes) == nil { try? file.append(line(started), at: bytes.count) }
        } else if let ended, let range = lineRange(line(ended), in: bytes) {
            try? file.replace(with: Array(bytes[..<range.lowerBound] + bytes[range.upperBound...]))
        }
    }

    /// Where the whole line `line` is.
    private func lineRange(_ line: [UInt8], in bytes: [UInt8]) -> Range<Int>? {
        var start = 0
        while start < bytes.count {
            let newline = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count - 1
            if bytes[start...newline].elementsEqual(line) { return start..<(newline + 1) }
            start = newline + 1
        }
        return nil
    }

    /// Rewrites the pod's files for the members that run.
    func refreshHosts(_ pod: PodRecord) {
        let directory = paths.pod(pod.id) + "/etc"
        guard pod.hasInfra, File.exists(directory) else { return }
        let addresses = PodAddresses(pod.networkOptions)
        var names = [(addresses.ipv4, "\(pod.hostname) \(pod.infraName)")]
        for member in (try? members(of: pod.id)) ?? []
        where member.isRunning {
            names.append(("127.0.0.1", member.record.name))
        }
        if pod.managesHosts {
            try? writeEtc(
                "\(directory)/hosts",
                Engine.hostsText(added: pod.addedHosts, names, addresses, isHost: pod.network == .host))
        }
        try? writeEtc("\(directory)/hostname", pod.hostname + "\n")
        try? writeEtc(
            "\(directory)/resolv.conf",
            Engine.resolvText(
                servers: pod.dnsServers, search: pod.dnsSearch, options: pod.dnsOptions, network: pod.network,
                addresses: addresses))
    }

    /// Written in place, not replaced: running containers have the file itself mounted.
    private func writeEtc(_ path: String, _ text: String) throws(EngineError) {
        let bytes = Array(text.utf8)
        do throws(Errno) {
            // The first start makes it.
            try File.write(path, bytes, mode: 0o644, flags: O_CREAT_EXCL)
            return
        } catch .fileExists {} catch { throw EngineError("write", path, error) }
        if let present = try? File.read(path, limit: 1 << 20), present == bytes { return }
        try attempt("write", path) { () throws(Errno) in try File.write(path, bytes, mode: 0o644) }
    }

    private static func hostsText(
        added: [String], _ names: [(String, String)], _ addresses: PodAddresses, isHost: Bool
    ) -> String {
        var text = ""
        if isHost, let host = try? File.read("/etc/hosts", limit: 1 << 20) {
            text = String(decoding: host, as: UTF8.self)
            if !text.hasSuffix("\n") { text += "\n" }
        } else {
            text = "127.0.0.1\tlocalhost localhost.localdomain\n::1\tlocalhost localhost.localdomain\n"
        }
        for entry in added {
            // name[;name…]:address, as --add-host takes it; the address may be IPv6.
            guard let colon = entry.firstIndex(of: ":") else { continue }
            let address = entry[entry.index(after: colon)...]
            let resolved = address == "host-gateway" ? addresses.gateway4 : String(address)
            text += "\(resolved)\t\(entry[..<colon].split(separator: ";").joined(separator: " "))\n"
        }
        if !isHost { text += "\(addresses.gateway4)\thost.containers.internal host.docker.internal\n" }
        for name in names { text += "\(name.0)\t\(name.1)\n" }
        return text
    }

    private static func resolvText(
        servers: [String], search: [String], options: [String], network: NetworkMode, addresses own: PodAddresses
    ) -> String {
        let host = String(decoding: (try? File.readRecord("/etc/resolv.conf", limit: 1 << 20)) ?? [], as: UTF8.self)
        if network == .host, servers.isEmpty, search.isEmpty, options.isEmpty { return host }
        var lines: [String] = []
        let inherited = host.split(separator: "\n").map(String.init)
        let domains =
            search.isEmpty
            ? inherited.filter { $0.hasPrefix("search ") }.flatMap {
                $0.split(separator: " ").dropFirst().map(String.init)
            }
            : search.filter { $0 != "." }
        if !domains.isEmpty { lines.append("search " + domains.joined(separator: " ")) }
        // samara-net asks the host's servers, those on the host's loopback too, which a pod cannot reach itself.
        let inheritedServers =
            network == .private
            ? [own.nameServer4] : inherited.filter { $0.hasPrefix("nameserver ") }.map { String($0.dropFirst(11)) }
        let addresses = servers.isEmpty ? inheritedServers : servers
        lines += addresses.map { "nameserver \($0)" }
        let settings =
            options.isEmpty
            ? inherited.filter { $0.hasPrefix("options ") } : ["options " + options.joined(separator: " ")]
        return (lines + settings).reduce(into: "") { $0 += $1 + "\n" }
    }
}

/// A pod's addresses as text, from the one place that configures them.
public struct PodAddresses {
    private let tap: PodNetworkSettings.TapSettings

    /// `networkOptions` as in the record.
    public init(_ networkOptions: String) { tap = NetworkText.tap(networkOptions) }

    public var ipv4: String { tap.ipv4.address.description }
    public var prefixLength4: Int64 { Int64(tap.ipv4.prefixLength) }
    public var gateway4: String { tap.ipv4.gateway.description }
    public var nameServer4: String { tap.ipv4.nameServer.description }
    public var ipv6: String { tap.ipv6.map(\.address.description) ?? "" }
    public var prefixLength6: Int64 { Int64(tap.ipv6?.prefixLength ?? 0) }
    public var gateway6: String { tap.ipv6.map(\.gateway.description) ?? "" }
    public var hardwareAddress: String {
        tap.hardwareAddress.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
    }
}
