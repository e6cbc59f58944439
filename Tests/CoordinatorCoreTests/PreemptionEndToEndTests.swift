// What Kubernetes' end-to-end suite asks of preemption, case by case under its names; and who goes for the sake of
// distance: spreading, anti-affinity of either side.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("preemption as Kubernetes' suite has it") struct PreemptionEndToEndTests {
  private static let classes = ["low": 1, "medium": 100, "high": 1_000] as [String: Int64]

  /// Nodes with so much of the suite's resource, and its three classes.
  private static func cluster(nodes: Int = 2, _ resource: String, _ amount: String) throws -> JobCluster {
    let cluster = try JobCluster(nodes: nodes)
    for (name, value) in classes.sorted(by: { $0.key < $1.key }) {
      let body: JSON = ["metadata": ["name": .string("sched-preemption-\(name)-priority")], "value": .int(value)]
      #expect(cluster.ask(APIRequest(verb: .create, kind: .priorityclasses, body: body)).code == 201)
    }
    for node in 0..<nodes {
      let answer = cluster.patch(
        .nodes, "node-\(node)", ["status": ["capacity": [resource: .string(amount)]]], subresource: "status")
      #expect(answer.code == 200, "\(answer.message)")
    }
    return cluster
  }

  private static func pod(
    _ cluster: JobCluster, _ name: String, _ priority: String, _ request: JSON, spec: JSON = [:], labels: JSON = [:],
    namespace: String = "default"
  ) {
    var pod = Manifest.pod(name, spec: spec)
    pod[path: ["metadata", "labels"]] = labels
    pod[path: ["spec", "priorityClassName"]] =
      .string(classes[priority] == nil ? priority : "sched-preemption-\(priority)-priority")
    pod[path: ["spec", "containers"]] = [
      [
        "name": "c", "image": "pause", "command": ["sleep", "1000"],
        "resources": ["requests": request, "limits": request],
      ]
    ]
    let answer = cluster.ask(APIRequest(verb: .create, kind: .pods, namespace: namespace, body: pod))
    #expect(answer.code == 201, "\(answer.message)")
  }

  private static func on(_ node: Int) -> JSON {
    let term: JSON = [
      "matchFields": [["key": "metadata.name", "operator": "In", "values": [.string("node-\(node)")]]]
    ]
    return [
      "affinity": [
        "nodeAffinity": ["requiredDuringSchedulingIgnoredDuringExecution": ["nodeSelectorTerms": [term]]]
      ]
    ]
  }

  private static func running(_ cluster: JobCluster) -> [String] {
    cluster.fleet.core.state.keys(of: .pods).filter {
      let pod = cluster.fleet.core.state.pods[$0]
      return pod?.status.phase == .running && pod?.meta.deletionTimestamp == nil
    }.map(\.name).sorted()
  }

  /// One pod of two thirds on each node, the first of low priority.
  private static func filled(hold: Bool = false) throws -> JobCluster {
    let cluster = try cluster("scheduling.k8s.io/foo", "3")
    pod(cluster, "pod0-low", "low", ["scheduling.k8s.io/foo": "2"], spec: on(0))
    pod(cluster, "pod1-medium", "medium", ["scheduling.k8s.io/foo": "2"], spec: on(1))
    try cluster.wait("both run") { running($0) == ["pod0-low", "pod1-medium"] }
    return cluster
  }

  @Test("validates basic preemption works")
  func basic() throws {
    let cluster = try Self.filled()
    Self.pod(cluster, "preemptor-pod", "high", ["scheduling.k8s.io/foo": "2"])
    try cluster.wait("it runs") { Self.running($0).contains("preemptor-pod") }
    #expect(Self.running(cluster) == ["pod1-medium", "preemptor-pod"])
  }

  @Test("validates lower priority pod preemption by critical pod")
  func critical() throws {
    let cluster = try Self.filled()
    Self.pod(
      cluster, "critical-pod", "system-cluster-critical", ["scheduling.k8s.io/foo": "2"], namespace: "kube-system")
    try cluster.wait("it runs") { Self.running($0).contains("critical-pod") }
    #expect(Self.running(cluster) == ["critical-pod", "pod1-medium"])
  }

  @Test("validates pod disruption condition is added to the preempted pod")
  func condition() throws {
    let cluster = try Self.cluster(nodes: 1, "example.com/foo", "1")
    Self.pod(cluster, "victim-pod", "low", ["example.com/foo": "1"])
    try cluster.wait("it runs") { Self.running($0) == ["victim-pod"] }
    cluster.patch(.pods, "victim-pod", ["metadata": ["finalizers": ["example.com/test-finalizer"]]])
    Self.pod(cluster, "preemptor-pod", "high", ["example.com/foo": "1"])
    try cluster.wait("the victim has ended") { $0.fleet.pod("victim-pod")?.status.phase == .failed }
    let condition = cluster.fleet.pod("victim-pod")?.status.condition("DisruptionTarget")
    #expect(condition?.isTrue == true && condition?.reason == "PreemptionByScheduler")
  }

  @Test("validates proper pods are preempted: two go where the room of one would do, for the sake of spreading")
  func spreading() throws {
    let resource = "example.com/fakePTSRes"
    let cluster = try Self.cluster(resource, "10")
    let labels: JSON = ["e2e-pts-preemption": ""]
    Self.pod(cluster, "high", "high", [resource: "9"], labels: labels)
    for number in 1...3 { Self.pod(cluster, "low-\(number)", "low", [resource: "3"], labels: labels) }
    try cluster.wait("all run") { Self.running($0).count == 4 }
    let rule: JSON = [
      "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule",
      "labelSelector": ["matchExpressions": [["key": "e2e-pts-preemption", "operator": "Exists"]]],
    ]
    Self.pod(
      cluster, "medium", "medium", [resource: "3"], spec: ["topologySpreadConstraints": [rule]], labels: labels)
    try cluster.wait("three are left, and run") {
      Self.running($0).count == 3 && $0.fleet.core.state.keys(of: .pods).count == 3
    }
    #expect(Self.running(cluster) == ["high", "low-1", "medium"])
    #expect(cluster.fleet.problems() == [])
  }

  @Test("verify PriorityClass endpoints can be operated with different HTTP methods")
  func endpoints() throws {
    let cluster = try JobCluster(nodes: 1)
    func ask(_ verb: APIVerb, _ name: String = "", _ body: JSON? = nil) -> RequestAnswer {
      var options = APIOptions()
      options.patchKind = .merge
      return cluster.ask(APIRequest(verb: verb, kind: .priorityclasses, name: name, options: options, body: body))
    }
    for (name, value) in [("p1", 1), ("p2", 2)] as [(String, Int64)] {
      let made = ask(
        .create, "", ["metadata": ["name": .string(name)], "value": .int(value), "description": "first"])
      #expect(made.code == 201)
    }
    #expect(ask(.patch, "p1", ["value": 10]).code == 422)
    var second = ask(.get, "p2").object
    second["value"] = 20
    #expect(ask(.update, "p2", second).code == 422)
    second["value"] = 2
    second["description"] = "updated description"
    #expect(ask(.update, "p2", second).code == 200)
    #expect(ask(.patch, "p1", ["description": "updated description"]).code == 200)
    #expect(ask(.list).items.map(\.name).filter { $0.hasPrefix("p") } == ["p1", "p2"])
    for name in ["p1", "p2"] { #expect(ask(.get, name).object["description"] == "updated description") }
    #expect(ask(.delete, "p1").code == 200 && ask(.get, "p1").code == 404)
  }
}

@Suite("preemption for the sake of distance") struct PreemptionDistanceTests {
  private static let host = "kubernetes.io/hostname"

  private static func apart(_ app: String) -> JSON {
    let term: JSON = ["topologyKey": .string(host), "labelSelector": ["matchLabels": ["app": .string(app)]]]
    return ["podAntiAffinity": ["requiredDuringSchedulingIgnoredDuringExecution": [term]]]
  }

  private static func cluster(_ names: [String]) throws -> FleetHarness {
    try FleetHarness.joined(names) { $0.labels = ["kubernetes.io/hostname": $0.name] }
  }

  private static func add(
    _ harness: inout FleetHarness, _ name: String, _ priority: Int64, app: String, cpu: String = "1",
    affinity: JSON? = nil, spread: JSON? = nil, on node: String? = nil, run: Bool = true
  ) {
    var spec: JSON = [
      "restartPolicy": "Never", "priority": .int(priority),
      "containers": [["name": "c", "command": ["true"], "resources": ["requests": ["cpu": .string(cpu)]]]],
    ]
    if let affinity { spec["affinity"] = affinity }
    if let spread { spec["topologySpreadConstraints"] = [spread] }
    if let node { spec["nodeSelector"] = [host: .string(node)] }
    var meta = ObjectMeta()
    (meta.name, meta.namespace, meta.labels) = (name, "default", ["app": app])
    harness.core.insert(.pod(Pod(meta: meta, spec: PodSpec(json: spec))))
    if run { harness.step([]) }
  }

  private static func isEnding(_ harness: FleetHarness, _ pod: String) -> Bool {
    harness.pod(pod)?.meta.deletionTimestamp != nil
  }

  private static func end(_ harness: inout FleetHarness, _ pod: String) throws {
    let attempt = try #require(harness.attempt(of: pod))
    harness.report(try #require(harness.pod(pod)?.nodeName), attempt, revision: 9, .failed)
  }

  private static func message(_ harness: FleetHarness, _ pod: String) -> String {
    harness.pod(pod)?.status.condition("PodScheduled")?.message ?? ""
  }

  @Test("who stands too near goes, and nobody beside")
  func near() throws {
    var harness = try Self.cluster(["a"])
    Self.add(&harness, "near", 0, app: "x")
    Self.add(&harness, "beside", 0, app: "y")
    Self.add(&harness, "high", 9, app: "z", affinity: Self.apart("x"))
    #expect(Self.isEnding(harness, "near") && !Self.isEnding(harness, "beside"))
    #expect(harness.pod("high")?.status.nominatedNodeName == "a")
    try Self.end(&harness, "near")
    #expect(harness.pod("high")?.nodeName == "a")
    #expect(harness.problems() == [])
  }

  @Test("who wants the pod away goes, where he is less important; an equal one stays, and the words say so")
  func repelling() throws {
    var harness = try Self.cluster(["a", "b"])
    Self.add(&harness, "equal", 9, app: "x", affinity: Self.apart("z"), on: "a")
    Self.add(&harness, "lower", 0, app: "x", affinity: Self.apart("z"), on: "b")
    Self.add(&harness, "high", 9, app: "z")
    #expect(!Self.isEnding(harness, "equal") && Self.isEnding(harness, "lower"))
    try Self.end(&harness, "lower")
    #expect(harness.pod("high")?.nodeName == "b")
    Self.add(&harness, "beside", 0, app: "y", on: "a")
    Self.add(&harness, "second", 9, app: "z", on: "a")
    #expect(!Self.isEnding(harness, "equal") && !Self.isEnding(harness, "beside"))
    let text = "node(s) didn't satisfy existing pods anti-affinity rules"
    #expect(
      Self.message(harness, "second")
        == "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 \(text). preemption: 0/2 "
        + "nodes are available: 1 Preemption is not helpful for scheduling, 1 \(text).")
  }

  @Test("pods of one class that keep apart have room made on different nodes, although one would have room for both")
  func ownKind() throws {
    var harness = try Self.cluster(["a", "b"])
    for node in ["a", "b"] {
      for number in 0..<2 { Self.add(&harness, "low-\(node)\(number)", 0, app: "y", cpu: "2", on: node) }
    }
    for name in ["one", "two", "three"] {
      Self.add(&harness, name, 9, app: "x", cpu: "2", affinity: Self.apart("x"), run: false)
    }
    harness.step([])
    harness.pass(5_000, beating: ["a", "b"])
    let nodes = ["one", "two", "three"].compactMap { harness.pod($0)?.status.nominatedNodeName }.filter { !$0.isEmpty }
    #expect(nodes.sorted() == ["a", "b"])
    let ending = harness.core.state.keys(of: .pods).map(\.name).filter { Self.isEnding(harness, $0) }
    #expect(ending.count == 2, "nobody ends for the third, which may go nowhere: \(ending)")
    for name in ending { try Self.end(&harness, name) }
    #expect(["one", "two", "three"].filter { harness.pod($0)?.nodeName != nil }.count == 2)
  }

  @Test("whom a pod has to be near stays, and another goes for its room and distance", arguments: [true, false])
  func nearAndApart(isThere: Bool) throws {
    var harness = try Self.cluster(["a"])
    if isThere { Self.add(&harness, "friend", 0, app: "f") }
    Self.add(&harness, "foe", 0, app: "x")
    let term: JSON = ["topologyKey": .string(Self.host), "labelSelector": ["matchLabels": ["app": "f"]]]
    var affinity = Self.apart("x")
    affinity["podAffinity"] = ["requiredDuringSchedulingIgnoredDuringExecution": [term]]
    Self.add(&harness, "high", 9, app: "z", affinity: affinity)
    #expect(Self.isEnding(harness, "foe") == isThere)
    #expect(!Self.isEnding(harness, "friend"))
  }

  @Test("who ends counts in no spread: a pod whose distance that made takes the room that there is at once")
  func spreadAtOnce() throws {
    var harness = try Self.cluster(["a", "b"])
    Self.add(&harness, "guard", 9, app: "y", affinity: Self.apart("x"), on: "b")
    for name in ["one", "two"] { Self.add(&harness, name, 0, app: "x", on: "a") }
    let rule: JSON = [
      "maxSkew": 2, "topologyKey": .string(Self.host), "whenUnsatisfiable": "DoNotSchedule",
      "labelSelector": ["matchLabels": ["app": "x"]],
    ]
    Self.add(&harness, "high", 9, app: "x", spread: rule)
    #expect(["one", "two"].filter { Self.isEnding(harness, $0) }.count == 1)
    #expect(harness.pod("high")?.nodeName == "a")
    #expect(harness.problems() == [])
  }

  /// Random clusters, rules and priorities: who has a node named for it is placed when its victims have ended.
  @Test("room that is made is enough, whatever rules there are", arguments: 1...80 as ClosedRange<UInt64>)
  func enough(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    func pick(_ count: Int) -> Int { Int(random.next() % UInt64(count)) }
    let names = (0..<3).map { "n\($0)" }
    var harness = try FleetHarness.joined(names) {
      $0.labels = ["kubernetes.io/hostname": $0.name, "zone": $0.name == "n0" ? "1" : "2"]
    }
    let apps = ["x", "y", "z"]
    func rules() -> JSON? {
      let key = pick(2) == 0 ? Self.host : "zone"
      let selector: JSON = ["matchLabels": ["app": .string(apps[pick(3)])]]
      let terms: JSON = [
        "requiredDuringSchedulingIgnoredDuringExecution": [["topologyKey": .string(key), "labelSelector": selector]]
      ]
      switch pick(4) {
      case 0: return ["podAntiAffinity": terms]
      case 1: return pick(3) == 0 ? ["podAffinity": terms] : nil
      default: return nil
      }
    }
    for number in 0..<14 {
      Self.add(
        &harness, "low-\(number)", Int64(pick(3)), app: apps[pick(3)], cpu: "\(1 + pick(2))", affinity: rules())
    }
    Self.add(&harness, "high", 5, app: apps[pick(3)], cpu: "\(1 + pick(3))", affinity: rules())
    guard let node = harness.pod("high")?.status.nominatedNodeName, !node.isEmpty else { return }
    for pod in harness.core.state.keys(of: .pods) where Self.isEnding(harness, pod.name) {
      try Self.end(&harness, pod.name)
    }
    // Another node may have come to suit it when the first of them had ended.
    #expect(harness.pod("high")?.nodeName != nil, "\(Self.message(harness, "high"))")
    #expect(harness.problems() == [])
  }
}
