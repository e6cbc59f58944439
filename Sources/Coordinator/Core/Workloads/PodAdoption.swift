// Which Job a pod belongs to by its labels: adopts pods that no controller has, releases those that no longer match.
// What runs of such a pod is the slot of its new controller, and of the one before no more.
// Almost every Job selects by its own uid; only those with manualSelector look at pods of others' making.

import ClusterProto

/// Jobs that choose their own selector, by a label that it asks for: a pod costs its labels, not the Jobs.
struct ManualJobs: Sendable {
  /// Under nil those that ask for no label by its value.
  private var jobs: [StringMap.Entry?: InsertionSet<ObjectKey>] = [:]

  /// A selector is immutable: the label is the same at each call.
  private static func label(of job: Job) -> StringMap.Entry? {
    StringMap(json: job.spec.selector?["matchLabels"]).first
  }

  mutating func insert(_ job: Job) { jobs[Self.label(of: job), default: InsertionSet()].insert(job.meta.key) }

  mutating func remove(_ job: Job) {
    let label = Self.label(of: job)
    jobs[label]?.remove(job.meta.key)
    if jobs[label]?.isEmpty == true { jobs[label] = nil }
  }

  /// Those whose selectors may match the labels.
  func candidates(for labels: StringMap) -> [ObjectKey] {
    if jobs.isEmpty { return [] }
    var result = Array(jobs[nil] ?? InsertionSet())
    for label in labels { if let found = jobs[label] { result += found } }
    return result
  }
}

extension CoordinatorCore {
  mutating func observeOrphan(before: Pod?, after: Pod?) {
    let was = before.map { $0.meta.controllerReference == nil } ?? false
    let isOne = after.map { $0.meta.controllerReference == nil } ?? false
    guard was != isOne, let key = (after ?? before)?.meta.key else { return }
    if isOne {
      workloads.orphans[key.namespace, default: InsertionSet()].insert(key)
    } else {
      workloads.orphans[key.namespace]?.remove(key)
      if workloads.orphans[key.namespace]?.isEmpty == true { workloads.orphans[key.namespace] = nil }
    }
  }

  /// `before`: the pod until now; nil: it is new.
  mutating func considerAdoption(of pod: Pod, before: Pod?) {
    if let before, Slot(of: before) != Slot(of: pod) {
      workloads.adoptions.add(pod.meta.key)
      return
    }
    if Slot(of: pod) != nil {
      // A new pod carries its Job's labels: only a change can make it leave.
      if started, let key = jobKey(owning: pod), let job = state.jobs[key],
        job.spec.otherManager == nil,
        pod.meta.labels != job.spec.templateLabels, !selects(job, pod)
      {
        workloads.adoptions.add(pod.meta.key)
      }
      return
    }
    guard pod.meta.controllerReference == nil, pod.meta.deletionTimestamp == nil, !pod.meta.labels.isEmpty else {
      return
    }
    if pod.meta.labels[JobNames.uidLabel] != nil || !manualJobs(for: pod).isEmpty {
      workloads.adoptions.add(pod.meta.key)
    }
  }

  mutating func manualJobAdded(_ job: Job) {
    workloads.manualJobs[job.meta.namespace, default: ManualJobs()].insert(job)
    for key in workloads.orphans[job.meta.namespace] ?? InsertionSet() {
      workloads.looked += 1
      workloads.adoptions.add(key)
    }
  }

  mutating func adoptPods(limit: Int) -> Int {
    var touched = 0
    while touched < limit, let key = workloads.adoptions.next() {
      touched += 1
      guard let pod = state.pods[key] else { continue }
      if let owner = jobKey(owning: pod), let job = state.jobs[owner], !selects(job, pod),
        job.meta.deletionTimestamp == nil, !job.status.isFinished
      {
        release(pod, from: job)
      } else if pod.meta.controllerReference == nil, pod.meta.deletionTimestamp == nil, let job = adopter(of: pod) {
        adopt(pod, by: job)
      } else {
        moveAttempt(podUID: pod.meta.uid, to: Slot(of: pod))
      }
    }
    return touched
  }

  private func selects(_ job: Job, _ pod: Pod) -> Bool {
    guard let selector = job.spec.selector else { return true }
    return LabelSelector(json: selector).matches(pod.meta.labels)
  }

  private func manualJobs(for pod: Pod) -> [ObjectKey] {
    workloads.manualJobs[pod.meta.namespace]?.candidates(for: pod.meta.labels) ?? []
  }

  private mutating func adopter(of pod: Pod) -> Job? {
    var candidates = manualJobs(for: pod)
    workloads.looked += candidates.count
    if let uid = pod.meta.labels[JobNames.uidLabel], let key = jobReference(uid: uid) { candidates.append(key) }
    return candidates.sorted().compactMap { state.jobs[$0] }.first { job in
      job.meta.namespace == pod.meta.namespace && job.meta.deletionTimestamp == nil && !job.status.isFinished
        && job.spec.otherManager == nil && job.spec.selector != nil && selects(job, pod)
    }
  }

  private mutating func adopt(_ pod: Pod, by job: Job) {
    // One of the Job's own making that has ended and lost its finalizer was counted.
    let wasCounted = pod.status.phase.isTerminal && pod.meta.labels[JobNames.uidLabel] == job.meta.uid
    let adopted = updatePod(pod.meta.key) { pod in
      pod.meta.ownerReferences.append(job.controllerReference)
      if !wasCounted, !pod.meta.finalizers.contains(JobNames.trackingFinalizer) {
        pod.meta.finalizers.append(JobNames.trackingFinalizer)
      }
    }
    moveAttempt(podUID: pod.meta.uid, to: adopted.flatMap { Slot(of: $0) })
  }

  private mutating func release(_ pod: Pod, from job: Job) {
    updatePod(pod.meta.key) { pod in
      pod.meta.ownerReferences.removeAll { $0.uid == job.meta.uid }
      pod.meta.finalizers.removeAll { $0 == JobNames.trackingFinalizer }
    }
    moveAttempt(podUID: pod.meta.uid, to: nil)
  }
}
