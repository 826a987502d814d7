// SPDX-License-Identifier: Apache-2.0

/// A listing with an optional header line.
public struct Table: Sendable {
    public var header: [String]?
    public var rows: [[String]]

    /// - Parameter header: the column titles; nil prints none (`--noheading`).
    public init(header: [String]?, rows: [[String]] = []) {
        self.header = header
        self.rows = rows
    }

    /// All lines, each ending in a line feed; only the header when there are no rows.
    public func text() -> String {
        ColumnLayout.text(rows: (header.map { [$0] } ?? []) + rows)
    }
}

/// Aligns cells as Go's text/tabwriter does with podman's settings: minimal width 12 including two spaces of padding.
///
/// A column is a run of adjacent lines that have a cell there with another cell behind it; each run has its own
/// width, that of its widest cell. The last cell of a line is not padded, so it neither widens a column nor leaves
/// trailing spaces.
public enum ColumnLayout {
    private static let minimumWidth = 12
    private static let padding = 2

    /// Aligns text whose cells are separated by tabs and whose lines end in line feeds.
    public static func text(aligning text: String) -> String {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let endsLine = lines.last?.isEmpty == true
        if endsLine { lines.removeLast() }
        let rows = lines.map { $0.split(separator: "\t", omittingEmptySubsequences: false).map(String.init) }
        let aligned = self.text(rows: rows)
        return endsLine ? aligned : String(aligned.dropLast())
    }

    /// Aligns rows of cells; each line of the result ends in a line feed.
    public static func text(rows: [[String]]) -> String {
        let widths = columnWidths(rows)
        var text = ""
        for (row, cells) in rows.enumerated() {
            for (column, cell) in cells.enumerated() {
                text += cell
                guard column < cells.count - 1 else { continue }
                let missing = widths[row][column] - cell.unicodeScalars.count
                text += String(repeating: " ", count: missing)
            }
            text += "\n"
        }
        return text
    }

    /// The width of each padded cell's column, by row.
    private static func columnWidths(_ rows: [[String]]) -> [[Int]] {
        var widths = rows.map { [Int](repeating: 0, count: max(0, $0.count - 1)) }
        let columnCount = widths.map { $0.count }.max() ?? 0
        for column in 0..<columnCount {
            var runStart = 0
            while runStart < rows.count {
                guard widths[runStart].count > column else {
                    runStart += 1
                    continue
                }
                var runEnd = runStart
                var width = minimumWidth
                while runEnd < rows.count, widths[runEnd].count > column {
                    width = max(width, rows[runEnd][column].unicodeScalars.count + padding)
                    runEnd += 1
                }
                for row in runStart..<runEnd { widths[row][column] = width }
                runStart = runEnd
            }
        }
        return widths
    }
}
