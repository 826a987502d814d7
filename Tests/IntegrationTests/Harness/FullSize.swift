// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Amounts that a test has small by default and large when SAMARA_FULL_SIZE is set.
enum FullSize {
    static let isWanted = ProcessInfo.processInfo.environment["SAMARA_FULL_SIZE"] != nil

    static func amount(_ bounded: Int, _ full: Int) -> Int { isWanted ? full : bounded }

    /// For a command with such an amount to do.
    static var patience: Duration { isWanted ? .seconds(600) : .seconds(20) }
}
