// Who has to go for a pod of higher priority that fits nowhere: Kubernetes' choice of node and victims, their polite
// end, and the room that is kept for the pod meanwhile (nominatedNodeName). The pod is assigned only when the victims
// are proven dead, like any other. When a class of pods is tried is the Scheduler's.

import ClusterProto

/// Room on a node that is kept for a pod while others end there.
struct Nomination: Equatable, Sendable {
  var node: String
  /// Its pods are alike: whichever comes first takes the room.
  var classID: WaitingClassID?
  var priority: Int64
  var cpuMillicores: Int64
  var memoryBytes: Int64
  var resources: [ResourceAmount]

  init(_ pod: Pod, of id: WaitingClassID?) {
    node = pod.status.nominatedNodeName
    classID = id
    priority = pod.spec.priority
    cpuMillicores = pod.spec.cpuMillicores
    memoryBytes = pod.spec.memoryBytes
    resources = pod.spec.scheduling.resources
  }
}

struct PreemptionState: Sendable {
  var nominations: [ObjectKey: Nomination] = [:]
  var onNode: [String: InsertionSet<ObjectKey>] = [:]
  /// How many pods of a class have a nomination.
  var classes: [WaitingClassID: Int] = [:]
  /// Classes that fit nowhere and might take somebody's place, who looked longest ago first; and at which change.
  var preemptors = InsertionSet<WaitingClassID>()
  var lookedAt: [WaitingClassID: Int] = [:]
  /// When they may look again, whatever wakes them.
  var restsUntil: [WaitingClassID: BootTime] = [:]
  /// Rises with each change after which another look may be worth it.
  var change = 0
  /// How many attempts there are of each priority, the lowest first.
  private(set) var live: [(priority: Int64, count: Int)] = []
  /// Attempts that were looked at as victims: what tests of cost count.
  var looked = 0

  mutating func count(_ priority: Int64, by change: Int) {
    if let place = live.firstIndex(where: { $0.priority >= priority }) {
      if live[place].priority == priority {
        live[place].count += change
        if live[place].count == 0 { live.remove(at: place) }
      } else {
        live.insert((priority, change), at: place)
      }
    } else {
      live.append((priority, change))
    }
  }

  /// Whether anything runs that a pod of that priority could take the place of.
  func hasLower(than priority: Int64) -> Bool { live.first.map { $0.priority < priority } ?? false }
}

/// A node and who would have to go there; the least is taken, in Kubernetes' order.
struct PreemptionPlan: Comparable, Sendable {
  var node: String
  var victims: [AttemptNumber] = []
  /// Of budgets.
  var violations = 0
  var highest = Int64.min
  /// Of the victims' priorities, each raised above zero: fewer weigh less.
  var sum: Int128 = 0
  /// Victims that are all that runs of their Job: Kubernetes does not look at that.
  var lastOfJob = 0
  /// The first of the highest that began; the later it did, the less is lost.
  var earliest: AttemptNumber = 0

  mutating func add(_ attempt: Attempt, violates: Bool, isLast: Bool) {
    victims.append(attempt.number)
    if violates { violations += 1 }
    if isLast { lastOfJob += 1 }
    sum += Int128(attempt.priority) + Int128(1) << 31
    if attempt.priority == highest {
      earliest = min(earliest, attempt.number)
    } else if attempt.priority > highest {
      (highest, earliest) = (attempt.priority, attempt.number)
    }
  }

  static func < (left: PreemptionPlan, right: PreemptionPlan) -> Bool {
    if left.violations != right.violations { return left.violations < right.violations }
    if left.highest != right.highest { return left.highest < right.highest }
    if left.sum != right.sum { return left.sum < right.sum }
    if left.victims.count != right.victims.count { return left.victims.count < right.victims.count }
    if left.lastOfJob != right.lastOfJob { return left.lastOfJob < right.lastOfJob }
    if left.earliest != right.earliest { return left.earliest > right.earliest }
    return left.node < right.node
  }
}

extension CoordinatorCore {
  /// Pods of a class that are looked at when room is made for it.
  private static let podsAtOnce = 64
  /// As in Kubernetes, not every node is worked out when many would do.
  private static let plansAtOnce = 100
  /// How often classes that fit nowhere look again, and how many, and at how many attempts.
  private static let lookAgainMilliseconds: Int64 = 1_000
  private static let classesAtOnce = 16
  private static let attemptsAtOnce = 20_000

  // MARK: - Nominations

  /// The record follows what waiting pods say of their nominated node.
  mutating func observeNomination(_ before: Pod?, _ after: Pod?) {
    guard let key = (after ?? before)?.meta.key else { return }
    let old = fleet.preemption.nominations[key]
    var new: Nomination?
    if let after, !after.status.nominatedNodeName.isEmpty, Self.waitsForNode(after) {
      new = Nomination(after, of: fleet.scheduler.groups[groupKey(after)]?.classID)
    }
    guard new != old else { return }
    fleet.preemption.nominations[key] = new
    for (id, change) in [(new?.classID, 1), (old?.classID, -1)] {
      guard let id else { continue }
      let count = (fleet.preemption.classes[id] ?? 0) + change
      fleet.preemption.classes[id] = count > 0 ? count : nil
    }
    if let new { fleet.preemption.onNode[new.node, default: InsertionSet()].insert(key) }
    if let old, old.node != new?.node {
      fleet.preemption.onNode[old.node]?.remove(key)
      if fleet.preemption.onNode[old.node]?.isEmpty == true { fleet.preemption.onNode[old.node] = nil }
      if started { nodeOpened(old.node) }
    }
  }

  /// What of the node is taken for a pod of that priority: by attempts, and by what is kept for those that go first or
  /// came first. What is kept for its own class is free to it.
  func usage(of record: NodeRecord, _ name: String, for priority: Int64, _ id: WaitingClassID?) -> NodeUsage {
    guard let keys = fleet.preemption.onNode[name] else { return record.usage }
    var usage = record.usage
    for key in keys {
      guard let kept = fleet.preemption.nominations[key], kept.priority >= priority, id == nil || kept.classID != id
      else { continue }
      usage.add(kept.cpuMillicores, kept.memoryBytes, kept.resources, sign: 1)
    }
    return usage
  }

  /// A pod takes a place that was made for another of its class: that one waits for the other's.
  mutating func swapNomination(of pod: Pod, takes name: String) {
    let own = pod.status.nominatedNodeName
    guard own != name, let keys = fleet.preemption.onNode[name] else { return }
    let id = fleet.scheduler.groups[groupKey(pod)]?.classID
    guard let other = keys.first(where: { fleet.preemption.nominations[$0]?.classID == id }) else { return }
    updatePod(other) { $0.status.nominatedNodeName = own }
  }

  private mutating func withdrawNomination(_ key: ObjectKey) {
    updatePod(key) { $0.status.nominatedNodeName = "" }
  }

  /// Nothing ends any more on the node that would make room for the pod there, or the pod may not go there now.
  private func isVain(_ nomination: Nomination, _ spec: PodSpec) -> Bool {
    // A node whose agent is only not heard from just now keeps its place: it gets its taint when it is lost.
    guard let node = state.nodes[ObjectKey(namespace: "", name: nomination.node)],
      Self.rejection(of: spec, by: node) == nil
    else { return true }
    return !lower(than: nomination.priority, on: nomination.node).contains { !$0.isRun }
  }

  // MARK: - Looking again

  /// Something ended, began or changed on a node: classes that found nobody to take the place of may look again.
  mutating func notePreemptionChange() {
    fleet.preemption.change += 1
    armPreemption()
  }

  private mutating func armPreemption() {
    guard !fleet.preemption.preemptors.isEmpty, fleet.timers.time(of: .preempt) == nil else { return }
    fleet.timers.set(.preempt, at: now.boot + Self.lookAgainMilliseconds)
  }

  /// The interval is over: some of the classes look again, the others at the next.
  mutating func lookForVictimsAgain() {
    let start = fleet.preemption.looked
    var woken = 0
    for id in Array(fleet.preemption.preemptors) {
      guard woken < Self.classesAtOnce, fleet.preemption.looked - start < Self.attemptsAtOnce else {
        return armPreemption()
      }
      guard let priority = fleet.scheduler.classes[id]?.priority else {
        forgetPreemptor(id)
        continue
      }
      guard fleet.preemption.lookedAt[id] ?? -1 < fleet.preemption.change, fleet.preemption.hasLower(than: priority)
      else { continue }
      woken += 1
      fleet.scheduler.classes.wake(id)
    }
  }

  mutating func forgetPreemptor(_ id: WaitingClassID) {
    fleet.preemption.preemptors.remove(id)
    fleet.preemption.lookedAt[id] = nil
    fleet.preemption.restsUntil[id] = nil
  }

  // MARK: - Making room

  /// Makes room for the pods of a class that fits nowhere. Returns how many objects that took.
  mutating func preempt(for id: WaitingClassID) -> Int {
    guard let spec = fleet.scheduler.classes[id]?.spec, !spec.scheduling.neverPreempts,
      fleet.scheduler.classes[id]?.needs.pinnedNode.isEmpty == true
    else { return 0 }
    // What others do for a class that rests may be in vain once more: nobody is ended for it at every turn.
    if let end = fleet.preemption.restsUntil[id], now.boot < end {
      armPreemption()
      return 0
    }
    // Behind all others that look.
    forgetPreemptor(id)
    fleet.preemption.preemptors.insert(id)
    fleet.preemption.lookedAt[id] = fleet.preemption.change
    guard fleet.preemption.hasLower(than: spec.priority) else { return 0 }
    let pods = podsWithoutRoom(of: id, spec)
    guard !pods.isEmpty else { return 0 }
    var touched = 0
    var rules = podRules(of: id)
    var plans = MinHeap(plans(spec, rules, id))
    for pod in pods {
      var isServed = false
      while !isServed, let best = plans.first {
        // What was done for the pods before it may have changed this one: budgets, and the room itself.
        let fresh = plan(spec, rules, id, on: best.node)
        guard let fresh, fresh.node == best.node, fresh.victims == best.victims, fresh.violations == best.violations
        else {
          plans.replaceFirst(with: fresh)
          continue
        }
        touched += carryOut(fresh, for: pod)
        fleet.preemption.restsUntil[id] = now.boot + Self.lookAgainMilliseconds
        // Spreading does not count who ends.
        if rules != nil { rules = podRules(of: id) }
        plans.replaceFirst(with: plan(spec, rules, id, on: best.node))
        isServed = true
      }
      if !isServed { break }
    }
    return touched
  }

  /// The class's first pods that may start and have no place that is being made for them.
  private mutating func podsWithoutRoom(of id: WaitingClassID, _ spec: PodSpec) -> [Pod] {
    var found: [Pod] = []
    var looked = 0
    let groups = Array((fleet.scheduler.classes[id]?.members ?? InsertionSet()).prefix(Self.podsAtOnce))
    for group in groups where fleet.scheduler.groups[group]?.isQueued == true {
      var room = Int.max
      for (index, key) in (fleet.scheduler.groups[group]?.pods.prefix(Self.podsAtOnce - looked) ?? []).enumerated() {
        looked += 1
        guard let pod = state.pods[key], Self.waitsForNode(pod) else { continue }
        if index == 0 { room = roomForAttempts(of: pod) }
        guard room > 0 else { break }
        room -= 1
        guard assignability(of: pod) == .free else { continue }
        if let kept = fleet.preemption.nominations[key] {
          guard isVain(kept, spec) else { continue }
          withdrawNomination(key)
        }
        if let pod = state.pods[key] { found.append(pod) }
      }
      if looked >= Self.podsAtOnce { break }
    }
    return found
  }

  private mutating func plans(_ spec: PodSpec, _ rules: PodRules?, _ id: WaitingClassID) -> [PreemptionPlan] {
    var found: [PreemptionPlan] = []
    for key in state.keys(of: .nodes) {
      if let plan = plan(spec, rules, id, on: key.name) { found.append(plan) }
      if found.count >= Self.plansAtOnce { break }
    }
    return found
  }

  /// Who of lower priority runs on the node.
  private func lower(than priority: Int64, on name: String) -> [Attempt] {
    (fleet.nodes[name]?.attempts ?? InsertionSet()).compactMap { fleet.attempts[$0] }
      .filter { $0.priority < priority }
  }

  /// Why the end of all of lower priority on the node would not do; nil: it would, or there are none.
  func problemWithoutLower(_ spec: PodSpec, _ rules: PodRules?, _ id: WaitingClassID, on node: Node) -> [String]? {
    let name = node.meta.name
    guard let record = fleet.nodes[name] else { return nil }
    var usage = usage(of: record, name, for: spec.priority, nil)
    var standing = rules.flatMap { self.standing(of: id, $0, at: node) }
    let lower = lower(than: spec.priority, on: name)
    if lower.isEmpty { return nil }
    let isNear = standing?.rules.distanceProblem != nil
    for attempt in lower {
      usage.add(attempt, sign: -1)
      if isNear, let there = standing, let share = share(of: attempt, in: there, node.meta.labels) {
        standing?.rules.add(share, -1)
      }
    }
    return Self.roomRefusal(spec, usage, node.capacity)?.texts ?? standing?.rules.distanceProblem.map { [$0] }
  }

  /// Who would have to go on the node, as few and as unimportant as possible; nil: that would not do. As in Kubernetes
  /// all of lower priority are thought away, and those come back, the most important first, beside whom the pod fits.
  private mutating func plan(
    _ spec: PodSpec, _ rules: PodRules?, _ id: WaitingClassID, on name: String
  ) -> PreemptionPlan? {
    guard let record = fleet.nodes[name], record.takesPods,
      let node = state.nodes[ObjectKey(namespace: "", name: name)], Self.rejection(of: spec, by: node) == nil,
      storageRefusal(fleet.scheduler.classes[id]?.needs.storage, by: node) == nil
    else { return nil }
    var standing: ClassAtNode?
    if let rules {
      standing = self.standing(of: id, rules, at: node)
      if standing == nil { return nil }
    }
    let lower = lower(than: spec.priority, on: name)
    fleet.preemption.looked += record.attempts.count
    guard !lower.isEmpty else { return nil }
    let labels = node.meta.labels
    var usage = usage(of: record, name, for: spec.priority, nil)
    let isOpen = standing?.rules.isOpen ?? false
    func move(_ attempt: Attempt, _ sign: Int) {
      usage.add(attempt, sign: Int64(sign))
      guard isOpen, let there = standing, let share = share(of: attempt, in: there, labels) else { return }
      standing?.rules.add(share, sign)
    }
    for attempt in lower { move(attempt, -1) }
    // Whom the pod has to be near may come back below.
    guard Self.fits(spec, usage, node.capacity), standing?.rules.distanceProblem == nil else { return nil }
    var plan = PreemptionPlan(node: name)
    // Those that end already end in any case.
    let (violating, others) = splitByBudgets(lower.filter(\.isRun).sorted { isSpared($0, before: $1) })
    for (attempts, violates) in [(violating, true), (others, false)] {
      for attempt in attempts {
        move(attempt, 1)
        if Self.fits(spec, usage, node.capacity), standing?.rules.distanceProblem == nil { continue }
        move(attempt, -1)
        plan.add(attempt, violates: violates, isLast: isLastOfJob(attempt))
      }
    }
    return standing?.rules.isMet ?? true ? plan : nil
  }

  private func isLastOfJob(_ attempt: Attempt) -> Bool {
    attempt.slot.map { possiblyLiveCount(jobUID: $0.jobUID) == 1 } ?? false
  }

  /// The more important first; of equals what is all that runs of its Job, then who began first.
  private func isSpared(_ left: Attempt, before right: Attempt) -> Bool {
    if left.priority != right.priority { return left.priority > right.priority }
    let (isLeftLast, isRightLast) = (isLastOfJob(left), isLastOfJob(right))
    return isLeftLast == isRightLast ? left.number < right.number : isLeftLast
  }

  /// Those whose end a disruption budget does not allow, and the others.
  private func splitByBudgets(_ attempts: [Attempt]) -> (violating: [Attempt], others: [Attempt]) {
    var allowed: [ObjectKey: Int64] = [:]
    var (violating, others): ([Attempt], [Attempt]) = ([], [])
    for attempt in attempts {
      var violates = false
      if let pod = state.pods[attempt.pod], pod.meta.uid == attempt.podUID {
        for key in budgets(of: pod) {
          let left = (allowed[key] ?? verdict(of: key).allowed) - 1
          allowed[key] = left
          if left < 0 { violates = true }
        }
      }
      if violates { violating.append(attempt) } else { others.append(attempt) }
    }
    return (violating, others)
  }

  /// Marks and ends the victims, and keeps their room for the pod.
  private mutating func carryOut(_ plan: PreemptionPlan, for pod: Pod) -> Int {
    let wall = now.wall
    for number in plan.victims {
      guard let attempt = fleet.attempts[number], let victim = state.pods[attempt.pod],
        victim.meta.uid == attempt.podUID
      else { continue }
      let marked = updatePod(attempt.pod) { pod in
        pod.status.set(
          Condition(
            type: "DisruptionTarget", status: "True", reason: "PreemptionByScheduler",
            message: "default-scheduler: preempting to accommodate a higher priority pod", lastTransition: wall))
      }
      recordEvent(
        on: .pod(marked ?? victim), type: .normal, reason: "Preempted",
        message: "Preempted by pod \(pod.meta.uid) on node \(plan.node)", component: "default-scheduler")
      deletePod(attempt.pod, graceSeconds: nil)
    }
    // Whoever of lower priority waits for that node has to look elsewhere.
    for key in Array(fleet.preemption.onNode[plan.node] ?? InsertionSet())
    where fleet.preemption.nominations[key]?.priority ?? Int64.max < pod.spec.priority {
      withdrawNomination(key)
    }
    notePreemptionChange()
    updatePod(pod.meta.key) { $0.status.nominatedNodeName = plan.node }
    return 1 + 2 * plan.victims.count
  }

  /// How many more attempts the pod's Job may have now.
  private func roomForAttempts(of pod: Pod) -> Int {
    guard let slot = Slot(of: pod), let key = jobKey(owning: pod), let job = state.jobs[key] else { return Int.max }
    return Int(clamping: mostAtOnce(of: job)) - possiblyLiveCount(jobUID: slot.jobUID)
  }
}

extension Attempt {
  /// It is to run: nobody has asked for its end.
  var isRun: Bool { if case .run = action { true } else { false } }
}
