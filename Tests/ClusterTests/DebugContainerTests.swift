// Containers that are added to pods that run, with real processes: their images are pulled then, an agent that was away
// starts what was added meanwhile, and nothing runs twice or stays.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite("A cluster whose pods are debugged", .enabled(if: geteuid() == 0, "nodes run images as root alone"))
struct DebugContainerTests {
  private static func container(_ name: String, _ image: String, _ script: String) -> JSON {
    ["name": .string(name), "image": .string(image), "command": ["/bin/sh", "-c", .string(script)]]
  }

  private static func state(_ cluster: TestCluster, _ name: String) throws -> JSON? {
    let all = try cluster.pod("p")[path: ["status", "ephemeralContainerStatuses"]]?.arrayValue ?? []
    return all.first { $0["name"]?.stringValue == name }?["state"]
  }

  @Test("images are pulled beside a pod that runs; one that cannot be had says so and holds up no other")
  func pulled() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 0) { cluster in
        let scratch = "\(cluster.directory)/images"
        try Files.makeDirectory(scratch)
        let registry = try BoxRegistry(scratch)
        let mark = "\(8_000_000 + Int(getpid()))"
        try cluster.startAgent("node-1", ["--images", "on"])
        try cluster.waitForNodes(1)
        try cluster.apply([
          "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "p"],
          "spec": [
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
            "containers": [Self.container("main", "host", "exec sleep 1000")],
          ],
        ])
        try eventually("the pod runs") { try cluster.pod("p")[path: ["status", "phase"]] == "Running" }
        try cluster.add(Self.container("bad", registry.name().replacing("box", with: "none"), "true"), to: "p")
        try eventually("it is said that there is no such image") {
          let reason = try Self.state(cluster, "bad")?[path: ["waiting", "reason"]]?.stringValue ?? ""
          return ["ErrImagePull", "ImagePullBackOff"].contains(reason)
        }
        // While the agent is away the pod gets another one, which the next agent starts.
        try cluster.killAgent("node-1")
        try cluster.add(
          Self.container("good", registry.name(), "echo from the image; exec sleep \(mark)"), to: "p")
        try cluster.startAgent("node-1", ["--images", "on"])
        try eventually("it runs", seconds: 60) { try Self.state(cluster, "good")?["running"] != nil }
        let pulled = try cluster.events("Pulling")
        try check(pulled.contains("Pulling image \"\(registry.name())\""), "\(pulled)")
        try check(try cluster.events("Started").contains("Container started"), "no word of its start")
        // One that comes back finds it as it is.
        try cluster.killAgent("node-1")
        try cluster.startAgent("node-1", ["--images", "on"])
        try cluster.add(Self.container("last", "host", "echo over"), to: "p")
        try eventually("the next one is over", seconds: 60) { try Self.state(cluster, "last")?["terminated"] != nil }
        let said = try cluster.stint("logs", "p", "-c", "good")
        try check(said.text == "from the image\n", said.text)
        try checkEqual(Processes.mentioning("sleep\0\(mark)").count, 1, "processes of it")
        try checkEqual(try cluster.pod("p")[path: ["status", "phase"]], "Running", "the pod's phase")
        try cluster.must("delete", "pod", "p")
        try eventually("nothing of it is left") { Processes.mentioning("sleep\0\(mark)").isEmpty }
      }
    }
  }
}
