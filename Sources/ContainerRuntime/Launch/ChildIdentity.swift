// SPDX-License-Identifier: Apache-2.0
import CLinux
import LinuxSystem

/// Who the program runs as, from the container's own passwd and group files.
struct ChildIdentity {
    var user: UInt32 = 0
    var group: UInt32 = 0
    var groups: UnsafeMutablePointer<UInt32>
    var groupCount = 0

    // MARK: Looking up

    static func lookUp(_ plan: UnsafePointer<ChildPlan>) -> ChildIdentity {
        let scratch = plan.pointee.scratch
        let reading = scratch + ScratchLayout.reading
        var identity = ChildIdentity(
            groups: UnsafeMutableRawPointer(scratch + ScratchLayout.groups).assumingMemoryBound(to: UInt32.self))
        let spec = bytes(plan.pointee.user)
        let userPart = AccountFile.part(spec, 0, UInt8(ascii: ":"))
        let groupPart = AccountFile.part(spec, 1, UInt8(ascii: ":"))
        let number = userPart.isEmpty ? 0 : AccountFile.number(userPart)

        // The entry's name, kept because group(5) lists names; 32 bytes is what useradd allows.
        var name: InlineArray<64, UInt8> = InlineArray(repeating: 0)
        var nameLength = 0
        var found = false
        var passwd = AccountFile("/etc/passwd", reading, ScratchLayout.readingSize)
        while let line = passwd.next() {
            let entryName = AccountFile.field(line, 0)
            guard let entryUser = AccountFile.number(AccountFile.field(line, 2)) else { continue }
            guard number.map({ $0 == entryUser }) ?? AccountFile.equal(entryName, userPart) else { continue }
            found = true
            identity.user = entryUser
            identity.group = AccountFile.number(AccountFile.field(line, 3)) ?? 0
            nameLength = min(entryName.count, 64)
            for index in 0..<nameLength { name[index] = entryName[index] }
            setHome(plan, AccountFile.field(line, 5))
            break
        }
        if !found {
            guard let number else { ChildReport.fail(plan, .userLookup, plan.pointee.user, errno: ENOENT) }
            identity.user = number
            setHome(plan, UnsafeBufferPointer(start: nil, count: 0))
        }
        let namesGroup = spec.count > userPart.count
        if namesGroup {
            identity.group = identity.groupNumber(plan, groupPart, plan.pointee.user)
        } else if nameLength > 0 {
            withUnsafeBytes(of: &name) { raw in
                let text = UnsafeBufferPointer(rebasing: raw.bindMemory(to: UInt8.self)[..<nameLength])
                identity.addMemberships(plan, text)
            }
        }
        for extra in plan.pointee.additionalGroups {
            identity.add(identity.groupNumber(plan, bytes(extra), extra))
        }
        return identity
    }

    private mutating func add(_ number: UInt32) {
        for index in 0..<groupCount where groups[index] == number { return }
        if groupCount < ScratchLayout.groupsCount {
            groups[groupCount] = number
            groupCount += 1
        }
    }

    private mutating func addMemberships(_ plan: UnsafePointer<ChildPlan>, _ name: UnsafeBufferPointer<UInt8>) {
        var file = AccountFile("/etc/group", plan.pointee.scratch + ScratchLayout.reading, ScratchLayout.readingSize)
        while let line = file.next() {
            guard let number = AccountFile.number(AccountFile.field(line, 2)) else { continue }
            let members = AccountFile.field(line, 3)
            var index = 0
            var consumed = 0
            while consumed <= members.count {
                let member = AccountFile.part(members, index, UInt8(ascii: ","))
                if AccountFile.equal(member, name) {
                    add(number)
                    break
                }
                consumed += member.count + 1
                index += 1
            }
        }
    }

    private func groupNumber(
        _ plan: UnsafePointer<ChildPlan>, _ text: UnsafeBufferPointer<UInt8>, _ subject: CText
    ) -> UInt32 {
        if let number = AccountFile.number(text) { return number }
        var file = AccountFile("/etc/group", plan.pointee.scratch + ScratchLayout.reading, ScratchLayout.readingSize)
        while let line = file.next() {
            if AccountFile.equal(AccountFile.field(line, 0), text),
                let number = AccountFile.number(AccountFile.field(line, 2))
            {
                return number
            }
        }
        ChildReport.fail(plan, .userLookup, subject, errno: ENOENT)
    }

    /// Puts HOME=`directory` into the environment's spare slot; "/" when the account has none.
    private static func setHome(_ plan: UnsafePointer<ChildPlan>, _ directory: UnsafeBufferPointer<UInt8>) {
        guard let slot = plan.pointee.homeSlot else { return }
        let text = plan.pointee.scratch + ScratchLayout.home
        memcpy(text, "HOME=", 5)
        let length = min(directory.count, ScratchLayout.homeSize - 8)
        text[5] = UInt8(ascii: "/")
        for index in 0..<length { text[5 + index] = directory[index] }
        text[5 + max(1, length)] = 0
        slot.pointee = UnsafeMutableRawPointer(text).assumingMemoryBound(to: CChar.self)
    }

    private static func bytes(_ text: CText) -> UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(
            start: UnsafeRawPointer(text).assumingMemoryBound(to: UInt8.self), count: strlen(text))
    }

    // MARK: Becoming

    /// Bounding set, groups, gid, uid, capabilities, in this order: each later step lacks the privilege for the
    /// earlier ones (capabilities(7), setuid(2)).
    ///
    /// - Returns: whether the process has kept its user and group id.
    static func assume(_ plan: UnsafePointer<ChildPlan>, _ identity: ChildIdentity) -> Bool {
        let sets = plan.pointee.capabilities
        for number in 0...plan.pointee.highestCapability where sets.bounding & (1 << UInt64(number)) == 0 {
            if samara_prctl(PR_CAPBSET_DROP, UInt(number), 0, 0, 0) != 0, samara_errno() != EINVAL {
                ChildReport.fail(plan, .capabilities, nil)
            }
        }
        if plan.pointee.hasTerminal { _ = fchown(0, identity.user, .max) }
        if samara_setgroups(identity.groupCount, identity.groups) != 0 {
            ChildReport.fail(plan, .identity, plan.pointee.user)
        }
        let isRoot = identity.user == 0
        // Since the id map was written this process is root and nothing else.
        let keepsIDs = isRoot && identity.group == 0 && plan.pointee.waitsForIDMap
        if !keepsIDs { setIDs(plan, identity) }
        let kept = plan.pointee.userCapabilities & sets.bounding
        setCapabilities(
            plan, effective: isRoot ? sets.effective : kept, permitted: isRoot ? sets.permitted : kept,
            inheritable: isRoot ? sets.inheritable : kept)
        let ambient = isRoot ? sets.ambient : kept
        if ambient != 0 {
            for number in 0...plan.pointee.highestCapability where ambient & (1 << UInt64(number)) != 0 {
                if samara_prctl(PR_CAP_AMBIENT, UInt(PR_CAP_AMBIENT_RAISE), UInt(number), 0, 0) != 0 {
                    ChildReport.fail(plan, .capabilities, nil)
                }
            }
        }
        return keepsIDs
    }

    private static func setIDs(_ plan: UnsafePointer<ChildPlan>, _ identity: ChildIdentity) {
        _ = samara_prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
        if samara_setresgid(identity.group, identity.group, identity.group) != 0
            || samara_setresuid(identity.user, identity.user, identity.user) != 0
        {
            ChildReport.fail(plan, .identity, plan.pointee.user)
        }
    }

    private static func setCapabilities(
        _ plan: UnsafePointer<ChildPlan>, effective: UInt64, permitted: UInt64, inheritable: UInt64
    ) {
        var header = __user_cap_header_struct(version: UInt32(_LINUX_CAPABILITY_VERSION_3), pid: 0)
        func half(_ shift: UInt64) -> __user_cap_data_struct {
            __user_cap_data_struct(
                effective: UInt32(truncatingIfNeeded: effective >> shift),
                permitted: UInt32(truncatingIfNeeded: permitted >> shift),
                inheritable: UInt32(truncatingIfNeeded: inheritable >> shift))
        }
        var data = (half(0), half(32))
        let result = withUnsafeMutableBytes(of: &data) {
            samara_capset(&header, $0.baseAddress?.assumingMemoryBound(to: __user_cap_data_struct.self))
        }
        if result != 0 { ChildReport.fail(plan, .capabilities, nil) }
    }
}
