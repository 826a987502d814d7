// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import NetControl
import Netlink
import PortForwarder
import SystemPackage

/// The life of a samara-net process: from the inherited descriptors (`NetDescriptor`) to the end of the pod.
public enum NetProcess {
    private struct StartFailure: Error {
        var sentence: String
    }

    /// Configures, answers the starter, forwards until the pod ends or a stop is asked for. Returns the exit status.
    public static func run() -> Int32 {
        for (descriptor, purpose) in [
            (NetDescriptor.keeper, "the pod's keeper"), (NetDescriptor.control, "the control socket"),
            (NetDescriptor.starter, "its starter"),
        ] where samara_fcntl(descriptor, F_GETFD, 0) < 0 {
            complain("samara-net is started by samara: descriptor \(descriptor) (\(purpose)) is missing")
            return 125
        }
        // What ends a terminal's processes is not meant for this one. And where the scheduler is fair to sessions rather than
        // threads (sched_autogroup, sched(7)), the pod's way out does not share one with whoever floods it.
        _ = setsid()
        let starter = OwnedFD(NetDescriptor.starter)
        do throws(StartFailure) {
            let keeper = OwnedFD(NetDescriptor.keeper)
            let control = OwnedFD(NetDescriptor.control)
            do throws(Errno) { try Confinement.closeDescriptors(from: NetDescriptor.starter + 1) } catch {
                throw StartFailure(sentence: "cannot confine the pod's network process: \(error.text)")
            }
            // What the host looks like, while its files can still be seen.
            let host = HostView()
            // The watch first: a change in between is then noticed.
            let watch = Resolvers.watchHost()
            let resolvers = Resolvers.ofHost()
            do throws(Errno) { try NetConfinement.isolate() } catch {
                throw StartFailure(sentence: "cannot confine the pod's network process: \(error.text)")
            }
            guard case .configure(let configuration, let listenerCount) = try receive(starter).request else {
                throw StartFailure(sentence: "the pod's network process was not given a configuration")
            }
            Process.setTitle("samara-net: \(configuration.podName)")
            var forwarder = try make(configuration, keeper, control)
            if let outbound = configuration.outbound {
                let tap = try receiveTap(forwarder.keeper)
                // Servers that the user has named do not follow the host's.
                let resolverWatch = outbound.nameServers.isEmpty ? watch : nil
                try register(forwarder, tap, host, resolverWatch)
                var network = UserNetwork(
                    configuration, outbound, tap: tap, host: host, resolvers: resolvers,
                    resolverWatch: resolverWatch, keeper: forwarder.keeper.raw)
                try publish(&forwarder, listenerCount, starter)
                try restrictCalls()
                answer(starter, .done)
                try? starter.close()
                return finish(&forwarder, &network)
            }
            var nobody = NoParticipant()
            try publish(&forwarder, listenerCount, starter)
            try restrictCalls()
            answer(starter, .done)
            try? starter.close()
            return finish(&forwarder, &nobody)
        } catch {
            answer(starter, .failed(error.sentence))
            return 1
        }
    }

    private static func finish<Participant: LoopParticipant & ~Copyable>(
        _ forwarder: inout PortForwarder, _ participant: inout Participant
    ) -> Int32 {
        do throws(Errno) {
            _ = try forwarder.run(with: &participant)
            return 0
        } catch {
            complain("the pod's network process cannot wait for events: \(error.text)")
            return 1
        }
    }

    // MARK: Start

    private static func restrictCalls() throws(StartFailure) {
        do throws(Errno) { try NetConfinement.restrictCalls() } catch {
            throw StartFailure(sentence: "cannot restrict the system calls of the pod's network process: \(error.text)")
        }
    }

    private static func publish(
        _ forwarder: inout PortForwarder, _ listenerCount: Int, _ starter: borrowing OwnedFD
    ) throws(StartFailure) {
        var published = 0
        while published < listenerCount {
            let (request, descriptors) = try receive(starter)
            var sockets = ReceivedSockets(descriptors)
            guard case .publish(let listeners) = request, published + listeners.count <= listenerCount else {
                throw StartFailure(sentence: "the pod's network process was given something else than its ports")
            }
            if case .failed(let sentence) = forwarder.publish(listeners, &sockets) {
                throw StartFailure(sentence: sentence)
            }
            published += listeners.count
        }
    }

    private static func make(
        _ configuration: NetConfiguration, _ keeper: consuming OwnedFD, _ control: consuming OwnedFD
    ) throws(StartFailure) -> PortForwarder {
        let limit = Confinement.raiseDescriptorLimit()
        do throws(Errno) {
            var forwarder = try PortForwarder(configuration: configuration, keeper: keeper, descriptorLimit: limit)
            try forwarder.serve(control: control)
            try forwarder.stopOnSignal()
            return forwarder
        } catch {
            throw StartFailure(sentence: "the pod's network process cannot make its event loop: \(error.text)")
        }
    }

    private static func register(
        _ forwarder: borrowing PortForwarder, _ tap: borrowing OwnedFD, _ host: borrowing HostView,
        _ resolverWatch: DirectoryWatch?
    ) throws(StartFailure) {
        do throws(Errno) {
            try UserNetwork.register(tap: tap, host: host, resolverWatch: resolverWatch, epoll: forwarder.epoll)
        } catch {
            throw StartFailure(sentence: "cannot watch the pod's tap: \(error.text)")
        }
    }

    private static func receive(
        _ starter: borrowing OwnedFD
    ) throws(StartFailure) -> (request: NetRequest, descriptors: [Int32]) {
        do throws(Errno) {
            _ = try Waiting.isReadable(starter.raw, timeoutMilliseconds: -1)
            let message = try UnixSocket.receive(
                starter.raw, limit: NetRequest.sizeLimit, descriptorLimit: NetRequest.listenerLimit)
            if let request = NetRequest(decoding: message.bytes) { return (request, message.descriptors) }
        } catch {
            throw StartFailure(sentence: "the pod's network process cannot hear its starter: \(error.text)")
        }
        throw StartFailure(sentence: "the pod's network process is of another version of samara than its starter")
    }

    private static func receiveTap(_ keeper: borrowing OwnedFD) throws(StartFailure) -> OwnedFD {
        do throws(Errno) {
            var bytes = [UInt8](repeating: 0, count: KeeperRequest.size)
            bytes.withUnsafeMutableBytes { KeeperRequest(.tap).encode(into: $0) }
            try UnixSocket.send(keeper.raw, bytes)
            if try Waiting.isReadable(keeper.raw, timeoutMilliseconds: 10_000) {
                let message = try UnixSocket.receive(keeper.raw, limit: 64, descriptorLimit: 1)
                if let descriptor = message.descriptors.first { return OwnedFD(descriptor) }
            }
        } catch {
            throw StartFailure(sentence: "cannot get the pod's tap from its keeper: \(error.text)")
        }
        throw StartFailure(sentence: "the pod's keeper did not hand over the pod's tap")
    }

    private static func answer(_ starter: borrowing OwnedFD, _ reply: NetReply) {
        // A starter that is gone will not read the sentence; its pod is cleaned up by whoever comes next.
        _ = try? UnixSocket.send(starter.raw, reply.encoded)
    }

    private static func complain(_ sentence: String) {
        // Standard error may be closed, and there is nobody else to tell.
        try? File.writeAll(2, Array("Error: \(sentence)\n".utf8))
    }
}
