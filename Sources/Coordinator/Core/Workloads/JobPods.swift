// A Job's pods: how many there should be, which go first when there are too many, and what a new one looks like.
// Deleting here means marking: pods that may run are stopped by the fleet and go when their end is proven.

import ClusterProto

extension CoordinatorCore {
  /// Kubernetes' manageJob: creates or deletes pods, never both in one sync.
  mutating func manage(_ round: inout JobRound) {
    let job = round.job
    let active = Int64(tally(of: job).active.count)
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
    // One more than this turn deletes tells that there are more.
    let misplaced = misplacedPods(of: job, limit: max(0, round.remaining) + 1)
    if active > wanted || !misplaced.isEmpty {
      deleteSurplus(&round, count: active - wanted, first: misplaced)
      return
    }
    workloads.memories[job.meta.uid]?.surplus = []
    let waiting = job.spec.podReplacementPolicy == "Failed" ? Int64(tally(of: job).terminating) : 0
    let missing = wanted - waiting - active
    guard missing > 0, !isTerminating(namespace: job.meta.namespace) else { return }
    if job.spec.isIndexed {
      createIndexes(&round, missing: missing)
    } else if !isPaused(job, until: pauseEnd(of: job)) {
      createPods(&round, count: allowance(for: job, missing: missing), indexes: nil)
    }
  }

  /// Pods for the lowest indexes that need one. With a limit for each index each has a pause of its own; the slots of
  /// those that pause stay empty, as Kubernetes leaves them.
  private mutating func createIndexes(_ round: inout JobRound, missing: Int64) {
    let job = round.job
    let isPerIndex = job.spec.backoffLimitPerIndex != nil
    if !isPerIndex, isPaused(job, until: pauseEnd(of: job)) { return }
    // No more than this turn makes, and one that tells that there are more.
    let most = min(missing, Int64(max(0, round.remaining)) + 1)
    let indexes = pendingIndexes(round, count: most, places: missing)
    if isPerIndex { _ = isPaused(job, until: workloads.tallies[job.meta.uid]?.vacancies.nextEnd()) }
    guard !indexes.isEmpty else { return }
    createPods(&round, count: allowance(for: job, missing: Int64(indexes.count)), indexes: indexes)
  }

  private func pauseEnd(of job: Job) -> BootTime? {
    workloads.memories[job.meta.uid]?.backoff.end(by: job.backoffRule, seed: job.meta.uid)
  }

  /// Whether a pause stands that ends later; then the Job comes back at its end.
  private mutating func isPaused(_ job: Job, until end: BootTime?) -> Bool {
    guard let end, end > now.boot else { return false }
    let timer = WorkloadTimer.job(job.meta.uid)
    workloads.timers.set(timer, at: min(end, workloads.timers.time(of: timer) ?? end))
    return true
  }

  // MARK: Deleting

  /// Pods that the Job does not want any more; the finalizer goes first, so they count nowhere.
  private mutating func deleteSurplus(_ round: inout JobRound, count: Int64, first misplaced: [ObjectKey] = []) {
    let more = misplaced.count > round.remaining ? 0 : max(0, count - Int64(misplaced.count))
    guard more > 0 || !misplaced.isEmpty else { return }
    for key in misplaced + surplus(round, count: more, without: Set(misplaced)) {
      guard round.remaining > 0 else {
        round.isCut = true
        return
      }
      round.touched += 1
      stripTracking(key)
      deleteJobPod(key, of: round.job)
    }
  }

  /// The next of the pods that are too many, no more than this turn deletes and one that tells that there are more. The
  /// order is made once for all of them: it stands until they are gone, or more have to go.
  private mutating func surplus(_ round: JobRound, count: Int64, without misplaced: Set<ObjectKey>) -> [ObjectKey] {
    guard count > 0 else { return [] }
    let uid = round.job.meta.uid
    let most = Int(min(count, Int64(max(0, round.remaining)) + 1))
    if count >= Int64(workloads.tallies[uid]?.active.count ?? 0) {
      return Array(
        (workloads.tallies[uid]?.active ?? InsertionSet()).lazy.filter { !misplaced.contains($0) }.prefix(most))
    }
    var order = workloads.memories[uid]?.surplus ?? []
    if Int64(order.count) < count {
      let active = Array(workloads.tallies[uid]?.active ?? InsertionSet()).filter { !misplaced.contains($0) }
      workloads.looked += active.count
      order = inDeletionOrder(active).prefix(Int(count))
    }
    var result: [ObjectKey] = []
    while result.count < most, let key = order.first {
      if workloads.tallies[uid]?.active.contains(key) == true { result.append(key) }
      order.removeFirst()
    }
    // The last one may be for the next turn.
    workloads.memories[uid, default: JobMemory()].surplus =
      result.suffix(result.count > round.remaining ? 1 : 0) + order
    return result
  }

  /// The pods of a Job that ends. Of one that failed they keep the finalizer and count as failed; of one that
  /// succeeded they count as nothing.
  mutating func deleteActivePods(_ round: inout JobRound, counting: Bool) {
    for key in firstKeys(of: round.job.meta.uid, \.active, limit: round.remaining + 1) {
      guard round.remaining > 0 else {
        round.isCut = true
        return
      }
      round.touched += 1
      if counting { noteRestarts(of: key, &round) } else { stripTracking(key) }
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
  func inDeletionOrder(_ keys: [ObjectKey]) -> [ObjectKey] {
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

  private mutating func createPods(_ round: inout JobRound, count: Int64, indexes: [Int64]?) {
    guard count > 0, !isRefused(round.job) else { return }
    var spec = indexes == nil ? podSpec(of: round.job) : indexedSpec(of: round.job)
    let base = spec
    var times: Int64?
    var quality = ""
    for position in 0..<Int(count) {
      guard round.remaining > 0 else {
        round.isCut = true
        return
      }
      let raises = memoryRaises(of: round.job, indexes?[position])
      if raises != times {
        // Mostly once: the pods of a round ask for the same.
        times = raises
        spec = raisedSpec(base, round.job, times: raises)
        quality = QualityOfService.of(spec).rawValue
        if let problem = standingProblem(spec.json, namespace: round.job.meta.namespace) {
          return refuse(round.job, Self.refusedName(of: round.job, indexes?[position]), problem)
        }
      }
      if let problem = quotaProblem(ofPod: spec, namespace: round.job.meta.namespace) {
        return refuse(round.job, Self.refusedName(of: round.job, indexes?[position]), problem)
      }
      round.touched += 1
      createPod(&round, spec: spec, base: base, raises: raises, quality: quality, index: indexes?[position])
    }
    accept(round.job)
  }

  /// What pods' names are made of, before their last five characters. As in Kubernetes: an index always has its room in
  /// the name, a dash alone only where the name leaves it.
  private static func nameBase(of job: Job, _ index: Int64?) -> String {
    guard let index else { return job.meta.name + "-" }
    let ending = "-\(index)-"
    return String(job.meta.name.prefix(58 - ending.utf8.count)) + ending
  }

  /// The name of a pod that may not be: the same at each try, so that the event is one.
  private static func refusedName(of job: Job, _ index: Int64?) -> String {
    let mixed = job.meta.uid.utf8.reduce(UInt64(14_695_981_039_346_656_037)) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
    return String(nameBase(of: job, index).prefix(58)) + Names.suffix(from: mixed)
  }

  /// `base`: the spec before its memory was raised, `raises` times.
  private mutating func createPod(
    _ round: inout JobRound, spec: PodSpec, base: PodSpec, raises: Int64, quality: String, index: Int64?
  ) {
    let job = round.job
    var meta = ObjectMeta()
    meta.namespace = job.meta.namespace
    let name = Self.nameBase(of: job, index)
    meta.generateName = name
    let prefix = String(name.prefix(58))
    meta.name = prefix + Names.suffix(from: random.next())
    while state.pods[meta.key] != nil { meta.name = prefix + Names.suffix(from: random.next()) }
    meta.labels = job.spec.templateLabels
    meta.annotations = job.spec.templateAnnotations
    if let seconds = job.meta.annotations[JobAnnotation.startDeadline],
      meta.annotations[JobAnnotation.startDeadline] == nil
    {
      meta.annotations[JobAnnotation.startDeadline] = seconds
    }
    if let note = workloads.memories[job.meta.uid]?.podSpec?.limitNote {
      meta.annotations[NamespaceLimits.annotation] = note
    }
    if raises > 0 || meta.annotations[JobAnnotation.memoryRaises] != nil {
      meta.annotations[JobAnnotation.memoryRaises] = raises > 0 ? String(raises) : nil
    }
    meta.ownerReferences = [job.controllerReference]
    meta.finalizers =
      job.spec.templateFinalizers.filter { $0 != JobNames.trackingFinalizer } + [JobNames.trackingFinalizer]
    var hostname: String?
    if let index {
      meta.labels[Slot.indexAnnotation] = String(index)
      meta.annotations[Slot.indexAnnotation] = String(index)
      annotateFailures(&meta, of: index, job)
      hostname = "\(job.meta.name)-\(index)"
    }
    var status = PodStatus()
    status.qosClass = quality
    let pod = Pod(meta: meta, spec: spec, nodeName: job.spec.nodeName, hostname: hostname, status: status)
    insert(.pod(pod))
    if let index { countReplaced(index, &round) }
    recordEvent(
      on: .job(job), type: .normal, reason: "SuccessfulCreate", message: "Created pod: \(meta.name)",
      component: JobNames.component)
    if raises > 0 { tellRaise(of: pod, job, base) }
  }

  /// The spec with JOB_COMPLETION_INDEX in each container that does not have the variable: it reads the pod's label, so
  /// that the pods of all indexes share one spec.
  private mutating func indexedSpec(of job: Job) -> PodSpec {
    let admitted = podSpec(of: job)
    if let known = workloads.memories[job.meta.uid]?.indexedSpec, known.admitted === admitted { return known.indexed }
    var json = admitted.json
    let variable: JSON = [
      "name": "JOB_COMPLETION_INDEX",
      "valueFrom": [
        "fieldRef": ["apiVersion": "v1", "fieldPath": .string("metadata.labels['\(Slot.indexAnnotation)']")]
      ],
    ]
    for list in ["initContainers", "containers"] {
      guard var containers = json[list]?.arrayValue else { continue }
      for position in containers.indices {
        let given = containers[position]["env"]?.arrayValue ?? []
        if given.contains(where: { $0["name"]?.stringValue == "JOB_COMPLETION_INDEX" }) { continue }
        containers[position]["env"] = .array(given + [variable])
      }
      json[list] = .array(containers)
    }
    let indexed = PodSpec(json: json)
    workloads.memories[job.meta.uid, default: JobMemory()].indexedSpec = (admitted, indexed)
    return indexed
  }

  private mutating func podSpec(of job: Job) -> PodSpec {
    let priority = podPriority(job.spec.podSpec.json).priority
    let mountsToken = mountsToken(job.spec.podSpec.json, namespace: job.meta.namespace)
    let pullSecrets = pullSecrets(job.spec.podSpec.json, namespace: job.meta.namespace)
    let limits = workloads.limits[job.meta.namespace]
    if let known = workloads.memories[job.meta.uid]?.podSpec, known.template == job.spec.podSpec,
      known.limitsVersion == limits?.version ?? 0,
      TokenMount.isMounted(in: known.admitted.json) == mountsToken,
      known.admitted.json["imagePullSecrets"] == pullSecrets, priority.isHeld(by: known.admitted)
    {
      return known.admitted
    }
    var json = Defaults.admit(
      podSpec: job.spec.podSpec.json, tolerationSeconds: configuration.defaultTolerationSeconds)
    let note = limits?.complete(&json)
    json["imagePullSecrets"] = pullSecrets
    if mountsToken { TokenMount.add(to: &json) }
    Self.admit(priority, into: &json)
    let admitted = PodSpec(json: json)
    workloads.memories[job.meta.uid, default: JobMemory()].podSpec = JobPodSpec(
      template: job.spec.podSpec, admitted: admitted, limitsVersion: limits?.version ?? 0, limitNote: note)
    return admitted
  }
}
