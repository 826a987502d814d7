// SPDX-License-Identifier: Apache-2.0
import Glibc
import RuntimeCommands

exit(runRuntime(CommandLine.arguments))
