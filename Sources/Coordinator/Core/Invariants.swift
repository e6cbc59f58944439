// What must be true of the coordinator's state after every step (I1–I8, I10, I11, I24), and of memory against the rows
// (I12). For the simulator and tests; it reads everything, changes nothing, and its cost goes with the size of the
// state.

import ClusterProto

/// Checks a coordinator's state after each step, remembering what must never go back.
package struct InvariantChecker: Sendable {
  private struct PodMemory {
    var uid: String
    var node: String?
    var rank: Int
    var spec: PodSpec
    var isPreempted: Bool
  }

  private struct JobMemory {
    var succeeded: Int64
    var failed: Int64
    var finished: String?
    var generation: Int64
    var spec: JobSpec
  }

  private var pods: [ObjectKey: PodMemory] = [:]
  private var jobs: [String: JobMemory] = [:]
  /// Of the step before: those above it are new in this one.
  private var lastAttempt: AttemptNumber?
  /// Pods that were seen to be preempted.
  package private(set) var preemptions = 0
  private var waiting = WaitingChecker()
  private var lastStep: BootTime?
  /// When the coordinator last went on after it had stood still: nothing is late that was due meanwhile.
  private var wentOnAt: BootTime?
  /// Without a step for so long it stood: agents that try to connect, or timers, wake it more often.
  private static let standstillMilliseconds: Int64 = 5_000

  /// A checker that has seen nothing yet.
  package init() {}

  /// What is violated now, each with its number in the list of invariants; empty when all hold. Looks at all objects.
  package mutating func check(_ core: CoordinatorCore) -> [String] {
    noteStep(core.now.boot)
    var found: [String] = []
    var state = core.state
    checkIdentities(core, &found)
    pods = [:].merging(state.keys(of: .pods).compactMap { check(pod: $0, core, &found) }) { first, _ in first }
    jobs = [:].merging(state.keys(of: .jobs).compactMap { check(job: $0, core, &found) }) { first, _ in first }
    checkWaiting(state.keys(of: .jobs), core, &found)
    waiting.check(core, &found)
    core.checkNodes(since: wentOnAt, &found)
    core.checkOwners(&found)
    core.checkOffers(&found)
    core.checkStorage(&found)
    lastAttempt = core.fleet.lastAttempt
    return found
  }

  /// The same for what a step wrote: its pods, their Jobs, its Jobs, the nodes.
  package mutating func check(_ core: CoordinatorCore, wrote writes: [StoreWrite]) -> [String] {
    noteStep(core.now.boot)
    var found: [String] = []
    checkIdentities(core, &found)
    var jobKeys: [ObjectKey] = []
    let left = takeLeft(core, writes)
    for write in writes where write.table == .objects {
      guard let (kind, key) = Self.object(write) else { continue }
      if kind == .jobs { jobKeys.append(key) }
      guard kind == .pods, let pod = core.state.pods[key] else { continue }
      checkScheduling(of: pod, core, left, &found)
      if let seen = check(pod: key, core, &found) { pods[seen.0] = seen.1 }
      if let job = core.jobKey(owning: pod) { jobKeys.append(job) }
    }
    for key in Set(jobKeys).sorted() {
      if let seen = check(job: key, core, &found) { jobs[seen.0] = seen.1 }
    }
    checkWaiting(Set(jobKeys).sorted()[...], core, &found)
    core.checkNodes(since: wentOnAt, &found)
    lastAttempt = core.fleet.lastAttempt
    return found
  }

  private static func object(_ write: StoreWrite) -> (Kind, ObjectKey)? {
    let parts = write.key.split(separator: "/", omittingEmptySubsequences: false).map { String($0) }
    guard parts.count == 3, let kind = Kind(rawValue: parts[0]) else { return nil }
    return (kind, ObjectKey(namespace: parts[1], name: parts[2]))
  }

  /// The nodes of pods that were there when the step began and are not now; what is gone is forgotten.
  private mutating func takeLeft(_ core: CoordinatorCore, _ writes: [StoreWrite]) -> Set<String> {
    var left: Set<String> = []
    for write in writes where write.table == .objects {
      guard let (kind, key) = Self.object(write), kind == .pods, let before = pods[key] else { continue }
      let pod = core.state.pods[key]
      let isThere = pod?.meta.uid == before.uid
      if before.rank < 2, let node = before.node, !isThere || pod?.status.phase.isTerminal == true { left.insert(node) }
      if !isThere { pods[key] = nil }
    }
    return left
  }

  /// What the step's placements and preemptions have to be like.
  private mutating func checkScheduling(
    of pod: Pod, _ core: CoordinatorCore, _ left: Set<String>, _ found: inout [String]
  ) {
    guard let last = lastAttempt else { return }
    if pod.status.fencingToken ?? 0 > last { core.checkPlacement(pod, left: left, &found) }
    guard pod.isPreempted, pods[pod.meta.key]?.isPreempted == false else { return }
    preemptions += 1
    core.checkPreemption(pod, since: last, &found)
  }

  private mutating func checkWaiting(_ keys: ArraySlice<ObjectKey>, _ core: CoordinatorCore, _ found: inout [String]) {
    let changed = keys.compactMap { core.state.jobs[$0] }
    waiting.checkOrder(changed, core, &found)
    for job in changed { waiting.check(job, core, &found) }
  }

  private mutating func noteStep(_ now: BootTime) {
    if let last = lastStep, now - last > Self.standstillMilliseconds { wentOnAt = now }
    lastStep = now
  }

  private func checkIdentities(_ core: CoordinatorCore, _ found: inout [String]) {
    var count = 0
    for kind in Kind.allCases { count += core.state.count(of: kind) }
    if core.state.references.count != count {
      found.append("I1: \(count) objects have \(core.state.references.count) uids")
    }
    if let highest = core.fleet.attempts.keys.max(), highest > core.fleet.lastAttempt {
      found.append("I1: attempt \(highest) is above the counter \(core.fleet.lastAttempt)")
    }
  }

  /// Containers may be added to a pod that is there; all else stays.
  private static func keeps(_ spec: PodSpec, _ before: PodSpec) -> Bool {
    if spec === before || spec == before { return true }
    func split(_ spec: PodSpec) -> (rest: JSON, added: [JSON]) {
      var rest = spec.json
      rest["ephemeralContainers"] = nil
      return (rest, spec.json["ephemeralContainers"]?.arrayValue ?? [])
    }
    let (now, then) = (split(spec), split(before))
    return now.rest == then.rest && now.added.starts(with: then.added)
  }

  private func check(pod key: ObjectKey, _ core: CoordinatorCore, _ found: inout [String]) -> (ObjectKey, PodMemory)? {
    guard let pod = core.state.pods[key] else { return nil }
    let name = pod.meta.key.description
    let phase = pod.status.phase
    let rank = phase.isTerminal ? 2 : phase == .running ? 1 : 0
    if rank == 1, pod.nodeName == nil { found.append("I2: pod \(name) runs on no node") }
    if let before = pods[key], before.uid == pod.meta.uid {
      if let node = before.node, pod.nodeName != node { found.append("I2: pod \(name) moved from \(node)") }
      if rank < before.rank { found.append("I3: the phase of pod \(name) went back to \(phase.rawValue)") }
      if !Self.keeps(pod.spec, before.spec) { found.append("I4: the spec of pod \(name) changed") }
    }
    if !phase.isTerminal, pod.meta.deletionTimestamp == nil {
      if pod.status.fencingToken != nil {
        if !core.isPossiblyLive(podUID: pod.meta.uid) {
          found.append("I8: pod \(name) is assigned, not ended, and has no attempt")
        }
      } else if CoordinatorCore.waitsForNode(pod), core.fleet.scheduler.groups[core.groupKey(pod)] == nil,
        !core.isAside(pod)
      {
        found.append("I8: pod \(name) waits for a node and the scheduler does not know it")
      }
    }
    let kept = core.fleet.preemption.nominations[key]?.node ?? ""
    if CoordinatorCore.waitsForNode(pod), kept != pod.status.nominatedNodeName {
      found.append("I12: room is kept for pod \(name) on \(kept), not on \(pod.status.nominatedNodeName)")
    }
    if core.fleet.topology.isOn, core.fleet.topology.placed[key] != CoordinatorCore.placement(pod) {
      found.append("I12: pod \(name) is not counted as it runs")
    }
    if pod.meta.deletionTimestamp != nil, !core.isPossiblyLive(podUID: pod.meta.uid), pod.meta.finalizers.isEmpty,
      core.workloads.removals.isEmpty, core.workloads.jobs.isEmpty
    {
      found.append("I8: pod \(name) is being deleted and nothing will end that")
    }
    return (
      key,
      PodMemory(
        uid: pod.meta.uid, node: pod.nodeName, rank: rank, spec: pod.spec, isPreempted: pod.isPreempted)
    )
  }

  private func check(job key: ObjectKey, _ core: CoordinatorCore, _ found: inout [String]) -> (String, JobMemory)? {
    guard let job = core.state.jobs[key] else { return nil }
    let name = job.meta.key.description
    let status = job.status
    let isSettled = core.workloads.jobs.isEmpty
    let tally = core.workloads.tallies[job.meta.uid]
    if isSettled, status.active != Int64(tally?.active.count ?? 0) {
      found.append("I5: Job \(name) shows \(status.active) active of \(tally?.active.count ?? 0)")
    }
    if let completions = job.spec.completions, status.succeeded > completions {
      found.append("I5: Job \(name) succeeded \(status.succeeded) of \(completions) times")
    }
    if isSettled, status.active > max(job.spec.parallelism, 0) {
      found.append("I6: Job \(name) has \(status.active) active, \(job.spec.parallelism) may be")
    }
    let finished = status.finishedCondition?.type
    let conditions = status.conditions.filter(\.isTrue).map(\.type)
    if conditions.contains("Complete"), conditions.contains("Failed") {
      found.append("I7: Job \(name) is Complete and Failed")
    }
    checkIndexes(of: job, core, &found)
    if finished == "Complete", status.succeeded < (job.spec.completions ?? 1), job.spec.successRules.isEmpty {
      found.append("I7: Job \(name) is Complete with \(status.succeeded) successes")
    }
    if finished != nil, isSettled, status.active + status.terminating > 0 {
      found.append("I7: Job \(name) is finished and has pods that are not")
    }
    if let before = jobs[job.meta.uid] {
      let isElastic = job.spec.isIndexed && job.spec.completions == job.spec.parallelism
      if (status.succeeded < before.succeeded && !isElastic) || status.failed < before.failed {
        found.append("I5: a counter of Job \(name) went back")
      }
      if let was = before.finished, was != finished { found.append("I7: Job \(name) is no longer \(was)") }
      if job.meta.generation == before.generation, job.spec.podSpec !== before.spec.podSpec, job.spec != before.spec {
        found.append("I4: the spec of Job \(name) changed without a new generation")
      }
    }
    let memory = JobMemory(
      succeeded: status.succeeded, failed: status.failed, finished: finished, generation: job.meta.generation,
      spec: job.spec)
    return (job.meta.uid, memory)
  }

  /// I5 of an Indexed Job: each index counts once, has failed or succeeded, and no index is outside of the Job.
  private func checkIndexes(of job: Job, _ core: CoordinatorCore, _ found: inout [String]) {
    let name = job.meta.key.description
    let status = job.status
    guard job.spec.isIndexed, let completions = job.spec.completions, core.workloads.jobs.isEmpty else { return }
    if status.succeeded != status.completedIndexes.count {
      found.append("I5: Job \(name) counts \(status.succeeded) successes of \(status.completedIndexes.count) indexes")
    }
    let failed = status.failedIndexes ?? IndexIntervals()
    if let index = failed.firstShared(with: status.completedIndexes) {
      found.append("I5: index \(index) of Job \(name) has failed and succeeded")
    }
    if max(status.completedIndexes.last ?? -1, failed.last ?? -1) >= completions {
      found.append("I5: Job \(name) has counted an index that it does not have")
    }
    if let most = job.spec.maxFailedIndexes, failed.count > most, !status.conditions.contains(where: \.isTrue) {
      found.append("I7: Job \(name) goes on with \(failed.count) failed indexes, \(most) may fail")
    }
    if !status.isFinished, let index = core.forgottenIndex(of: job) {
      found.append("I8: index \(index) of Job \(name) wants a pod and is forgotten")
    }
    if job.spec.backoffLimitPerIndex == nil, !failed.isEmpty {
      found.append("I5: Job \(name) has failed indexes without a limit for each")
    }
  }
}

extension CoordinatorCore {
  /// I6 and I10: usage is the sum of the attempts and within capacity; attempts on lost nodes end within the bound.
  func checkNodes(since wentOnAt: BootTime?, _ found: inout [String]) {
    var usage: [String: NodeUsage] = [:]
    for attempt in fleet.attempts.values { usage[attempt.node, default: NodeUsage()].add(attempt, sign: 1) }
    for (name, record) in fleet.nodes.sorted(by: { $0.key < $1.key }) {
      let real = usage[name] ?? NodeUsage()
      if real != record.usage { found.append("I6: node \(name) counts \(record.usage), its attempts ask for \(real)") }
      if let capacity = state.nodes[ObjectKey(namespace: "", name: name)]?.capacity,
        real.cpuMillicores > capacity.cpuMillicores || real.memoryBytes > capacity.memoryBytes
          || real.pods > capacity.pods
          || (real.extended[ResourceAmount.storage] ?? 0) > Int128(capacity.storageBytes ?? .max)
          || capacity.extended.contains(where: { (real.extended[$0.name] ?? 0) > Int128($0.amount) })
      {
        found.append("I6: node \(name) is over its capacity")
      }
      checkLoss(name, record, since: wentOnAt, &found)
    }
  }

  private func checkLoss(_ name: String, _ record: NodeRecord, since wentOnAt: BootTime?, _ found: inout [String]) {
    guard let lostAt = record.lostAt else { return }
    // Nobody fences while the coordinator stands, and the brake begins when it sees the loss.
    let noticed = max(lostAt, wentOnAt ?? lostAt)
    // The brake may hold a node for its whole time and then one pace for each node before it.
    let brake =
      configuration.massLossHoldMilliseconds
      + configuration.massLossPaceMilliseconds * Int64(fleet.nodes.count + 1)
    for number in record.attempts {
      guard let attempt = fleet.attempts[number], let time = fenceTime(of: attempt) else { continue }
      if max(time, noticed) + brake + 1_000 < now.boot {
        found.append("I10: attempt \(number) on lost node \(name) is not fenced")
      }
    }
  }

  /// I12: the first difference between this state and one rebuilt from the rows; nil when they are equal. API events
  /// ride along with other commits and are left out.
  package func persistentDifference(from other: CoordinatorCore) -> String? {
    var mine = state
    var theirs = other.state
    for kind in Kind.allCases where kind != .events {
      let keys = mine.keys(of: kind)
      guard keys == theirs.keys(of: kind) else {
        return "\(kind.rawValue): \(keys.count) in memory, \(theirs.keys(of: kind).count) in the store"
      }
      for key in keys {
        let reference = ObjectReference(kind: kind, key: key)
        if row(of: reference).value != other.row(of: reference).value { return "\(kind.rawValue) \(key) differs" }
      }
    }
    if fleet.attempts != other.fleet.attempts { return "attempts differ" }
    if fleet.joining != other.fleet.joining { return "join tokens or node keys differ" }
    if fleet.users != other.fleet.users { return "users differ" }
    if fleet.lastAttempt != other.fleet.lastAttempt { return "the attempt counter differs" }
    if fleet.longestLease > other.fleet.longestLease { return "the longest lease is shorter in the store" }
    for (name, record) in fleet.nodes.sorted(by: { $0.key < $1.key }) {
      guard let stored = other.fleet.nodes[name] else { return "node record \(name) is not in the store" }
      if record.holder != stored.holder || record.usage != stored.usage
        || record.desiredDigest != stored.desiredDigest || record.longLease != stored.longLease
      {
        return "node record \(name) differs"
      }
    }
    for (uid, tally) in workloads.tallies.sorted(by: { $0.key < $1.key }) where tally.pods > 0 {
      if other.workloads.tallies[uid] != tally { return "the tally of Job \(uid) differs" }
    }
    for (uid, memory) in workloads.memories.sorted(by: { $0.key < $1.key }) where memory.backoff.failures > 0 {
      if other.workloads.memories[uid]?.backoff != memory.backoff { return "the backoff of Job \(uid) differs" }
    }
    return nil
  }
}

extension Pod {
  /// Somebody of higher priority has taken its place.
  fileprivate var isPreempted: Bool { status.condition("DisruptionTarget")?.reason == "PreemptionByScheduler" }
}
