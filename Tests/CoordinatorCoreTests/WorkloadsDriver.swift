// Plays the store, the clock and the nodes for the workload controllers' tests: collects what is persisted, lets time
// pass, ends pods. It knows only the core's own doors: steps, the change funnel and the deletion calls.

import ClusterProto
import Testing

@testable import CoordinatorCore

struct WorkloadsDriver {
  static let hold = "example.com/hold"

  var core: CoordinatorCore
  var now = Now(boot: BootTime(milliseconds: 1_000_000), wall: WallTime(nanoseconds: 1_800_000_000_000_000_000))
  var configuration: CoordinatorConfiguration
  private var rows: [String: StoreRow] = [:]
  private var wake: BootTime?
  /// Objects that one step wrote, at most.
  var largestTurn = 0
  /// Objects that all steps wrote, events aside.
  var written = 0

  init(_ configuration: CoordinatorConfiguration = CoordinatorConfiguration(), seed: UInt64 = 1) throws {
    self.configuration = configuration
    core = try CoordinatorCore(configuration: configuration, rows: [], seed: seed, now: now)
    settle()
  }

  // MARK: Time and store

  /// Steps until nothing is due now.
  mutating func settle() {
    for _ in 0..<10_000 {
      step()
      guard let wake, wake <= now.boot else { return }
    }
    Issue.record("the core never comes to rest")
  }

  mutating func step() {
    var touched = 0
    for effect in core.step([.timer], at: now) {
      switch effect {
      case .persist(let write):
        let key = "\(write.table.rawValue) \(write.key)"
        if write.table == .objects, !write.key.hasPrefix("events/") { touched += 1 }
        rows[key] = write.value.map { StoreRow(table: write.table, key: write.key, value: $0) }
      case .wake(let at): wake = at
      default: break
      }
    }
    largestTurn = max(largestTurn, touched)
    written += touched
  }

  /// Lets time pass, stopping at every wake-up on the way.
  mutating func advance(seconds: Double) {
    let end = now.boot + Int64(seconds * 1000)
    settle()
    while let next = wake, next <= end {
      let gap = next - now.boot
      now.boot = next
      now.wall = now.wall.adding(milliseconds: gap)
      core.now = now
      settle()
    }
    now.wall = now.wall.adding(milliseconds: end - now.boot)
    now.boot = end
    core.now = now
    settle()
  }

  /// The process dies and starts again on its rows; `away` passes on both clocks in between.
  /// `setting`: by how many seconds the wall clock is set ahead meanwhile.
  mutating func restart(away seconds: Double = 0, setting jump: Int64 = 0, seed: UInt64 = 99) throws {
    now.boot = now.boot + Int64(seconds * 1000)
    now.wall = now.wall.adding(milliseconds: Int64(seconds * 1000)).adding(milliseconds: jump * 1000)
    core = try CoordinatorCore(
      configuration: configuration, rows: rows.values.sorted { $0.key > $1.key }, seed: seed, now: now)
    settle()
  }

  /// What the store holds of an object, and what memory holds of it, as text.
  var storedObjects: [String: String] {
    var result: [String: String] = [:]
    for row in rows.values where row.table == .objects && !row.key.hasPrefix("events/") {
      result[row.key] = String(decoding: row.value, as: UTF8.self)
    }
    return result
  }

  /// The same for what memory holds.
  var heldObjects: [String: String] {
    var state = core.state
    var result: [String: String] = [:]
    for kind in Kind.allCases where kind != .events {
      for key in state.keys(of: kind) {
        let write = core.row(of: ObjectReference(kind: kind, key: key))
        result[write.key] = String(decoding: write.value ?? [], as: UTF8.self)
      }
    }
    return result
  }

  /// A core made from the rows as they are, not stepped.
  func rebuilt() throws -> CoordinatorCore {
    try CoordinatorCore(configuration: configuration, rows: rows.values.sorted { $0.key < $1.key }, seed: 5, now: now)
  }

  func fact(_ name: String) -> StoreRow? { rows["facts \(name)"] }
  func jobRecord(_ uid: String) -> StoreRow? { rows["jobrecords \(uid)"] }

  // MARK: Jobs

  static func key(_ name: String) -> ObjectKey { ObjectKey(namespace: "default", name: name) }

  /// Creates a Job as the API layer would hand it over: defaulted, with selector and labels. `spec` is laid over.
  mutating func createJob(
    _ name: String, restartPolicy: String = "Never", resources: JSON = [:], annotations: StringMap = [:],
    _ members: [String: JSON] = [:]
  ) {
    let uid = "uid-\(name)"
    let labels: JSON = [
      "batch.kubernetes.io/controller-uid": .string(uid), "batch.kubernetes.io/job-name": .string(name),
      "controller-uid": .string(uid), "job-name": .string(name),
    ]
    var spec: JSON = [
      "parallelism": 1, "completions": 1, "backoffLimit": 6, "suspend": false, "manualSelector": false,
      "completionMode": "NonIndexed", "podReplacementPolicy": "TerminatingOrFailed",
      "selector": ["matchLabels": ["batch.kubernetes.io/controller-uid": .string(uid)]],
      "template": [
        "metadata": ["labels": labels],
        "spec": [
          "restartPolicy": .string(restartPolicy), "terminationGracePeriodSeconds": 30,
          "containers": [["name": "main", "image": "busybox", "command": ["true"], "resources": resources]],
        ],
      ],
    ]
    for (key, value) in members { spec[key] = value.isNull ? nil : value }
    var meta = ObjectMeta()
    meta.name = name
    meta.namespace = "default"
    meta.uid = uid
    meta.annotations = annotations
    core.insert(.job(Job(meta: meta, spec: JobSpec(json: spec))))
    settle()
  }

  mutating func editJob(_ name: String, _ members: [String: JSON]) {
    core.updateJob(Self.key(name)) { job in
      var json = job.spec.json
      for (key, value) in members { json[key] = value.isNull ? nil : value }
      job.spec = JobSpec(json: json, sharing: job.spec.podSpec)
      job.meta.generation += 1
    }
    settle()
  }

  mutating func annotateJob(_ name: String, _ annotation: String, _ value: String?) {
    core.updateJob(Self.key(name)) { $0.meta.annotations[annotation] = value }
    settle()
  }

  func job(_ name: String) throws -> Job { try #require(core.state.jobs[Self.key(name)], "Job \(name) is gone") }
  func exists(_ name: String) -> Bool { core.state.jobs[Self.key(name)] != nil }
  func status(_ name: String) throws -> JobStatus { try job(name).status }

  /// The condition's reason if the condition is True.
  func reason(_ name: String, _ condition: String) throws -> String? {
    try status(name).condition(condition).flatMap { $0.isTrue ? $0.reason : nil }
  }

  mutating func deleteJob(_ name: String, _ propagation: Propagation) {
    core.deleteObject(
      ObjectReference(kind: .jobs, key: Self.key(name)), propagation: propagation, graceSeconds: nil)
    settle()
  }

  // MARK: Pods

  /// All pods of the Job by name, or of the whole namespace.
  func pods(_ job: String? = nil) -> [Pod] {
    var state = core.state
    return state.keys(of: .pods, in: "default").compactMap { core.state.pods[$0] }.filter { pod in
      job == nil || pod.meta.labels["job-name"] == job
    }
  }

  /// Pods that neither ended nor are being deleted.
  func activePods(_ job: String) -> [Pod] {
    pods(job).filter { !$0.status.phase.isTerminal && $0.meta.deletionTimestamp == nil }
  }

  mutating func run(_ pod: Pod, ready: Bool = true) {
    let stamp = core.stamp
    core.updatePod(pod.meta.key) { pod in
      pod.status.phase = .running
      pod.status.set(Condition(type: "Ready", status: ready ? "True" : "False", lastTransition: stamp))
      pod.status.containers = [
        ContainerStatus(name: "main", image: "busybox", state: .running(startedAt: stamp), ready: ready)
      ]
    }
    settle()
  }

  /// Ends a pod as an agent's report would.
  mutating func end(
    _ pod: Pod, succeeded: Bool, finishedAt: WallTime? = nil, lost: Bool = false, disruption: String? = nil,
    settling: Bool = true
  ) {
    let stamp = core.stamp
    core.updatePod(pod.meta.key) { pod in
      pod.status.phase = succeeded ? .succeeded : .failed
      pod.status.containers = [
        ContainerStatus(
          name: "main", image: "busybox",
          state: .terminated(
            ContainerState.Termination(
              exitCode: succeeded ? 0 : 1, reason: succeeded ? "Completed" : "Error", startedAt: stamp,
              finishedAt: finishedAt ?? stamp)))
      ]
      pod.status.set(Condition(type: "Ready", status: "False", lastTransition: stamp))
      if let reason = disruption ?? (lost ? "DeletionByTaintManager" : nil) {
        pod.status.set(
          Condition(type: "DisruptionTarget", status: "True", reason: reason, lastTransition: stamp))
      }
    }
    core.podAttemptEnded(pod.meta.key, podUID: pod.meta.uid)
    if settling { settle() }
  }

  mutating func setRestarts(_ pod: Pod, _ count: Int64) {
    let stamp = core.stamp
    core.updatePod(pod.meta.key) { pod in
      pod.status.phase = .running
      pod.status.containers = [
        ContainerStatus(name: "main", image: "busybox", state: .running(startedAt: stamp), restartCount: count)
      ]
    }
    settle()
  }

  mutating func deletePod(_ pod: Pod, graceSeconds: Int64? = nil) {
    core.deletePod(pod.meta.key, graceSeconds: graceSeconds)
    settle()
  }

  /// A finalizer of somebody else keeps the pod terminating until `letGo`.
  mutating func holdBack(_ pod: Pod) { core.updatePod(pod.meta.key) { $0.meta.finalizers.append(Self.hold) } }

  mutating func letGo(_ pod: Pod) {
    core.updatePod(pod.meta.key) { pod in pod.meta.finalizers.removeAll { $0 == Self.hold } }
    settle()
  }

  mutating func createPod(_ name: String, labels: StringMap = [:], owners: [OwnerReference] = [], node: String? = nil)
    -> Pod
  {
    var meta = ObjectMeta()
    meta.name = name
    meta.namespace = "default"
    meta.labels = labels
    meta.ownerReferences = owners
    let spec = PodSpec(json: ["restartPolicy": "Never", "containers": [["name": "main", "image": "busybox"]]])
    let pod = Pod(meta: meta, spec: spec, nodeName: node)
    guard case .pod(let inserted) = core.insert(.pod(pod)) else { return pod }
    settle()
    return core.state.pods[inserted.meta.key] ?? inserted
  }

  // MARK: Other objects

  @discardableResult
  mutating func createObject(
    _ kind: Kind, _ name: String, namespace: String = "default", uid: String = "", owners: [OwnerReference] = []
  ) -> ObjectReference {
    var meta = ObjectMeta()
    meta.name = name
    meta.namespace = kind.isNamespaced ? namespace : ""
    meta.uid = uid
    meta.ownerReferences = owners
    let object = core.insert(.other(GenericObject(kind: kind, meta: meta)))
    settle()
    return object.reference
  }

  static func owner(_ name: String, uid: String, kind: Kind = .configmaps, blocks: Bool? = nil) -> OwnerReference {
    OwnerReference(apiVersion: kind.apiVersion, kind: kind.name, name: name, uid: uid, blockOwnerDeletion: blocks)
  }

  mutating func delete(_ reference: ObjectReference, _ propagation: Propagation) {
    core.deleteObject(reference, propagation: propagation, graceSeconds: nil)
    settle()
  }

  /// `reason message` of the Job controller's events about an object, by age.
  func events(_ name: String, component: String = "job-controller") -> [String] {
    var state = core.state
    return state.keys(of: .events).compactMap { core.state.other(.events, $0) }
      .filter { event in
        let body = JSON.object(event.body)
        return body[path: ["involvedObject", "name"]]?.stringValue == name
          && body[path: ["source", "component"]]?.stringValue == component
      }
      .sorted { $0.meta.resourceVersion < $1.meta.resourceVersion }
      .map { "\($0.body["reason"]?.stringValue ?? "") \($0.body["message"]?.stringValue ?? "")" }
  }
}
