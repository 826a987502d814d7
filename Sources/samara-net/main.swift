// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import PortForwarder

Process.exitNow(NetProcess.run())
