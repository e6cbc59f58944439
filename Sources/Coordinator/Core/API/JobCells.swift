// Cells of a Job's row: STATUS, COMPLETIONS, DURATION and the wide ones, by Kubernetes' printer.

import ClusterProto

enum JobCells {
  static func cells(_ job: Job, _ now: WallTime) -> [JSON] {
    let containers = job.spec.podSpec.containers
    return [
      .string(job.meta.name), .string(status(job)), .string(completions(job)), .string(duration(job, now)),
      .string(Tables.age(job.meta.creationTimestamp, now)),
      .string(containers.map(\.name).joined(separator: ",")), .string(containers.map(\.image).joined(separator: ",")),
      Tables.orNone(LabelSelector(json: job.spec.selector).description),
    ]
  }

  static func status(_ job: Job) -> String {
    func has(_ type: String) -> Bool { job.status.condition(type)?.isTrue == true }
    if has("Complete") { return "Complete" }
    if has("Failed") { return "Failed" }
    if job.meta.deletionTimestamp != nil { return "Terminating" }
    for type in ["Suspended", "FailureTarget", "SuccessCriteriaMet"] where has(type) { return type }
    return job.isWaiting ? "Waiting" : "Running"
  }

  static func completions(_ job: Job) -> String {
    if let completions = job.spec.completions { return "\(job.status.succeeded)/\(completions)" }
    let parallelism = job.spec.parallelism
    return parallelism > 1 ? "\(job.status.succeeded)/1 of \(parallelism)" : "\(job.status.succeeded)/1"
  }

  /// Empty before the start; a Failed Job has no completion time, so it grows on.
  static func duration(_ job: Job, _ now: WallTime) -> String {
    guard let start = job.status.startTime else { return "" }
    return humanDuration(milliseconds: (job.status.completionTime ?? now).milliseconds(since: start))
  }
}
