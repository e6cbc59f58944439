// What Kubernetes' end-to-end suite asks of PodDisruptionBudgets and evictions, case by case under its names, through
// the API's door. Cases that need a ReplicaSet are left out: there are none here.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("disruption budgets as Kubernetes' suite has them") struct DisruptionEndToEndTests {
  private static let selector: JSON = ["matchLabels": ["foo": "bar"]]

  private static func budget(_ cluster: JobCluster, _ spec: JSON, name: String = "foo") {
    var spec = spec
    spec["selector"] = selector
    let body: JSON = [
      "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
      "metadata": ["name": .string(name), "labels": ["budgets": "mine"]], "spec": spec,
    ]
    let answer = cluster.ask(
      APIRequest(verb: .create, kind: .poddisruptionbudgets, namespace: "default", body: body))
    #expect(answer.code == 201, "\(answer.message)")
  }

  /// Pods of nobody's that run, and one of them.
  private static func pods(_ cluster: JobCluster, _ count: Int) throws {
    for index in 0..<count {
      var pod = Manifest.pod("pod-\(index)")
      pod[path: ["metadata", "labels"]] = ["foo": "bar"]
      #expect(cluster.ask(APIRequest(verb: .create, kind: .pods, namespace: "default", body: pod)).code == 201)
    }
    try cluster.wait("\(count) running pods") { running($0).count >= count }
  }

  private static func running(_ cluster: JobCluster) -> [String] {
    cluster.ask(APIRequest(verb: .list, kind: .pods, namespace: "default")).items.filter {
      $0[path: ["status", "phase"]] == "Running" && $0[path: ["metadata", "deletionTimestamp"]] == nil
    }.map(\.name)
  }

  private static func evict(_ cluster: JobCluster, _ pod: String) -> RequestAnswer {
    let body: JSON = ["apiVersion": "policy/v1", "kind": "Eviction", "metadata": ["name": .string(pod)]]
    return cluster.ask(
      APIRequest(
        verb: .create, kind: .pods, namespace: "default", name: pod, subresource: "eviction", body: body))
  }

  private static func get(_ cluster: JobCluster, _ name: String = "foo") -> JSON {
    cluster.ask(
      APIRequest(
        verb: .get, kind: .poddisruptionbudgets, namespace: "default", name: name, subresource: "status")
    ).object
  }

  private static func cause(_ answer: RequestAnswer) -> JSON? { answer.object[path: ["details", "causes"]]?[0] }

  @Test("should create a PodDisruptionBudget, update and patch it")
  func create() throws {
    let cluster = try JobCluster()
    Self.budget(cluster, ["minAvailable": "1%"])
    var json = Self.get(cluster)
    #expect(json[path: ["spec", "minAvailable"]] == "1%")
    json[path: ["spec", "minAvailable"]] = "2%"
    let put = cluster.ask(
      APIRequest(verb: .update, kind: .poddisruptionbudgets, namespace: "default", name: "foo", body: json))
    #expect(put.code == 200 && put.object[path: ["spec", "minAvailable"]] == "2%")
    let patched = cluster.patch(.poddisruptionbudgets, "foo", ["spec": ["minAvailable": "3%"]])
    #expect(patched.code == 200 && patched.object[path: ["spec", "minAvailable"]] == "3%")
    #expect(cluster.delete(.poddisruptionbudgets, "foo").code == 200)
  }

  @Test("should list and delete a collection of PodDisruptionBudgets")
  func collection() throws {
    let cluster = try JobCluster()
    for name in ["foo", "foo2"] { Self.budget(cluster, ["minAvailable": 2], name: name) }
    var options = APIOptions()
    options.labelSelector = "budgets=mine"
    func list() -> [String] {
      cluster.ask(
        APIRequest(verb: .list, kind: .poddisruptionbudgets, namespace: "default", options: options)
      ).items.map(\.name)
    }
    #expect(list() == ["foo", "foo2"])
    let deleted = cluster.ask(
      APIRequest(verb: .deletecollection, kind: .poddisruptionbudgets, namespace: "default", options: options))
    #expect(deleted.code == 200)
    #expect(list() == [])
  }

  @Test("should observe PodDisruptionBudget status updated")
  func observed() throws {
    let cluster = try JobCluster()
    Self.budget(cluster, ["minAvailable": 1])
    try Self.pods(cluster, 3)
    try cluster.wait("disruptions are allowed") {
      (Self.get($0)[path: ["status", "disruptionsAllowed"]]?.intValue ?? 0) > 0
    }
  }

  @Test("should update/patch PodDisruptionBudget status")
  func status() throws {
    let cluster = try JobCluster()
    Self.budget(cluster, ["minAvailable": 1])
    try Self.pods(cluster, 1)
    var json = Self.get(cluster)
    json[path: ["status", "disruptedPods"]] = ["pod-0": "2026-11-23T10:00:00Z"]
    let put = cluster.ask(
      APIRequest(
        verb: .update, kind: .poddisruptionbudgets, namespace: "default", name: "foo", subresource: "status",
        body: json))
    #expect(put.code == 200, "\(put.message)")
    #expect(Self.get(cluster)[path: ["status", "disruptedPods", "pod-0"]] == "2026-11-23T10:00:00Z")
    let patched = cluster.patch(
      .poddisruptionbudgets, "foo", ["status": ["disruptedPods": .null]], subresource: "status")
    #expect(patched.code == 200 && patched.object[path: ["status", "disruptedPods"]] == nil)
  }

  @Test("should observe that the PodDisruptionBudget status is not updated for unmanaged pods")
  func unmanaged() throws {
    let cluster = try JobCluster()
    Self.budget(cluster, ["maxUnavailable": 1])
    try Self.pods(cluster, 3)
    for _ in 0..<5 {
      cluster.pass()
      let status = Self.get(cluster)["status"]
      #expect(status?["conditions"]?[0]?["reason"] != "SyncFailed", "\(status?.text ?? "")")
      #expect(status?["expectedPods"] == 0 && status?["disruptionsAllowed"] == 0)
    }
  }

  @Test(
    "evictions: whether one is allowed",
    arguments: [
      ("no PDB => should allow an eviction", nil, 1, true),
      ("too few pods, absolute => should not allow an eviction", ["minAvailable": 2], 2, false),
      ("enough pods, absolute => should allow an eviction", ["minAvailable": 2], 3, true),
      ("unmanaged pods, maxUnavailable => should not allow an eviction", ["maxUnavailable": 1], 3, false),
    ] as [(String, JSON?, Int, Bool)])
  func evictions(_ name: String, _ spec: JSON?, _ count: Int, isAllowed: Bool) throws {
    let cluster = try JobCluster()
    if let spec { Self.budget(cluster, spec) }
    try Self.pods(cluster, count)
    let answer = Self.evict(cluster, "pod-0")
    #expect(answer.code == (isAllowed ? 201 : 429), "\(name): \(answer.message)")
    guard !isAllowed else { return }
    #expect(answer.message == "Cannot evict pod as it would violate the pod's disruption budget.")
    #expect(Self.cause(answer)?["reason"] == "DisruptionBudget")
  }

  @Test("should block an eviction until the PDB is updated to allow it")
  func blocked() throws {
    let cluster = try JobCluster()
    Self.budget(cluster, ["minAvailable": 3])
    try Self.pods(cluster, 3)
    #expect(Self.evict(cluster, "pod-0").code == 429)
    #expect(cluster.patch(.poddisruptionbudgets, "foo", ["spec": ["minAvailable": 2]]).code == 200)
    #expect(Self.evict(cluster, "pod-0").code == 201)
    try cluster.wait("pod-0 is gone") { !Self.running($0).contains("pod-0") }
    cluster.patch(.poddisruptionbudgets, "foo", ["spec": ["minAvailable": .null, "maxUnavailable": 0]])
    let refused = Self.evict(cluster, "pod-1")
    #expect(refused.code == 429 && Self.cause(refused)?["reason"] == "DisruptionBudget")
    #expect(
      Self.cause(refused)?["message"] == "The disruption budget foo does not allow evicting pods currently",
      "more are healthy than nobody's pods need")
    #expect(cluster.delete(.poddisruptionbudgets, "foo").code == 200)
    #expect(Self.evict(cluster, "pod-1").code == 201)
  }
}
