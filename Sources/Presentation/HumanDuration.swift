// SPDX-License-Identifier: Apache-2.0

/// Approximate durations, as go-units' `HumanDuration` words them.
public enum HumanDuration {
    /// - Parameter seconds: the duration; anything below one second is `Less than a second`.
    public static func text(seconds: Int64) -> String {
        let minutes = seconds / 60
        // Hours are rounded so that 90 minutes are about two hours; years are not.
        let hours = Int64((Double(seconds) / 3600 + 0.5).rounded(.down))
        switch seconds {
        case ..<1: return "Less than a second"
        case 1: return "1 second"
        case ..<60: return "\(seconds) seconds"
        default: break
        }
        if minutes == 1 { return "About a minute" }
        if minutes < 60 { return "\(minutes) minutes" }
        if hours == 1 { return "About an hour" }
        if hours < 48 { return "\(hours) hours" }
        if hours < 24 * 7 * 2 { return "\(hours / 24) days" }
        if hours < 24 * 30 * 2 { return "\(hours / 24 / 7) weeks" }
        if hours < 24 * 365 * 2 { return "\(hours / 24 / 30) months" }
        return "\(seconds / 3600 / 24 / 365) years"
    }
}
