// SPDX-License-Identifier: Apache-2.0

/// The members of a JSON object in the order they were first set.
///
/// Lookup scans small objects and hashes large ones, so parsing an object of n members costs O(n) however
/// hostile its keys are. Removing a member is O(n). Equality ignores order (RFC 8259 section 4).
public struct JSONObject: Sendable {
    public typealias Element = (key: String, value: JSON)

    private var members: [Element] = []
    /// Position of each key; nil until there are more than `scanLimit` members.
    private var positions: [String: Int]?

    /// Below this many members comparing keys in turn costs less than a dictionary does: its type is instantiated and its
    /// hash function seeded in every process that makes one.
    private static let scanLimit = 64

    public init() {}

    /// Builds an object from members; the last of several with the same name wins.
    public init(_ members: some Sequence<(key: String, value: JSON)>) {
        for (key, value) in members { self[key] = value }
    }

    public var count: Int { members.count }
    public var isEmpty: Bool { members.isEmpty }
    public var keys: [String] { members.map { $0.key } }
    public var values: [JSON] { members.map { $0.value } }

    public mutating func reserveCapacity(_ count: Int) {
        members.reserveCapacity(count)
    }

    /// The member with this name. Setting replaces it in place or appends it; setting nil removes it
    /// (assign `JSON.null` to store a null).
    public subscript(key: String) -> JSON? {
        get {
            guard let position = position(of: key) else { return nil }
            return members[position].value
        }
        set {
            switch (position(of: key), newValue) {
            case (let position?, let value?): members[position].value = value
            case (nil, let value?): append(key, value)
            case (let position?, nil): remove(at: position)
            case (nil, nil): break
            }
        }
    }

    private func position(of key: String) -> Int? {
        if let positions { return positions[key] }
        return members.firstIndex { $0.key == key }
    }

    private mutating func append(_ key: String, _ value: JSON) {
        members.append((key, value))
        if positions != nil {
            positions?[key] = members.count - 1
        } else if members.count > Self.scanLimit {
            indexMembers()
        }
    }

    private mutating func remove(at position: Int) {
        members.remove(at: position)
        positions = nil
        if members.count > Self.scanLimit { indexMembers() }
    }

    private mutating func indexMembers() {
        var positions: [String: Int] = [:]
        positions.reserveCapacity(members.count * 2)
        for (position, member) in members.enumerated() { positions[member.key] = position }
        self.positions = positions
    }
}

extension JSONObject: Sequence {
    public func makeIterator() -> IndexingIterator<[Element]> { members.makeIterator() }
    public var underestimatedCount: Int { members.count }
}

extension JSONObject: Equatable {
    public static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.count == right.count && left.allSatisfy { right[$0.key] == $0.value }
    }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
    public init(dictionaryLiteral elements: (String, JSON)...) {
        for (key, value) in elements { self[key] = value }
    }
}
