// The pause before a Job's next pod after failures: by its own rule, else 10 s doubling to 10 min since the last
// failure; forgotten at the next success. Kept in a row of its own, so that a restart of the coordinator does not cut
// it short.

import ClusterProto

struct JobBackoff: Equatable, Sendable {
  /// Failures that finished after the latest success.
  var failures: Int64 = 0
  /// When the latest of them finished.
  var lastFailure = WallTime(nanoseconds: 0)
  /// The same by this incarnation's boot clock: what the pause counts.
  var lastFailureBoot = BootTime(milliseconds: 0)

  static func == (left: JobBackoff, right: JobBackoff) -> Bool {
    left.failures == right.failures && left.lastFailure == right.lastFailure
  }

  /// The end of the pause; nil without one. `seed`: whose failures they are.
  func end(by rule: BackoffRule, seed: String) -> BootTime? {
    failures > 0 ? lastFailureBoot + rule.pause(after: failures, seed: seed) : nil
  }

  mutating func success() {
    failures = 0
    lastFailure = WallTime(nanoseconds: 0)
  }

  mutating func failure(at wall: WallTime, boot: BootTime) {
    lastFailure = failures == 0 ? wall : max(lastFailure, wall)
    lastFailureBoot = failures == 0 ? boot : max(lastFailureBoot, boot)
    failures = failures.addingSaturated(1)
  }
}

extension Job {
  /// The pauses between its failures.
  var backoffRule: BackoffRule {
    guard let text = meta.annotations[JobAnnotation.backoff] else { return .kubernetes }
    // Validation has read it before.
    return (try? BackoffRule(text: text)) ?? .kubernetes
  }
}

extension CoordinatorCore {
  mutating func restoreJobRecord(key: String, value: JSON) throws(CoordinatorStartError) {
    guard let failures = value["failures"]?.intValue, let last = value["lastFailureNanoseconds"]?.intValue else {
      throw CoordinatorStartError(message: "the store's row jobrecords/\(key) is incomplete; restore a backup")
    }
    let wall = WallTime(nanoseconds: last)
    workloads.memories[key, default: JobMemory()].backoff = JobBackoff(
      failures: failures, lastFailure: wall, lastFailureBoot: bootTime(of: wall))
    workloads.memories[key]?.dependencies = DependencyRecord.all(json: value["dependencies"])
    workloads.memories[key]?.memoryRaises = min(max(0, value["memoryRaises"]?.intValue ?? 0), MemoryRaise.most)
  }

  /// Sets a Job's backoff and writes it, where it changed.
  mutating func setBackoff(_ backoff: JobBackoff, uid: String) {
    guard backoff != workloads.memories[uid]?.backoff ?? JobBackoff() else { return }
    workloads.memories[uid, default: JobMemory()].backoff = backoff
    writeJobRecord(uid: uid)
  }

  /// Writes down what a restart must not forget of a Job.
  mutating func writeJobRecord(uid: String) {
    let memory = workloads.memories[uid] ?? JobMemory()
    var value: JSON = [
      "failures": .int(memory.backoff.failures),
      "lastFailureNanoseconds": .int(memory.backoff.lastFailure.nanoseconds),
    ]
    if !memory.dependencies.isEmpty { value["dependencies"] = DependencyRecord.json(memory.dependencies) }
    if memory.memoryRaises > 0 { value["memoryRaises"] = .int(memory.memoryRaises) }
    let isEmpty = memory == JobMemory()
    writes.append(StoreWrite(table: .jobrecords, key: uid, value: isEmpty ? nil : Array(value.text.utf8)))
  }

  mutating func dropMemory(uid: String) {
    guard let memory = workloads.memories.removeValue(forKey: uid), memory != JobMemory() else { return }
    writeJobRecord(uid: uid)
  }

  /// When a pod finished: the latest end of its containers, else when it stopped being ready, else when its deletion
  /// was asked, else its creation.
  static func finishTime(of pod: Pod) -> WallTime {
    let ends = (pod.status.initContainers + pod.status.containers).compactMap { $0.state.termination?.finishedAt }
    if let last = ends.max(), last.nanoseconds > 0 { return last }
    if let ready = pod.status.condition("Ready"), !ready.isTrue, ready.lastTransition.nanoseconds > 0 {
      return ready.lastTransition
    }
    if let deletion = pod.meta.deletionTimestamp {
      return deletion.adding(milliseconds: -milliseconds(seconds: pod.meta.deletionGracePeriodSeconds ?? 0))
    }
    return pod.meta.creationTimestamp
  }

  /// A finish stamp on this coordinator's clock. A node whose clock is wrong must not shorten the pause: what lies
  /// before the pod's creation or after now is taken as now.
  func trustedFinishTime(of pod: Pod) -> WallTime {
    let time = Self.finishTime(of: pod)
    let seconds = pod.meta.creationTimestamp.seconds
    return time.seconds < seconds || time > now.wall ? now.wall : time
  }
}
