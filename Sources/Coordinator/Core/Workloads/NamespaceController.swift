// Deleting a namespace: its pods go first, then the rest of its content, then the namespace itself; meanwhile its
// conditions say what remains and which finalizers hold it. Counts content by changes, never by lists.

import ClusterProto

/// What is in one namespace, the Events included.
struct NamespaceContents: Equatable, Sendable {
  private(set) var total = 0
  private var kinds: [Kind: Int] = [:]
  private var finalizers: [String: Int] = [:]

  func count(_ kind: Kind) -> Int { kinds[kind] ?? 0 }

  mutating func count(_ change: ObjectChange, _ kind: Kind) {
    let difference = (change.after == nil ? 0 : 1) - (change.before == nil ? 0 : 1)
    total += difference
    let left = count(kind) + difference
    kinds[kind] = left == 0 ? nil : left
    let (old, new) = (change.before?.meta.finalizers ?? [], change.after?.meta.finalizers ?? [])
    if old == new { return }
    for finalizer in old { add(-1, finalizer) }
    for finalizer in new { add(1, finalizer) }
  }

  private mutating func add(_ difference: Int, _ finalizer: String) {
    let count = (finalizers[finalizer] ?? 0) + difference
    finalizers[finalizer] = count == 0 ? nil : count
  }

  /// Kubernetes' words: `pods. has 2 resource instances, jobs.batch has 1 resource instances`, sorted.
  var resourcesText: String {
    Kind.allCases.filter { count($0) > 0 }.map { "\($0.plural).\($0.group) has \(count($0)) resource instances" }
      .sorted().joined(separator: ", ")
  }

  /// `example.com/x in 1 resource instances`; empty where nothing has a finalizer.
  var finalizersText: String {
    finalizers.keys.sorted().map { "\($0) in \(finalizers[$0] ?? 0) resource instances" }.joined(separator: ", ")
  }
}

extension CoordinatorCore {
  /// The finalizer of every namespace: it goes when the namespace is empty.
  static let namespaceFinalizer = "kubernetes"
  /// The conditions of a namespace that goes change at most this often.
  private static let namespaceReportMilliseconds: Int64 = 1_000

  /// True when the namespace is being deleted: nothing new may come into it.
  func isTerminating(namespace: String) -> Bool {
    workloads.endingNamespaces.contains(namespace)
  }

  /// What a namespace still holds, in Kubernetes' words; nil: nothing.
  func whatRemains(in namespace: String) -> String? { workloads.contents[namespace]?.resourcesText }

  mutating func countContents(_ change: ObjectChange, of subject: APIObject) {
    let namespace = subject.meta.namespace
    guard !namespace.isEmpty else { return }
    // The frequent change, of a status, is none here.
    if let before = change.before, let after = change.after, before.meta.finalizers == after.meta.finalizers { return }
    let hadPods = subject.kind == .pods && change.after == nil
    workloads.contents[namespace, default: NamespaceContents()].count(change, subject.kind)
    let contents = workloads.contents[namespace] ?? NamespaceContents()
    if contents.total == 0 { workloads.contents[namespace] = nil }
    guard workloads.endingNamespaces.contains(namespace) else { return }
    if change.before == nil { workloads.doomed.add(subject.reference) }
    if hadPods, contents.count(.pods) == 0 { doomContents(of: namespace) }
    workloads.emptyNamespaces.add(namespace)
  }

  mutating func observeNamespace(_ change: ObjectChange) {
    guard let name = change.subject?.meta.name else { return }
    guard let after = change.after, after.meta.deletionTimestamp != nil else {
      workloads.endingNamespaces.remove(name)
      return
    }
    workloads.emptyNamespaces.add(name)
    if workloads.endingNamespaces.insert(name) { doomContents(of: name) }
  }

  /// Queues what may go now: the pods, or when none is left everything else, so that nothing is taken from under a pod.
  private mutating func doomContents(of namespace: String) {
    let hasPods = (workloads.contents[namespace]?.count(.pods) ?? 0) > 0
    for kind in Kind.allCases where kind.isNamespaced && (kind == .pods) == hasPods {
      let keys = state.keys(of: kind, in: namespace)
      if !keys.isEmpty { workloads.dooms.append((kind, keys)) }
    }
  }

  /// A namespace that is asked to go: Terminating until it is empty.
  func terminating(_ object: APIObject) -> APIObject {
    guard case .other(var namespace) = object else { return object }
    namespace.meta.deletionTimestamp = stamp
    namespace.meta.deletionGracePeriodSeconds = 0
    var status = namespace.body["status"] ?? .object(JSONObject())
    status["phase"] = "Terminating"
    namespace.body["status"] = status
    return .other(namespace)
  }

  mutating func emptyNamespaces(limit: Int) -> Int {
    var touched = 0
    while touched < limit, let reference = nextDoomed() {
      touched += 1
      // It comes again when the last pod is gone. (Read at a start, before the pods were known.)
      let hasPods = (workloads.contents[reference.key.namespace]?.count(.pods) ?? 0) > 0
      if reference.kind != .pods, hasPods { continue }
      deleteObject(reference, propagation: .background, graceSeconds: nil)
    }
    while touched < limit, let name = workloads.emptyNamespaces.next() {
      touched += 1
      endNamespace(name)
    }
    return touched
  }

  private mutating func nextDoomed() -> ObjectReference? {
    if let late = workloads.doomed.next() { return late }
    while let kind = workloads.dooms.last?.kind {
      let place = workloads.dooms.count - 1
      if let key = workloads.dooms[place].keys.popFirst() { return ObjectReference(kind: kind, key: key) }
      workloads.dooms.removeLast()
    }
    return nil
  }

  private mutating func endNamespace(_ name: String) {
    let reference = ObjectReference(kind: .namespaces, key: ObjectKey(namespace: "", name: name))
    guard let namespace = state.other(.namespaces, reference.key), namespace.meta.deletionTimestamp != nil else {
      return
    }
    if workloads.contents[name] == nil {
      let others = Self.finalizers(ofSpec: namespace.body).filter { $0 != Self.namespaceFinalizer }
      if others.isEmpty, namespace.meta.finalizers.isEmpty { return erase(reference) }
      // The rest is for whoever owns these finalizers.
      update(reference) { object in
        guard case .other(var namespace) = object else { return }
        namespace.body["spec"]?["finalizers"] = .array(others.map { .string($0) })
        object = .other(namespace)
      }
    }
    let timer = WorkloadTimer.namespace(name)
    if workloads.timers.time(of: timer) == nil {
      workloads.timers.set(timer, at: now.boot + Self.namespaceReportMilliseconds)
    }
  }

  static func finalizers(ofSpec body: JSONObject) -> [String] {
    (body["spec"]?["finalizers"]?.arrayValue ?? []).compactMap(\.stringValue)
  }

  /// Writes what remains into the conditions of a namespace that goes, as Kubernetes' namespace controller does.
  mutating func reportNamespace(_ name: String) {
    let contents = workloads.contents[name] ?? NamespaceContents()
    let stamp = stamp.rfc3339
    update(ObjectReference(kind: .namespaces, key: ObjectKey(namespace: "", name: name))) { object in
      guard case .other(var namespace) = object, namespace.meta.deletionTimestamp != nil else { return }
      var conditions = namespace.body["status"]?["conditions"]?.arrayValue ?? []
      for new in Self.conditions(contents) {
        let position = conditions.firstIndex { $0["type"] == new["type"] }
        var condition = new
        let isSame = position.map { conditions[$0]["status"] == new["status"] } ?? false
        condition["lastTransitionTime"] =
          isSame ? position.flatMap { conditions[$0]["lastTransitionTime"] } : .string(stamp)
        if let position { conditions[position] = condition } else { conditions.append(condition) }
      }
      namespace.body["status"]?["conditions"] = .array(conditions)
      object = .other(namespace)
    }
  }

  private static func conditions(_ contents: NamespaceContents) -> [JSON] {
    func condition(_ type: String, _ reason: String, _ message: String, isTrue: Bool = false) -> JSON {
      [
        "type": .string(type), "status": isTrue ? "True" : "False", "reason": .string(reason),
        "message": .string(message),
      ]
    }
    let (resources, finalizers) = (contents.resourcesText, contents.finalizersText)
    return [
      condition(
        "NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
      condition(
        "NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions",
        "All legacy kube types successfully parsed"),
      condition(
        "NamespaceDeletionContentFailure", "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization"),
      resources.isEmpty
        ? condition("NamespaceContentRemaining", "ContentRemoved", "All content successfully removed")
        : condition(
          "NamespaceContentRemaining", "SomeResourcesRemain", "Some resources are remaining: \(resources)",
          isTrue: true),
      finalizers.isEmpty
        ? condition(
          "NamespaceFinalizersRemaining", "ContentHasNoFinalizers", "All content-preserving finalizers finished")
        : condition(
          "NamespaceFinalizersRemaining", "SomeFinalizersRemain",
          "Some content in the namespace has finalizers remaining: \(finalizers)", isTrue: true),
    ]
  }
}
