// SPDX-License-Identifier: Apache-2.0
import CLinux
import CloseMatrix
import LinuxSystem
import Testing

@testable import PortForwarder

/// What other forwarders got wrong, each as one fixed sequence of events (the commits are passt's).
@Suite struct KnownFailureTests {
    private static func world(_ bytes: Int, room: Int) -> ModelTransfer {
        var world = ModelTransfer(seed: 3, overflowLimit: 4, pipeLimit: 4)
        world.input = (0..<bytes).map { UInt8(truncatingIfNeeded: $0) }
        world.arrived = bytes
        world.room = room
        return world
    }

    /// A direction that has seen enough full reads to use pipes.
    private static func splicing(_ world: inout ModelTransfer) -> Direction {
        var direction = Direction()
        direction.sourceReady(mayHaveMore: false)
        while world.pipes.isEmpty, world.taken < world.input.count {
            world.room = world.pipes.isEmpty ? 16 : 0
            _ = direction.run(from: 1, to: 2, &world, budget: 1)
        }
        return direction
    }

    /// 7e6a606, Podman issues 22575 and 22593: a pipe that could not be emptied was left without anybody waiting for
    /// the sink, and the transfer hung.
    @Test func aPipeThatIsNotEmptyWaitsForItsSink() {
        var world = Self.world(4000, room: 0)
        var direction = Self.splicing(&world)
        world.room = 1
        while direction.run(from: 1, to: 2, &world) == .again {}
        #expect(direction.awaitsSink)
        let owes = world.owesWritable
        #expect(owes, "the kernel was asked, so it will tell")
        world.room = 10_000
        world.sourceEnds = true
        direction.sourceEndQueued()
        direction.sinkReady()
        let result = direction.run(from: 1, to: 2, &world)
        let isComplete = world.output == world.input
        #expect(result == .ended && isComplete)
    }

    /// 3a082c4, Podman issue 23517: with bytes held for the sink, it waited for the source.
    @Test func whatIsHeldDoesNotWaitForTheSource() {
        var world = Self.world(200, room: 3)
        var direction = Direction()
        direction.sourceReady(mayHaveMore: false)
        let first = direction.run(from: 1, to: 2, &world)
        #expect(first == .waiting)
        let taken = world.taken
        // The source goes on sending; nothing of it may be read, and nothing of it is needed to go on.
        for _ in 0..<5 {
            direction.sourceReady(mayHaveMore: false)
            let next = direction.run(from: 1, to: 2, &world)
            #expect(next == .waiting)
        }
        let isUnread = world.taken == taken
        #expect(isUnread)
        world.room = 1000
        direction.sinkReady()
        _ = direction.run(from: 1, to: 2, &world)
        let isComplete = world.output == world.input
        #expect(isComplete)
    }

    /// 149f457, Podman issue 24219: only as much was written as had just been read, so that the end of a transfer
    /// stayed in the pipe when the connection was closed.
    @Test func theEndComesAfterEverythingInThePipe() {
        var world = Self.world(4000, room: 0)
        var direction = Self.splicing(&world)
        world.sourceEnds = true
        direction.sourceEndQueued()
        var turns = 0
        var result = Direction.Result.waiting
        while result != .ended, turns < 20_000 {
            world.room += 7
            world.owesWritable = false
            direction.sinkReady()
            result = direction.run(from: 1, to: 2, &world)
            let early = world.sinkEnded && world.output.count < world.input.count
            #expect(!early)
            turns += 1
        }
        let isComplete = world.output == world.input && world.sinkEnded && world.pipes.isEmpty
        #expect(result == .ended && isComplete)
    }

    /// 725acd1: without TCP_NODELAY each second small message waits 40 ms for an acknowledgement.
    @Test func noSocketDelaysSmallMessages() throws {
        let harness = try ForwarderHarness()
        let service = try Service()
        let client = try Peer(to: try harness.publish(service.port))
        client.write("x")
        #expect(try harness.pump { harness.statistics.tcpBytesUp == 1 })
        for socket in [harness.forwarder.flows[0].clientFD, harness.forwarder.flows[0].podFD] {
            #expect(try Socket.get(socket, Socket.level.tcp, TCP_NODELAY) == 1)
        }
    }

    /// The pod's side of a connection that lasts is kept alive as well; the client's inherits that.
    @Test func aConnectionThatLastsIsKeptAlive() throws {
        let harness = try ForwarderHarness()
        let service = try Service()
        let client = try Peer(to: try harness.publish(service.port))
        client.write("x")
        #expect(try harness.pump { harness.statistics.tcpBytesUp == 1 })
        #expect(!harness.forwarder.flows[0].timer.isNone)
        let token = PortForwarder.token(
            .keepaliveTimer, slot: 0, generation: harness.forwarder.flows.generation(0))
        harness.forwarder.expire(token)
        for socket in [harness.forwarder.flows[0].clientFD, harness.forwarder.flows[0].podFD] {
            #expect(try Socket.get(socket, SOL_SOCKET, SO_KEEPALIVE) == 1)
        }
        #expect(harness.forwarder.flows[0].timer.isNone)
    }
}
