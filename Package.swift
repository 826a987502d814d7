// swift-tools-version: 6.3
import PackageDescription

/// One settings block for every Swift target.
let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    // One feature set for every C module that a file sees: clang refuses to merge libc declarations that differ
    // between CLinux (_GNU_SOURCE) and the C part of swift-system.
    .unsafeFlags(["-Xcc", "-D_GNU_SOURCE"]),
    // So that the linker can put functions in the order of `textOrder`.
    .unsafeFlags(["-Xfrontend", "-function-sections"]),
]

/// A static executable starts in about 1 ms where a dynamic one takes 4.5 ms (ARCHITECTURE.md,
/// "Static executables"); `samara` and `samara-net` are on the start path, `samara-image` is not.
let staticExecutable = ["-static-executable"]

/// What a start runs lies together (ARCHITECTURE.md, "Functions in the order of their use"). Written by hack/text-order.
/// The linker is the toolchain's own, the one that knows how to do this by symbol.
let textOrder = [
    "-use-ld=lld", "-Xlinker", "--symbol-ordering-file=\(Context.packageDirectory)/hack/text-order.txt",
    "-Xlinker", "--no-warn-symbol-ordering",
]

func library(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func program(_ name: String, _ dependencies: [Target.Dependency], isStatic: Bool = true) -> Target {
    .executableTarget(
        name: name,
        dependencies: dependencies + (isStatic ? ["CStart"] : []),
        swiftSettings: settings + (isStatic ? [.unsafeFlags(staticExecutable)] : []),
        linkerSettings: isStatic ? [.unsafeFlags(staticExecutable + textOrder)] : [])
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
        .executable(name: "samara-runtime", targets: ["samara-runtime"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1")
    ],
    targets: [
        // The C fence.
        .target(name: "CLinux"),
        // Only for static executables: it takes the place of parts of the Swift runtime.
        .target(name: "CStart"),
        .systemLibrary(name: "CCapability", providers: [.apt(["libcap-dev"])]),
        .systemLibrary(name: "CSeccomp", providers: [.apt(["libseccomp-dev"])]),
        .systemLibrary(name: "CCurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "CIsal", providers: [.apt(["libisal-dev"])]),
        .systemLibrary(name: "CArchive", providers: [.apt(["libarchive-dev", "libssl-dev"])]),

        // The kernel, one thin wrapper per call.
        library("LinuxSystem", ["CLinux", system]),
        library("EventLoop", ["LinuxSystem", "CLinux", system]),
        library("Netlink", ["LinuxSystem", "CLinux", system]),

        // Pure: no system calls, no clock.
        library("JSON", []),
        library("OCISpec", ["JSON"]),
        library("Presentation", ["JSON"]),
        library("Arguments", []),
        library("NetStack", []),

        library(
            "ContainerRuntime",
            ["LinuxSystem", "CLinux", "CCapability", "CSeccomp", "OCISpec", "JSON", system]),
        library("NetControl", ["LinuxSystem", "CLinux", system]),
        library("PodNetwork", ["NetControl", "Netlink", "LinuxSystem", "CLinux", system]),
        library("PortForwarder", ["NetControl", "EventLoop", "LinuxSystem", "CLinux", system]),
        library(
            "UserNetwork",
            ["NetStack", "PortForwarder", "NetControl", "Netlink", "EventLoop", "LinuxSystem", "CLinux", system]),
        library("ImageStore", ["LinuxSystem", "OCISpec", "JSON", system]),
        library("RegistryClient", ["CCurl", "OCISpec", "JSON", "LinuxSystem", "CLinux", system]),
        library(
            "LayerArchive", ["ImageStore", "LinuxSystem", "CLinux", "CArchive", "CIsal", "OCISpec", "JSON", system]),
        library("Monitor", ["LinuxSystem", "CLinux", "JSON", system]),
        library(
            "Engine",
            [
                "ContainerRuntime", "ImageStore", "Monitor", "NetControl", "PodNetwork", "OCISpec", "JSON",
                "LinuxSystem", "CLinux", system,
            ]),
        library(
            "Commands",
            [
                "Engine", "ContainerRuntime", "ImageStore", "Monitor", "PodNetwork", "Arguments", "Presentation",
                "OCISpec", "JSON", "LinuxSystem", system,
            ]),

        library(
            "RuntimeCommands",
            ["ContainerRuntime", "Arguments", "OCISpec", "JSON", "LinuxSystem", "CLinux", system]),

        program("samara", ["Commands"]),
        program("samara-runtime", ["RuntimeCommands"]),
        program("samara-net", ["UserNetwork", "LinuxSystem", system]),
        program(
            "samara-image",
            [
                "RegistryClient", "LayerArchive", "ImageStore", "OCISpec", "Presentation", "JSON", "LinuxSystem",
                "CLinux", system,
            ], isStatic: false),

        tests(
            "RuntimeTests",
            [
                "ContainerRuntime", "RuntimeCommands", "OCISpec", "Arguments", "JSON", "LinuxSystem", "CLinux",
                "LaunchProbe",
            ]),
        tests("JSONTests", ["JSON"]),
        tests("PresentationTests", ["Presentation", "JSON"]),
        tests("ArgumentsTests", ["Arguments"]),
        tests("CommandsTests", ["Commands", "Engine", "Arguments", "Presentation", "JSON", "LinuxSystem"]),
        tests("ImageStoreTests", ["ImageStore", "LinuxSystem", "OCISpec", "JSON"]),
        tests(
            "LayerArchiveTests",
            [
                "LayerArchive", "ImageStore", "LinuxSystem", "OCISpec", "JSON", "CArchive", "CLinux", "samara-image",
                "FaultyServer",
            ]),
        tests("LinuxSystemTests", ["LinuxSystem"]),
        tests("EventLoopTests", ["EventLoop"]),
        tests("NetlinkTests", ["Netlink", "LinuxSystem", "CLinux", system]),
        tests("NetControlTests", ["NetControl", "LinuxSystem"]),
        tests("PodNetworkTests", ["PodNetwork", "LinuxSystem", "CLinux", system, "PodNetworkProbe"]),
        tests(
            "PortForwarderTests",
            ["PortForwarder", "PodNetwork", "NetControl", "LinuxSystem", "CLinux", "CloseMatrix", system]),
        // What PortForwarderTests and PodNetworkProbe run over their paths and over loopback.
        .target(
            name: "CloseMatrix", dependencies: ["LinuxSystem", "CLinux", system], path: "Tests/CloseMatrix",
            swiftSettings: settings),

        .target(name: "CAllocationCount", path: "Tests/CAllocationCount"),
        // Run by PodNetworkTests: a test process has threads, and threads may not enter a user namespace.
        .executableTarget(
            name: "PodNetworkProbe",
            dependencies: [
                "PodNetwork", "PortForwarder", "NetControl", "Netlink", "LinuxSystem", "CLinux", "CAllocationCount",
                "CloseMatrix", system,
            ],
            path: "Tests/PodNetworkProbe", swiftSettings: settings),
        // Run by MicroBenchmarkTests, and by `samara-bench micro`.
        .executableTarget(
            name: "MicroBenchmarkProbe",
            dependencies: [
                "NetStack", "EventLoop", "PortForwarder", "PodNetwork", "NetControl", "ContainerRuntime", "JSON",
                "Presentation", "LinuxSystem", "CLinux", "CAllocationCount", system,
            ],
            path: "Tests/MicroBenchmarkProbe", swiftSettings: settings),
        tests("MicroBenchmarkTests", ["JSON"]),
        // Run by RuntimeTests, for the same reason.
        .executableTarget(
            name: "LaunchProbe",
            dependencies: ["ContainerRuntime", "LinuxSystem", "CLinux", "CAllocationCount", system],
            path: "Tests/LaunchProbe", swiftSettings: settings),
        // Run inside containers by IntegrationTests: a server on sockets that it is handed.
        .executableTarget(
            name: "ActivationServer", dependencies: ["LinuxSystem", "CLinux", system], path: "Tests/ActivationServer",
            swiftSettings: settings + [.unsafeFlags(staticExecutable)],
            linkerSettings: [.unsafeFlags(staticExecutable)]),
        // Also run inside containers.
        .executableTarget(
            name: "NetworkProbe", path: "Tests/NetworkProbe",
            swiftSettings: settings + [.unsafeFlags(staticExecutable)],
            linkerSettings: [.unsafeFlags(staticExecutable)]),
        tests("IntegrationTests", ["FaultyServer"]),

        // Registries that misbehave, for RegistryClientTests and IntegrationTests.
        .target(
            name: "FaultyServer", dependencies: ["LayerArchive", "OCISpec", "JSON"], path: "Tests/FaultyServer",
            swiftSettings: settings),
        tests("RegistryClientTests", ["RegistryClient", "FaultyServer", "LayerArchive", "OCISpec", "JSON"]),

        // Run by MonitorTests: sessions need a process of their own, with its own signals, terminal and limits.
        .executableTarget(
            name: "MonitorProbe", dependencies: ["Monitor", "LinuxSystem", "CLinux", system],
            path: "Tests/MonitorProbe", swiftSettings: settings),
        tests("MonitorTests", ["Monitor", "MonitorProbe", "LinuxSystem", "CLinux", system]),

        tests("NetStackTests", ["NetStack", "UserNetwork", "PodNetwork", "LinuxSystem", "CAllocationCount"]),
    ],
    swiftLanguageModes: [.v6]
)
