// SPDX-License-Identifier: Apache-2.0
import CLinux
import ImageStore
import LinuxSystem
import SystemPackage

/// The file trees of images and containers as they are seen from inside: layers stacked by the kernel, read-only.
///
/// The mounts are detached and in a mount namespace of this process: nothing of them is seen outside, and they end with
/// the process and the program that it hands the descriptors to.
extension Engine {
    /// Makes this process root of the user's namespace with mounts of its own; before any of the others, once.
    public func prepareTrees() throws(EngineError) {
        try enterUserNamespace()
        do { try ReadOnlyOverlay.enterMountNamespace() } catch {
            throw EngineError("cannot make a mount namespace: \(error.text)")
        }
    }

    /// What `layers` give together, topmost first.
    public func mergedTree(_ layers: [String]) throws(EngineError) -> OwnedFD {
        do {
            if layers.isEmpty { return try File.open(paths.empty, O_RDONLY | O_DIRECTORY) }
            return try ReadOnlyOverlay.open(layers, empty: paths.empty, mountPoint: paths.rootMountPoint)
        } catch {
            throw EngineError("cannot stack the layers \(layers.first ?? ""), …: \(error.text)")
        }
    }

    /// The root of a container as it is now, without what is mounted into it.
    public func tree(of container: Container) throws(EngineError) -> OwnedFD {
        if let path = container.record.rootDirectory {
            return try attempt("open", path) { () throws(Errno) in try File.open(path, O_RDONLY | O_DIRECTORY) }
        }
        return try mergedTree([changesPath(of: container)] + imageLayerPaths(of: container))
    }

    public func tree(of image: ImageRecord) throws(EngineError) -> OwnedFD {
        try mergedTree(images.layerPaths(of: image))
    }

    /// What the container's image gave it.
    public func imageTree(of container: Container) throws(EngineError) -> OwnedFD {
        try mergedTree(imageLayerPaths(of: container))
    }

    /// What a container changed: overlay's upper directory.
    public func changes(of container: Container) throws(EngineError) -> OwnedFD {
        let path = changesPath(of: container)
        return try attempt("open", path) { () throws(Errno) in try File.open(path, O_RDONLY | O_DIRECTORY) }
    }

    /// What an image's topmost layer adds, in overlay's form.
    public func topLayer(of image: ImageRecord) throws(EngineError) -> OwnedFD {
        let path = images.layerPaths(of: image).first ?? paths.empty
        return try attempt("open", path) { () throws(Errno) in try File.open(path, O_RDONLY | O_DIRECTORY) }
    }

    /// What is below an image's topmost layer.
    public func treeBelowTop(of image: ImageRecord) throws(EngineError) -> OwnedFD {
        try mergedTree(Array(images.layerPaths(of: image).dropFirst()))
    }

    private func changesPath(of container: Container) -> String { paths.container(container.record.id) + "/diff" }

    private func imageLayerPaths(of container: Container) -> [String] {
        container.record.layers.map { "\(paths.root)/layers/\($0)/diff" }
    }
}
