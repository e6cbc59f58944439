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

extension CoordinatorCore {
  static let orphanFinalizer = "orphan"
  static let foregroundFinalizer = "foregroundDeletion"

  /// Deletes a pod gracefully. `graceSeconds` nil: the spec's. 0: by force, the object goes at once (finalizers
  /// permitting). A repeated delete can only shorten the grace.
  mutating func deletePod(_ key: ObjectKey, graceSeconds: Int64?) {
    guard let pod = state.pods[key] else { return }
    let isLive = isPossiblyLive(podUID: pod.meta.uid)
    let asked = graceSeconds.map { $0 < 0 ? 1 : $0 }
    if let deletion = pod.meta.deletionTimestamp {
      let current = pod.meta.deletionGracePeriodSeconds ?? 0
      guard let asked, asked < current else { return }
      updatePod(key) { pod in
        pod.meta.deletionTimestamp = deletion.adding(
          milliseconds: Self.milliseconds(seconds: asked) - Self.milliseconds(seconds: current))
        pod.meta.deletionGracePeriodSeconds = asked
      }
      if isLive { stopAttempt(podUID: pod.meta.uid, graceMilliseconds: Self.milliseconds(seconds: asked)) }
      return
    }
    var grace = asked ?? pod.spec.terminationGracePeriodSeconds
    if !isLive, pod.nodeName == nil || pod.status.phase.isTerminal { grace = 0 }
    if isLive { stopAttempt(podUID: pod.meta.uid, graceMilliseconds: Self.milliseconds(seconds: grace)) }
    if pod.meta.finalizers.isEmpty, grace == 0 || !isLive {
      erase(ObjectReference(kind: .pods, key: key))
      return
    }
    let deletion = stamp.adding(milliseconds: Self.milliseconds(seconds: grace))
    updatePod(key) { pod in
      pod.meta.deletionTimestamp = deletion
      pod.meta.deletionGracePeriodSeconds = grace
      if pod.meta.generation > 0 { pod.meta.generation = pod.meta.generation.addingSaturated(1) }
    }
  }

  /// Deletes an object of any kind. Owned objects follow, stay, or go first, as `propagation` says; finalizers hold
  /// it back.
  mutating func deleteObject(_ reference: ObjectReference, propagation: Propagation, graceSeconds: Int64?) {
    guard let object = state[reference] else { return }
    if reference.kind == .namespaces {
      deleteNamespace(reference.key.name)
      return
    }
    var finalizers = object.meta.finalizers.filter { $0 != Self.orphanFinalizer && $0 != Self.foregroundFinalizer }
    switch propagation {
    case .background: break
    case .foreground: finalizers.append(Self.foregroundFinalizer)
    case .orphan: finalizers.append(Self.orphanFinalizer)
    }
    if reference.kind == .pods {
      if finalizers != object.meta.finalizers {
        updatePod(reference.key) { $0.meta.finalizers = finalizers }
      }
      deletePod(reference.key, graceSeconds: graceSeconds)
      return
    }
    if finalizers.isEmpty {
      erase(reference)
      return
    }
    let stamp = stamp
    update(reference) { object in
      object.meta.finalizers = finalizers
      guard object.meta.deletionTimestamp == nil else { return }
      object.meta.deletionTimestamp = stamp
      object.meta.deletionGracePeriodSeconds = 0
      if object.meta.generation > 0 { object.meta.generation = object.meta.generation.addingSaturated(1) }
    }
  }

  /// The fleet has written the pod's last status and dropped its attempt: the end is proven.
  mutating func podAttemptEnded(_ key: ObjectKey, podUID: String) {
    guard let pod = state.pods[key], pod.meta.uid == podUID else { return }
    if pod.meta.deletionTimestamp != nil { workloads.removals.add(ObjectReference(kind: .pods, key: key)) }
    if let job = jobKey(owning: pod) { workloads.jobs.add(job) }
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
