// SPDX-License-Identifier: Apache-2.0

/// A Markdown table whose columns are also aligned in a terminal.
struct TextTable {
    private var rows: [[String]]
    /// The columns from here on are numbers, aligned to the right.
    private let firstNumber: Int

    init(_ header: [String], firstNumber: Int) {
        rows = [header]
        self.firstNumber = firstNumber
    }

    mutating func add(_ row: [String]) { rows.append(row) }

    var text: String {
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        func line(_ row: [String]) -> String {
            let cells = row.enumerated().map { column, cell in
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                return column >= firstNumber ? padding + cell : cell + padding
            }
            return "| " + cells.joined(separator: " | ") + " |"
        }
        let rule = widths.enumerated().map { column, width in
            column >= firstNumber
                ? String(repeating: "-", count: width + 1) + ":" : String(repeating: "-", count: width + 2)
        }
        return ([line(rows[0]), "|" + rule.joined(separator: "|") + "|"] + rows.dropFirst().map(line)).joined(
            separator: "\n")
    }
}
