// Whether the disk of the data directory answers, and has room: one probe with each heartbeat, unless the last one
// still waits. Knows nothing of files; what a stalled or full disk means for new work is the coordinator's.

import ClusterProto

/// What is free of a file system, and all of it.
package struct DiskRoom: Equatable, Sendable {
  /// Bytes that may still be written by who has no rights.
  package var availableBytes: UInt64
  /// All bytes.
  package var totalBytes: UInt64
  /// Inodes that may still be made.
  package var availableInodes: UInt64
  /// All inodes; 0: the file system makes them as it needs them.
  package var totalInodes: UInt64

  /// Takes each value as it stands.
  package init(availableBytes: UInt64, totalBytes: UInt64, availableInodes: UInt64 = 0, totalInodes: UInt64 = 0) {
    self.availableBytes = availableBytes
    self.totalBytes = totalBytes
    self.availableInodes = availableInodes
    self.totalInodes = totalInodes
  }
}

/// The agent's view of its disk.
struct DiskWatch {
  /// Number of the last probe.
  var number: Int64 = 0
  /// When the probe that is under way was asked for; nil: none is.
  var since: BootTime?
  /// The last heartbeat said that the disk is stalled.
  var isTold = false
  /// It has too little room, or had not long ago: one that is filled and emptied by turns does not make its node come
  /// and go.
  var pressure = Pressure()
  /// When a pod may have to go for it next.
  var reliefDue = BootTime(milliseconds: 0)

  /// So long the coordinator has to hear of it before a pod goes.
  static let toldFirst: Int64 = 2_000
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

  mutating func diskAnswered(_ number: Int64, _ room: DiskRoom?, _ now: Now) {
    guard number == disk.number, disk.since != nil else { return }
    disk.since = nil
    // The node takes pods again: it is said at once.
    if disk.isTold { session?.asks = true }
    guard let room else { return }
    let shortage = note(room, now.boot)
    if collectImages(room, isShort: shortage != nil, now) {
      // kubelet's order: whether that was enough is seen before a pod goes.
      disk.reliefDue = now.boot + configuration.machineLookMilliseconds
    } else if let shortage {
      relieveDisk(shortage, now)
    }
  }

  /// What it is short of.
  @discardableResult
  mutating func note(_ room: DiskRoom, _ time: BootTime) -> Shortage? {
    let shortage = configuration.eviction.shortage(room)
    if shortage == nil { forgetSpared(.disk) }
    if disk.pressure.note(isLow: shortage != nil, time), session != nil {
      session?.asks = true
      // Who is evicted may have another in its place at once, and that one must not come here.
      disk.reliefDue = max(disk.reliefDue, time + DiskWatch.toldFirst)
    }
    return shortage
  }

  /// One pod at most for each look, as of memory: what it gives back is seen before the next one goes.
  private mutating func relieveDisk(_ shortage: Shortage, _ now: Now) {
    guard disk.reliefDue <= now.boot, keeperLink == .ready, identity?.limits?.relievesDisk == true else { return }
    disk.reliefDue = now.boot + configuration.machineLookMilliseconds
    effects.append(.keeper(.relieve(shortage)))
  }
}
