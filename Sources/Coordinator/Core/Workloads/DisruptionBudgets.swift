// The disruption controller: counts the pods of each PodDisruptionBudget by what changes of them, writes its status,
// and says whether one more pod may go. Asking for that is Eviction's and the scheduler's. No count is a scan but the
// first one of a budget or of a new selector.

import ClusterProto

/// The pods that a budget selects, counted.
struct BudgetCount: Equatable, Sendable {
  /// Nil: it selects none.
  var selector: LabelSelector?
  var pods: Int64 = 0
  /// Ready, and not on their way out.
  var healthy: Int64 = 0
  /// Those that something controls.
  var managed: Int64 = 0

  /// What one pod counts for.
  func part(of pod: Pod?) -> (pods: Int64, healthy: Int64, managed: Int64) {
    guard let pod, let selector, selector.matches(pod.meta.labels) else { return (0, 0, 0) }
    let isHealthy = pod.meta.deletionTimestamp == nil && pod.status.isReady
    return (1, isHealthy ? 1 : 0, pod.meta.ownerReferences.contains { $0.controller == true } ? 1 : 0)
  }

  mutating func add(_ pod: Pod?, _ sign: Int64) {
    let part = part(of: pod)
    pods += sign * part.pods
    healthy += sign * part.healthy
    managed += sign * part.managed
  }
}

/// What a budget comes to now.
struct BudgetVerdict: Equatable, Sendable {
  var allowed: Int64 = 0
  var healthy: Int64 = 0
  var desired: Int64 = 0
  var expected: Int64 = 0
  /// Why it cannot be said; nothing may go then.
  var failure: String?
}

struct BudgetState: Sendable {
  var counts: [ObjectKey: BudgetCount] = [:]
  /// The budgets of each namespace that has some.
  var inNamespace: [String: InsertionSet<ObjectKey>] = [:]
  /// Those whose status may be wrong.
  var due = WorkQueue<ObjectKey>()
}

extension CoordinatorCore {
  private static let disruptionComponent = "controllermanager"
  private static let allowedCondition = "DisruptionAllowed"

  // MARK: - Counting

  mutating func observeBudget(_ change: ObjectChange) {
    guard case .other(let object)? = change.subject, object.kind == .poddisruptionbudgets else { return }
    let key = object.meta.key
    guard case .other(let after)? = change.after else {
      workloads.budgets.counts[key] = nil
      workloads.budgets.inNamespace[key.namespace]?.remove(key)
      if workloads.budgets.inNamespace[key.namespace]?.isEmpty == true {
        workloads.budgets.inNamespace[key.namespace] = nil
      }
      return
    }
    workloads.budgets.due.add(key)
    let selector = after.body["spec"]?["selector"].map { LabelSelector(json: $0) }
    if let known = workloads.budgets.counts[key], known.selector == selector { return }
    var count = BudgetCount(selector: selector)
    for pod in state.keys(of: .pods, in: key.namespace) { count.add(state.pods[pod], 1) }
    workloads.budgets.counts[key] = count
    workloads.budgets.inNamespace[key.namespace, default: InsertionSet()].insert(key)
  }

  mutating func countForBudgets(_ change: ObjectChange) {
    guard let namespace = change.subject?.meta.namespace, let keys = workloads.budgets.inNamespace[namespace] else {
      return
    }
    var (before, after): (Pod?, Pod?)
    if case .pod(let pod)? = change.before { before = pod }
    if case .pod(let pod)? = change.after { after = pod }
    for key in keys {
      guard var count = workloads.budgets.counts[key] else { continue }
      count.add(before, -1)
      count.add(after, 1)
      guard count != workloads.budgets.counts[key] else { continue }
      workloads.budgets.counts[key] = count
      workloads.budgets.due.add(key)
    }
  }

  // MARK: - Verdicts

  /// The budgets that select a pod.
  func budgets(of pod: Pod) -> [ObjectKey] {
    guard let keys = workloads.budgets.inNamespace[pod.meta.namespace] else { return [] }
    return keys.filter { workloads.budgets.counts[$0]?.selector?.matches(pod.meta.labels) ?? false }
  }

  /// Kubernetes' trySync without its delay: a pod that goes counts at once.
  func verdict(of key: ObjectKey) -> BudgetVerdict {
    guard let spec = state.other(.poddisruptionbudgets, key)?.body["spec"], let count = workloads.budgets.counts[key]
    else { return BudgetVerdict() }
    var verdict = BudgetVerdict(healthy: count.healthy)
    if let minimum = spec["minAvailable"]?.intValue {
      verdict.desired = minimum
      verdict.expected = count.pods
    } else if spec["minAvailable"] != nil || spec["maxUnavailable"] != nil {
      // Shares need the size of what controls the pods, and Jobs have none that Kubernetes would take for it.
      if count.managed > 0 {
        verdict.failure = "jobs.batch does not implement the scale subresource"
        return verdict
      }
      if let least = spec["minAvailable"] {
        verdict.desired = Share(least)?.of(verdict.expected) ?? 0
      } else {
        let most = spec["maxUnavailable"]
        verdict.desired = max(0, verdict.expected - (most?.intValue ?? Share(most)?.of(verdict.expected) ?? 0))
      }
    }
    if verdict.expected > 0 { verdict.allowed = max(0, count.healthy - verdict.desired) }
    return verdict
  }

  // MARK: - Status

  mutating func syncBudgets(limit: Int) -> Int {
    var touched = 0
    while touched < limit, let key = workloads.budgets.due.next() {
      touched += 1
      syncBudget(key)
    }
    return touched
  }

  private mutating func syncBudget(_ key: ObjectKey) {
    guard let budget = state.other(.poddisruptionbudgets, key), let count = workloads.budgets.counts[key] else {
      return
    }
    let verdict = verdict(of: key)
    let reason = verdict.failure != nil ? "SyncFailed" : verdict.allowed > 0 ? "SufficientPods" : "InsufficientPods"
    let message = verdict.failure ?? ""
    let isAllowed = verdict.allowed > 0
    var status = budget.body["status"] ?? .object(JSONObject())
    // A failure leaves the counts as they were.
    if verdict.failure == nil {
      status["currentHealthy"] = .int(count.healthy)
      status["desiredHealthy"] = .int(verdict.desired)
      status["expectedPods"] = .int(verdict.expected)
    }
    status["disruptionsAllowed"] = .int(verdict.allowed)
    status["observedGeneration"] = .int(budget.meta.generation)
    var conditions = status["conditions"]?.arrayValue ?? []
    let place = conditions.firstIndex { $0["type"]?.stringValue == Self.allowedCondition }
    let old = place.map { conditions[$0] }
    var condition: JSON = [
      "type": .string(Self.allowedCondition), "status": isAllowed ? "True" : "False", "reason": .string(reason),
      "message": .string(message), "observedGeneration": .int(budget.meta.generation),
      "lastTransitionTime": .string(stamp.rfc3339),
    ]
    if let old, old["status"] == condition["status"] { condition["lastTransitionTime"] = old["lastTransitionTime"] }
    if let place { conditions[place] = condition } else { conditions.append(condition) }
    status["conditions"] = .array(conditions)
    guard status != budget.body["status"] else { return }
    let after = update(budgetReference(key)) { object in
      guard case .other(var other) = object else { return }
      other.body["status"] = status
      object = .other(other)
    }
    guard old?["reason"]?.stringValue != reason else { return }
    let object = after ?? .other(budget)
    if let failure = verdict.failure {
      recordEvent(
        on: object, type: .warning, reason: "CalculateExpectedPodCountFailed",
        message: "Failed to calculate the number of expected pods: \(failure)", component: Self.disruptionComponent)
    } else if count.pods == 0 {
      recordEvent(
        on: object, type: .normal, reason: "NoPods", message: "No matching pods found",
        component: Self.disruptionComponent)
    }
  }

  private func budgetReference(_ key: ObjectKey) -> ObjectReference {
    ObjectReference(kind: .poddisruptionbudgets, key: key)
  }
}
