// The three-way comparison of apply, and reading manifests.

import ClusterProto
import Testing

@testable import stint

@Suite("Apply changes what the manifest changed, and nothing else")
struct CommandLineMergeTests {
  private func manifest(_ change: (inout JSON) -> Void = { _ in }) -> JSON {
    var json: JSON = [
      "apiVersion": "batch/v1", "kind": "Job", "metadata": ["name": "x", "labels": ["app": "quiz"]],
      "spec": [
        "parallelism": 2,
        "template": [
          "spec": [
            "containers": [["name": "main", "image": "busybox", "env": [["name": "A", "value": "1"]]]],
            "tolerations": [["key": "k", "operator": "Exists"]],
          ]
        ],
      ],
    ]
    change(&json)
    return json
  }

  /// What the coordinator makes of a manifest: defaults, status, somebody's annotation.
  private func live(_ applied: JSON) -> JSON {
    var json = ThreeWayMerge.annotated(applied)
    json[path: ["metadata", "uid"]] = "u"
    json[path: ["metadata", "annotations", "other"]] = "kept"
    json[path: ["spec", "backoffLimit"]] = 6
    json[path: ["spec", "template", "spec", "containers"]] = [
      [
        "name": "main", "image": "busybox", "env": [["name": "A", "value": "1"]], "imagePullPolicy": "Always",
        "resources": [:],
      ]
    ]
    json[path: ["status", "active"]] = 2
    return json
  }

  private func patch(_ last: JSON, _ new: JSON, _ change: (inout JSON) -> Void = { _ in }) -> JSON? {
    var live = live(last)
    change(&live)
    return ThreeWayMerge.patch(last: ThreeWayMerge.lastApplied(live), live: live, new: ThreeWayMerge.annotated(new))
  }

  @Test("the same manifest again changes nothing, defaults in lists notwithstanding")
  func unchanged() {
    #expect(patch(manifest(), manifest()) == nil)
  }

  @Test("a changed field is sent with the new annotation, what others set stays")
  func changed() throws {
    let wanted = manifest { $0[path: ["spec", "parallelism"]] = 4 }
    let sent = try #require(patch(manifest(), wanted))
    #expect(sent["spec"] == ["parallelism": 4])
    #expect(sent[path: ["metadata", "annotations"]]?.objectValue?.keys == [ThreeWayMerge.annotation])
    #expect(sent["status"] == nil)
  }

  @Test("a field that left the manifest goes, one that was never in it stays")
  func removed() throws {
    let wanted = manifest { $0[path: ["metadata", "labels"]] = nil }
    let sent = try #require(patch(manifest(), wanted) { $0[path: ["metadata", "labels", "mine"]] = "yes" })
    #expect(sent[path: ["metadata", "labels"]] == .null)
    let emptied = manifest { $0[path: ["metadata", "labels"]] = .object(JSONObject()) }
    let kept = try #require(patch(manifest(), emptied) { $0[path: ["metadata", "labels", "mine"]] = "yes" })
    #expect(kept[path: ["metadata", "labels"]] == ["app": .null])
  }

  @Test("a field that somebody else changed goes back to the manifest's")
  func drifted() throws {
    let sent = try #require(patch(manifest(), manifest()) { $0[path: ["spec", "parallelism"]] = 9 })
    #expect(sent == ["spec": ["parallelism": 2]])
  }

  @Test("list elements are matched by their key: changed, added and removed ones, defaults kept")
  func lists() throws {
    let containers = ["spec", "template", "spec", "containers"]
    let wanted = manifest {
      $0[path: containers] = [
        ["name": "main", "image": "busybox:2", "env": [["name": "B", "value": "2"]]], ["name": "side", "image": "s"],
      ]
    }
    let sent = try #require(patch(manifest(), wanted))
    #expect(
      sent[path: containers] == [
        [
          "name": "main", "image": "busybox:2", "env": [["name": "B", "value": "2"]], "imagePullPolicy": "Always",
          "resources": [:],
        ], ["name": "side", "image": "s"],
      ])
  }

  @Test("an element that others added stays where it is and makes no change")
  func injected() {
    let containers = ["spec", "template", "spec", "containers"]
    let patch = patch(manifest(), manifest()) { live in
      live[path: containers] = .array([["name": "injected"]] + (live[path: containers]?.arrayValue ?? []))
    }
    #expect(patch == nil)
  }

  @Test("a list without keys is replaced as a whole")
  func atomicLists() throws {
    let path = ["spec", "template", "spec", "tolerations"]
    let wanted = manifest { $0[path: path] = [["key": "z", "operator": "Exists"]] }
    #expect(try #require(patch(manifest(), wanted))[path: path] == [["key": "z", "operator": "Exists"]])
  }

  @Test("the annotation is kubectl's: sorted, without itself, with a newline")
  func annotation() {
    let json: JSON = ["kind": "Job", "apiVersion": "batch/v1", "metadata": ["name": "x"]]
    let text = ThreeWayMerge.annotated(json)[path: ["metadata", "annotations", ThreeWayMerge.annotation]]
    #expect(text == "{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\",\"metadata\":{\"annotations\":{},\"name\":\"x\"}}\n")
    #expect(ThreeWayMerge.lastApplied(ThreeWayMerge.annotated(json))?[path: ["metadata", "name"]] == "x")
  }

  @Test("documents, Lists and mistakes of a manifest are told apart, each with its place")
  func manifests() {
    var manifests = Manifests(paths: [])
    let text = """
      apiVersion: v1
      kind: List
      items:
      - {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}
      - {apiVersion: v1, kind: Namespace, metadata: {name: b}}
      ---
      kind: Job
      ---
      {apiVersion: apps/v1, kind: Deployment, metadata: {name: web}}
      ---
      just text
      """
    manifests.take(Array(text.utf8), "m.yaml", "m.yaml")
    #expect(manifests.objects.map(\.name) == ["a", "b"])
    #expect(manifests.objects.map(\.namespace) == ["default", ""])
    #expect(
      manifests.errors == [
        "error: error validating \"m.yaml\" (document 2): error validating data: apiVersion not set",
        "error: resource mapping not found for name: \"web\" namespace: \"\" from \"m.yaml\" (document 3): "
          + "no matches for kind \"Deployment\" in version \"apps/v1\"",
        "error: \"m.yaml\" (document 4) holds a string where an object should be",
      ])
    var gaps = Manifests(paths: [])
    gaps.take(Array("# one\n---\n# two\n---\n---\nkind: Job\n".utf8), "g.yaml", "g.yaml")
    #expect(
      gaps.errors == ["error: error validating \"g.yaml\" (document 3): error validating data: apiVersion not set"])
    var strict = Manifests(paths: ["/nonexistent/x.yaml"], namespace: "a", insists: true)
    strict.take(Array("{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: b}}".utf8), "p.yaml", "p.yaml")
    #expect(strict.objects.isEmpty)
    #expect(strict.errors.count == 2)
    #expect(strict.errors[0] == "error: the path \"/nonexistent/x.yaml\" does not exist")
  }
}
