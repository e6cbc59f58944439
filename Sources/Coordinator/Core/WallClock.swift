// What became of the wall clock: when it was set and by how much, over restarts too, so that limits which count from
// stamps (an active deadline, a backoff, a TTL) do not see a clock that was set as time that passed. Knows no object.

import ClusterProto

/// The settings of the wall clock since this machine was booted, as far as a coordinator saw them. Over a boot nothing
/// but the wall clock tells how long it was, so it is believed there.
struct WallClock: Sendable {
  /// The clock was set: what it said first, and by how many milliseconds that was ahead.
  struct Jump: Equatable, Sendable {
    var wall: WallTime
    var milliseconds: Int64
  }

  /// Wall minus boot time in milliseconds at the last jump or start; nil: not known yet.
  private(set) var offset: Int64?
  /// Oldest first.
  private(set) var jumps: [Jump] = []
  /// The row is behind.
  var isDirty = false

  /// Below this a difference is drift.
  private static let tolerance: Int64 = 1_000
  /// So many are remembered; older ones are taken for time that passed.
  private static let limit = 32

  init() {}

  /// As a row has it; nil: it is of another boot, or no such row.
  init?(json: JSON, bootID: String) {
    guard json["boot"]?.stringValue == bootID, let offset = json["offset"]?.intValue else { return nil }
    self.offset = offset
    for jump in json["jumps"]?.arrayValue ?? [] {
      guard let wall = jump["wall"]?.intValue, let milliseconds = jump["by"]?.intValue else { return nil }
      jumps.append(Jump(wall: WallTime(nanoseconds: wall), milliseconds: milliseconds))
    }
  }

  func json(bootID: String) -> JSON {
    [
      "boot": .string(bootID), "offset": .int(offset ?? 0),
      "jumps": .array(jumps.map { ["wall": .int($0.wall.nanoseconds), "by": .int($0.milliseconds)] }),
    ]
  }

  /// Looks at both clocks; true: the wall clock was set since the last look.
  @discardableResult
  mutating func look(_ now: Now) -> Bool {
    let present = now.boot.milliseconds.subtractingReportingOverflow(now.wall.milliseconds)
    guard !present.overflow else { return false }
    let found = -max(present.partialValue, -Int64.max)
    let isSet = offset != nil
    if let offset {
      let (jump, isFar) = found.subtractingReportingOverflow(offset)
      guard !isFar, jump.magnitude > UInt64(Self.tolerance) else { return false }
      jumps.append(Jump(wall: now.wall, milliseconds: jump))
      if jumps.count > Self.limit { jumps.removeFirst() }
    }
    offset = found
    isDirty = true
    return isSet
  }

  /// Milliseconds that have passed since a stamp was made, whatever the clock was set meanwhile. What lies in the
  /// future was stamped before the clock was set back. Never negative: no limit becomes longer than it is.
  func elapsed(since stamp: WallTime, _ now: Now) -> Int64 {
    var elapsed = now.wall.milliseconds(since: stamp)
    for jump in jumps where stamp < jump.wall || stamp > now.wall && jump.milliseconds < 0 {
      let (rest, isFar) = elapsed.subtractingReportingOverflow(jump.milliseconds)
      if !isFar { elapsed = rest }
    }
    return max(0, elapsed)
  }
}

extension CoordinatorCore {
  static let clockFact = "clock"

  /// Reads the row, before any stamp is looked at. Without a boot id nothing is known about the time between.
  mutating func restoreClock(_ row: JSON?) {
    if let row, !configuration.bootID.isEmpty, let stored = WallClock(json: row, bootID: configuration.bootID) {
      wallClock = stored
    }
    wallClock.look(now)
  }

  /// Has the row written where the clock was set, and at the first start after a boot.
  mutating func noteWallClock() {
    if wallClock.look(now) { lookAtCronsAfterSettingBack(wallClock.jumps.last) }
    guard wallClock.isDirty, !configuration.bootID.isEmpty else { return }
    wallClock.isDirty = false
    writes.append(fact(Self.clockFact, wallClock.json(bootID: configuration.bootID)))
  }

  /// The boot time at which `wall` was, for a past stamp; never in the future.
  func bootTime(of wall: WallTime) -> BootTime { now.boot - wallClock.elapsed(since: wall, now) }
}
