// delete and deletecollection: defaults by kind, warnings, preconditions, options, collections over several turns.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("deletion") struct APIDeleteTests {
  @Test("a bare delete of a Job orphans and warns; a named policy does not; a 404 warns too")
  func deleteDefault() throws {
    let harness = try APIHarness()
    harness.create(.jobs, Manifest.job("j", spec: ["suspend": true]))
    let bare = harness.delete(.jobs, "j")
    #expect(bare.warnings == [KindDescriptor.jobs.deletion.warning])
    #expect(bare.object[path: ["metadata", "finalizers"]] == ["orphan"])
    #expect(bare.object["kind"] == "Job")
    #expect(harness.delete(.jobs, "nosuch").warnings == [KindDescriptor.jobs.deletion.warning])
    harness.create(.jobs, Manifest.job("k", spec: ["suspend": true]))
    let background = harness.delete(.jobs, "k") { $0.propagationPolicy = "Background" }
    #expect(background.warnings.isEmpty)
    #expect(background.object["status"] == "Success")
    #expect(background.object[path: ["details", "kind"]] == "jobs")
    #expect(background.object[path: ["details", "uid"]] != nil)
    harness.create(.jobs, Manifest.job("l", spec: ["suspend": true]))
    let body = harness.ask(
      APIRequest(
        verb: .delete, kind: .jobs, namespace: "default", name: "l", body: ["propagationPolicy": "Foreground"]))
    #expect(body.object[path: ["metadata", "finalizers"]] == ["foregroundDeletion"])
    #expect(body.warnings.isEmpty)
  }

  @Test("delete's preconditions and options are checked")
  func deletePreconditions() throws {
    let harness = try APIHarness()
    let map = harness.create(.configmaps, Manifest.configMap("m"))
    let uid = harness.delete(.configmaps, "m") { $0.preconditionUID = "other" }
    #expect(uid.code == 409)
    #expect(uid.message.contains("the UID in the precondition (other) does not match the UID in record ("))
    let version = harness.delete(.configmaps, "m") { $0.preconditionResourceVersion = "1" }
    #expect(version.code == 409)
    let policy = harness.delete(.configmaps, "m") { $0.propagationPolicy = "Never" }
    #expect(policy.code == 422)
    for body: JSON in [["gracePeriodSeconds": "x"], ["preconditions": 5], ["dryRun": "All"], 7] {
      let answer = harness.ask(
        APIRequest(verb: .delete, kind: .configmaps, namespace: "default", name: "m", body: body))
      #expect(answer.code == 400)
    }
    let both = harness.ask(
      APIRequest(
        verb: .delete, kind: .configmaps, namespace: "default", name: "m",
        body: ["orphanDependents": true, "propagationPolicy": "Orphan"]))
    #expect(both.code == 422)
    let right = harness.delete(.configmaps, "m") { $0.preconditionResourceVersion = map.resourceVersion }
    #expect(right.object["status"] == "Success")
    #expect(harness.get(.configmaps, "m").code == 404)
  }

  @Test("a collection is deleted by selector and answers with what it deleted")
  func deleteCollection() throws {
    let harness = try APIHarness()
    for index in 0..<600 {
      harness.create(.configmaps, Manifest.configMap("m\(index)", labels: ["odd": .string("\(index % 2)")]))
    }
    var options = APIOptions()
    options.labelSelector = "odd=1"
    let answer = harness.ask(
      APIRequest(verb: .deletecollection, kind: .configmaps, namespace: "default", options: options))
    #expect(answer.code == 200)
    #expect(answer.items.count == 300)
    #expect(answer.pieces > 1)
    #expect(harness.list(.configmaps).items.count == 300)
    let jobs = harness.ask(APIRequest(verb: .deletecollection, kind: .jobs, namespace: "default"))
    #expect(jobs.warnings == [KindDescriptor.jobs.deletion.warning])
  }
}
