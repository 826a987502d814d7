// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem

// The image half of `samara`, which runs it inside the user's user namespace. A process of its own, because
// libarchive, libcrypto and later libcurl would make the start of every container slower.
let arguments = CommandLine.arguments
do {
    try ImageCommand.run(Array(arguments.dropFirst()))
} catch {
    Output.error("Error: \(error)")
    Process.exitNow(error.status)
}
Process.exitNow(0)
