// SPDX-License-Identifier: Apache-2.0
import ImageStore
import LayerArchive
import OCISpec

/// `samara-image check [--quick] [--repair] [--used ID…]`: one line per problem; status 125 when some are left.
enum CheckCommand {
    static func run(_ store: ImageStore, _ arguments: ArraySlice<String>) throws(CommandFailure) {
        var rest = arguments
        var (isQuick, repairs) = (false, false)
        var used: Set<Digest> = []
        while let argument = rest.popFirst() {
            switch argument {
            case "--quick": isQuick = true
            case "--repair": repairs = true
            case "--used":
                let text = try Flags.value(argument, &rest)
                guard let id = Digest(hex: text) else { throw CommandFailure("\"\(text)\" is not an image id") }
                used.insert(id)
            default: throw CommandFailure("unknown argument of check: \"\(argument)\"")
            }
        }
        do throws(LayerArchiveError) {
            var check = StoreCheck(store, isQuick: isQuick)
            let problems = try check.run()
            for problem in problems { Output.line(problem.text) }
            if problems.isEmpty { return }
            if repairs {
                for id in try StoreCheck.repair(problems, in: store, keeping: used) {
                    Output.line("Deleted: \(id.hex)")
                }
                let left = problems.compactMap(\.image).filter(used.contains)
                if left.isEmpty { return }
                throw LayerArchiveError(
                    "containers use damaged images (\(Set(left).map { String($0.hex.prefix(12)) }.sorted().joined(separator: ", "))): remove the containers, or use --force"
                )
            }
        } catch { throw CommandFailure(error.description) }
        throw CommandFailure("damage detected in local storage; --repair removes the damaged images")
    }
}
