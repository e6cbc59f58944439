// What must be true after every step of Jobs that wait (I17: no pods before their turn, I18: a queue's limits and
// order, I19: no gang half placed). For the simulator and tests. It must not decide anything.

import ClusterProto

/// Remembers how Jobs waited, to judge whose turn it was.
struct WaitingChecker: Sendable {
  private struct Memory {
    var isAdmitted: Bool
    /// Its place in the order of a queue, while it waits there.
    var place: (queue: String, namespace: String, order: Int64)?
    var placed: Int
    /// Of a gang: its pods.
    var pods: [ObjectKey]
  }

  private var jobs: [String: Memory] = [:]

  /// Of one Job that may have changed.
  mutating func check(_ job: Job, _ core: CoordinatorCore, _ found: inout [String]) {
    let uid = job.meta.uid
    let name = job.meta.key.description
    guard job.asksToWait || job.meta.annotations[JobAnnotation.gang] != nil, !job.status.isFinished else {
      jobs[uid] = nil
      return
    }
    let tally = core.workloads.tallies[uid]
    let isAdmitted = job.admission?.isTrue == true
    if job.asksToWait, !isAdmitted, let active = tally?.active.count, active > 0 {
      found.append("I17: Job \(name) waits and has \(active) pods")
    }
    let before = jobs[uid]
    if isAdmitted, before?.isAdmitted == false {
      for one in job.dependencies where !one.isOfIndexes {
        let other = core.state.jobs[ObjectKey(namespace: job.meta.namespace, name: one.job)]
        if let other, one.finding(other) != .met, core.workloads.memories[uid]?.dependencies.isEmpty ?? true {
          found.append("I17: Job \(name) is admitted and \(one.text) is not met")
        }
      }
    }
    let active = tally?.active.count ?? 0
    let placed = active - (tally?.unplaced ?? 0)
    let pods = job.isGang ? Array(tally?.active ?? InsertionSet()) : []
    // One that was placed with all others may have gone and been replaced within the step.
    let isReplaced =
      before.map { memory in
        memory.pods.count >= active
          && pods.contains { core.state.pods[$0]?.nodeName == nil && !memory.pods.contains($0) }
      } ?? false
    if job.isGang, before?.placed == 0, placed > 0, placed < active, !isReplaced {
      found.append("I19: of the gang of \(name) \(placed) of \(active) pods are placed")
    }
    var place: (String, String, Int64)?
    if case .waiting(let queue, let order, _)? = core.workloads.memories[uid]?.standing {
      place = (queue, job.meta.namespace, order)
    }
    jobs[uid] = Memory(isAdmitted: isAdmitted, place: place, placed: placed, pods: pods)
  }

  /// Of all Jobs.
  func check(_ core: CoordinatorCore, _ found: inout [String]) {
    var state = core.state
    var used: [String: QueueAmounts] = [:]
    var running: [String: Int] = [:]
    var waiting: [String: Int] = [:]
    for key in state.keys(of: .jobs) {
      guard let job = state.jobs[key], let order = state.created(ObjectReference(kind: .jobs, key: key)),
        let standing = job.queueStanding(created: order)
      else { continue }
      switch standing {
      case .running(let queue, let amounts):
        used[queue, default: QueueAmounts()].add(amounts)
        running[queue, default: 0] += 1
      case .waiting(let queue, _, _): waiting[queue, default: 0] += 1
      }
    }
    for name in core.workloads.queues.all.keys.sorted() {
      guard let queue = core.workloads.queues.all[name] else { continue }
      if queue.used != used[name] ?? QueueAmounts() || queue.running != running[name] ?? 0
        || queue.waiting != waiting[name] ?? 0
      {
        found.append("I18: queue \(name) counts otherwise than its Jobs")
      }
      if let limit = queue.spec?.limits.firstExceeded(by: queue.used) {
        found.append("I18: the Jobs of queue \(name) take more \(limit.name) than \(QueueAmounts.text(limit))")
      }
    }
  }

  /// No Job was admitted while an older one of its namespace waited. Before the memory of this step is taken.
  func checkOrder(_ changed: [Job], _ core: CoordinatorCore, _ found: inout [String]) {
    for job in changed where job.admission?.isTrue == true {
      guard let place = jobs[job.meta.uid]?.place else { continue }
      for uid in jobs.keys.sorted() {
        guard let other = jobs[uid]?.place, other.queue == place.queue, other.namespace == place.namespace,
          other.order < place.order, case .waiting? = core.workloads.memories[uid]?.standing,
          let key = core.jobReference(uid: uid), core.workloads.queues.all[place.queue]?.misfits[key] == nil
        else { continue }
        found.append("I18: Job \(job.meta.key) is admitted and the older \(key) waits")
      }
    }
  }
}
