// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import SystemPackage

extension Engine {
    /// Runs samara-image, which reads and writes archives, with this command's standard streams, as root of the user's
    /// namespace: layers are unpacked into the subordinate ids.
    ///
    /// - Parameters:
    ///   - touchesImages: false for what has nothing to do with the store: then it runs as the user.
    ///   - descriptors: further descriptors, which it gets as 3, 4, ….
    /// - Returns: its exit code; it has said itself what went wrong.
    public func runImageTool(
        _ arguments: [String], touchesImages: Bool = true, descriptors: [Int32] = []
    ) throws(EngineError) -> Int32 {
        if touchesImages { try enterUserNamespace() }
        let program = executables + "/samara-image"
        do throws(Errno) {
            let pid = try Spawn.start(
                program, ["--root", paths.root] + arguments, descriptors: [0, 1, 2] + descriptors)
            return try Process.wait(pid: pid).code
        } catch {
            throw EngineError("cannot run \(program): \(error.text)")
        }
    }
}
