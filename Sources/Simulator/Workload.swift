// What simulated users do: submit Jobs of many shapes, delete pods and take them away, suspend, resize and resume,
// write a wrong status, delete Jobs; and what must be true of each Job at the end. Resubmits after a lost answer, as
// people do.

import ClusterProto
import CoordinatorCore

final class Workload {
  /// One Job that a user means to have run.
  private struct Wish {
    var name: String
    var completions: Int64?
    var parallelism: Int64
    var backoffLimit: Int64
    var restartPolicy: String
    var program: SimProgram
    /// Members of the spec that say more: indexes and policies.
    var policies = WishedPolicies()
    var placement = WishedPlacement()
    var care = WishedCare()
    var isBounded = false
    /// It bears the taints of a node that is short of something.
    var bearsShortages = false
    var isAcknowledged = false
    var isDeleted = false
    /// It was seen to be terminal: there is nothing to resume.
    var hasEnded = false
    /// Pods are deleted or the Job is suspended by hand: then failures are charged that the program did not make.
    var isMeddledWith = false
  }

  private let cluster: SimCluster
  private let world: World
  private var wishes: [Wish] = []
  private let meanPause: TrueTime
  /// There is less room than the users want.
  private let isTight: Bool
  private var isOver = false
  /// Where containers have probes and hooks: what draws them.
  var cares: SplitMix64?
  /// Some of these probes end their containers.
  var caresEnd = false
  /// Where containers have limits of what they may keep on the disk: what draws them.
  var bounds: SplitMix64?
  /// Where people add containers to pods that run: what draws when.
  var debugs: SplitMix64?

  init(cluster: SimCluster) {
    self.cluster = cluster
    world = cluster.world
    isTight = world.chance(0.4)
    meanPause = world.pickRare(20_000_000...(isTight ? 40_000_000 : 120_000_000))
  }

  var jobCount: Int { wishes.count }

  func begin() {
    makeClasses()
    scheduleSubmission()
    scheduleMeddling()
    scheduleDebugging()
  }

  /// The coordinator's store is older than what it has answered: what it may have lost is submitted again.
  func storeWasRestored() {
    makeClasses()
    for index in wishes.indices where wishes[index].isAcknowledged && !wishes[index].isDeleted {
      wishes[index].isAcknowledged = false
      wishes[index].isMeddledWith = true
      submit(index)
    }
  }

  /// No more Jobs; suspended ones are resumed.
  func end() {
    isOver = true
    for wish in wishes where !wish.isDeleted && !wish.hasEnded { resume(wish) }
  }

  /// Jobs whose class is not there yet, or no longer, wait for it.
  private func makeClasses() {
    for body in WishedPlacement.classes { make(body) }
  }

  private func make(_ priorityClass: JSON) {
    var isMade = false
    cluster.request(APIRequest(verb: .create, kind: .priorityclasses, body: priorityClass)) { [self] code, object in
      isMade = code == 201 || code == 409
      if !isMade { world.violated("creating a PriorityClass is answered \(code): \(object.text)") }
    }
    world.after(10_000_000 * world.pace.beat) { [self] in if !isMade { make(priorityClass) } }
  }

  private func scheduleSubmission() {
    world.after(world.delay(mean: meanPause)) { [self] in
      guard !isOver else { return }
      submitNew()
      scheduleSubmission()
    }
  }

  private func submitNew() {
    let name = "job-\(wishes.count)"
    let shape = world.pick(0...5)
    let completions: Int64? = shape == 0 ? nil : world.pick(1...8)
    let parallelism = shape <= 2 ? 1 : world.pick(1...6)
    let low = world.chance(0.15) ? world.pickRare(60_000...240_000) : world.pickRare(100...20_000)
    let fail = world.chance(0.5) ? 0 : world.chance(0.1) ? 100 : world.pick(5...40)
    let program = SimProgram([
      "sim", name, String(low), String(low + world.pickRare(0...30_000)), String(fail),
    ])
    guard let program else { return }
    let limit = fail == 100 ? world.pick(0...2) : 1_000
    let policies = WishedPolicies(world, completions: completions, failsAlways: fail == 100)
    let placement = WishedPlacement(world, job: name, isTight: isTight, mayEnd: fail != 100)
    wishes.append(
      Wish(
        name: name, completions: completions, parallelism: parallelism, backoffLimit: limit,
        restartPolicy: policies.needNever || world.chance(0.5) ? "Never" : "OnFailure", program: program,
        policies: policies, placement: placement))
    if var random = cares {
      wishes[wishes.count - 1].care = WishedCare(&random, ends: caresEnd, pace: world.pace)
      cares = random
    }
    if var random = bounds {
      wishes[wishes.count - 1].isBounded = random.below(3) == 0
      wishes[wishes.count - 1].bearsShortages = random.below(3) == 0
      bounds = random
    }
    cluster.ledger.require(placement.milliCPU, job: name)
    cluster.ledger.allow(job: name, atOnce: Int(min(parallelism, completions ?? parallelism)))
    submit(wishes.count - 1)
  }

  private func submit(_ index: Int) {
    let wish = wishes[index]
    var container: JSON = [
      "name": "main", "image": "none", "command": .array(wish.program.arguments.map { .string($0) }),
      "resources": ["requests": ["cpu": .string("\(wish.placement.milliCPU)m")]],
    ]
    wish.care.add(to: &container)
    if wish.isBounded {
      container[path: ["resources", "limits"]] = ["ephemeral-storage": .string(SimPressure.limit)]
    }
    var spec: JSON = [
      "parallelism": .int(wish.parallelism), "backoffLimit": .int(wish.backoffLimit),
      "template": [
        "spec": [
          "restartPolicy": .string(wish.restartPolicy),
          "terminationGracePeriodSeconds": .int(world.pick(0...10)),
          "containers": [container],
        ]
      ],
    ]
    if let completions = wish.completions { spec["completions"] = .int(completions) }
    wish.policies.add(to: &spec)
    wish.placement.add(to: &spec)
    if wish.bearsShortages {
      let keys = NodePressure.allCases.map(\.taint)
      spec[path: ["template", "spec", "tolerations"]] = .array(
        keys.map { ["key": .string($0), "operator": "Exists"] })
    }
    var metadata: JSON = ["name": .string(wish.name)]
    wish.policies.annotate(&metadata)
    let body: JSON = ["apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec]
    world.record("submit \(wish.name)")
    cluster.request(APIRequest(verb: .create, kind: .jobs, namespace: "default", body: body)) { [self] code, object in
      if code == 201 || code == 409 {
        wishes[index].isAcknowledged = true
      } else {
        world.violated("creating \(wish.name) is answered \(code): \(object.text)")
      }
    }
    world.after(10_000_000 * world.pace.beat) { [self] in if !wishes[index].isAcknowledged { submit(index) } }
  }

  private func scheduleMeddling() {
    world.after(world.delay(mean: meanPause * 3)) { [self] in
      guard !isOver else { return }
      if !wishes.isEmpty { meddle(Int(world.pick(0...Int64(wishes.count - 1)))) }
      scheduleMeddling()
    }
  }

  private func scheduleDebugging() {
    guard var random = debugs else { return }
    let pause = TrueTime(1_000_000 + random.below(60_000_000)) * world.pace.rarity
    let (choice, length) = (random.next(), 100 + random.below(60_000))
    debugs = random
    world.after(pause) { [self] in
      guard !isOver else { return }
      if !wishes.isEmpty { debug(wishes[Int(choice % UInt64(wishes.count))], "debug-\(choice)", length) }
      scheduleDebugging()
    }
  }

  /// `kubectl debug` of some pod of the Job.
  private func debug(_ wish: Wish, _ container: String, _ milliseconds: UInt64) {
    guard wish.isAcknowledged, !wish.isDeleted else { return }
    let added: JSON = [
      "name": .string(container), "image": "none",
      "command": .array(["debug", wish.name, "100", String(100 + milliseconds), "30"].map { .string($0) }),
    ]
    choosePod(of: wish.name) { [self] name in
      world.record("debug a pod of \(wish.name)")
      patch(.pods, name, ["spec": ["ephemeralContainers": [added]]], subresource: "ephemeralcontainers", .strategic)
    }
  }

  private func meddle(_ index: Int) {
    guard wishes[index].isAcknowledged, !wishes[index].isDeleted else { return }
    let name = wishes[index].name
    wishes[index].isMeddledWith = true
    switch world.pick(0...8) {
    case 0: change(index, ["suspend": true])
    case 1: change(index, ["parallelism": .int(world.pick(0...wishes[index].parallelism))])
    case 2 where world.chance(0.5):
      wishes[index].isDeleted = true
      world.record("delete \(name)")
      deleteJob(name)
    case 3: takeAway(["ownerReferences": .null], from: name)
    case 4 where world.chance(0.5): takeAway(["labels": .null], from: name)
    case 5:
      world.record("write the status of \(name)")
      patch(.jobs, name, ["status": wrongStatus(of: wishes[index])], subresource: "status")
    default: deletePod(of: name)
    }
  }

  /// Whatever of it is taken, the controller goes on with what it knows. No successes that nobody had: those would
  /// stand.
  private func wrongStatus(of wish: Wish) -> JSON {
    var drawn: [JSON] = [
      ["active": .int(world.pick(0...9)), "ready": 0], ["failed": .int(world.pick(0...4))], ["conditions": []],
      ["startTime": .null, "terminating": 3], ["succeeded": 0],
    ]
    if wish.policies.isIndexed {
      drawn += [
        ["completedIndexes": ""], ["completedIndexes": .null, "failedIndexes": .null, "succeeded": 0],
        ["succeeded": .int(world.pick(0...9))],
      ]
    }
    return world.choose(drawn) ?? .null
  }

  /// Changes the Job's spec, and takes it back a while later.
  private func change(_ index: Int, _ spec: JSON) {
    world.record("change \(wishes[index].name) to \(spec.text)")
    patch(.jobs, wishes[index].name, ["spec": spec])
    world.after(world.pickRare(1_000_000...60_000_000)) { [self] in
      if !wishes[index].isDeleted { resume(wishes[index]) }
    }
  }

  private func resume(_ wish: Wish) {
    world.record("resume \(wish.name)")
    patch(.jobs, wish.name, ["spec": ["suspend": false, "parallelism": .int(wish.parallelism)]])
  }

  private func patch(
    _ kind: Kind, _ name: String, _ patch: JSON, subresource: String = "", _ patchKind: PatchKind = .merge
  ) {
    var options = APIOptions()
    options.patchKind = patchKind
    cluster.request(
      APIRequest(
        verb: .patch, kind: kind, namespace: "default", name: name, subresource: subresource, options: options,
        body: patch)
    ) { _, _ in }
  }

  private func takeAway(_ metadata: JSON, from job: String) {
    choosePod(of: job) { [self] name in
      world.record("take \(metadata.text) of a pod of \(job)")
      // It may be nobody's then, and runs on beside the one in its place.
      cluster.ledger.allowOneMore(job: job)
      patch(.pods, name, ["metadata": metadata])
    }
  }

  private func choosePod(of job: String, _ then: @escaping (String) -> Void) {
    var options = APIOptions()
    options.labelSelector = "batch.kubernetes.io/job-name=\(job)"
    cluster.request(APIRequest(verb: .list, kind: .pods, namespace: "default", options: options)) {
      [self] _, list in
      if let name = world.choose(list["items"]?.arrayValue ?? [])?[path: ["metadata", "name"]]?.stringValue {
        then(name)
      }
    }
  }

  private func deleteJob(_ name: String) {
    var options = APIOptions()
    options.propagationPolicy = world.chance(0.5) ? "Background" : "Foreground"
    cluster.request(
      APIRequest(verb: .delete, kind: .jobs, namespace: "default", name: name, options: options)
    ) { _, _ in }
  }

  private func deletePod(of job: String) {
    choosePod(of: job) { [self] name in
      world.record("delete pod of \(job)")
      var options = APIOptions()
      if world.chance(0.2) {
        // On a node that is away this is a person's assertion, outside promise 1 (v): one more copy may run.
        options.gracePeriodSeconds = 0
        cluster.ledger.allowOneMore(job: job)
        cluster.ledger.forget(job: job)
      }
      cluster.request(
        APIRequest(verb: .delete, kind: .pods, namespace: "default", name: name, options: options)
      ) { _, _ in }
    }
  }

  /// Asks for every Job and judges it (H1, H2, H6); `finished` gets the Jobs that are not terminal yet.
  func judge(_ finished: @escaping ([String]) -> Void) {
    cluster.request(APIRequest(verb: .list, kind: .jobs, namespace: "default")) { [self] code, list in
      guard code == 200 else { return world.violated("listing Jobs is answered \(code)") }
      var byName: [String: JSON] = [:]
      for job in list["items"]?.arrayValue ?? [] {
        byName[job[path: ["metadata", "name"]]?.stringValue ?? ""] = job
      }
      var open: [String] = []
      var ended: Set<String> = []
      for wish in wishes where wish.isAcknowledged {
        if wish.isDeleted { continue }
        guard let job = byName[wish.name] else {
          let mayFail = wish.program.failPercent == 100 || wish.policies.mayStarve
          if mayFail, wish.policies.failedGoes { continue }
          world.violated("H1: \(wish.name) was acknowledged and is gone")
          continue
        }
        if judge(wish, job) { ended.insert(wish.name) } else { open.append(wish.name) }
      }
      for index in wishes.indices where ended.contains(wishes[index].name) { wishes[index].hasEnded = true }
      finished(open)
    }
  }

  /// False while the Job is not terminal.
  private func judge(_ wish: Wish, _ job: JSON) -> Bool {
    let status = JobStatus(json: job["status"])
    let real = cluster.ledger.successes[wish.name] ?? 0
    if wish.policies.ownSuccesses(status) > real {
      world.violated("H2: \(wish.name) shows \(status.succeeded) successes, \(real) were real")
    }
    guard let condition = status.finishedCondition else { return false }
    if let problem = wish.policies.problem(of: job, status, isMeddledWith: wish.isMeddledWith) {
      world.violated("\(wish.name) \(problem)")
    }
    let failsAlways = wish.program.failPercent == 100
    if condition.type == "Complete" {
      if failsAlways, !wish.isMeddledWith { world.violated("\(wish.name) is Complete and cannot be") }
      if let wanted = wish.policies.enough ?? wish.completions, status.succeeded < wanted {
        world.violated("\(wish.name) is Complete with \(status.succeeded) of \(wanted)")
      }
    } else if let problem = wish.policies.problem(of: status, completions: wish.completions ?? 0) {
      if failsAlways, wish.isMeddledWith { return true }
      world.violated("\(wish.name) is Failed: \(problem)")
    } else if wish.policies.decidesFailure, failsAlways {
      return true
    } else if !failsAlways, !wish.policies.hasStarved(job, condition.reason) {
      world.violated("\(wish.name) is Failed (\(condition.reason): \(condition.message)) and should be Complete")
    } else if wish.restartPolicy == "Never", !wish.isMeddledWith, status.failed < wish.backoffLimit + 1 {
      world.violated("\(wish.name) is Failed after \(status.failed) failures, its backoffLimit is \(wish.backoffLimit)")
    }
    return true
  }
}
