// SPDX-License-Identifier: Apache-2.0

/// Memory for everything a launched child reads: C strings, pointer vectors and step tables.
///
/// The parent fills it before clone; the child inherits it at the same addresses, so a pointer into the arena means
/// the same thing in both, and a failure record may carry one. Never freed piecemeal.
struct Arena: ~Copyable {
    private var chunks: [UnsafeMutableRawPointer] = []
    private var next: UnsafeMutableRawPointer
    private var room: Int
    private static let chunkSize = 32 << 10

    init() {
        next = .allocate(byteCount: Arena.chunkSize, alignment: 16)
        room = Arena.chunkSize
        chunks.append(next)
    }

    /// Frees all of it: no pointer into it may be used any more.
    mutating func discard() {
        for chunk in chunks { chunk.deallocate() }
        chunks = []
        room = 0
    }

    deinit { for chunk in chunks { chunk.deallocate() } }

    /// `size` bytes aligned to 16, stable until the arena ends.
    mutating func allocate(_ size: Int) -> UnsafeMutableRawPointer {
        let rounded = (size + 15) & ~15
        if rounded > room {
            let chunk = max(rounded, Arena.chunkSize)
            next = .allocate(byteCount: chunk, alignment: 16)
            room = chunk
            chunks.append(next)
        }
        let result = next
        next += rounded
        room -= rounded
        return result
    }

    /// A NUL-terminated copy. A NUL inside `text` would cut it short: callers refuse such input first.
    mutating func string(_ text: String) -> UnsafePointer<CChar> {
        var text = text
        return text.withUTF8 { bytes in
            let copy = allocate(bytes.count + 1)
            if let source = bytes.baseAddress { copy.copyMemory(from: source, byteCount: bytes.count) }
            copy.storeBytes(of: 0, toByteOffset: bytes.count, as: UInt8.self)
            return UnsafePointer(copy.assumingMemoryBound(to: CChar.self))
        }
    }

    /// A NULL-terminated vector of C strings with `spare` empty slots before the terminator.
    mutating func vector(_ texts: [String], spare: Int = 0) -> UnsafeMutablePointer<UnsafeMutablePointer<CChar>?> {
        let pointers = allocate((texts.count + spare + 1) * MemoryLayout<UnsafeMutablePointer<CChar>?>.stride)
            .bindMemory(to: UnsafeMutablePointer<CChar>?.self, capacity: texts.count + spare + 1)
        for (index, text) in texts.enumerated() { pointers[index] = UnsafeMutablePointer(mutating: string(text)) }
        for index in texts.count...(texts.count + spare) { pointers[index] = nil }
        return pointers
    }

    /// What `make` makes of each of `sources`, which may itself put things into the arena.
    mutating func table<Source, Element: BitwiseCopyable>(
        _ sources: [Source], _ make: (Source, inout Arena) -> Element
    ) -> UnsafeBufferPointer<Element> {
        let base = allocate(max(1, sources.count) * MemoryLayout<Element>.stride)
            .bindMemory(to: Element.self, capacity: max(1, sources.count))
        for index in sources.indices { base[index] = make(sources[index], &self) }
        return UnsafeBufferPointer(start: base, count: sources.count)
    }

    /// `key=value` and flags with commas between them, as mount(2) takes them; nil for none.
    mutating func options(_ options: [(String, String?)]) -> UnsafePointer<CChar>? {
        if options.isEmpty { return nil }
        let size = options.reduce(0) { $0 + $1.0.utf8.count + ($1.1?.utf8.count ?? 0) + 2 }
        let text = allocate(size + 1)
        var end = 0
        func append(_ part: String) {
            for byte in part.utf8 {
                text.storeBytes(of: byte, toByteOffset: end, as: UInt8.self)
                end += 1
            }
        }
        for (key, value) in options {
            if end > 0 { append(",") }
            append(key)
            if let value {
                append("=")
                append(value)
            }
        }
        text.storeBytes(of: 0, toByteOffset: end, as: UInt8.self)
        return UnsafePointer(text.assumingMemoryBound(to: CChar.self))
    }

    /// A copy of `elements`, which must be trivial values.
    mutating func table<Element: BitwiseCopyable>(_ elements: [Element]) -> UnsafeBufferPointer<Element> {
        let base = allocate(max(1, elements.count) * MemoryLayout<Element>.stride)
            .bindMemory(to: Element.self, capacity: max(1, elements.count))
        for (index, element) in elements.enumerated() { base[index] = element }
        return UnsafeBufferPointer(start: base, count: elements.count)
    }
}
