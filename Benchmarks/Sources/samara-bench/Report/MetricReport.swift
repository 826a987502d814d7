// SPDX-License-Identifier: Apache-2.0

/// A peer that took no part, with the reason.
struct AbsentPeer: Codable, Sendable {
    let peer: String
    let reason: String
}

/// Figures by which several subjects are compared, measured round by round: one section of the report.
struct MetricReport: Codable, Sendable {
    typealias Metric = samara_bench.Metric

    enum Role: String, Codable, Sendable {
        /// Samara: what the others are compared with.
        case samara
        /// What the machine allows: a floor program, the host's loopback.
        case limit
        case peer
    }

    struct Subject: Codable, Sendable {
        /// Which tool, with its version.
        let name: String
        /// What it does, where one tool takes part more than once.
        var label: String?
        var role: Role
        /// What the reader must know to compare.
        var note: String?
        /// As one would type them.
        var commands: [String]?
        /// By metric, then by round; nil where it failed.
        var values: [String: [Double?]] = [:]
        var failures: [String] = []

        init(name: String, label: String? = nil, role: Role? = nil, note: String? = nil, commands: [String]? = nil) {
            self.name = name
            self.label = label
            let limits = ["floor", "loopback", "direct", "limit"]
            self.role =
                role ?? (name.hasPrefix("samara") ? .samara : limits.contains { name.hasPrefix($0) } ? .limit : .peer)
            self.note = note
            self.commands = commands
        }

        func known(_ metric: String) -> [Double] { (values[metric] ?? []).compactMap { $0 } }

        /// "crun 1.28, a single mapped ID".
        var fullName: String { label.map { "\(name), \($0)" } ?? name }
    }

    /// "start/run": the same in every version, for `--compare`; the title if there is none.
    var id: String
    let title: String
    /// What is measured and how, in a sentence or two.
    var method: String?
    var metrics: [Metric] = []
    var subjects: [Subject] = []
    var absent: [AbsentPeer] = []
    var rounds = 0
    let wantedRounds: Int
    /// Of the order within the rounds.
    let seed: UInt64
    /// Whether the table has a row for each subject; otherwise one for each metric.
    var hasSubjectRows = false

    init(id: String? = nil, title: String, method: String? = nil, wantedRounds: Int, seed: UInt64) {
        self.id = id ?? title
        self.title = title
        self.method = method
        self.wantedRounds = wantedRounds
        self.seed = seed
    }

    /// Adds a figure; the metric's row appears where it first comes up.
    mutating func add(_ value: Double?, _ metric: Metric, subject: Int, round: Int) {
        if !metrics.contains(where: { $0.id == metric.id }) { metrics.append(metric) }
        var values = subjects[subject].values[metric.id] ?? []
        while values.count < round { values.append(nil) }
        values.append(value)
        subjects[subject].values[metric.id] = values
    }

    /// The first limit that has figures: its index among the subjects.
    var limit: Int? { subjects.firstIndex { $0.role == .limit && !$0.values.isEmpty } }

    /// The first of Samara's subjects that has figures.
    var samara: Int? { subjects.firstIndex { $0.role == .samara && !$0.values.isEmpty } }

    /// The median of the ratios of the rounds in which both succeeded.
    func ratio(of subject: Int, to base: Int, _ metric: String) -> Double? {
        guard subject != base, let mine = subjects[subject].values[metric], let theirs = subjects[base].values[metric]
        else { return nil }
        let ratios = zip(mine, theirs).compactMap { mine, theirs -> Double? in
            guard let mine, let theirs, theirs > 0 else { return nil }
            return mine / theirs
        }
        return Distribution(ratios).median
    }
}
