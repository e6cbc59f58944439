// How an owner's deletion reaches its dependents: background, foreground, orphan. An owner may have 100,000 of them:
// they are never listed or queued at once, each turn takes the next few. What becomes of one dependent is judged in
// GarbageCollector.swift.

import ClusterProto

extension CoordinatorCore {
  /// Dependents of one owner that are looked at before another owner has its turn.
  private static let followedAtOnce = 32

  /// Queues a look at everything that names this owner.
  mutating func follow(_ uid: String) {
    let count = state.owners.dependents[uid]?.count ?? 0
    guard count > 0 else { return }
    workloads.unfollowed[uid] = count
    workloads.followed.add(uid)
  }

  /// Owners in foreground deletion that may have waited for an object with this metadata.
  mutating func releaseOwners(of meta: ObjectMeta) {
    for owner in meta.ownerReferences {
      guard let object = state.object(uid: owner.uid), object.meta.deletionTimestamp != nil else { continue }
      workloads.garbage.add(object.reference)
    }
  }

  /// Looks at what is queued, single objects and owners' dependents in turn; returns how many objects it touched.
  mutating func collectGarbage(limit: Int) -> Int {
    var touched = 0
    while touched < limit {
      let before = touched
      if let reference = workloads.garbage.next() {
        touched += 1
        touched += consider(reference, limit: limit - touched)
      }
      if touched < limit, let uid = workloads.followed.next() {
        touched += followDependents(of: uid, limit: min(Self.followedAtOnce, limit - touched))
      }
      if touched == before { break }
    }
    return touched
  }

  private mutating func followDependents(of uid: String, limit: Int) -> Int {
    var touched = 0
    // What stays moves to the end, so the first is always the next; what goes meanwhile only shortens the way.
    while touched < limit, let left = workloads.unfollowed[uid] {
      guard left > 0, let dependent = state.nextDependent(of: uid) else {
        workloads.unfollowed[uid] = nil
        return max(1, touched)
      }
      workloads.unfollowed[uid] = left - 1
      touched += 1
      touched += consider(dependent, limit: max(1, limit - touched))
    }
    if workloads.unfollowed[uid] != nil { workloads.followed.add(uid) }
    return touched
  }

  /// Orphaning and foreground deletion of an object that is marked; returns how many others it touched.
  mutating func continueDeletion(of object: APIObject, limit: Int) -> Int {
    let reference = object.reference
    let uid = object.meta.uid
    if object.meta.finalizers.contains(Self.orphanFinalizer) {
      let orphans = Array((state.owners.dependents[uid] ?? InsertionSet()).prefix(max(1, limit)))
      for orphan in orphans {
        update(orphan) { object in object.meta.ownerReferences.removeAll { $0.uid == uid } }
      }
      if state.owners.dependents[uid] == nil {
        update(reference) { object in object.meta.finalizers.removeAll { $0 == Self.orphanFinalizer } }
      } else {
        workloads.garbage.add(reference)
      }
      return orphans.count
    }
    guard object.meta.finalizers.contains(Self.foregroundFinalizer), !state.owners.isBlocked(object.meta) else {
      return 0
    }
    update(reference) { object in object.meta.finalizers.removeAll { $0 == Self.foregroundFinalizer } }
    return 0
  }

  /// A pod whose Job is gone: nobody counts it, and nobody else takes the tracking finalizer from it.
  private func isStray(_ pod: Pod) -> Bool {
    pod.meta.finalizers.contains(JobNames.trackingFinalizer) && jobKey(owning: pod) == nil
  }

  mutating func stripStray(_ key: ObjectKey) {
    guard let pod = state.pods[key], isStray(pod) else { return }
    stripTracking(key)
  }
}
