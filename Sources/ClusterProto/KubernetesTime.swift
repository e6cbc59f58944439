// Points in time and their texts: RFC 3339 as the API writes it, RFC 1123 as describe prints it, Go durations.
// UTC only; must not read a clock.

/// Wall time, nanoseconds since 1970 UTC: for stamps, never for deadlines. Arithmetic saturates: clocks, users and
/// agents say any number, and none of them may trap or come out in another century.
package struct WallTime: Comparable, Hashable, Sendable {
  /// Nanoseconds since 1970-01-01T00:00:00Z.
  package let nanoseconds: Int64

  /// The ends of what can be said, which the texts read back: the years 1701 to 2249.
  package static let earliest = WallTime(nanoseconds: .min)
  /// The last time that can be held.
  package static let latest = WallTime(nanoseconds: .max)
  private static let range: ClosedRange<Int64> = -8_488_800_000_000_000_000...8_835_955_199_999_999_999

  /// What lies outside of the range is its nearer end.
  package init(nanoseconds: Int64) {
    self.nanoseconds = min(max(nanoseconds, Self.range.lowerBound), Self.range.upperBound)
  }

  package static func < (left: WallTime, right: WallTime) -> Bool { left.nanoseconds < right.nanoseconds }

  /// Seconds since 1970, rounded down.
  package var seconds: Int64 { CivilDate.floorDivide(nanoseconds, 1_000_000_000) }
  /// In whole milliseconds, rounded down.
  package var milliseconds: Int64 { CivilDate.floorDivide(nanoseconds, 1_000_000) }

  /// The time that many milliseconds later.
  package func adding(milliseconds: Int64) -> WallTime {
    // From one end to the other is more than 64 bits of nanoseconds hold.
    WallTime(nanoseconds: Int64(clamping: Int128(nanoseconds) + Int128(milliseconds) * 1_000_000))
  }

  /// `self - other` in milliseconds.
  package func milliseconds(since other: WallTime) -> Int64 {
    let (span, isFar) = nanoseconds.subtractingReportingOverflow(other.nanoseconds)
    return isFar ? milliseconds - other.milliseconds : span / 1_000_000
  }

  /// `2026-11-23T12:00:00Z`.
  package var rfc3339: String {
    let date = civil
    let second = seconds - CivilDate.floorDivide(seconds, 86_400) * 86_400
    // Eight of these stand in every pod's row: written in place, without strings in between.
    return String(unsafeUninitializedCapacity: 20) { buffer in
      func put(_ value: Int64, _ digits: Int, at start: Int) {
        var rest = value
        for position in stride(from: start + digits - 1, through: start, by: -1) {
          buffer[position] = UInt8(truncatingIfNeeded: 48 + rest % 10)
          rest /= 10
        }
      }
      put(date.year, 4, at: 0)
      put(date.month, 2, at: 5)
      put(date.day, 2, at: 8)
      put(second / 3600, 2, at: 11)
      put(second / 60 % 60, 2, at: 14)
      put(second % 60, 2, at: 17)
      for (position, mark) in [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":"), (19, "Z")]
        as [(Int, Unicode.Scalar)]
      {
        buffer[position] = UInt8(ascii: mark)
      }
      return 20
    }
  }
  /// `2026-11-23T12:00:00.123456Z` (MicroTime).
  package var rfc3339Micro: String { "\(base).\(Self.padded(fraction / 1000, 6))Z" }
  /// `2026-11-23T12:00:00.123456789Z`.
  package var rfc3339Nano: String { "\(base).\(Self.padded(fraction, 9))Z" }
  /// `Mon, 23 Nov 2026 12:00:00 +0000`.
  package var rfc1123Z: String {
    let date = civil
    let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    let dayNumber = CivilDate.floorDivide(seconds, 86_400)
    let weekday = days[Int(CivilDate.weekday(days: dayNumber))]
    let day = "\(Self.padded(date.day, 2)) \(months[Int(date.month) - 1]) \(Self.padded(date.year, 4))"
    return "\(weekday), \(day) \(clock) +0000"
  }

  /// Reads RFC 3339 with any year, offset and fraction; nil for anything else.
  package init?(rfc3339 text: String) {
    var text = text
    guard let value = text.withUTF8({ Self.parse($0) }) else { return nil }
    self.init(nanoseconds: value)
  }

  private static func parse(_ bytes: UnsafeBufferPointer<UInt8>) -> Int64? {
    guard bytes.count >= 20, bytes.count <= 40 else { return nil }
    func number(_ range: Range<Int>) -> Int64? {
      var value: Int64 = 0
      for position in range {
        guard (48...57).contains(bytes[position]) else { return nil }
        value = value * 10 + Int64(bytes[position] - 48)
      }
      return value
    }
    guard let year = number(0..<4), bytes[4] == 45, let month = number(5..<7), bytes[7] == 45, let day = number(8..<10),
      bytes[10] == 84 || bytes[10] == 116, let hour = number(11..<13), bytes[13] == 58, let minute = number(14..<16),
      bytes[16] == 58, let second = number(17..<19), (1...12).contains(month),
      day >= 1, day <= CivilDate.daysInMonth(year: year, month: month), hour < 24, minute < 60, second < 60
    else { return nil }
    var position = 19
    var fraction: Int64 = 0
    if bytes[position] == 46 {
      position += 1
      var scale: Int64 = 100_000_000
      let first = position
      while position < bytes.count, (48...57).contains(bytes[position]) {
        fraction += Int64(bytes[position] - 48) * scale
        scale /= 10
        position += 1
      }
      guard position > first else { return nil }
    }
    guard position < bytes.count, let offset = Self.offset(bytes[position...]) else { return nil }
    let total =
      CivilDate.days(year: year, month: month, day: day) * 86_400 + hour * 3600 + minute * 60 + second - offset
    let (nanoseconds, isFar) = total.multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, isFarther) = nanoseconds.addingReportingOverflow(fraction)
    return isFar || isFarther ? (total > 0 ? .max : .min) : sum
  }

  /// Seconds east of UTC of `Z` or `+hh:mm`.
  private static func offset(_ zone: Slice<UnsafeBufferPointer<UInt8>>) -> Int64? {
    if zone.count == 1, zone.first == 90 || zone.first == 122 { return 0 }
    let bytes = Array(zone)
    guard bytes.count == 6, bytes[0] == 43 || bytes[0] == 45, bytes[3] == 58 else { return nil }
    var digits: [Int64] = []
    for position in [1, 2, 4, 5] {
      guard (48...57).contains(bytes[position]) else { return nil }
      digits.append(Int64(bytes[position] - 48))
    }
    let (hours, minutes) = (digits[0] * 10 + digits[1], digits[2] * 10 + digits[3])
    // Go's bounds, for who writes 24 hours or 60 minutes.
    guard hours <= 24, minutes <= 60 else { return nil }
    let value = hours * 3600 + minutes * 60
    return bytes[0] == 43 ? value : -value
  }

  private var fraction: Int64 { nanoseconds - seconds * 1_000_000_000 }

  private var base: String {
    let date = civil
    return "\(Self.padded(date.year, 4))-\(Self.padded(date.month, 2))-\(Self.padded(date.day, 2))T\(clock)"
  }

  private var clock: String {
    let second = seconds - CivilDate.floorDivide(seconds, 86_400) * 86_400
    return "\(Self.padded(second / 3600, 2)):\(Self.padded(second / 60 % 60, 2)):\(Self.padded(second % 60, 2))"
  }

  private var civil: (year: Int64, month: Int64, day: Int64) {
    CivilDate.date(days: CivilDate.floorDivide(seconds, 86_400))
  }

  static func padded(_ value: Int64, _ width: Int) -> String {
    let digits = String(value)
    return digits.count >= width ? digits : String(repeating: "0", count: width - digits.count) + digits
  }
}

/// Boot time (CLOCK_BOOTTIME) in milliseconds: for intervals, leases, deadlines and TTLs. Means nothing across boots.
@usableFromInline
package struct BootTime: Comparable, Hashable, Sendable {
  /// Milliseconds since the machine booted.
  @usableFromInline
  package var milliseconds: Int64

  /// Takes each value as it stands.
  @inlinable
  package init(milliseconds: Int64) { self.milliseconds = milliseconds }

  @inlinable
  package static func < (left: BootTime, right: BootTime) -> Bool { left.milliseconds < right.milliseconds }
  /// Saturates instead of trapping: durations come from manifests.
  @inlinable
  package static func + (left: BootTime, right: Int64) -> BootTime {
    let (sum, overflow) = left.milliseconds.addingReportingOverflow(right)
    return BootTime(milliseconds: overflow ? (right > 0 ? Int64.max : Int64.min) : sum)
  }
  /// Saturates, too.
  @inlinable
  package static func - (left: BootTime, right: Int64) -> BootTime {
    let (difference, overflow) = left.milliseconds.subtractingReportingOverflow(right)
    return BootTime(milliseconds: overflow ? (right > 0 ? Int64.min : Int64.max) : difference)
  }
  /// Milliseconds between.
  @inlinable
  package static func - (left: BootTime, right: BootTime) -> Int64 { (left - right.milliseconds).milliseconds }
}

/// Both clocks at the start of a step.
package struct Now: Equatable, Sendable {
  /// By CLOCK_BOOTTIME: for intervals, leases, deadlines.
  package var boot: BootTime
  /// By the wall clock: for stamps.
  package var wall: WallTime

  /// Takes each value as it stands.
  package init(boot: BootTime, wall: WallTime) {
    self.boot = boot
    self.wall = wall
  }
}

/// Go's duration texts.
package enum DurationText {
  /// Milliseconds of `1m30s`, `500ms`, `1.5h` or `0`, rounded down; nil for anything else, a sign included.
  package static func parse(_ text: String) -> Int64? {
    if text == "0" { return 0 }
    var rest = Substring(text)
    var nanoseconds: Int64 = 0
    guard !rest.isEmpty else { return nil }
    while !rest.isEmpty {
      let number = rest.prefix { ("0"..."9").contains($0) || $0 == "." }
      rest = rest.dropFirst(number.count)
      guard let unit = units.first(where: { rest.hasPrefix($0.name) }),
        let part = scaled(number, by: unit.nanoseconds)
      else { return nil }
      rest = rest.dropFirst(unit.name.count)
      let (sum, overflow) = nanoseconds.addingReportingOverflow(part)
      if overflow { return nil }
      nanoseconds = sum
    }
    return nanoseconds / 1_000_000
  }

  private static let units: [(name: String, nanoseconds: Int64)] = [
    ("ms", 1_000_000), ("us", 1000), ("\u{B5}s", 1000), ("\u{3BC}s", 1000), ("ns", 1), ("h", 3_600_000_000_000),
    ("m", 60_000_000_000), ("s", 1_000_000_000),
  ]

  /// `number` (digits with at most one point) times `unit`, exact down to nanoseconds; nil on overflow.
  package static func scaled(_ number: Substring, by unit: Int64) -> Int64? {
    let parts = number.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count <= 2, number.contains(where: { $0 != "." }) else { return nil }
    guard let whole = parts[0].isEmpty ? 0 : Int64(parts[0]) else { return nil }
    let (product, overflow) = whole.multipliedReportingOverflow(by: unit)
    if overflow { return nil }
    var fraction: Int64 = 0
    var scale: Int64 = 1
    for digit in parts.count == 2 ? parts[1].utf8.prefix(12) : "".utf8.prefix(0) {
      fraction = fraction * 10 + Int64(digit - 48)
      scale *= 10
    }
    let (high, low) = fraction.multipliedFullWidth(by: unit)
    let (sum, carried) = product.addingReportingOverflow(scale.dividingFullWidth((high, low)).quotient)
    return carried ? nil : sum
  }

  /// `1h2m3s`, `1.5s`, `500ms`, `0s`.
  package static func format(milliseconds: Int64) -> String {
    if milliseconds == 0 { return "0s" }
    let sign = milliseconds < 0 ? "-" : ""
    let value = milliseconds.magnitude
    if value < 1000 { return "\(sign)\(value)ms" }
    let seconds = value / 1000
    var result = sign
    if seconds >= 3600 { result += "\(seconds / 3600)h" }
    if seconds >= 60 { result += "\(seconds / 60 % 60)m" }
    var fraction = String(value % 1000 + 1000).dropFirst()
    while fraction.last == "0" { fraction = fraction.dropLast() }
    result += fraction.isEmpty ? "\(seconds % 60)s" : "\(seconds % 60).\(fraction)s"
    return result
  }
}

/// Kubernetes' HumanDuration, as in AGE and DURATION columns. A span of Go ends after 292 years.
package func humanDuration(milliseconds: Int64) -> String {
  let seconds = min(milliseconds, Int64.max / 1_000_000) / 1000
  if seconds < -1 { return "<invalid>" }
  if seconds <= 0 { return "0s" }
  if seconds < 120 { return "\(seconds)s" }
  let minutes = seconds / 60
  func pair(_ large: Int64, _ largeUnit: String, _ small: Int64, _ smallUnit: String) -> String {
    small == 0 ? "\(large)\(largeUnit)" : "\(large)\(largeUnit)\(small)\(smallUnit)"
  }
  if minutes < 10 { return pair(minutes, "m", seconds % 60, "s") }
  if minutes < 180 { return "\(minutes)m" }
  let hours = minutes / 60
  if hours < 8 { return pair(hours, "h", minutes % 60, "m") }
  if hours < 48 { return "\(hours)h" }
  let days = hours / 24
  if hours < 192 { return pair(days, "d", hours % 24, "h") }
  if days < 730 { return "\(days)d" }
  let years = days / 365
  if years < 8 { return pair(years, "y", days % 365, "d") }
  return "\(years)y"
}
