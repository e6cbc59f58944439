// Which due time of a CronJob has come and has no run, by Kubernetes' arithmetic. It must not know Jobs or events.

import ClusterProto

/// A schedule at a moment.
struct CronClock {
  /// What has been missed.
  struct Found: Equatable {
    /// The last due time that has come.
    var latest: WallTime?
    /// More than a hundred have come, estimated by the distance of the first two.
    var isTooMany = false
    /// Some have come, whether the last one was found or not.
    var isMissed = false
    /// Two due times that are no second apart, or none at all.
    var isInvalid = false
  }

  let schedule: CronSchedule
  let zone: ZoneTable
  let now: WallTime
  let created: WallTime

  /// The latest due time since the last run, or since the creation; not before what a deadline allows.
  func mostRecent(since lastRun: WallTime?, deadlineSeconds: Int64? = nil) -> Found {
    var base = lastRun ?? created
    if let deadlineSeconds {
      let milliseconds = min(max(0, deadlineSeconds), 1_000_000_000_000) * 1_000
      base = max(base, now.adding(milliseconds: -milliseconds))
    }
    guard let first = schedule.next(after: base, in: zone) else {
      // Behind the end of all times there is none.
      return Found(isInvalid: base <= now)
    }
    if now < first { return Found() }
    guard let second = schedule.next(after: first, in: zone) else { return Found(isInvalid: true) }
    if now < second { return Found(latest: first) }
    let distance = second.seconds - first.seconds
    guard distance >= 1 else { return Found(isInvalid: true) }
    let missed = (now.milliseconds(since: first) / 1_000) / distance + 1
    let start = first.adding(milliseconds: (missed - 2) * distance * 1_000)
    return Found(
      latest: schedule.last(after: start, through: now, in: zone), isTooMany: missed > 100, isMissed: true)
  }

  /// The due time to wait for.
  func next(since lastRun: WallTime?) -> WallTime? {
    let found = mostRecent(since: lastRun)
    let base = found.latest ?? (found.isInvalid || found.isMissed ? now : lastRun ?? created)
    return schedule.next(after: base, in: zone)
  }
}
