// SPDX-License-Identifier: Apache-2.0
import CArchive
import OCISpec

/// SHA-256 by OpenSSL's libcrypto, which uses the CPU's instructions: EVP_DigestInit(3).
package final class SHA256 {
    private let context: OpaquePointer

    package init() throws(LayerArchiveError) {
        guard let context = EVP_MD_CTX_new() else { throw LayerArchiveError("start SHA-256: out of memory") }
        self.context = context
        if EVP_DigestInit_ex(context, EVP_sha256(), nil) != 1 {
            throw LayerArchiveError("start SHA-256: libcrypto refuses; check its configuration (FIPS mode allows it)")
        }
    }

    deinit { EVP_MD_CTX_free(context) }

    package func update(_ bytes: UnsafeRawBufferPointer) {
        // Cannot fail for a context that was initialised: EVP_DigestInit(3).
        _ = EVP_DigestUpdate(context, bytes.baseAddress, bytes.count)
    }

    /// The digest of everything so far; the value is spent afterwards.
    package func finish() -> Digest {
        var bytes = [UInt8](repeating: 0, count: 32)
        var count: UInt32 = 32
        _ = EVP_DigestFinal_ex(context, &bytes, &count)
        return Digest(bytes: bytes)
    }

    package static func digest(_ bytes: [UInt8]) throws(LayerArchiveError) -> Digest {
        let hash = try SHA256()
        bytes.withUnsafeBytes { hash.update($0) }
        return hash.finish()
    }
}
