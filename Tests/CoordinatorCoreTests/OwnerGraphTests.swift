// Owners and dependents as clients make them: through the API, with Kubernetes' words. What its own end-to-end tests of
// the garbage collector do with pods stands here too.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Owners and dependents") struct OwnerGraphTests {
  private func owner(_ answer: RequestAnswer, blocks: Bool? = nil, controller: Bool? = nil) -> JSON {
    var owner: JSON = [
      "apiVersion": answer.object["apiVersion"] ?? .null, "kind": answer.object["kind"] ?? .null,
      "name": .string(answer.name), "uid": answer.object[path: ["metadata", "uid"]] ?? .null,
    ]
    if let blocks { owner["blockOwnerDeletion"] = .bool(blocks) }
    if let controller { owner["controller"] = .bool(controller) }
    return owner
  }

  private func map(_ name: String, owners: [JSON] = [], finalizers: [String] = []) -> JSON {
    var map = Manifest.configMap(name)
    if !owners.isEmpty { map[path: ["metadata", "ownerReferences"]] = .array(owners) }
    if !finalizers.isEmpty { map[path: ["metadata", "finalizers"]] = .array(finalizers.map { .string($0) }) }
    return map
  }

  private func marks(_ harness: APIHarness, _ name: String) -> JSON? {
    harness.get(.configmaps, name).object[path: ["metadata", "finalizers"]]
  }

  private func settle(_ harness: APIHarness) { for _ in 0..<5 { harness.step([.timer]) } }

  // MARK: What may be written

  @Test("a reference needs apiVersion, kind, name and uid, in Kubernetes' words")
  func requiredFields() throws {
    let harness = try APIHarness()
    let empty = harness.create(.configmaps, map("a", owners: [["apiVersion": "", "kind": "", "name": "", "uid": ""]]))
    #expect(
      empty.message == "ConfigMap \"a\" is invalid: [metadata.ownerReferences.apiVersion: Invalid value: \"\": "
        + "version must not be empty, metadata.ownerReferences.kind: Invalid value: \"\": must not be empty, "
        + "metadata.ownerReferences.name: Invalid value: \"\": must not be empty, "
        + "metadata.ownerReferences.uid: Invalid value: \"\": must not be empty]")
    for version in ["a/b/c", "batch/", "/"] {
      let answer = harness.create(
        .configmaps, map("a", owners: [["apiVersion": .string(version), "kind": "Job", "name": "n", "uid": "u"]]))
      #expect(answer.code == 422 && answer.message.hasSuffix("version must not be empty"), "\(version)")
    }
  }

  @Test("one owner at most is the controller, and an Event owns nothing")
  func controllers() throws {
    let harness = try APIHarness()
    func reference(_ name: String, kind: String = "Job", version: String = "batch/v1") -> JSON {
      ["apiVersion": .string(version), "kind": .string(kind), "name": .string(name), "uid": "u", "controller": true]
    }
    let two = harness.create(.configmaps, map("a", owners: [reference("one"), reference("two")]))
    #expect(two.code == 422)
    #expect(
      two.message.hasSuffix(
        "Only one reference can have Controller set to true. Found \"true\" in references for Job/one and Job/two"))
    let event = harness.create(.configmaps, map("a", owners: [reference("e", kind: "Event", version: "v1")]))
    #expect(event.code == 422 && event.message.hasSuffix("/v1, Kind=Event is disallowed from being an owner"))
  }

  @Test("orphan and foregroundDeletion cannot both be set")
  func bothFinalizers() throws {
    let harness = try APIHarness()
    let answer = harness.create(.configmaps, map("a", finalizers: ["orphan", "foregroundDeletion"]))
    #expect(
      answer.message == "ConfigMap \"a\" is invalid: metadata.finalizers: Invalid value: []string{\"orphan\", "
        + "\"foregroundDeletion\"}: finalizer orphan and foregroundDeletion cannot be both set")
    harness.create(.configmaps, map("a", finalizers: ["orphan"]))
    let later = harness.patch(
      .configmaps, "a", .merge, ["metadata": ["finalizers": ["orphan", "foregroundDeletion"]]])
    #expect(later.code == 422)
  }

  @Test("while an object is being deleted no finalizer is added, and its deletionTimestamp stays")
  func whileDeleting() throws {
    let harness = try APIHarness()
    harness.create(.configmaps, map("a", finalizers: ["example.com/hold"]))
    harness.delete(.configmaps, "a")
    let before = harness.get(.configmaps, "a").object[path: ["metadata", "deletionTimestamp"]]
    let more = harness.patch(
      .configmaps, "a", .merge,
      ["metadata": ["finalizers": ["example.com/hold", "example.com/z", "example.com/b", "example.com/z"]]])
    #expect(more.code == 422)
    #expect(more.message.hasSuffix("found new finalizers []string{\"example.com/b\", \"example.com/z\"}"))
    harness.wait(milliseconds: 5_000)
    harness.patch(.configmaps, "a", .merge, ["metadata": ["deletionTimestamp": "2030-01-01T00:00:00Z"]])
    #expect(harness.get(.configmaps, "a").object[path: ["metadata", "deletionTimestamp"]] == before)
    harness.patch(.configmaps, "a", .merge, ["metadata": ["finalizers": .null]])
    #expect(harness.get(.configmaps, "a").code == 404)
  }

  // MARK: Who keeps whom

  @Test("an object in a namespace may have an owner outside of all, and goes with it; foreground waits for it")
  func clusterOwner() throws {
    let harness = try APIHarness()
    let top = harness.create(.priorityclasses, ["metadata": ["name": "top"], "value": 5], namespace: "")
    #expect(top.code == 201)
    harness.create(.configmaps, map("child", owners: [owner(top, blocks: true)], finalizers: ["example.com/hold"]))
    settle(harness)
    #expect(harness.get(.configmaps, "child").code == 200)
    var options = APIOptions()
    options.propagationPolicy = "Foreground"
    let deletion = APIRequest(verb: .delete, kind: .priorityclasses, name: "top", options: options)
    #expect(harness.ask(deletion).object[path: ["metadata", "finalizers"]] == ["foregroundDeletion"])
    settle(harness)
    #expect(harness.get(.priorityclasses, "top", namespace: "").code == 200, "it waits for its dependent")
    harness.patch(.configmaps, "child", .merge, ["metadata": ["finalizers": .null]])
    settle(harness)
    #expect(harness.get(.priorityclasses, "top", namespace: "").code == 404)
  }

  @Test("an object outside of namespaces is not collected for an owner in one, and is told of it")
  func clusterDependent() throws {
    let harness = try APIHarness()
    let inside = harness.create(.configmaps, map("inside"))
    var class1: JSON = ["metadata": ["name": "outside"], "value": 5]
    class1[path: ["metadata", "ownerReferences"]] = .array([owner(inside, blocks: true)])
    #expect(harness.create(.priorityclasses, class1, namespace: "").code == 201)
    harness.delete(.configmaps, "inside") { $0.propagationPolicy = "Foreground" }
    settle(harness)
    #expect(harness.get(.configmaps, "inside").code == 404, "nothing that is wrong blocks it")
    #expect(harness.get(.priorityclasses, "outside", namespace: "").code == 200)
    let event = harness.list(.events).items.first { $0["reason"] == "OwnerRefInvalidNamespace" }
    #expect(
      event?["message"]
        == .string(
          "ownerRef [v1/ConfigMap, namespace: , name: inside, uid: "
            + "\(inside.object[path: ["metadata", "uid"]]?.stringValue ?? "")] does not exist in namespace \"\""))
  }

  @Test("a reference into another namespace is told of although another owner keeps the object, and holds up nobody")
  func foreignBlocker() throws {
    let harness = try APIHarness()
    let foreign = harness.create(.configmaps, map("foreign"), namespace: "kube-system")
    let own = harness.create(.configmaps, map("own"))
    harness.create(
      .configmaps, map("child", owners: [owner(foreign, blocks: true), owner(own)], finalizers: ["example.com/hold"]))
    settle(harness)
    let child = harness.get(.configmaps, "child").object
    #expect(child[path: ["metadata", "ownerReferences"]]?.arrayValue?.count == 1)
    #expect(child[path: ["metadata", "deletionTimestamp"]] == nil)
    #expect(harness.list(.events).items.contains { $0["reason"] == "OwnerRefInvalidNamespace" })
    // A child that nothing keeps, but somebody holds: the foreign owner does not wait for it.
    harness.create(
      .configmaps, map("lost", owners: [owner(foreign, blocks: true)], finalizers: ["example.com/hold"]))
    var options = APIOptions()
    options.propagationPolicy = "Foreground"
    harness.ask(
      APIRequest(verb: .delete, kind: .configmaps, namespace: "kube-system", name: "foreign", options: options))
    settle(harness)
    #expect(harness.get(.configmaps, "foreign", namespace: "kube-system").code == 404)
    #expect(harness.get(.configmaps, "lost").object[path: ["metadata", "deletionTimestamp"]] != nil)
  }

  @Test("Events are outside of the graph: owners do not take them along, and no policy holds them")
  func events() throws {
    let harness = try APIHarness()
    let top = harness.create(.configmaps, map("top"))
    var event: JSON = [
      "metadata": ["name": "said", "finalizers": ["orphan"]], "involvedObject": ["namespace": "default"],
      "reason": "r", "message": "m",
    ]
    event[path: ["metadata", "ownerReferences"]] = .array([owner(top, blocks: true)])
    #expect(harness.create(.events, event).code == 201)
    harness.delete(.configmaps, "top") { $0.propagationPolicy = "Foreground" }
    settle(harness)
    #expect(harness.get(.configmaps, "top").code == 404)
    #expect(harness.get(.events, "said").code == 200)
    #expect(harness.delete(.events, "said") { $0.propagationPolicy = "Foreground" }.object["status"] == "Success")
    #expect(harness.get(.events, "said").code == 404)
  }

  // MARK: End-to-end tests

  @Test("should not be blocked by dependency circle: three pods that own each other go with one of them")
  func dependencyCircle() throws {
    let harness = try APIHarness()
    var pods: [RequestAnswer] = []
    for name in ["pod1", "pod2", "pod3"] {
      let pod = harness.create(.pods, Manifest.pod(name, spec: ["terminationGracePeriodSeconds": 0]))
      #expect(pod.code == 201)
      pods.append(pod)
    }
    for (dependent, owns) in [(0, 2), (1, 0), (2, 1)] {
      let patched = harness.patch(
        .pods, pods[dependent].name, .strategic,
        ["metadata": ["ownerReferences": [owner(pods[owns], blocks: true, controller: true)]]])
      #expect(patched.code == 200)
    }
    settle(harness)
    #expect(harness.list(.pods).items.count == 3)
    harness.delete(.pods, "pod1") { options in
      options.propagationPolicy = "Foreground"
      options.preconditionUID = pods[0].object[path: ["metadata", "uid"]]?.stringValue
    }
    settle(harness)
    #expect(harness.list(.pods).items.isEmpty)
  }

  @Test("should not delete dependents that have both valid owner and owner that's waiting for dependents to be deleted")
  func validAndWaitingOwner() throws {
    let harness = try APIHarness()
    let one = harness.create(.configmaps, map("to-be-deleted"))
    let two = harness.create(.configmaps, map("to-stay"))
    for number in 0..<10 {
      var pod = Manifest.pod("p\(number)")
      pod[path: ["metadata", "ownerReferences"]] = .array([owner(one, blocks: true, controller: true)])
      harness.create(.pods, pod)
      guard number < 5 else { continue }
      harness.patch(.pods, "p\(number)", .strategic, ["metadata": ["ownerReferences": [owner(two)]]])
    }
    harness.delete(.configmaps, "to-be-deleted") { $0.propagationPolicy = "Foreground" }
    settle(harness)
    #expect(harness.get(.configmaps, "to-be-deleted").code == 404)
    let left = harness.list(.pods).items
    #expect(left.count == 5)
    for pod in left {
      #expect(pod[path: ["metadata", "deletionTimestamp"]] == nil)
      #expect(pod[path: ["metadata", "ownerReferences"]]?.arrayValue?.map { $0["name"] } == ["to-stay"])
    }
  }

  @Test("what owns Jobs takes them and their pods along, in the background and in the foreground")
  func chainOfJobs() throws {
    for policy in ["Background", "Foreground"] {
      let harness = try APIHarness()
      let top = harness.create(.configmaps, map("schedule"))
      for number in 0..<3 {
        var job = Manifest.job("run-\(number)", spec: ["parallelism": 2, "completions": 2])
        job[path: ["metadata", "ownerReferences"]] = .array([owner(top, blocks: true, controller: true)])
        #expect(harness.create(.jobs, job).code == 201)
      }
      settle(harness)
      #expect(harness.list(.pods).items.count == 6)
      harness.delete(.configmaps, "schedule") { $0.propagationPolicy = policy }
      settle(harness)
      #expect(harness.list(.pods).items.isEmpty && harness.list(.jobs).items.isEmpty, "\(policy)")
      #expect(harness.get(.configmaps, "schedule").code == 404)
    }
  }

  @Test("should delete jobs and pods created by cronjob")
  func jobsOfCronJob() throws {
    let harness = try APIHarness()
    let job = Manifest.job("", spec: ["parallelism": 1, "completions": 1])
    let cron: JSON = [
      "apiVersion": "batch/v1", "kind": "CronJob", "metadata": ["name": "simple"],
      "spec": ["schedule": "*/1 * * * ?", "jobTemplate": ["spec": job["spec"] ?? .null]],
    ]
    #expect(harness.create(.cronjobs, cron).code == 201)
    for _ in 0..<65 { harness.wait(milliseconds: 1_000) }
    #expect(harness.list(.jobs).items.count == 1 && harness.list(.pods).items.count == 1)
    harness.delete(.cronjobs, "simple") { $0.propagationPolicy = "Background" }
    settle(harness)
    for kind in [Kind.cronjobs, .jobs, .pods] { #expect(harness.list(kind).items.isEmpty, "\(kind)") }
  }

  // MARK: Finalizers in the hands of users

  @Test("foregroundDeletion patched away: the owner goes at once, and what it waited for follows in the background")
  func foregroundPatchedAway() throws {
    let harness = try APIHarness()
    let top = harness.create(.configmaps, map("top"))
    harness.create(.configmaps, map("child", owners: [owner(top, blocks: true)], finalizers: ["example.com/hold"]))
    harness.delete(.configmaps, "top") { $0.propagationPolicy = "Foreground" }
    settle(harness)
    #expect(marks(harness, "top") == ["foregroundDeletion"])
    #expect(marks(harness, "child") == ["example.com/hold"])
    harness.patch(.configmaps, "top", .merge, ["metadata": ["finalizers": .null]])
    settle(harness)
    #expect(harness.get(.configmaps, "top").code == 404)
    #expect(harness.get(.configmaps, "child").object[path: ["metadata", "deletionTimestamp"]] != nil)
  }

  @Test("a user's finalizer holds an owner in foreground deletion after its dependents are gone, and keeps its place")
  func ownFinalizer() throws {
    let harness = try APIHarness()
    let top = harness.create(.configmaps, map("top", finalizers: ["example.com/mine"]))
    harness.create(.configmaps, map("child", owners: [owner(top, blocks: true)]))
    harness.delete(.configmaps, "top") { $0.propagationPolicy = "Foreground" }
    settle(harness)
    #expect(harness.get(.configmaps, "child").code == 404)
    #expect(marks(harness, "top") == ["example.com/mine"])
    harness.patch(.configmaps, "top", .merge, ["metadata": ["finalizers": .null]])
    settle(harness)
    #expect(harness.get(.configmaps, "top").code == 404)
  }

  @Test("the last delete's policy counts: a finalizer decides only where no policy is named")
  func lastPolicy() throws {
    let harness = try APIHarness()
    let top = harness.create(.configmaps, map("top", finalizers: ["example.com/hold", "orphan"]))
    harness.create(.configmaps, map("child", owners: [owner(top)]))
    #expect(
      harness.delete(.configmaps, "top").object[path: ["metadata", "finalizers"]] == ["example.com/hold", "orphan"])
    let again = harness.delete(.configmaps, "top") { $0.propagationPolicy = "Foreground" }
    #expect(again.object[path: ["metadata", "finalizers"]] == ["example.com/hold", "foregroundDeletion"])
    let background = harness.delete(.configmaps, "top") { $0.propagationPolicy = "Background" }
    #expect(background.object[path: ["metadata", "finalizers"]] == ["example.com/hold"])
  }

  @Test("while a pod's grace lasts a delete that does not shorten it changes no finalizer")
  func pendingGrace() throws {
    var driver = try WorkloadsDriver()
    let pod = driver.createPod("bare", node: "somewhere")
    driver.holdBack(pod)
    driver.deletePod(pod)
    let reference = ObjectReference(kind: .pods, key: pod.meta.key)
    driver.core.deleteObject(reference, propagation: .foreground, graceSeconds: nil)
    driver.core.deleteObject(reference, propagation: .foreground, graceSeconds: 40)
    #expect(driver.core.state.pods[pod.meta.key]?.meta.finalizers == ["example.com/hold"])
    driver.core.deleteObject(reference, propagation: .foreground, graceSeconds: 7)
    let meta = try #require(driver.core.state.pods[pod.meta.key]).meta
    #expect(meta.finalizers == ["example.com/hold", "foregroundDeletion"] && meta.deletionGracePeriodSeconds == 7)
  }
}
