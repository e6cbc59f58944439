// swift-tools-version: 6.2
// One product, `stint`. No Swift packages: what others wrote better comes from the system libraries.
// The target graph is the layering of docs/architecture.md; Tests/TidyTests holds every import against it.

import PackageDescription

let strict: [SwiftSetting] = [
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

/// A release binary carries SQLite, libyaml, libarchive, zlib, libzstd, OpenSSL and the Swift runtime, so that the one
/// file can be copied to any machine. Of libarchive it carries what reads tar, gzip and zstd: that needs no other
/// library. All names are bound at the start: a table of functions that nobody can write to, and no pod's init, a clone,
/// has to look them up again.
let linking: [LinkerSetting] = [
  .unsafeFlags(
    [
      "-static-stdlib", "-Xlinker", "-l:libsqlite3.a", "-Xlinker", "-l:libyaml.a", "-Xlinker", "-l:libssl.a",
      "-Xlinker", "-l:libcrypto.a", "-Xlinker", "-l:libarchive.a", "-Xlinker", "-l:libzstd.a", "-Xlinker", "-l:libz.a",
      "-Xlinker", "-l:libseccomp.a", "-Xlinker", "--gc-sections", "-Xlinker", "-s", "-Xlinker", "-z", "-Xlinker", "now",
    ], .when(configuration: .release)),
  .linkedLibrary("sqlite3", .when(configuration: .debug)),
  .linkedLibrary("yaml", .when(configuration: .debug)),
  .linkedLibrary("ssl", .when(configuration: .debug)),
  .linkedLibrary("crypto", .when(configuration: .debug)),
  .linkedLibrary("archive", .when(configuration: .debug)),
  .linkedLibrary("z", .when(configuration: .debug)),
  .linkedLibrary("seccomp", .when(configuration: .debug)),
]

let package = Package(
  name: "stint",
  products: [.executable(name: "stint", targets: ["stint"])],
  targets: [
    // OpenSSL for SHA-256 alone; a release binary takes libcrypto statically, see `linking`.
    .target(
      name: "ClusterProto", dependencies: ["COpenSSL"], path: "Sources/ClusterProto", swiftSettings: strict,
      linkerSettings: [.linkedLibrary("m"), .linkedLibrary("crypto", .when(configuration: .debug))]),
    .target(
      name: "CoordinatorCore", dependencies: ["ClusterProto"], path: "Sources/Coordinator/Core", swiftSettings: strict),
    .target(
      name: "Coordinator",
      dependencies: ["CoordinatorCore", "ClusterProto", "ClusterIO", "CPage", "CSQLite", "CYAML"],
      path: "Sources/Coordinator/Server", swiftSettings: strict),
    .target(name: "AgentCore", dependencies: ["ClusterProto"], path: "Sources/NodeAgent/Core", swiftSettings: strict),
    .target(
      name: "NodeAgent", dependencies: ["AgentCore", "ClusterProto", "ClusterIO", "CLinux", "CSeccomp"],
      path: "Sources/NodeAgent/Host", swiftSettings: strict),
    .target(
      name: "ClusterIO", dependencies: ["ClusterProto", "CLinux", "CArchive", "COpenSSL", "CZlib"],
      path: "Sources/ClusterIO", swiftSettings: strict),
    .target(
      name: "Simulator", dependencies: ["ClusterProto", "CoordinatorCore", "AgentCore"], path: "Sources/Simulator",
      swiftSettings: strict),
    .executableTarget(
      name: "stint",
      dependencies: [
        "ClusterProto", "CoordinatorCore", "Coordinator", "AgentCore", "NodeAgent", "ClusterIO", "Simulator", "CLinux",
      ],
      path: "Sources/stint", swiftSettings: strict, linkerSettings: linking),
    .target(
      name: "CLinux", path: "Sources/CLinux",
      cSettings: [.define("_GNU_SOURCE"), .unsafeFlags(["-Wall", "-Wextra", "-Werror"])]),
    // The page's plain files, which the compiler embeds as they are.
    .target(
      name: "CPage", path: "Sources/CPage", exclude: ["files"],
      cSettings: [.unsafeFlags(["-Wall", "-Wextra", "-Werror", "-Wno-c23-extensions"])]),
    .systemLibrary(name: "CArchive", path: "Sources/CArchive"),
    .systemLibrary(name: "CSQLite", path: "Sources/CSQLite"),
    .systemLibrary(name: "CYAML", path: "Sources/CYAML"),
    .systemLibrary(name: "COpenSSL", path: "Sources/COpenSSL"),
    .systemLibrary(name: "CZlib", path: "Sources/CZlib"),
    .systemLibrary(name: "CSeccomp", path: "Sources/CSeccomp"),

    .testTarget(name: "ClusterProtoTests", dependencies: ["ClusterProto"], swiftSettings: strict),
    .testTarget(
      name: "CoordinatorCoreTests", dependencies: ["CoordinatorCore", "ClusterProto"], swiftSettings: strict),
    .testTarget(name: "AgentCoreTests", dependencies: ["AgentCore", "ClusterProto"], swiftSettings: strict),
    // A keeper in miniature for ClusterIOTests to kill and stop, and the measure of the pod start rate.
    .executableTarget(
      name: "PodHarness", dependencies: ["ClusterIO", "CLinux"], path: "Tests/PodHarness", swiftSettings: strict,
      linkerSettings: [
        .linkedLibrary("ssl"), .linkedLibrary("crypto"), .linkedLibrary("archive"), .linkedLibrary("z"),
      ]),
    .testTarget(
      name: "ClusterIOTests", dependencies: ["ClusterIO", "ClusterProto", "CLinux", "PodHarness"], swiftSettings: strict
    ),
    // HTTPS from the client's side, for CoordinatorTests and ClusterTests.
    .target(
      name: "HTTPTestSupport", dependencies: ["ClusterProto", "ClusterIO"], path: "Tests/HTTPTestSupport",
      swiftSettings: strict),
    .testTarget(
      name: "CoordinatorTests",
      dependencies: ["Coordinator", "CoordinatorCore", "ClusterProto", "ClusterIO", "HTTPTestSupport", "CZlib"],
      swiftSettings: strict),
    // Keeper and agent as processes of their own for NodeAgentTests, and the measure of a keeper's pods a second.
    .executableTarget(
      name: "NodeHarness", dependencies: ["NodeAgent", "AgentCore", "ClusterProto", "ClusterIO"],
      path: "Tests/NodeHarness", swiftSettings: strict,
      linkerSettings: [
        .linkedLibrary("ssl"), .linkedLibrary("crypto"), .linkedLibrary("archive"), .linkedLibrary("z"),
        .linkedLibrary("seccomp"),
      ]),
    .testTarget(
      name: "NodeAgentTests",
      dependencies: ["NodeAgent", "AgentCore", "ClusterProto", "ClusterIO", "CLinux", "NodeHarness"],
      exclude: ["Registry"],
      swiftSettings: strict),
    .testTarget(
      name: "SimulatorTests", dependencies: ["Simulator", "ClusterProto", "CoordinatorCore", "AgentCore"],
      swiftSettings: strict),
    .testTarget(
      name: "ClusterTests",
      dependencies: ["stint", "Coordinator", "NodeAgent", "ClusterProto", "ClusterIO", "HTTPTestSupport"],
      exclude: ["Malformed"], swiftSettings: strict),
    .testTarget(name: "TidyTests", swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)
