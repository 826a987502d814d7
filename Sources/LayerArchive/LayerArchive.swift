// SPDX-License-Identifier: Apache-2.0
//
// Theory of operation
//
// This module turns archives into images of the store and back. It runs in `samara-image`, inside the user
// namespace whose ids 0 to 65535 are mapped, so that a file of an image gets its owner by plain chown(2).
//
//   bytes ──▶ DecompressedSource ──▶ DigestingSource ──▶ ReadAheadSource ──▶ ArchiveReader ──▶ LayerUnpacker
//             gzip, zstd, none       diff id             to another thread   tar (libarchive)  files
//
// A layer goes through memory once: decompression, the digest and unpacking happen in the same pass, in two threads, and
// several layers at once (`LayerTasks`). Sources are pulled, because libarchive pulls: whoever feeds the first one (a
// file, a blob that arrives) is asked for bytes. The other way, `TreeArchiver` makes archives of directories.
//
// Nothing in an archive is trusted:
// - Paths never leave the layer: a parent directory is opened by openat2(2) with RESOLVE_IN_ROOT, relative to the
//   layer's descriptor, and its entry is made by name in that descriptor with O_EXCL and O_NOFOLLOW. A symbolic
//   link inside the layer resolves inside the layer, as it will in the container. ".." and absolute names are
//   refused.
// - Sizes are bounded by what the manifest declares and by `ExtractionLimits`.
// - What is written becomes visible only after all digests were right: everything happens in a `Staging`
//   directory, which is committed whole or dropped.
//
// The unpacked form is overlay's, mounted with `userxattr` (kernel, Documentation/filesystems/overlayfs.rst): a
// whiteout is a character device 0:0, an opaque directory has the attribute user.overlay.opaque=y.
//
// Limits that are not the archive's fault: device nodes cannot be made without real root, and are left out with a
// warning.
import ImageStore
import LinuxSystem
import OCISpec
import SystemPackage

/// Why an image could not be loaded or saved: one sentence naming the thing, the cause and the remedy.
package struct LayerArchiveError: Error, Equatable, CustomStringConvertible {
    package var description: String

    package init(_ description: String) { self.description = description }

    /// `verb "subject": kernel text`.
    package init(_ verb: String, _ subject: String, _ error: Errno) { self.init(verb, shown: "\"\(subject)\"", error) }

    /// As `init(_:_:_:)`, for what is quoted already.
    init(_ verb: String, shown: String, _ error: Errno) {
        self.init("\(verb) \(shown): \(error.text)\(ImageStoreError.remedy(error))")
    }

    package init(_ error: ImageStoreError) { self.init(error.description) }
    package init(_ error: ImageSpecError) { self.init(error.description) }
}

/// Runs store calls with this module's error.
func storing<Result>(_ body: () throws(ImageStoreError) -> Result) throws(LayerArchiveError) -> Result {
    do { return try body() } catch { throw LayerArchiveError(error) }
}

/// Parses documents with this module's error.
func parsing<Result>(
    _ subject: String, _ body: () throws(ImageSpecError) -> Result
) throws(LayerArchiveError) -> Result {
    do { return try body() } catch { throw LayerArchiveError("\(subject): \(error)") }
}
