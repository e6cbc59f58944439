// What a pod asks of its node: affinity by label and by name, wishes, nodeName, gates, extended resources.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("scheduling by node") struct SchedulingNodeTests {
  private func message(_ harness: FleetHarness, _ pod: String) -> String {
    harness.pod(pod)?.status.condition("PodScheduled")?.message ?? ""
  }

  private func required(_ terms: JSON...) -> (String, JSON) {
    (
      "affinity",
      [
        "nodeAffinity": [
          "requiredDuringSchedulingIgnoredDuringExecution": ["nodeSelectorTerms": .array(terms)]
        ]
      ]
    )
  }

  private func rule(_ key: String, _ operation: String, _ values: String...) -> JSON {
    ["key": .string(key), "operator": .string(operation), "values": .array(values.map { .string($0) })]
  }

  private let noHelp = "Preemption is not helpful for scheduling"

  @Test(
    "each operator of a required node affinity chooses the nodes that Kubernetes' would",
    arguments: [
      ("In", ["a", "b"], ["a", "b"]), ("NotIn", ["a"], ["b", "c", "d"]), ("Exists", [], ["a", "b", "c"]),
      ("DoesNotExist", [], ["d"]), ("Gt", ["2"], ["c"]), ("Lt", ["4"], []),
    ] as [(String, [String], [String])])
  func operators(_ operation: String, _ values: [String], _ expected: [String]) throws {
    var harness = try FleetHarness.joined(["a", "b", "c", "d"])
    // Gt and Lt compare numbers; what is none matches neither.
    for name in ["a", "b"] { harness.core.updateNode(name) { $0.meta.labels["rank"] = name } }
    harness.core.updateNode("c") { $0.meta.labels["rank"] = "5" }
    harness.step([])
    let rule: JSON = [
      "key": "rank", "operator": .string(operation), "values": .array(values.map { .string($0) }),
    ]
    for index in 0..<8 { harness.addPod("p\(index)", extra: [required(["matchExpressions": [rule]])]) }
    let used = Set((0..<8).compactMap { harness.pod("p\($0)")?.nodeName }).sorted()
    #expect(used == expected)
    if expected.isEmpty {
      #expect(
        message(harness, "p0")
          == "0/4 nodes are available: 4 node(s) didn't match Pod's node affinity/selector. "
          + "preemption: 0/4 nodes are available: 4 \(noHelp).")
    }
  }

  @Test("one term of several suffices, all rules of a term have to hold, and an empty term holds nowhere")
  func terms() throws {
    var harness = try FleetHarness.joined(["a", "b"])
    harness.core.updateNode("a") { $0.meta.labels["disk"] = "ssd" }
    harness.core.updateNode("b") { $0.meta.labels = $0.meta.labels.merging(["disk": "ssd", "zone": "1"]) }
    harness.step([])
    let both: JSON = ["matchExpressions": [rule("disk", "In", "ssd"), rule("zone", "Exists")]]
    harness.addPod("both", extra: [required(both)])
    #expect(harness.pod("both")?.nodeName == "b")
    harness.addPod("either", extra: [required(["matchExpressions": [rule("none", "Exists")]], both)])
    #expect(harness.pod("either")?.nodeName == "b")
    harness.addPod("empty", extra: [required([:])])
    #expect(harness.pod("empty")?.nodeName == nil)
  }

  @Test("matchFields chooses a node by name, and the others are not asked at all")
  func fields() throws {
    var harness = try FleetHarness.joined(["a", "b", "c"])
    harness.addPod("there", extra: [required(["matchFields": [rule("metadata.name", "In", "c")]])])
    #expect(harness.pod("there")?.nodeName == "c")
    harness.addPod("elsewhere", extra: [required(["matchFields": [rule("metadata.name", "NotIn", "a")]])])
    #expect(harness.pod("elsewhere")?.nodeName == "b")
    harness.core.updateNode("c") { $0.unschedulable = true }
    harness.step([])
    harness.addPod("late", extra: [required(["matchFields": [rule("metadata.name", "In", "c")]])])
    #expect(
      message(harness, "late")
        == "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]. "
        + "preemption: 0/3 nodes are available: 3 \(noHelp).")
  }

  @Test("a label that makes a required affinity hold lets the waiting pod in")
  func labelled() throws {
    var harness = try FleetHarness.joined(["a"])
    harness.addPod("p", extra: [required(["matchExpressions": [rule("disk", "In", "ssd")]])])
    #expect(harness.pod("p")?.nodeName == nil)
    harness.core.updateNode("a") { $0.meta.labels["disk"] = "ssd" }
    harness.step([])
    #expect(harness.pod("p")?.nodeName == "a")
  }

  @Test("preferred node affinity weighs nodes, a wish that nobody meets holds nothing up")
  func preferred() throws {
    var harness = try FleetHarness.joined(["a", "b", "c"])
    harness.core.updateNode("b") { $0.meta.labels["disk"] = "ssd" }
    harness.core.updateNode("c") { $0.meta.labels = $0.meta.labels.merging(["disk": "ssd", "zone": "1"]) }
    harness.step([])
    func wish(_ weight: Int64, _ key: String) -> JSON {
      ["weight": .int(weight), "preference": ["matchExpressions": [rule(key, "Exists")]]]
    }
    func wishes(_ list: JSON...) -> (String, JSON) {
      ("affinity", ["nodeAffinity": ["preferredDuringSchedulingIgnoredDuringExecution": .array(list)]])
    }
    harness.addPod("p", extra: [wishes(wish(10, "disk"), wish(20, "zone"))])
    #expect(harness.pod("p")?.nodeName == "c")
    harness.addPod("q", extra: [wishes(wish(10, "disk"), wish(20, "nothing"))])
    #expect(harness.pod("q")?.nodeName == "b", "two nodes meet it, and b is the emptier")
    harness.addPod("r", extra: [wishes(wish(100, "nothing"))])
    #expect(harness.pod("r")?.nodeName == "a")
  }

  @Test("a taint of effect PreferNoSchedule is avoided while there is another node, and used when there is none")
  func preferNoSchedule() throws {
    var harness = try FleetHarness.joined(["a", "b"]) { $0.capacity.pods = 2 }
    harness.core.updateNode("a") { $0.taints.append(Taint(key: "old", effect: "PreferNoSchedule")) }
    harness.step([])
    for name in ["p", "q", "r"] { harness.addPod(name) }
    #expect(["p", "q", "r"].map { harness.pod($0)?.nodeName } == ["b", "b", "a"])
  }

  // MARK: - nodeName

  private func put(_ harness: inout FleetHarness, _ name: String, on node: String, cpu: String) {
    var meta = ObjectMeta()
    meta.name = name
    meta.namespace = "default"
    let spec = PodSpec(json: [
      "containers": [["name": "c", "resources": ["requests": ["cpu": .string(cpu)]]]], "restartPolicy": "Never",
    ])
    harness.core.insert(.pod(Pod(meta: meta, spec: spec, nodeName: node)))
    harness.step([])
  }

  @Test("a pod that names its node fails there as under Kubernetes when there is no room, and others do not wait")
  func nodeName() throws {
    var harness = try FleetHarness.joined(["a"])
    put(&harness, "first", on: "a", cpu: "3")
    #expect(harness.isLive("first"))
    put(&harness, "second", on: "a", cpu: "2")
    let failed = try #require(harness.pod("second"))
    #expect(failed.status.phase == .failed)
    #expect(failed.status.reason == "OutOfcpu")
    #expect(
      failed.status.message == "Pod was rejected: Node didn't have enough resource: cpu, requested: 2000, used: 3000, "
        + "capacity: 4000")
    #expect(
      harness.events("OutOfcpu") == [
        "Node didn't have enough resource: cpu, requested: 2000, used: 3000, capacity: 4000"
      ])
    #expect(harness.core.fleet.scheduler.groups.isEmpty)
    #expect(harness.problems().isEmpty)
  }

  @Test("a pod that names a node which is away starts when that comes, or is turned down where it is too small")
  func nodeNameOfOneToCome() throws {
    var harness = try FleetHarness.joined(["a"])
    put(&harness, "small", on: "later", cpu: "1")
    put(&harness, "large", on: "later", cpu: "64")
    #expect(harness.pod("large")?.status.phase == .pending)
    harness.join(FakeAgent("later"))
    #expect(harness.isLive("small"))
    #expect(harness.pod("large")?.status.phase == .failed)
    #expect(harness.pod("large")?.status.reason == "OutOfcpu")
    #expect(harness.problems().isEmpty)
  }

  @Test("a Job whose template names a node runs there though the node is cordoned")
  func jobWithNodeName() throws {
    var harness = try FleetHarness.joined(["a", "b"])
    harness.core.updateNode("b") { $0.unschedulable = true }
    let job = Manifest.job("j", pod: ["nodeName": "b"])
    harness.step([
      .request(900, APIRequest(verb: .create, kind: .jobs, namespace: "default", body: job))
    ])
    #expect(harness.core.fleet.attempts.values.map(\.node) == ["b"])
    let shown = harness.core.state.jobs[ObjectKey(namespace: "default", name: "j")]?.json
    #expect(shown?[path: ["spec", "template", "spec", "nodeName"]] == "b")
  }

  // MARK: - Gates

  @Test("a gated pod says SchedulingGated, waits without an event, and is scheduled when a patch takes the gates away")
  func gates() throws {
    let harness = try APIHarness()
    #expect(
      harness.create(.pods, Manifest.pod("p", spec: ["schedulingGates": [["name": "a"], ["name": "b/c"]]])).code == 201)
    func condition() -> JSON? {
      harness.get(.pods, "p").object[path: ["status", "conditions"]]?.arrayValue?.first {
        $0["type"] == "PodScheduled"
      }
    }
    #expect(condition()?["reason"] == "SchedulingGated")
    #expect(condition()?["message"] == "Scheduling is blocked due to non-empty scheduling gates")
    #expect(harness.list(.events).items.isEmpty)
    let added = harness.patch(.pods, "p", .merge, ["spec": ["schedulingGates": [["name": "a"], ["name": "new"]]]])
    #expect(
      added.message == "Pod \"p\" is invalid: spec.schedulingGates: Forbidden: only deletion is allowed, but found new "
        + "scheduling gate 'new'")
    #expect(harness.patch(.pods, "p", .merge, ["spec": ["nodeSelector": ["disk": "ssd"]]]).code == 200)
    #expect(harness.patch(.pods, "p", .merge, ["spec": ["nodeSelector": ["disk": "hdd"]]]).code == 422)
    #expect(harness.patch(.pods, "p", .merge, ["spec": ["schedulingGates": [["name": "a"]]]]).code == 200)
    #expect(condition()?["reason"] == "SchedulingGated")
    #expect(harness.patch(.pods, "p", .merge, ["spec": ["schedulingGates": .null]]).code == 200)
    #expect(condition()?["reason"] == "Unschedulable")
    #expect(harness.patch(.pods, "p", .merge, ["spec": ["nodeSelector": ["zone": "1"]]]).code == 422)
    let named = harness.create(.pods, Manifest.pod("q", spec: ["nodeName": "n", "schedulingGates": [["name": "a"]]]))
    #expect(
      named.message
        == "Pod \"q\" is invalid: spec.nodeName: Forbidden: cannot be set until all schedulingGates have been "
        + "cleared")
  }

  // MARK: - Extended resources

  private func asking(_ count: Int64) -> (String, JSON) {
    (
      "containers",
      [
        [
          "name": "c", "image": "none", "command": ["true"],
          "resources": ["limits": ["example.com/gpu": .int(count)], "requests": ["example.com/gpu": .int(count)]],
        ]
      ]
    )
  }

  @Test("extended resources are counted as cpu is, kept when the agent registers again, and named when they lack")
  func devices() throws {
    var harness = try FleetHarness.joined(["a", "b"])
    harness.core.updateNode("b") { $0.capacity.extended = [ResourceAmount(name: "example.com/gpu", amount: 2)] }
    harness.step([])
    harness.addPod("p", extra: [asking(2)])
    #expect(harness.pod("p")?.nodeName == "b")
    harness.addPod("q", extra: [asking(1)])
    #expect(
      message(harness, "q")
        == "0/2 nodes are available: 2 Insufficient example.com/gpu. preemption: 0/2 nodes are available: "
        + "1 No preemption victims found for incoming pod, 1 \(noHelp).")
    #expect(harness.node("b")?.json[path: ["status", "allocatable", "example.com/gpu"]] == "2")
    try harness.restart()
    harness.reconnect("b", session: "again")
    #expect(harness.core.fleet.nodes["b"]?.usage.extended == ["example.com/gpu": 2])
    #expect(harness.node("b")?.capacity.amount(of: "example.com/gpu") == 2)
    #expect(harness.pod("q")?.nodeName == nil)
    harness.report("b", try #require(harness.attempt(of: "p")), revision: 1, .succeeded)
    #expect(harness.pod("q")?.nodeName == "b")
    #expect(harness.core.fleet.nodes["b"]?.usage.extended == ["example.com/gpu": 1])
    #expect(harness.problems().isEmpty)
  }

  @Test("what the agent hands out takes the place of what was written of it; what it keeps back no pod gets")
  func offered() throws {
    var harness = try FleetHarness.joined(["a"]) { agent in
      agent.capacity.extended = [ResourceAmount(name: "example.com/gpu", amount: 1)]
      agent.reserved = NodeReserve(cpuMillicores: 1_000, memoryBytes: 1 << 30)
    }
    harness.core.updateNode("a") { node in
      node.capacity.extended = [
        ResourceAmount(name: "example.com/gpu", amount: 7), ResourceAmount(name: "example.com/other", amount: 3),
      ]
    }
    harness.reconnect("a", session: "again")
    let node = try #require(harness.node("a"))
    #expect(node.capacity.amount(of: "example.com/gpu") == 1 && node.capacity.amount(of: "example.com/other") == 3)
    let status = node.json["status"]
    #expect(status?["capacity"]?["cpu"] == "5" && status?["allocatable"]?["cpu"] == "4")
    harness.addPod("p", cpu: "4500m")
    #expect(harness.pod("p")?.nodeName == nil)
    try harness.restart()
    #expect(harness.node("a")?.reserved == NodeReserve(cpuMillicores: 1_000, memoryBytes: 1 << 30))
  }

  @Test("what a node could never hold is told apart from what it cannot hold now")
  func hopeless() throws {
    var harness = try FleetHarness.joined(["a"])
    harness.addPod("p", cpu: "5")
    #expect(
      message(harness, "p")
        == "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 \(noHelp).")
  }

  // MARK: - Validation

  @Test(
    "wrong affinity, spread and gates get Kubernetes' words",
    arguments: [
      (
        ["affinity": ["nodeAffinity": ["requiredDuringSchedulingIgnoredDuringExecution": ["nodeSelectorTerms": []]]]],
        "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must "
          + "have at least one node selector term"
      ),
      (
        ["schedulingGates": [["name": "a"], ["name": "a"]]], "schedulingGates[1]: Duplicate value: \"a\""
      ),
      (
        [
          "topologySpreadConstraints": [
            ["maxSkew": 0, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"]
          ]
        ], "topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero"
      ),
      (
        [
          "affinity": [
            "nodeAffinity": [
              "preferredDuringSchedulingIgnoredDuringExecution": [
                ["weight": 101, "preference": ["matchExpressions": [["key": "a", "operator": "Exists"]]]]
              ]
            ]
          ]
        ],
        "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 101: must be "
          + "in the range 1-100"
      ),
      (
        [
          "affinity": [
            "nodeAffinity": [
              "requiredDuringSchedulingIgnoredDuringExecution": [
                "nodeSelectorTerms": [["matchFields": [["key": "x", "operator": "In", "values": ["a"]]]]]
              ]
            ]
          ]
        ],
        "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields[0].key: "
          + "Invalid value: \"x\": not a valid field selector key"
      ),
    ] as [(JSON, String)])
  func validation(_ spec: JSON, _ problem: String) throws {
    let harness = try APIHarness()
    let answer = harness.create(.jobs, Manifest.job("j", pod: spec))
    #expect(answer.message == "Job.batch \"j\" is invalid: spec.template.spec.\(problem)")
  }

  @Test("amounts beyond 64 bits are taken and count as the largest; a large request above its limit is refused")
  func largeAmounts() throws {
    let harness = try APIHarness()
    func answer(_ name: String, _ resources: JSON) -> RequestAnswer {
      harness.create(
        .pods, Manifest.pod(name, spec: ["containers": [["name": "c", "image": "i", "resources": resources]]]))
    }
    let amounts = ["9223372036854775808", "18446744073709551615", "99999999999999999999", "1e19"]
    for (index, amount) in amounts.enumerated() {
      let made = answer("p\(index)", ["requests": ["ephemeral-storage": .string(amount), "memory": .string(amount)]])
      #expect(made.message == "", "\(amount)")
    }
    #expect(
      answer("q", ["requests": ["memory": "10Pi"], "limits": ["memory": "9Pi"]]).message
        == "Pod \"q\" is invalid: spec.containers[0].resources.requests: Invalid value: \"10Pi\": must be less than or "
        + "equal to memory limit of 9Pi")
  }

  @Test("a device has to be limited, whole, and requested as it is limited")
  func deviceValidation() throws {
    let harness = try APIHarness()
    func problem(_ resources: JSON) -> String {
      harness.create(
        .pods, Manifest.pod("p", spec: ["containers": [["name": "c", "image": "i", "resources": resources]]])
      ).message
    }
    let at = "Pod \"p\" is invalid: spec.containers[0].resources"
    #expect(
      problem(["requests": ["example.com/gpu": 1]])
        == "\(at).limits: Required value: Limit must be set for non overcommitable resources")
    #expect(
      problem(["requests": ["example.com/gpu": 1], "limits": ["example.com/gpu": 2]])
        == "\(at).requests: Invalid value: \"1\": must be equal to example.com/gpu limit of 2")
    #expect(
      problem(["limits": ["example.com/gpu": "500m"], "requests": ["example.com/gpu": "500m"]]).contains(
        "Invalid value: \"500m\": must be an integer"))
  }
}
