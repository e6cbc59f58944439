// ResourceQuotas: what is refused first, in Kubernetes' words; then what is counted, that Jobs go on when there is
// room, and that counting costs by what changed.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("resource quotas") struct QuotaTests {
  private func quota(_ name: String, _ hard: JSON, _ more: JSON = [:]) -> JSON {
    var spec = more
    spec["hard"] = hard
    return ["metadata": ["name": .string(name)], "spec": spec]
  }

  private func pod(_ name: String, _ resources: JSON = [:], _ more: JSON = [:]) -> JSON {
    var spec = more
    spec["containers"] = [["name": "c", "image": "busybox:1", "command": ["true"], "resources": resources]]
    return Manifest.pod(name, spec: spec)
  }

  private func used(_ harness: APIHarness, _ name: String) -> JSON {
    harness.get(.resourcequotas, name).object[path: ["status", "used"]] ?? .null
  }

  // MARK: Refused

  @Test(
    "a quota that is wrong in itself is refused in Kubernetes' words",
    arguments: [
      (
        ["hard": ["apples": "1"]],
        #"spec.hard[apples]: Invalid value: "apples": must be a standard resource type or fully qualified"#
      ),
      (["hard": ["pods": "-1"]], #"spec.hard[pods]: Invalid value: "-1": must be greater than or equal to 0"#),
      (["hard": ["pods": "1500m"]], #"spec.hard[pods]: Invalid value: "1500m": must be an integer"#),
      (["hard": ["pods": "1"], "scopes": ["Odd"]], #"spec.scopes: Invalid value: ["Odd"]: unsupported scope"#),
      (
        ["hard": ["cpu": "1"], "scopes": ["BestEffort"]],
        #"spec.scopes: Invalid value: ["BestEffort"]: unsupported scope applied to resource"#
      ),
      (
        ["hard": ["pods": "1"], "scopes": ["Terminating", "NotTerminating"]],
        #"spec.scopes: Invalid value: ["Terminating","NotTerminating"]: conflicting scopes"#
      ),
      (
        [
          "hard": ["pods": "1"],
          "scopeSelector": ["matchExpressions": [["scopeName": "PriorityClass", "operator": "In"]]],
        ],
        "spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is "
          + "'In' or 'NotIn' for scope selector"
      ),
    ] as [(JSON, String)])
  func invalid(spec: JSON, message: String) throws {
    let answer = try APIHarness().create(.resourcequotas, ["metadata": ["name": "q"], "spec": spec])
    #expect(answer.code == 422 && answer.message.contains(message), "\(answer.message)")
  }

  @Test("a pod too many is refused with what it asks, what is used and what there is") func exceeded() throws {
    let harness = try APIHarness()
    #expect(
      harness.create(.resourcequotas, quota("q", ["pods": "1", "requests.cpu": "1", "limits.memory": "1Gi"])).code
        == 201)
    let amounts: JSON = ["requests": ["cpu": "600m"], "limits": ["cpu": "1", "memory": "512Mi"]]
    #expect(harness.create(.pods, pod("a", amounts)).code == 201)
    let second = harness.create(.pods, pod("b", amounts))
    #expect(second.code == 403)
    #expect(
      second.message
        == #"pods "b" is forbidden: exceeded quota: q, requested: pods=1,requests.cpu=600m, used: "#
        + "pods=1,requests.cpu=600m, limited: pods=1,requests.cpu=1")
    #expect(used(harness, "q") == ["limits.memory": "512Mi", "pods": "1", "requests.cpu": "600m"])
    let dry = harness.create(.pods, pod("b", amounts)) { $0.dryRun = true }
    #expect(dry.code == 403)
    harness.delete(.pods, "a") { $0.gracePeriodSeconds = 0 }
    #expect(used(harness, "q")["pods"] == "0")
    #expect(harness.create(.pods, pod("b", amounts)).code == 201)
  }

  @Test("where cpu or memory is bounded every container has to say how much") func mustSay() throws {
    let harness = try APIHarness()
    harness.create(.resourcequotas, quota("q", ["cpu": "1", "limits.memory": "1Gi"]))
    let answer = harness.create(.pods, pod("a", ["requests": ["memory": "1Mi"]]))
    #expect(answer.message == #"pods "a" is forbidden: failed quota: q: must specify cpu for: c; limits.memory for: c"#)
  }

  @Test("objects of a kind are counted by both their names; a name that is free again is given again") func objects()
    throws
  {
    let harness = try APIHarness()
    harness.create(.configmaps, Manifest.configMap("before"))
    let there = Int64(harness.list(.configmaps).items.count)
    harness.create(
      .resourcequotas,
      quota("q", ["configmaps": .string("\(there + 1)"), "count/jobs.batch": "1", "count/resourcequotas": "2"]))
    #expect(used(harness, "q")["count/resourcequotas"] == "1")
    #expect(harness.create(.configmaps, Manifest.configMap("a")).code == 201)
    let third = harness.create(.configmaps, Manifest.configMap("b"))
    #expect(third.code == 403 && third.message.contains("requested: configmaps=1, used: configmaps=\(there + 1)"))
    #expect(harness.create(.jobs, Manifest.job("one")).code == 201)
    let job = harness.create(.jobs, Manifest.job("two"))
    #expect(
      job.message
        == #"jobs.batch "two" is forbidden: exceeded quota: q, requested: count/jobs.batch=1, used: "#
        + "count/jobs.batch=1, limited: count/jobs.batch=1")
    harness.delete(.configmaps, "a")
    #expect(harness.create(.configmaps, Manifest.configMap("b")).code == 201)
  }

  // MARK: Counted

  @Test("scopes choose the pods that count") func scopes() throws {
    let harness = try APIHarness()
    let scopes: [(String, JSON)] = [
      ("ending", ["scopes": ["Terminating"]]), ("lasting", ["scopes": ["NotTerminating"]]),
      ("best", ["scopes": ["BestEffort"]]), ("better", ["scopes": ["NotBestEffort"]]),
      (
        "class",
        [
          "scopeSelector": [
            "matchExpressions": [
              ["scopeName": "PriorityClass", "operator": "In", "values": ["system-node-critical"]]
            ]
          ]
        ]
      ), ("around", ["scopes": ["CrossNamespacePodAffinity"]]),
    ]
    for (name, more) in scopes {
      #expect(harness.create(.resourcequotas, quota(name, ["pods": "9"], more)).code == 201)
    }
    harness.create(.pods, pod("a", [:], ["activeDeadlineSeconds": 60]))
    harness.create(.pods, pod("b", ["requests": ["cpu": "1"]]))
    harness.create(.pods, pod("c", [:], ["priorityClassName": "system-node-critical"]))
    let term: JSON = ["topologyKey": "k", "namespaces": ["other"], "labelSelector": ["matchLabels": ["a": "b"]]]
    harness.create(
      .pods,
      pod("d", [:], ["affinity": ["podAffinity": ["requiredDuringSchedulingIgnoredDuringExecution": [term]]]]))
    let counts = scopes.map { used(harness, $0.0)["pods"]?.stringValue }
    #expect(counts == ["1", "3", "3", "1", "1", "1"])
  }

  @Test("amounts are shown as Kubernetes shows sums, of init containers the most counts, devices count as requests")
  func sums() throws {
    let harness = try APIHarness()
    harness.create(
      .resourcequotas,
      quota("q", ["memory": "10Gi", "requests.cpu": "5", "requests.example.com/gpu": "8", "count/pods": "5000"]))
    let amounts: JSON = [
      "requests": ["memory": "512Mi", "cpu": "250m", "example.com/gpu": "2"], "limits": ["example.com/gpu": "2"],
    ]
    let initial: JSON = [
      [
        "name": "i", "image": "x:1", "command": ["true"],
        "resources": ["requests": ["memory": "1536Mi", "cpu": "50m"]],
      ]
    ]
    harness.create(.pods, pod("a", amounts, ["initContainers": initial]))
    harness.create(.pods, pod("b", ["requests": ["memory": "512Mi", "cpu": "750m"]]))
    #expect(
      used(harness, "q") == [
        "count/pods": "2", "memory": "2Gi", "requests.cpu": "1", "requests.example.com/gpu": "2",
      ])
    let table = harness.get(.resourcequotas, "q").object[path: ["status", "hard"]]
    #expect(table?["count/pods"] == "5k")
  }

  @Test("a pod that has ended counts as an object alone; a quota's own change counts anew; a restart finds the same")
  func ended() throws {
    var harness = try FleetHarness.joined(["a"])
    func create(_ kind: Kind, _ body: JSON) {
      harness.step([.request(900, APIRequest(verb: .create, kind: kind, namespace: "default", body: body))])
    }
    create(.resourcequotas, quota("q", ["pods": "5", "count/pods": "5"]))
    create(.pods, pod("p"))
    func used() -> JSON? {
      harness.core.state.other(.resourcequotas, ObjectKey(namespace: "default", name: "q"))?
        .body["status"]?["used"]
    }
    #expect(used() == ["count/pods": "1", "pods": "1"])
    harness.report("a", try #require(harness.attempt(of: "p")), revision: 1, .succeeded)
    #expect(used() == ["count/pods": "1", "pods": "0"])
    try harness.restart()
    harness.reconnect("a", session: "again")
    create(.pods, pod("second"))
    #expect(used() == ["count/pods": "2", "pods": "1"])
    #expect(harness.core.quotaProblems().isEmpty)
  }

  @Test("the table is Kubernetes'") func table() throws {
    let harness = try APIHarness()
    harness.create(.resourcequotas, quota("q", ["pods": "5", "limits.cpu": "2", "requests.cpu": "1"]))
    let object = try #require(harness.core.state.other(.resourcequotas, ObjectKey(namespace: "default", name: "q")))
    let rules = KindDescriptor.of(.resourcequotas).table
    #expect(rules.columns.map(\.name) == ["Name", "Request", "Limit", "Age"])
    #expect(
      Array(rules.cells(.other(object), harness.now.wall).prefix(3))
        == ["q", "pods: 0/5, requests.cpu: 0/1", "limits.cpu: 0/2"])
  }

  // MARK: Jobs

  @Test("a Job that a quota holds says so as Kubernetes' controller does, and goes on pod by pod as others end")
  func jobs() throws {
    let cluster = try JobCluster()
    cluster.ask(
      APIRequest(
        verb: .create, kind: .resourcequotas, namespace: "default", body: quota("q", ["pods": "2"])))
    cluster.create("j", JobCluster.allSucceed, ["parallelism": 4, "completions": 6])
    #expect(cluster.pods("j").count == 2)
    let events = cluster.fleet.events("FailedCreate")
    #expect(
      events.contains { text in
        text.hasPrefix("Error creating: pods \"j-")
          && text.hasSuffix("\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2")
      }, "\(events)")
    try cluster.wait("the Job's end") { cluster in cluster.job("j").object[path: ["status", "succeeded"]] == 6 }
    #expect(cluster.fleet.core.quotaProblems().isEmpty)
  }

  @Test("of many Jobs that a quota holds one is tried for each pod that ends, not all") func cost() throws {
    var harness = try FleetHarness.joined(["a"])
    func create(_ kind: Kind, _ body: JSON) {
      harness.step([.request(900, APIRequest(verb: .create, kind: kind, namespace: "default", body: body))])
    }
    create(.resourcequotas, quota("q", ["pods": "1"]))
    for number in 0..<200 { create(.jobs, Manifest.job("j\(number)")) }
    let live = try #require(harness.core.state.keys(of: .pods).first)
    let before = harness.core.workloads.looked + harness.core.workloads.quotas.looked
    harness.report("a", try #require(harness.attempt(of: live.name)), revision: 1, .succeeded)
    let cost = harness.core.workloads.looked + harness.core.workloads.quotas.looked - before
    #expect(cost < 40, "\(cost)")
    let running = harness.core.state.keys(of: .pods).filter { harness.pod($0.name)?.status.phase.isTerminal == false }
    #expect(running.count == 1)
  }

  @Test("more room by a changed or deleted quota lets what was refused go on") func moreRoom() throws {
    let cluster = try JobCluster()
    cluster.ask(
      APIRequest(verb: .create, kind: .resourcequotas, namespace: "default", body: quota("q", ["pods": "0"])))
    for name in ["a", "b", "c"] { cluster.create(name, JobCluster.notTerminate, ["parallelism": 1, "completions": 1]) }
    #expect(["a", "b", "c"].allSatisfy { cluster.pods($0).isEmpty })
    cluster.patch(.resourcequotas, "q", ["spec": ["hard": ["pods": "2"]]])
    #expect(["a", "b", "c"].map { cluster.pods($0).count } == [1, 1, 0])
    cluster.delete(.resourcequotas, "q")
    #expect(cluster.pods("c").count == 1)
  }
}
