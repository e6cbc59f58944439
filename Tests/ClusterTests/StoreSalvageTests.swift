// A coordinator whose store has a damaged page is started once with --accept-loss: what could be read is served again,
// and a pod that ran meanwhile goes on.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite("A damaged page of the coordinator's store")
struct StoreSalvageTests {
  private static let page = 4_096

  private static func zero(_ number: Int, of path: String) throws {
    var bytes = try Files.read(path)
    for place in (number - 1) * page..<number * page { bytes[place] = 0 }
    try Files.writeAtomically(path, bytes)
  }

  private static func refused(_ cluster: TestCluster) throws {
    try cluster.startCoordinator()
    try eventually("it ends", seconds: 60, seen: cluster.story) { cluster.coordinator?.isRunning == false }
    let text = cluster.coordinator?.text ?? ""
    try check(text.contains("stint.db is damaged") && text.contains("--accept-loss"), text)
  }

  @Test("an index costs nothing; a table's page costs its rows, and the cluster runs on with the others")
  func salvaged() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 1, timing: ["--heartbeat-interval", "200ms", "--lease-duration", "20s"]) { cluster in
        let database = "\(cluster.directory)/coordinator/stint.db"
        for number in 0..<30 {
          try cluster.apply(cluster.manifest("idle-\(number)", completions: 0, .untilTold))
        }
        try cluster.apply(cluster.manifest("works", .untilTold))
        try eventually("its pod signs", seconds: 60) { cluster.ledger.attempts.count == 1 }
        try cluster.killCoordinator(SIGTERM)
        // Of the table `attempts`: its index follows its root.
        try Self.zero(9, of: database)
        try Self.refused(cluster)
        try cluster.startCoordinator(["--accept-loss"])
        try eventually("it serves", seconds: 60, seen: cluster.story) {
          cluster.coordinator?.text.contains("coordinator serves") == true
        }
        let whole = cluster.coordinator?.text ?? ""
        try check(whole.contains("a new store was made of") && whole.contains("stint.db.damaged-1"), whole)
        try check(!whole.contains("started with less"), whole)
        try eventually("the node is back", seconds: 60, every: 100) { try cluster.isReady("node-1") }
        try cluster.must("get", "job", "works")
        try cluster.killCoordinator(SIGTERM)
        // A leaf with rows of Jobs.
        let bytes = try Files.read(database)
        let leaf = (1..<bytes.count / Self.page).last { number in
          bytes[number * Self.page] == 0x0d
            && String(decoding: bytes[number * Self.page..<(number + 1) * Self.page], as: UTF8.self)
              .contains("jobs/default/idle-")
        }
        try Self.zero(try found(leaf, "a leaf of the table objects") + 1, of: database)
        try Self.refused(cluster)
        try cluster.startCoordinator(["--accept-loss"])
        try eventually("it serves again", seconds: 60, seen: cluster.story) {
          cluster.coordinator?.text.contains("coordinator serves") == true
        }
        let partial = cluster.coordinator?.text ?? ""
        try check(partial.contains("started with less") && partial.contains("could be read"), partial)
        try check(partial.contains("the store was moved or restored: no pod gets a node"), partial)
        try eventually("the node is back again", seconds: 60, every: 100) { try cluster.isReady("node-1") }
        let left = try cluster.stint("get", "jobs", "-o", "name").text.split(separator: "\n").count
        try check(left >= 20 && left < 31, "\(left) Jobs are left")
        try cluster.ledger.checkNothingRanTwice(parallelism: 1)
      }
    }
  }
}
