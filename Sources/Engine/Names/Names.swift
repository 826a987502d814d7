// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import SystemPackage

/// What a name belongs to. Containers and pods share one space of names, as Podman's do.
public enum NameOwner: Equatable, Sendable {
    case container(String)
    case pod(String)

    public var id: String {
        switch self {
        case .container(let id), .pod(let id): id
        }
    }
}

/// Names and ids of containers and pods.
///
/// A name is a symbolic link in `names/`: symlink(2) fails when it exists, so reserving is one atomic call, and
/// the link's text is the content (`NameLink`). It includes the maker: a reservation without an object is void when its
/// maker is dead.
struct NameTable: Sendable {
    let paths: StorePaths

    func owner(of name: String) -> NameOwner? {
        guard let text = try? File.readLink("\(paths.names)/\(name)") else { return nil }
        return parse(text)?.owner
    }

    private func parse(_ text: String) -> (owner: NameOwner, maker: ProcessIdentity)? {
        NameLink(text).map { ($0.owner, $0.maker) }
    }

    /// Reserves `name`; returns the present owner instead when it is taken.
    func reserve(_ name: String, for owner: NameOwner) throws(EngineError) -> NameOwner? {
        let path = "\(paths.names)/\(name)"
        let text = NameLink(owner: owner, maker: Process.identity).text
        for _ in 0..<8 {
            do throws(Errno) {
                try File.symlink(text, path)
                return nil
            } catch .fileExists {
                guard let found = (try? File.readLink(path)).flatMap(parse) else { continue }
                if exists(found.owner) || found.maker.isAlive { return found.owner }
                // Its maker died between the reservation and the object.
                release(name, of: found.owner)
            } catch {
                throw EngineError("reserve the name", path, error)
            }
        }
        throw EngineError("cannot reserve the name \"\(name)\": it keeps changing hands; try again")
    }

    func exists(_ owner: NameOwner) -> Bool {
        switch owner {
        case .container(let id): File.exists(paths.container(id))
        case .pod(let id): File.exists(paths.pod(id))
        }
    }

    /// Whether `name` is reserved for an object that will never appear: its maker is dead.
    func isVoid(_ name: String) -> Bool {
        guard let found = (try? File.readLink("\(paths.names)/\(name)")).flatMap(parse) else { return true }
        return !exists(found.owner) && !found.maker.isAlive
    }

    func removeVoid(_ name: String) {
        guard isVoid(name) else { return }
        try? File.unlink("\(paths.names)/\(name)")
    }

    /// Frees `name` if it belongs to `owner`.
    func release(_ name: String, of owner: NameOwner) {
        let path = "\(paths.names)/\(name)"
        guard let text = try? File.readLink(path), NameLink.names(owner, text) else { return }
        try? File.unlink(path)
    }

    /// Podman's rule for names: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`.
    static func check(_ name: String) throws(EngineError) {
        let bytes = Array(name.utf8)
        let isValid =
            bytes.first.map(isAlphanumeric) == true
            && bytes.allSatisfy { isAlphanumeric($0) || $0 == 0x5f || $0 == 0x2e || $0 == 0x2d }
            && bytes.count <= 255
        if !isValid {
            throw EngineError(
                "running container create option: names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument")
        }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
    }

    /// 64 hexadecimal digits.
    static func newID() -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(64)
        for byte in Randomness.bytes(32) {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// The only id in `directory` that starts with `prefix`; nil if none does, an error if several do.
    static func resolve(prefix: String, in directory: String, kind: String) throws(EngineError) -> String? {
        let isHex = !prefix.isEmpty && prefix.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
        guard isHex else { return nil }
        if prefix.utf8.count == 64 { return File.exists("\(directory)/\(prefix)") ? prefix : nil }
        let matches = ((try? Directory.names(directory)) ?? []).filter { $0.hasPrefix(prefix) && $0.utf8.count == 64 }
        if matches.count > 1 {
            throw EngineError("more than one result for \(kind) name or ID \(prefix): \(kind) already exists")
        }
        return matches.first
    }
}
