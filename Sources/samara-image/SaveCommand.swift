// SPDX-License-Identifier: Apache-2.0
import CLinux
import ImageStore
import LayerArchive
import LinuxSystem

/// `samara-image save`: podman-save(1).
struct SaveCommand {
    private var output: String?
    private var format = ImageSaver.Format.docker
    private var compresses = false
    private var names: [String] = []

    init(_ arguments: ArraySlice<String>) throws(CommandFailure) {
        var rest = arguments
        while let argument = rest.popFirst() {
            switch argument {
            case "-o", "--output": output = try Flags.value(argument, &rest)
            case "--format":
                let value = try Flags.value(argument, &rest)
                guard let known = ImageSaver.Format(rawValue: value) else {
                    let all = ImageSaver.Format.allCases.map(\.rawValue).joined(separator: ", ")
                    throw CommandFailure("unknown format \"\(value)\" (\(all))")
                }
                format = known
            case "--compress": compresses = true
            case "-q", "--quiet", "-m", "--multi-image-archive":
                // Nothing is printed, and every archive may hold several images.
                continue
            case "--":
                names += rest
                rest = []
            case _ where argument.hasPrefix("-"): throw CommandFailure("unknown argument of save: \"\(argument)\"")
            default: names.append(argument)
            }
        }
        if names.isEmpty { throw CommandFailure("save needs at least one image") }
        if compresses, format != .dockerDirectory {
            throw CommandFailure("--compress can only be set when --format is docker-dir")
        }
    }

    func run(_ store: ImageStore) throws(CommandFailure) {
        guard let output else {
            if format.isDirectory { throw CommandFailure("--output is needed: \(format.rawValue) is a directory") }
            if isatty(1) == 1 { throw CommandFailure("refusing to save to terminal. Use -o flag or redirect") }
            return try saving { () throws(LayerArchiveError) in
                try ImageSaver(store: store).save(names, format: format, to: OwnedFD(1), output: "standard output")
            }
        }
        try saving { () throws(LayerArchiveError) in
            let saver = try ImageSaver(store: store)
            if format.isDirectory {
                return try saver.save(names, format: format, directory: output, compresses: compresses)
            }
            let file = try OutputFile.open(output)
            try file.write { (fd) throws(LayerArchiveError) in
                try saver.save(names, format: format, to: fd, output: output)
            }
        }
    }

    private func saving(_ body: () throws(LayerArchiveError) -> Void) throws(CommandFailure) {
        do { try body() } catch { throw CommandFailure(error.description) }
    }
}
