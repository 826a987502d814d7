// SPDX-License-Identifier: Apache-2.0
import LinuxSystem
import OCISpec
import SystemPackage

extension ImageStore {
    /// Removes what no image and no command in progress needs: layers, blobs and the remains of killed commands.
    /// Must run inside the user namespace that the layers were unpacked in.
    public func garbageCollect() throws(ImageStoreError) {
        try whileLocked { () throws(ImageStoreError) in try collectGarbageLocked() }
    }

    /// As `garbageCollect`; the lock must be held.
    ///
    /// A record that cannot be read throws before anything is removed: what it refers to is not known.
    package func collectGarbageLocked() throws(ImageStoreError) {
        var layers: Set<Digest> = []
        var blobs: Set<Digest> = []
        for id in try imageIDs() {
            guard let record = try record(id) else { continue }
            for layer in record.layers { layers.insert(layer.chainID) }
            for blob in record.blobs { blobs.insert(blob) }
        }
        // Before the claims are read: a directory that is swept here has no claims any more.
        try sweepTemporary()
        let claims = try Staging.claims(in: self)
        layers.formUnion(claims.layers)
        blobs.formUnion(claims.blobs)

        for name in try names(in: layersDirectory) {
            if let chainID = Digest(hex: name), layers.contains(chainID) { continue }
            try discard(layersDirectory + "/" + name)
        }
        for name in try names(in: blobsDirectory) {
            if let digest = Digest(hex: name), blobs.contains(digest) { continue }
            try discard(blobsDirectory + "/" + name)
        }
    }

    /// Removes a tree so that it is never seen half removed: it leaves its place by rename first.
    private func discard(_ path: String) throws(ImageStoreError) {
        let doomed = temporaryDirectory + "/discarded"
        do throws(Errno) {
            try FileTree.remove(doomed)
            try File.rename(path, doomed)
            try FileTree.remove(doomed)
        } catch {
            throw ImageStoreError("remove", path, error)
        }
    }

    /// Removes the work of processes that died. The lock must be held.
    private func sweepTemporary() throws(ImageStoreError) {
        for name in try names(in: temporaryDirectory) {
            let path = temporaryDirectory + "/" + name
            do throws(Errno) {
                if name.hasPrefix(Staging.prefix) {
                    guard let directory = try DirectoryEntry.openLockedIfFree(path) else { continue }
                    try FileTree.remove(path)
                    try directory.close()
                } else {
                    // Made and used only under the lock, so its owner is dead.
                    try FileTree.remove(path)
                }
            } catch {
                throw ImageStoreError("remove", path, error)
            }
        }
    }
}
