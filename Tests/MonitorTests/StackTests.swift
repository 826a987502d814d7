// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import Testing

/// A process that goes on at the base of its stack has what it took along, and the room of its former callers.
@Test func anEmptyStackStartsAtItsBase() throws {
    let probe = try Probe(["stack"], descriptors: [0, 1, 2])
    #expect(try probe.wait() == 7)
}
