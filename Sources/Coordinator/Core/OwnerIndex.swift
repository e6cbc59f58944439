// Who names whom as owner: dependents by owner, and how many of them a foreground deletion waits for. Kept with every
// change, so that no step counts an owner's dependents. It must not know whether an owner exists, nor what follows.

import ClusterProto

struct OwnerIndex: Equatable, Sendable {
  /// An owner as its dependents mean it: those of a kind in namespaces stand in the dependent's own.
  private struct Place: Hashable {
    var uid: String
    var namespace: String
  }

  /// Objects by the uid of an owner that they name, whether that owner exists or not.
  private(set) var dependents: [String: InsertionSet<ObjectReference>] = [:]
  /// References with blockOwnerDeletion.
  private var blockers: [Place: Int] = [:]
  /// References of objects that are themselves in foreground deletion.
  private var waiting: [String: Int] = [:]

  /// Whether the owner must wait for a dependent when it is deleted in the foreground.
  func isBlocked(_ owner: ObjectMeta) -> Bool {
    blockers[Place(uid: owner.uid, namespace: owner.namespace)] != nil
  }

  /// Whether something that names this owner is in foreground deletion itself.
  func hasWaiting(_ uid: String) -> Bool { waiting[uid] != nil }

  /// The dependent that was looked at longest ago; it goes behind the others.
  mutating func nextDependent(of uid: String) -> ObjectReference? { dependents[uid]?.rotate() }

  mutating func change(_ before: APIObject?, _ after: APIObject?) {
    let (old, new) = (before?.meta, after?.meta)
    let (wasWaiting, isWaiting) = (Self.isWaiting(old), Self.isWaiting(new))
    let isSame = old?.ownerReferences == new?.ownerReferences
    if isSame, wasWaiting == isWaiting { return }
    for owner in old?.ownerReferences ?? [] where wasWaiting { Self.add(-1, owner.uid, &waiting) }
    for owner in new?.ownerReferences ?? [] where isWaiting { Self.add(1, owner.uid, &waiting) }
    if isSame { return }
    if let before { count(before, -1) }
    if let after { count(after, 1) }
    if let before {
      for owner in before.meta.ownerReferences {
        dependents[owner.uid]?.remove(before.reference)
        if dependents[owner.uid]?.isEmpty == true { dependents[owner.uid] = nil }
      }
    }
    if let after {
      for owner in after.meta.ownerReferences {
        dependents[owner.uid, default: InsertionSet()].insert(after.reference)
      }
    }
  }

  private static func isWaiting(_ meta: ObjectMeta?) -> Bool {
    guard let meta, meta.deletionTimestamp != nil else { return false }
    return meta.finalizers.contains(CoordinatorCore.foregroundFinalizer)
  }

  /// What owns itself would wait for itself; Events own and are owned by nothing.
  private mutating func count(_ object: APIObject, _ difference: Int) {
    if object.kind == .events { return }
    for owner in object.meta.ownerReferences where owner.blockOwnerDeletion == true && owner.uid != object.meta.uid {
      guard let kind = Kind(apiVersion: owner.apiVersion, kind: owner.kind) else { continue }
      Self.add(difference, Place(uid: owner.uid, namespace: kind.isNamespaced ? object.meta.namespace : ""), &blockers)
    }
  }

  private static func add<Key: Hashable>(_ difference: Int, _ key: Key, _ counts: inout [Key: Int]) {
    let count = (counts[key] ?? 0) + difference
    counts[key] = count == 0 ? nil : count
  }
}
