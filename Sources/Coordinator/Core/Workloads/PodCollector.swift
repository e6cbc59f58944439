// What goes by itself: finished Jobs after their TTL, the oldest ended pods above the limit, pods of nodes that are
// gone, pods that go and never had one. Driven by timers and counts, never by scans.

import ClusterProto

extension Job {
  /// Seconds from its end to its deletion; nil: it stays. A Job that failed may have a time of its own.
  var secondsToLive: Int64? {
    if status.finishedCondition?.type == "Failed",
      let own = meta.annotations[JobAnnotation.ttlAfterFailure].flatMap({ Int64($0) })
    {
      return own
    }
    return spec.ttlSecondsAfterFinished
  }
}

extension CoordinatorCore {
  /// How long a missing node's pods are left alone (Kubernetes' quarantine), and how often one that may still run is
  /// looked at again.
  static let missingNodeMilliseconds: Int64 = 40_000
  static let missingNodeRetryMilliseconds: Int64 = 20_000

  // MARK: TTL after finished

  /// The finish stamp is the API's, in seconds; the interval counts boot time from when this incarnation saw the
  /// finish.
  mutating func armExpiry(of job: Job, before: Job?) {
    let timer = WorkloadTimer.expiry(job.meta.uid)
    guard let seconds = job.secondsToLive, let finish = job.status.finishedCondition,
      job.meta.deletionTimestamp == nil
    else {
      workloads.timers.cancel(timer)
      return
    }
    let isNew = before.map { !$0.status.isFinished } ?? false
    let finished = isNew ? now.boot : bootTime(of: finish.lastTransition)
    if isNew || before?.secondsToLive != seconds || workloads.timers.time(of: timer) == nil {
      workloads.timers.set(timer, at: finished + Self.milliseconds(seconds: seconds))
    }
  }

  /// Deletes Jobs whose TTL is over; returns how many it looked at.
  mutating func expireJobs(limit: Int) -> Int {
    var touched = 0
    while touched < limit, let uid = workloads.expired.next() {
      touched += 1
      expireJob(uid: uid)
    }
    return touched
  }

  private mutating func expireJob(uid: String) {
    guard let key = jobReference(uid: uid), let job = state.jobs[key], job.status.isFinished,
      job.meta.deletionTimestamp == nil, job.secondsToLive != nil
    else { return }
    deleteObject(ObjectReference(kind: .jobs, key: key), propagation: .foreground, graceSeconds: nil)
  }

  // MARK: Ended pods above the limit

  mutating func observeTermination(before: Pod?, after: Pod?) {
    let (old, new) = (before.flatMap { Self.collectionRank($0) }, after.flatMap { Self.collectionRank($0) })
    guard old != new, let key = (after ?? before)?.meta.key else { return }
    workloads.terminatedCount += (new == nil ? 0 : 1) - (old == nil ? 0 : 1)
    if let new { workloads.terminated.set(key, at: new) } else { workloads.terminated.cancel(key) }
  }

  /// An ended pod's place in the order of collection: first who was evicted, then the oldest. Nil: it has not ended, or
  /// goes already.
  private static func collectionRank(_ pod: Pod) -> BootTime? {
    guard pod.status.phase.isTerminal, pod.meta.deletionTimestamp == nil else { return nil }
    let isEvicted = pod.status.phase == .failed && pod.status.reason == "Evicted"
    return BootTime(milliseconds: pod.meta.creationTimestamp.milliseconds - (isEvicted ? 1 << 60 : 0))
  }

  mutating func collectTerminated(limit: Int) -> Int {
    let threshold = configuration.terminatedPodLimit
    var touched = 0
    guard threshold > 0 else { return 0 }
    var excess = workloads.terminatedCount - threshold
    let end = BootTime(milliseconds: Int64.max)
    while touched < limit, excess > 0, let key = workloads.terminated.popDue(at: end) {
      touched += 1
      excess -= 1
      deletePod(key, graceSeconds: 0)
    }
    return touched
  }

  // MARK: Pods of missing nodes

  mutating func observeNode(_ change: ObjectChange) {
    guard let name = change.subject?.meta.name else { return }
    if change.after == nil {
      armMissingNode(name)
    } else if change.before == nil {
      workloads.timers.cancel(.missingNode(name))
    }
  }

  mutating func observeBinding(_ pod: Pod, before: Pod?) {
    guard let node = pod.nodeName, before?.nodeName != node, started else { return }
    armMissingNode(node)
  }

  mutating func findMissingNodes() {
    for node in state.boundPods.keys.sorted() { armMissingNode(node) }
  }

  private mutating func armMissingNode(_ name: String) {
    guard state.nodes[ObjectKey(namespace: "", name: name)] == nil, state.boundPods[name] != nil,
      workloads.timers.time(of: .missingNode(name)) == nil
    else { return }
    workloads.timers.set(.missingNode(name), at: now.boot + Self.missingNodeMilliseconds)
  }

  /// Queues the pods of a node that has no Node object any more.
  mutating func abandonPods(ofMissingNode name: String) {
    guard state.nodes[ObjectKey(namespace: "", name: name)] == nil, let bound = state.boundPods[name] else { return }
    for key in Array(bound).sorted() { workloads.abandoned.add(key) }
    workloads.timers.set(.missingNode(name), at: now.boot + Self.missingNodeRetryMilliseconds)
  }

  /// Ends such pods; returns how many it looked at. One that may still run is the fleet's to end (rule C3: deleting a
  /// Node proves nothing).
  mutating func collectAbandoned(limit: Int) -> Int {
    var touched = 0
    let stamp = stamp
    while touched < limit, let key = workloads.abandoned.next() {
      touched += 1
      guard let pod = state.pods[key], let node = pod.nodeName, !pod.status.phase.isTerminal,
        state.nodes[ObjectKey(namespace: "", name: node)] == nil, !isPossiblyLive(podUID: pod.meta.uid)
      else { continue }
      // Before the end: who hears of the end looks for the reason.
      updatePod(key) { pod in
        pod.status.set(
          Condition(
            type: "DisruptionTarget", status: "True", reason: "DeletionByPodGC",
            message: "PodGC: node no longer exists", lastTransition: stamp))
      }
      failUnreported(key, podUID: pod.meta.uid, why: "PodGC: node \(node) no longer exists")
      deletePod(key, graceSeconds: 0)
    }
    return touched
  }

  // MARK: Pods that go without having had a node

  mutating func observeUnscheduled(_ change: ObjectChange) {
    if case .pod(let pod)? = change.after, goesUnscheduled(pod) { workloads.unscheduled.add(pod.meta.key) }
  }

  /// Somebody's finalizer holds the object, and nobody will report its end. A Job sees to its own.
  private func goesUnscheduled(_ pod: Pod) -> Bool {
    pod.meta.deletionTimestamp != nil && pod.nodeName == nil && pod.status.phase == .pending
      && !pod.meta.finalizers.isEmpty && !pod.meta.finalizers.contains(JobNames.trackingFinalizer)
      && !isPossiblyLive(podUID: pod.meta.uid)
  }

  /// Ends such pods; returns how many it looked at.
  mutating func endUnscheduled(limit: Int) -> Int {
    var touched = 0
    while touched < limit, let key = workloads.unscheduled.next() {
      touched += 1
      guard let pod = state.pods[key], goesUnscheduled(pod) else { continue }
      updatePod(key) { $0.status.phase = .failed }
    }
    return touched
  }
}
