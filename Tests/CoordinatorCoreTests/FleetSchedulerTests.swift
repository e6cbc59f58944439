// Where pods go, and what is said when they go nowhere.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Fleet scheduler") struct FleetSchedulerTests {
  private func message(_ harness: FleetHarness, _ pod: String) -> String? {
    harness.pod(pod)?.status.condition("PodScheduled")?.message
  }

  private let noVictims = "No preemption victims found for incoming pod"
  private let noHelp = "Preemption is not helpful for scheduling"

  // MARK: - Nothing fits

  @Test("without nodes a pod stays Pending and says so")
  func noNodes() throws {
    var harness = try FleetHarness()
    harness.addPod("p")
    #expect(message(harness, "p") == "no nodes available to schedule pods")
    let condition = harness.pod("p")?.status.condition("PodScheduled")
    #expect(condition?.status == "False")
    #expect(condition?.reason == "Unschedulable")
    #expect(harness.events("FailedScheduling") == ["no nodes available to schedule pods"])
    #expect(harness.pod("p")?.status.phase == .pending)
  }

  @Test("each node's reason is counted, in the order of the texts")
  func reasons() throws {
    var harness = try FleetHarness.joined(["a", "b", "c"])
    harness.core.updateNode("a") { $0.unschedulable = true }
    harness.step([])
    harness.addPod("p", cpu: "5", memory: "1Gi")
    #expect(
      message(harness, "p")
        == "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu. "
        + "preemption: 0/3 nodes are available: 3 \(noHelp).")
  }

  @Test("a node that lacks two resources is counted under both")
  func bothResources() throws {
    var harness = try FleetHarness.joined(["a"])
    harness.addPod("p", cpu: "5", memory: "100Gi")
    #expect(
      message(harness, "p")
        == "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory. "
        + "preemption: 0/1 nodes are available: 1 \(noHelp).")
  }

  @Test("too many pods, an unmatched selector and a taint each have Kubernetes' words")
  func words() throws {
    var harness = try FleetHarness.joined(["a"]) { $0.capacity.pods = 1 }
    harness.addPod("first")
    harness.addPod("second")
    #expect(message(harness, "second")?.hasPrefix("0/1 nodes are available: 1 Too many pods.") == true)
    harness.addPod("third", selector: ["disk": "ssd"])
    #expect(
      message(harness, "third")
        == "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. "
        + "preemption: 0/1 nodes are available: 1 \(noHelp).")
    harness.core.updateNode("a") { $0.taints.append(Taint(key: "gpu", value: "yes", effect: "NoSchedule")) }
    harness.step([])
    harness.addPod("fourth")
    // It is equal to the second: what is said of such pods is looked at again within a second.
    harness.pass(1_000, beating: ["a"])
    #expect(
      message(harness, "fourth")?.hasPrefix("0/1 nodes are available: 1 node(s) had untolerated taint {gpu: yes}.")
        == true)
  }

  @Test("a pod on a lost node's cluster waits for the taint to go, then runs")
  func lostNode() throws {
    var harness = try FleetHarness.joined(["a"])
    harness.pass(6_000)
    harness.addPod("p")
    #expect(
      message(harness, "p")?.contains("untolerated taint {node.kubernetes.io/unreachable: }") == true)
    harness.reconnect("a", session: "again")
    #expect(harness.pod("p")?.nodeName == "a")
    #expect(harness.pod("p")?.status.condition("PodScheduled")?.status == "True")
  }

  @Test("capacity that comes free is used at once, and not before")
  func capacityFreed() throws {
    var harness = try FleetHarness.joined(["a"])
    harness.addPod("big", cpu: "3")
    harness.addPod("next", cpu: "3")
    #expect(harness.pod("next")?.nodeName == nil)
    harness.pass(4_000, beating: ["a"])
    #expect(harness.pod("next")?.nodeName == nil)
    let number = try #require(harness.attempt(of: "big"))
    harness.report("a", number, revision: 1, .succeeded)
    #expect(harness.pod("next")?.nodeName == "a")
    #expect(harness.problems().isEmpty)
  }

  @Test("uncordoning lets a waiting pod in")
  func uncordon() throws {
    var harness = try FleetHarness.joined(["a"])
    harness.core.updateNode("a") { $0.unschedulable = true }
    harness.step([])
    #expect(harness.node("a")?.taints.map(\.key) == [Taint.unschedulable])
    harness.addPod("p")
    #expect(harness.pod("p")?.nodeName == nil)
    harness.core.updateNode("a") { $0.unschedulable = false }
    harness.step([])
    #expect(harness.node("a")?.taints.isEmpty == true)
    #expect(harness.pod("p")?.nodeName == "a")
  }

  @Test("a label that makes the selector match lets a waiting pod in")
  func labelled() throws {
    var harness = try FleetHarness.joined(["a"])
    harness.addPod("p", selector: ["disk": "ssd"])
    harness.core.updateNode("a") { $0.meta.labels["disk"] = "ssd" }
    harness.step([])
    #expect(harness.pod("p")?.nodeName == "a")
  }

  @Test("a pod that tolerates a cordon or a taint goes there")
  func tolerates() throws {
    var harness = try FleetHarness.joined(["a"])
    harness.core.updateNode("a") {
      $0.unschedulable = true
      $0.taints.append(Taint(key: "gpu", value: "yes", effect: "NoSchedule"))
    }
    harness.step([])
    harness.addPod("p", extra: [("tolerations", [["operator": "Exists"]])])
    #expect(harness.pod("p")?.nodeName == "a")
  }

  @Test("a pod created for a node goes there though it is cordoned, and waits while it is away")
  func pinned() throws {
    var harness = try FleetHarness.joined(["a", "b"])
    harness.core.updateNode("b") { $0.unschedulable = true }
    harness.step([])
    var meta = ObjectMeta()
    meta.name = "p"
    meta.namespace = "default"
    let spec = PodSpec(json: ["containers": [["name": "c"]]])
    harness.core.insert(.pod(Pod(meta: meta, spec: spec, nodeName: "b")))
    harness.step([])
    #expect(harness.core.fleet.attempts.values.map(\.node) == ["b"])
    meta.name = "q"
    harness.core.insert(.pod(Pod(meta: meta, spec: spec, nodeName: "c")))
    harness.step([])
    #expect(harness.attempt(of: "q") == nil)
    harness.join(FakeAgent("c"))
    #expect(harness.attempt(of: "q") != nil)
  }

  @Test("scheduling gates hold a pod back without an event")
  func schedulingGates() throws {
    var harness = try FleetHarness.joined(["a"])
    harness.addPod("p", extra: [("schedulingGates", [["name": "later"]])])
    #expect(harness.pod("p")?.nodeName == nil)
    #expect(harness.pod("p")?.status.condition("PodScheduled")?.reason == "SchedulingGated")
    #expect(harness.events("FailedScheduling").isEmpty)
  }

  @Test("a deleted pod is not assigned any more")
  func deletedWhileWaiting() throws {
    var harness = try FleetHarness()
    let key = harness.addPod("p")
    harness.core.erase(ObjectReference(kind: .pods, key: key))
    harness.join(FakeAgent("a"))
    #expect(harness.core.fleet.attempts.isEmpty)
    #expect(harness.core.fleet.scheduler.groups.isEmpty)
    #expect(harness.core.fleet.scheduler.classes.isEmpty)
  }

  // MARK: - Choice

  @Test("equal pods spread over equal nodes, by name")
  func spread() throws {
    var harness = try FleetHarness.joined(["c", "a", "b"])
    for index in 0..<6 { harness.addPod("p\(index)") }
    let nodes = (0..<6).map { harness.pod("p\($0)")?.nodeName ?? "" }
    #expect(nodes == ["a", "b", "c", "a", "b", "c"])
  }

  @Test("the node that is least loaded in its fullest resource comes first")
  func leastLoaded() throws {
    var harness = try FleetHarness.joined(["a", "b"])
    harness.addPod("cpu", cpu: "2")
    harness.addPod("memory", memory: "1Gi")
    harness.addPod("third", cpu: "100m")
    #expect(harness.pod("cpu")?.nodeName == "a")
    #expect(harness.pod("memory")?.nodeName == "b")
    #expect(harness.pod("third")?.nodeName == "b")
  }

  @Test("candidates are ordered by last failure, the Job's attempts, load and name")
  func order() {
    func candidate(_ name: String, failed: Bool = false, attempts: Int = 0, load: Double = 0)
      -> SchedulingCandidate
    {
      SchedulingCandidate(
        hasFailed: failed, attemptsOfJob: attempts, load: load, name: name)
    }
    let sorted = [
      candidate("a"), candidate("b"), candidate("a", load: 0.5), candidate("a", attempts: 1),
      candidate("a", failed: true),
    ]
    #expect(sorted.reversed().sorted() == sorted)
    var heap = MinHeap(sorted.reversed())
    #expect(heap.first == sorted[0])
    heap.replaceFirst(with: candidate("a", attempts: 2))
    #expect(heap.first == sorted[1])
    heap.replaceFirst(with: nil)
    #expect(heap.first == sorted[2])
    for expected in [sorted[3], candidate("a", attempts: 2), sorted[4]] {
      heap.replaceFirst(with: nil)
      #expect(heap.first == expected)
    }
    heap.replaceFirst(with: nil)
    #expect(heap.first == nil)
  }

  @Test("a pod that asks for nothing fits a node that is full of others' requests")
  func zeroRequests() throws {
    var harness = try FleetHarness.joined(["a"])
    harness.addPod("full", cpu: "4", memory: "8Gi")
    harness.addPod("free")
    #expect(harness.pod("free")?.nodeName == "a")
  }

  @Test("requests that no node could ever hold do not overflow")
  func hugeRequest() throws {
    var harness = try FleetHarness.joined(["a"])
    harness.addPod("p", cpu: "9223372036854775", memory: "9223372036854775807")
    #expect(message(harness, "p")?.contains("1 Insufficient cpu, 1 Insufficient memory") == true)
  }

  @Test("an assignment writes node, token, condition and event")
  func assignmentWritten() throws {
    var harness = try FleetHarness.joined(["a"])
    harness.addPod("p")
    let pod = try #require(harness.pod("p"))
    #expect(pod.status.fencingToken == 1)
    #expect(pod.status.condition("PodScheduled")?.status == "True")
    #expect(harness.events("Scheduled") == ["Successfully assigned default/p to a"])
    let body = try #require(harness.agents["a"]?.bodies[1])
    #expect(body.keeper == "keeper-a")
    #expect(body.session == "session-a")
    #expect(body.podUID == pod.meta.uid)
    #expect(body.tolerationMilliseconds == 10_000)
    #expect(harness.agents["a"]?.desired == [1: .run])
  }

  // MARK: - Many

  @Test("10,000 equal pods that fit nowhere cost bounded turns and one try")
  func manyWaiting() throws {
    var harness = try FleetHarness()
    harness.join(FakeAgent("a"))
    harness.core.updateNode("a") { $0.unschedulable = true }
    harness.step([])
    for index in 0..<10_000 { harness.addPod("p\(index)", run: false) }
    harness.longestStep = 0
    harness.step([])
    #expect(harness.core.fleet.scheduler.groups.count == 1)
    #expect(harness.core.fleet.scheduler.classes.parkedCount == 1)
    #expect(harness.pod("p9999")?.status.condition("PodScheduled")?.reason == "Unschedulable")
    // The rows of the 10,000 creations are one turn's; the marking after it goes on in turns of 256.
    harness.longestStep = 0
    harness.core.updateNode("a") { $0.meta.labels["x"] = "y" }
    harness.step([])
    #expect(harness.longestStep < 16)
  }

  @Test("10,000 pods are assigned in turns of at most 256, each once")
  func manyAssigned() throws {
    var harness = try FleetHarness()
    for index in 0..<10 {
      var agent = FakeAgent("n\(index)")
      agent.capacity.pods = 1_200
      harness.join(agent)
    }
    for index in 0..<10_000 { harness.addPod("p\(index)", run: false) }
    var largest = 0
    var steps = 0
    while harness.core.fleet.attempts.count < 10_000, steps < 100 {
      let before = harness.core.fleet.attempts.count
      _ = harness.core.step([.timer], at: harness.now)
      largest = max(largest, harness.core.fleet.attempts.count - before)
      steps += 1
    }
    #expect(harness.core.fleet.attempts.count == 10_000)
    #expect(largest <= 256)
    #expect(harness.core.fleet.nodes.values.allSatisfy { $0.usage.pods == 1_000 })
    #expect(harness.problems().isEmpty)
  }
}
