// Promise 1 for Jobs with indexes: of one index at most one attempt may run, and the others do not wait for it.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Fleet: one attempt an index") struct FleetSlotTests {
  /// A node, and a Job that may run so many pods at once, with pods of the indexes 0, 1 and 2.
  private func cluster(parallelism: Int64 = 6) throws -> FleetHarness {
    var harness = try FleetHarness()
    harness.join(FakeAgent("a"))
    for index: Int64 in 0..<3 { addPod(&harness, "p\(index)", index: index) }
    addJob(&harness, completions: 6, parallelism: parallelism)
    return harness
  }

  private func addJob(_ harness: inout FleetHarness, completions: Int64, parallelism: Int64) {
    var meta = ObjectMeta()
    meta.name = "job"
    meta.namespace = "default"
    meta.uid = "uid-job"
    let template: JSON = ["spec": ["containers": [["name": "c", "image": "none"]], "restartPolicy": "Never"]]
    let spec: JSON = [
      "completions": .int(completions), "parallelism": .int(parallelism), "backoffLimit": 6, "template": template,
    ]
    harness.core.insert(.job(Job(meta: meta, spec: JobSpec(json: spec))))
  }

  private func addPod(_ harness: inout FleetHarness, _ name: String, index: Int64, hostname: String? = nil) {
    var meta = ObjectMeta()
    meta.name = name
    meta.namespace = "default"
    meta.annotations = StringMap(json: [Slot.indexAnnotation: .string(String(index))])
    meta.ownerReferences = [
      OwnerReference(apiVersion: "batch/v1", kind: "Job", name: "job", uid: "uid-job", controller: true)
    ]
    meta.finalizers = [JobNames.trackingFinalizer]
    let spec: JSON = ["containers": [["name": "c", "image": "none"]], "restartPolicy": "Never"]
    harness.core.insert(.pod(Pod(meta: meta, spec: PodSpec(json: spec), hostname: hostname)))
  }

  @Test("a pod whose index another attempt may work at waits; pods of other indexes behind it do not")
  func sameIndex() throws {
    var harness = try cluster()
    addPod(&harness, "again", index: 0)
    addPod(&harness, "next", index: 3)
    harness.step([])
    #expect(harness.isLive("p0") && harness.isLive("next"))
    #expect(!harness.isLive("again"))
    #expect(harness.core.isAside(try #require(harness.pod("again"))))
    let first = try #require(harness.attempt(of: "p0"))
    harness.report("a", first, revision: 1, .failed)
    #expect(harness.isLive("again"), "the index is free and its pod is not assigned")
    #expect(harness.problems().isEmpty)
  }

  @Test("the index stays taken when the coordinator is gone and back; only proof frees it")
  func restart() throws {
    var harness = try cluster(parallelism: 4)
    addPod(&harness, "again", index: 0)
    harness.step([])
    let first = try #require(harness.attempt(of: "p0"))
    try harness.restart()
    #expect(harness.core.fleet.attempts[first]?.slot == Slot(jobUID: "uid-job", index: 0))
    #expect(!harness.isLive("again"))
    harness.reconnect("a", session: "later")
    harness.beat("a", whole: true)
    #expect(!harness.isLive("again"))
    harness.report("a", first, revision: 1, .failed)
    harness.beat("a", whole: true)
    #expect(harness.isLive("again"))
  }

  @Test("a pod that waits for its index and is deleted is forgotten")
  func deleted() throws {
    var harness = try cluster()
    addPod(&harness, "again", index: 1)
    harness.step([])
    #expect(!harness.core.fleet.scheduler.aside.isEmpty)
    harness.core.deletePod(ObjectKey(namespace: "default", name: "again"), graceSeconds: 0)
    harness.step([])
    #expect(harness.core.fleet.scheduler.aside.isEmpty)
  }

  @Test("a Job that may run no more holds all of its indexes back")
  func jobIsFull() throws {
    var harness = try cluster(parallelism: 2)
    harness.step([])
    let live = ["p0", "p1", "p2"].filter { harness.isLive($0) }
    #expect(live.count == 2)
    #expect(harness.core.fleet.scheduler.aside.isEmpty)
  }

  @Test("10,000 indexes with host names of their own are one spec and one group of the scheduler, also after a restart")
  func ownHostNames() throws {
    var harness = try FleetHarness()
    for index: Int64 in 0..<10_000 { addPod(&harness, "p\(index)", index: index, hostname: "job-\(index)") }
    addJob(&harness, completions: 10_000, parallelism: 10_000)
    harness.step([])
    for _ in 0..<2 {
      #expect(harness.core.state.specs.count == 1)
      #expect(harness.core.fleet.scheduler.groups.count == 1)
      #expect(harness.pod("p7")?.json[path: ["spec", "hostname"]] == "job-7")
      #expect(harness.pod("p9999")?.json[path: ["spec", "hostname"]] == "job-9999")
      try harness.restart()
    }
  }

  @Test("a pod that is read from its own JSON again, with other labels, still shares its spec and keeps its name")
  func readAgain() throws {
    var harness = try FleetHarness()
    for index: Int64 in 0..<2 { addPod(&harness, "p\(index)", index: index, hostname: "job-\(index)") }
    let pod = try #require(harness.pod("p1"))
    var json = pod.json
    json[path: ["metadata", "labels"]] = ["a": "b"]
    guard case .pod(let again) = APIObject(kind: .pods, json: json, sharing: .pod(pod)) else { return }
    #expect(again.spec === pod.spec && again.hostname == "job-1" && again.meta.labels["a"] == "b")
    json[path: ["spec", "hostname"]] = "other"
    guard case .pod(let other) = APIObject(kind: .pods, json: json, sharing: .pod(pod)) else { return }
    #expect(other.json[path: ["spec", "hostname"]] == "other", "what somebody wrote is what is judged")
  }

  @Test("the node is told the pod's own host name")
  func assignedHostName() throws {
    var harness = try FleetHarness()
    harness.join(FakeAgent("a"))
    var meta = ObjectMeta()
    meta.name = "alone"
    meta.namespace = "default"
    let spec: JSON = ["containers": [["name": "c", "image": "none"]], "restartPolicy": "Never"]
    harness.core.insert(.pod(Pod(meta: meta, spec: PodSpec(json: spec), hostname: "own")))
    harness.step([])
    let number = try #require(harness.attempt(of: "alone"))
    #expect(harness.agents["a"]?.bodies[number]?.hostname == "own")
  }
}
