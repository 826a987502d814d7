// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import Testing

@Test func identityOfThisProcessIsAlive() throws {
    let own = try #require(ProcessIdentity(pid: Process.id))
    #expect(own.isAlive)
    #expect(!ProcessIdentity(pid: own.pid, startTime: own.startTime + 1).isAlive)
}
