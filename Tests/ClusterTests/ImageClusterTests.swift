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

  @Test("a Job with users of its own runs, is probed and entered as root of nobody, and its node is told of no other")
  func ownUsers() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 0) { cluster in
        let scratch = "\(cluster.directory)/images"
        try Files.makeDirectory(scratch)
        let registry = try BoxRegistry(scratch)
        let mark = "\(5_300_000 + Int(getpid()))"
        var job = Self.job(
          "own", image: registry.name(), command: ["sh", "-c", "cat /proc/self/uid_map; id -u; sleep \(mark); true"])
        let probe: JSON = ["command": ["sh", "-c", "test $(id -u) = 0 && touch /probed"]]
        let path = ["spec", "template", "spec"]
        var spec = job[path: path] ?? .null
        var container = spec["containers"]?[0] ?? .null
        container["readinessProbe"] = ["periodSeconds": 1, "exec": probe]
        spec["containers"] = [container]
        (spec["hostUsers"], spec["terminationGracePeriodSeconds"]) = (false, 1)
        spec["subdomain"] = "ring"
        job["spec"] = ["template": ["spec": spec]]
        try cluster.startAgent("node-1", ["--images", "on"])
        try cluster.waitForNodes(1)
        try cluster.apply(job)
        try eventually("its container is ready") {
          try cluster.pods(of: "own").first?[path: ["status", "containerStatuses"]]?[0]?["ready"] == true
        }
        let pod = try cluster.pods(of: "own").first ?? .null
        try check(pod[path: ["spec", "hostUsers"]] == false, "\(pod["spec"] ?? .null)")
        let said = try cluster.stint("logs", "job/own").text
        let words = said.split { $0 == " " || $0 == "\n" }.map(String.init)
        try check(words.count == 4 && words[0] == "0" && words[2] == "65536" && words[3] == "0", said)
        let look = "cat /proc/self/uid_map; ls /probed; tail -n 1 /etc/hosts"
        let entered = try cluster.stint("exec", "job/own", "--", "busybox", "sh", "-c", look).text
        try check(entered.hasPrefix(said.prefix { $0 != "\n" }), entered)
        let name = pod[path: ["metadata", "name"]]?.stringValue ?? ""
        try check(entered.hasSuffix("\t\(name).ring.default.svc.cluster.local\t\(name)\n"), entered)
        try cluster.must("delete", "job/own", within: 90)
        let roots = "\(cluster.dataDirectory("node-1"))/roots"
        try eventually("no root is left") { ((try? Files.list(roots)) ?? []).isEmpty }
      }
    }
  }
}
