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
    #expect(
      uid.message.hasPrefix(
        "Operation cannot be fulfilled on ConfigMap \"m\": the UID in the precondition (other) does not match the UID "
          + "in record ("))
    let version = harness.delete(.configmaps, "m") { $0.preconditionResourceVersion = "1" }
    #expect(version.code == 409)
    let policy = harness.delete(.configmaps, "m") { $0.propagationPolicy = "Never" }
    #expect(policy.code == 422)
    #expect(
      policy.message == "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"Never\": "
        + "supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"")
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
    #expect(
      both.message == "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: \"Orphan\": "
        + "orphanDependents and deletionPropagation cannot be both set")
    let run = harness.ask(
      APIRequest(
        verb: .delete, kind: .configmaps, namespace: "default", name: "m", body: ["dryRun": ["All", "Some"]]))
    #expect(
      run.message == "DeleteOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: "
        + "[]string{\"All\", \"Some\"}: supported values: \"All\"")
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

  @Test("a body of options stands for all of them: the query beside it counts for nothing but its dry run")
  func bodyBeforeQuery() throws {
    let harness = try APIHarness()
    harness.create(.jobs, Manifest.job("j", spec: ["suspend": true]))
    var options = APIOptions()
    options.propagationPolicy = "Foreground"
    options.dryRun = true
    func ask() -> RequestAnswer {
      harness.ask(
        APIRequest(
          verb: .delete, kind: .jobs, namespace: "default", name: "j", options: options, body: ["kind": "DeleteOptions"]
        ))
    }
    #expect(ask().object[path: ["metadata", "finalizers"]] == ["orphan"], "the kind's default, as no policy is named")
    #expect(harness.get(.jobs, "j").object[path: ["metadata", "deletionTimestamp"]] == nil)
    options.dryRun = false
    let answer = ask()
    #expect(answer.warnings == [KindDescriptor.jobs.deletion.warning])
    #expect(answer.object[path: ["metadata", "finalizers"]] == ["orphan"])
  }

  @Test("a dry run is told what a delete would be told, and deletes nothing")
  func dryRun() throws {
    let harness = try APIHarness()
    harness.create(.configmaps, Manifest.configMap("m"))
    let version = harness.get(.configmaps, "m").resourceVersion
    let foreground = harness.delete(.configmaps, "m") { options in
      options.propagationPolicy = "Foreground"
      options.dryRun = true
    }
    #expect(foreground.object[path: ["metadata", "finalizers"]] == ["foregroundDeletion"])
    #expect(foreground.object[path: ["metadata", "deletionTimestamp"]] != nil)
    let background = harness.delete(.configmaps, "m") { $0.dryRun = true }
    #expect(background.object["status"] == "Success" && background.object["kind"] == "Status")
    #expect(harness.get(.configmaps, "m").resourceVersion == version)
    harness.delete(.namespaces, "default") { $0.dryRun = true }
    #expect(
      harness.get(.namespaces, "default", namespace: "").object[path: ["metadata", "deletionTimestamp"]] == nil)
  }

  @Test("orphanDependents still chooses; an object that stays for now is answered with 202 where it says false")
  func orphanDependents() throws {
    let harness = try APIHarness()
    func ask(_ name: String, _ orphan: Bool) -> RequestAnswer {
      harness.ask(
        APIRequest(
          verb: .delete, kind: .jobs, namespace: "default", name: name, body: ["orphanDependents": .bool(orphan)]))
    }
    for name in ["a", "b"] { harness.create(.jobs, Manifest.job(name, spec: ["suspend": true])) }
    let orphaned = ask("a", true)
    #expect(orphaned.code == 200 && orphaned.object[path: ["metadata", "finalizers"]] == ["orphan"])
    harness.patch(.jobs, "b", .merge, ["metadata": ["finalizers": ["example.com/hold"]]])
    let held = ask("b", false)
    #expect(held.code == 202 && held.object[path: ["metadata", "finalizers"]] == ["example.com/hold"])
  }

  @Test("deletecollection of Jobs takes their pods along, or leaves them, as its policy says")
  func collectionPolicies() throws {
    for (policy, left) in [("Background", 0), ("Foreground", 0), ("Orphan", 6), (nil, 6)] {
      let harness = try APIHarness()
      for number in 0..<3 {
        harness.create(.jobs, Manifest.job("j\(number)", spec: ["parallelism": 2, "completions": 2]))
      }
      harness.create(.jobs, Manifest.job("other", spec: ["suspend": true]))
      harness.step([.timer])
      #expect(harness.list(.pods).items.count == 6)
      var options = APIOptions()
      options.propagationPolicy = policy
      options.fieldSelector = "metadata.name!=other"
      let answer = harness.ask(
        APIRequest(verb: .deletecollection, kind: .jobs, namespace: "default", options: options))
      #expect(answer.items.count == 3 && answer.warnings.count == (policy == nil ? 1 : 0))
      for _ in 0..<5 { harness.step([.timer]) }
      #expect(harness.list(.jobs).itemNames == ["other"])
      let pods = harness.list(.pods).items
      #expect(pods.count == left, "\(policy ?? "none")")
      for pod in pods {
        #expect(pod[path: ["metadata", "ownerReferences"]] == nil && pod[path: ["metadata", "finalizers"]] == nil)
      }
    }
  }

  @Test("a collection whose objects do not fit the preconditions stays whole")
  func collectionPreconditions() throws {
    let harness = try APIHarness()
    let one = harness.create(.configmaps, Manifest.configMap("a"))
    harness.create(.configmaps, Manifest.configMap("b"))
    var options = APIOptions()
    options.preconditionUID = one.object[path: ["metadata", "uid"]]?.stringValue
    func ask() -> RequestAnswer {
      harness.ask(APIRequest(verb: .deletecollection, kind: .configmaps, namespace: "default", options: options))
    }
    #expect(ask().code == 409)
    #expect(harness.list(.configmaps).itemNames == ["a", "b"])
    options.fieldSelector = "metadata.name=a"
    #expect(ask().code == 200)
    #expect(harness.list(.configmaps).itemNames == ["b"])
  }
}
