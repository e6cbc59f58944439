// Deleting: grace, force, propagation, the garbage collector's cases, namespaces, adoption.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Deleting and collecting")
struct WorkloadsDeletionTests {
  // MARK: Pods

  @Test("a graceful deletion notes when the grace ends; a repeated one may only shorten it; 0 removes at once")
  func grace() throws {
    var driver = try WorkloadsDriver()
    let pod = driver.createPod("bare", node: "somewhere")
    driver.holdBack(pod)
    let asked = driver.core.stamp
    driver.deletePod(pod)
    func meta() throws -> ObjectMeta { try #require(driver.core.state.pods[pod.meta.key]).meta }
    #expect(try meta().deletionGracePeriodSeconds == 30)
    #expect(try meta().deletionTimestamp == asked.adding(milliseconds: 30_000))
    #expect(try meta().generation == 2)
    driver.deletePod(pod, graceSeconds: 60)
    #expect(try meta().deletionGracePeriodSeconds == 30)
    driver.deletePod(pod)
    #expect(try meta().deletionGracePeriodSeconds == 30)
    driver.deletePod(pod, graceSeconds: 5)
    #expect(try meta().deletionTimestamp == asked.adding(milliseconds: 5_000))
    #expect(try meta().deletionGracePeriodSeconds == 5 && meta().generation == 2)
    driver.deletePod(pod, graceSeconds: 0)
    #expect(try meta().deletionGracePeriodSeconds == 0)
    driver.letGo(pod)
    #expect(driver.core.state.pods[pod.meta.key] == nil)
  }

  @Test("a negative grace is one second; a pod that no node holds, or that has ended, gets none")
  func graceEdges() throws {
    var driver = try WorkloadsDriver()
    let bound = driver.createPod("bound", node: "somewhere")
    driver.holdBack(bound)
    driver.deletePod(bound, graceSeconds: -7)
    #expect(driver.core.state.pods[bound.meta.key]?.meta.deletionGracePeriodSeconds == 1)
    let free = driver.createPod("free")
    driver.holdBack(free)
    driver.deletePod(free, graceSeconds: 30)
    #expect(driver.core.state.pods[free.meta.key]?.meta.deletionGracePeriodSeconds == 0)
    let ended = driver.createPod("ended", node: "somewhere")
    driver.holdBack(ended)
    driver.end(ended, succeeded: true)
    driver.deletePod(ended)
    #expect(driver.core.state.pods[ended.meta.key]?.meta.deletionGracePeriodSeconds == 0)
    driver.deletePod(driver.createPod("huge"), graceSeconds: Int64.max)
    driver.core.deletePod(WorkloadsDriver.key("nobody"), graceSeconds: nil)
    driver.core.podAttemptEnded(WorkloadsDriver.key("nobody"), podUID: "x")
    #expect(driver.core.state.pods[WorkloadsDriver.key("huge")] == nil)
  }

  // MARK: Jobs and their pods

  @Test("background: the Job goes at once, its pods follow, counted by nobody")
  func background() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("gone", ["completions": 3, "parallelism": 3])
    driver.end(driver.activePods("gone")[0], succeeded: true)
    driver.deleteJob("gone", .background)
    #expect(!driver.exists("gone") && driver.pods().isEmpty)
    #expect(driver.core.workloads.tallies.isEmpty && driver.core.workloads.memories.isEmpty)
  }

  @Test("foreground: the Job stays with its finalizer until its pods are gone, and makes no new ones")
  func foreground() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("slow", ["completions": 2, "parallelism": 2])
    let pods = driver.activePods("slow")
    driver.run(pods[0])
    driver.holdBack(pods[0])
    driver.deleteJob("slow", .foreground)
    let job = try driver.job("slow")
    #expect(job.meta.finalizers == ["foregroundDeletion"] && job.meta.deletionTimestamp != nil)
    #expect(job.meta.generation == 2)
    #expect(driver.pods("slow").map(\.meta.name) == [pods[0].meta.name])
    driver.advance(seconds: 1000)
    #expect(driver.exists("slow") && driver.activePods("slow").isEmpty)
    driver.letGo(pods[0])
    #expect(!driver.exists("slow") && driver.pods().isEmpty)
  }

  @Test("orphan: the pods stay without owner and without the tracking finalizer, and run on")
  func orphan() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("parent", ["completions": 400, "parallelism": 400])
    driver.end(driver.activePods("parent")[0], succeeded: true)
    driver.deleteJob("parent", .orphan)
    #expect(!driver.exists("parent"))
    #expect(driver.pods("parent").count == 400)
    for pod in driver.pods("parent") {
      #expect(pod.meta.ownerReferences.isEmpty && pod.meta.finalizers.isEmpty && pod.meta.deletionTimestamp == nil)
    }
    try driver.restart()
    #expect(driver.pods("parent").count == 400)
  }

  @Test("a Job of the same name made after the old one's deletion does not touch the old one's pods")
  func sameName() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("again")
    let old = try #require(driver.pods("again").first)
    driver.deleteJob("again", .orphan)
    var meta = ObjectMeta()
    meta.name = "again"
    meta.namespace = "default"
    meta.uid = "uid-second"
    driver.core.insert(
      .job(
        Job(
          meta: meta,
          spec: JobSpec(json: [
            "parallelism": 0, "completions": 1,
            "selector": ["matchLabels": ["batch.kubernetes.io/controller-uid": "uid-second"]],
            "template": ["spec": ["restartPolicy": "Never", "containers": []]],
          ]))))
    driver.settle()
    #expect(driver.core.state.pods[old.meta.key]?.meta.ownerReferences.isEmpty == true)
    driver.deleteJob("again", .background)
    #expect(driver.core.state.pods[old.meta.key] != nil)
  }

  @Test("deletion goes on where a restart cut it off")
  func restartMidway() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("cut", ["completions": 600, "parallelism": 600])
    driver.core.deleteObject(
      ObjectReference(kind: .jobs, key: WorkloadsDriver.key("cut")), propagation: .background, graceSeconds: nil)
    driver.step()
    #expect(!driver.exists("cut"))
    #expect(!driver.pods("cut").isEmpty)
    try driver.restart()
    #expect(driver.pods("cut").isEmpty)
  }

  // MARK: Owners

  @Test("an owner that never existed, or has another uid or name, makes garbage; a right one keeps")
  func dangling() throws {
    var driver = try WorkloadsDriver()
    driver.createObject(.configmaps, "owner", uid: "u1")
    let kept = driver.createObject(.configmaps, "kept", owners: [WorkloadsDriver.owner("owner", uid: "u1")])
    for (name, owner) in [
      ("never", WorkloadsDriver.owner("nobody", uid: "u9")), ("uid", WorkloadsDriver.owner("owner", uid: "u2")),
      ("name", WorkloadsDriver.owner("other", uid: "u1")),
      ("kind", WorkloadsDriver.owner("owner", uid: "u1", kind: .secrets)),
    ] {
      let reference = driver.createObject(.configmaps, name, owners: [owner])
      #expect(driver.core.state[reference] == nil, "\(name) has no owner")
    }
    #expect(driver.core.state[kept] != nil)
    driver.delete(ObjectReference(kind: .configmaps, key: WorkloadsDriver.key("owner")), .background)
    #expect(driver.core.state[kept] == nil)
  }

  @Test("a second owner keeps the object and loses only the reference to the first")
  func secondOwner() throws {
    var driver = try WorkloadsDriver()
    let first = driver.createObject(.configmaps, "first", uid: "u1")
    let second = driver.createObject(.configmaps, "second", uid: "u2")
    let shared = driver.createObject(
      .configmaps, "shared",
      owners: [WorkloadsDriver.owner("first", uid: "u1", blocks: true), WorkloadsDriver.owner("second", uid: "u2")])
    driver.delete(first, .foreground)
    #expect(driver.core.state[first] == nil)
    #expect(driver.core.state[shared]?.meta.ownerReferences.map(\.uid) == ["u2"])
    driver.delete(second, .background)
    #expect(driver.core.state[shared] == nil)
  }

  @Test("an owner of a kind that is not stored here is never taken for gone")
  func unknownKind() throws {
    var driver = try WorkloadsDriver()
    let owner = OwnerReference(apiVersion: "example.com/v1", kind: "Widget", name: "w", uid: "u7")
    let kept = driver.createObject(.configmaps, "kept", owners: [owner])
    driver.createObject(.configmaps, "dead", uid: "u8")
    driver.delete(ObjectReference(kind: .configmaps, key: WorkloadsDriver.key("dead")), .background)
    #expect(driver.core.state[kept] != nil)
  }

  @Test("an owner in another namespace does not count; the dependent is told and collected")
  func foreignNamespace() throws {
    var driver = try WorkloadsDriver()
    driver.createObject(.configmaps, "owner", namespace: "kube-system", uid: "u1")
    let reference = driver.createObject(.configmaps, "stray", owners: [WorkloadsDriver.owner("owner", uid: "u1")])
    #expect(driver.core.state[reference] == nil)
    #expect(
      driver.events("stray", component: "garbage-collector-controller") == [
        "OwnerRefInvalidNamespace ownerRef [v1/ConfigMap, namespace: default, name: owner, uid: u1] "
          + "does not exist in namespace \"default\""
      ])
  }

  @Test("an object that owns itself does not wait for itself in foreground deletion")
  func ownOwner() throws {
    var driver = try WorkloadsDriver()
    let reference = driver.createObject(
      .configmaps, "self", uid: "u1", owners: [WorkloadsDriver.owner("self", uid: "u1", blocks: true)])
    driver.delete(reference, .foreground)
    #expect(driver.core.state[reference] == nil)
  }

  @Test("foreground waits for blocking dependents only")
  func blocking() throws {
    var driver = try WorkloadsDriver()
    let owner = driver.createObject(.configmaps, "owner", uid: "u1")
    let blocking = driver.createPod("blocking", owners: [WorkloadsDriver.owner("owner", uid: "u1", blocks: true)])
    let free = driver.createPod("free", owners: [WorkloadsDriver.owner("owner", uid: "u1")])
    for pod in [blocking, free] { driver.holdBack(pod) }
    driver.delete(owner, .foreground)
    #expect(driver.core.state[owner] != nil)
    driver.letGo(blocking)
    #expect(driver.core.state[owner] == nil)
    #expect(driver.core.state.pods[free.meta.key]?.meta.deletionTimestamp != nil)
  }

  @Test("chains fall: background from the top, foreground from the bottom")
  func chains() throws {
    for propagation in [Propagation.background, .foreground] {
      var driver = try WorkloadsDriver()
      let top = driver.createObject(.configmaps, "top", uid: "u1")
      driver.createObject(
        .configmaps, "middle", uid: "u2", owners: [WorkloadsDriver.owner("top", uid: "u1", blocks: true)])
      driver.createObject(
        .configmaps, "bottom", uid: "u3", owners: [WorkloadsDriver.owner("middle", uid: "u2", blocks: true)])
      driver.delete(top, propagation)
      #expect(driver.core.state.count(of: .configmaps) == 0)
    }
  }

  @Test("a cycle stands as long as nobody deletes from it, and falls with one member", arguments: [true, false])
  func cycle(foreground: Bool) throws {
    var driver = try WorkloadsDriver()
    let one = driver.createObject(.configmaps, "one", uid: "u1")
    driver.createObject(.configmaps, "two", uid: "u2", owners: [WorkloadsDriver.owner("one", uid: "u1", blocks: true)])
    driver.core.update(one) { $0.meta.ownerReferences = [WorkloadsDriver.owner("two", uid: "u2", blocks: true)] }
    driver.settle()
    #expect(driver.core.state.count(of: .configmaps) == 2)
    driver.delete(one, foreground ? .foreground : .background)
    #expect(driver.core.state.count(of: .configmaps) == 0)
  }

  @Test("a finalizer holds an object back; taking the last one away removes it")
  func finalizers() throws {
    var driver = try WorkloadsDriver()
    let reference = driver.createObject(.configmaps, "held")
    driver.core.update(reference) { $0.meta.finalizers = ["example.com/a", "example.com/b"] }
    driver.delete(reference, .background)
    #expect(driver.core.state[reference]?.meta.deletionTimestamp != nil)
    driver.core.update(reference) { $0.meta.finalizers = ["example.com/b"] }
    driver.settle()
    #expect(driver.core.state[reference] != nil)
    driver.core.update(reference) { $0.meta.finalizers = [] }
    driver.settle()
    #expect(driver.core.state[reference] == nil)
  }

  // MARK: Namespaces and adoption

  @Test("the first start makes the namespaces, later ones leave them")
  func firstStart() throws {
    var driver = try WorkloadsDriver()
    let before = driver.core.state.other(.namespaces, ObjectKey(namespace: "", name: "default"))
    #expect(before != nil)
    #expect(driver.core.state.other(.namespaces, ObjectKey(namespace: "", name: "kube-system")) != nil)
    try driver.restart()
    #expect(
      driver.core.state.other(.namespaces, ObjectKey(namespace: "", name: "default"))?.meta.uid == before?.meta.uid)
  }

  @Test("a namespace goes after its content, Jobs make nothing in it any more")
  func namespace() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("inside", ["completions": 500, "parallelism": 500])
    driver.createObject(.configmaps, "map")
    let held = driver.createPod("held")
    driver.holdBack(held)
    let reference = ObjectReference(kind: .namespaces, key: ObjectKey(namespace: "", name: "default"))
    driver.delete(reference, .background)
    guard case .other(let namespace)? = driver.core.state[reference] else {
      Issue.record("the namespace went before its content")
      return
    }
    #expect(namespace.body["status"]?["phase"] == "Terminating")
    #expect(driver.pods().map(\.meta.name) == ["held"])
    #expect(driver.core.state.count(of: .configmaps) == 1 && driver.core.state.count(of: .jobs) == 1)
    try driver.restart()
    #expect(driver.core.state[reference]?.meta.uid == namespace.meta.uid)
    driver.letGo(held)
    // Gone, and made again: every cluster has it. It holds its ServiceAccount.
    let next = driver.core.state[reference]
    #expect(next != nil && next?.meta.uid != namespace.meta.uid && next?.meta.deletionTimestamp == nil)
    #expect(driver.core.workloads.contents["default"]?.total == 1)
  }
}
