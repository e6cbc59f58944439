// A Job's attempts that follow an OOMKilled one ask for more memory (`stint.dev/oom-memory`): how often it was raised,
// and the specs that come of it. With a limit of failures for each index an index has a count of its own, which its
// pods carry, as they carry its failures; else the Job has one, in its record. Must not decide what is a failure.

import ClusterProto

extension JobMemory {
  /// A spec with its memory raised so often, and what it was made of: made once and shared by the pods.
  struct RaisedSpec: Sendable {
    var times: Int64
    var rule: MemoryRaise
    var base: PodSpec
    var raised: PodSpec
  }

  /// So many are kept: indexes of one Job are mostly at a few stages.
  static let raisedLimit = 16
}

extension Job {
  /// How the memory of its attempts grows; nil: it does not.
  var memoryRaise: MemoryRaise? {
    if meta.annotations.isEmpty { return nil }
    // Validation has read it before.
    return meta.annotations[JobAnnotation.oomMemory].flatMap { try? MemoryRaise(text: $0) }
  }
}

extension Pod {
  /// A container of it was ended because it needed more memory than its limit.
  var wasOutOfMemory: Bool {
    (status.initContainers + status.containers).contains { $0.state.termination?.reason == "OOMKilled" }
  }

  /// How often its memory was raised.
  var memoryRaises: Int64 {
    let count = meta.annotations[JobAnnotation.memoryRaises].flatMap { Int64($0) } ?? 0
    return min(max(0, count), MemoryRaise.most)
  }

  /// How often that of the attempt after it is.
  var nextMemoryRaises: Int64 { wasOutOfMemory ? min(memoryRaises + 1, MemoryRaise.most) : memoryRaises }
}

extension CoordinatorCore {
  /// A pod of the Job has failed: where the Job counts for all of its pods, the next ones ask for more than it did.
  mutating func noteMemory(of pod: Pod, _ job: Job) {
    guard job.spec.backoffLimitPerIndex == nil, job.memoryRaise != nil, pod.wasOutOfMemory else { return }
    let uid = job.meta.uid
    // Several that ran side by side with the same memory are one raise.
    guard pod.nextMemoryRaises > workloads.memories[uid]?.memoryRaises ?? 0 else { return }
    workloads.memories[uid, default: JobMemory()].memoryRaises = pod.nextMemoryRaises
    writeJobRecord(uid: uid)
  }

  /// How often the memory of a new pod is raised.
  func memoryRaises(of job: Job, _ index: Int64?) -> Int64 {
    guard job.memoryRaise != nil else { return 0 }
    guard job.spec.backoffLimitPerIndex != nil, let index else {
      return workloads.memories[job.meta.uid]?.memoryRaises ?? 0
    }
    let held = workloads.tallies[job.meta.uid]?.held[index].flatMap { state.pods[$0.key] }
    return held?.nextMemoryRaises ?? 0
  }

  /// `base` with its memory raised so often.
  mutating func raisedSpec(_ base: PodSpec, _ job: Job, times: Int64) -> PodSpec {
    guard times > 0, let rule = job.memoryRaise else { return base }
    let uid = job.meta.uid
    var known = workloads.memories[uid]?.raisedSpecs ?? []
    if let found = known.first(where: { $0.times == times && $0.base === base && $0.rule == rule }) {
      return found.raised
    }
    // At the bound one more raise changes nothing, and pods of one spec are one group to the scheduler.
    let json = rule.raised(base.json, times: times)
    let same = known.first { $0.base === base && $0.raised.json == json }
    let raised = json == base.json ? base : same?.raised ?? PodSpec(json: json)
    known.removeAll { $0.base !== base }
    known.append(JobMemory.RaisedSpec(times: times, rule: rule, base: base, raised: raised))
    workloads.memories[uid, default: JobMemory()].raisedSpecs = known.suffix(JobMemory.raisedLimit)
    return raised
  }

  /// Says of a new pod that it asks for more than the template does.
  mutating func tellRaise(of pod: Pod, _ job: Job, _ base: PodSpec) {
    guard pod.spec.memoryBytes > base.memoryBytes else { return }
    recordEvent(
      on: .job(job), type: .normal, reason: "MemoryRaised",
      message: "Pod \(pod.meta.name) asks for \(Quantity.formatBytes(pod.spec.memoryBytes)) of memory instead of "
        + "\(Quantity.formatBytes(base.memoryBytes)): the attempt before it was OOMKilled",
      component: JobNames.component)
  }
}
