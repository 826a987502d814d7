// SPDX-License-Identifier: Apache-2.0
import CArchive
import CLinux

/// A thread that runs one closure: pthread_create(3).
final class Worker {
    private final class Body {
        let run: () -> Void
        init(_ run: @escaping () -> Void) { self.run = run }
    }

    private var thread = pthread_t()

    /// `body` shares with this thread only what it guards by a `Gate`.
    init(_ body: @escaping () -> Void) throws(LayerArchiveError) {
        let context = Unmanaged.passRetained(Body(body))
        let code = pthread_create(
            &thread, nil,
            { context in
                // SAFETY: retained for this call alone.
                guard let context else { return nil }
                Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run()
                return nil
            }, context.toOpaque())
        if code != 0 {
            context.release()
            throw LayerArchiveError("start a thread for unpacking: too many processes or too little memory")
        }
    }

    /// Waits for its end; must be called once.
    func join() { pthread_join(thread, nil) }

    /// Gives this thread a file mode mask of its own that masks nothing: unshare(2) CLONE_FS, umask(2).
    static func clearFileModeMask() -> Bool {
        guard unshare(CLONE_FS) == 0 else { return false }
        umask(0)
        return true
    }

    static var processorCount: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
}
