// Whether the disk of the data directory answers: one probe with each heartbeat, unless the last one still waits.
// Knows nothing of files; what a stalled disk means for new work is the coordinator's.

import ClusterProto

/// The agent's view of its disk.
struct DiskWatch {
  /// Number of the last probe.
  var number: Int64 = 0
  /// When the probe that is under way was asked for; nil: none is.
  var since: BootTime?
  /// The last heartbeat said that the disk is stalled.
  var isTold = false
}

extension AgentCore {
  /// For how long the disk has not answered, when that is too long; nil: it answers. Noted as told.
  mutating func diskStalled(_ now: Now) -> Int64? {
    guard let session, let since = disk.since else {
      disk.isTold = false
      return nil
    }
    let limit = max(configuration.diskStallMilliseconds, session.leaseMilliseconds / 5 * 2)
    disk.isTold = now.boot - since >= limit
    return disk.isTold ? now.boot - since : nil
  }

  /// Asks the disk for a sign of life; at most one probe waits.
  mutating func probeDisk(_ now: Now) {
    guard disk.since == nil else { return }
    disk.number += 1
    disk.since = now.boot
    effects.append(.probeDisk(disk.number))
  }

  mutating func diskAnswered(_ number: Int64) {
    guard number == disk.number, disk.since != nil else { return }
    disk.since = nil
    // The node takes pods again: it is said at once.
    if disk.isTold { session?.asks = true }
  }
}
