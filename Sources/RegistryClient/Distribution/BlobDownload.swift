// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import OCISpec

/// Where a blob's bytes go.
package protocol BlobSink: AnyObject {
    /// Takes the next bytes, in order and each once.
    func write(_ bytes: UnsafeRawBufferPointer) throws(RegistryError)
    /// Makes what was written readable.
    func flush() throws(RegistryError)
    /// All bytes are there: verifies the digest.
    func finish() throws(RegistryError)
}

/// One blob on its way. Resumed where the connection was cut: RFC 9110, 14.2 (Range).
package final class BlobDownload {
    enum State {
        case queued
        /// Milliseconds of the monotonic clock.
        case waiting(until: Int64)
        case running(Transfer)
        case complete
    }

    package let descriptor: Descriptor
    let repository: Repository
    let sink: any BlobSink
    var state = State.queued
    /// Bytes that the sink has.
    package internal(set) var received: Int64 = 0
    /// Of the running answer, bytes that the sink has already: the server sent all instead of the rest.
    private var repeated: Int64 = 0
    private var hasStarted = false
    /// Tries without progress.
    var failures = 0
    private var receivedBefore: Int64 = 0

    init(_ descriptor: Descriptor, from repository: Repository, sink: any BlobSink) {
        self.descriptor = descriptor
        self.repository = repository
        self.sink = sink
    }

    package var isComplete: Bool {
        if case .complete = state { return true }
        return false
    }

    var what: String { "the blob \(descriptor.digest)" }

    func start() throws(RegistryError) {
        hasStarted = false
        repeated = 0
        receivedBefore = received
        var request = HTTPRequest("GET", try repository.url("blobs/\(descriptor.digest)"))
        request.firstByte = received
        request = try repository.registry.authorized(request, scopes: [repository.pullScope])
        // SAFETY: the transfer is owned by `state`, so that a strong reference would be a cycle.
        state = .running(
            try repository.registry.start(request) { [unowned self] (response, bytes) throws(RegistryError) in
                try self.take(bytes, of: response)
            })
    }

    private func take(_ bytes: UnsafeRawBufferPointer, of response: HTTPResponse) throws(RegistryError) {
        if !hasStarted {
            hasStarted = true
            repeated = try alreadyReceived(of: response)
        }
        var bytes = bytes
        if repeated > 0 {
            let known = Int(min(repeated, Int64(bytes.count)))
            repeated -= Int64(known)
            bytes = UnsafeRawBufferPointer(rebasing: bytes[known...])
        }
        if bytes.isEmpty { return }
        if received + Int64(bytes.count) > descriptor.size {
            throw RegistryError(
                .damaged,
                "\(repository.registry.host) sends more for \(what) than the \(descriptor.size) bytes that the manifest declares"
            )
        }
        try sink.write(bytes)
        received += Int64(bytes.count)
    }

    /// How many bytes at the start of the answer are known: 0 for the rest that was asked for.
    private func alreadyReceived(of response: HTTPResponse) throws(RegistryError) -> Int64 {
        if response.status == 200 { return received }
        // "bytes 100-199/200"
        let range = response.header("content-range") ?? ""
        let first = range.split(separator: " ").last?.split(separator: "-").first.flatMap { Int64($0) }
        guard let first, first <= received else {
            throw RegistryError(
                .damaged, "\(repository.registry.host) sends another part of \(what) than was asked for (\"\(range)\")")
        }
        return received - first
    }

    /// Decides what follows from the end of `transfer`.
    func ended(_ transfer: Transfer) throws(RegistryError) {
        let registry = repository.registry
        var error = registry.failure(of: transfer, what: what)
        let response = transfer.response
        if error == nil, response.status == 401, failures == 0 {
            // The token expired while the blob was waiting for its turn.
            try registry.renew(response, scopes: [repository.pullScope])
            failures += 1
            return try start()
        }
        if error == nil, response.status != 200, response.status != 206 {
            error = RegistryError.answer(response, what: what, host: registry.host)
        }
        if error == nil, received < descriptor.size {
            error = RegistryError(
                .network, "\(registry.host) ended \(what) after \(received) of \(descriptor.size) bytes; try again")
            error?.isTemporary = true
        }
        guard let error else {
            try sink.flush()
            try sink.finish()
            state = .complete
            return
        }
        failures = received > receivedBefore ? 1 : failures + 1
        guard error.isTemporary, failures <= registry.options.limits.retries else { throw error.afterTries(failures) }
        registry.options.note("retrying \(what) from byte \(received): \(error.description)")
        state = .waiting(until: MonotonicClock.signedMilliseconds + registry.pause(error, failures))
    }
}

/// The blobs of one image, several at once, in the order in which they are added.
package final class BlobDownloads {
    private let repository: Repository
    private var unfinished: [BlobDownload] = []
    private let loop: TransferLoop
    private let parallel: Int

    package init(_ repository: Repository) {
        self.repository = repository
        loop = repository.registry.loop
        parallel = repository.registry.options.limits.parallelBlobs
    }

    package func add(_ descriptor: Descriptor, to sink: any BlobSink) -> BlobDownload {
        let download = BlobDownload(descriptor, from: repository, sink: sink)
        unfinished.append(download)
        return download
    }

    /// Moves the downloads as far as they go; with `waits`, waits until one of them got further.
    package func pump(waits: Bool) throws(RegistryError) {
        var hasMoved = false
        for download in unfinished.prefix(parallel) {
            if try step(download) { hasMoved = true }
        }
        unfinished.removeAll(where: \.isComplete)
        if unfinished.isEmpty { return }
        let before = unfinished.prefix(parallel).map(\.received)
        try loop.drive(waitMilliseconds: waits && !hasMoved ? patience() : 0)
        for (download, received) in zip(unfinished, before) where download.received > received {
            try download.sink.flush()
        }
    }

    /// True when the download changed its state.
    private func step(_ download: BlobDownload) throws(RegistryError) -> Bool {
        switch download.state {
        case .queued: try download.start()
        case .waiting(let until):
            if until > MonotonicClock.signedMilliseconds { return false }
            try download.start()
        case .running(let transfer):
            if transfer.result == nil { return false }
            try download.ended(transfer)
        case .complete: return false
        }
        return true
    }

    /// Milliseconds until a retry is due, at most one second.
    private func patience() -> Int64 {
        let now = MonotonicClock.signedMilliseconds
        var least: Int64 = 1000
        for case .waiting(let until) in unfinished.prefix(parallel).map(\.state) {
            least = min(least, max(1, until - now))
        }
        return least
    }

    deinit {
        for case .running(let transfer) in unfinished.map(\.state) { loop.cancel(transfer) }
    }
}
