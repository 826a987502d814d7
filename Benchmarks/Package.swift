// swift-tools-version: 6.3
import PackageDescription

// A package of its own: nothing that only benchmarks need enters the product's build. It links none of the
// product either: every tool is measured from outside, as the program that users run.
let package = Package(
    name: "Benchmarks",
    products: [.executable(name: "samara-bench", targets: ["samara-bench"])],
    dependencies: [
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0")
    ],
    targets: [
        .target(name: "CBench"),
        .executableTarget(
            name: "samara-bench",
            dependencies: ["CBench", .product(name: "Histogram", package: "hdrhistogram-swift")],
            swiftSettings: [.enableUpcomingFeature("ExistentialAny")]),
        .testTarget(name: "SamaraBenchTests", dependencies: ["samara-bench"]),
    ],
    swiftLanguageModes: [.v6]
)
