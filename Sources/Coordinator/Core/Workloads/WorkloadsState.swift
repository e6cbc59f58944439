// What the workload controllers (Job, garbage collector, TTL, pod GC) remember between turns.

import ClusterProto

struct WorkloadsState: Sendable {
}

extension CoordinatorCore {
  /// Called for every object change, also for each row at start (then nothing may be written or sent).
  mutating func workloadsObserve(_ change: ObjectChange) {}
  mutating func restoreJobRecord(key: String, value: JSON) throws(CoordinatorStartError) {}
  mutating func restoreWorkloadsAfterRows() {}
  /// Runs due work on at most `limit` objects; returns how many it touched.
  mutating func runWorkloads(limit: Int) -> Int { 0 }
  mutating func fireWorkloadTimers() {}
  mutating func nextWorkloadTimer() -> BootTime? { nil }
}
