// swift-tools-version: 6.3
import PackageDescription

/// One settings block for every Swift target.
let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
]

/// A static executable starts in about 1 ms where a dynamic one takes 4.5 ms (ARCHITECTURE.md,
/// "Static executables"); `samara` and `samara-net` are on the start path, `samara-image` is not.
let staticExecutable = ["-static-executable"]

func library(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func program(_ name: String, _ dependencies: [Target.Dependency], isStatic: Bool = true) -> Target {
    .executableTarget(
        name: name,
        dependencies: dependencies,
        swiftSettings: settings + (isStatic ? [.unsafeFlags(staticExecutable)] : []),
        linkerSettings: isStatic ? [.unsafeFlags(staticExecutable)] : [])
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

let system: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")

let package = Package(
    name: "samara",
    products: [
        .executable(name: "samara", targets: ["samara"]),
        .executable(name: "samara-net", targets: ["samara-net"]),
        .executable(name: "samara-image", targets: ["samara-image"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1")
    ],
    targets: [
        // The C fence.
        .target(name: "CLinux"),
        .systemLibrary(name: "CCapability", providers: [.apt(["libcap-dev"])]),
        .systemLibrary(name: "CSeccomp", providers: [.apt(["libseccomp-dev"])]),
        .systemLibrary(name: "CArchive", providers: [.apt(["libarchive-dev", "libssl-dev"])]),

        // The kernel, one thin wrapper per call.
        library("LinuxSystem", ["CLinux", system]),
        library("EventLoop", ["LinuxSystem", "CLinux", system]),
        library("Netlink", ["LinuxSystem", "CLinux", system]),

        // Pure: no system calls, no clock.
        library("JSON", []),
        library("OCISpec", ["JSON"]),
        library("Presentation", ["JSON"]),

        library(
            "ContainerRuntime",
            ["LinuxSystem", "CLinux", "CCapability", "CSeccomp", "OCISpec", "JSON", system]),
        library("NetControl", ["LinuxSystem", "CLinux", system]),
        library("PodNetwork", ["NetControl", "Netlink", "LinuxSystem", "CLinux", system]),
        library("PortForwarder", ["NetControl", "EventLoop", "LinuxSystem", "CLinux", system]),
        library("ImageStore", ["LinuxSystem", "OCISpec", "JSON", system]),
        library("LayerArchive", ["ImageStore", "LinuxSystem", "CLinux", "CArchive", "OCISpec", "JSON", system]),
        library("Monitor", ["EventLoop", "LinuxSystem", "CLinux", "JSON", system]),
        library(
            "Engine",
            [
                "ContainerRuntime", "ImageStore", "Monitor", "Netlink", "OCISpec", "JSON",
                "LinuxSystem", "CLinux", system,
            ]),
        library("Commands", ["Engine", "ImageStore", "Presentation", "OCISpec", "JSON", "LinuxSystem", system]),

        program("samara", ["Commands"]),
        program("samara-net", ["PortForwarder", "NetControl", "EventLoop", "LinuxSystem", "CLinux", system]),
        program("samara-image", ["LayerArchive", "ImageStore", "LinuxSystem"], isStatic: false),

        tests("JSONTests", ["JSON"]),
        tests("LinuxSystemTests", ["LinuxSystem"]),
        tests("EventLoopTests", ["EventLoop"]),
        tests("NetlinkTests", ["Netlink", "LinuxSystem", "CLinux", system]),
        tests("NetControlTests", ["NetControl", "LinuxSystem"]),
        tests("PodNetworkTests", ["PodNetwork", "LinuxSystem", "CLinux", system, "PodNetworkProbe"]),
        tests("PortForwarderTests", ["PortForwarder", "PodNetwork", "NetControl", "LinuxSystem", "CLinux", system]),

        // Run by PodNetworkTests: a test process has threads, and threads may not enter a user namespace.
        .executableTarget(
            name: "PodNetworkProbe",
            dependencies: ["PodNetwork", "PortForwarder", "NetControl", "EventLoop", "LinuxSystem", "CLinux", system],
            path: "Tests/PodNetworkProbe", swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
