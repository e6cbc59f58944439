// How many pods a Job may be given now. Pods that no node can take need not exist: they are bounded for each Job and
// for all, and a disk that is nearly full gets no new ones. Knows counts only; who needs how many is the Job
// controller's.

import ClusterProto

extension CoordinatorCore {
  /// How many of the `missing` pods may be made. The Job comes back for the rest when one of its pods is placed, or
  /// when the disk has room: each Job may always have one pod that waits, so none starves behind the others.
  mutating func allowance(for job: Job, missing: Int64) -> Int64 {
    let waiting = tally(of: job).unplaced
    if job.isGang, !workloads.isDiskScarce { return gangAllowance(job, missing, waiting) }
    let own = max(0, configuration.waitingPodsOfJob - waiting)
    let all = max(configuration.waitingPodLimit - workloads.unplaced, waiting == 0 ? 1 : 0)
    let allowed = workloads.isDiskScarce ? 0 : Int64(max(0, min(own, all)))
    guard allowed < missing else {
      workloads.heldBack.remove(job.meta.key)
      return missing
    }
    if workloads.heldBack.insert(job.meta.key) { tellHeldBack(job) }
    return allowed
  }

  /// A part of a gang is of no use: one that has begun to be made is made whole, and then no other begins.
  private mutating func gangAllowance(_ job: Job, _ missing: Int64, _ waiting: Int) -> Int64 {
    if waiting > 0 || workloads.unplaced < configuration.waitingPodLimit { return missing }
    if workloads.heldGangs.insert(job.meta.key) { tellHeldBack(job) }
    return 0
  }

  /// Fewer pods wait: the next gang may be made.
  mutating func wakeHeldGang() {
    guard !workloads.heldGangs.isEmpty, workloads.unplaced < configuration.waitingPodLimit else { return }
    if let key = workloads.heldGangs.popFirst() { workloads.jobs.add(key) }
  }

  private mutating func tellHeldBack(_ job: Job) {
    if workloads.isDiskScarce {
      recordEvent(
        on: .job(job), type: .warning, reason: "FailedCreate",
        message: "Error creating: the coordinator's disk is nearly full: no pods are created until it has room",
        component: JobNames.component)
    } else {
      recordEvent(
        on: .job(job), type: .normal, reason: "PodsHeldBack",
        message: "Pods that wait for a node are limited to \(configuration.waitingPodsOfJob) of a Job and "
          + "\(configuration.waitingPodLimit) of all: more are created as these are placed",
        component: JobNames.component)
    }
  }

  /// A node has taken one of the Job's pods: there may be room for the next.
  mutating func podPlaced(ofJob uid: String) {
    guard let key = jobReference(uid: uid), workloads.heldBack.contains(key) else { return }
    workloads.jobs.add(key)
  }

  mutating func setDiskScarce(_ scarce: Bool) {
    guard scarce != workloads.isDiskScarce else { return }
    workloads.isDiskScarce = scarce
    guard !scarce else { return }
    while let key = workloads.heldBack.popFirst() { workloads.jobs.add(key) }
    while let key = workloads.heldCrons.popFirst() { workloads.crons.add(key) }
  }
}
