// Owns: CronJobs whose last due time lies in the future, since a clock was wrong when they ran: they run nothing until
// then, as in Kubernetes, but not in silence. It must not decide about runs: a due time that has had one would get
// another if the controller went back by itself.

import ClusterProto

extension CoordinatorCore {
  /// Clocks of machines differ by a little.
  private static let cronAheadMilliseconds: Int64 = 60_000

  /// Tells once that a CronJob waits for a time that its last run should not have reached, and how it gets on.
  mutating func noteAhead(_ round: CronRound) {
    let key = round.cron.meta.key
    guard let last = round.lastSchedule, last.milliseconds(since: now.wall) > Self.cronAheadMilliseconds else {
      workloads.cronsAhead.remove(key)
      return
    }
    guard workloads.cronsAhead.insert(key).inserted else { return }
    let patch: JSON = ["status": ["lastScheduleTime": .string(now.wall.rfc3339)]]
    let message =
      "No run before \(round.text(last, "lastScheduleTime")): status.lastScheduleTime says that the run of that time "
      + "was made, and it is "
      + "\(now.wall.rfc3339) by the coordinator's clock. Set the clock right if it is wrong now; if it was wrong then: "
      + "kubectl patch cronjob \(key.name) -n \(key.namespace) --subresource=status --type=merge -p '\(patch.text)'"
    recordEvent(round, .warning, "LastScheduleInFuture", message)
    outputs.append(.log("cronjob \(key.namespace)/\(key.name): \(message)"))
  }

  /// The clock was set back: nothing else would look at a CronJob before the time that it waits for.
  mutating func lookAtCronsAfterSettingBack(_ jump: WallClock.Jump?) {
    guard let jump, jump.milliseconds < -Self.cronAheadMilliseconds else { return }
    for key in state.keys(of: .cronjobs) { workloads.crons.add(key) }
  }
}
