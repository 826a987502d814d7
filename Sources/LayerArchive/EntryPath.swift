// SPDX-License-Identifier: Apache-2.0
import LinuxSystem

/// The name of a layer's entry, checked: relative, no "..", within the kernel's lengths.
///
/// Two absolute forms occur in honest images (kaniko writes both) and stay inside as well: "/" alone, which is the
/// layer's root, and a hard link's target, which is a name in the layer.
struct EntryPath {
    /// Without empty ones and "."; empty for the layer's root.
    let components: [ArraySlice<UInt8>]

    init(
        _ bytes: [UInt8], limits: ExtractionLimits, isHardLinkTarget: Bool = false
    ) throws(LayerArchiveError) {
        func refused(_ reason: String) -> LayerArchiveError {
            LayerArchiveError(
                "the layer's entry \(EntryPath.display(bytes)) \(reason); the image is damaged or hostile and is not loaded"
            )
        }
        if bytes.isEmpty { throw refused("has an empty name") }
        let slash = UInt8(ascii: "/")
        if bytes[0] == slash, !isHardLinkTarget, bytes.contains(where: { $0 != slash }) {
            throw refused("has an absolute name")
        }
        if bytes.count > limits.pathBytes { throw refused("has a name of more than \(limits.pathBytes) bytes") }
        let dot = UInt8(ascii: ".")
        var components: [ArraySlice<UInt8>] = []
        for component in bytes.split(separator: slash) {
            if component.elementsEqual([dot]) { continue }
            if component.elementsEqual([dot, dot]) { throw refused("has \"..\" in its name") }
            if component.count > limits.nameBytes {
                throw refused("has a name with a component of more than \(limits.nameBytes) bytes")
            }
            components.append(component)
        }
        if components.count > limits.depth { throw refused("is more than \(limits.depth) directories deep") }
        self.components = components
    }

    var isRoot: Bool { components.isEmpty }

    /// The last component; only for paths other than the root.
    var name: PathBytes { PathBytes(components.last ?? []) }

    /// The directory that the entry is in, as bytes; empty for the root.
    var parent: [UInt8] { EntryPath.join(components.dropLast()) }

    var bytes: [UInt8] { EntryPath.join(components[...]) }

    static func join(_ components: ArraySlice<ArraySlice<UInt8>>) -> [UInt8] {
        Array(components.joined(separator: [UInt8(ascii: "/")]))
    }

    /// For messages: quoted, control characters and bad UTF-8 made visible, cut to a readable length.
    static func display(_ bytes: some Collection<UInt8>) -> String {
        var text = ""
        for scalar in String(decoding: bytes.prefix(200), as: UTF8.self).unicodeScalars {
            if scalar.value < 0x20 || (0x7f..<0xa0).contains(scalar.value) {
                text += "\\x" + String(scalar.value, radix: 16)
            } else {
                text.unicodeScalars.append(scalar)
            }
        }
        return "\"\(text)\(bytes.count > 200 ? "…" : "")\""
    }
}
