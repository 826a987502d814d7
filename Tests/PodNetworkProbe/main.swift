// SPDX-License-Identifier: Apache-2.0
//
// Runs the steps of a pod's network in a process of its own: a test process has threads, and threads may not enter a
// user namespace. Every check that fails is one line on standard output; the exit status is 1 if there was any.
import CLinux
import LinuxSystem
import SystemPackage

let name = CommandLine.arguments.count > 1 ? CommandLine.arguments[1] : ""
switch name {
case "recipe": TransparentRecipe.run()
case "none": LoopbackOnly.run()
case "process": ProcessProbe.run(samaraNet: CommandLine.arguments.count > 2 ? CommandLine.arguments[2] : "")
case "outbound":
    OutboundProbe.run(
        samaraNet: CommandLine.arguments.count > 2 ? CommandLine.arguments[2] : "",
        mtu: CommandLine.arguments.count > 3 ? UInt32(CommandLine.arguments[3]) ?? 65520 : 65520)
case "policy": OutboundProbe.policy(samaraNet: CommandLine.arguments.count > 2 ? CommandLine.arguments[2] : "")
case "programs": OutboundProbe.programs(samaraNet: CommandLine.arguments.count > 2 ? CommandLine.arguments[2] : "")
case "resolvers": OutboundProbe.resolvers(samaraNet: CommandLine.arguments.count > 2 ? CommandLine.arguments[2] : "")
case "lossy":
    // SAMARA-NET LOSS MEBIBYTES SEED
    let numbers = CommandLine.arguments.dropFirst(3).compactMap { UInt64($0) }
    if numbers.count == 3 {
        OutboundProbe.lossy(
            samaraNet: CommandLine.arguments[2], loss: numbers[0], mebibytes: Int(numbers[1]), seed: numbers[2])
    } else {
        Check.fail("usage: PodNetworkProbe lossy SAMARA-NET LOSS MEBIBYTES SEED")
    }
case "shell":
    let given = CommandLine.arguments
    if given.count == 6 || given.count == 7 && given[6] == "plain", let mtu = UInt32(given[3]) {
        OutboundProbe.shell(
            samaraNet: given[2], mtu: mtu, outside: given[4], inside: given[5], plain: given.count == 7)
    } else {
        Check.fail("usage: PodNetworkProbe shell SAMARA-NET MTU OUTSIDE INSIDE [plain]")
    }
case "confinement": ConfinementProbe.run()
case "allocations": AllocationProbe.run()
default:
    Check.fail(
        "usage: PodNetworkProbe recipe|none|process|confinement|allocations|outbound|policy|programs|resolvers|lossy|shell [samara-net [...]]"
    )
}
Process.exitNow(Check.failures == 0 ? 0 : 1)
