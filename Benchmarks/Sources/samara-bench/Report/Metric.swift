// SPDX-License-Identifier: Apache-2.0

/// What a figure is: its meaning, its unit, and which way is good.
struct Metric: Codable, Hashable, Sendable {
    enum Better: String, Codable, Sendable {
        case lower, higher
        /// A description rather than a merit: a count of processes, say. Never called a regression.
        case neither
    }

    /// A point of a curve: the figure at one message size, one number of containers.
    struct Point: Codable, Hashable, Sendable {
        /// Metrics with the same curve are drawn as one.
        let curve: String
        /// What is varied, with its unit: "containers", "message bytes".
        let axis: String
        let x: Double
    }

    /// Unique in its report, and the same in every version: `--compare` finds it by this.
    let id: String
    /// Without the unit.
    let title: String
    /// "ms", "Gbit/s", "/s", "MiB"; empty for a plain count.
    let unit: String
    let better: Better
    /// Whether its percentiles over the rounds are of interest, beyond the median and the spread.
    var hasTail: Bool
    /// In the tables only, not drawn.
    var isDetail: Bool
    /// Among the few figures of the overview.
    var isHeadline: Bool
    var point: Point?

    init(
        id: String, title: String, unit: String, better: Better, hasTail: Bool = false, isDetail: Bool = false,
        isHeadline: Bool = false, at point: Point? = nil
    ) {
        self.id = id
        self.title = title
        self.unit = unit
        self.better = better
        self.hasTail = hasTail
        self.isDetail = isDetail
        self.isHeadline = isHeadline
        self.point = point
    }

    /// Takes the unit from the end of the title, and the direction from the unit: what comes per second is good. Rates and
    /// medians are headlines.
    init(id: String, title: String) {
        let words = title.split(separator: " ")
        let last = words.last.map(String.init) ?? ""
        let units = ["Gbit/s", "Mbit/s", "MB/s", "/s", "us", "ms", "s", "s/GB", "us/op", "us/msg", "MiB", "KiB"]
        let isUnit = words.count > 1 && units.contains(last)
        self.init(
            id: id, title: isUnit ? words.dropLast().joined(separator: " ") : title, unit: isUnit ? last : "",
            better: isUnit && last.hasSuffix("/s") ? .higher : .lower,
            isHeadline: (isUnit && last.hasSuffix("/s")) || words.contains("p50"))
    }

    /// The title with the unit, as tables and axes show it.
    var heading: String {
        unit.isEmpty ? title : unit == "/s" ? "\(title) per second" : "\(title), \(unit)"
    }
}
