// What `spec.schedule` of a CronJob may say: five fields, macros, @every, with the error texts that Kubernetes shows.
// It must not know zones, clocks or CronJobs.

import ClusterProto

/// Why a text is no schedule.
struct CronError: Error, Equatable {
  var message: String
}

/// A schedule. When it is due is CronDue's.
enum CronSchedule: Equatable, Sendable {
  case fields(CronFields)
  /// So many seconds after each other.
  case every(seconds: Int64)

  init(parsing text: String) throws(CronError) {
    if text.isEmpty { throw CronError(message: "empty spec string") }
    if text.hasPrefix("@") {
      self = try Self.macro(text)
      return
    }
    let fields = text.split { $0.isWhitespace }
    guard fields.count == 5 else {
      throw CronError(
        message: "expected exactly 5 fields, found \(fields.count): [\(fields.joined(separator: " "))]")
    }
    self = .fields(
      CronFields(
        minute: try CronField(parsing: fields[0], .minute), hour: try CronField(parsing: fields[1], .hour),
        day: try CronField(parsing: fields[2], .day), month: try CronField(parsing: fields[3], .month),
        weekday: try CronField(parsing: fields[4], .weekday)))
  }

  private static func macro(_ text: String) throws(CronError) -> CronSchedule {
    let all = { CronField.all($0) }
    let first = CronField(bits: 1)
    let firstOfMonth = CronField(bits: 2)
    switch text {
    case "@yearly", "@annually":
      return .fields(
        CronFields(minute: first, hour: first, day: firstOfMonth, month: firstOfMonth, weekday: all(.weekday)))
    case "@monthly":
      return .fields(
        CronFields(minute: first, hour: first, day: firstOfMonth, month: all(.month), weekday: all(.weekday)))
    case "@weekly":
      return .fields(CronFields(minute: first, hour: first, day: all(.day), month: all(.month), weekday: first))
    case "@daily", "@midnight":
      return .fields(
        CronFields(minute: first, hour: first, day: all(.day), month: all(.month), weekday: all(.weekday)))
    case "@hourly":
      return .fields(
        CronFields(minute: first, hour: all(.hour), day: all(.day), month: all(.month), weekday: all(.weekday)))
    default: break
    }
    let every = "@every "
    guard text.hasPrefix(every) else { throw CronError(message: "unrecognized descriptor: \(text)") }
    do throws(CronError) {
      let nanoseconds = try CronDuration.parse(String(text.dropFirst(every.count)))
      // Fractions of a second count for nothing, less than one for one.
      return .every(seconds: max(1, nanoseconds / 1_000_000_000))
    } catch {
      throw CronError(message: "failed to parse duration \(text): \(error.message)")
    }
  }
}

/// The five fields.
struct CronFields: Equatable, Sendable {
  var minute: CronField
  var hour: CronField
  var day: CronField
  var month: CronField
  var weekday: CronField

  /// Both day fields must fit where one is a star; else one is enough.
  func fits(day number: Int64, weekday name: Int64) -> Bool {
    let (fitsDay, fitsWeekday) = (day.contains(number), weekday.contains(name))
    return day.isStar || weekday.isStar ? fitsDay && fitsWeekday : fitsDay || fitsWeekday
  }

  /// A field that is only commas is allowed, and never fits.
  var canFit: Bool { [minute, hour, month].allSatisfy { $0.bits != 0 } && (day.bits != 0 || weekday.bits != 0) }
}

/// One field: a set of small numbers.
struct CronField: Equatable, Sendable {
  /// What a field may hold.
  struct Bounds: Sendable {
    var range: ClosedRange<Int>
    /// Three letters each, the first one for `base`.
    var names: [String] = []
    var base = 0

    static let minute = Bounds(range: 0...59)
    static let hour = Bounds(range: 0...23)
    static let day = Bounds(range: 1...31)
    static let month = Bounds(
      range: 1...12,
      names: ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], base: 1)
    static let weekday = Bounds(range: 0...6, names: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"])
  }

  var bits: UInt64
  /// `*`, `?` or a list with one of them: what another day field is and-ed with.
  var isStar = false

  static func all(_ bounds: Bounds) -> CronField {
    CronField(bits: bounds.range.reduce(0) { $0 | 1 << UInt64($1) }, isStar: true)
  }

  func contains(_ number: Int64) -> Bool { bits & 1 << UInt64(truncatingIfNeeded: number & 63) != 0 }
}

extension CronField {
  /// A list of ranges.
  init(parsing text: Substring, _ bounds: Bounds) throws(CronError) {
    self.init(bits: 0)
    for part in text.split(separator: ",") {
      let range = try Self.range(part, bounds)
      bits |= range.bits
      isStar = isStar || range.isStar
    }
  }

  /// `N`, `N-M`, `*` or `?`, each with a step or without.
  private static func range(_ text: Substring, _ bounds: Bounds) throws(CronError) -> CronField {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    let ends = (parts.first ?? "").split(separator: "-", omittingEmptySubsequences: false)
    let low = ends.first ?? ""
    var isStar = low == "*" || low == "?"
    var first = bounds.range.lowerBound
    var last = bounds.range.upperBound
    if !isStar {
      first = try number(low, bounds)
      if ends.count > 2 { throw CronError(message: "too many hyphens: \(text)") }
      last = ends.count == 2 ? try number(ends[1], bounds) : first
    }
    var step = 1
    if parts.count > 2 { throw CronError(message: "too many slashes: \(text)") }
    if parts.count == 2 {
      step = try number(parts[1])
      // `N/step` goes on to the end of what the field may hold.
      if ends.count == 1 { last = bounds.range.upperBound }
      if step > 1 { isStar = false }
    }
    let (lowest, highest) = (bounds.range.lowerBound, bounds.range.upperBound)
    if first < lowest {
      throw CronError(message: "beginning of range (\(first)) below minimum (\(lowest)): \(text)")
    }
    if last > highest { throw CronError(message: "end of range (\(last)) above maximum (\(highest)): \(text)") }
    if first > last { throw CronError(message: "beginning of range (\(first)) beyond end of range (\(last)): \(text)") }
    if step == 0 { throw CronError(message: "step of range should be a positive number: \(text)") }
    var bits: UInt64 = 0
    for value in stride(from: first, through: last, by: min(step, 64)) { bits |= 1 << UInt64(value) }
    return CronField(bits: bits, isStar: isStar)
  }

  private static func number(_ text: Substring, _ bounds: Bounds) throws(CronError) -> Int {
    if let position = bounds.names.firstIndex(of: text.lowercased()) { return position + bounds.base }
    return try number(text)
  }

  private static func number(_ text: Substring) throws(CronError) -> Int {
    let digits = text.drop { $0 == "+" }
    let isNumber = !digits.isEmpty && text.utf8.count - digits.utf8.count <= 1
    guard isNumber, digits.utf8.allSatisfy({ (48...57).contains($0) }) else { throw unread(text, "invalid syntax") }
    guard let number = Int(digits) else { throw unread(text, "value out of range") }
    return number
  }

  private static func unread(_ text: Substring, _ why: String) -> CronError {
    CronError(
      message: "failed to parse int from \(text): strconv.Atoi: parsing \(JSON.string(String(text)).text): \(why)")
  }
}

/// Durations as Go reads them, signs included, with its errors.
enum CronDuration {
  private static let units: [(name: String, nanoseconds: Int64)] = [
    ("ns", 1), ("us", 1_000), ("\u{B5}s", 1_000), ("\u{3BC}s", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000),
    ("m", 60_000_000_000), ("h", 3_600_000_000_000),
  ]

  /// Nanoseconds.
  static func parse(_ text: String) throws(CronError) -> Int64 {
    let quoted = JSON.string(text).text
    let invalid = CronError(message: "time: invalid duration \(quoted)")
    var rest = Substring(text)
    let isNegative = rest.first == "-"
    if isNegative || rest.first == "+" { rest = rest.dropFirst() }
    if rest == "0" { return 0 }
    if rest.isEmpty { throw invalid }
    var total: Int64 = 0
    while !rest.isEmpty {
      let number = rest.prefix { ("0"..."9").contains($0) || $0 == "." }
      rest = rest.dropFirst(number.count)
      let point = number.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
      guard number.contains(where: { $0 != "." }), point.count == 1 || !point[1].contains(".") else { throw invalid }
      let unit = rest.prefix { !("0"..."9").contains($0) && $0 != "." }
      if unit.isEmpty { throw CronError(message: "time: missing unit in duration \(quoted)") }
      guard let scale = units.first(where: { $0.name == unit })?.nanoseconds else {
        throw CronError(message: "time: unknown unit \(JSON.string(String(unit)).text) in duration \(quoted)")
      }
      rest = rest.dropFirst(unit.count)
      guard let part = DurationText.scaled(number, by: scale) else { throw invalid }
      let (sum, isFar) = total.addingReportingOverflow(part)
      if isFar { throw invalid }
      total = sum
    }
    return isNegative ? -total : total
  }
}
