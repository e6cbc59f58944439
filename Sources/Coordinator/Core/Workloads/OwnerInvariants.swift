// I11: what must be true of owners and dependents once the collector has nothing to do. Reads all objects, changes
// nothing; for the simulator and tests.

import ClusterProto

extension CoordinatorCore {
  /// Nothing outlives its owners, nothing in deletion waits for what is not there, and the index counts what is there.
  func checkOwners(_ found: inout [String]) {
    var state = state
    var index = OwnerIndex()
    var objects: [APIObject] = []
    for kind in Kind.allCases {
      for key in state.keys(of: kind) {
        guard let object = state[ObjectReference(kind: kind, key: key)] else { continue }
        index.change(nil, object)
        objects.append(object)
      }
    }
    if index != state.owners { found.append("I11: the index of owners is not what the objects say") }
    guard workloads.garbage.isEmpty, workloads.followed.isEmpty, workloads.removals.isEmpty else { return }
    for object in objects where object.kind != .events {
      let meta = object.meta
      if meta.deletionTimestamp == nil {
        if !meta.ownerReferences.isEmpty, meta.ownerReferences.allSatisfy({ isGone($0, for: object) }) {
          found.append("I11: \(object.kind.singular) \(meta.key) has outlived its owners")
        }
        continue
      }
      if meta.finalizers.contains(Self.foregroundFinalizer), !state.owners.isBlocked(meta) {
        found.append("I11: \(object.kind.singular) \(meta.key) waits in foreground deletion for nobody")
      }
      if meta.finalizers.contains(Self.orphanFinalizer) {
        found.append("I11: \(object.kind.singular) \(meta.key) waits to orphan nobody")
      }
    }
  }

  /// Whether no object is what the reference says, where that can be known.
  private func isGone(_ owner: OwnerReference, for object: APIObject) -> Bool {
    guard let kind = Kind(apiVersion: owner.apiVersion, kind: owner.kind) else { return false }
    if kind.isNamespaced, object.meta.namespace.isEmpty { return false }
    let namespace = kind.isNamespaced ? object.meta.namespace : ""
    return state[ObjectReference(kind: kind, key: ObjectKey(namespace: namespace, name: owner.name))]?.meta.uid
      != owner.uid
  }
}
