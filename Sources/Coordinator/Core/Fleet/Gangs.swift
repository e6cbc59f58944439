// Pods that are placed together or not at all (`stint.dev/gang`), in one step, so that no two gangs hold halves of what
// both need. While a pod of the Job is on a node, others are placed one by one: what comes for a pod that failed joins
// those that run. Which node is best is the Scheduler's.

import ClusterProto

extension CoordinatorCore {
  /// Of the condition PodScheduled: other pods of the gang are missing, or held back.
  static let incompleteReason = "GangIncomplete"

  /// How many pods of the group's Job are to be placed together now; 0: each by itself.
  func gangSize(of group: WaitingGroupKey) -> Int64 {
    // A pod that names its node does not wait for the scheduler's choice.
    guard !group.jobUID.isEmpty, group.pinnedNode.isEmpty, let key = jobReference(uid: group.jobUID),
      let job = state.jobs[key], job.isGang, job.spec.otherManager == nil
    else { return 0 }
    let tally = tally(of: job)
    guard tally.active.count == tally.unplaced else { return 0 }
    let size = podsToCome(of: job, active: Int64(tally.active.count))
    return size > 1 ? size : 0
  }

  /// How many pods the Job will have at once, with those that it has: as many as its controller makes, or leaves it.
  /// Indexes that have succeeded or failed, or are not to run, get none; one that waits for its turn does.
  private func podsToCome(of job: Job, active: Int64) -> Int64 {
    let most = mostAtOnce(of: job)
    guard let completions = job.spec.completions else {
      // The first success of such a Job is the last pod's that it makes.
      return job.status.succeeded > 0 ? min(active, most) : most
    }
    guard job.spec.isIndexed else { return most }
    let wanted = min(most, max(0, completions - job.status.succeeded))
    var over = job.status.completedIndexes
    over.formUnion(job.status.failedIndexes ?? IndexIntervals())
    return min(wanted, max(active, completions - over.count(below: completions)))
  }

  /// Why a gang is not even tried, in words for its pods; nil: it is, or the Job's next step lets it go on.
  func gangWait(_ group: WaitingGroupKey) -> (reason: String, message: String)? {
    let size = gangSize(of: group)
    guard size > 0 else { return nil }
    let live = possiblyLiveCount(jobUID: group.jobUID)
    if live > 0 {
      return (
        Self.heldReason,
        "gang of \(size): \(live) attempts of earlier pods of the Job may still run: its pods are placed together once "
          + "their end is proven"
      )
    }
    let keys = activePods(ofJob: group.jobUID)
    let ready = keys.count(where: mayBePlaced)
    if Int64(keys.count) < size {
      return (Self.incompleteReason, "gang of \(size): \(keys.count) of its pods exist: all are placed together")
    }
    guard Int64(keys.count) == size, ready < keys.count else { return nil }
    return (Self.incompleteReason, "gang of \(size): \(ready) of its pods may be placed: all are placed together")
  }

  /// Places a gang, or says that it does not fit; nil: the group is none. Returns how many pods it looked at.
  mutating func placeGang(_ group: WaitingGroupKey, of id: WaitingClassID) -> Int? {
    let size = gangSize(of: group)
    if size != fleet.scheduler.classes[id]?.needs.gang ?? 0 {
      regroup(group, gang: size)
      return 1
    }
    guard size > 0 else { return nil }
    let keys = activePods(ofJob: group.jobUID)
    // The last one to come, the end of an attempt before them, or a change of the Job brings the group back.
    guard Int64(keys.count) == size, possiblyLiveCount(jobUID: group.jobUID) == 0, keys.allSatisfy(mayBePlaced) else {
      fleet.scheduler.gated[group.jobUID, default: InsertionSet()].insert(group)
      fleet.scheduler.groups[group]?.isQueued = false
      noteHeld(group)
      return 1
    }
    guard !isHolding, hasRoom(forAll: keys, group, id) else {
      fleet.scheduler.classes.park(id)
      watchPods(id)
      explainParked(id)
      return keys.count
    }
    return keys.count
  }

  private func mayBePlaced(_ key: ObjectKey) -> Bool {
    guard let pod = state.pods[key], Self.waitsForNode(pod) else { return false }
    return assignability(of: pod) == .free
  }

  /// A pod came or went: the gang may have another size now, and what did not fit may.
  mutating func settleGang(_ key: WaitingGroupKey) {
    guard !fleet.scheduler.isPlacingGang, let id = fleet.scheduler.groups[key]?.classID else { return }
    let size = gangSize(of: key)
    if size != fleet.scheduler.classes[id]?.needs.gang ?? 0 { regroup(key, gang: size) }
  }

  /// The group waits among those that need what it needs now.
  private mutating func regroup(_ group: WaitingGroupKey, gang: Int64) {
    guard let old = fleet.scheduler.groups[group]?.classID, let key = fleet.scheduler.groups[group]?.pods.peek(),
      let spec = state.pods[key]?.spec
    else {
      _ = fleet.scheduler.groups[group]?.pods.next()
      return forgetGroupIfEmpty(group)
    }
    fleet.scheduler.groups[group]?.classID = fleet.scheduler.classes.enter(group, spec, gang: gang)
    fleet.scheduler.groups[group]?.isQueued = false
    leaveClass(group, old)
    queue(group)
  }

  /// Places all of them, or none. Where pods have rules about each other, which of them fit is known only when the
  /// others are placed: then it is tried on a copy.
  private mutating func hasRoom(forAll keys: [ObjectKey], _ group: WaitingGroupKey, _ id: WaitingClassID) -> Bool {
    fleet.scheduler.classes.openAll(id)
    if podRules(of: id) == nil, group.storage?.isChanging != true {
      guard gangRoom(group, id, upTo: Int64(keys.count)) >= Int64(keys.count) else { return false }
      return placeAll(keys) == keys.count
    }
    var trial = self
    guard trial.placeAll(keys) == keys.count else { return false }
    self = trial
    return true
  }

  /// How many pods of the gang fit now, as long as they have no rules about each other.
  private mutating func gangRoom(_ group: WaitingGroupKey, _ id: WaitingClassID, upTo size: Int64) -> Int64 {
    guard let spec = fleet.scheduler.classes[id]?.spec else { return 0 }
    var room: Int64 = 0
    for key in state.keys(of: .nodes) where room < size {
      guard candidate(key.name, spec, group, id) != nil, let record = fleet.nodes[key.name],
        let node = state.nodes[key]
      else { continue }
      var usage = usage(of: record, key.name, for: spec.priority, id)
      while room < size, Self.fits(spec, usage, node.capacity) {
        usage.add(spec.cpuMillicores, spec.memoryBytes, spec.scheduling.resources, sign: 1)
        room += 1
      }
    }
    return room
  }

  /// Each on the best node that is left; returns how many found one.
  private mutating func placeAll(_ keys: [ObjectKey]) -> Int {
    fleet.scheduler.isPlacingGang = true
    defer { fleet.scheduler.isPlacingGang = false }
    var placed = 0
    var heap: MinHeap<SchedulingCandidate>?
    for key in keys {
      guard let pod = state.pods[key] else { break }
      if settleNeeds(of: pod) { heap = nil }
      let group = groupKey(pod)
      guard let id = fleet.scheduler.groups[group]?.classID else { break }
      let rules = podRules(of: id)
      if rules != nil || group.storage?.isChanging == true { heap = nil }
      var nodes = heap ?? MinHeap(candidates(for: pod, group, of: id, rules))
      guard let best = nodes.first, bindClaims(of: pod, on: best.name) else { break }
      assign(pod, to: best.name)
      placed += 1
      nodes.replaceFirst(with: candidate(best.name, pod.spec, group, id))
      heap = nodes
    }
    return placed
  }

  /// Why a gang waits: how much of it fits, and why the nodes take no more.
  mutating func gangMessage(_ found: WaitingClass, _ id: WaitingClassID, _ total: Int, _ parts: String) -> String {
    let size = found.needs.gang
    let fit = gangFit(found, id)
    let why = parts.isEmpty ? "" : ", \(parts)"
    return "0/\(total) nodes are available: gang of \(size): only \(fit) fit\(why)."
  }

  /// How many pods of the class's first gang fit now.
  mutating func gangFit(_ found: WaitingClass, _ id: WaitingClassID) -> Int64 {
    guard let group = found.members.first else { return 0 }
    if podRules(of: id) == nil, group.storage?.isChanging != true { return gangRoom(group, id, upTo: found.needs.gang) }
    var trial = self
    return Int64(trial.placeAll(activePods(ofJob: group.jobUID)))
  }
}
