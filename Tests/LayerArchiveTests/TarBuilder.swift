// SPDX-License-Identifier: Apache-2.0
import CArchive

/// Writes tar archives byte by byte, also ones that no tar program would write.
struct TarBuilder {
    private(set) var bytes: [UInt8] = []

    /// One ustar header with its content. Numbers are octal in fields of the usual width.
    mutating func add(
        _ name: [UInt8], type: Character = "0", mode: Int = 0o644, user: Int = 0, group: Int = 0,
        mtime: Int = 1_000_000_000,
        link: [UInt8] = [], device: (Int, Int) = (0, 0), content: [UInt8] = [], declaredSize: Int? = nil,
        magic: String = "ustar\u{0}00", edit: (inout [UInt8]) -> Void = { _ in }
    ) {
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ value: [UInt8], _ offset: Int, _ width: Int) {
            for (index, byte) in value.prefix(width).enumerated() { header[offset + index] = byte }
        }
        func octal(_ value: Int, _ offset: Int, _ width: Int) {
            let digits = String(value, radix: 8)
            put(
                Array((String(repeating: "0", count: max(0, width - 1 - digits.count)) + digits).utf8), offset,
                width - 1)
        }
        put(name, 0, 100)
        octal(mode, 100, 8)
        octal(user, 108, 8)
        octal(group, 116, 8)
        octal(declaredSize ?? content.count, 124, 12)
        octal(mtime, 136, 12)
        put(Array(String(type).utf8), 156, 1)
        put(link, 157, 100)
        put(Array(magic.utf8), 257, 8)
        octal(device.0, 329, 8)
        octal(device.1, 337, 8)
        edit(&header)
        for index in 148..<156 { header[index] = UInt8(ascii: " ") }
        let sum = header.reduce(0) { $0 + Int($1) }
        octal(sum, 148, 7)
        header[154] = 0
        header[155] = UInt8(ascii: " ")
        bytes += header
        bytes += content
        bytes += [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
    }

    mutating func add(
        _ name: String, type: Character = "0", mode: Int = 0o644, user: Int = 0, group: Int = 0,
        mtime: Int = 1_000_000_000, link: String = "", device: (Int, Int) = (0, 0), content: String = ""
    ) {
        add(
            Array(name.utf8), type: type, mode: mode, user: user, group: group, mtime: mtime, link: Array(link.utf8),
            device: device, content: Array(content.utf8))
    }

    mutating func directory(_ name: String, mode: Int = 0o755, mtime: Int = 1_000_000_000) {
        add(name, type: "5", mode: mode, mtime: mtime)
    }

    mutating func link(_ name: String, to target: String) { add(name, type: "2", mode: 0o777, link: target) }
    mutating func hardLink(_ name: String, to target: String) { add(name, type: "1", link: target) }

    /// A pax extended header for the next entry: POSIX pax, "pax Extended Header".
    mutating func extended(_ records: [(String, [UInt8])]) {
        var content: [UInt8] = []
        for (key, value) in records {
            let rest = Array(" \(key)=".utf8) + value + [0x0a]
            var length = rest.count + 1
            while String(length).utf8.count + rest.count != length { length = String(length).utf8.count + rest.count }
            content += Array(String(length).utf8) + rest
        }
        add(Array("PaxHeader".utf8), type: "x", content: content)
    }

    /// The archive with its end: two zero blocks.
    var finished: [UInt8] { bytes + [UInt8](repeating: 0, count: 1024) }

    static func build(_ body: (inout TarBuilder) -> Void) -> [UInt8] {
        var builder = TarBuilder()
        body(&builder)
        return builder.finished
    }
}

/// How a layer's blob is compressed.
enum Compression: String, CaseIterable {
    case none, gzip, zstd

    /// One compressed stream of `bytes`, by libarchive's own writer.
    func compress(_ bytes: [UInt8]) -> [UInt8] {
        if self == .none { return bytes }
        var room = [UInt8](repeating: 0, count: bytes.count + 65536)
        var used = 0
        let writer = archive_write_new()
        archive_write_set_format_raw(writer)
        if self == .gzip { archive_write_add_filter_gzip(writer) } else { archive_write_add_filter_zstd(writer) }
        archive_write_set_bytes_in_last_block(writer, 1)
        archive_write_open_memory(writer, &room, room.count, &used)
        let entry = archive_entry_new()
        archive_entry_set_filetype(entry, 0o100000)
        archive_write_header(writer, entry)
        bytes.withUnsafeBytes { _ = archive_write_data(writer, $0.baseAddress, $0.count) }
        archive_entry_free(entry)
        archive_write_close(writer)
        archive_write_free(writer)
        return Array(room[..<used])
    }
}
