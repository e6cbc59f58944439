// A node whose disk gets nearly full, as its users see it, and who has to go for it: its data directory is a small
// tmpfs.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite("A node whose disk is nearly full", .enabled(if: geteuid() == 0, "needs root, to mount a disk of its own"))
struct DiskPressureTests {
  private func condition(_ cluster: TestCluster) throws -> [String] {
    let found = try cluster.nodes().first?[path: ["status", "conditions"]]?.arrayValue?.first {
      $0["type"] == "DiskPressure"
    }
    return ["status", "reason", "message"].map { found?[$0]?.stringValue ?? "" }
  }

  /// Writes so many bytes to an emptyDir and stays.
  private func hog(_ bytes: Int) -> JSON {
    [
      "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "hog"],
      "spec": [
        "restartPolicy": "Never",
        "containers": [
          [
            "name": "main", "image": "host",
            "command": ["sh", "-c", .string("head -c \(bytes) /dev/zero > /scratch/x; sleep 1000")],
            "volumeMounts": [["name": "scratch", "mountPath": "/scratch"]],
          ]
        ],
        "volumes": [["name": "scratch", "emptyDir": [:]]],
      ],
    ]
  }

  /// A cluster of one node, whose data directory has 32 MiB.
  private func withSmallDisk(_ body: (TestCluster, String) throws -> Void) throws {
    try TestCluster.with(agents: 0) { cluster in
      let data = cluster.dataDirectory("node-1")
      try Files.makeDirectory(data)
      guard mount("tmpfs", data, "tmpfs", 0, "size=32m,mode=700") == 0 else { throw IOError.last("mount", data) }
      defer { umount2(data, Int32(MNT_DETACH)) }
      try cluster.startAgent("node-1", ["--pressure-transition", "10s"])
      try cluster.waitForNodes(1)
      try checkEqual(
        condition(cluster), ["False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"], "DiskPressure")
      let amounts = ["capacity", "allocatable"].map { member in
        try? cluster.nodes().first?[path: ["status", member, "ephemeral-storage"]]?.stringValue
      }
      try checkEqual(amounts, ["32Mi", "32Mi"], "capacity and allocatable")
      try body(cluster, data)
    }
  }

  /// How many bytes leave a fourteenth of the disk, once the pod of the Job `old` is at work there.
  private func almostAll(of data: String, beside cluster: TestCluster) throws -> Int {
    try cluster.apply(cluster.manifest("old", .untilTold))
    try eventually("it works", seconds: 60) { cluster.ledger.attempts.count == 1 }
    let space = try Files.space(data)
    return Int(space.available - space.total / 14)
  }

  @Test("says so, evicts who keeps most in kubelet's words, and takes new pods once it has had room for a while")
  func evicts() async throws {
    try await Blocking.run {
      try withSmallDisk { cluster, data in
        try cluster.apply(hog(try almostAll(of: data, beside: cluster)))
        try eventually("the node says DiskPressure") {
          try condition(cluster) == ["True", "KubeletHasDiskPressure", "kubelet has disk pressure"]
        }
        try check(try cluster.isReady("node-1"), "node-1 is not Ready")
        let told = try cluster.stint("describe", "node", "node-1").text
        let lines = told.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
        try check(lines.contains { $0.starts(with: ["DiskPressure", "True"]) }, told)
        try check(lines.contains(["Taints:", "node.kubernetes.io/disk-pressure:NoSchedule"]), told)
        try cluster.apply(cluster.manifest("new", .brief("0.1")))
        try eventually("the new pod says why it waits") {
          try cluster.events("FailedScheduling").contains {
            $0.contains("1 node(s) had untolerated taint {node.kubernetes.io/disk-pressure: }")
          }
        }
        try eventually("the hog is evicted", seconds: 60) {
          try cluster.pod("hog")[path: ["status", "reason"]] == "Evicted"
        }
        let status = try found(cluster.pod("hog")["status"], "status")
        let words = status["message"]?.stringValue ?? ""
        try check(
          words.hasPrefix("The node was low on resource: ephemeral-storage. Threshold quantity: 3355443, available: "),
          words)
        let disturbed = status["conditions"]?.arrayValue?.first { $0["type"] == "DisruptionTarget" }
        try checkEqual(disturbed?["reason"], "TerminationByKubelet", "DisruptionTarget")
        try checkEqual(try cluster.events("Evicted"), [words], "Evicted")
        try checkEqual(try cluster.events("EvictionThresholdMet"), ["Attempting to reclaim ephemeral-storage"], "event")

        try cluster.must("wait", "job/new", "--for=complete", "--timeout", "60s", "-q", within: 90)
        try checkEqual(condition(cluster)[0], "False", "DiskPressure")
        for reason in ["NodeHasDiskPressure", "NodeHasNoDiskPressure"] {
          try checkEqual(try cluster.events(reason), ["Node node-1 status is now: \(reason)"], reason)
        }
        let last = cluster.ledger.attempts.map(\.last).max() ?? 0
        try eventually("the old pod runs on") { (cluster.ledger.attempts.map(\.last).max() ?? 0) > last }
        try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
        try cluster.must("wait", "job/old", "--for=complete", "--timeout", "60s", "-q")
      }
    }
  }

  @Test("ends nobody for a file of somebody else's, says so, and takes no pod either that bears the taint")
  func othersFile() async throws {
    try await Blocking.run {
      try withSmallDisk { cluster, data in
        let bytes = [UInt8](repeating: 1, count: try almostAll(of: data, beside: cluster))
        try Files.writeAtomically("\(data)/others", bytes)
        let words =
          "nothing of pods to give back: no pod is known to keep more than 1Mi there, so something else fills it"
        try eventually("the node says so", seconds: 60) {
          try condition(cluster) == ["True", "KubeletHasDiskPressure", "kubelet has disk pressure; \(words)"]
        }
        try checkEqual(try cluster.events("NothingToReclaim"), [words], "event")
        let bearing = cluster.manifest("bearing", .brief("0.1")) { job in
          job[path: ["spec", "template", "spec", "tolerations"]] = [["operator": "Exists"]]
        }
        try cluster.apply(bearing)
        try eventually("it waits") {
          try cluster.events("FailedScheduling").contains { $0.contains("1 node(s) had DiskPressure and take no pods") }
        }
        try checkEqual(try cluster.events("Evicted"), [], "evictions")
        unlink("\(data)/others")
        try cluster.must("wait", "job/bearing", "--for=complete", "--timeout", "60s", "-q", within: 90)
        try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
        try cluster.must("wait", "job/old", "--for=complete", "--timeout", "60s", "-q")
        try checkEqual(cluster.ledger.attempts.count, 2, "attempts")
      }
    }
  }

  @Test("gives pods no more room on its disk than it has: the one too many says what lacks")
  func counted() async throws {
    try await Blocking.run {
      try withSmallDisk { cluster, _ in
        func asking(_ name: String, _ amount: String) -> JSON {
          cluster.manifest(name, .untilTold) { job in
            let path = ["spec", "template", "spec", "containers"]
            guard var container = job[path: path]?[0] else { return }
            container["resources"] = ["requests": ["ephemeral-storage": .string(amount)]]
            job[path: path] = [container]
          }
        }
        try cluster.apply(asking("first", "20Mi"))
        try eventually("it works", seconds: 60) { cluster.ledger.attempts.count == 1 }
        try cluster.apply(asking("second", "20Mi"))
        try eventually("the second says why it waits") {
          try cluster.events("FailedScheduling").contains {
            $0.hasPrefix("0/1 nodes are available: 1 Insufficient ephemeral-storage.")
          }
        }
        try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
        try cluster.must("wait", "job/second", "--for=complete", "--timeout", "60s", "-q", within: 90)
      }
    }
  }
}
