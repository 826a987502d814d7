// SPDX-License-Identifier: Apache-2.0
import CLinux
import CSeccomp
import LinuxSystem
import OCISpec
import SystemPackage

/// Compiled filters of earlier containers, because libseccomp needs several times as long as the rest of a start.
///
/// A file is `DIRECTORY/seccomp-HASH.bpf`:
///
///     magic (8) | flags (4) | length of the section (4) | the section's text | struct sock_filter...
///
/// The whole text is compared, so that a collision of the hash, which anybody could make, finds nothing. The name
/// also depends on libseccomp's version and the architecture. Numbers are in the machine's byte order.
enum SeccompCache {
    private static let magic: [UInt8] = Array("samara-1".utf8)
    private static let headerSize = 16

    static func filter(for section: RuntimeSeccompSection, in directory: String) -> SeccompSection.Filter? {
        guard let bytes = try? File.read(path(section, directory), limit: 4 << 20), bytes.count > headerSize,
            bytes.starts(with: magic)
        else { return nil }
        let (flags, length) = bytes.withUnsafeBytes {
            (
                $0.loadUnaligned(fromByteOffset: 8, as: UInt32.self),
                $0.loadUnaligned(fromByteOffset: 12, as: UInt32.self)
            )
        }
        let end = headerSize + section.source.count
        guard Int(length) == section.source.count, end < bytes.count, (bytes.count - end) % 8 == 0 else { return nil }
        let isSame = bytes[headerSize..<end].elementsEqual(section.source)
        return isSame ? SeccompSection.Filter(instructions: Array(bytes[end...]), flags: flags, listener: nil) : nil
    }

    /// A cache that cannot be written costs time, not correctness.
    static func store(_ filter: SeccompSection.Filter, for section: RuntimeSeccompSection, in directory: String) {
        var bytes = magic
        for number in [filter.flags, UInt32(section.source.count)] {
            withUnsafeBytes(of: number) { bytes.append(contentsOf: $0) }
        }
        bytes += section.source
        bytes += filter.instructions
        try? File.replace(path(section, directory), bytes)
    }

    /// FNV-1a over the section, libseccomp's version and the architecture.
    private static func path(_ section: RuntimeSeccompSection, _ directory: String) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        func mix(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        for byte in section.source { mix(byte) }
        if let version = seccomp_version()?.pointee {
            for number in [version.major, version.minor, version.micro, seccomp_arch_native()] {
                withUnsafeBytes(of: number) { $0.forEach(mix) }
            }
        }
        return "\(directory)/seccomp-\(Digits.text(hash, radix: 16)).bpf"
    }
}
