// Jobs whose pods are refused because their account or their priority class is not there: said by an event, tried again
// after pauses and when such an object comes. Knows nothing of what these are for.

import ClusterProto

extension CoordinatorCore {
  private static let firstPause: Int64 = 1_000
  private static let longestPause: Int64 = 60_000

  /// Whether the Job's pods are refused, which it is told by an event. It is tried again after Kubernetes' pauses, 1 s
  /// doubling to a minute, and when an account or a priority class comes.
  mutating func isRefused(_ job: Job) -> Bool {
    let account = job.spec.podSpec.serviceAccountName
    guard
      let problem = accountProblem(of: account, namespace: job.meta.namespace)
        ?? podPriority(job.spec.podSpec.json).problem
    else {
      if workloads.memories[job.meta.uid]?.refusals ?? 0 > 0 {
        workloads.memories[job.meta.uid]?.refusals = 0
        workloads.refused[job.meta.namespace]?.remove(job.meta.key)
      }
      return false
    }
    let prefix = JSON.string(String((job.meta.name + "-").prefix(58))).text
    recordEvent(
      on: .job(job), type: .warning, reason: "FailedCreate",
      message: "Error creating: pods \(prefix) is forbidden: \(problem)", component: JobNames.component)
    workloads.refused[job.meta.namespace, default: InsertionSet()].insert(job.meta.key)
    let refusals = workloads.memories[job.meta.uid]?.refusals ?? 0
    workloads.memories[job.meta.uid, default: JobMemory()].refusals = refusals.addingSaturated(1)
    let end = now.boot + min(Self.firstPause << min(refusals, 6), Self.longestPause)
    let timer = WorkloadTimer.job(job.meta.uid)
    workloads.timers.set(timer, at: min(end, workloads.timers.time(of: timer) ?? end))
    return true
  }

  /// What waits for an account of that namespace, or for a priority class, may go on.
  mutating func refusalMayBeOver(in namespace: String) {
    while let key = workloads.refused[namespace]?.popFirst() { workloads.jobs.add(key) }
    workloads.refused[namespace] = nil
  }
}
