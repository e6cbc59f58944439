// What must hold of each change in production, too: checked where the change is made, at the cost of a comparison.
// A step that breaks one is not written and not heard of. What needs a look at the whole state is the simulator's
// (Invariants.swift). It must not know who made the change.

import ClusterProto

extension CoordinatorCore {
  /// Notes that an invariant is broken, unless `holds`. The first one counts: what follows may be its consequence.
  mutating func mustHold(_ holds: Bool, _ invariant: @autoclosure () -> String) {
    if !holds, broken == nil { broken = invariant() }
  }

  /// I2, I3, I5 and I7 of one object's change.
  mutating func checkChange(_ change: ObjectChange) {
    switch (change.before, change.after) {
    case (.pod(let before)?, .pod(let after)?):
      mustHold(
        before.status.fencingToken == nil || after.nodeName == before.nodeName,
        "I2: pod \(after.meta.key) moved from \(before.nodeName ?? "") to \(after.nodeName ?? "")")
      mustHold(
        before.status.fencingToken == nil || after.status.fencingToken == before.status.fencingToken,
        "I2: pod \(after.meta.key) changed its attempt")
    case (.job(let before)?, .job(let after)?):
      let was = before.status
      let status = after.status
      mustHold(Self.keepsCounters(was, after), "I5: a counter of Job \(after.meta.key) went back")
      mustHold(
        was.finishedCondition == nil || was.finishedCondition?.type == status.finishedCondition?.type,
        "I7: Job \(after.meta.key) is no longer \(was.finishedCondition?.type ?? "")")
    default: break
    }
  }

  /// An elastic Job that shrank forgets the indexes that it has no more, and no others. Whoever else runs a Job counts
  /// as the API lets him.
  private static func keepsCounters(_ was: JobStatus, _ after: Job) -> Bool {
    let status = after.status
    if after.spec.otherManager != nil { return true }
    if status.failed < was.failed { return false }
    if status.succeeded >= was.succeeded { return true }
    guard after.spec.isIndexed, let completions = after.spec.completions else { return false }
    var kept = was.completedIndexes
    kept.trim(below: completions)
    return kept.countShared(with: status.completedIndexes) == kept.count
  }

  /// I1 and promise 1 where an attempt is entered: a new number, and no other attempt of the pod.
  mutating func checkNew(_ attempt: Attempt) {
    if let slot = attempt.slot { checkFree(slot) }
    let isNew = attemptIsUnknown(attempt.number)
    mustHold(isNew, "I1: attempt \(attempt.number) is given twice")
    mustHold(
      !isPossiblyLive(podUID: attempt.podUID), "H3: pod \(attempt.pod) has an attempt that may live, and gets another")
  }

  /// The same for an index: the pod before it may be another.
  mutating func checkFree(_ slot: Slot) {
    mustHold(
      slot.index == nil || !isPossiblyLive(slot),
      "H3: index \(slot.index ?? 0) has an attempt that may live, and gets another")
  }

  /// What a step with a broken invariant comes to: nothing is written, nobody is answered, the process ends.
  func halt(for invariant: String) -> [CoordinatorEffect] {
    [
      .halt(
        "a rule that must always hold is broken: \(invariant). Nothing of this step was written or sent; the store "
          + "holds what was before it. Start the coordinator again; if it stops again, keep a copy of its data "
          + "directory and report this message")
    ]
  }
}
