// When a schedule is due next, and which due time was the last: the moments at which Kubernetes runs a CronJob, gaps
// and overlaps of summer time included. It must not know CronJobs, and reads no clock.

import ClusterProto

extension CronSchedule {
  /// The first due time after a moment; nil where there is none within five years. A whole second.
  func next(after time: WallTime, in zone: ZoneTable) -> WallTime? {
    switch self {
    case .every(let seconds):
      let (sum, isFar) = time.seconds.addingReportingOverflow(seconds)
      let limit = WallTime.latest.seconds
      return isFar || sum >= limit ? nil : WallTime(nanoseconds: sum * 1_000_000_000)
    case .fields(let fields):
      guard fields.canFit, time.seconds < WallTime.latest.seconds - 6 * 366 * 86_400 else { return nil }
      var search = CronSearch(fields: fields, zone: zone, seconds: time.seconds + 1)
      return search.run().map { WallTime(nanoseconds: $0 * 1_000_000_000) }
    }
  }

  /// The last due time in `start < due <= end`. By halves, however many there are.
  func last(after start: WallTime, through end: WallTime, in zone: ZoneTable) -> WallTime? {
    guard var found = next(after: start, in: zone), found <= end else { return nil }
    // Everything from here on is after `found`, what is due after `high` is beyond `end`.
    var (low, high) = (found.seconds, end.seconds)
    while low < high {
      let middle = low + (high - low) / 2
      if let due = next(after: WallTime(nanoseconds: middle * 1_000_000_000), in: zone), due <= end {
        found = max(found, due)
        low = max(middle + 1, due.seconds)
      } else {
        high = middle
      }
    }
    return found
  }
}

/// A search forward: month, then day, hour and minute, each moved on until it fits. A unit that runs over into the
/// next larger one begins again at the top. The steps are those of the library that Kubernetes uses, since in gaps and
/// overlaps they decide what is found.
private struct CronSearch {
  let fields: CronFields
  let zone: ZoneTable
  var seconds: Int64
  /// The smaller units are at their beginnings.
  private var isAligned = false
  /// No schedule needs so many; a zone that left out a day could hold up a search for ever.
  private var steps = 20_000

  init(fields: CronFields, zone: ZoneTable, seconds: Int64) {
    self.fields = fields
    self.zone = zone
    self.seconds = seconds
  }

  mutating func run() -> Int64? {
    let lastYear = local.date.year + 5
    while local.date.year <= lastYear, steps > 0 {
      if reachMonth(), reachDay(), reachHour(), reachMinute() { return seconds }
    }
    return nil
  }

  private var local: (date: (year: Int64, month: Int64, day: Int64), days: Int64, second: Int64) {
    let local = seconds + zone.offset(at: seconds)
    let days = CivilDate.floorDivide(local, 86_400)
    return (CivilDate.date(days: days), days, local - days * 86_400)
  }

  /// Moves to that local day, which may lie beyond its month, at a second of it.
  private mutating func move(days: Int64, second: Int64 = 0) {
    seconds = zone.moment(ofLocal: days * 86_400 + second)
    steps -= 1
  }

  private mutating func reachMonth() -> Bool {
    while !fields.month.contains(local.date.month), steps > 0 {
      let date = local.date
      if !isAligned { move(days: CivilDate.days(year: date.year, month: date.month, day: 1)) }
      isAligned = true
      let (first, _, second) = local
      move(days: CivilDate.days(year: first.year, month: first.month + 1, day: first.day), second: second)
      if local.date.month == 1 { return false }
    }
    return steps > 0
  }

  private mutating func reachDay() -> Bool {
    while !fields.fits(day: local.date.day, weekday: CivilDate.weekday(days: local.days)), steps > 0 {
      if !isAligned { move(days: local.days) }
      isAligned = true
      let (_, days, second) = local
      move(days: days + 1, second: second)
      // Where midnight does not exist the clock shows another hour: the day begins at the nearer end of the gap.
      let hour = local.second / 3_600
      if hour > 12 { seconds += (24 - hour) * 3_600 } else if hour > 0 { seconds -= hour * 3_600 }
      if local.date.day == 1 { return false }
    }
    return steps > 0
  }

  private mutating func reachHour() -> Bool {
    while !fields.hour.contains(local.second / 3_600), steps > 0 {
      if !isAligned { move(days: local.days, second: local.second / 3_600 * 3_600) }
      isAligned = true
      seconds += 3_600
      steps -= 1
      if local.second / 3_600 == 0 { return false }
    }
    return steps > 0
  }

  private mutating func reachMinute() -> Bool {
    while !fields.minute.contains(local.second / 60 % 60), steps > 0 {
      if !isAligned { seconds = CivilDate.floorDivide(seconds, 60) * 60 }
      isAligned = true
      seconds += 60
      steps -= 1
      if local.second / 60 % 60 == 0 { return false }
    }
    // A schedule has no seconds: the minute that has begun is over.
    let begun = local.second % 60
    if begun == 0 { return steps > 0 }
    isAligned = true
    seconds += 60 - begun
    steps -= 1
    return false
  }
}
