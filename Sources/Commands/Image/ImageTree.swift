// SPDX-License-Identifier: Apache-2.0
import Arguments
import Engine
import ImageStore
import OCISpec
import Presentation

func imageTreeCommand() -> Command<Session> {
    Command("tree", summary: "Print layer hierarchy of an image in a tree format") {
        CommandDeclaration(
            description: "Prints layer hierarchy of an image in a tree format",
            usage: "[options] IMAGE",
            examples: ["samara image tree alpine:latest"],
            flags: [.bool("whatrequires", help: "Show all child images and layers of the specified image")],
            positional: .exactly(1),
            run: { session, arguments in
                let engine = try session.engine(arguments)
                guard let image = try ImageLookup.find(arguments.positional[0], engine) else {
                    throw Failure("\(arguments.positional[0]): image not known")
                }
                let all = try engine.images.list().map(NamedImage.init)
                let tree = ImageLayerTree(image: image, all: all)
                try session.print(arguments.bool("whatrequires") ? tree.children : tree.layers)
                return 0
            })
    }
}

/// podman-image-tree(1): layers lowest first.
struct ImageLayerTree {
    let image: NamedImage
    let all: [NamedImage]

    private var head: String {
        "Image ID: \(image.record.id.hex.prefix(12))\nTags:     [\(image.names.joined(separator: " "))]\n"
            + "Size:     \(HumanSize.text(bytes: image.record.size, separator: ""))\n"
    }

    /// The names of the images whose topmost layer it is.
    private func topOf(_ layer: ImageLayer) -> String {
        let names = all.filter { $0.record.layers.last?.chainID == layer.chainID }.flatMap(\.names)
        return names.isEmpty ? "" : " Top Layer of: [\(names.joined(separator: " "))]"
    }

    private func line(_ layer: ImageLayer) -> String {
        "ID: \(layer.chainID.hex.prefix(12)) Size: \(ImageLayerTree.padded(layer.tarSize))\(topOf(layer))"
    }

    private static func padded(_ bytes: Int64) -> String {
        let text = HumanSize.text(bytes: bytes, separator: "")
        return String(repeating: " ", count: max(0, 7 - text.count)) + text
    }

    var layers: String {
        let lines = image.record.layers.map(line)
        let tree = lines.enumerated().map { ($0 == lines.count - 1 ? "└── " : "├── ") + $1 + "\n" }
        return head + "Image Layers\n" + tree.joined()
    }

    /// --whatrequires: every layer that is on this image's topmost one.
    var children: String {
        guard let top = image.record.layers.last else { return head + "Image Layers\n" }
        return head + "Image Layers\n└── \(line(top))\n" + below(top.chainID, depth: image.record.layers.count, "    ")
    }

    private func below(_ chainID: Digest, depth: Int, _ indent: String) -> String {
        var next: [ImageLayer] = []
        for other in all where other.record.layers.count > depth {
            let layer = other.record.layers[depth]
            let isOnIt = other.record.layers[depth - 1].chainID == chainID
            if isOnIt, !next.contains(where: { $0.chainID == layer.chainID }) { next.append(layer) }
        }
        return next.enumerated().map { index, layer in
            let isLast = index == next.count - 1
            return indent + (isLast ? "└── " : "├── ") + line(layer) + "\n"
                + below(layer.chainID, depth: depth + 1, indent + (isLast ? "    " : "│   "))
        }.joined()
    }
}
