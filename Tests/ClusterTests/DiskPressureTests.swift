// A node whose disk gets nearly full and is emptied again, as its users see it: a small tmpfs is its data directory.

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

  @Test("says so, takes no new pods until it has had room for a while, stays Ready, and its pods run on")
  func filled() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 0) { cluster in
        let data = cluster.dataDirectory("node-1")
        try Files.makeDirectory(data)
        guard mount("tmpfs", data, "tmpfs", 0, "size=32m,mode=700") == 0 else { throw IOError.last("mount", data) }
        defer { umount2(data, Int32(MNT_DETACH)) }
        try cluster.startAgent("node-1", ["--pressure-transition", "3s"])
        try cluster.waitForNodes(1)
        try cluster.apply(cluster.manifest("old", .untilTold))
        try eventually("it works", seconds: 60) { cluster.ledger.attempts.count == 1 }
        try checkEqual(
          condition(cluster), ["False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"], "DiskPressure")

        // A twentieth is left.
        let space = try Files.space(data)
        try Files.writeAtomically(
          "\(data)/filling", [UInt8](repeating: 1, count: Int(space.available - space.total / 20)))
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

        unlink("\(data)/filling")
        let emptied = uptime()
        try cluster.must("wait", "job/new", "--for=complete", "--timeout", "60s", "-q", within: 90)
        try check(uptime() - emptied > 2.5, "it took pods \(uptime() - emptied) s after it had room")
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
}
