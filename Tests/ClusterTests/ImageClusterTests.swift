// Pods of images as their users see them, with real processes: a registry, two nodes that pull by themselves, what is
// said of it, and that nothing is left behind.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite(
  "A cluster that runs images",
  .enabled(if: geteuid() == 0, "without root a container's users cannot be the image's"))
struct ImageClusterTests {
  private static func job(_ name: String, image: String, command: [String] = []) -> JSON {
    var container: JSON = ["name": "main", "image": .string(image)]
    if !command.isEmpty { container["command"] = .strings(command) }
    return [
      "apiVersion": "batch/v1", "kind": "Job", "metadata": ["name": .string(name)],
      "spec": [
        "backoffLimit": 0, "template": ["spec": ["restartPolicy": "Never", "containers": [container]]],
      ],
    ]
  }

  @Test("a node pulls what a pod names, runs it as the image says, tells of it, and leaves nothing behind")
  func pulled() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 0) { cluster in
        let scratch = "\(cluster.directory)/images"
        try Files.makeDirectory(scratch)
        let registry = try BoxRegistry(
          scratch,
          config: [
            ("entrypoint", "/bin/sh"), ("entrypoint", "-c"), ("cmd", "echo I am $(id -u) on $(hostname)"),
            ("user", "1234"),
          ])
        let name = registry.name()
        try cluster.startAgent("node-1", ["--images", "on"])
        try cluster.waitForNodes(1)
        try cluster.apply(Self.job("hello", image: name))
        try cluster.must("wait", "job/hello", "--for=complete", "--timeout", "60s", "-q", within: 90)
        let said = try cluster.stint("logs", "job/hello").text
        try check(said.hasPrefix("I am 1234 on hello-"), said)
        for reason in ["Pulling", "Pulled"] {
          try check(try cluster.events(reason).contains { $0.contains("image \"\(name)\"") }, reason)
        }
        try eventually("the node shows the image") {
          let images = try cluster.nodes().first?[path: ["status", "images"]]?.arrayValue ?? []
          return images.contains { $0["names"]?.arrayValue?.contains(.string(name)) == true }
        }
        // The next one starts no fetch, and a host's program beside it none either.
        try cluster.apply(Self.job("again", image: name))
        try cluster.must("wait", "job/again", "--for=complete", "--timeout", "60s", "-q", within: 90)
        let pulled = try cluster.events("Pulled")
        try check(pulled.contains("Container image \"\(name)\" already present on machine"), "\(pulled)")
        try cluster.apply(Self.job("host", image: "host", command: ["sh", "-c", "test -d /usr/share"]))
        try cluster.must("wait", "job/host", "--for=complete", "--timeout", "60s", "-q", within: 90)
        try cluster.apply(Self.job("none", image: name.replacing("box", with: "none")))
        try eventually("it is told that there is none") {
          try cluster.events("Failed").contains { $0.contains("manifest unknown") }
        }
        let roots = "\(cluster.dataDirectory("node-1"))/roots"
        try eventually("no root is left") { ((try? Files.list(roots)) ?? []).isEmpty }
      }
    }
  }
}
