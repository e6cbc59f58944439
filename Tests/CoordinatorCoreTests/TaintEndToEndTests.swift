// What Kubernetes' end-to-end suite asks of NoExecute taints, case by case under its names, time by hand; and what the
// API says of tolerations that change while a pod runs.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("NoExecute taints as Kubernetes' suite has them") struct TaintEndToEndTests {
  private static let taint = Taint(
    key: "kubernetes.io/e2e-evict-taint-key", value: "evictTaintVal", effect: "NoExecute")

  /// The suite's toleration; `seconds` 0 or less: for ever.
  private static func toleration(_ seconds: Int64) -> JSON {
    var json: JSON = [
      "key": "kubernetes.io/e2e-evict-taint-key", "value": "evictTaintVal", "effect": "NoExecute",
    ]
    if seconds > 0 { json["tolerationSeconds"] = .int(seconds) }
    return json
  }

  private static func cluster() throws -> JobCluster { try JobCluster(nodes: 1) }

  /// A pod that runs. `seconds` nil: it bears no taint.
  private static func run(_ cluster: JobCluster, _ name: String, _ seconds: Int64?, hold: Bool = false) throws {
    var pod = Manifest.pod(name)
    pod[path: ["metadata", "labels"]] = ["group": "taint-eviction"]
    // As the suite has it; a server does not look at it.
    pod[path: ["metadata", "deletionGracePeriodSeconds"]] = 1
    if hold { pod[path: ["metadata", "finalizers"]] = ["example.com/test-finalizer"] }
    if let seconds { pod[path: ["spec", "tolerations"]] = [toleration(seconds)] }
    let answer = cluster.ask(APIRequest(verb: .create, kind: .pods, namespace: "default", body: pod))
    #expect(answer.code == 201, "\(answer.message)")
    #expect(answer.object[path: ["metadata", "deletionGracePeriodSeconds"]] == nil)
    try cluster.wait("\(name) runs") { $0.fleet.pod(name)?.status.phase == .running }
  }

  private static func apply(_ cluster: JobCluster, isOn: Bool = true) {
    cluster.fleet.core.updateNode("node-0") { node in
      if isOn { node.taints.append(taint) } else { node.taints.removeAll { $0 == taint } }
    }
    cluster.fleet.step([])
  }

  private static func pass(_ cluster: JobCluster, seconds: Int) { for _ in 0..<seconds { cluster.pass() } }

  private static func isThere(_ cluster: JobCluster, _ name: String) -> Bool { cluster.fleet.pod(name) != nil }

  @Test("evicts pods from tainted nodes")
  func evicts() throws {
    let cluster = try Self.cluster()
    try Self.run(cluster, "taint-eviction-1", nil)
    Self.apply(cluster)
    try cluster.wait("it is gone") { !Self.isThere($0, "taint-eviction-1") }
    #expect(cluster.fleet.events("TaintManagerEviction") == ["Marking for deletion Pod default/taint-eviction-1"])
  }

  @Test("doesn't evict pod with tolerations from tainted nodes")
  func tolerates() throws {
    let cluster = try Self.cluster()
    try Self.run(cluster, "taint-eviction-2", 0)
    Self.apply(cluster)
    Self.pass(cluster, seconds: 65)
    #expect(Self.isThere(cluster, "taint-eviction-2"))
    #expect(cluster.fleet.events("TaintManagerEviction") == [])
  }

  @Test("eventually evict pod with finite tolerations from tainted nodes")
  func finite() throws {
    let cluster = try Self.cluster()
    try Self.run(cluster, "taint-eviction-3", 70)
    Self.apply(cluster)
    Self.pass(cluster, seconds: 65)
    #expect(Self.isThere(cluster, "taint-eviction-3"))
    Self.pass(cluster, seconds: 10)
    #expect(!Self.isThere(cluster, "taint-eviction-3"))
  }

  @Test("removing taint cancels eviction")
  func cancelled() throws {
    let cluster = try Self.cluster()
    try Self.run(cluster, "taint-eviction-4", 10)
    Self.apply(cluster)
    Self.pass(cluster, seconds: 5)
    #expect(Self.isThere(cluster, "taint-eviction-4"))
    Self.apply(cluster, isOn: false)
    Self.pass(cluster, seconds: 75)
    #expect(Self.isThere(cluster, "taint-eviction-4"))
    #expect(cluster.fleet.events("TaintManagerEviction") == ["Cancelling deletion of Pod default/taint-eviction-4"])
  }

  @Test("pods evicted from tainted nodes have pod disruption condition")
  func condition() throws {
    let cluster = try Self.cluster()
    try Self.run(cluster, "taint-eviction-pod-disruption", nil, hold: true)
    Self.apply(cluster)
    try cluster.wait("it has ended") { $0.fleet.pod("taint-eviction-pod-disruption")?.status.phase == .failed }
    let condition = cluster.fleet.pod("taint-eviction-pod-disruption")?.status.condition("DisruptionTarget")
    #expect(condition?.isTrue == true && condition?.reason == "DeletionByTaintManager")
    #expect(condition?.message == "Taint manager: deleting due to NoExecute taint")
  }

  @Test("only evicts pods without tolerations from tainted nodes")
  func several() throws {
    let cluster = try Self.cluster()
    try Self.run(cluster, "taint-eviction-a1", nil)
    try Self.run(cluster, "taint-eviction-a2", 0)
    Self.apply(cluster)
    Self.pass(cluster, seconds: 65)
    #expect(!Self.isThere(cluster, "taint-eviction-a1") && Self.isThere(cluster, "taint-eviction-a2"))
  }

  @Test("evicts pods with minTolerationSeconds")
  func minimum() throws {
    let cluster = try Self.cluster()
    try Self.run(cluster, "taint-eviction-b1", 5)
    try Self.run(cluster, "taint-eviction-b2", 25)
    Self.apply(cluster)
    Self.pass(cluster, seconds: 3)
    #expect(Self.isThere(cluster, "taint-eviction-b1"))
    Self.pass(cluster, seconds: 5)
    #expect(!Self.isThere(cluster, "taint-eviction-b1") && Self.isThere(cluster, "taint-eviction-b2"))
    Self.pass(cluster, seconds: 20)
    #expect(!Self.isThere(cluster, "taint-eviction-b2"))
  }

  // MARK: - Beside the suite

  @Test("a pod that comes to a node with the taint stays as long as it bears it")
  func comesLater() throws {
    let cluster = try Self.cluster()
    Self.apply(cluster)
    try Self.run(cluster, "late", 10)
    Self.pass(cluster, seconds: 7)
    #expect(Self.isThere(cluster, "late"))
    Self.pass(cluster, seconds: 6)
    #expect(!Self.isThere(cluster, "late"))
  }

  @Test("a toleration that is given to a pod while it runs counts, and of an old one the seconds alone may change")
  func changed() throws {
    let cluster = try Self.cluster()
    try Self.run(cluster, "p", 20)
    Self.apply(cluster)
    Self.pass(cluster, seconds: 3)
    let wrong = Self.patch(cluster, "p") { $0["value"] = "other" }
    #expect(
      wrong.message.contains(
        "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"))
    let broken = Self.patch(cluster, "p", adding: ["key": "x", "operator": "Is"])
    #expect(broken.message.contains(".operator: Unsupported value: \"Is\""), "\(broken.message)")
    let shorter = Self.patch(cluster, "p") { $0["tolerationSeconds"] = 2 }
    #expect(shorter.code == 200, "\(shorter.message)")
    Self.pass(cluster, seconds: 4)
    #expect(!Self.isThere(cluster, "p"))
    Self.apply(cluster, isOn: false)
    try Self.run(cluster, "q", 5)
    Self.apply(cluster)
    let longer = Self.patch(cluster, "q") { $0["tolerationSeconds"] = nil }
    #expect(longer.code == 200, "\(longer.message)")
    Self.pass(cluster, seconds: 20)
    #expect(Self.isThere(cluster, "q"), "it bears the taint for ever now")
    #expect(cluster.fleet.events("TaintManagerEviction").contains("Cancelling deletion of Pod default/q"))
  }

  /// Changes the toleration of the suite's taint, or adds another one.
  private static func patch(
    _ cluster: JobCluster, _ name: String, adding other: JSON? = nil, _ change: (inout JSON) -> Void = { _ in }
  ) -> RequestAnswer {
    let old = cluster.fleet.pod(name)?.spec.json["tolerations"]?.arrayValue ?? []
    let tolerations = old.map { toleration in
      var toleration = toleration
      if toleration["value"] == "evictTaintVal" { change(&toleration) }
      return toleration
    }
    return cluster.patch(.pods, name, ["spec": ["tolerations": .array(tolerations + [other].compactMap { $0 })]])
  }

  @Test("a node that is lost and back in time tells each pod that it may stay")
  func backInTime() throws {
    let cluster = try Self.cluster()
    try Self.run(cluster, "p", nil)
    cluster.fleet.pass(10_000)
    #expect(cluster.fleet.node("node-0")?.isReady == false)
    cluster.fleet.reconnect("node-0", session: "second")
    Self.pass(cluster, seconds: 30)
    #expect(Self.isThere(cluster, "p"))
    #expect(cluster.fleet.events("TaintManagerEviction") == ["Cancelling deletion of Pod default/p"])
  }

  @Test("a Node that somebody made and no agent has spoken for is Unknown after a minute, tainted, and clean with it")
  func neverPosted() throws {
    var fleet = try FleetHarness()
    fleet.step([
      .request(900, APIRequest(verb: .create, kind: .nodes, body: ["metadata": ["name": "made"]]))
    ])
    fleet.pass(59_000)
    #expect(fleet.node("made")?.conditions.isEmpty == true && fleet.node("made")?.taints.isEmpty == true)
    fleet.pass(2_000)
    let node = try #require(fleet.node("made"))
    #expect(node.conditions.map(\.type).sorted() == ["DiskPressure", "MemoryPressure", "PIDPressure", "Ready"])
    for condition in node.conditions {
      #expect(condition.status == "Unknown" && condition.reason == "NodeStatusNeverUpdated")
      #expect(condition.message == "Kubelet never posted node status.")
    }
    #expect(
      node.taints.map { "\($0.key):\($0.effect)" } == [
        "node.kubernetes.io/unreachable:NoSchedule", "node.kubernetes.io/unreachable:NoExecute",
      ])
    fleet.join(FakeAgent("made"))
    #expect(fleet.node("made")?.isReady == true && fleet.node("made")?.taints.isEmpty == true)
    fleet.pass(120_000, beating: ["made"])
    #expect(fleet.node("made")?.isReady == true)
  }
}
