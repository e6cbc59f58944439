// The rule at the end of a zone's file, as `CET-1CEST,M3.5.0,M10.5.0/3`: what holds after the last transition that the
// file lists. It must not know files.

import ClusterProto

struct ZoneRule: Equatable, Sendable {
  /// A day of each year.
  enum Day: Equatable, Sendable {
    /// The n-th of that weekday in a month; 5: the last.
    case weekday(month: Int64, week: Int64, day: Int64)
    /// 1 to 365, February 29 is never counted.
    case julian(Int64)
    /// 0 to 365.
    case ordinal(Int64)
  }

  struct Change: Equatable, Sendable {
    var day: Day
    /// Of the clock that holds before; may be beyond the day.
    var seconds: Int64
  }

  /// Seconds east of UTC.
  var standard: Int64
  /// Summer: its offset, its beginning, its end.
  var summer: (offset: Int64, begin: Change, end: Change)?

  static func == (left: ZoneRule, right: ZoneRule) -> Bool {
    left.standard == right.standard && left.summer?.offset == right.summer?.offset
      && left.summer?.begin == right.summer?.begin && left.summer?.end == right.summer?.end
  }

  func span(at seconds: Int64) -> ZoneTable.Span {
    guard let summer else { return ZoneTable.Span(offset: standard, start: .min, end: .max) }
    let year = CivilDate.date(days: CivilDate.floorDivide(seconds, 86_400)).year
    var changes: [(at: Int64, offset: Int64)] = []
    for year in year - 1...year + 1 {
      changes.append((Self.moment(summer.begin, year) - standard, summer.offset))
      changes.append((Self.moment(summer.end, year) - summer.offset, standard))
    }
    changes.sort { $0.at < $1.at }
    guard let next = changes.firstIndex(where: { $0.at > seconds }), next > 0 else {
      return ZoneTable.Span(offset: standard, start: seconds, end: seconds + 1)
    }
    return ZoneTable.Span(offset: changes[next - 1].offset, start: changes[next - 1].at, end: changes[next].at)
  }

  /// Local seconds since 1970.
  private static func moment(_ change: Change, _ year: Int64) -> Int64 {
    let january = CivilDate.days(year: year, month: 1, day: 1)
    let days: Int64
    switch change.day {
    case .ordinal(let number): days = january + number
    case .julian(let number):
      let isLeap = CivilDate.daysInMonth(year: year, month: 2) == 29
      days = january + number - 1 + (isLeap && number >= 60 ? 1 : 0)
    case .weekday(let month, let week, let day):
      let first = CivilDate.days(year: year, month: month, day: 1)
      let lead = (day - CivilDate.weekday(days: first) + 7) % 7
      let length = CivilDate.daysInMonth(year: year, month: month)
      var date = lead + (week - 1) * 7
      while date >= length { date -= 7 }
      days = first + date
    }
    return days * 86_400 + change.seconds
  }
}

extension ZoneRule {
  /// Nil where the text is no rule.
  init?(parsing text: Substring) {
    var rest = text
    guard Self.dropName(&rest), let west = Self.time(&rest) else { return nil }
    standard = -west
    if rest.isEmpty { return }
    guard Self.dropName(&rest) else { return nil }
    var offset = standard + 3_600
    if let next = rest.first, next != "," {
      guard let west = Self.time(&rest) else { return nil }
      offset = -west
    }
    guard let begin = Self.change(&rest), let end = Self.change(&rest), rest.isEmpty else { return nil }
    summer = (offset, begin, end)
  }

  /// Letters, or anything in angle brackets.
  private static func dropName(_ rest: inout Substring) -> Bool {
    if rest.first == "<" {
      guard let end = rest.firstIndex(of: ">") else { return false }
      rest = rest[rest.index(after: end)...]
      return true
    }
    let name = rest.prefix { $0.isLetter }
    rest = rest.dropFirst(name.count)
    return name.count >= 3
  }

  /// `[+-]hh[:mm[:ss]]` in seconds.
  private static func time(_ rest: inout Substring) -> Int64? {
    let isNegative = rest.first == "-"
    if isNegative || rest.first == "+" { rest = rest.dropFirst() }
    guard let hours = number(&rest, 0...167) else { return nil }
    var seconds = hours * 3_600
    for unit: Int64 in [60, 1] where rest.first == ":" {
      rest = rest.dropFirst()
      guard let part = number(&rest, 0...59) else { return nil }
      seconds += part * unit
    }
    return isNegative ? -seconds : seconds
  }

  private static func change(_ rest: inout Substring) -> Change? {
    guard rest.first == "," else { return nil }
    rest = rest.dropFirst()
    var change = Change(day: .ordinal(0), seconds: 7_200)
    switch rest.first {
    case "M":
      rest = rest.dropFirst()
      guard let month = number(&rest, 1...12), rest.first == "." else { return nil }
      rest = rest.dropFirst()
      guard let week = number(&rest, 1...5), rest.first == "." else { return nil }
      rest = rest.dropFirst()
      guard let day = number(&rest, 0...6) else { return nil }
      change.day = .weekday(month: month, week: week, day: day)
    case "J":
      rest = rest.dropFirst()
      guard let day = number(&rest, 1...365) else { return nil }
      change.day = .julian(day)
    default:
      guard let day = number(&rest, 0...365) else { return nil }
      change.day = .ordinal(day)
    }
    if rest.first == "/" {
      rest = rest.dropFirst()
      guard let seconds = time(&rest) else { return nil }
      change.seconds = seconds
    }
    return change
  }

  private static func number(_ rest: inout Substring, _ range: ClosedRange<Int64>) -> Int64? {
    let digits = rest.prefix { ("0"..."9").contains($0) }
    rest = rest.dropFirst(digits.count)
    return Int64(digits).flatMap { range.contains($0) ? $0 : nil }
  }
}
