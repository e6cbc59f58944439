// What pods say that promise 1 holds back: not which node they lack, but whose end they wait for. Most ends come
// within a moment, so it is told at the next interval, to those that still wait. Who is held back, and why, is
// NeverTwoCopies'.

import ClusterProto

extension CoordinatorCore {
  /// Of the condition PodScheduled; no word of Kubernetes', whose tools would take Unschedulable for a want of nodes.
  static let heldReason = "PredecessorMayRun"
  private static let heldAtOnce = 64

  /// The pod waits outside its group for the attempt before it.
  mutating func noteHeld(_ pod: ObjectKey) {
    fleet.scheduler.heldPods.add(pod)
    armExplanation()
  }

  /// The group's Job runs as much as it may.
  mutating func noteHeld(_ group: WaitingGroupKey) {
    fleet.scheduler.heldGroups.add(group)
    armExplanation()
  }

  /// The interval is over.
  mutating func tellHeld() {
    var left = Self.heldAtOnce
    while left > 0, let key = fleet.scheduler.heldPods.next() {
      guard let pod = state.pods[key], isAside(pod), let index = Slot(of: pod)?.index else { continue }
      left -= 1
      tellHeld(
        key, Self.heldReason,
        "An earlier attempt of index \(index) may still run: this pod is placed once its end is proven")
    }
    while left > 0, let group = fleet.scheduler.heldGroups.next() { left -= tellHeld(group, limit: left) }
  }

  /// Returns how many pods it told.
  private mutating func tellHeld(_ group: WaitingGroupKey, limit: Int) -> Int {
    guard var pods = fleet.scheduler.groups[group]?.pods, fleet.scheduler.groups[group]?.isQueued == false else {
      return 0
    }
    var told = 0
    let gang = gangWait(group)
    while let key = pods.next() {
      guard let pod = state.pods[key], let why = gang ?? fullWait(pod),
        pod.status.condition("PodScheduled")?.message != why.message
      else { continue }
      guard told < limit else {
        fleet.scheduler.heldGroups.add(group)
        break
      }
      told += 1
      // Once it is let go it has to say what else it waits for.
      fleet.scheduler.groups[group]?.unmarked.add(key)
      tellHeld(key, why.reason, why.message)
    }
    return told
  }

  private func fullWait(_ pod: Pod) -> (reason: String, message: String)? {
    guard let most = fullAt(pod) else { return nil }
    return (
      Self.heldReason,
      "The Job may run \(most) at once, and attempts whose pods are deleted or marked as ended may still run: "
        + "this pod is placed once one of them is proven to have ended"
    )
  }

  private mutating func tellHeld(_ key: ObjectKey, _ reason: String, _ message: String) {
    let wall = now.wall
    let after = updatePod(key) { pod in
      guard Self.waitsForNode(pod) else { return }
      pod.status.set(
        Condition(
          type: "PodScheduled", status: "False", reason: reason, message: message, lastTransition: wall))
    }
    guard let after else { return }
    recordEvent(
      on: .pod(after), type: .warning, reason: "FailedScheduling", message: message, component: "default-scheduler")
  }
}
