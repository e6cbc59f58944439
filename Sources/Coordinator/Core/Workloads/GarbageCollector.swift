// The garbage collector: follows ownerReferences by uid and coordinates, driven by changes. Background, foreground
// and orphan deletion, second owners, cross-namespace references, cycles. Never collects what it cannot look up.

import ClusterProto

private enum OwnerStanding {
  /// There, and not waiting for its dependents to go.
  case solid
  /// Gone, or another object than the reference says.
  case dangling
  /// In foreground deletion.
  case waiting
}

extension CoordinatorCore {
  /// Queues what a change may have made garbage of, or freed.
  mutating func observeOwnership(_ change: ObjectChange) {
    guard let subject = change.subject else { return }
    let before = change.before?.meta
    guard let after = change.after?.meta else {
      for dependent in dependents(of: subject.meta.uid) { workloads.garbage.add(dependent) }
      releaseOwners(of: subject.meta)
      return
    }
    // At a restart owners may come after their dependents: findGarbageAfterRows looks once all are there.
    if before?.ownerReferences != after.ownerReferences, before != nil || started {
      if !after.ownerReferences.isEmpty, isSuspect(subject) { workloads.garbage.add(subject.reference) }
      if let before { releaseOwners(of: before) }
    }
    if after.deletionTimestamp != nil,
      before?.deletionTimestamp == nil || before?.finalizers != after.finalizers,
      after.finalizers.contains(Self.foregroundFinalizer) || after.finalizers.contains(Self.orphanFinalizer)
    {
      workloads.garbage.add(subject.reference)
      if after.finalizers.contains(Self.foregroundFinalizer) {
        for dependent in dependents(of: subject.meta.uid) { workloads.garbage.add(dependent) }
      }
    }
  }

  /// At start: everything whose owners are not all there.
  mutating func findGarbageAfterRows() {
    for owner in state.dependents.keys.sorted() {
      for dependent in dependents(of: owner) {
        if let object = state[dependent], isSuspect(object) { workloads.garbage.add(dependent) }
      }
    }
  }

  mutating func collectGarbage(limit: Int) -> Int {
    var touched = 0
    while touched < limit, let reference = workloads.garbage.next() {
      touched += 1
      guard let object = state[reference] else { continue }
      if object.meta.deletionTimestamp != nil {
        touched += continueDeletion(of: object, limit: limit - touched)
      } else if !object.meta.ownerReferences.isEmpty {
        judge(object)
      }
    }
    return touched
  }

  private func dependents(of uid: String) -> InsertionSet<ObjectReference> { state.dependents[uid] ?? InsertionSet() }

  /// Owners in foreground deletion that may have waited for an object with this metadata.
  private mutating func releaseOwners(of meta: ObjectMeta) {
    for owner in meta.ownerReferences {
      guard let object = state.object(uid: owner.uid), object.meta.deletionTimestamp != nil else { continue }
      workloads.garbage.add(object.reference)
    }
  }

  private func isSuspect(_ object: APIObject) -> Bool {
    object.meta.ownerReferences.contains { standing(of: $0, for: object) != .solid }
  }

  private func standing(of owner: OwnerReference, for object: APIObject) -> OwnerStanding {
    // A kind that this version does not store cannot be looked up: what names it is kept.
    guard let kind = Kind(apiVersion: owner.apiVersion, kind: owner.kind) else { return .solid }
    if object.meta.namespace.isEmpty, kind.isNamespaced { return .solid }
    guard let found = state.object(uid: owner.uid), found.kind == kind, found.meta.name == owner.name,
      !kind.isNamespaced || found.meta.namespace == object.meta.namespace
    else { return .dangling }
    let waits = found.meta.deletionTimestamp != nil && found.meta.finalizers.contains(Self.foregroundFinalizer)
    return waits ? .waiting : .solid
  }

  /// Kubernetes' attemptToDeleteItem: a solid owner keeps the object, else it follows its owners.
  private mutating func judge(_ object: APIObject) {
    var solid: [OwnerReference] = []
    var waiting: [OwnerReference] = []
    for owner in object.meta.ownerReferences {
      switch standing(of: owner, for: object) {
      case .solid: solid.append(owner)
      case .waiting: waiting.append(owner)
      case .dangling: reportForeignOwner(owner, of: object)
      }
    }
    if !solid.isEmpty {
      if solid.count != object.meta.ownerReferences.count {
        update(object.reference) { $0.meta.ownerReferences = solid }
      }
      return
    }
    if !waiting.isEmpty, !dependents(of: object.meta.uid).isEmpty {
      breakCycle(object)
      deleteObject(object.reference, propagation: .foreground, graceSeconds: nil)
      return
    }
    let finalizers = object.meta.finalizers
    let propagation: Propagation =
      finalizers.contains(Self.orphanFinalizer)
      ? .orphan : finalizers.contains(Self.foregroundFinalizer) ? .foreground : .background
    deleteObject(object.reference, propagation: propagation, graceSeconds: nil)
  }

  /// An object whose own dependent is in foreground deletion must not block it, or the two would wait for each other.
  private mutating func breakCycle(_ object: APIObject) {
    let circular = dependents(of: object.meta.uid).contains { dependent in
      guard let meta = state[dependent]?.meta else { return false }
      return meta.deletionTimestamp != nil && meta.finalizers.contains(Self.foregroundFinalizer)
    }
    guard circular else { return }
    update(object.reference) { object in
      for position in object.meta.ownerReferences.indices {
        object.meta.ownerReferences[position].blockOwnerDeletion = false
      }
    }
  }

  private mutating func reportForeignOwner(_ owner: OwnerReference, of object: APIObject) {
    guard let found = state.object(uid: owner.uid), !found.meta.namespace.isEmpty,
      found.meta.namespace != object.meta.namespace
    else { return }
    let namespace = object.meta.namespace
    recordEvent(
      on: object, type: .warning, reason: "OwnerRefInvalidNamespace",
      message: "ownerRef [\(owner.apiVersion)/\(owner.kind), namespace: \(namespace), name: \(owner.name), uid: "
        + "\(owner.uid)] does not exist in namespace \"\(namespace)\"",
      component: "garbage-collector-controller")
  }

  /// Orphaning and foreground deletion of an object that is marked; returns how many others it touched.
  private mutating func continueDeletion(of object: APIObject, limit: Int) -> Int {
    let reference = object.reference
    let uid = object.meta.uid
    if object.meta.finalizers.contains(Self.orphanFinalizer) {
      let orphans = Array(dependents(of: uid).prefix(max(1, limit)))
      for orphan in orphans {
        update(orphan) { object in object.meta.ownerReferences.removeAll { $0.uid == uid } }
      }
      if dependents(of: uid).isEmpty {
        update(reference) { object in object.meta.finalizers.removeAll { $0 == Self.orphanFinalizer } }
      } else {
        workloads.garbage.add(reference)
      }
      return orphans.count
    }
    guard object.meta.finalizers.contains(Self.foregroundFinalizer) else { return 0 }
    let isBlocked = dependents(of: uid).contains { dependent in
      // What owns itself would wait for itself.
      guard dependent != reference, let owned = state[dependent] else { return false }
      return owned.meta.ownerReferences.contains { $0.uid == uid && $0.blockOwnerDeletion == true }
        && owned.meta.namespace == object.meta.namespace
    }
    if !isBlocked {
      update(reference) { object in object.meta.finalizers.removeAll { $0 == Self.foregroundFinalizer } }
    }
    return 0
  }
}
