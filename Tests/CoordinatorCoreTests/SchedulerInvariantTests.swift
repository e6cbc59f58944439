// What the simulator's checks of the scheduler see: each is shown what it is there for.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("invariants of the scheduler") struct SchedulerInvariantTests {
  private func cluster(_ zones: [String]) throws -> FleetHarness {
    var harness = try FleetHarness()
    for (number, zone) in zones.enumerated() {
      var agent = FakeAgent("n\(number)")
      agent.labels = ["zone": zone]
      harness.join(agent)
    }
    return harness
  }

  private func add(_ harness: inout FleetHarness, _ name: String, on node: String?, _ rules: [(String, JSON)]) {
    var spec: JSON = ["restartPolicy": "Never", "containers": [["name": "c", "command": ["true"]]]]
    if let node { spec["nodeSelector"] = ["kubernetes.io/hostname": .string(node)] }
    for (key, value) in rules { spec[key] = value }
    var meta = ObjectMeta()
    (meta.namespace, meta.name, meta.labels) = ("default", name, ["app": "x"])
    harness.core.insert(.pod(Pod(meta: meta, spec: PodSpec(json: spec))))
    harness.step([])
  }

  private func affinity(_ kind: String) -> (String, JSON) {
    let term: JSON = ["topologyKey": "zone", "labelSelector": ["matchLabels": ["app": "x"]]]
    var rule: JSON = .object(JSONObject())
    rule[kind] = ["requiredDuringSchedulingIgnoredDuringExecution": [term]]
    return ("affinity", rule)
  }

  private var spread: (String, JSON) {
    let rule: JSON = [
      "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
      "labelSelector": ["matchLabels": ["app": "x"]],
    ]
    return ("topologySpreadConstraints", [rule])
  }

  /// What is found of the pod where nodes are in these zones.
  private func found(
    _ harness: inout FleetHarness, _ pod: String, zones: [String], left: Set<String> = []
  ) throws -> [String] {
    for (number, zone) in zones.enumerated() { harness.core.updateNode("n\(number)") { $0.meta.labels["zone"] = zone } }
    var found: [String] = []
    harness.core.checkPlacement(try #require(harness.pod(pod)), left: left, &found)
    return found
  }

  @Test("a pod near those that it or they must not be near is found, and not one that came before them")
  func apart() throws {
    for isOwn in [true, false] {
      var harness = try cluster(["a", "b"])
      add(&harness, "first", on: "n0", isOwn ? [] : [affinity("podAntiAffinity")])
      add(&harness, "second", on: "n1", isOwn ? [affinity("podAntiAffinity")] : [])
      #expect(harness.isLive("second"))
      #expect(try found(&harness, "second", zones: ["a", "b"]) == [])
      #expect(try found(&harness, "second", zones: ["a", "a"]).count == 1)
      #expect(try found(&harness, "first", zones: ["a", "a"]) == [])
    }
  }

  @Test(
    "a pod away from those that it must be near is found, but not the first, nor one whose neighbour went meanwhile")
  func near() throws {
    var harness = try cluster(["a", "a"])
    add(&harness, "first", on: "n0", [affinity("podAffinity")])
    add(&harness, "second", on: "n1", [affinity("podAffinity")])
    #expect(try found(&harness, "second", zones: ["a", "a"]) == [])
    #expect(try found(&harness, "first", zones: ["a", "a"]) == [])
    #expect(try found(&harness, "second", zones: ["a", "b"]).count == 1)
    #expect(try found(&harness, "second", zones: ["a", "b"], left: ["n0"]).count == 1)
    #expect(try found(&harness, "second", zones: ["a", "b"], left: ["n1"]) == [])
  }

  @Test("a pod that makes a domain fuller than it may is found")
  func fuller() throws {
    var harness = try cluster(["a", "b"])
    add(&harness, "first", on: "n0", [])
    add(&harness, "second", on: nil, [spread])
    #expect(harness.pod("second")?.nodeName == "n1")
    harness.join(FakeAgent("n2"))
    #expect(try found(&harness, "second", zones: ["a", "b", "b"]) == [])
    #expect(try found(&harness, "second", zones: ["a", "a", "b"]).count == 1)
  }

  @Test("a pod that is preempted for nobody, or for its equal, is found")
  func preempted() throws {
    var harness = try cluster(["a"])
    harness.addPod("low", cpu: "3", extra: [("priority", 1)])
    harness.addPod("equal", cpu: "3", extra: [("priority", 1)])
    func found(since last: AttemptNumber) throws -> [String] {
      var found: [String] = []
      harness.core.checkPreemption(try #require(harness.pod("low")), since: last, &found)
      return found
    }
    harness.core.updatePod(ObjectKey(namespace: "default", name: "equal")) { $0.status.nominatedNodeName = "n0" }
    #expect(try found(since: 1).count == 1)
    harness.addPod("high", cpu: "3", extra: [("priority", 2)])
    #expect(harness.pod("high")?.status.nominatedNodeName == "n0")
    #expect(try found(since: 1) == [])
  }

  @Test("a node with room for somebody who waits, that nobody looks at, is found")
  func offers() throws {
    var harness = try cluster(["a"])
    harness.addPod("first", cpu: "3")
    harness.addPod("second", cpu: "3")
    func found() -> [String] {
      var found: [String] = []
      harness.core.checkOffers(&found)
      return found
    }
    #expect(found() == [])
    harness.core.fleet.nodes["n0"]?.usage = NodeUsage()
    #expect(found().count == 1)
  }

  @Test("a gang that fits in part is passed over, and one that fits whole, that nobody looks at, is found")
  func gangs() throws {
    // Two nodes of 8 cpu: one pod of 3 more on each.
    let cluster = try JobCluster()
    for name in ["first", "gang"] {
      let container: JSON = [
        "name": "main", "image": "busybox", "command": ["true"], "resources": ["requests": ["cpu": "3"]],
      ]
      let size: JSON = name == "gang" ? 3 : 2
      cluster.create(
        name, JobCluster.notTerminate, ["parallelism": size, "completions": size], pod: ["containers": [container]]
      ) { job in job[path: ["metadata", "annotations", JobAnnotation.gang]] = "true" }
    }
    for _ in 0..<5 { cluster.pass() }
    func found() -> [String] {
      var found: [String] = []
      cluster.fleet.core.checkOffers(&found)
      return found
    }
    #expect(found() == [])
    for name in ["node-0", "node-1"] { cluster.fleet.core.fleet.nodes[name]?.usage = NodeUsage() }
    #expect(found().count == 2)
  }
}
