// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import samara_bench

@Suite struct StartPhasesTests {
    @Test func phasesFollowTheTimeAcrossProcesses() {
        let points = StartPhases.points(
            """
            400 monitor cleaned
            100 command begun
            not a line
            250 container root
            900 monitor removed
            200 command plan
            500 command ended
            """)
        #expect(points.count == 6)
        #expect(
            StartPhases.phases(points, began: 40) == [
                .init(nanoseconds: 60, name: "exec"), .init(nanoseconds: 100, name: "command plan"),
                .init(nanoseconds: 50, name: "container root"), .init(nanoseconds: 150, name: "monitor cleaned"),
                .init(nanoseconds: 100, name: "command ended"), .init(nanoseconds: 500, name: "monitor removed"),
            ])
    }

    @Test func whatTheMonitorDoesBesideTheCommandIsNobodysPredecessor() {
        let points = StartPhases.points("100 command begun\n200 monitor cleaned\n300 monitor removed\n350 command ended\n")
        #expect(StartPhases.phases(points, began: 100).map(\.nanoseconds) == [0, 100, 150, 100])
    }

    @Test func aTraceOfAnEarlierRunCountsForNothing() {
        #expect(StartPhases.phases(StartPhases.points("100 command begun\n"), began: 200).isEmpty)
    }
}
