// SPDX-License-Identifier: Apache-2.0

/// Warnings of one command, each said once however often its cause occurs.
package final class WarningLog {
    private var said: Set<String> = []
    private let emit: (String) -> Void
    /// Several layers are unpacked at once.
    private let gate = Gate()

    /// - Parameter emit: gets each different text once, when it first occurs.
    package init(emit: @escaping (String) -> Void) { self.emit = emit }

    package func warn(_ text: String) {
        gate.locked { if said.insert(text).inserted { emit(text) } }
    }
}
