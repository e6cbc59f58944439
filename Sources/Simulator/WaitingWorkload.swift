// Simulated users of Jobs that wait: chains of Jobs, some in a queue, some gangs, some with indexes of which not all
// run or some fail, some after a Job that fails, some with a claim for one pod; who delete their pods, suspend and
// resume them; and how each must end. That none begins before its turn is looked at after each step
// (WaitingInvariants). Each word is repeated until answered.

import ClusterProto
import CoordinatorCore

final class WaitingWorkload {
  private struct Wish {
    var name: String
    /// How often its program fails, in percent.
    var failPercent: Int64
    var annotations: StringMap
    /// The Job that it waits for, and how that has to end.
    var other: (name: String, outcome: JobDependency.Outcome)?
    var pods: Int64
    var completions: Int64
    var isIndexed: Bool
    /// The first failure of an index is its last.
    var failsIndexes = false
    var isAcknowledged = false
    /// Its pods have a claim that one of them alone may use at a time.
    var isExclusive = false

    var fails: Bool { failPercent == 100 }

    /// How the Job may end once it has begun.
    var ends: [String] {
      if fails { return [failsIndexes ? "FailedIndexes" : "BackoffLimitExceeded"] }
      return failPercent > 0 ? ["FailedIndexes", "CompletionsReached"] : ["CompletionsReached"]
    }
  }

  private static let queue = "waiting"

  private let cluster: SimCluster
  private let world: World
  private var wishes: [Wish] = []
  private let count: Int
  /// What was answered may be gone.
  private var isForgotten = false
  private var isOver = false
  /// Names in the order of their acknowledgements.
  private var begun: [String] = []

  init(cluster: SimCluster) {
    self.cluster = cluster
    world = cluster.world
    count = Int(world.chance(0.5) ? 0 : world.pick(2...10))
  }

  func begin() {
    guard count > 0 else { return }
    let limits: JSON = world.chance(0.5) ? ["jobs": .string("\(world.pick(1...3))")] : ["pods": "4", "cpu": "3"]
    let body: JSON = [
      "metadata": ["name": .string(Self.queue)], "spec": ["limits": limits, "priority": .int(world.pick(0...3))],
    ]
    // Now and then its Jobs are there first.
    world.after(world.pickRare(1_000_000...90_000_000)) { [self] in
      insist(APIRequest(verb: .create, kind: .queues, body: body)) { _ in }
    }
    for number in 0..<count {
      draw(number)
      world.after(world.pickRare(1_000_000...600_000_000)) { [self] in submit(number) }
    }
    scheduleMeddling()
  }

  /// Nobody meddles any more.
  func end() {
    isOver = true
    for wish in wishes where wish.isAcknowledged { suspend(wish.name, false) {} }
  }

  private func draw(_ number: Int) {
    let name = "wait-\(number)"
    let pods = world.pick(1...3)
    var wish = Wish(
      name: name, failPercent: world.chance(0.2) ? 100 : 0, annotations: [:], pods: pods,
      completions: pods + world.pick(0...2), isIndexed: world.chance(0.5))
    if wish.isIndexed { drawIndexes(&wish) }
    if world.chance(0.6) { wish.annotations[JobAnnotation.queue] = Self.queue }
    if world.chance(0.4) { wish.annotations[JobAnnotation.gang] = "true" } else { wish.isExclusive = world.chance(0.4) }
    if number > 0, world.chance(0.6) {
      let other = "wait-\(world.pick(0...Int64(number - 1)))"
      let outcome = world.choose([JobDependency.Outcome.success, .success, .any, .failure]) ?? .any
      wish.other = (other, outcome)
      wish.annotations[JobAnnotation.dependsOn] = "\(other):\(outcome.rawValue)"
    }
    wishes.append(wish)
    cluster.ledger.allow(job: name, atOnce: wish.isExclusive ? 1 : Int(wish.pods))
  }

  /// Some of its indexes do not run, some fail for good while others go on.
  private func drawIndexes(_ wish: inout Wish) {
    if world.chance(0.4) {
      wish.failsIndexes = true
      if !wish.fails { wish.failPercent = 40 }
    }
    guard world.chance(0.4) else { return }
    var chosen = IndexIntervals()
    for index in 0..<wish.completions where world.chance(0.5) { chosen.insert(index) }
    // With none that runs it would succeed at once.
    if chosen.isEmpty { chosen.insert(0) }
    wish.annotations[JobAnnotation.indexes] = chosen.text
  }

  private func scheduleMeddling() {
    world.after(world.delay(mean: 10_000_000 * world.pace.rarity)) { [self] in
      guard !isOver else { return }
      // Of older ones most have ended.
      if let name = world.choose(Array(begun.suffix(3))) {
        if world.chance(0.3) {
          suspend(name, true) { [self] in
            world.after(world.pickRare(1_000_000...40_000_000)) { [self] in suspend(name, false) {} }
          }
        } else {
          deletePod(of: name)
        }
      }
      scheduleMeddling()
    }
  }

  private func suspend(_ name: String, _ isSuspended: Bool, _ done: @escaping () -> Void) {
    var options = APIOptions()
    options.patchKind = .merge
    let request = APIRequest(
      verb: .patch, kind: .jobs, namespace: "default", name: name, options: options,
      body: ["spec": ["suspend": .bool(isSuspended)]])
    world.record("\(isSuspended ? "suspend" : "resume") \(name)")
    insist(request) { _ in done() }
  }

  private func deletePod(of job: String) {
    var options = APIOptions()
    options.labelSelector = "batch.kubernetes.io/job-name=\(job)"
    cluster.request(APIRequest(verb: .list, kind: .pods, namespace: "default", options: options)) {
      [self] _, list in
      guard let name = world.choose(list["items"]?.arrayValue ?? [])?[path: ["metadata", "name"]]?.stringValue else {
        return
      }
      world.record("delete pod \(name)")
      cluster.request(APIRequest(verb: .delete, kind: .pods, namespace: "default", name: name)) { _, _ in }
    }
  }

  /// The coordinator's store is older than what it has answered.
  func storeWasRestored() { isForgotten = true }

  private func submit(_ number: Int) {
    let wish = wishes[number]
    let length = world.pickRare(100...20_000)
    let arguments = ["sim", wish.name, String(length), String(length + 5_000), String(wish.failPercent)]
    var body: JSON = [
      "apiVersion": "batch/v1", "kind": "Job",
      "metadata": ["name": .string(wish.name), "annotations": wish.annotations.json],
      "spec": [
        "parallelism": .int(wish.pods), "completions": .int(wish.completions),
        "backoffLimit": .int(wish.fails ? 0 : 1_000),
        "template": [
          "spec": [
            "restartPolicy": "Never",
            "containers": [
              [
                "name": "main", "image": "none", "command": .array(arguments.map { .string($0) }),
                "resources": ["requests": ["cpu": .string("\(world.pick(1...900))m")]],
              ]
            ],
          ]
        ],
      ],
    ]
    if wish.isExclusive {
      makeClaim(wish.name)
      body[path: ["spec", "template", "spec", "volumes"]] = [
        ["name": "v", "persistentVolumeClaim": ["claimName": .string(wish.name)]]
      ]
    }
    if wish.isIndexed { body[path: ["spec", "completionMode"]] = "Indexed" }
    if wish.failsIndexes {
      body[path: ["spec", "backoffLimit"]] = nil
      body[path: ["spec", "backoffLimitPerIndex"]] = 0
    }
    world.record("submit \(wish.name) \(wish.annotations.json.text)")
    insist(APIRequest(verb: .create, kind: .jobs, namespace: "default", body: body)) { [self] code in
      if code != 201, code != 409 { world.violated("creating \(wish.name) is answered \(code)") }
      wishes[number].isAcknowledged = true
      begun.append(wish.name)
    }
  }

  /// A claim for one pod, and a volume that every node reaches; in no order with their Job.
  private func makeClaim(_ name: String) {
    let modes: JSON = ["ReadWriteOncePod"]
    let volume: JSON = [
      "metadata": ["name": .string(name)],
      "spec": [
        "accessModes": modes, "capacity": ["storage": "1Gi"], "hostPath": ["path": "/srv"],
        "claimRef": ["namespace": "default", "name": .string(name)],
      ],
    ]
    let claim: JSON = [
      "metadata": ["name": .string(name)],
      "spec": [
        "accessModes": modes, "resources": ["requests": ["storage": "1Gi"]], "storageClassName": "",
      ],
    ]
    world.after(world.pick(0...2_000_000)) { [self] in
      insist(APIRequest(verb: .create, kind: .persistentvolumes, body: volume)) { _ in }
    }
    insist(APIRequest(verb: .create, kind: .persistentvolumeclaims, namespace: "default", body: claim)) { _ in }
  }

  /// Asks until an answer comes. The first one counts.
  private func insist(_ request: APIRequest, _ done: @escaping (Int) -> Void) {
    var isAnswered = false
    func ask() {
      guard !isAnswered else { return }
      cluster.request(request) { code, _ in
        guard !isAnswered else { return }
        isAnswered = true
        done(code)
      }
      world.after(10_000_000 * world.pace.beat) { ask() }
    }
    ask()
  }

  /// Asks for every Job and judges how it ended; `finished` gets those that have not.
  func judge(_ finished: @escaping ([String]) -> Void) {
    guard count > 0, !isForgotten else { return finished([]) }
    cluster.request(APIRequest(verb: .list, kind: .jobs, namespace: "default")) { [self] code, list in
      guard code == 200 else { return }
      var ends: [String: Condition] = [:]
      for job in list["items"]?.arrayValue ?? [] {
        let name = job[path: ["metadata", "name"]]?.stringValue ?? ""
        ends[name] = JobStatus(json: job["status"]).finishedCondition
      }
      let open = wishes.filter { $0.isAcknowledged && ends[$0.name] == nil }
      for wish in wishes where wish.isAcknowledged { judge(wish, ends) }
      finished(open.map(\.name))
    }
  }

  private func judge(_ wish: Wish, _ ends: [String: Condition]) {
    guard let end = ends[wish.name] else { return }
    var isMet = true
    if let other = wish.other {
      guard let before = ends[other.name] else {
        return world.violated("H13: \(wish.name) has ended and \(other.name), which it waits for, has not")
      }
      isMet = other.outcome == .any || (before.type == "Failed") == (other.outcome == .failure)
    }
    let wanted = isMet ? wish.ends : [JobAdmission.neverMet]
    if !wanted.contains(end.reason) {
      world.violated("H13: \(wish.name) has ended by \(end.reason), not by \(wanted.joined(separator: " or "))")
    }
  }
}
