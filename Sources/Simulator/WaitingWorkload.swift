// Simulated users of Jobs that wait: chains of Jobs, some in a queue, some gangs, some after a Job that fails; and how
// each of them must end. That none begins before its turn is looked at after each step (WaitingInvariants). Each word
// is repeated until it is answered.

import ClusterProto
import CoordinatorCore

final class WaitingWorkload {
  private struct Wish {
    var name: String
    var fails: Bool
    var annotations: StringMap
    /// The Job that it waits for, and how that has to end.
    var other: (name: String, outcome: JobDependency.Outcome)?
    var pods: Int64
    var isAcknowledged = false
  }

  private static let queue = "waiting"

  private let cluster: SimCluster
  private let world: World
  private var wishes: [Wish] = []
  private let count: Int
  /// What was answered may be gone.
  private var isForgotten = false

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
    world.after(world.pick(1_000_000...90_000_000)) { [self] in
      insist(APIRequest(verb: .create, kind: .queues, body: body)) { _ in }
    }
    for number in 0..<count {
      draw(number)
      world.after(world.pick(1_000_000...600_000_000)) { [self] in submit(number) }
    }
  }

  private func draw(_ number: Int) {
    let name = "wait-\(number)"
    var wish = Wish(name: name, fails: world.chance(0.2), annotations: [:], pods: world.pick(1...3))
    if world.chance(0.6) { wish.annotations[JobAnnotation.queue] = Self.queue }
    if world.chance(0.4) { wish.annotations[JobAnnotation.gang] = "true" }
    if number > 0, world.chance(0.6) {
      let other = "wait-\(world.pick(0...Int64(number - 1)))"
      let outcome = world.choose([JobDependency.Outcome.success, .success, .any, .failure]) ?? .any
      wish.other = (other, outcome)
      wish.annotations[JobAnnotation.dependsOn] = "\(other):\(outcome.rawValue)"
    }
    wishes.append(wish)
    cluster.ledger.allow(job: name, atOnce: Int(wish.pods))
  }

  /// The coordinator's store is older than what it has answered.
  func storeWasRestored() { isForgotten = true }

  private func submit(_ number: Int) {
    let wish = wishes[number]
    let length = world.pick(100...20_000)
    let arguments = ["sim", wish.name, String(length), String(length + 5_000), wish.fails ? "100" : "0"]
    let body: JSON = [
      "apiVersion": "batch/v1", "kind": "Job",
      "metadata": ["name": .string(wish.name), "annotations": wish.annotations.json],
      "spec": [
        "parallelism": .int(wish.pods), "completions": .int(wish.pods + world.pick(0...2)),
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
    world.record("submit \(wish.name) \(wish.annotations.json.text)")
    insist(APIRequest(verb: .create, kind: .jobs, namespace: "default", body: body)) { [self] code in
      if code != 201, code != 409 { world.violated("creating \(wish.name) is answered \(code)") }
      wishes[number].isAcknowledged = true
    }
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
      world.after(10_000_000) { ask() }
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
    let wanted = !isMet ? JobAdmission.neverMet : wish.fails ? "BackoffLimitExceeded" : "CompletionsReached"
    if end.reason != wanted { world.violated("H13: \(wish.name) has ended by \(end.reason), not by \(wanted)") }
  }
}
