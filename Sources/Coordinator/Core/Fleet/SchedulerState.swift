// Pods that wait for a node, in groups of equals, so that 10,000 of one Job cost one try. Which groups are due,
// parked (nothing fits) or gated (promise 1 holds them back) is kept here; choosing a node is the Scheduler's.

import ClusterProto

/// Pods that the scheduler cannot tell apart.
struct WaitingGroupKey: Hashable, Sendable {
  var specDigest: String
  var jobUID: String
  /// spec.nodeName as the pod was created with; empty for none.
  var pinnedNode: String
}

struct WaitingGroup: Sendable {
  var pods = WorkQueue<ObjectKey>()
  /// Those that do not say yet why they wait.
  var unmarked = WorkQueue<ObjectKey>()
  /// Why nothing fitted the last time.
  var message = ""
}

struct SchedulerState: Sendable {
  var groups: [WaitingGroupKey: WaitingGroup] = [:]
  var due = WorkQueue<WaitingGroupKey>()
  var parked = InsertionSet<WaitingGroupKey>()
  /// Parked groups whose pods have to be told.
  var marking = WorkQueue<WaitingGroupKey>()
  /// Groups with pods that may not start yet, by Job.
  var gated: [String: InsertionSet<WaitingGroupKey>] = [:]
  /// Node of each Job's last failure: a preference, forgotten at a restart.
  var failedOn: [String: String] = [:]
  private var specSizes: [String: Int] = [:]

  /// Bytes of a spec's text, computed once a spec.
  mutating func specBytes(of spec: PodSpec) -> Int {
    if let known = specSizes[spec.digest] { return known }
    if specSizes.count > 4_096 { specSizes.removeAll() }
    let size = spec.json.bytes.count
    specSizes[spec.digest] = size
    return size
  }
}

extension CoordinatorCore {
  /// Not yet assigned, not on its way out, and not held back by scheduling gates.
  static func waitsForNode(_ pod: Pod) -> Bool {
    pod.status.fencingToken == nil && pod.status.phase == .pending && pod.meta.deletionTimestamp == nil
      && pod.spec.json["schedulingGates"]?.arrayValue?.isEmpty ?? true
  }

  static func groupKey(_ pod: Pod) -> WaitingGroupKey {
    WaitingGroupKey(specDigest: pod.spec.digest, jobUID: controllingJob(pod), pinnedNode: pod.nodeName ?? "")
  }

  /// uid of the Job that controls the pod; empty for none.
  static func controllingJob(_ pod: Pod) -> String {
    pod.meta.controllerReference.flatMap { $0.kind == "Job" ? $0.uid : nil } ?? ""
  }

  mutating func startWaiting(_ pod: Pod) {
    let group = Self.groupKey(pod)
    fleet.scheduler.groups[group, default: WaitingGroup()].pods.add(pod.meta.key)
    if pod.status.condition("PodScheduled") == nil {
      fleet.scheduler.groups[group]?.unmarked.add(pod.meta.key)
    }
    if fleet.scheduler.parked.contains(group) {
      // Nothing fitted its equals, and nothing has changed since.
      fleet.scheduler.marking.add(group)
    } else {
      fleet.scheduler.due.add(group)
    }
  }

  mutating func stopWaiting(_ pod: Pod) {
    let group = Self.groupKey(pod)
    fleet.scheduler.groups[group]?.pods.remove(pod.meta.key)
    fleet.scheduler.groups[group]?.unmarked.remove(pod.meta.key)
    if fleet.scheduler.groups[group]?.pods.isEmpty == true { forgetGroup(group) }
  }

  private mutating func forgetGroup(_ key: WaitingGroupKey) {
    fleet.scheduler.groups[key] = nil
    fleet.scheduler.due.remove(key)
    fleet.scheduler.parked.remove(key)
    fleet.scheduler.marking.remove(key)
    fleet.scheduler.gated[key.jobUID]?.remove(key)
    if fleet.scheduler.gated[key.jobUID]?.isEmpty == true { fleet.scheduler.gated[key.jobUID] = nil }
  }

  /// Capacity came free or a node changed: what fitted nowhere is tried again.
  mutating func reconsiderParked() {
    guard !fleet.scheduler.parked.isEmpty else { return }
    for group in fleet.scheduler.parked { fleet.scheduler.due.add(group) }
    fleet.scheduler.parked.removeAll()
  }

  /// The Job changed, or one of its attempts is proven dead.
  mutating func reconsiderGated(_ jobUID: String) {
    guard let released = fleet.scheduler.gated.removeValue(forKey: jobUID) else { return }
    for group in released { fleet.scheduler.due.add(group) }
  }
}
