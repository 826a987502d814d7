// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem
import SystemPackage

/// What the child says to its parent over the SOCK_SEQPACKET pair, one fixed-size message each:
///
///     parent                                  child
///       |-- clone3 ----------------------------->|
///       |-- 1 byte: the id map is written ------>|  (only with a new user namespace)
///       |<- terminal (the pty master attached) --|  (only with a terminal)
///       |<- failure {stage, errno, subject} -----|  or
///       |<- end of file: the program runs -------|  (the socket is close-on-exec)
struct LaunchRecord: BitwiseCopyable {
    static let failure: Int32 = 1
    static let terminal: Int32 = 2

    var kind: Int32 = 0
    var stage: Int32 = 0
    var errno: Int32 = 0
    var subjectLength: Int32 = 0
    var subject: InlineArray<240, UInt8> = InlineArray(repeating: 0)
}

/// The child's end: raw calls only.
enum ChildReport {
    /// Sends the failure with the text at `subject` and ends the child. `errno` is the one of the call just made
    /// unless given.
    static func fail(
        _ plan: UnsafePointer<ChildPlan>, _ stage: LaunchStage, _ subject: CText?, errno given: Int32 = 0
    ) -> Never {
        let number = given != 0 ? given : samara_errno()
        var record = LaunchRecord()
        record.kind = LaunchRecord.failure
        record.stage = stage.rawValue
        record.errno = number
        if let subject {
            let length = min(strlen(subject), 240)
            for index in 0..<length { record.subject[index] = UInt8(bitPattern: subject[index]) }
            record.subjectLength = Int32(length)
        }
        withUnsafeBytes(of: &record) {
            _ = samara_send_with_fds(plan.pointee.syncSocket, $0.baseAddress, $0.count, nil, 0, 0)
        }
        _exit(1)
    }

    static func sendTerminal(_ plan: UnsafePointer<ChildPlan>, _ master: Int32) -> Bool {
        var record = LaunchRecord()
        record.kind = LaunchRecord.terminal
        var descriptor = master
        return withUnsafeBytes(of: &record) {
            samara_send_with_fds(plan.pointee.syncSocket, $0.baseAddress, $0.count, &descriptor, 1, 0) >= 0
        }
    }
}
