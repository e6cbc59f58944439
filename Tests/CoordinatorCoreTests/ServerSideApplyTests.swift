// Server-side apply through the API: conflicts, force, shared and removed fields, lists by key, kubectl's migration
// from client-side apply, what is refused. Bad ends first.

import ClusterProto
import Testing

@testable import CoordinatorCore

extension APIHarness {
  @discardableResult
  func apply(
    _ kind: Kind, _ body: JSON, by manager: String?, force: Bool? = nil, subresource: String = "", name: String? = nil,
    _ change: (inout APIOptions) -> Void = { _ in }
  ) -> RequestAnswer {
    let name = name ?? body[path: ["metadata", "name"]]?.stringValue ?? ""
    return patch(kind, name, .apply, body, subresource: subresource) {
      $0.fieldManager = manager
      $0.force = force
      change(&$0)
    }
  }

  /// fieldsV1 of one manager's entry, as text; empty when it has none.
  func fields(_ kind: Kind, _ name: String, _ manager: String, _ operation: String = "Apply") -> String {
    entry(kind, name, manager, operation)?["fieldsV1"]?.text ?? ""
  }

  func entry(_ kind: Kind, _ name: String, _ manager: String, _ operation: String = "Apply") -> JSON? {
    (get(kind, name).object[path: ["metadata", "managedFields"]]?.arrayValue ?? []).first {
      $0["manager"]?.stringValue == manager && $0["operation"]?.stringValue == operation
    }
  }

  func managers(_ kind: Kind, _ name: String) -> [String] {
    (get(kind, name).object[path: ["metadata", "managedFields"]]?.arrayValue ?? []).map {
      ($0["manager"]?.stringValue ?? "") + "/" + ($0["operation"]?.stringValue ?? "")
    }
  }
}

@Suite("server-side apply")
struct ServerSideApplyTests {
  private static let lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

  @Test(
    "an apply that cannot be meant is refused in Kubernetes' words",
    arguments: [
      (
        nil, nil, #"{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"run"}}"#, 422,
        #"PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch"#
      ),
      (
        String(repeating: "a", count: 129), nil, #"{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"run"}}"#,
        422,
        #"PatchOptions.meta.k8s.io "" is invalid: fieldManager: Too long: may not be more than 128 bytes"#
      ),
      (
        "m", nil, #"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"run"}}"#, 400,
        "invalid object type: /v1, Kind=Pod"
      ),
      ("m", nil, #"{"metadata":{"name":"run"}}"#, 400, "invalid object type: /, Kind="),
      (
        "m", nil, #"{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"run","managedFields":[]}}"#, 400,
        "metadata.managedFields must be nil"
      ),
      (
        "m", nil, #"{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"other"}}"#, 400,
        "the name of the object (other) does not match the name on the URL (run)"
      ),
      (
        "m", nil, #"{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"run","namespace":"x"}}"#, 400,
        "the namespace of the provided object does not match the namespace sent on the request"
      ),
      (
        "m", nil, #"{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"run"},"spec":{"paralelism":1}}"#, 500,
        "failed to create typed patch object (/run; batch/v1, Kind=Job): .spec.paralelism: field not declared in schema"
      ),
      (
        "m", nil,
        #"{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"run"},"spec":{"parallelism":"1","suspend":1}}"#,
        500,
        "failed to create typed patch object (/run; batch/v1, Kind=Job): errors:\n"
          + "  .spec.parallelism: expected numeric (int or float), got string\n"
          + "  .spec.suspend: expected boolean, got &{1}"
      ),
      (
        "m", nil,
        #"{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"run"},"spec":{"template":{"spec":{"containers":"#
          + #"[{"name":"main","image":5,"env":[{"value":"x"}]},{"name":"main"}]}}}}"#, 500,
        "failed to create typed patch object (/run; batch/v1, Kind=Job): errors:\n"
          + "  .spec.template.spec.containers[name=\"main\"].env: element 0: associative list with keys has an element "
          + "that omits key field \"name\" (and doesn't have default value)\n"
          + "  .spec.template.spec.containers[name=\"main\"].image: expected string, got "
          + "&value.valueUnstructured{Value:5}\n"
          + "  .spec.template.spec.containers: duplicate entries for key [name=\"main\"]"
      ),
      ("m", nil, "[]", 400, "error decoding YAML"),
      (
        "m", nil, #"{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"run","uid":"u"}}"#, 409,
        "uid mismatch: the provided object specified uid u, and no existing object was found"
      ),
    ] as [(String?, Bool?, String, Int, String)])
  func refusals(_ manager: String?, _ force: Bool?, _ body: String, _ code: Int, _ message: String) throws {
    let harness = try APIHarness()
    let answer = harness.apply(.jobs, Manifest.json(body), by: manager, force: force, name: "run")
    #expect(answer.code == code)
    #expect(answer.message.contains(message), "\(answer.message)")
    #expect(harness.get(.jobs, "run").code == 404)
  }

  @Test("force without an apply, an unprintable manager and an unknown fieldValidation are refused")
  func badOptions() throws {
    let harness = try APIHarness()
    harness.create(.configmaps, Manifest.configMap("m"))
    let force = harness.patch(.configmaps, "m", .merge, ["data": ["a": "c"]]) { $0.force = true }
    #expect(force.code == 422)
    #expect(
      force.message
        == #"PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch"#)
    let bell = harness.create(.configmaps, Manifest.configMap("n")) { $0.fieldManager = "a\u{7}" }
    #expect(bell.code == 422)
    #expect(bell.message.hasPrefix(#"CreateOptions.meta.k8s.io "" is invalid: fieldManager: Invalid value:"#))
    let mode = harness.apply(.configmaps, Manifest.configMap("m"), by: "x") { $0.fieldValidation = "Maybe" }
    #expect(mode.code == 422)
  }

  @Test("two appliers of one field conflict, and the second one changes nothing")
  func conflict() throws {
    let harness = try APIHarness()
    #expect(harness.apply(.configmaps, Manifest.configMap("m", ["a": "1", "b": "1"]), by: "one").code == 201)
    let before = harness.get(.configmaps, "m")
    let single = harness.apply(.configmaps, Manifest.configMap("m", ["a": "2"]), by: "two")
    #expect(single.code == 409)
    #expect(single.reason == "Conflict")
    #expect(single.message == #"Apply failed with 1 conflict: conflict with "one": .data.a"#)
    #expect(
      single.object[path: ["details", "causes"]] == [
        ["reason": "FieldManagerConflict", "message": #"conflict with "one""#, "field": ".data.a"]
      ])
    let double = harness.apply(.configmaps, Manifest.configMap("m", ["a": "2", "b": "2", "c": "2"]), by: "two")
    #expect(
      double.message == "Apply failed with 2 conflicts: conflicts with \"one\":\n- .data.a\n- .data.b")
    #expect(harness.get(.configmaps, "m") == before)
  }

  @Test("a conflict with an updater names its version, and one with a status writer its subresource")
  func conflictWords() throws {
    let harness = try APIHarness()
    harness.create(.jobs, Manifest.job("run", spec: ["suspend": true])) {
      $0.fieldManager = "kubectl-client-side-apply"
    }
    let applied = harness.apply(.jobs, Manifest.job("run", spec: ["suspend": false]), by: "x")
    #expect(applied.code == 409)
    #expect(
      applied.message
        == #"Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using batch/v1: .spec.suspend"#)
    harness.patch(.jobs, "run", .merge, ["status": ["startTime": "2026-11-23T10:00:00Z"]], subresource: "status") {
      $0.fieldManager = "watcher"
    }
    var status: JSON = ["apiVersion": "batch/v1", "kind": "Job", "metadata": ["name": "run"]]
    status["status"] = ["startTime": "2026-11-23T11:00:00Z"]
    let inStatus = harness.apply(.jobs, status, by: "x", subresource: "status")
    #expect(
      inStatus.message
        == #"Apply failed with 1 conflict: conflict with "watcher" with subresource "status" using batch/v1: "#
        + ".status.startTime")
  }

  @Test("force takes a field over; the loser keeps the rest")
  func force() throws {
    let harness = try APIHarness()
    harness.apply(.configmaps, Manifest.configMap("m", ["a": "1", "b": "1"]), by: "one")
    let answer = harness.apply(.configmaps, Manifest.configMap("m", ["a": "2"]), by: "two", force: true)
    #expect(answer.code == 200)
    #expect(answer.object["data"] == ["a": "2", "b": "1"])
    #expect(harness.fields(.configmaps, "m", "one") == #"{"f:data":{"f:b":{}}}"#)
    #expect(harness.fields(.configmaps, "m", "two") == #"{"f:data":{"f:a":{}}}"#)
  }

  @Test("a field that its only applier leaves out is removed; one that others own stays")
  func removal() throws {
    let harness = try APIHarness()
    harness.apply(.configmaps, Manifest.configMap("m", ["a": "1", "b": "1", "c": "1"]), by: "one")
    #expect(harness.apply(.configmaps, Manifest.configMap("m", ["b": "1"]), by: "two").code == 200)
    harness.patch(.configmaps, "m", .merge, ["data": ["d": "1"]]) { $0.fieldManager = "hand" }
    let answer = harness.apply(.configmaps, Manifest.configMap("m", ["c": "1"]), by: "one")
    #expect(answer.object["data"] == ["b": "1", "c": "1", "d": "1"])
    #expect(harness.fields(.configmaps, "m", "one") == #"{"f:data":{"f:c":{}}}"#)
    #expect(harness.fields(.configmaps, "m", "hand", "Update") == #"{"f:data":{"f:d":{}}}"#)
    #expect(
      harness.apply(.configmaps, Manifest.configMap("m", .object(JSONObject())), by: "one").object["data"]
        == ["b": "1", "d": "1"])
    #expect(!harness.managers(.configmaps, "m").contains("hand/Apply"))
  }

  @Test("elements of lists are owned by their keys, values of sets by themselves, atomic lists whole")
  func lists() throws {
    let harness = try APIHarness()
    func pod(_ spec: String, _ finalizers: JSON) -> JSON {
      [
        "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "p", "finalizers": finalizers],
        "spec": Manifest.json(spec),
      ]
    }
    let first = pod(
      #"{"containers":[{"name":"a","image":"i:1","command":["x"],"ports":[{"containerPort":80},"#
        + #"{"containerPort":80,"protocol":"UDP"}],"env":[{"name":"E","value":"1"}]}],"#
        + #""tolerations":[{"key":"k","operator":"Exists","effect":"NoSchedule"}],"nodeSelector":{"n":"1"}}"#,
      ["a.b/one"])
    #expect(harness.apply(.pods, first, by: "one").code == 201)
    #expect(
      harness.fields(.pods, "p", "one")
        == #"{"f:metadata":{"f:finalizers":{"v:\"a.b/one\"":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":"#
        + #"{".":{},"f:command":{},"f:env":{"k:{\"name\":\"E\"}":{".":{},"f:name":{},"f:value":{}}},"f:image":{},"#
        + #""f:name":{},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}},"#
        + #""k:{\"containerPort\":80,\"protocol\":\"UDP\"}":{".":{},"f:containerPort":{},"f:protocol":{}}}}},"#
        + #""f:nodeSelector":{},"f:tolerations":{}}}"#)
    let image = pod(#"{"containers":[{"name":"a","image":"i:2"}]}"#, ["a.b/two"])
    let conflict = harness.apply(.pods, image, by: "two")
    #expect(
      conflict.message == #"Apply failed with 1 conflict: conflict with "one": .spec.containers[name="a"].image"#)
    let forced = harness.apply(.pods, image, by: "two", force: true)
    #expect(forced.code == 200)
    #expect(forced.object[path: ["metadata", "finalizers"]] == ["a.b/one", "a.b/two"])
    let container = forced.object[path: ["spec", "containers"]]?[0]
    #expect(container?["image"] == "i:2")
    #expect(container?["ports"]?.arrayValue?.count == 2)
    // The first applier gives up its finalizer; the second one's stays.
    var less = first
    less[path: ["metadata", "finalizers"]] = nil
    var own = first[path: ["spec", "containers"]]?[0] ?? .null
    own["image"] = nil
    less[path: ["spec", "containers"]] = [own]
    let after = harness.apply(.pods, less, by: "one")
    #expect(after.object[path: ["metadata", "finalizers"]] == ["a.b/two"], "\(after.message)")
    let tolerations = after.object[path: ["spec", "tolerations"]]?.arrayValue ?? []
    #expect(tolerations.first?["key"] == "k")
    #expect(tolerations.count == 3, "admission adds to the applied list again what it added at first")
  }

  @Test("an apply to what is deleted creates it; one to what is ending changes it")
  func goneAndEnding() throws {
    let harness = try APIHarness()
    harness.apply(.configmaps, Manifest.configMap("m"), by: "one")
    harness.delete(.configmaps, "m")
    #expect(harness.apply(.configmaps, Manifest.configMap("m"), by: "one").code == 201)
    var held = Manifest.configMap("h")
    held[path: ["metadata", "finalizers"]] = ["a.b/hold"]
    harness.apply(.configmaps, held, by: "one")
    harness.delete(.configmaps, "h")
    held["data"] = ["a": "c"]
    let ending = harness.apply(.configmaps, held, by: "one")
    #expect(ending.code == 200)
    #expect(ending.object[path: ["metadata", "deletionTimestamp"]] != nil)
    #expect(ending.object["data"] == ["a": "c"])
    held[path: ["metadata", "finalizers"]] = nil
    harness.apply(.configmaps, held, by: "one")
    #expect(harness.get(.configmaps, "h").code == 404, "the last finalizer was the applier's to remove")
    let inStatus: JSON = ["apiVersion": "batch/v1", "kind": "Job", "metadata": ["name": "no"]]
    #expect(harness.apply(.jobs, inStatus, by: "one", subresource: "status").code == 404)
  }

  @Test("resourceVersion and uid of the body are preconditions")
  func preconditions() throws {
    let harness = try APIHarness()
    harness.apply(.configmaps, Manifest.configMap("m"), by: "one")
    var body = Manifest.configMap("m", ["a": "c"])
    body[path: ["metadata", "resourceVersion"]] = "1"
    #expect(harness.apply(.configmaps, body, by: "one").code == 409)
    body[path: ["metadata", "resourceVersion"]] = .string(harness.get(.configmaps, "m").resourceVersion)
    body[path: ["metadata", "uid"]] = "other"
    let uid = harness.apply(.configmaps, body, by: "one")
    #expect(uid.code == 409)
    #expect(uid.message.contains("Precondition failed: UID in precondition: other"))
    body[path: ["metadata", "uid"]] = nil
    #expect(harness.apply(.configmaps, body, by: "one").code == 200)
  }

  @Test("a dry run answers what would be and keeps nothing")
  func dryRun() throws {
    let harness = try APIHarness()
    let new = harness.apply(.configmaps, Manifest.configMap("m"), by: "one") { $0.dryRun = true }
    #expect(new.code == 201)
    #expect(new.object[path: ["metadata", "managedFields"]]?[0]?["manager"] == "one")
    #expect(harness.get(.configmaps, "m").code == 404)
    harness.apply(.configmaps, Manifest.configMap("m"), by: "one")
    let before = harness.get(.configmaps, "m")
    let changed = harness.apply(.configmaps, Manifest.configMap("m", ["a": "c"]), by: "one") { $0.dryRun = true }
    #expect(changed.object["data"] == ["a": "c"])
    #expect(harness.get(.configmaps, "m") == before)
  }

  @Test("kubectl takes over from client-side apply what nobody changed since, and keeps its annotation in step")
  func migration() throws {
    let harness = try APIHarness()
    var manifest = Manifest.configMap("m", ["a": "1", "b": "1"])
    let last = manifest.text
    manifest[path: ["metadata", "annotations", Self.lastApplied]] = .string(last)
    harness.create(.configmaps, manifest) { $0.fieldManager = "kubectl-client-side-apply" }
    let changed = Manifest.configMap("m", ["a": "2"])
    #expect(harness.apply(.configmaps, changed, by: "other").code == 409)
    let answer = harness.apply(.configmaps, changed, by: "kubectl")
    #expect(answer.code == 200, "\(answer.message)")
    #expect(answer.object["data"] == ["a": "2", "b": "1"])
    #expect(
      answer.object[path: ["metadata", "annotations", Self.lastApplied]]?.stringValue
        == #"{"apiVersion":"v1","data":{"a":"2"},"kind":"ConfigMap","metadata":{"annotations":{},"name":"m"}}"# + "\n"
        || answer.object[path: ["metadata", "annotations", Self.lastApplied]]?.stringValue == changed.text + "\n")
    // Somebody else's change since the last client-side apply is a conflict for kubectl too.
    harness.patch(.configmaps, "m", .merge, ["data": ["a": "3"]]) { $0.fieldManager = "hand" }
    let refused = harness.apply(.configmaps, Manifest.configMap("m", ["a": "4"]), by: "kubectl")
    #expect(refused.message == #"Apply failed with 1 conflict: conflict with "hand" using v1: .data.a"#)
    // kubectl then merges the old manager into its own by a JSON patch of managedFields.
    let entries = harness.get(.configmaps, "m").object[path: ["metadata", "managedFields"]]?.arrayValue ?? []
    let kept = entries.filter { $0["manager"] != "kubectl-client-side-apply" }
    #expect(kept.count == entries.count - 1)
    let version = harness.get(.configmaps, "m").resourceVersion
    let upgraded = harness.patch(
      .configmaps, "m", .json,
      [
        ["op": "replace", "path": "/metadata/managedFields", "value": .array(kept)],
        ["op": "replace", "path": "/metadata/resourceVersion", "value": .string(version)],
      ])
    #expect(upgraded.code == 200)
    #expect(upgraded.object[path: ["metadata", "managedFields"]] == .array(kept))
  }

  @Test("a Job's template stays immutable, its parallelism follows")
  func job() throws {
    let harness = try APIHarness()
    #expect(harness.apply(.jobs, Manifest.job("run"), by: "kubectl").code == 201)
    #expect(harness.apply(.jobs, Manifest.job("run", spec: ["parallelism": 3]), by: "kubectl").code == 200)
    #expect(harness.get(.jobs, "run").object[path: ["spec", "parallelism"]] == 3)
    let back = harness.apply(.jobs, Manifest.job("run"), by: "kubectl")
    #expect(back.object[path: ["spec", "parallelism"]] == 1, "what is left out goes back to its default")
    var changed = Manifest.job("run")
    changed[path: ["spec", "template", "spec", "containers"]] = [
      ["name": "main", "image": "other", "command": ["sh", "-c", "true"]]
    ]
    let refused = harness.apply(.jobs, changed, by: "kubectl")
    #expect(refused.code == 422)
    #expect(refused.message.contains("field is immutable"))
  }

  @Test("an object without owners belongs to its first manager when it is applied to")
  func beforeFirstApply() throws {
    let harness = try APIHarness()
    harness.create(.configmaps, Manifest.configMap("m", ["a": "1", "b": "1"]))
    harness.patch(.configmaps, "m", .merge, ["metadata": ["managedFields": [["x": 1]]]])
    harness.patch(.configmaps, "m", .merge, ["metadata": ["managedFields": [[:]]]])
    #expect(harness.managers(.configmaps, "m").isEmpty)
    harness.patch(.configmaps, "m", .merge, ["data": ["a": "2"]])
    #expect(harness.managers(.configmaps, "m").isEmpty, "what has no owners is not tracked")
    let conflict = harness.apply(.configmaps, Manifest.configMap("m", ["a": "3"]), by: "one")
    #expect(conflict.message == #"Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .data.a"#)
    harness.apply(.configmaps, Manifest.configMap("m", ["a": "3"]), by: "one", force: true)
    #expect(harness.managers(.configmaps, "m") == ["one/Apply", "before-first-apply/Update"])
    #expect(harness.fields(.configmaps, "m", "before-first-apply", "Update") == #"{"f:data":{".":{},"f:b":{}}}"#)
  }

  @Test("the same configuration applied again is no write, whatever it was", arguments: 0..<60)
  func idempotent(seed: Int) throws {
    var random = SplitMix64(seed: UInt64(seed) &* 977 &+ 5)
    let harness = try APIHarness()
    func configuration() -> JSON {
      var data: JSON = .object(JSONObject())
      for key in ["a", "b", "c", "d"] where random.below(2) == 0 { data[key] = .string(String(random.below(3))) }
      var body = Manifest.configMap("m", data)
      for key in ["l", "k"] where random.below(3) == 0 {
        body[path: ["metadata", "labels", key]] = .string(String(random.below(2)))
      }
      let finalizers: [JSON] = ["x.y/1", "x.y/2", "x.y/3"].filter { _ in random.below(3) == 0 }
      if !finalizers.isEmpty { body[path: ["metadata", "finalizers"]] = .array(finalizers) }
      if random.below(6) == 0 { body[path: ["metadata", "creationTimestamp"]] = .null }
      return body
    }
    for _ in 0..<12 {
      let body = configuration()
      let manager = ["one", "two", "kubectl"][Int(random.below(3))]
      harness.wait(milliseconds: 1_500)
      let first = harness.apply(.configmaps, body, by: manager, force: random.below(2) == 0)
      guard first.code == 200 || first.code == 201 else {
        #expect(first.code == 409, "\(first.message)")
        continue
      }
      let before = harness.get(.configmaps, "m")
      #expect(before.object == first.object)
      harness.wait(milliseconds: 1_500)
      let again = harness.apply(.configmaps, body, by: manager)
      #expect(again.code == 200, "\(again.message)")
      #expect(again.object == before.object, "seed \(seed)")
      for (key, value) in body["data"]?.objectValue ?? JSONObject() {
        #expect(again.object[path: ["data", key]] == value)
      }
    }
  }
}
