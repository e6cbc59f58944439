// Jobs whose pods are refused, because their account or their priority class is not there, or by LimitRanges, Pod
// Security and quotas: said by an event, tried again after pauses and when that may be over. Knows nothing of what
// these are for.

import ClusterProto

extension CoordinatorCore {
  private static let firstPause: Int64 = 1_000
  private static let longestPause: Int64 = 60_000

  /// Whether the Job's pods are refused for want of an account or a class, which it is told by an event. It is tried
  /// again after Kubernetes' pauses, 1 s doubling to a minute, and when an account or a priority class comes.
  mutating func isRefused(_ job: Job) -> Bool {
    let account = job.spec.podSpec.serviceAccountName
    guard
      let problem = accountProblem(of: account, namespace: job.meta.namespace)
        ?? podPriority(job.spec.podSpec.json).problem
    else { return false }
    // Kubernetes finds it before the pod has a name.
    refuse(job, String((job.meta.name + "-").prefix(58)), problem)
    return true
  }

  /// Why there may be no pod of that spec, however few there are: LimitRanges and Pod Security.
  func standingProblem(_ spec: JSON, namespace: String) -> String? {
    workloads.limits[namespace]?.problem(spec) ?? podSecurityProblem(spec, namespace: namespace)
  }

  mutating func refuse(_ job: Job, _ name: String, _ problem: String) {
    recordEvent(
      on: .job(job), type: .warning, reason: "FailedCreate",
      message: "Error creating: pods \(JSON.string(name).text) is forbidden: \(problem)", component: JobNames.component)
    workloads.refused[job.meta.namespace, default: InsertionSet()].insert(job.meta.key)
    let refusals = workloads.memories[job.meta.uid]?.refusals ?? 0
    workloads.memories[job.meta.uid, default: JobMemory()].refusals = refusals.addingSaturated(1)
    let end = now.boot + min(Self.firstPause << min(refusals, 6), Self.longestPause)
    let timer = WorkloadTimer.job(job.meta.uid)
    workloads.timers.set(timer, at: min(end, workloads.timers.time(of: timer) ?? end))
  }

  /// All pods that were wanted are there.
  mutating func accept(_ job: Job) {
    guard workloads.memories[job.meta.uid]?.refusals ?? 0 > 0 else { return }
    workloads.memories[job.meta.uid]?.refusals = 0
    workloads.refused[job.meta.namespace]?.remove(job.meta.key)
  }

  /// What waits for an account of that namespace, for a priority class or for other rules may go on.
  mutating func refusalMayBeOver(in namespace: String) {
    while let key = workloads.refused[namespace]?.popFirst() { workloads.jobs.add(key) }
    workloads.refused[namespace] = nil
  }
}
