// SPDX-License-Identifier: Apache-2.0

/// Names of system calls that libseccomp cannot resolve.
enum SeccompNames {
    /// Throws for a name that is nobody's. Calls that are newer than libseccomp are in the profiles of current engines;
    /// they get the default action, with a warning, and only where that does not allow what the rule would forbid.
    static func judge(
        _ name: String, _ action: String, _ defaultAction: String, _ warn: (String) -> Void
    ) throws(RuntimeError) {
        guard newerThanLibrary.split(whereSeparator: \.isWhitespace).contains(where: { $0 == name[...] }) else {
            throw RuntimeError("linux.seccomp.syscalls: `\(name)` is not a system call")
        }
        if defaultAction == "SCMP_ACT_ALLOW" || defaultAction == "SCMP_ACT_LOG" {
            throw RuntimeError(
                "linux.seccomp.syscalls: `\(name)` cannot be filtered: this libseccomp is too old to know it")
        }
        warn("seccomp: the system call `\(name)` is unknown to libseccomp; the default action applies to it")
    }

    /// Added to Linux after 5.17, where libseccomp 2.5.4 ends, up to 6.18.
    private static let newerThanLibrary = """
        cachestat fchmodat2 file_getattr file_setattr futex_requeue futex_wait futex_wake getxattrat listmount listns
        listxattrat lsm_get_self_attr lsm_list_modules lsm_set_self_attr map_shadow_stack memfd_secret mseal
        open_tree_attr process_mrelease removexattrat rseq_slice_yield set_mempolicy_home_node setxattrat statmount
        uprobe uretprobe riscv_hwprobe riscv_flush_icache
        """
}
