// SPDX-License-Identifier: Apache-2.0
import CArchive

/// A lock with a condition: pthread_mutex_lock(3), pthread_cond_wait(3).
///
/// Threads exist only in samara-image, which starts no container: see ARCHITECTURE.md, "Executables".
package final class Gate: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    package init() {
        mutex.initialize(to: pthread_mutex_t())
        condition.initialize(to: pthread_cond_t())
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Runs `body` while nobody else is inside.
    package func locked<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body()
    }

    /// Inside `locked`: lets others in until one of them calls `wake`.
    package func wait() { pthread_cond_wait(condition, mutex) }

    /// Inside `locked`: all that wait look again.
    package func wake() { pthread_cond_broadcast(condition) }
}
