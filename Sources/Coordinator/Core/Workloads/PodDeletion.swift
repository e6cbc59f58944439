// Deleting pods and other objects by Kubernetes' rules: grace, finalizers, propagation. The object of a pod that may
// still run goes only when the fleet has proved its end, or by force; a forced delete proves nothing, the attempt's
// record stays with the fleet.

import ClusterProto

/// deleteOptions.propagationPolicy; raw values are the API's.
enum Propagation: String, Sendable {
  case background = "Background"
  case foreground = "Foreground"
  case orphan = "Orphan"
}

/// What a delete makes of an object.
struct Deletion {
  /// The object after it; nil: it goes at once.
  var after: APIObject?
  /// What may run of a pod is stopped with this grace.
  var stopSeconds: Int64?
}

extension CoordinatorCore {
  static let orphanFinalizer = "orphan"
  static let foregroundFinalizer = "foregroundDeletion"

  /// Deletes a pod gracefully. `graceSeconds` nil: the spec's. 0: by force, the object goes at once (finalizers
  /// permitting). A repeated delete can only shorten the grace.
  mutating func deletePod(_ key: ObjectKey, graceSeconds: Int64?) {
    guard let pod = state.pods[key] else { return }
    perform(deletion(of: pod, finalizers: pod.meta.finalizers, graceSeconds: graceSeconds), .pod(pod))
  }

  /// Deletes an object of any kind. Owned objects follow, stay, or go first, as `propagation` says; finalizers hold
  /// it back.
  mutating func deleteObject(_ reference: ObjectReference, propagation: Propagation, graceSeconds: Int64?) {
    guard let object = state[reference] else { return }
    perform(deletion(of: object, propagation: propagation, graceSeconds: graceSeconds), object)
  }

  private mutating func perform(_ deletion: Deletion, _ object: APIObject) {
    if case .pod(let pod) = object, let grace = deletion.stopSeconds, isPossiblyLive(podUID: pod.meta.uid) {
      stopAttempt(podUID: pod.meta.uid, graceMilliseconds: Self.milliseconds(seconds: grace))
    }
    guard let after = deletion.after else { return erase(object.reference) }
    update(object.reference) { $0 = after }
  }

  /// What a delete makes of an object; changes nothing.
  func deletion(of object: APIObject, propagation: Propagation, graceSeconds: Int64?) -> Deletion {
    let finalizers = Self.finalizers(of: object, propagation)
    if case .pod(let pod) = object { return deletion(of: pod, finalizers: finalizers, graceSeconds: graceSeconds) }
    var after = object
    after.meta.finalizers = finalizers
    if object.kind == .namespaces {
      return Deletion(after: object.meta.deletionTimestamp == nil ? terminating(after) : object)
    }
    if finalizers.isEmpty { return Deletion(after: nil) }
    if after.meta.deletionTimestamp == nil { Self.mark(&after.meta, at: stamp, graceSeconds: 0) }
    return Deletion(after: after)
  }

  private func deletion(of pod: Pod, finalizers: [String], graceSeconds: Int64?) -> Deletion {
    var after = pod
    let asked = graceSeconds.map { $0 < 0 ? 1 : $0 }
    if let end = pod.meta.deletionTimestamp {
      let current = pod.meta.deletionGracePeriodSeconds ?? 0
      // While the grace lasts a delete that does not shorten it changes nothing, its propagation neither.
      if current > 0, asked.map({ $0 >= current }) ?? true { return Deletion(after: .pod(pod)) }
      after.meta.finalizers = finalizers
      guard let asked, asked < current else { return Deletion(after: .pod(after)) }
      after.meta.deletionTimestamp = end.adding(
        milliseconds: Self.milliseconds(seconds: asked) - Self.milliseconds(seconds: current))
      after.meta.deletionGracePeriodSeconds = asked
      return Deletion(after: .pod(after), stopSeconds: asked)
    }
    let isLive = isPossiblyLive(podUID: pod.meta.uid)
    var grace = asked ?? pod.spec.terminationGracePeriodSeconds
    if !isLive, pod.nodeName == nil || pod.status.phase.isTerminal { grace = 0 }
    if finalizers.isEmpty, grace == 0 || !isLive { return Deletion(after: nil, stopSeconds: grace) }
    after.meta.finalizers = finalizers
    Self.mark(&after.meta, at: stamp.adding(milliseconds: Self.milliseconds(seconds: grace)), graceSeconds: grace)
    return Deletion(after: .pod(after), stopSeconds: grace)
  }

  private static func mark(_ meta: inout ObjectMeta, at time: WallTime, graceSeconds: Int64) {
    meta.deletionTimestamp = time
    meta.deletionGracePeriodSeconds = graceSeconds
    if meta.generation > 0 { meta.generation = meta.generation.addingSaturated(1) }
  }

  /// The collector's finalizers are the last delete's word. Events have no part in it.
  private static func finalizers(of object: APIObject, _ propagation: Propagation) -> [String] {
    var finalizers = object.meta.finalizers.filter { $0 != orphanFinalizer && $0 != foregroundFinalizer }
    if object.kind == .events { return finalizers }
    switch propagation {
    case .background: break
    case .foreground: finalizers.append(foregroundFinalizer)
    case .orphan: finalizers.append(orphanFinalizer)
    }
    return finalizers
  }

  /// The fleet has written the pod's last status and dropped its attempt: the end is proven.
  mutating func podAttemptEnded(_ key: ObjectKey, podUID: String) {
    guard let pod = state.pods[key], pod.meta.uid == podUID else { return }
    if pod.meta.deletionTimestamp != nil { workloads.removals.add(ObjectReference(kind: .pods, key: key)) }
    guard let job = jobKey(owning: pod) else { return }
    completeFailure(of: pod, job)
    workloads.jobs.add(job)
    if let uid = Slot(of: pod)?.jobUID, workloads.tallies[uid]?.deleted.contains(key) == true {
      workloads.tallies[uid]?.unseen.insert(key)
    }
  }

  /// Removes what is marked for deletion and held by nothing any more.
  mutating func removeDeleted(limit: Int) -> Int {
    var touched = 0
    while touched < limit, let reference = workloads.removals.next() {
      touched += 1
      guard let object = state[reference], object.meta.deletionTimestamp != nil, object.meta.finalizers.isEmpty else {
        continue
      }
      if case .pod(let pod) = object, pod.meta.deletionGracePeriodSeconds != 0, isPossiblyLive(podUID: pod.meta.uid) {
        continue
      }
      erase(reference)
    }
    return touched
  }
}
