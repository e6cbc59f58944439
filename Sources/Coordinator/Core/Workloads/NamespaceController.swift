// Deleting a namespace: its content goes first, Jobs before their pods, then the namespace itself. Counts content by
// changes, never by lists.

import ClusterProto

extension CoordinatorCore {
  /// True when the namespace is being deleted: nothing new may come into it.
  func isTerminating(namespace: String) -> Bool {
    state.other(.namespaces, ObjectKey(namespace: "", name: namespace))?.meta.deletionTimestamp != nil
  }

  mutating func countContents(_ change: ObjectChange, of subject: APIObject) {
    let namespace = subject.meta.namespace
    guard !namespace.isEmpty else { return }
    if change.before == nil {
      workloads.contents[namespace, default: 0] += 1
      if isTerminating(namespace: namespace) { workloads.doomed.add(subject.reference) }
    } else if change.after == nil {
      let left = (workloads.contents[namespace] ?? 1) - 1
      workloads.contents[namespace] = left == 0 ? nil : left
      if left == 0 { workloads.emptyNamespaces.add(namespace) }
    }
  }

  mutating func observeNamespace(_ change: ObjectChange) {
    guard let after = change.after, after.meta.deletionTimestamp != nil,
      change.before?.meta.deletionTimestamp == nil || change.before?.meta.finalizers != after.meta.finalizers
    else { return }
    workloads.emptyNamespaces.add(after.meta.name)
    let namespaced: [Kind] = [.jobs, .pods] + Kind.allCases.filter { $0.isNamespaced && $0 != .jobs && $0 != .pods }
    for kind in namespaced {
      for key in state.keys(of: kind, in: after.meta.name) {
        workloads.doomed.add(ObjectReference(kind: kind, key: key))
      }
    }
  }

  /// Marks the namespace Terminating; it goes when it is empty.
  mutating func deleteNamespace(_ name: String) {
    let stamp = stamp
    update(ObjectReference(kind: .namespaces, key: ObjectKey(namespace: "", name: name))) { object in
      guard case .other(var namespace) = object, namespace.meta.deletionTimestamp == nil else { return }
      namespace.meta.deletionTimestamp = stamp
      namespace.meta.deletionGracePeriodSeconds = 0
      var status = namespace.body["status"] ?? .object(JSONObject())
      status["phase"] = "Terminating"
      namespace.body["status"] = status
      object = .other(namespace)
    }
  }

  mutating func emptyNamespaces(limit: Int) -> Int {
    var touched = 0
    while touched < limit, let reference = workloads.doomed.next() {
      touched += 1
      deleteObject(reference, propagation: .background, graceSeconds: nil)
    }
    while touched < limit, let name = workloads.emptyNamespaces.next() {
      touched += 1
      let key = ObjectKey(namespace: "", name: name)
      guard let namespace = state.other(.namespaces, key), namespace.meta.deletionTimestamp != nil,
        namespace.meta.finalizers.isEmpty, workloads.contents[name] == nil
      else { continue }
      erase(ObjectReference(kind: .namespaces, key: key))
    }
    return touched
  }
}
