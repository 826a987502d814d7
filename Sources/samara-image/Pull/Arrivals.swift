// SPDX-License-Identifier: Apache-2.0
import LayerArchive
import OCISpec
import RegistryClient

/// The blobs of one pull on their way.
final class Arrivals: BlobArrival {
    private struct Arrival {
        let kind: String
        let download: BlobDownload
        let file: BlobFile
        var isReported = false
    }

    private let downloads: BlobDownloads
    private let progress: Progress
    private var arrivals: [Digest: Arrival] = [:]
    /// Guards what the sources know.
    private let gate = Gate()
    private var sources: [(Arrival, ArrivingSource)] = []

    init(_ repository: Repository, _ progress: Progress) {
        downloads = BlobDownloads(repository)
        self.progress = progress
    }

    func has(_ digest: Digest) -> Bool { arrivals[digest] != nil }

    func add(_ descriptor: Descriptor, _ kind: String, _ blobs: borrowing StagedBlobs) throws(LayerArchiveError) {
        let file = try BlobFile(
            descriptor.digest, path: blobs.incomingPath(descriptor.digest),
            finalPath: blobs.staging.blobPath(descriptor.digest))
        arrivals[descriptor.digest] = Arrival(kind: kind, download: downloads.add(descriptor, to: file), file: file)
        progress.begin(kind, descriptor)
    }

    func source(of layer: LayerSource) throws(LayerArchiveError) -> (any ByteSource)? {
        guard let arrival = arrivals[layer.blob] else { return nil }
        let source = try ArrivingSource(arrival.file, isComplete: arrival.download.isComplete, gate)
        sources.append((arrival, source))
        return source
    }

    func drive() throws(LayerArchiveError) -> Bool {
        do { try pump(waits: true) } catch { throw LayerArchiveError(error.description) }
        return !arrivals.values.allSatisfy(\.download.isComplete)
    }

    func stop() {
        gate.locked {
            for (_, source) in sources { source.isStopped = true }
            gate.wake()
        }
    }

    func finish(_ digest: Digest) throws(LayerArchiveError) {
        guard let arrival = arrivals[digest] else { return }
        do { while !arrival.download.isComplete { try pump(waits: true) } } catch {
            throw LayerArchiveError(error.description)
        }
    }

    func finishAll() throws(LayerArchiveError) {
        for digest in arrivals.keys { try finish(digest) }
        report()
    }

    private func pump(waits: Bool) throws(RegistryError) {
        try downloads.pump(waits: waits)
        gate.locked {
            for (arrival, source) in sources {
                source.available = arrival.file.written
                source.isComplete = arrival.download.isComplete
            }
            gate.wake()
        }
        report()
    }

    private func report() {
        for (digest, arrival) in arrivals where !arrival.isReported {
            if arrival.download.isComplete {
                arrivals[digest]?.isReported = true
                progress.end(arrival.kind, arrival.download.descriptor)
            } else {
                progress.update(arrival.kind, arrival.download.descriptor, arrival.download.received)
            }
        }
    }
}
