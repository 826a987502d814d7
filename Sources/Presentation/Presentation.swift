// SPDX-License-Identifier: Apache-2.0

// Theory of operation
//
// How values become text for people and scripts: durations, sizes, times, tables and Go templates. Everything is a
// pure function of its arguments; the current time and the zone are parameters.
//
// The texts are those of Go's libraries as podman uses them (time, fmt, text/tabwriter, text/template, go-units),
// because `--format`, `--since` and the columns of listings are an interface that scripts parse:
//
//   HumanDuration, HumanSize   "About an hour", "4.5 MB"
//   Timestamp                  RFC 3339 and Go's time.Time text, both ways; what `--since` takes
//   GoDuration                 "1h30m"
//   Table, ColumnLayout        aligned columns
//   GoTemplate                 the template language over `TemplateValue`
//   ReportFormat               a `--format` argument: escapes, `table`, one line per row

/// A text that is not of the form asked for.
public struct PresentationError: Error, Equatable, Sendable, CustomStringConvertible {
    /// One sentence that quotes the text.
    public let message: String

    public init(_ message: String) {
        self.message = message
    }

    public var description: String { message }
}
