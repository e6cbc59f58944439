// The garbage collector: follows ownerReferences by uid and coordinates, driven by changes. Here is what becomes of one
// object by its owners; how an owner's deletion reaches its dependents is in OwnerDeletion.swift. Never collects what
// it cannot look up.

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
    // As in Kubernetes, Events are outside of the graph.
    guard let subject = change.subject, subject.kind != .events else { return }
    let before = change.before?.meta
    guard let after = change.after?.meta else {
      follow(subject.meta.uid)
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
      if after.finalizers.contains(Self.foregroundFinalizer) { follow(subject.meta.uid) }
    }
  }

  /// At start: everything whose owners are not all there.
  mutating func findGarbageAfterRows() {
    for owner in state.owners.dependents.keys.sorted() {
      for dependent in state.owners.dependents[owner] ?? InsertionSet() {
        if let object = state[dependent], isSuspect(object) { workloads.garbage.add(dependent) }
      }
    }
  }

  /// Looks at one object: goes on with its deletion, or sees whether its owners keep it. Returns how many others it
  /// touched, at most `limit`.
  mutating func consider(_ reference: ObjectReference, limit: Int) -> Int {
    if reference.kind == .events { return 0 }
    if case .pods = reference.kind { stripStray(reference.key) }
    guard let object = state[reference] else { return 0 }
    if object.meta.deletionTimestamp != nil { return continueDeletion(of: object, limit: limit) }
    if !object.meta.ownerReferences.isEmpty { judge(object) }
    return 0
  }

  private func isSuspect(_ object: APIObject) -> Bool {
    object.meta.ownerReferences.contains { standing(of: $0, for: object) != .solid || isForeign($0, to: object) }
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
      case .dangling: break
      }
      if isForeign(owner, to: object) { reportForeignOwner(owner, of: object) }
    }
    if !solid.isEmpty {
      if solid.count != object.meta.ownerReferences.count {
        update(object.reference) { $0.meta.ownerReferences = solid }
      }
      return
    }
    if !waiting.isEmpty, state.owners.dependents[object.meta.uid] != nil {
      if state.owners.hasWaiting(object.meta.uid) { breakCycle(object.reference) }
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
  private mutating func breakCycle(_ reference: ObjectReference) {
    update(reference) { object in
      for position in object.meta.ownerReferences.indices {
        object.meta.ownerReferences[position].blockOwnerDeletion = false
      }
    }
  }

  /// Whether the owner stands in another namespace, or in one although the object is in none.
  private func isForeign(_ owner: OwnerReference, to object: APIObject) -> Bool {
    guard let found = state.references[owner.uid] else { return false }
    return !found.key.namespace.isEmpty && found.key.namespace != object.meta.namespace
  }

  private mutating func reportForeignOwner(_ owner: OwnerReference, of object: APIObject) {
    let namespace = object.meta.namespace
    recordEvent(
      on: object, type: .warning, reason: "OwnerRefInvalidNamespace",
      message: "ownerRef [\(owner.apiVersion)/\(owner.kind), namespace: \(namespace), name: \(owner.name), uid: "
        + "\(owner.uid)] does not exist in namespace \"\(namespace)\"",
      component: "garbage-collector-controller")
  }
}
