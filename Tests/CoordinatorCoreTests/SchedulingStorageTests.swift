// Pods that ask for room on their node's disk: counted like cpu, refused in Kubernetes' words, kept across restarts.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("scheduling by room on the disk") struct SchedulingStorageTests {
  private func message(_ harness: FleetHarness, _ pod: String) -> String {
    harness.pod(pod)?.status.condition("PodScheduled")?.message ?? ""
  }

  private func asking(_ amount: String, init first: String? = nil) -> [(String, JSON)] {
    func container(_ name: String, _ amount: String) -> JSON {
      [
        "name": .string(name), "image": "none", "command": ["true"],
        "resources": ["requests": ["ephemeral-storage": .string(amount)]],
      ]
    }
    var extra = [("containers", [container("c", amount)] as JSON)]
    if let first { extra.append(("initContainers", [container("first", first)])) }
    return extra
  }

  private func joined(_ bytes: Int64?) throws -> FleetHarness {
    try FleetHarness.joined(["a"]) { agent in
      agent.capacity.storageBytes = bytes
      agent.reserved = NodeReserve(cpuMillicores: 0, memoryBytes: 0, storageBytes: 1 << 30)
    }
  }

  @Test("requests of ephemeral-storage are counted, what lacks is named, and an end makes room")
  func counted() throws {
    var harness = try joined(10 << 30)
    harness.addPod("p", extra: asking("6Gi"))
    harness.addPod("q", extra: asking("1Mi", init: "6Gi"))
    #expect(harness.pod("p")?.nodeName == "a" && harness.pod("q")?.nodeName == nil)
    #expect(
      message(harness, "q")
        == "0/1 nodes are available: 1 Insufficient ephemeral-storage. preemption: 0/1 nodes are available: 1 No "
        + "preemption victims found for incoming pod.")
    harness.addPod("r", extra: asking("4Gi"))
    #expect(harness.pod("r")?.nodeName == "a")
    try harness.restart()
    harness.reconnect("a", session: "again")
    #expect(harness.core.fleet.nodes["a"]?.usage.extended == ["ephemeral-storage": 10 << 30])
    #expect(harness.pod("q")?.nodeName == nil && harness.problems().isEmpty)
    harness.report("a", try #require(harness.attempt(of: "p")), revision: 1, .succeeded)
    #expect(harness.pod("q")?.nodeName == "a" && harness.problems().isEmpty)
  }

  @Test("what the node could never hold says so; what it keeps back is in its capacity alone")
  func hopeless() throws {
    var harness = try joined(10 << 30)
    harness.addPod("p", extra: asking("11Gi"))
    #expect(
      message(harness, "p")
        == "0/1 nodes are available: 1 Insufficient ephemeral-storage. preemption: 0/1 nodes are available: 1 "
        + "Preemption is not helpful for scheduling.")
    let status = harness.node("a")?.json["status"]
    #expect(status?["capacity"]?["ephemeral-storage"] == "11Gi")
    #expect(status?["allocatable"]?["ephemeral-storage"] == "10Gi")
    let node = try #require(harness.node("a"))
    let read = Node(json: node.json)
    #expect(read.capacity == node.capacity && read.reserved == node.reserved)
  }

  @Test("a node whose agent does not say how large its disk is takes whatever is asked for")
  func unknown() throws {
    var harness = try joined(nil)
    harness.addPod("p", extra: asking("11Ti"))
    #expect(harness.pod("p")?.nodeName == "a")
    #expect(harness.node("a")?.json[path: ["status", "capacity", "ephemeral-storage"]] == nil)
    #expect(harness.problems().isEmpty)
  }

  @Test("a pod that names its node is turned down there, as by the kubelet")
  func named() throws {
    var harness = try joined(1 << 30)
    var spec: JSON = ["nodeName": "a"]
    for (key, value) in asking("2Gi") { spec[key] = value }
    harness.step([
      .request(
        900, APIRequest(verb: .create, kind: .pods, namespace: "default", body: Manifest.pod("p", spec: spec)))
    ])
    #expect(harness.pod("p")?.status.phase == .failed && harness.pod("p")?.status.reason == "OutOfephemeral-storage")
  }

  @Test("the agent's word and the stored row carry it")
  func carried() throws {
    var agent = FakeAgent("a")
    agent.capacity.storageBytes = 5
    agent.reserved = NodeReserve(cpuMillicores: 1, memoryBytes: 2, storageBytes: 3)
    let told = AgentMessage.register(agent.registration)
    #expect(try AgentMessage(json: told.json) == told)
    agent.capacity.storageBytes = -5
    #expect(agent.registration.impossible?.contains("storageBytes") == true)
  }
}
