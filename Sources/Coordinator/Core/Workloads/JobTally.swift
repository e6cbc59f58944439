// The running account of each Job's pods, changed by what one pod's change adds and takes away: a sync costs what
// changed, not what the Job holds. Only counts and keys; decisions are the Job controller's.

import ClusterProto

/// What one pod is to its Job.
struct JobPodStanding: Equatable, Sendable {
  /// Neither ended nor marked for deletion.
  var isActive: Bool
  var isReady: Bool
  /// Active and given to no node.
  var isUnplaced: Bool
  /// Marked for deletion and not ended.
  var isTerminating: Bool
  /// Carries the tracking finalizer: it is not in the Job's counters yet.
  var isTracked: Bool
  var isEnded: Bool
  /// Ended well.
  var hasSucceeded: Bool
  /// The index that its annotation names.
  var index: Int64?
  /// restartCount over all containers of a pod that is Pending or Running.
  var restarts: Int64

  init(_ pod: Pod) {
    isEnded = pod.status.phase.isTerminal
    hasSucceeded = pod.status.phase == .succeeded
    let deleting = pod.meta.deletionTimestamp != nil
    isActive = !isEnded && !deleting
    isReady = isActive && pod.status.isReady
    isUnplaced = isActive && pod.status.fencingToken == nil
    isTerminating = !isEnded && deleting
    isTracked = pod.meta.finalizers.contains(JobNames.trackingFinalizer)
    index = Slot.index(of: pod)
    restarts = 0
    if pod.status.phase == .pending || pod.status.phase == .running {
      for container in pod.status.initContainers { restarts &+= container.restartCount }
      for container in pod.status.containers { restarts &+= container.restartCount }
    }
  }
}

extension JobPodStanding {
  /// A node has taken the pod, and nothing else has changed.
  func differsInPlace(from after: JobPodStanding) -> Bool {
    var placed = self
    placed.isUnplaced = false
    return isUnplaced && placed == after
  }
}

struct JobTally: Sendable {
  var active = InsertionSet<ObjectKey>()
  /// Ended and not counted yet.
  var finished = InsertionSet<ObjectKey>()
  /// Marked for deletion, not ended, not counted yet.
  var deleted = InsertionSet<ObjectKey>()
  /// Those of `deleted` that a Job which waits for their ends has not looked at since they changed.
  var unseen = InsertionSet<ObjectKey>()
  /// Pods that ended well and are not counted yet.
  var uncountedSuccesses: Int64 = 0
  var ready = 0
  var unplaced = 0
  var terminating = 0
  var restarts: Int64 = 0
  /// Pods of the Job in any state.
  var pods = 0
  /// Active pods of an Indexed Job that bear no index; nil: nobody has looked for them yet.
  var strangers: InsertionSet<ObjectKey>?
  /// Active pods by their index, and those that are marked for deletion and have not ended.
  var indexed = IndexedPods()
  var ending = IndexedPods()
  /// Failed pods of indexes that wait for their next pod; they are in neither `finished` nor `deleted`.
  var held = HeldPods()
  /// Indexes that want a pod.
  var vacancies = IndexVacancies()

  mutating func add(_ standing: JobPodStanding, _ key: ObjectKey) {
    pods += 1
    // Whoever comes after the first pod with an index is noticed as it comes.
    if standing.isActive, standing.index != nil, active.isEmpty { strangers = InsertionSet() }
    if standing.isActive { active.insert(key) }
    if standing.isReady { ready += 1 }
    if standing.isUnplaced { unplaced += 1 }
    if standing.isTerminating { terminating += 1 }
    if standing.isTracked, standing.isEnded {
      finished.insert(key)
      if standing.hasSucceeded { uncountedSuccesses += 1 }
    }
    if standing.isTracked, standing.isTerminating {
      deleted.insert(key)
      unseen.insert(key)
    }
    restarts &+= standing.restarts
    guard let index = standing.index else {
      if standing.isActive { strangers?.insert(key) }
      return
    }
    if standing.isActive {
      indexed.add(index, key)
      vacancies.fill(index)
    }
    if standing.isTerminating { ending.add(index, key) }
  }

  /// The pod waits for its replacement instead of being looked at again.
  mutating func hold(_ pod: HeldPods.Pod, of index: Int64) {
    finished.remove(pod.key)
    deleted.remove(pod.key)
    unseen.remove(pod.key)
    held.hold(pod, of: index)
    vacancies.free(index)
  }

  mutating func take(_ standing: JobPodStanding, _ key: ObjectKey) {
    pods -= 1
    if standing.isActive { active.remove(key) }
    if standing.isReady { ready -= 1 }
    if standing.isUnplaced { unplaced -= 1 }
    if standing.isTerminating { terminating -= 1 }
    if standing.isTracked, standing.isEnded {
      finished.remove(key)
      if standing.hasSucceeded { uncountedSuccesses -= 1 }
    }
    if standing.isTracked, standing.isTerminating {
      deleted.remove(key)
      unseen.remove(key)
    }
    restarts &-= standing.restarts
    guard let index = standing.index else {
      if standing.isActive { strangers?.remove(key) }
      return
    }
    if standing.isActive { indexed.take(index, key) }
    if standing.isTerminating { ending.take(index, key) }
    if held.take(index, key) || standing.isActive || standing.isTerminating { vacancies.free(index) }
  }
}

extension JobTally: Equatable {
  /// A pod that is held here is one that waits to be looked at after a restart.
  static func == (left: JobTally, right: JobTally) -> Bool {
    left.active == right.active && left.ready == right.ready && left.unplaced == right.unplaced
      && left.terminating == right.terminating && left.restarts == right.restarts && left.pods == right.pods
      && left.indexed == right.indexed && left.ending == right.ending && left.uncounted == right.uncounted
      && left.uncountedSuccesses == right.uncountedSuccesses
  }

  private var uncounted: Set<ObjectKey> { Set(finished).union(deleted).union(held.keys) }
}

/// A template's spec with what admission adds.
struct JobPodSpec: Sendable {
  var template: PodSpec
  var admitted: PodSpec
  /// Of the LimitRanges that completed it.
  var limitsVersion: Int
  /// What they filled in, for an annotation.
  var limitNote: String?
}

/// What the API does not show of a Job.
struct JobMemory: Equatable, Sendable {
  var backoff = JobBackoff()
  /// When the active time began, by the boot clock; nil after a restart until it is asked for.
  var started: BootTime?
  /// Made once and shared by the pods.
  var podSpec: JobPodSpec?
  /// The same with what an Indexed Job adds.
  var indexedSpec: (admitted: PodSpec, indexed: PodSpec)?
  /// The completions that its indexes were last fitted to.
  var completions: Int64?
  /// How often in a row its pods were refused.
  var refusals: Int64 = 0
  /// How often the memory of its next pods is raised; and specs for that.
  var memoryRaises: Int64 = 0
  var raisedSpecs: [RaisedSpec] = []
  /// The pods that go next, where more are too many than one turn deletes.
  var surplus: ArraySlice<ObjectKey> = []

  /// How Jobs that it waits for ended, where they are not there any more to tell.
  var dependencies: [DependencyRecord] = []
  /// What it is to its queue.
  var standing: QueueStanding?
  /// Indexes that wait for the same index of another Job.
  var barred = IndexIntervals()

  static func == (left: JobMemory, right: JobMemory) -> Bool {
    left.backoff == right.backoff && left.dependencies == right.dependencies
      && left.memoryRaises == right.memoryRaises
  }
}

/// Names that Kubernetes gives to what belongs to a Job.
enum JobNames {
  static let trackingFinalizer = "batch.kubernetes.io/job-tracking"
  static let uidLabel = "batch.kubernetes.io/controller-uid"
  static let component = "job-controller"
}

extension CoordinatorCore {
  mutating func observePod(_ change: ObjectChange) {
    var before: Pod?
    var after: Pod?
    if case .pod(let pod)? = change.before { before = pod }
    if case .pod(let pod)? = change.after { after = pod }
    tally(before: before, after: after)
    observeOrphan(before: before, after: after)
    observeTermination(before: before, after: after)
    if let after { observeBinding(after, before: before) }
    guard let after else { return }
    if after.meta.finalizers.contains(JobNames.trackingFinalizer), jobKey(owning: after) == nil {
      workloads.strays.add(after.meta.key)
    }
    if before == nil || before?.meta.labels != after.meta.labels
      || before?.meta.ownerReferences != after.meta.ownerReferences
    {
      considerAdoption(of: after, before: before)
    }
  }

  private mutating func tally(before: Pod?, after: Pod?) {
    let old = before.flatMap { Slot(of: $0)?.jobUID }
    let new = after.flatMap { Slot(of: $0)?.jobUID }
    if let before, let after, let uid = new, old == new {
      let was = JobPodStanding(before)
      let standing = JobPodStanding(after)
      if was == standing { return }
      workloads.unplaced += (standing.isUnplaced ? 1 : 0) - (was.isUnplaced ? 1 : 0)
      workloads.tallies[uid, default: JobTally()].take(was, before.meta.key)
      workloads.tallies[uid, default: JobTally()].add(standing, after.meta.key)
      if was.differsInPlace(from: standing) {
        podPlaced(ofJob: uid)
        return
      }
    } else {
      if let before, let uid = old {
        let was = JobPodStanding(before)
        if was.isUnplaced { workloads.unplaced -= 1 }
        workloads.tallies[uid, default: JobTally()].take(was, before.meta.key)
      }
      if let after, let uid = new {
        let standing = JobPodStanding(after)
        if standing.isUnplaced { workloads.unplaced += 1 }
        workloads.tallies[uid, default: JobTally()].add(standing, after.meta.key)
      }
    }
    for uid in [old, new == old ? nil : new].compactMap({ $0 }) {
      if let job = jobReference(uid: uid) { workloads.jobs.add(job) }
      if workloads.tallies[uid]?.pods == 0 { workloads.tallies[uid] = nil }
    }
  }

  /// The Job that controls the pod, if it exists.
  func jobKey(owning pod: Pod) -> ObjectKey? {
    guard let uid = Slot(of: pod)?.jobUID, let key = jobReference(uid: uid), key.namespace == pod.meta.namespace else {
      return nil
    }
    return key
  }

  mutating func observeJob(_ change: ObjectChange) {
    guard let subject = change.subject, case .job(let job) = subject else { return }
    let key = job.meta.key
    guard case .job(let after)? = change.after else {
      workloads.refused[job.meta.namespace]?.remove(key)
      forgetJob(job)
      return
    }
    let before: Job? = if case .job(let job)? = change.before { job } else { nil }
    if before == nil, after.spec.manualSelector { manualJobAdded(after) }
    if after.status.isFinished {
      if after != before { armExpiry(of: after, before: before) }
      if after.meta.deletionTimestamp == nil, workloads.tallies[after.meta.uid]?.finished.isEmpty ?? true,
        workloads.tallies[after.meta.uid]?.deleted.isEmpty ?? true
      {
        return
      }
    }
    if after.spec.otherManager != nil { return }
    // What this controller writes into the status makes no work; what a client writes there is put right, or acted on.
    if before?.spec != after.spec || before?.meta.deletionTimestamp != after.meta.deletionTimestamp
      || before?.status.isFinished != after.status.isFinished
      || Self.asksAnew(before?.meta.annotations, after.meta.annotations)
      || (workloads.synced != key && before?.status != after.status)
    {
      if before != nil { workloads.tallies[after.meta.uid]?.vacancies.forget() }
      workloads.jobs.add(key)
    }
  }

  /// Whether annotations that the controller acts on have changed.
  private static func asksAnew(_ before: StringMap?, _ after: StringMap) -> Bool {
    guard let before, before != after else { return false }
    return [JobAnnotation.backoff, JobAnnotation.dependsOn, JobAnnotation.queue].contains { before[$0] != after[$0] }
  }

  private mutating func forgetJob(_ job: Job) {
    let uid = job.meta.uid
    dropMemory(uid: uid)
    if workloads.tallies[uid]?.pods == 0 { workloads.tallies[uid] = nil }
    workloads.jobs.remove(job.meta.key)
    workloads.heldBack.remove(job.meta.key)
    workloads.heldGangs.remove(job.meta.key)
    workloads.timers.cancel(.job(uid))
    workloads.timers.cancel(.expiry(uid))
    workloads.manualJobs[job.meta.namespace]?.remove(job)
    // The collector, which follows its pods, takes the tracking finalizer from them.
  }

  /// Takes the tracking finalizer from pods that no Job counts any more.
  mutating func stripStrays(limit: Int) -> Int {
    var touched = 0
    while touched < limit, let key = workloads.strays.next() {
      touched += 1
      guard let pod = state.pods[key], jobKey(owning: pod) == nil else { continue }
      stripTracking(key)
    }
    return touched
  }

  mutating func stripTracking(_ key: ObjectKey) {
    updatePod(key) { pod in pod.meta.finalizers.removeAll { $0 == JobNames.trackingFinalizer } }
  }
}
