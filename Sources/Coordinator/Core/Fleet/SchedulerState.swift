// Pods that wait for a node, in groups of equals, so that 10,000 of one Job cost one try. A group waits in the class of
// all groups that fit the same nodes (WaitingClasses), or is gated: promise 1 holds its pods back. Choosing a node is
// the Scheduler's.

import ClusterProto

/// Pods that the scheduler cannot tell apart.
struct WaitingGroupKey: Hashable, Sendable {
  var specDigest: String
  /// uid of the Job that controls the pods; empty for none. Indexes share a group: they differ in nothing that a node
  /// is chosen by.
  var jobUID: String
  /// spec.nodeName as the pod was created with; empty for none.
  var pinnedNode: String
  /// What other pods' rules, and its own, tell it by; nil while there are none.
  var identity: PodIdentity?
  /// What its claims ask for; nil: it has none.
  var storage: StorageNeeds?
}

struct WaitingGroup: Sendable {
  /// Rises with each group: who came first is tried first.
  var order: Int
  var classID: WaitingClassID
  /// The priority of its Job's queue.
  var queue: Int64 = 0
  /// In its class's queue; false while it is gated.
  var isQueued = true
  var pods = WorkQueue<ObjectKey>()
  /// Those that do not say yet why they wait.
  var unmarked = WorkQueue<ObjectKey>()
}

struct SchedulerState: Sendable {
  var groups: [WaitingGroupKey: WaitingGroup] = [:]
  var classes = WaitingClasses()
  /// Groups with pods that may not start yet, by Job.
  var gated: [String: InsertionSet<WaitingGroupKey>] = [:]
  /// Pods whose index another attempt may still work at, by their slot; they are in no group.
  var aside: [Slot: InsertionSet<ObjectKey>] = [:]
  /// Pods aside, and gated groups, that do not say yet what they wait for.
  var heldPods = WorkQueue<ObjectKey>()
  var heldGroups = WorkQueue<WaitingGroupKey>()
  /// Node of each Job's last failure: a preference, forgotten at a restart.
  var failedOn: [String: String] = [:]
  /// What classes ask of other pods, which questions they wait for, and those that have waited for any.
  var questions: [WaitingClassID: [QuestionID]] = [:]
  var watched: [WaitingClassID: [QuestionID]] = [:]
  var ruled = InsertionSet<WaitingClassID>()
  /// A gang is being placed: what is left of its group stays where it is.
  var isPlacingGang = false
  var hasHeld: Bool { !heldPods.isEmpty || !heldGroups.isEmpty }
  private var lastOrder = 0
  private var specSizes: [String: Int] = [:]

  /// Bytes of a spec's text, computed once a spec.
  mutating func specBytes(of spec: PodSpec) -> Int {
    if let known = specSizes[spec.digest] { return known }
    if specSizes.count > 4_096 { specSizes.removeAll() }
    let size = spec.json.bytes.count
    specSizes[spec.digest] = size
    return size
  }

  /// The place of a new group behind all others.
  mutating func nextOrder() -> Int {
    lastOrder += 1
    return lastOrder
  }
}

extension CoordinatorCore {
  /// Not yet assigned, not on its way out, and not held back by scheduling gates.
  static func waitsForNode(_ pod: Pod) -> Bool {
    pod.status.fencingToken == nil && pod.status.phase == .pending && pod.meta.deletionTimestamp == nil
      && pod.spec.scheduling.gates.isEmpty
  }

  func groupKey(_ pod: Pod) -> WaitingGroupKey {
    WaitingGroupKey(
      specDigest: pod.spec.digest, jobUID: Slot(of: pod)?.jobUID ?? "", pinnedNode: pod.nodeName ?? "",
      identity: identity(of: pod), storage: pod.spec.claims.isEmpty ? nil : storage.needs[pod.meta.key])
  }

  mutating func startWaiting(_ pod: Pod) {
    if !pod.spec.claims.isEmpty { enterNeeds(of: pod) }
    let key = groupKey(pod)
    if fleet.scheduler.groups[key] == nil {
      let classID = fleet.scheduler.classes.enter(key, pod.spec, gang: gangSize(of: key))
      fleet.scheduler.groups[key] = WaitingGroup(
        order: fleet.scheduler.nextOrder(), classID: classID, queue: queuePriority(ofJob: key.jobUID), isQueued: false)
    }
    fleet.scheduler.groups[key]?.pods.add(pod.meta.key)
    let told = pod.status.condition("PodScheduled")?.reason
    if told == nil || [Self.gatedReason, Self.heldReason, Self.incompleteReason].contains(told) {
      fleet.scheduler.groups[key]?.unmarked.add(pod.meta.key)
    }
    queue(key)
    settleGang(key)
  }

  mutating func stopWaiting(_ pod: Pod) {
    let key = groupKey(pod)
    fleet.scheduler.groups[key]?.pods.remove(pod.meta.key)
    fleet.scheduler.groups[key]?.unmarked.remove(pod.meta.key)
    leaveNeeds(of: pod)
    forgetGroupIfEmpty(key)
    settleGang(key)
    guard let slot = Slot(of: pod), slot.index != nil else { return }
    fleet.scheduler.aside[slot]?.remove(pod.meta.key)
    if fleet.scheduler.aside[slot]?.isEmpty == true { fleet.scheduler.aside[slot] = nil }
  }

  /// The pod's index is taken: it waits outside its group, so that the other indexes do not look at it again.
  mutating func setAside(_ pod: Pod) {
    guard let slot = Slot(of: pod) else { return }
    if !pod.status.nominatedNodeName.isEmpty { updatePod(pod.meta.key) { $0.status.nominatedNodeName = "" } }
    stopWaiting(pod)
    fleet.scheduler.aside[slot, default: InsertionSet()].insert(pod.meta.key)
    noteHeld(pod.meta.key)
  }

  /// True for a pod that waits for the attempt before it.
  func isAside(_ pod: Pod) -> Bool {
    Slot(of: pod).map { fleet.scheduler.aside[$0]?.contains(pod.meta.key) ?? false } ?? false
  }

  /// An attempt of the slot is proven dead.
  mutating func reconsiderAside(_ slot: Slot) {
    guard slot.index != nil, !isPossiblyLive(slot), let keys = fleet.scheduler.aside.removeValue(forKey: slot) else {
      return
    }
    for key in keys { if let pod = state.pods[key] { startWaiting(pod) } }
  }

  mutating func forgetGroupIfEmpty(_ key: WaitingGroupKey) {
    guard let group = fleet.scheduler.groups[key], group.pods.isEmpty else { return }
    fleet.scheduler.groups[key] = nil
    forgetNeeds(of: key)
    leaveClass(key, group.classID)
    fleet.scheduler.gated[key.jobUID]?.remove(key)
    if fleet.scheduler.gated[key.jobUID]?.isEmpty == true { fleet.scheduler.gated[key.jobUID] = nil }
  }

  /// Puts a group into its class's queue, at the place of its coming. In a class that fits nowhere it is only told so.
  mutating func queue(_ key: WaitingGroupKey) {
    guard let group = fleet.scheduler.groups[key] else { return }
    if !group.isQueued {
      fleet.scheduler.groups[key]?.isQueued = true
      fleet.scheduler.classes.queue(key, order: group.order, queue: group.queue, group.classID)
    }
    if !group.unmarked.isEmpty { fleet.scheduler.classes.mark(key, group.classID) }
  }

  /// The Job changed, or one of its attempts is proven dead.
  mutating func reconsiderGated(_ jobUID: String) {
    guard let released = fleet.scheduler.gated.removeValue(forKey: jobUID) else { return }
    for group in released { queue(group) }
  }

  /// A node came, came back, changed, or has room again: it is offered to whatever waits, and nothing else is tried.
  mutating func nodeOpened(_ name: String) {
    guard !fleet.scheduler.classes.isEmpty, let record = fleet.nodes[name], record.takesPods
    else { return }
    fleet.scheduler.classes.open(name)
  }

  /// The class and the group that are to be tried next. While new copies are held back no node is offered: all are
  /// when that is over.
  mutating func nextDue() -> (id: WaitingClassID, group: WaitingGroupKey)? {
    while let next = fleet.scheduler.classes.next(of: fleet.scheduler.groups, offers: !isHolding) {
      switch next {
      case .place(let id, let group): return (id, group)
      case .offer(let opened): offer(opened)
      }
    }
    return nil
  }

  private mutating func offer(_ opened: OpenedNode) {
    let name = opened.name
    guard let record = fleet.nodes[name], let node = state.nodes[ObjectKey(namespace: "", name: name)],
      record.takesPods, record.usage.pods < node.capacity.pods
    else { return fleet.scheduler.classes.close(name) }
    let cpu = max(0, Int128(node.capacity.cpuMillicores) - record.usage.cpuMillicores)
    let memory = max(0, Int128(node.capacity.memoryBytes) - record.usage.memoryBytes)
    while let place = fleet.scheduler.classes.nextToAsk(name, cpu: cpu, memory: memory) {
      if suits(place.id, record, node) { return fleet.scheduler.classes.take(opened, for: place) }
      fleet.scheduler.classes.pass(name, by: place)
    }
    fleet.scheduler.classes.close(name)
  }

  /// Whether the node takes pods of the class, as far as other pods do not forbid it.
  func suits(_ id: WaitingClassID, _ record: NodeRecord, _ node: Node) -> Bool {
    guard let found = fleet.scheduler.classes[id] else { return false }
    return Self.fits(found.spec, usage(of: record, node.meta.name, for: found.priority, id), node.capacity)
      && Self.rejection(of: found.spec, by: node) == nil && storageRefusal(found.needs.storage, by: node) == nil
  }

  /// What waiting pods say of the nodes may be wrong now: it is looked at again at the next interval.
  mutating func noteNodesChanged() {
    notePreemptionChange()
    fleet.scheduler.classes.noteNodesChanged()
    armExplanation()
  }

  mutating func armExplanation() {
    guard fleet.scheduler.classes.hasStale || fleet.scheduler.hasHeld, fleet.timers.time(of: .explain) == nil else {
      return
    }
    fleet.timers.set(.explain, at: now.boot + Self.explanationMilliseconds)
  }
}
