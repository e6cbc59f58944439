// What every namespace has: made with it, made again, never in one that is being deleted.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Workloads: what namespaces contain") struct WorkloadsNamespaceTests {
  private let endpoint = APIEndpoint(host: "127.0.0.1", port: 7480, authority: "-----BEGIN CERTIFICATE-----\n")

  private func served() throws -> APIHarness {
    let harness = try APIHarness()
    harness.step([.apiServed(endpoint)])
    return harness
  }

  @Test("the namespaces of every cluster are there, each with its ServiceAccount and the authority's certificate")
  func standard() throws {
    let harness = try served()
    let names = harness.list(.namespaces).itemNames
    #expect(names == ["default", "kube-node-lease", "kube-public", "kube-system"])
    for name in names {
      #expect(harness.get(.serviceaccounts, "default", namespace: name).code == 200)
      let map = harness.get(.configmaps, "kube-root-ca.crt", namespace: name).object
      #expect(map[path: ["data", "ca.crt"]]?.stringValue == endpoint.authority)
      #expect(
        map[path: ["metadata", "annotations", "kubernetes.io/description"]]?.stringValue?
          .hasPrefix("Contains a CA bundle") == true)
    }
  }

  @Test("the Service kubernetes says where the API is, and is read as a Table")
  func service() throws {
    let harness = try served()
    let service = harness.get(.services, "kubernetes").object
    #expect(service[path: ["metadata", "labels"]] == ["component": "apiserver", "provider": "kubernetes"])
    #expect(service[path: ["spec", "clusterIP"]] == "127.0.0.1")
    let port = service[path: ["spec", "ports"]]?[0]
    #expect(port?["name"] == "https" && port?["port"] == 7480 && port?["targetPort"] == 7480)
    let table = harness.ask(
      APIRequest(verb: .get, kind: .services, namespace: "default", name: "kubernetes", form: .table)
    ).object
    let cells = table["rows"]?[0]?["cells"]?.arrayValue?.prefix(5)
    #expect(cells.map(Array.init) == ["kubernetes", "ClusterIP", "127.0.0.1", "<none>", "7480/TCP"])
    // A later start on another port.
    harness.step([.apiServed(APIEndpoint(host: "127.0.0.1", port: 7481, authority: endpoint.authority))])
    #expect(harness.get(.services, "kubernetes").object[path: ["spec", "ports"]]?[0]?["port"] == 7481)
  }

  @Test("a new namespace has them in the same step; what is deleted or changed comes back")
  func remade() throws {
    let harness = try served()
    harness.create(.namespaces, ["metadata": ["name": "team"]], namespace: "")
    let uid = harness.get(.serviceaccounts, "default", namespace: "team").object[path: ["metadata", "uid"]]
    #expect(uid != nil)
    for (kind, name) in [
      (Kind.serviceaccounts, "default"), (.configmaps, "kube-root-ca.crt"), (.services, "kubernetes"),
    ] {
      let before = harness.get(kind, name).object[path: ["metadata", "uid"]]
      #expect(harness.delete(kind, name).code == 200)
      let after = harness.get(kind, name).object[path: ["metadata", "uid"]]
      #expect(after != nil && after != before)
    }
    harness.patch(
      .configmaps, "kube-root-ca.crt", .merge, ["data": ["ca.crt": "other"], "metadata": ["labels": ["a": "b"]]])
    let map = harness.get(.configmaps, "kube-root-ca.crt").object
    #expect(map[path: ["data", "ca.crt"]]?.stringValue == endpoint.authority)
    #expect(map[path: ["metadata", "labels", "a"]] == "b")
  }

  @Test("a namespace that is deleted goes with all that it has; kube-node-lease comes back, the others stay")
  func deletion() throws {
    let harness = try served()
    harness.create(.namespaces, ["metadata": ["name": "team"]], namespace: "")
    #expect(harness.ask(APIRequest(verb: .delete, kind: .namespaces, name: "team")).code == 200)
    harness.step([.timer])
    #expect(harness.get(.namespaces, "team").code == 404)
    #expect(harness.get(.serviceaccounts, "default", namespace: "team").code == 404)
    #expect(harness.get(.configmaps, "kube-root-ca.crt", namespace: "team").code == 404)
    for name in ["default", "kube-system", "kube-public"] {
      let answer = harness.ask(APIRequest(verb: .delete, kind: .namespaces, name: name))
      #expect(answer.code == 403)
      #expect(answer.message.hasSuffix("this namespace may not be deleted"))
    }
    let before = harness.get(.namespaces, "kube-node-lease").object[path: ["metadata", "uid"]]
    #expect(harness.ask(APIRequest(verb: .delete, kind: .namespaces, name: "kube-node-lease")).code == 200)
    harness.step([.timer])
    let after = harness.get(.namespaces, "kube-node-lease").object[path: ["metadata", "uid"]]
    #expect(after != nil && after != before)
    #expect(harness.get(.serviceaccounts, "default", namespace: "kube-node-lease").code == 200)
  }

  @Test("an existing data directory gets them at the next start, and nothing is written when all is there")
  func restart() throws {
    let harness = try served()
    var rows: [String: StoreRow] = [:]
    var core = try CoordinatorCore(configuration: CoordinatorConfiguration(), rows: [], seed: 1, now: harness.now)
    func keep(_ effects: [CoordinatorEffect]) -> Int {
      var objects = 0
      for case .persist(let write) in effects {
        if write.table == .objects { objects += 1 }
        rows[write.table.rawValue + "/" + write.key] = write.value.map {
          StoreRow(table: write.table, key: write.key, value: $0)
        }
      }
      return objects
    }
    _ = keep(core.step([.apiServed(endpoint)], at: harness.now))
    // As an older version left it.
    rows = rows.filter { !$0.key.contains("serviceaccounts/") && !$0.key.contains("services/") }
    func start() throws -> Int {
      core = try CoordinatorCore(
        configuration: CoordinatorConfiguration(), rows: rows.sorted { $0.key < $1.key }.map(\.value), seed: 2,
        now: harness.now)
      let first = keep(core.step([], at: harness.now))
      return first + keep(core.step([.apiServed(endpoint)], at: harness.now))
    }
    #expect(try start() == 5)
    #expect(try start() == 0)
  }

  @Test("without the door there is no certificate to tell and no Service")
  func noDoor() throws {
    let harness = try APIHarness()
    #expect(harness.get(.serviceaccounts, "default").code == 200)
    #expect(harness.list(.configmaps).itemNames == [])
    #expect(harness.list(.services).itemNames == [])
  }

  /// A namespace with a ConfigMap and a pod that somebody holds.
  private func held(_ harness: APIHarness, finalizers: JSON = .null) {
    var namespace: JSON = ["metadata": ["name": "team"]]
    if !finalizers.isNull { namespace[path: ["spec", "finalizers"]] = finalizers }
    #expect(harness.create(.namespaces, namespace, namespace: "").code == 201)
    harness.create(.configmaps, Manifest.configMap("m"), namespace: "team")
    var pod = Manifest.pod("p")
    pod[path: ["metadata", "finalizers"]] = ["example.com/hold"]
    #expect(harness.create(.pods, pod, namespace: "team").code == 201)
  }

  private func remove(_ harness: APIHarness) {
    #expect(harness.ask(APIRequest(verb: .delete, kind: .namespaces, name: "team")).code == 200)
    harness.step([.timer])
  }

  private func letGo(_ harness: APIHarness) {
    var options = APIOptions()
    options.patchKind = .merge
    let body: JSON = ["metadata": ["finalizers": .null]]
    harness.ask(
      APIRequest(verb: .patch, kind: .pods, namespace: "team", name: "p", options: options, body: body))
    harness.step([.timer])
  }

  private func finalize(_ harness: APIHarness, _ finalizers: JSON) -> RequestAnswer {
    harness.ask(
      APIRequest(
        verb: .update, kind: .namespaces, name: "team", subresource: "finalize",
        body: ["metadata": ["name": "team"], "spec": ["finalizers": finalizers]]))
  }

  private func condition(_ harness: APIHarness, _ type: String) -> JSON {
    let conditions = harness.get(.namespaces, "team").object[path: ["status", "conditions"]]
    return conditions?.arrayValue?.first { $0["type"]?.stringValue == type } ?? .null
  }

  @Test("a namespace that goes loses its pods before anything else, also over a restart")
  func podsFirst() throws {
    let harness = try served()
    held(harness)
    remove(harness)
    for _ in 0..<2 {
      harness.wait(milliseconds: 2_000)
      let pod = harness.get(.pods, "p", namespace: "team").object
      #expect(pod[path: ["metadata", "deletionTimestamp"]] != nil)
      let map = harness.get(.configmaps, "m", namespace: "team")
      #expect(map.code == 200 && map.object[path: ["metadata", "deletionTimestamp"]] == nil)
      try harness.restart()
    }
    letGo(harness)
    #expect(harness.get(.configmaps, "m", namespace: "team").code == 404)
    #expect(harness.get(.namespaces, "team").code == 404)
  }

  @Test("the conditions of a namespace that goes say in Kubernetes' words what remains and what holds it")
  func conditions() throws {
    let harness = try served()
    held(harness, finalizers: ["example.com/mine"])
    remove(harness)
    harness.wait(milliseconds: 1_000)
    let remaining = condition(harness, "NamespaceContentRemaining")
    #expect(remaining["status"] == "True" && remaining["reason"] == "SomeResourcesRemain")
    #expect(
      remaining["message"]
        == .string(
          "Some resources are remaining: configmaps. has 2 resource instances, events. has 1 resource instances, "
            + "pods. has 1 resource instances, serviceaccounts. has 1 resource instances"))
    let holding = condition(harness, "NamespaceFinalizersRemaining")
    #expect(holding["status"] == "True" && holding["reason"] == "SomeFinalizersRemain")
    #expect(
      holding["message"]
        == "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances")
    for type in [
      "NamespaceDeletionDiscoveryFailure", "NamespaceDeletionContentFailure",
      "NamespaceDeletionGroupVersionParsingFailure",
    ] {
      #expect(condition(harness, type)["status"] == "False")
    }
    let version = harness.get(.namespaces, "team").resourceVersion
    harness.wait(milliseconds: 60_000)
    #expect(harness.get(.namespaces, "team").resourceVersion == version, "nothing changes, nothing is written")
    letGo(harness)
    harness.wait(milliseconds: 1_000)
    #expect(condition(harness, "NamespaceContentRemaining")["message"] == "All content successfully removed")
    #expect(condition(harness, "NamespaceFinalizersRemaining")["status"] == "False")
    #expect(harness.get(.namespaces, "team").object[path: ["spec", "finalizers"]] == ["example.com/mine"])
  }

  @Test("finalize takes a name off a namespace, but not the cluster's own while something is left")
  func finalization() throws {
    let harness = try served()
    held(harness, finalizers: ["example.com/mine"])
    #expect(
      harness.get(.namespaces, "team").object[path: ["spec", "finalizers"]] == ["example.com/mine", "kubernetes"])
    remove(harness)
    let refused = finalize(harness, [])
    #expect(refused.code == 409)
    #expect(refused.message.contains("some resources are remaining: configmaps. has 2 resource instances"))
    #expect(finalize(harness, ["plain"]).code == 422)
    letGo(harness)
    #expect(harness.get(.namespaces, "team").code == 200)
    #expect(finalize(harness, []).code == 200)
    harness.step([.timer])
    #expect(harness.get(.namespaces, "team").code == 404)
    let wrong = harness.ask(APIRequest(verb: .get, kind: .namespaces, name: "default", subresource: "finalize"))
    #expect(wrong.code == 405)
  }

  @Test("a namespace takes the policy of its delete, and goes when it is empty and nothing of its own remains")
  func policies() throws {
    for (policy, finalizers) in [("Foreground", ["foregroundDeletion"]), ("Orphan", ["orphan"]), ("Background", [])] {
      let harness = try served()
      harness.create(.namespaces, ["metadata": ["name": "team"]], namespace: "")
      var options = APIOptions()
      options.propagationPolicy = policy
      let answer = harness.ask(APIRequest(verb: .delete, kind: .namespaces, name: "team", options: options))
      #expect(answer.object[path: ["status", "phase"]] == "Terminating")
      let shown = answer.object[path: ["metadata", "finalizers"]]?.arrayValue ?? []
      #expect(shown.compactMap(\.stringValue) == finalizers)
      for _ in 0..<5 { harness.step([.timer]) }
      #expect(harness.get(.namespaces, "team").code == 404, "\(policy)")
    }
  }

  @Test("should always delete fast: 100 namespaces go within a few turns, and can be made again empty")
  func manyNamespaces() throws {
    let harness = try served()
    let names = (0..<100).map { "nslifetest-\($0)" }
    for name in names {
      harness.create(.namespaces, ["metadata": ["name": .string(name)]], namespace: "")
      harness.create(.pods, Manifest.pod("test-pod"), namespace: name)
      harness.create(.jobs, Manifest.job("work", spec: ["parallelism": 3, "completions": 3]), namespace: name)
    }
    for name in names { #expect(harness.ask(APIRequest(verb: .delete, kind: .namespaces, name: name)).code == 200) }
    for _ in 0..<20 { harness.step([.timer]) }
    #expect(!harness.list(.namespaces, namespace: "").itemNames.contains { $0.hasPrefix("nslifetest") })
    harness.create(.namespaces, ["metadata": ["name": "nslifetest-1"]], namespace: "")
    #expect(harness.get(.pods, "test-pod", namespace: "nslifetest-1").code == 404)
    #expect(harness.list(.jobs, namespace: "nslifetest-1").items.isEmpty)
  }

  @Test(
    "should ensure that all pods (services) are removed when a namespace is deleted", arguments: [Kind.pods, .services])
  func content(kind: Kind) throws {
    let harness = try served()
    func make() { harness.create(.namespaces, ["metadata": ["name": "nsdeletetest"]], namespace: "") }
    make()
    let service: JSON = [
      "metadata": ["name": "test"],
      "spec": ["selector": ["foo": "bar", "baz": "blah"], "ports": [["port": 80, "targetPort": 80]]],
    ]
    let made = harness.create(kind, kind == .pods ? Manifest.pod("test") : service, namespace: "nsdeletetest")
    #expect(made.code == 201, "\(made.message)")
    #expect(harness.ask(APIRequest(verb: .delete, kind: .namespaces, name: "nsdeletetest")).code == 200)
    for _ in 0..<5 { harness.step([.timer]) }
    #expect(harness.get(.namespaces, "nsdeletetest", namespace: "").code == 404)
    make()
    #expect(harness.get(kind, "test", namespace: "nsdeletetest").code == 404)
  }

  @Test("should patch and update a Namespace, apply changes to its status, and apply a finalizer")
  func changes() throws {
    let harness = try served()
    harness.create(.namespaces, ["metadata": ["name": "team"]], namespace: "")
    func ask(_ verb: APIVerb, _ body: JSON, _ subresource: String = "", _ kind: PatchKind = .strategic) -> RequestAnswer
    {
      var options = APIOptions()
      options.patchKind = kind
      return harness.ask(
        APIRequest(
          verb: verb, kind: .namespaces, name: "team", subresource: subresource, options: options, body: body))
    }
    func stored() -> JSON { harness.get(.namespaces, "team", namespace: "").object }
    #expect(ask(.patch, ["metadata": ["labels": ["testLabel": "testValue"]]]).code == 200)
    var json = stored()
    #expect(json[path: ["metadata", "labels", "testLabel"]] == "testValue")
    json[path: ["metadata", "labels", "e2e"]] = "updated"
    #expect(ask(.update, json).code == 200)
    func condition(_ type: String) -> JSON {
      ["type": .string(type), "status": "True", "reason": "E2E", "message": "Set by an e2e test"]
    }
    let patch: JSON = [
      "metadata": ["annotations": ["e2e-patched-ns-status": "team"]],
      "status": ["conditions": [condition("StatusPatch")]],
    ]
    let patched = ask(.patch, patch, "status", .merge)
    #expect(patched.object[path: ["status", "conditions"]] == [condition("StatusPatch")], "\(patched.message)")
    #expect(patched.object[path: ["metadata", "annotations", "e2e-patched-ns-status"]] == "team")
    json = stored()
    json[path: ["status", "conditions"]] = [condition("StatusPatch"), condition("StatusUpdate")]
    let updated = ask(.update, json, "status")
    #expect(updated.object[path: ["status", "conditions"]]?.arrayValue?.count == 2, "\(updated.message)")
    json = stored()
    json[path: ["spec", "finalizers"]] = ["kubernetes", "e2e.example.com/fakeFinalizer"]
    #expect(
      ask(.update, json, "finalize").object[path: ["spec", "finalizers"]]
        == ["kubernetes", "e2e.example.com/fakeFinalizer"])
    json = stored()
    json[path: ["spec", "finalizers"]] = ["kubernetes"]
    #expect(ask(.update, json, "finalize").object[path: ["spec", "finalizers"]] == ["kubernetes"])
  }

  @Test("what would come into a namespace that goes is refused, and a delete of it again changes nothing")
  func whileGoing() throws {
    let harness = try served()
    held(harness)
    remove(harness)
    let refused = harness.create(.configmaps, Manifest.configMap("late"), namespace: "team")
    #expect(refused.code == 403)
    #expect(
      refused.message.hasSuffix("unable to create new content in namespace team because it is being terminated"))
    let before = harness.get(.namespaces, "team").object[path: ["metadata", "deletionTimestamp"]]
    harness.wait(milliseconds: 3_000)
    var options = APIOptions()
    options.propagationPolicy = "Foreground"
    let again = harness.ask(APIRequest(verb: .delete, kind: .namespaces, name: "team", options: options))
    #expect(again.object[path: ["metadata", "deletionTimestamp"]] == before)
    #expect(again.object[path: ["metadata", "finalizers"]] == nil)
    letGo(harness)
    #expect(harness.get(.namespaces, "team").code == 404)
  }
}
