// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import UserNetwork

Process.exitNow(NetProcess.run())
