// Where pods go for the sake of other pods: affinity, anti-affinity, spreading; what is said, and what it costs.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("scheduling by other pods") struct PodRulesTests {
  /// Nodes a1, a2 of zone a and so on: one for each letter in each zone.
  private func cluster(_ zones: [(String, Int)], pods: Int64 = 110) throws -> FleetHarness {
    var harness = try FleetHarness()
    for (zone, count) in zones {
      for number in 1...count {
        var agent = FakeAgent("\(zone)\(number)")
        agent.capacity.pods = pods
        agent.labels = ["zone": zone, "kubernetes.io/hostname": "\(zone)\(number)"]
        harness.join(agent)
      }
    }
    return harness
  }

  private func add(
    _ harness: inout FleetHarness, _ name: String, _ labels: StringMap, _ rules: [(String, JSON)] = [],
    namespace: String = "default", cpu: String = "10m", run: Bool = true
  ) {
    var spec: JSON = [
      "restartPolicy": "Never",
      "containers": [["name": "c", "command": ["true"], "resources": ["requests": ["cpu": .string(cpu)]]]],
    ]
    for (key, value) in rules {
      var merged = spec[key] ?? .object(JSONObject())
      if key == "affinity" {
        for (kind, rule) in value.objectValue ?? JSONObject() { merged[kind] = rule }
        spec[key] = merged
      } else {
        spec[key] = value
      }
    }
    var meta = ObjectMeta()
    (meta.name, meta.namespace, meta.labels) = (name, namespace, labels)
    harness.core.insert(.pod(Pod(meta: meta, spec: PodSpec(json: spec))))
    if run { harness.step([]) }
  }

  private func term(_ labels: JSON, _ key: String, _ more: JSON = [:]) -> JSON {
    var term: JSON = ["labelSelector": ["matchLabels": labels], "topologyKey": .string(key)]
    for (key, value) in more.objectValue ?? JSONObject() { term[key] = value }
    return term
  }

  private func near(_ terms: JSON...) -> (String, JSON) {
    ("affinity", ["podAffinity": ["requiredDuringSchedulingIgnoredDuringExecution": .array(terms)]])
  }

  private func apart(_ terms: JSON...) -> (String, JSON) {
    ("affinity", ["podAntiAffinity": ["requiredDuringSchedulingIgnoredDuringExecution": .array(terms)]])
  }

  private func wish(_ kind: String, _ weight: Int64, _ term: JSON) -> (String, JSON) {
    var affinity: JSON = .object(JSONObject())
    affinity[kind] = [
      "preferredDuringSchedulingIgnoredDuringExecution": [["weight": .int(weight), "podAffinityTerm": term]]
    ]
    return ("affinity", affinity)
  }

  private func spread(
    _ key: String, _ labels: JSON, skew: Int64 = 1, _ mode: String = "DoNotSchedule", _ more: JSON = [:]
  ) -> (String, JSON) {
    var rule: JSON = [
      "maxSkew": .int(skew), "topologyKey": .string(key), "whenUnsatisfiable": .string(mode),
      "labelSelector": ["matchLabels": labels],
    ]
    for (key, value) in more.objectValue ?? JSONObject() { rule[key] = value }
    return ("topologySpreadConstraints", [rule])
  }

  private func message(_ harness: FleetHarness, _ pod: String) -> String {
    harness.pod(pod)?.status.condition("PodScheduled")?.message ?? ""
  }

  private func nodes(_ harness: FleetHarness, _ pods: [String]) -> [String?] {
    pods.map { harness.pod($0)?.nodeName }
  }

  private func end(_ harness: inout FleetHarness, _ pod: String) throws {
    let attempt = try #require(harness.attempt(of: pod))
    harness.report(try #require(harness.pod(pod)?.nodeName), attempt, revision: 9, .succeeded)
  }

  /// The counts are what they would be if everything were counted from the start.
  private func isSound(_ harness: FleetHarness) throws -> Bool {
    var again = harness
    try again.restart()
    func counts(_ harness: FleetHarness) -> [String] {
      let topology = harness.core.fleet.topology
      return topology.questions.values.filter { $0.holders > 0 }.map {
        "\($0.question) \($0.holders) \($0.domains.sorted { $0.key < $1.key }) \($0.steady.sorted { $0.key < $1.key }) "
          + "\($0.repelling.sorted { $0.key < $1.key }) \($0.liking.sorted { $0.key < $1.key })"
      }.sorted()
    }
    return counts(harness) == counts(again)
  }

  private let noHelp = "Preemption is not helpful for scheduling"
  private let nobody = "No preemption victims found for incoming pod"

  // MARK: - Anti-affinity

  @Test("required anti-affinity keeps pods of a Job on different nodes, and the one too many waits for a place")
  func apartByHost() throws {
    var harness = try cluster([("a", 1), ("b", 2)])
    let rule = apart(term(["app": "x"], "kubernetes.io/hostname"))
    for index in 0..<4 { add(&harness, "p\(index)", ["app": "x"], [rule]) }
    #expect(Set(nodes(harness, ["p0", "p1", "p2"]).compactMap { $0 }) == ["a1", "b1", "b2"])
    #expect(harness.pod("p3")?.nodeName == nil)
    #expect(
      message(harness, "p3") == "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules. "
        + "preemption: 0/3 nodes are available: 3 \(nobody).")
    let freed = harness.pod("p1")?.nodeName
    try end(&harness, "p1")
    #expect(harness.pod("p3")?.nodeName == freed)
    #expect(try isSound(harness))
    #expect(harness.problems().isEmpty)
  }

  @Test("anti-affinity by zone refuses the whole zone, counts no pods of other namespaces, and nodes without the label")
  func apartByZone() throws {
    var harness = try cluster([("a", 2), ("b", 1)])
    var plain = FakeAgent("plain")
    plain.labels = [:]
    harness.join(plain)
    let rule = apart(term(["app": "x"], "zone"))
    add(&harness, "elsewhere", ["app": "x"], namespace: "other")
    for index in 0..<5 { add(&harness, "p\(index)", ["app": "x"], [rule]) }
    let used = nodes(harness, (0..<5).map { "p\($0)" }).compactMap { $0 }
    #expect(used.filter { $0.hasPrefix("a") }.count == 1)
    #expect(used.filter { $0 == "b1" }.count == 1)
    #expect(used.filter { $0 == "plain" }.count == 3, "no label, no zone: there is nothing to be apart in")
  }

  @Test("a pod that says nothing is kept away by the rules of those that run, until they end")
  func symmetric() throws {
    var harness = try cluster([("a", 1), ("b", 1)])
    add(&harness, "waits-with-others", ["app": "y"], cpu: "3900m")
    for (name, zone) in [("quiet0", "a"), ("quiet1", "b")] {
      let rules = [apart(term(["app": "noisy"], "kubernetes.io/hostname")), ("nodeSelector", ["zone": .string(zone)])]
      add(&harness, name, [:], rules)
    }
    #expect(Set(nodes(harness, ["quiet0", "quiet1"]).compactMap { $0 }).count == 2)
    add(&harness, "noisy", ["app": "noisy"])
    #expect(
      message(harness, "noisy")
        == "0/2 nodes are available: 2 node(s) didn't satisfy existing pods anti-affinity rules. "
        + "preemption: 0/2 nodes are available: 2 \(nobody).")
    add(&harness, "other", ["app": "z"])
    #expect(harness.pod("other")?.nodeName != nil)
    let node = harness.pod("quiet0")?.nodeName
    try end(&harness, "quiet0")
    #expect(harness.pod("noisy")?.nodeName == node)
    #expect(try isSound(harness))
  }

  @Test("the last that kept a pod away ends on another node, and the pod goes where it wanted")
  func lastToRepel() throws {
    var harness = try cluster([("a", 2)])
    let first: (String, JSON) = ("nodeSelector", ["kubernetes.io/hostname": "a1"])
    add(&harness, "quiet", [:], [apart(term(["app": "noisy"], "zone")), first])
    add(&harness, "noisy", ["app": "noisy"], [("nodeSelector", ["kubernetes.io/hostname": "a2"])])
    #expect(nodes(harness, ["quiet", "noisy"]) == ["a1", nil])
    try end(&harness, "quiet")
    #expect(harness.pod("noisy")?.nodeName == "a2")
    #expect(harness.core.fleet.topology.questions.isEmpty)
  }

  // MARK: - Affinity

  @Test("required affinity goes where such a pod runs, waits while there is none, and the first of a kind may begin")
  func near() throws {
    var harness = try cluster([("a", 2), ("b", 2)])
    add(&harness, "web", ["app": "web"], [near(term(["app": "db"], "zone"))])
    #expect(
      message(harness, "web") == "0/4 nodes are available: 4 node(s) didn't match pod affinity rules. "
        + "preemption: 0/4 nodes are available: 4 \(noHelp).")
    add(&harness, "db", ["app": "db"], [("nodeSelector", ["kubernetes.io/hostname": "b2"])])
    #expect(harness.pod("web")?.nodeName?.hasPrefix("b") == true)
    let own = near(term(["app": "ring"], "kubernetes.io/hostname"))
    for index in 0..<3 { add(&harness, "ring\(index)", ["app": "ring"], [own]) }
    #expect(Set(nodes(harness, ["ring0", "ring1", "ring2"])).count == 1)
    #expect(try isSound(harness))
  }

  @Test("with two terms a pod has to be in both to count, each within its own label")
  func bothTerms() throws {
    var harness = try cluster([("a", 1), ("b", 1)])
    add(&harness, "one", ["app": "db"], [("nodeSelector", ["zone": "a"])])
    add(&harness, "both", ["app": "db", "tier": "1"], [("nodeSelector", ["zone": "b"])])
    add(&harness, "p", [:], [near(term(["app": "db"], "zone"), term(["tier": "1"], "kubernetes.io/hostname"))])
    #expect(harness.pod("p")?.nodeName == "b1")
  }

  @Test("namespaces, namespaceSelector, matchLabelKeys and mismatchLabelKeys choose the pods that are meant")
  func chosen() throws {
    var harness = try cluster([("a", 1), ("b", 1), ("c", 1)])
    var space = ObjectMeta()
    (space.name, space.labels) = ("team", ["kind": "team"])
    harness.core.insert(.other(GenericObject(kind: .namespaces, meta: space, body: [:])))
    add(&harness, "db", ["app": "db", "v": "1"], [("nodeSelector", ["zone": "b"])], namespace: "team")
    add(&harness, "named", [:], [near(term(["app": "db"], "zone", ["namespaces": ["team"]]))])
    #expect(harness.pod("named")?.nodeName == "b1")
    let labelled: JSON = ["namespaceSelector": ["matchLabels": ["kind": "team"]]]
    add(&harness, "labelled", [:], [near(term(["app": "db"], "zone", labelled))])
    #expect(harness.pod("labelled")?.nodeName == "b1")
    add(&harness, "every", [:], [near(term(["app": "db"], "zone", ["namespaceSelector": [:]]))])
    #expect(harness.pod("every")?.nodeName == "b1")
    add(&harness, "own", [:], [near(term(["app": "db"], "zone"))])
    #expect(harness.pod("own")?.nodeName == nil)
    let same: JSON = ["namespaceSelector": [:], "matchLabelKeys": ["v"]]
    add(&harness, "same", ["v": "1"], [near(term(["app": "db"], "zone", same))])
    add(&harness, "newer", ["v": "2"], [near(term(["app": "db"], "zone", same))])
    #expect(nodes(harness, ["same", "newer"]) == ["b1", nil])
    let other: JSON = ["namespaceSelector": [:], "mismatchLabelKeys": ["v"]]
    add(&harness, "other", ["v": "1"], [near(term(["app": "db"], "zone", other))])
    #expect(harness.pod("other")?.nodeName == nil)
    // The namespace is labelled later: whoever waits for that goes on.
    let late: JSON = ["namespaceSelector": ["matchLabels": ["late": "yes"]]]
    add(&harness, "late", [:], [near(term(["app": "db"], "zone", late))])
    #expect(harness.pod("late")?.nodeName == nil)
    harness.core.update(ObjectReference(kind: .namespaces, key: ObjectKey(namespace: "", name: "team"))) {
      $0.meta.labels["late"] = "yes"
    }
    harness.step([])
    #expect(harness.pod("late")?.nodeName == "b1")
    #expect(try isSound(harness))
  }

  @Test("a node that moves to another zone takes its pods' counts along")
  func movedNode() throws {
    var harness = try cluster([("a", 1), ("b", 1)])
    add(&harness, "db", ["app": "db"], [("nodeSelector", ["zone": "a"])])
    add(&harness, "p", [:], [near(term(["app": "db"], "zone")), ("nodeSelector", ["zone": "b"])])
    #expect(harness.pod("p")?.nodeName == nil)
    harness.core.updateNode("a1") { $0.meta.labels["zone"] = "b" }
    harness.step([])
    #expect(harness.pod("p")?.nodeName != nil)
    #expect(try isSound(harness))
  }

  @Test(
    "preferred affinity draws near and preferred anti-affinity apart, of whoever has the wish, and neither holds up")
  func wishes() throws {
    var harness = try cluster([("a", 2), ("b", 2)])
    add(&harness, "db", ["app": "db"], [("nodeSelector", ["kubernetes.io/hostname": "b1"])])
    add(&harness, "web", ["app": "web"], [wish("podAffinity", 50, term(["app": "db"], "kubernetes.io/hostname"))])
    #expect(harness.pod("web")?.nodeName == "b1")
    add(&harness, "shy", ["app": "shy"], [wish("podAntiAffinity", 50, term(["app": "db"], "zone"))])
    #expect(harness.pod("shy")?.nodeName?.hasPrefix("a") == true)
    add(&harness, "vain", [:], [wish("podAffinity", 50, term(["app": "none"], "zone"))])
    #expect(harness.pod("vain")?.nodeName != nil)
    // The wish of one that runs: it likes those of `friend` near.
    add(
      &harness, "host", [:],
      [
        ("nodeSelector", ["kubernetes.io/hostname": "b2"]),
        wish("podAffinity", 50, term(["app": "friend"], "kubernetes.io/hostname")),
      ])
    add(&harness, "friend", ["app": "friend"])
    #expect(harness.pod("friend")?.nodeName == "b2")
  }

  // MARK: - Spreading

  @Test("DoNotSchedule keeps the difference of zones within maxSkew, and what would break it waits")
  func spreading() throws {
    var harness = try cluster([("a", 1), ("b", 3)], pods: 3)
    let rule = spread("zone", ["app": "x"])
    for index in 0..<8 { add(&harness, "p\(index)", ["app": "x"], [rule]) }
    let used = nodes(harness, (0..<8).map { "p\($0)" }).compactMap { $0 }
    #expect(used.filter { $0.hasPrefix("a") }.count == 3)
    #expect(used.filter { $0.hasPrefix("b") }.count == 4)
    #expect(
      message(harness, "p7") == "0/4 nodes are available: 1 Too many pods, 3 node(s) didn't match pod topology spread "
        + "constraints. preemption: 0/4 nodes are available: 4 \(nobody).")
    #expect(try isSound(harness))
  }

  @Test("a node without the label is none of the domains and is refused")
  func missingLabel() throws {
    var harness = try cluster([("a", 1)])
    harness.join(FakeAgent("plain"))
    add(&harness, "p0", ["app": "x"], [spread("zone", ["app": "x"])])
    #expect(harness.pod("p0")?.nodeName == "a1")
    harness.core.updateNode("a1") { $0.unschedulable = true }
    harness.step([])
    add(&harness, "p2", ["app": "x"], [spread("zone", ["app": "x"])])
    #expect(
      message(harness, "p2")
        == "0/2 nodes are available: 1 node(s) didn't match pod topology spread constraints (missing "
        + "required label), 1 node(s) were unschedulable. preemption: 0/2 nodes are available: 2 \(noHelp).")
  }

  @Test("fewer domains than minDomains count as an empty one more")
  func minDomains() throws {
    var harness = try cluster([("a", 1)])
    let rule = spread("zone", ["app": "x"], "DoNotSchedule", ["minDomains": 2])
    for index in 0..<2 { add(&harness, "p\(index)", ["app": "x"], [rule]) }
    #expect(nodes(harness, ["p0", "p1"]) == ["a1", nil])
    var agent = FakeAgent("b1")
    agent.labels = ["zone": "b"]
    harness.join(agent)
    #expect(harness.pod("p1")?.nodeName == "b1")
  }

  @Test("nodes that the selector or, where asked, a taint forbids make no domain, unless the policy says otherwise")
  func policies() throws {
    var harness = try cluster([("a", 1), ("b", 1), ("c", 1)])
    harness.core.updateNode("a1") { $0.meta.labels["ok"] = "1" }
    harness.core.updateNode("b1") { $0.meta.labels["ok"] = "1" }
    harness.core.updateNode("b1") { $0.taints.append(Taint(key: "gpu", value: "yes", effect: "NoSchedule")) }
    harness.step([])
    func two(_ name: String, _ more: JSON) -> [String?] {
      for index in 0..<2 {
        add(
          &harness, "\(name)\(index)", ["app": name],
          [spread("zone", ["app": .string(name)], "DoNotSchedule", more), ("nodeSelector", ["ok": "1"])])
      }
      return nodes(harness, ["\(name)0", "\(name)1"])
    }
    #expect(two("p", [:]) == ["a1", nil], "the tainted node counts, and is empty")
    #expect(two("q", ["nodeTaintsPolicy": "Honor"]) == ["a1", "a1"])
    #expect(two("r", ["nodeTaintsPolicy": "Honor", "nodeAffinityPolicy": "Ignore"]) == ["a1", nil], "c1 counts")
  }

  @Test("ScheduleAnyway takes the emptier domain and never waits; pods that end do not count")
  func anyway() throws {
    var harness = try cluster([("a", 1), ("b", 1)])
    let rule = spread("zone", ["app": "x"], "ScheduleAnyway")
    for index in 0..<2 { add(&harness, "a\(index)", ["app": "x"], [("nodeSelector", ["zone": "a"])]) }
    for index in 0..<2 { add(&harness, "p\(index)", ["app": "x"], [rule]) }
    #expect(nodes(harness, ["p0", "p1"]) == ["b1", "b1"])
    harness.core.deletePod(ObjectKey(namespace: "default", name: "a0"), graceSeconds: 30)
    harness.core.deletePod(ObjectKey(namespace: "default", name: "a1"), graceSeconds: 30)
    harness.step([])
    add(&harness, "late", ["app": "x"], [rule])
    #expect(harness.pod("late")?.nodeName == "a1")
    add(&harness, "only", ["app": "x"], [rule, ("nodeSelector", ["zone": "b"])])
    #expect(harness.pod("only")?.nodeName == "b1")
  }

  @Test("the pods of a Job are counted by matchLabelKeys each Job by itself")
  func spreadKeys() throws {
    var harness = try cluster([("a", 1), ("b", 1)])
    let rule = spread("zone", ["app": "x"], "DoNotSchedule", ["matchLabelKeys": ["v"]])
    for version in ["1", "2"] {
      add(&harness, "p\(version)", ["app": "x", "v": version], [rule, ("nodeSelector", ["zone": "a"])])
    }
    #expect(nodes(harness, ["p1", "p2"]) == ["a1", "a1"])
    add(&harness, "more", ["app": "x", "v": "1"], [rule])
    #expect(harness.pod("more")?.nodeName == "b1")
  }

  // MARK: - Cost

  /// Looks at nodes, questions and pods for that many pods of Jobs that keep apart by host.
  private func steps(pods: Int, nodes: Int, isOneKind: Bool) throws -> Int {
    var harness = try cluster([("n", nodes)])
    harness.core.fleet.topology.steps = 0
    for index in 0..<pods {
      let app = isOneKind ? "x" : "x\(index / 10)"
      add(
        &harness, "p\(index)", ["app": app],
        [wish("podAntiAffinity", 10, term(["app": .string(app)], "kubernetes.io/hostname"))], run: false)
    }
    harness.step([])
    #expect(harness.core.fleet.attempts.count == pods)
    return harness.core.fleet.topology.steps
  }

  @Test("pods with rules cost each what one costs, however many run", arguments: [true, false])
  func cost(_ isOneKind: Bool) throws {
    let few = try steps(pods: 100, nodes: 40, isOneKind: isOneKind)
    let many = try steps(pods: 400, nodes: 40, isOneKind: isOneKind)
    #expect(many <= few * 5, "\(few) \(many)")
    #expect(many <= 400 * (40 + 20))
  }

  @Test("on 1,000 nodes 100 pods with rules look at each node once each, and at no other pods")
  func manyNodes() throws {
    #expect(try steps(pods: 100, nodes: 1_000, isOneKind: true) <= 100 * (1_000 + 20))
  }

  @Test("who has no rules is not looked at for those of others, and an end wakes only whom it may help")
  func quiet() throws {
    var harness = try cluster([("n", 3)], pods: 10)
    let rule = apart(term(["app": "x"], "kubernetes.io/hostname"))
    for index in 0..<6 { add(&harness, "p\(index)", ["app": "x"], [rule]) }
    for index in 0..<10 { add(&harness, "plain\(index)", ["app": "y"]) }
    #expect(harness.core.fleet.attempts.count == 13)
    harness.core.fleet.topology.steps = 0
    try end(&harness, "plain0")
    add(&harness, "another", ["app": "y"])
    #expect(harness.core.fleet.topology.steps <= 6)
    harness.core.fleet.topology.steps = 0
    try end(&harness, "p0")
    #expect(harness.core.fleet.attempts.count == 13)
    #expect(harness.core.fleet.topology.steps <= 20)
  }
}
