// Which pods a node takes that is short of memory, disk or processes, what those say that wait for it, and what the
// node says when no pod goes for it.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("A node that is short of something: whom it takes") struct FleetPressureTests {
  private static let bearsAll: (String, JSON) = ("tolerations", [["operator": "Exists"]])

  private func pressed(_ pressures: Set<NodePressure>) throws -> FleetHarness {
    var harness = try FleetHarness.joined(["a"])
    harness.agents["a"]?.pressures = pressures
    harness.beat("a")
    return harness
  }

  private func put(_ harness: inout FleetHarness, _ name: String, memory: String? = nil, _ extra: JSON = [:]) {
    var meta = ObjectMeta()
    meta.name = name
    meta.namespace = "default"
    var container: JSON = ["name": "c"]
    if let memory { container["resources"] = ["requests": ["memory": .string(memory)]] }
    var spec: JSON = ["containers": [container], "restartPolicy": "Never"]
    for (key, value) in extra.objectValue ?? JSONObject() { spec[key] = value }
    harness.core.insert(.pod(Pod(meta: meta, spec: PodSpec(json: spec), nodeName: "a")))
    harness.step([])
  }

  @Test(
    "a pod that bears the taint waits there too, says so, and starts when that is over",
    arguments: NodePressure.allCases)
  func tolerated(kind: NodePressure) throws {
    var harness = try pressed([kind])
    harness.addPod("p", extra: [Self.bearsAll])
    harness.pass(60_000, beating: ["a"])
    #expect(!harness.isLive("p"))
    #expect(
      harness.pod("p")?.status.condition("PodScheduled")?.message
        == "0/1 nodes are available: 1 node(s) had \(kind.condition) and take no pods meanwhile, whatever they "
        + "tolerate. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.")
    #expect(harness.events("FailedScheduling").count == 1)
    #expect(harness.problems().isEmpty)
    harness.agents["a"]?.pressures = []
    harness.beat("a")
    #expect(harness.isLive("p"))
  }

  @Test("a pod of the system, which is never evicted, is placed there")
  func critical() throws {
    var harness = try pressed([.disk])
    harness.addPod("p", extra: [Self.bearsAll, ("priority", 2_000_000_000)])
    #expect(harness.isLive("p"))
  }

  @Test("who was evicted for memory is not replaced on the same node: its shortage is heard before its end")
  func replaced() throws {
    var harness = try FleetHarness.joined(["a"])
    harness.addPod("old", extra: [Self.bearsAll])
    let attempt = try #require(harness.attempt(of: "old"))
    harness.report("a", attempt, revision: 1, .running)
    harness.agents["a"]?.pressures = [.memory]
    harness.beat("a")
    harness.report("a", attempt, revision: 2, .failed)
    harness.addPod("new", extra: [Self.bearsAll])
    #expect(!harness.isLive("old") && !harness.isLive("new"))
    harness.agents["a"]?.pressures = []
    harness.beat("a")
    #expect(harness.isLive("new"))
  }

  @Test("a pod that names the node is turned down in kubelet's words, and fails")
  func named() throws {
    var harness = try pressed([.disk, .memory])
    put(&harness, "p", memory: "1Mi", ["tolerations": [["operator": "Exists"]]])
    #expect(harness.pod("p")?.status.phase == .failed && harness.pod("p")?.status.reason == "Evicted")
    let words = "The node had condition: [MemoryPressure DiskPressure]. "
    #expect(harness.pod("p")?.status.message == "Pod was rejected: \(words)")
    #expect(harness.events("Evicted") == [words])
    put(&harness, "system", ["priority": 2_000_000_000])
    #expect(harness.isLive("system"))
  }

  @Test("of memory alone the kubelet turns down who asks for nothing; who asks waits, where it would be taken")
  func namedForMemory() throws {
    var harness = try pressed([.memory])
    put(&harness, "besteffort")
    #expect(harness.pod("besteffort")?.status.message == "Pod was rejected: The node had condition: [MemoryPressure]. ")
    put(&harness, "burstable", memory: "1Mi")
    put(&harness, "bearing", ["tolerations": [["key": .string(NodePressure.memory.taint), "operator": "Exists"]]])
    for name in ["burstable", "bearing"] {
      #expect(harness.pod(name)?.status.phase == .pending && !harness.isLive(name))
      let told = harness.pod(name)?.status.condition("PodScheduled")?.message
      #expect(told?.contains("1 node(s) had MemoryPressure") == true)
    }
    harness.agents["a"]?.pressures = []
    harness.beat("a")
    #expect(harness.isLive("burstable") && harness.isLive("bearing"))
    #expect(harness.problems().isEmpty)
  }

  @Test("a person who takes the taint away gets no pods there, and the end of the shortage is seen all the same")
  func untainted() throws {
    var harness = try pressed([.disk])
    harness.core.updateNode("a") { $0.taints = [] }
    harness.addPod("p")
    #expect(!harness.isLive("p"))
    harness.agents["a"]?.pressures = []
    harness.beat("a")
    #expect(harness.isLive("p"))
    #expect(harness.node("a")?.conditions.first { $0.type == "DiskPressure" }?.isTrue == false)
  }

  @Test("why no pod goes for it stands in the condition, with one event, also over a restart, until one goes")
  func spared() throws {
    var harness = try pressed([.disk])
    func message() -> String? { harness.node("a")?.conditions.first { $0.type == "DiskPressure" }?.message }
    harness.agents["a"]?.spared = [.disk: "something else fills it"]
    harness.pass(400_000, beating: ["a"])
    #expect(message() == "kubelet has disk pressure; something else fills it")
    #expect(harness.node("a")?.taints.map(\.key) == [Taint.diskPressure])
    try harness.restart()
    harness.reconnect("a", session: "session-2")
    #expect(message() == "kubelet has disk pressure; something else fills it")
    #expect(harness.events("NothingToReclaim") == ["something else fills it"])
    harness.agents["a"]?.spared = [:]
    harness.beat("a")
    #expect(message() == "kubelet has disk pressure")
    #expect(harness.events("NodeHasDiskPressure").count == 1)
  }
}
