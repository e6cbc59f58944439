// Disks that hang under a living agent and under the coordinator: who writes there waits, and nobody else. The pods'
// own ledger, on another disk, is the judge.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite("Work survives a disk that hangs", .enabled(if: FrozenDisk.obstacle == nil, "\(FrozenDisk.obstacle ?? "")"))
struct FrozenDiskTests {
  /// A lease, a toleration, and some more: who is not renewed stands still by then.
  private static let frozenSeconds = 20.0

  private func condition(_ cluster: TestCluster, _ type: String) throws -> String? {
    let node = try cluster.nodes().first { $0[path: ["metadata", "name"]]?.stringValue == "node-1" }
    return node?[path: ["status", "conditions"]]?.arrayValue?.first { $0["type"]?.stringValue == type }?["status"]?
      .stringValue
  }

  private func nodeNames(_ cluster: TestCluster, _ job: String) throws -> [String] {
    try cluster.pods(of: job).compactMap { $0[path: ["spec", "nodeName"]]?.stringValue }
  }

  @Test(
    "a node's disk hangs for 20 s: its pods run on, the node says so and takes no new ones, and nothing is killed after"
  )
  func underAnAgent() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 0, timing: []) { cluster in
        let disk = try FrozenDisk(cluster, at: cluster.dataDirectory("node-1"))
        defer { disk.end() }
        try cluster.startAgent("node-1")
        try cluster.waitForNodes(1)
        try start(cluster)
        try cluster.startAgent("node-2")
        try cluster.waitForNodes(2)
        let before = cluster.ledger.attempts.map(\.token)
        let shells = Processes.shells(with: cluster.mark)
        try disk.freeze()
        let frozen = uptime()
        try stall(cluster, since: frozen)
        try checkEqual(cluster.ledger.attempts.map(\.token).filter(before.contains), before, "attempts")
        try disk.thaw()
        try eventually("the node says that its disk answers") { try condition(cluster, "DiskStalled") == "False" }
        let thawed = uptime()
        try eventually("old pods sign on") {
          cluster.ledger.attempts.filter { before.contains($0.token) && $0.ends == 0 }.allSatisfy {
            $0.last > thawed + 3
          }
        }
        try checkEqual(shells.filter(Processes.isAlive).count, 6, "pods that live on after the thaw")
        try finish(cluster)
      }
    }
  }

  /// Five pods that say nothing, one that says more than can be kept for it, and one that ends meanwhile.
  private func start(_ cluster: TestCluster) throws {
    let talk = """
      line=$(printf '%04000d' 7)
      until [ -e /ledger/go ]; do echo $line; sign beat; sleep 0.05; done
      sign end

      """
    try cluster.apply(
      cluster.manifest("quiet", completions: 5, parallelism: 5, .untilTold),
      cluster.manifest("talker", .script(talk)), cluster.manifest("short", .brief("8")))
    try eventually("seven pods sign on node-1") { cluster.ledger.attempts.count == 7 }
  }

  private func stall(_ cluster: TestCluster, since frozen: Double) throws {
    try eventually("the node says DiskStalled", seconds: 10) { try condition(cluster, "DiskStalled") == "True" }
    print("DiskStalled is shown \(((uptime() - frozen) * 10).rounded() / 10) s after the freeze")
    try checkEqual(cluster.isReady("node-1"), true, "Ready")
    try checkEqual(cluster.events("DiskStalled").count, 1, "events")
    try cluster.apply(cluster.manifest("new", completions: 3, parallelism: 3, .brief("0.1")))
    try cluster.must("wait", "job/new", "--for=complete", "--timeout", "30s", "-q")
    try checkEqual(Set(nodeNames(cluster, "new")), ["node-2"], "nodes of the new pods")
    try cluster.must("wait", "job/short", "--for=complete", "--timeout", "30s", "-q")
    try eventually("time passes", seconds: 60) { uptime() > frozen + Self.frozenSeconds }
    let now = uptime()
    try eventually("all pods of the node sign on while its disk hangs", seconds: 10) {
      cluster.ledger.attempts.filter { $0.ends == 0 }.allSatisfy { $0.last > now }
    }
    for job in ["quiet", "talker"] {
      for pod in try cluster.pods(of: job) {
        try checkEqual(pod[path: ["status", "phase"]]?.stringValue, "Running", "phase in \(job)")
      }
    }
  }

  private func finish(_ cluster: TestCluster) throws {
    try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
    for job in ["quiet", "talker", "short"] {
      try cluster.must("wait", "job/\(job)", "--for=complete", "--timeout", "60s", "-q")
      try checkEqual(cluster.status(job, "failed"), 0, "failed pods of \(job)")
    }
    try cluster.ledger.checkNothingRanTwice(parallelism: 10)
    try checkEqual(cluster.ledger.attempts.count, 10, "attempts")
    let text = try cluster.stint("logs", "job/talker").text
    try check(
      text.contains("bytes of log dropped: the node's disk did not take them in time]"), "the log tells of no loss")
  }

  private func note(_ name: String) -> JSON {
    ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name)], "data": ["text": "x"]]
  }

  @Test("the coordinator's disk hangs for 20 s: leases are renewed, reads answered, writes wait, nothing runs twice")
  func underTheCoordinator() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 0, timing: []) { cluster in
        try cluster.killCoordinator()
        let disk = try FrozenDisk(cluster, at: "\(cluster.directory)/coordinator")
        defer { disk.end() }
        try cluster.startCoordinator()
        try cluster.waitForNodes(0)
        try cluster.startAgent("node-1")
        try cluster.waitForNodes(1)
        try cluster.apply(cluster.manifest("kept", completions: 5, parallelism: 5, .untilTold), note("early"))
        try eventually("five pods sign") { cluster.ledger.attempts.count == 5 }
        try eventually("all are shown ready") { try cluster.status("kept", "ready") == 5 }
        let shells = Processes.shells(with: cluster.mark)
        try disk.freeze()
        let frozen = uptime()
        let path = "\(cluster.directory)/late.yaml"
        try Files.writeAtomically(path, Array(note("late").text.utf8))
        let late = try Program(
          ["apply", "-f", path],
          environment: ["STINT_SERVER=\(cluster.server)", "KUBECONFIG=\(cluster.kubeconfig)"],
          output: "\(cluster.directory)/logs/client-late")
        try eventually("time passes, and an object is read by its name all the while", seconds: 90, every: 500) {
          try cluster.must("get", "configmap", "early", within: 10)
          return uptime() > frozen + Self.frozenSeconds
        }
        try check(late.isRunning, "a write was acknowledged on a frozen disk: \(late.text)")
        let now = uptime()
        try eventually("the pods sign on while the coordinator's disk hangs", seconds: 10) {
          cluster.ledger.attempts.allSatisfy { $0.last > now }
        }
        try disk.thaw()
        try checkEqual(late.end(within: 30), 0, "the late write's exit status; it printed \(late.text)")
        try checkEqual(Processes.shells(with: cluster.mark), shells, "pods after the thaw")
        try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
        try cluster.must("wait", "job/kept", "--for=complete", "--timeout", "60s", "-q")
        try cluster.ledger.checkNothingRanTwice(parallelism: 5)
        try checkEqual(cluster.ledger.attempts.count, 5, "attempts")
        try checkEqual(cluster.status("kept", "failed"), 0, "failed")
      }
    }
  }

  @Test("the coordinator's disk hangs for 40 s while nodes are being told of pods: pods pause, and none is lost")
  func underTheCoordinatorWithOrders() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 0, timing: []) { cluster in
        try cluster.killCoordinator()
        let disk = try FrozenDisk(cluster, at: "\(cluster.directory)/coordinator")
        defer { disk.end() }
        try cluster.startCoordinator()
        try cluster.waitForNodes(0)
        for name in ["node-1", "node-2"] { try cluster.startAgent(name) }
        try cluster.waitForNodes(2)
        try cluster.apply(cluster.manifest("kept", completions: 6, parallelism: 6, .untilTold))
        try eventually("all are shown ready") { try cluster.status("kept", "ready") == 6 }
        try checkEqual(Set(nodeNames(cluster, "kept")), ["node-1", "node-2"], "nodes")
        let shells = Processes.shells(with: cluster.mark)
        let before = cluster.ledger.attempts.map(\.token)
        try disk.freeze()
        let frozen = uptime()
        let path = "\(cluster.directory)/late.yaml"
        // Its pods are assigned at once, to both nodes: neither is renewed from here on.
        let late = cluster.manifest("late", completions: 4, parallelism: 4, .brief("0.1"))
        try Files.writeAtomically(path, Array(late.text.utf8))
        let client = try Program(
          ["apply", "-f", path],
          environment: ["STINT_SERVER=\(cluster.server)", "KUBECONFIG=\(cluster.kubeconfig)"],
          output: "\(cluster.directory)/logs/client-late")
        try eventually("time passes", seconds: 90, every: 500) { uptime() > frozen + 40 }
        try check(client.isRunning, "a write was acknowledged on a frozen disk: \(client.text)")
        try disk.thaw()
        let thawed = uptime()
        try checkEqual(client.end(within: 30), 0, "the late write's exit status; it printed \(client.text)")
        try eventually("the pods of before sign on", seconds: 30) {
          cluster.ledger.attempts.filter { before.contains($0.token) }.allSatisfy { $0.last > thawed + 3 }
        }
        try check(shells.allSatisfy(Processes.isAlive), "pods are gone after the thaw")
        try cluster.must("wait", "job/late", "--for=complete", "--timeout", "60s", "-q")
        try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
        try cluster.must("wait", "job/kept", "--for=complete", "--timeout", "60s", "-q")
        try cluster.ledger.checkNothingRanTwice(parallelism: 10)
        try checkEqual(cluster.ledger.attempts.count, 10, "attempts")
        for job in ["kept", "late"] { try checkEqual(cluster.status(job, "failed"), 0, "failed pods of \(job)") }
        for reason in ["NodeNotReady", "TaintManagerEviction"] {
          try checkEqual(cluster.events(reason).count, 0, "events \(reason)")
        }
      }
    }
  }
}
