// A whole machine is lost, in each of the ways in which machines are: its work finishes elsewhere, no copy runs beside
// another, and the machine takes work again when it is back.

import ClusterIO
import ClusterProto
import Glibc
import Testing

enum MachineLoss: String, CaseIterable, Sendable {
  case cutOff = "its cable is cut"
  case unheard = "what it says is lost"
  case deaf = "what it is told is lost"
  case powerless = "it loses power"

  func strike(_ machine: String, _ machines: Machines) throws {
    switch self {
    case .cutOff: try machines.cut(machine)
    case .unheard: try machines.mute(machine, to: MachineCluster.head)
    case .deaf: try machines.mute(MachineCluster.head, to: machine)
    case .powerless: try machines.powerOff(machine)
    }
  }

  func mend(_ machine: String, _ cluster: MachineCluster) throws {
    switch self {
    case .cutOff: try cluster.machines.join(machine)
    case .unheard: try cluster.machines.unmute(machine, to: MachineCluster.head)
    case .deaf: try cluster.machines.unmute(MachineCluster.head, to: machine)
    case .powerless:
      try cluster.machines.boot(machine)
      try cluster.startAgent(machine)
    }
  }
}

@Suite(
  "Work survives the loss of a machine", .enabled(if: Machines.areAvailable, Comment(rawValue: Machines.requirement)))
struct MachineLossTests {
  @Test(
    "30 pods run on three machines, one is lost: its work finishes elsewhere, never in two copies, and it works again",
    arguments: MachineLoss.allCases)
  func lost(loss: MachineLoss) async throws {
    try await Blocking.run(isBusy: false) {
      try MachineCluster.with(isIPv6: loss == .deaf) { cluster in
        try checkNodes(cluster)
        try cluster.apply("first", pods: 30, .untilTold)
        try eventually("30 pods sign", seconds: 60) { cluster.ledger.attempts.count == 30 }
        let places = try placement(cluster, "first")
        try checkEqual(Set(places.values), Set(MachineCluster.nodes), "machines that run pods")
        let old = Set(cluster.ledger.attempts.filter { places[$0.pod] == "gamma" }.map(\.token))
        try loss.strike("gamma", cluster.machines)
        try eventually("the lost pods are replaced", seconds: 60, every: 100) {
          cluster.ledger.attempts.count == 30 + old.count
        }
        try check(!cluster.isReady("gamma"), "gamma counts as Ready")
        try Files.writeAtomically("\(cluster.machines.shared)/ledger/go", [])
        try cluster.must("wait", "job/first", "--for=complete", "--timeout", "60s", "-q")
        try judge(cluster, old)
        try loss.mend("gamma", cluster)
        try cluster.waitForReady("gamma")
        try cluster.apply("second", pods: 30, .brief("0.2"))
        try cluster.must("wait", "job/second", "--for=complete", "--timeout", "60s", "-q")
        try check(placement(cluster, "second").values.contains("gamma"), "gamma got no work when it was back")
        try cluster.ledger.checkNothingRanTwice(parallelism: 30)
        try checkEqual(cluster.ledger.ended, 60, "attempts that ended")
      }
    }
  }

  @Test("the coordinator's machine loses power and boots: what ran elsewhere runs on, what ran there runs again")
  func coordinatorLost() async throws {
    try await Blocking.run(isBusy: false) {
      try MachineCluster.with(timing: []) { cluster in
        let head = MachineCluster.head
        try cluster.apply("first", pods: 30, .untilTold)
        try eventually("30 pods sign", seconds: 60) { cluster.ledger.attempts.count == 30 }
        let places = try placement(cluster, "first")
        let lost = places.values.filter { $0 == head }.count
        try check(lost > 0 && lost < 30, "\(lost) pods run beside the coordinator")
        try cluster.machines.powerOff(head)
        try cluster.machines.boot(head)
        try cluster.startCoordinator()
        try cluster.startAgent(head)
        // These machines share a kernel, whose uptime proves no new boot: what ran there is dead once its time is over.
        try eventually("what ran there runs again", seconds: 60, every: 100) {
          cluster.ledger.attempts.count == 30 + lost
        }
        for node in MachineCluster.nodes { try cluster.waitForReady(node) }
        try Files.writeAtomically("\(cluster.machines.shared)/ledger/go", [])
        try cluster.must("wait", "job/first", "--for=complete", "--timeout", "60s", "-q")
        try cluster.ledger.checkNothingRanTwice(parallelism: 30)
        try checkEqual(cluster.ledger.attempts.count, 30 + lost, "attempts")
        try checkEqual(cluster.object("job", "first")["status"]?["failed"]?.intValue ?? 0, 0, "failed")
      }
    }
  }

  /// Each node is shown with its own machine's facts.
  private func checkNodes(_ cluster: MachineCluster) throws {
    for node in MachineCluster.nodes {
      let object = try cluster.object("node", node)
      let addresses = (object[path: ["status", "addresses"]]?.arrayValue ?? []).map {
        "\($0["type"]?.stringValue ?? "") \($0["address"]?.stringValue ?? "")"
      }
      try checkEqual(addresses, ["InternalIP \(cluster.address(node))", "Hostname \(node)"], "addresses")
      let labels = object[path: ["metadata", "labels"]]
      try checkEqual(labels?["kubernetes.io/hostname"]?.stringValue, node, "hostname label")
      try checkEqual(labels?["kubernetes.io/os"]?.stringValue, "linux", "os label")
      let info = object[path: ["status", "nodeInfo"]]
      func there(_ path: String) throws -> String {
        try cluster.machines.must(on: node, "cat", path).split(separator: "\n").joined()
      }
      try checkEqual(info?["machineID"]?.stringValue, there("/etc/machine-id"), "machine id")
      try checkEqual(info?["bootID"]?.stringValue, there("/proc/sys/kernel/random/boot_id"), "boot id")
      try checkEqual(info?["kernelVersion"]?.stringValue, there("/proc/sys/kernel/osrelease"), "kernel")
      try check(there("/etc/os-release").contains(info?["osImage"]?.stringValue ?? "none"), "\(info ?? .null)")
    }
  }

  /// The node of each pod that has an address, which is the machine's.
  private func placement(_ cluster: MachineCluster, _ job: String) throws -> [String: String] {
    var places: [String: String] = [:]
    for pod in try cluster.pods(of: job) {
      let node = pod[path: ["spec", "nodeName"]]?.stringValue ?? ""
      places[pod[path: ["metadata", "name"]]?.stringValue ?? ""] = node
      let status = pod["status"]
      try checkEqual(status?["hostIP"]?.stringValue, cluster.address(node), "hostIP on \(node)")
      try checkEqual(status?["podIP"]?.stringValue, cluster.address(node), "podIP on \(node)")
    }
    return places
  }

  private func judge(_ cluster: MachineCluster, _ old: Set<Int64>) throws {
    let attempts = cluster.ledger.attempts
    let newest = attempts.map(\.token).sorted().suffix(old.count)
    let lastOld = attempts.filter { old.contains($0.token) }.map(\.last).max() ?? 0
    let firstNew = attempts.filter { newest.contains($0.token) }.map(\.first).min() ?? 0
    try check(lastOld < firstNew, "an old copy signed at \(lastOld), a new one began at \(firstNew)")
    try cluster.ledger.checkNothingRanTwice(parallelism: 30)
    let status = try cluster.object("job", "first")["status"]
    try checkEqual(status?["succeeded"]?.intValue, 30, "succeeded")
    try checkEqual(status?["failed"]?.intValue ?? 0, 0, "failed")
  }
}
