// The one way to change an API object: every create, update and removal passes here, gets its resourceVersion, keeps
// the indexes, is marked for the store and is shown to the controllers and the watches.

import ClusterProto

/// One change of one object: created (no before), updated, or removed (no after).
struct ObjectChange: Sendable {
  var before: APIObject?
  var after: APIObject?
  /// The object as it is now, or as it was last.
  var subject: APIObject? { after ?? before }
}

extension CoordinatorCore {
  /// Adds an object; fills uid, creationTimestamp and generation where empty. The key must be free.
  @discardableResult
  mutating func insert(_ new: APIObject) -> APIObject {
    var object = new
    if object.meta.uid.isEmpty { object.meta.uid = newUID() }
    if object.meta.creationTimestamp.nanoseconds == 0 { object.meta.creationTimestamp = now.wall }
    if object.meta.generation == 0, KindDescriptor.of(object.kind).writes.raisesGeneration != nil {
      object.meta.generation = 1
    }
    return apply(ObjectChange(before: nil, after: object)) ?? object
  }

  /// Changes an object if it exists; a change that leaves it equal is none. Returns the object after it.
  @discardableResult
  mutating func update(_ reference: ObjectReference, _ change: (inout APIObject) -> Void) -> APIObject? {
    guard let before = state[reference] else { return nil }
    var after = before
    change(&after)
    return after == before ? before : apply(ObjectChange(before: before, after: after))
  }

  @discardableResult
  mutating func updatePod(_ key: ObjectKey, _ change: (inout Pod) -> Void) -> Pod? {
    guard let before = state.pods[key] else { return nil }
    var after = before
    change(&after)
    guard after != before, case .pod(let pod)? = apply(ObjectChange(before: .pod(before), after: .pod(after))) else {
      return before
    }
    return pod
  }

  @discardableResult
  mutating func updateJob(_ key: ObjectKey, _ change: (inout Job) -> Void) -> Job? {
    guard let before = state.jobs[key] else { return nil }
    var after = before
    change(&after)
    guard after != before, case .job(let job)? = apply(ObjectChange(before: .job(before), after: .job(after))) else {
      return before
    }
    return job
  }

  @discardableResult
  mutating func updateNode(_ name: String, _ change: (inout Node) -> Void) -> Node? {
    let key = ObjectKey(namespace: "", name: name)
    guard let before = state.nodes[key] else { return nil }
    var after = before
    change(&after)
    guard after != before, case .node(let node)? = apply(ObjectChange(before: .node(before), after: .node(after)))
    else {
      return before
    }
    return node
  }

  /// Removes the object itself, whatever depends on it: the garbage collector sees to those.
  mutating func erase(_ reference: ObjectReference) {
    guard let before = state[reference] else { return }
    apply(ObjectChange(before: before, after: nil))
  }

  @discardableResult
  private mutating func apply(_ proposed: ObjectChange) -> APIObject? {
    var change = proposed
    guard let reference = change.subject?.reference else { return nil }
    state.resourceVersion += 1
    change.after?.meta.resourceVersion = state.resourceVersion
    checkChange(change)
    if case .pod(let pod)? = change.after { change.after = .pod(state.sharing(pod)) }
    let specs = state.replace(change.before, with: change.after)
    if let digest = specs.specAdded, let spec = state.specs[digest]?.spec {
      let text = spec.json.bytes
      weights.note(spec: digest, bytes: text.count)
      writes.append(StoreWrite(table: .podspecs, key: digest, value: text))
    }
    if let digest = specs.specRemoved {
      weights.note(spec: digest, bytes: nil)
      writes.append(StoreWrite(table: .podspecs, key: digest, value: nil))
    }
    if change.after == nil {
      state.deletions[reference.kind] = state.resourceVersion
      dirtyDeletions.insert(reference.kind)
    }
    if reference.kind == .events { dirtyEvents.insert(reference) } else { dirty.insert(reference) }
    workloadsObserve(change)
    storageObserve(change)
    fleetObserve(change)
    accessObserve(change)
    apiObserve(change, resourceVersion: state.resourceVersion)
    return change.after
  }
}
