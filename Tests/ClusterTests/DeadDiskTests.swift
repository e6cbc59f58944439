// A pod's process that a dead disk holds in the kernel, with its keeper gone: it costs nobody else anything, and its
// own node no more than the time that fences it.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite(
  "A dead disk under a pod", .enabled(if: LoopDisk.isPossible, "needs root, a loop device, mkfs.ext4 and fsfreeze"))
struct DeadDiskTests {
  private static func impaired(_ cluster: TestCluster) throws -> (status: String, message: String) {
    let node = try cluster.nodes().first { $0[path: ["metadata", "name"]]?.stringValue == "node-1" }
    let condition = node?[path: ["status", "conditions"]]?.arrayValue?.first {
      $0["type"]?.stringValue == "KeeperImpaired"
    }
    return (condition?["status"]?.stringValue ?? "", condition?["message"]?.stringValue ?? "")
  }

  @Test(
    "its keeper killed, a new agent beside it is Ready at once, its own node after R; both say what is waited for, idly"
  )
  func keeperKilled() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 0) { cluster in
        let disk = try LoopDisk(at: "\(cluster.directory)/dead", image: "\(cluster.directory)/disk")
        defer { disk.end() }
        try cluster.startAgent("node-1")
        try cluster.waitForNodes(1)
        let job = cluster.manifest(
          "stuck", .script("until [ -e /ledger/go ]; do sign beat; echo x > /dead/file; sleep 0.05; done; sign end\n")
        ) { job in
          let pod = ["spec", "template", "spec"]
          var volumes = job[path: pod + ["volumes"]]?.arrayValue ?? []
          volumes.append(["name": "dead", "hostPath": ["path": .string(disk.path)]])
          job[path: pod + ["volumes"]] = .array(volumes)
          var containers = job[path: pod + ["containers"]]?.arrayValue ?? []
          var mounts = containers[0]["volumeMounts"]?.arrayValue ?? []
          mounts.append(["name": "dead", "mountPath": "/dead"])
          containers[0]["volumeMounts"] = .array(mounts)
          job[path: pod + ["containers"]] = .array(containers)
        }
        try cluster.apply(job)
        try eventually("the pod signs") { cluster.ledger.attempts.count == 1 }
        try Self.lose(cluster, disk)
      }
    }
  }

  private static func lose(_ cluster: TestCluster, _ disk: LoopDisk) throws {
    let shells = Processes.shells(with: cluster.mark)
    let keeper = try cluster.keeper(of: "node-1")
    let pod = try found(try PodSweep.inits(of: cluster.dataDirectory("node-1")).first, "pod init")
    try disk.freeze()
    try eventually("the pod stands in the kernel") { shells.contains(where: Processes.hasThreadInKernel) }
    kill(keeper.pid, SIGKILL)
    try eventually("the keeper is gone") { !Processes.isAlive(keeper) }

    let began = uptime()
    try cluster.startAgent("node-2")
    try eventually("a new agent beside it is Ready", seconds: 30) { try cluster.isReady("node-2") }
    try check(pod.isAlive, "the pod's init is dead: the disk does not hold it")
    try eventually("the node's agent says what its keeper waits for", seconds: 30) {
      let text = cluster.agents["node-1"]?.text ?? ""
      return text.contains(
        "not dead yet (their inits: \(pod.pid); they are of \(cluster.dataDirectory("node-1"))/pods/")
    }
    // The sweep claims nothing: the name is given back by the clock only.
    try eventually("the node is Ready with its new keeper", seconds: 40, every: 100) {
      try impaired(cluster).status == "True" && cluster.isReady("node-1")
    }
    try check(cluster.agents["node-1"]?.text.contains("refuses this agent") == true, "it was taken before R")
    try check(try impaired(cluster).message.contains("\(pod.pid)"), "the condition names no init")
    try eventually("the pod's work runs again", seconds: 40, every: 100) { cluster.ledger.attempts.count == 2 }
    try check(pod.isAlive, "the pod's init is dead: the disk does not hold it")
    let seconds = try processorSeconds(cluster.keeper(of: "node-1").pid)
    try check(seconds < 0.5 + 0.05 * (uptime() - began), "waiting took \(seconds) s of processor time")

    disk.thaw()
    try eventually("the node says that nothing is left", seconds: 30, every: 100) {
      try impaired(cluster).status == "False" && cluster.isReady("node-1")
    }
    try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
    try cluster.must("wait", "job/stuck", "--for=complete", "--timeout", "60s", "-q")
    try cluster.ledger.checkNothingRanTwice(parallelism: 1)
    try checkEqual(cluster.status("stuck", "failed"), 0, "failed")
  }

  /// User and system time, which /proc counts in hundredths.
  private static func processorSeconds(_ pid: Int32) throws -> Double {
    let fields = try Files.readLine("/proc/\(pid)/stat").split(separator: ")").last?.split(separator: " ") ?? []
    guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else { return .infinity }
    return (user + system) / 100
  }
}
