// managedFields of client writes, and the sets behind them: what a create and an update make their manager's, resets,
// the cap, restarts, what is not tracked, what it costs.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("managedFields")
struct ManagedFieldsTests {
  /// The reference's session of kubectl against Kubernetes has this object.
  private static let golden = Manifest.json(
    #"""
    {"f:metadata":{"f:annotations":{".":{},"f:kubectl.kubernetes.io/last-applied-configuration":{}}},
    "f:spec":{"f:backoffLimit":{},"f:completionMode":{},"f:completions":{},"f:manualSelector":{},"f:parallelism":{},
    "f:podReplacementPolicy":{},"f:suspend":{},"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"main\"}":
    {".":{},"f:command":{},"f:image":{},"f:imagePullPolicy":{},"f:name":{},"f:resources":{},
    "f:terminationMessagePath":{},"f:terminationMessagePolicy":{}}},"f:dnsPolicy":{},"f:restartPolicy":{},
    "f:schedulerName":{},"f:securityContext":{},"f:terminationGracePeriodSeconds":{}}}}}
    """#)

  @Test("a create makes its manager the owner of what it gave and of the defaults, as Kubernetes shows it")
  func create() throws {
    let harness = try APIHarness()
    var manifest = Manifest.job("done")
    manifest[path: ["metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"]] = "{}"
    harness.create(.jobs, manifest) { $0.fieldManager = "kubectl-client-side-apply" }
    let entries = harness.get(.jobs, "done").object[path: ["metadata", "managedFields"]]?.arrayValue ?? []
    #expect(entries.count == 1)
    #expect(entries.first?["fieldsV1"] == Self.golden)
    #expect(entries.first?["manager"] == "kubectl-client-side-apply")
    #expect(entries.first?["operation"] == "Update")
    #expect(entries.first?["apiVersion"] == "batch/v1")
    #expect(entries.first?["fieldsType"] == "FieldsV1")
    #expect(entries.first?["time"] == "2026-11-23T10:00:00Z")
    #expect(entries.first?["subresource"] == nil)
  }

  @Test("an update takes what it changes from its owner, and what it removes from all")
  func update() throws {
    let harness = try APIHarness()
    harness.create(.configmaps, Manifest.configMap("m", ["a": "1", "b": "1", "c": "1"])) { $0.fieldManager = "maker" }
    harness.wait(milliseconds: 2_000)
    harness.patch(.configmaps, "m", .merge, ["data": ["a": "2", "c": .null]]) { $0.fieldManager = "hand" }
    #expect(harness.fields(.configmaps, "m", "maker", "Update") == #"{"f:data":{".":{},"f:b":{}}}"#)
    #expect(harness.fields(.configmaps, "m", "hand", "Update") == #"{"f:data":{"f:a":{}}}"#)
    #expect(harness.entry(.configmaps, "m", "hand", "Update")?["time"] == "2026-11-23T10:00:02Z")
    #expect(harness.entry(.configmaps, "m", "maker", "Update")?["time"] == "2026-11-23T10:00:00Z")
  }

  @Test("a request without a manager's name is unknown's; a change of nothing is no write")
  func nothing() throws {
    let harness = try APIHarness()
    harness.create(.configmaps, Manifest.configMap("m"))
    #expect(harness.managers(.configmaps, "m") == ["unknown/Update"])
    let before = harness.get(.configmaps, "m")
    harness.wait(milliseconds: 5_000)
    for manager in ["unknown", "other"] {
      harness.patch(.configmaps, "m", .merge, ["data": ["a": "b"]]) { $0.fieldManager = manager }
      harness.update(.configmaps, "m", Manifest.configMap("m"))
    }
    #expect(harness.get(.configmaps, "m") == before)
  }

  @Test("a status write is entered with its subresource, and so is the metadata that it brings")
  func status() throws {
    let harness = try APIHarness()
    harness.create(.jobs, Manifest.job("run", spec: ["suspend": true])) { $0.fieldManager = "maker" }
    let spec = harness.fields(.jobs, "run", "maker", "Update")
    harness.patch(
      .jobs, "run", .merge,
      ["status": ["startTime": "2026-11-23T10:00:00Z"], "metadata": ["managedFields": [], "labels": ["x": "y"]]],
      subresource: "status"
    ) { $0.fieldManager = "watcher" }
    #expect(harness.entry(.jobs, "run", "watcher", "Update")?["subresource"] == "status")
    #expect(
      harness.fields(.jobs, "run", "watcher", "Update")
        == #"{"f:metadata":{"f:labels":{"f:x":{}}},"f:status":{"f:startTime":{}}}"#)
    #expect(harness.fields(.jobs, "run", "maker", "Update") == spec)
  }

  @Test("the coordinator's own pods have no owners, and changes of them are not entered")
  func ownWrites() throws {
    let harness = try APIHarness()
    harness.create(.jobs, Manifest.job("run")) { $0.fieldManager = "maker" }
    harness.wait(milliseconds: 100)
    let pods = harness.list(.pods)
    let name = try #require(pods.itemNames.first)
    #expect(harness.managers(.pods, name).isEmpty)
    harness.patch(.pods, name, .merge, ["metadata": ["labels": ["x": "y"]]]) { $0.fieldManager = "hand" }
    #expect(harness.managers(.pods, name).isEmpty)
    #expect(harness.managers(.jobs, "run") == ["maker/Update"], "the controller's status is not entered")
  }

  @Test("an empty list and a list of one empty entry take all owners away", arguments: ["[]", "[{}]"])
  func reset(_ list: String) throws {
    let harness = try APIHarness()
    harness.create(.configmaps, Manifest.configMap("m"))
    harness.patch(.configmaps, "m", .merge, ["metadata": ["managedFields": Manifest.json(list)]])
    #expect(harness.get(.configmaps, "m").object[path: ["metadata", "managedFields"]] == nil)
  }

  @Test(
    "managedFields that cannot be read leave the owners as they are",
    arguments: [
      #"[{"manager":"x","operation":"Steal","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:data":{}}}]"#,
      #"[{"manager":"x","operation":"Apply","fieldsType":"FieldsV1","fieldsV1":{"f:data":{}}}]"#,
      #"[{"manager":"x","operation":"Apply","apiVersion":"v1","fieldsV1":{"f:data":{}}}]"#,
      #"[{"manager":"x","operation":"Apply","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":5}]"#,
    ])
  func unreadable(_ list: String) throws {
    let harness = try APIHarness()
    harness.create(.configmaps, Manifest.configMap("m"))
    let answer = harness.patch(.configmaps, "m", .merge, ["metadata": ["managedFields": Manifest.json(list)]])
    #expect(answer.code == 200)
    #expect(harness.managers(.configmaps, "m") == ["unknown/Update"])
  }

  @Test("of more than ten updaters the oldest are merged")
  func cap() throws {
    let harness = try APIHarness()
    harness.create(.configmaps, Manifest.configMap("m"))
    for number in 1...14 {
      harness.wait(milliseconds: 1_000)
      harness.patch(.configmaps, "m", .merge, ["data": [.init(stringLiteral: "k\(number)"): "v"]]) {
        $0.fieldManager = "m\(number)"
      }
    }
    #expect(harness.managers(.configmaps, "m").count == 10)
    #expect(harness.managers(.configmaps, "m").first == "ancient-changes/Update")
    let merged = try #require(harness.entry(.configmaps, "m", "ancient-changes", "Update"))
    #expect(
      merged[path: ["fieldsV1", "f:data"]]?.objectValue?.keys == [".", "f:a", "f:k1", "f:k2", "f:k3", "f:k4", "f:k5"])
  }

  @Test("managedFields survive a restart, and a conflict after it is the same")
  func restart() throws {
    let harness = try APIHarness()
    harness.apply(.jobs, Manifest.job("run", spec: ["parallelism": 2]), by: "one")
    let before = harness.get(.jobs, "run")
    let row = harness.core.row(of: ObjectReference(kind: .jobs, key: ObjectKey(namespace: "default", name: "run")))
    let bytes = try #require(row.value)
    let other = try APIHarness()
    other.core = try CoordinatorCore(
      configuration: CoordinatorConfiguration(),
      rows: [StoreRow(table: row.table, key: row.key, value: bytes)], seed: 3, now: other.now)
    let managed = ["metadata", "managedFields"]
    #expect(other.get(.jobs, "run").object[path: managed] == before.object[path: managed])
    let conflict = other.apply(.jobs, Manifest.job("run", spec: ["parallelism": 5]), by: "two")
    #expect(conflict.message == #"Apply failed with 1 conflict: conflict with "one": .spec.parallelism"#)
  }

  @Test("Tables leave managedFields out; objects, lists and watches have them")
  func tables() throws {
    let harness = try APIHarness()
    let watch = harness.watch(.configmaps)
    harness.create(.configmaps, Manifest.configMap("m"))
    let table = harness.ask(APIRequest(verb: .list, kind: .configmaps, namespace: "default", form: .table))
    let row = try #require(table.items.first { $0[path: ["object", "metadata", "name"]] == "m" })
    #expect(row[path: ["object", "metadata", "managedFields"]] == nil)
    let listed = harness.list(.configmaps).items.first { $0[path: ["metadata", "name"]] == "m" }
    #expect(listed?[path: ["metadata", "managedFields"]] != nil)
    #expect(harness.answer(watch).events.last?.object[path: ["metadata", "managedFields"]] != nil)
  }

  @Test("objects of one shape share one set")
  func shared() throws {
    let harness = try APIHarness()
    for name in ["a", "b"] { harness.create(.jobs, Manifest.job(name)) { $0.fieldManager = "maker" } }
    let sets = ["a", "b"].compactMap { name in
      harness.core.state.jobs[ObjectKey(namespace: "default", name: name)]?.meta.managedFields.first?.fields
    }
    #expect(sets.count == 2)
    #expect(sets.first === sets.last)
  }

  @Test("the manager of a request without one is its User-Agent before the slash")
  func userAgent() {
    #expect(ManagedFieldsEntry.manager(userAgent: "kubectl/v1.33.0 (linux/amd64)") == "kubectl")
    #expect(ManagedFieldsEntry.manager(userAgent: "OpenAPI-Generator/31.0.0/python") == "OpenAPI-Generator")
    #expect(ManagedFieldsEntry.manager(userAgent: "a\u{1}b c") == "ab c")
    #expect(ManagedFieldsEntry.manager(userAgent: "") == "")
    #expect(ManagedFieldsEntry.manager(userAgent: String(repeating: "é", count: 100)).utf8.count == 128)
  }
}

@Suite("sets of fields")
struct FieldSetTests {
  @Test("what is no FieldsV1 is none", arguments: ["5", "[]", #"{"f:a":5}"#, #"{"f:a":{"f:b":null}}"#])
  func bad(_ text: String) { #expect(FieldSet(json: Manifest.json(text)) == nil) }

  @Test("a set and its FieldsV1 form are one and the same; unknown kinds of names are left out")
  func roundTrip() {
    let text = #"{"f:a":{".":{},"f:b":{}},"f:c":{"k:{\"name\":\"x\"}":{}},"f:d":{"v:\"y\"":{}},"f:e":{}}"#
    #expect(FieldSet(json: Manifest.json(text))?.json.text == text)
    #expect(FieldSet(json: Manifest.json(#"{"z:a":{},"f:b":{}}"#))?.json.text == #"{"f:b":{}}"#)
    #expect(
      FieldSet(json: Manifest.json(text))?.paths
        == [".a", ".e", ".a.b", #".c[name="x"]"#, #".d[="y"]"#])
  }

  @Test("union, intersection and difference are those of the members", arguments: 0..<50)
  func algebra(seed: Int) {
    var random = SplitMix64(seed: UInt64(seed) &+ 11)
    func set() -> FieldSet {
      FieldSet(
        paths: (0..<random.below(8)).map { _ in
          (0...random.below(3)).map { _ in ["a", "b", "c"][Int(random.below(3))] }
        })
    }
    let (left, right) = (set(), set())
    let (first, second) = (Set(left.paths), Set(right.paths))
    #expect(Set(left.union(right).paths) == first.union(second))
    #expect(Set(left.intersection(right).paths) == first.intersection(second))
    #expect(Set(left.subtracting(right).paths) == first.subtracting(second))
    #expect(FieldSet(json: left.json) == left)
  }

  @Test("live elements that a configuration does not name keep their place between shared neighbours")
  func order() {
    let form = FieldForm.list(.fields("EnvVar"), keys: ["name"])
    func list(_ names: String) -> JSON { .array(names.map { ["name": .string(String($0))] }) }
    for (live, config, merged) in [
      ("abc", "c", "abc"), ("abc", "ca", "bca"), ("abc", "xb", "axbc"), ("", "ab", "ab"), ("aab", "b", "aab"),
      ("abcd", "dx", "abcdx"),
    ] {
      #expect(FieldMerge.merge(list(live), list(config), form) == list(merged), "\(live) with \(config)")
    }
  }
}
