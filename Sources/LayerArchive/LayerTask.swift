// SPDX-License-Identifier: Apache-2.0
import CLinux
import ImageStore
import JSON
import LinuxSystem
import OCISpec
import SystemPackage

/// Blobs that are still on their way while their layers are unpacked.
package protocol BlobArrival: AnyObject {
    /// The bytes of a blob as they come; nil for one that is at hand. Read by one thread, which waits for them.
    func source(of layer: LayerSource) throws(LayerArchiveError) -> (any ByteSource)?
    /// Moves the transfers, waiting a little when nothing moves; false when nothing is on its way any more.
    func drive() throws(LayerArchiveError) -> Bool
    /// Whoever waits for bytes gets an error: nobody needs them any more. Called by any thread.
    func stop()
}

/// One layer that has to be unpacked, or only compared with the one that is unpacked.
final class LayerTask {
    enum Work {
        /// - Parameters:
        ///   - directory: gets `diff` and `layer.json`.
        ///   - lower: the unpacked layers below, highest first; some may be on their way as well.
        case unpack(directory: String, lower: [String])
        case verify
    }

    struct Result {
        /// Bytes of the uncompressed tar.
        var tarSize: Int64
        var hidesLower: Bool
    }

    let source: LayerSource
    let diffID: Digest
    let chainID: Digest
    let name: String
    let work: Work
    /// The blob's bytes.
    private let content: any ByteSource
    private let options: LayerOptions

    init(
        _ source: LayerSource, content: any ByteSource, diffID: Digest, chainID: Digest, name: String, work: Work,
        options: LayerOptions
    ) {
        self.source = source
        self.content = content
        self.diffID = diffID
        self.chainID = chainID
        self.name = name
        self.work = work
        self.options = options
    }

    /// How a task and those beside it get on.
    struct Surroundings {
        /// Files get the mode that they are made with.
        var isMaskClear: Bool
        /// Returns when all layers below are complete.
        var awaitLower: () throws(LayerArchiveError) -> Void
        /// Told of a failure before the task's own threads have ended, which may wait for bytes.
        var fail: (LayerArchiveError) -> Void
    }

    func run(_ surroundings: Surroundings) throws(LayerArchiveError) -> Result {
        let limit = options.limits.uncompressed(source.size)
        let tar = try DigestingSource(
            try DecompressedSource(content, name: name), limit: limit,
            excess:
                "\(name) unpacks to more than \(limit) bytes from \(source.size); it is taken for a decompression bomb and not loaded"
        )
        switch work {
        case .verify:
            try tar.drain()
            try check(tar.digest())
            return Result(tarSize: tar.count, hidesLower: false)
        case .unpack(let directory, let lower):
            return try unpack(tar, into: directory, lower: lower, surroundings)
        }
    }

    private func unpack(
        _ tar: DigestingSource, into directory: String, lower: [String], _ surroundings: Surroundings
    ) throws(LayerArchiveError) -> Result {
        do {
            try Directory.make(directory, mode: 0o700)
            try Directory.make(directory + "/diff", mode: 0o700)
        } catch {
            throw LayerArchiveError("make the layer's directory", directory, error)
        }
        var unpacker = LayerUnpacker(
            into: try LayerTree.open(directory + "/diff"), lower: lower, ownership: options.ownership,
            limits: options.limits, warnings: options.warnings,
            isMaskClear: surroundings.isMaskClear)
        let ahead = try ReadAheadSource(tar)
        defer { ahead.close() }
        do throws(LayerArchiveError) { try unpacker.unpack(ahead, name: name) } catch {
            surroundings.fail(error)
            throw error
        }
        try check(tar.digest())
        try surroundings.awaitLower()
        try unpacker.finishDirectories()
        let result = Result(tarSize: tar.count, hidesLower: unpacker.hidesLower)
        // Last: a layer with this file is complete.
        do { try File.write(directory + "/layer.json", layer(result).json.serialized(), mode: 0o600) } catch {
            throw LayerArchiveError("write", directory + "/layer.json", error)
        }
        return result
    }

    func layer(_ result: Result) -> ImageLayer {
        ImageLayer(
            chainID: chainID, diffID: diffID, blob: source.blob, mediaType: source.mediaType, blobSize: source.size,
            tarSize: result.tarSize, hidesLower: result.hidesLower)
    }

    private func check(_ digest: Digest) throws(LayerArchiveError) {
        if digest != diffID {
            throw LayerArchiveError(
                "\(name) unpacks to \(digest), but its config says \(diffID): the image is damaged; get it again")
        }
    }
}

/// Runs the tasks of one image, several at once, lowest first.
final class LayerTasks {
    /// Layers at once. Each has two threads and about 2 MiB of buffers.
    private static let parallel = max(1, min(4, Worker.processorCount))

    private let tasks: [LayerTask]
    private let arrival: (any BlobArrival)?
    private let gate = Gate()
    // All below is guarded by `gate`.
    private var results: [LayerTask.Result?]
    private var nextTask = 0
    private var running = 0
    private var failure: LayerArchiveError?

    init(_ tasks: [LayerTask], arrival: (any BlobArrival)?) {
        self.tasks = tasks
        self.arrival = arrival
        results = Array(repeating: nil, count: tasks.count)
    }

    /// Runs all tasks to their end; the first error that occurred is thrown when no task runs any more.
    func run() throws(LayerArchiveError) -> [LayerTask.Result] {
        var workers: [Worker] = []
        do throws(LayerArchiveError) {
            for _ in 0..<min(LayerTasks.parallel, tasks.count) {
                gate.locked { running += 1 }
                // SAFETY: joined below.
                workers.append(try Worker { [unowned self] in work() })
            }
            if let arrival {
                while gate.locked({ running > 0 && failure == nil }), try arrival.drive() {}
            }
        } catch {
            fail(error)
        }
        for worker in workers { worker.join() }
        if let failure { throw failure }
        return results.compactMap(\.self)
    }

    private func work() {
        let isMaskClear = Worker.clearFileModeMask()
        while let index = take() {
            do throws(LayerArchiveError) {
                let result = try tasks[index].run(
                    LayerTask.Surroundings(
                        isMaskClear: isMaskClear,
                        awaitLower: { [unowned self] () throws(LayerArchiveError) in try awaitBelow(index) },
                        fail: { [unowned self] in fail($0) }))
                gate.locked {
                    results[index] = result
                    gate.wake()
                }
            } catch { fail(error) }
        }
        gate.locked { running -= 1 }
    }

    private func take() -> Int? {
        gate.locked {
            if failure != nil || nextTask == tasks.count { return nil }
            nextTask += 1
            return nextTask - 1
        }
    }

    /// Tasks are taken lowest first, so whoever is waited for runs or has ended.
    private func awaitBelow(_ index: Int) throws(LayerArchiveError) {
        try gate.locked { () throws(LayerArchiveError) in
            while results[..<index].contains(where: { $0 == nil }) {
                if let failure { throw failure }
                gate.wait()
            }
        }
    }

    private func fail(_ error: LayerArchiveError) {
        gate.locked {
            if failure == nil { failure = error }
            gate.wake()
        }
        arrival?.stop()
    }
}
