// ResourceQuotas: how much of what each bounds is in use in its namespace, counted by what changes of the objects
// there, its status, and whether one more object may come, in the order and the words of Kubernetes' admission. No
// count is a scan but the first one of a quota or of a new spec. Validation of the kind is its descriptor's.

import ClusterProto

struct QuotaState: Sendable {
  var counts: [ObjectKey: QuotaCount] = [:]
  /// The quotas of each namespace that has some, by name.
  var inNamespace: [String: [ObjectKey]] = [:]
  /// Those whose status may be wrong.
  var due = WorkQueue<ObjectKey>()
  /// Namespaces in which something has become free: what was refused there is tried again, one after another.
  var freed = WorkQueue<String>()
  /// Objects that were counted; for tests of what it costs.
  var looked = 0
}

extension CoordinatorCore {
  // MARK: - Counting

  mutating func observeQuota(_ change: ObjectChange) {
    guard case .other(let object)? = change.subject, object.kind == .resourcequotas else { return }
    let key = object.meta.key
    guard case .other(let after)? = change.after else {
      workloads.quotas.counts[key] = nil
      workloads.quotas.inNamespace[key.namespace]?.removeAll { $0 == key }
      if workloads.quotas.inNamespace[key.namespace]?.isEmpty == true {
        workloads.quotas.inNamespace[key.namespace] = nil
      }
      workloads.quotas.freed.add(key.namespace)
      return
    }
    workloads.quotas.due.add(key)
    var count = QuotaCount(after.body["spec"])
    if let known = workloads.quotas.counts[key], known.hard == count.hard, known.scopes == count.scopes { return }
    countAll(key.namespace, into: &count)
    if workloads.quotas.counts.updateValue(count, forKey: key) == nil {
      workloads.quotas.inNamespace[key.namespace, default: []].append(key)
      workloads.quotas.inNamespace[key.namespace]?.sort()
    } else {
      workloads.quotas.freed.add(key.namespace)
    }
  }

  private mutating func countAll(_ namespace: String, into count: inout QuotaCount) {
    for kind in Kind.allCases where kind.isNamespaced {
      let isCounted = QuotaUsage.asksForMore(kind) || !QuotaUsage.of(kind).masked(count.hard.names).isEmpty
      guard isCounted else { continue }
      for key in state.keys(of: kind, in: namespace) {
        guard let object = state[ObjectReference(kind: kind, key: key)] else { continue }
        workloads.quotas.looked += 1
        count.used.add(count.share(of: object))
      }
    }
  }

  mutating func countForQuotas(_ change: ObjectChange) {
    guard !workloads.quotas.inNamespace.isEmpty, let subject = change.subject,
      let keys = workloads.quotas.inNamespace[subject.meta.namespace],
      Self.countsElse(change)
    else { return }
    for key in keys {
      guard let count = workloads.quotas.counts[key] else { continue }
      workloads.quotas.looked += 1
      var used = count.used
      if let before = change.before { used.take(count.share(of: before)) }
      if let after = change.after { used.add(count.share(of: after)) }
      guard used != count.used else { continue }
      if used.names.contains(where: { (used[$0]?.millis ?? 0) < (count.used[$0]?.millis ?? 0) }) {
        workloads.quotas.freed.add(key.namespace)
      }
      workloads.quotas.counts[key]?.used = used
      workloads.quotas.due.add(key)
    }
  }

  /// Whether the change may change a count: most changes of a pod do not.
  private static func countsElse(_ change: ObjectChange) -> Bool {
    guard let before = change.before, let after = change.after else { return true }
    guard case .pod(let old) = before, case .pod(let new) = after else { return false }
    return old.status.phase.isTerminal != new.status.phase.isTerminal || old.spec.digest != new.spec.digest
  }

  // MARK: - Verdicts

  /// Why the object may not come, by the quotas of its namespace; nil: it may.
  func quotaProblem(_ object: APIObject) -> String? {
    guard let keys = workloads.quotas.inNamespace[object.meta.namespace] else { return nil }
    let known = keys.compactMap { key in workloads.quotas.counts[key].map { (key.name, $0) } }
    if case .pod(let pod) = object {
      for (name, count) in known where count.scopes.allSatisfy({ $0.holds(of: pod.spec) }) {
        if let problem = count.constraintProblem(pod.spec.json) { return "failed quota: \(name): \(problem)" }
      }
    }
    for (name, count) in known {
      let asked = count.share(of: object)
      let exceeded = count.exceeded(by: asked)
      guard !exceeded.isEmpty else { continue }
      return "exceeded quota: \(name), requested: \(asked.masked(exceeded).text), used: "
        + "\(count.used.masked(exceeded).text), limited: \(count.hard.masked(exceeded).text)"
    }
    return nil
  }

  /// The same for a new pod of that spec.
  func quotaProblem(ofPod spec: PodSpec, namespace: String) -> String? {
    guard workloads.quotas.inNamespace[namespace] != nil else { return nil }
    var meta = ObjectMeta()
    meta.namespace = namespace
    return quotaProblem(.pod(Pod(meta: meta, spec: spec)))
  }

  // MARK: - Status

  mutating func syncQuotas(limit: Int) -> Int {
    var touched = 0
    while touched < limit, let key = workloads.quotas.due.next() {
      touched += 1
      guard let count = workloads.quotas.counts[key] else { continue }
      let status: JSON = ["hard": count.hard.json, "used": count.used.json]
      update(ObjectReference(kind: .resourcequotas, key: key)) { object in
        guard case .other(var other) = object else { return }
        other.body["status"] = status
        object = .other(other)
      }
    }
    return touched
  }

  /// One that was refused where something has become free; those behind it follow when it found enough.
  mutating func retryInQuotas(limit: Int) -> Int {
    var touched = 0
    while touched < limit, let namespace = workloads.quotas.freed.next() {
      touched += 1
      guard let key = workloads.refused[namespace]?.popFirst() else { continue }
      if workloads.refused[namespace]?.isEmpty == true { workloads.refused[namespace] = nil }
      workloads.quotaRetries.insert(key)
      workloads.jobs.add(key)
    }
    return touched
  }

  /// A Job that was tried for the sake of a quota has been looked at.
  mutating func passQuotaOn(_ key: ObjectKey) {
    guard workloads.quotaRetries.remove(key), workloads.refused[key.namespace]?.contains(key) != true else { return }
    workloads.quotas.freed.add(key.namespace)
  }

  /// Quotas whose count is not what is there; for tests.
  mutating func quotaProblems() -> [String] {
    workloads.quotas.counts.keys.sorted().filter { key in
      guard let known = workloads.quotas.counts[key] else { return false }
      var count = QuotaCount(state.other(.resourcequotas, key)?.body["spec"])
      countAll(key.namespace, into: &count)
      return count != known
    }.map { "the count of quota \($0) is wrong" }
  }
}
