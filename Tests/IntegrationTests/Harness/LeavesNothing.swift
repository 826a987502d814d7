// SPDX-License-Identifier: Apache-2.0
import Testing

/// All integration tests, one after the other: they share an installation and look at the whole host.
///
/// A file adds its suite in an extension of this type; the traits apply to it too.
@Suite(.serialized, .leavesNothing)
struct Integration {}

/// Removes what a test made in the shared installation and fails the test when something is left on the host.
struct LeavesNothing: SuiteTrait, TestTrait, TestScoping {
    var isRecursive: Bool { true }

    func scopeProvider(for test: Test, testCase: Test.Case?) -> LeavesNothing? {
        // Suites and parameterised tests as a whole are scopes as well; each case is looked at on its own.
        testCase == nil ? nil : self
    }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        let samara = try Samara.shared()
        // The first container starts what lives as long as the user's session: it belongs to no test.
        try Self.warmUp.get()
        let before = HostSnapshot(of: samara)
        var failure: (any Error)?
        do { try await function() } catch { failure = error }
        // Also after a failure: the next test must find what it expects.
        try samara.removeEverything()
        var left: [String] = []
        eventually("everything that the test made is gone") {
            left = HostSnapshot(of: samara).added(since: before)
            return left.isEmpty
        }
        if !left.isEmpty {
            Issue.record("left behind:\n\(left.joined(separator: "\n"))")
        }
        if let failure { throw failure }
    }

    private static let warmUp = Result {
        let samara = try Samara.shared()
        let result = try samara.run("run", "--rm", "busybox", "true")
        guard result.status == 0 else { throw HarnessError("the first container failed: \(result)") }
        try samara.removeEverything()
    }
}

extension Trait where Self == LeavesNothing {
    static var leavesNothing: LeavesNothing { LeavesNothing() }
}
