// A Job's pods: how many there should be, which go first when there are too many, and what a new one looks like.
// Deleting here means marking: pods that may run are stopped by the fleet and go when their end is proven.

import ClusterProto

extension CoordinatorCore {
  /// Kubernetes' manageJob: creates or deletes pods, never both in one sync.
  mutating func manage(_ round: inout JobRound) {
    let job = round.job
    let tally = tally(of: job)
    let active = Int64(tally.active.count)
    if job.spec.suspend {
      deleteSurplus(&round, count: active)
      return
    }
    var wanted = job.spec.parallelism
    if let completions = job.spec.completions {
      wanted = max(0, min(wanted, completions - round.status.succeeded))
    } else if round.status.succeeded > 0 {
      wanted = active
    }
    if active > wanted {
      deleteSurplus(&round, count: active - wanted)
      return
    }
    let waiting = job.spec.podReplacementPolicy == "Failed" ? Int64(tally.terminating) : 0
    let missing = wanted - waiting - active
    guard missing > 0, !isTerminating(namespace: job.meta.namespace) else { return }
    if let end = workloads.memories[job.meta.uid]?.backoff.end, end > now.boot {
      let timer = WorkloadTimer.job(job.meta.uid)
      workloads.timers.set(timer, at: min(end, workloads.timers.time(of: timer) ?? end))
      return
    }
    createPods(&round, count: allowance(for: job, missing: missing))
  }

  // MARK: Deleting

  /// Pods that the Job does not want any more; the finalizer goes first, so they count nowhere.
  private mutating func deleteSurplus(_ round: inout JobRound, count: Int64) {
    guard count > 0 else { return }
    let active = tally(of: round.job).active
    let victims = count >= Int64(active.count) ? Array(active) : Array(inDeletionOrder(active).prefix(Int(count)))
    for key in victims {
      guard round.remaining > 0 else {
        round.isCut = true
        return
      }
      round.touched += 1
      stripTracking(key)
      deleteJobPod(key, of: round.job)
    }
  }

  /// The pods of a Job that failed; they keep the finalizer and count as failed.
  mutating func deleteActivePods(_ round: inout JobRound) {
    for key in Array(tally(of: round.job).active) {
      guard round.remaining > 0 else {
        round.isCut = true
        return
      }
      round.touched += 1
      deleteJobPod(key, of: round.job)
    }
  }

  private mutating func deleteJobPod(_ key: ObjectKey, of job: Job) {
    deletePod(key, graceSeconds: nil)
    recordEvent(
      on: .job(job), type: .normal, reason: "SuccessfulDelete", message: "Deleted pod: \(key.name)",
      component: JobNames.component)
  }

  /// Who goes first: unassigned, Pending, not ready, ready for the shortest time, most restarts, newest.
  private func inDeletionOrder(_ keys: InsertionSet<ObjectKey>) -> [ObjectKey] {
    keys.compactMap { state.pods[$0] }.sorted { left, right in
      let first = Self.deletionRank(left)
      let second = Self.deletionRank(right)
      for (one, other) in zip(first, second) where one != other { return one < other }
      return left.meta.key < right.meta.key
    }.map(\.meta.key)
  }

  /// `~` turns an order around as `-` does, for the smallest number too.
  private static func deletionRank(_ pod: Pod) -> [Int64] {
    let phase: Int64 =
      switch pod.status.phase {
      case .pending: 0
      case .unknown: 1
      default: 2
      }
    let ready = pod.status.condition("Ready")
    let readySince = ready?.isTrue == true ? ready?.lastTransition.nanoseconds ?? 0 : 0
    return [
      pod.nodeName == nil ? 0 : 1, phase, pod.status.isReady ? 1 : 0, ~readySince, ~JobPodStanding(pod).restarts,
      ~pod.meta.creationTimestamp.nanoseconds,
    ]
  }

  // MARK: Creating

  private mutating func createPods(_ round: inout JobRound, count: Int64) {
    var left = count
    guard left > 0, !isRefused(round.job) else { return }
    let spec = podSpec(of: round.job)
    let quality = Defaults.qosClass(podSpec: spec.json)
    while left > 0 {
      guard round.remaining > 0 else {
        round.isCut = true
        return
      }
      round.touched += 1
      left -= 1
      createPod(of: round.job, spec: spec, quality: quality)
    }
  }

  private mutating func createPod(of job: Job, spec: PodSpec, quality: String) {
    let prefix = String((job.meta.name + "-").prefix(58))
    var meta = ObjectMeta()
    meta.namespace = job.meta.namespace
    meta.generateName = prefix
    meta.name = prefix + Names.suffix(from: random.next())
    while state.pods[meta.key] != nil { meta.name = prefix + Names.suffix(from: random.next()) }
    meta.labels = job.spec.templateLabels
    meta.annotations = job.spec.templateAnnotations
    meta.ownerReferences = [job.controllerReference]
    meta.finalizers =
      job.spec.templateFinalizers.filter { $0 != JobNames.trackingFinalizer } + [JobNames.trackingFinalizer]
    var status = PodStatus()
    status.qosClass = quality
    insert(.pod(Pod(meta: meta, spec: spec, status: status)))
    recordEvent(
      on: .job(job), type: .normal, reason: "SuccessfulCreate", message: "Created pod: \(meta.name)",
      component: JobNames.component)
  }

  private mutating func podSpec(of job: Job) -> PodSpec {
    let mountsToken = mountsToken(job.spec.podSpec.json, namespace: job.meta.namespace)
    let pullSecrets = pullSecrets(job.spec.podSpec.json, namespace: job.meta.namespace)
    if let known = workloads.memories[job.meta.uid]?.podSpec, known.template == job.spec.podSpec,
      TokenMount.isMounted(in: known.admitted.json) == mountsToken,
      known.admitted.json["imagePullSecrets"] == pullSecrets
    {
      return known.admitted
    }
    var json = Defaults.admit(
      podSpec: job.spec.podSpec.json, tolerationSeconds: configuration.defaultTolerationSeconds)
    json["imagePullSecrets"] = pullSecrets
    if mountsToken { TokenMount.add(to: &json) }
    let admitted = PodSpec(json: json)
    workloads.memories[job.meta.uid, default: JobMemory()].podSpec = (job.spec.podSpec, admitted)
    return admitted
  }
}
