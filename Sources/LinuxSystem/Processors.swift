// SPDX-License-Identifier: Apache-2.0
import CLinux

/// The processors that this process may use.
public enum Processors {
    /// How many: `sched_getaffinity(2)`; 1 when the kernel does not say.
    public static var count: Int { Int(samara_processor_count()) }

    /// Lets whoever else is ready run first: `sched_yield(2)`.
    public static func yield() { _ = sched_yield() }
}
