// What a schedule may say, and its error texts; when it is due, against a minute-by-minute oracle.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Cron schedules")
struct CronScheduleTests {
  private static func wall(_ text: String) -> WallTime { WallTime(rfc3339: text) ?? .earliest }

  private static func next(_ schedule: String, _ after: String, _ zone: ZoneTable = .utc) throws -> String? {
    try CronSchedule(parsing: schedule).next(after: wall(after), in: zone).map { zone.rfc3339($0) }
  }

  // MARK: Texts

  @Test(
    "a schedule that cannot be read is refused with the library's words",
    arguments: [
      ("", "empty spec string"), ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
      ("* * * * * *", "expected exactly 5 fields, found 6: [* * * * * *]"),
      ("60 * * * *", "end of range (60) above maximum (59): 60"),
      ("* 24 * * *", "end of range (24) above maximum (23): 24"),
      ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
      ("* * * * 7", "end of range (7) above maximum (6): 7"),
      ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
      ("1-2-3 * * * *", "too many hyphens: 1-2-3"), ("*/2/3 * * * *", "too many slashes: */2/3"),
      ("*/0 * * * *", "step of range should be a positive number: */0"),
      ("x * * * *", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax"),
      ("-5 * * * *", "failed to parse int from : strconv.Atoi: parsing \"\": invalid syntax"),
      (
        "99999999999999999999 * * * *",
        "failed to parse int from 99999999999999999999: strconv.Atoi: parsing \"99999999999999999999\": "
          + "value out of range"
      ), ("jan * * * *", "failed to parse int from jan: strconv.Atoi: parsing \"jan\": invalid syntax"),
      ("@noon", "unrecognized descriptor: @noon"), ("@every", "unrecognized descriptor: @every"),
      ("@every x", "failed to parse duration @every x: time: invalid duration \"x\""),
      ("@every 5", "failed to parse duration @every 5: time: missing unit in duration \"5\""),
      ("@every 5y", "failed to parse duration @every 5y: time: unknown unit \"y\" in duration \"5y\""),
    ])
  func refusals(schedule: String, message: String) {
    #expect(throws: CronError(message: message)) { try CronSchedule(parsing: schedule) }
  }

  @Test(
    "macros, names, question marks and @every are due where their fields say",
    arguments: [
      ("@hourly", "2026-11-23T10:00:00Z", "2026-11-23T11:00:00Z"),
      ("@daily", "2026-11-23T10:00:00Z", "2026-11-24T00:00:00Z"),
      ("@midnight", "2026-11-23T10:00:00Z", "2026-11-24T00:00:00Z"),
      ("@weekly", "2026-11-23T10:00:00Z", "2026-11-29T00:00:00Z"),
      ("@monthly", "2026-11-23T10:00:00Z", "2026-12-01T00:00:00Z"),
      ("@yearly", "2026-11-23T10:00:00Z", "2027-01-01T00:00:00Z"),
      ("@annually", "2026-11-23T10:00:00Z", "2027-01-01T00:00:00Z"),
      ("@every 1h30m", "2026-11-23T10:00:05Z", "2026-11-23T11:30:05Z"),
      ("@every 1ms", "2026-11-23T10:00:05.7Z", "2026-11-23T10:00:06Z"),
      ("@every -5m", "2026-11-23T10:00:05Z", "2026-11-23T10:00:06Z"),
      ("@every 90.9s", "2026-11-23T10:00:00Z", "2026-11-23T10:01:30Z"),
      ("*/1 * * * ?", "2026-11-23T10:00:00Z", "2026-11-23T10:01:00Z"),
      ("0 9 * FEB mon-Wed", "2026-11-23T10:00:00Z", "2027-02-01T09:00:00Z"),
      ("5/20 * * * *", "2026-11-23T10:06:00Z", "2026-11-23T10:25:00Z"),
      ("*/61 * * * *", "2026-11-23T10:06:00Z", "2026-11-23T11:00:00Z"),
      ("+7 * * * *", "2026-11-23T10:06:00Z", "2026-11-23T10:07:00Z"),
      // Both days are given: either is enough. With a star among them both must fit.
      ("0 0 13 * FRI", "2026-11-23T10:00:00Z", "2026-11-27T00:00:00Z"),
      ("0 0 */2 * FRI", "2026-11-23T10:00:00Z", "2026-11-25T00:00:00Z"),
      ("0 0 */1 * FRI", "2026-11-23T10:00:00Z", "2026-11-27T00:00:00Z"),
      ("0 0 29 2 *", "2026-11-23T10:00:00Z", "2028-02-29T00:00:00Z"),
    ])
  func due(schedule: String, after: String, expected: String) throws {
    #expect(try Self.next(schedule, after) == expected)
  }

  @Test(
    "a schedule that is never due is found out within bounds", arguments: ["0 0 30 2 *", "0 0 31 4 *", ", * * * *"])
  func impossible(schedule: String) throws {
    #expect(try Self.next(schedule, "2026-11-23T10:00:00Z") == nil)
    let far = try CronSchedule(parsing: schedule).next(after: .latest, in: .utc)
    #expect(far == nil)
  }

  // MARK: The oracle

  private static let zones = ["UTC0", "EST5EDT,M3.2.0,M11.1.0", "CET-1CEST,M3.5.0,M10.5.0/3", "<+0545>-5:45"]

  @Test("the next due time is the first minute that fits, by an oracle that tries them all", arguments: zones)
  func oracle(rule: String) throws {
    let zone = try #require(ZoneTable(rule: rule))
    var random = SplitMix64(seed: UInt64(rule.count) &* 977)
    for round in 0..<40 {
      let fields = RandomFields(&random)
      let schedule = try CronSchedule(parsing: fields.text)
      // Half of them begin near a change of the clocks.
      let bases = [1_772_900_000, 1_793_300_000, 1_774_600_000, 1_792_800_000, 1_800_000_000]
      let start = Int64(bases[round % bases.count]) + Int64(random.next() % 200_000)
      let horizon = start + 10 * 86_400
      var expected: Int64?
      var minute = start / 60 * 60 + 60
      while minute < horizon, expected == nil {
        if fields.fits(minute + zone.offset(at: minute)) { expected = minute }
        minute += 60
      }
      let found = schedule.next(after: WallTime(nanoseconds: start * 1_000_000_000), in: zone)?.seconds
      if let expected {
        #expect(found == expected, "\(fields.text) after \(start) in \(rule)")
      } else {
        #expect(found ?? .max >= horizon, "\(fields.text) after \(start) in \(rule)")
      }
    }
  }

  @Test("the last due time of a span is the one that walking would come to")
  func lastOfSpan() throws {
    var random = SplitMix64(seed: 5)
    for _ in 0..<60 {
      let fields = RandomFields(&random)
      let schedule = try CronSchedule(parsing: fields.text)
      let start = WallTime(nanoseconds: (1_790_000_000 + Int64(random.next() % 20_000_000)) * 1_000_000_000)
      let end = start.adding(milliseconds: Int64(random.next() % 200_000_000))
      var walked: WallTime?
      var due = schedule.next(after: start, in: .utc)
      while let moment = due, moment <= end {
        walked = moment
        due = schedule.next(after: moment, in: .utc)
      }
      #expect(schedule.last(after: start, through: end, in: .utc) == walked, "\(fields.text) after \(start.rfc3339)")
    }
  }

  // MARK: Gaps and overlaps

  private static let newYork = ZoneTable(rule: "EST5EDT,M3.2.0,M11.1.0") ?? .utc
  private static let saoPaulo = ZoneTable(rule: "<-03>3<-02>,M11.2.0/0,M2.3.0/0") ?? .utc

  @Test("a local time that a change of the clocks leaves out is not due on that day")
  func gap() throws {
    #expect(try Self.next("30 2 * * *", "2026-03-07T12:00:00Z", Self.newYork) == "2026-03-09T02:30:00-04:00")
    #expect(try Self.next("0 * * * *", "2026-03-08T06:00:00Z", Self.newYork) == "2026-03-08T03:00:00-04:00")
  }

  @Test("a local time that comes twice is due twice")
  func overlap() throws {
    let first = try #require(try Self.next("30 1 * * *", "2026-10-31T12:00:00Z", Self.newYork))
    #expect(first == "2026-11-01T01:30:00-04:00")
    #expect(try Self.next("30 1 * * *", first, Self.newYork) == "2026-11-01T01:30:00-05:00")
    #expect(try Self.next("30 1 * * *", "2026-11-01T06:30:00Z", Self.newYork) == "2026-11-02T01:30:00-05:00")
  }

  @Test("where midnight does not exist the day's other times are due, and midnight is the next day's")
  func midnightGap() throws {
    #expect(try Self.next("0 0 * * *", "2026-11-07T12:00:00Z", Self.saoPaulo) == "2026-11-09T00:00:00-02:00")
    #expect(try Self.next("0 1 8 11 *", "2026-06-01T12:00:00Z", Self.saoPaulo) == "2026-11-08T01:00:00-02:00")
    #expect(try Self.next("0 3 * 11 SUN", "2026-11-02T12:00:00Z", Self.saoPaulo) == "2026-11-08T03:00:00-02:00")
  }

  @Test("hours are counted in the zone, also where its clock is off by parts of an hour")
  func partsOfAnHour() throws {
    let kathmandu = try #require(ZoneTable(rule: "<+0545>-5:45"))
    #expect(try Self.next("0 9 * * *", "2026-11-23T10:00:00Z", kathmandu) == "2026-11-24T09:00:00+05:45")
  }
}

/// A random schedule as text and, apart from that, as what it means.
struct RandomFields {
  var text: String
  private var sets: [Set<Int64>] = []
  private var stars: [Bool] = []

  init(_ random: inout SplitMix64) {
    let bounds: [ClosedRange<Int64>] = [0...59, 0...23, 1...31, 1...12, 0...6]
    var texts: [String] = []
    for range in bounds {
      func pick() -> Int64 {
        range.lowerBound + Int64(random.next() % UInt64(range.upperBound - range.lowerBound + 1))
      }
      let step = Int64(random.next() % 5 + 2)
      let (one, other) = (pick(), pick())
      let (low, high) = (min(one, other), max(one, other))
      switch random.next() % 6 {
      case 0, 1:
        texts.append(random.next() % 2 == 0 ? "*" : "?")
        sets.append(Set(range))
        stars.append(true)
      case 2:
        texts.append("*/\(step)")
        sets.append(Set(range.filter { ($0 - range.lowerBound) % step == 0 }))
        stars.append(false)
      case 3:
        texts.append("\(low)-\(high)")
        sets.append(Set(low...high))
        stars.append(false)
      case 4:
        texts.append("\(low)/\(step),\(high)")
        sets.append(Set((low...range.upperBound).filter { ($0 - low) % step == 0 } + [high]))
        stars.append(false)
      default:
        texts.append("\(one),\(other)")
        sets.append([one, other])
        stars.append(false)
      }
    }
    text = texts.joined(separator: " ")
  }

  /// `local`: seconds since 1970 of the local clock, at a minute's beginning.
  func fits(_ local: Int64) -> Bool {
    let minutes = local / 60
    let days = minutes / 1_440
    guard local % 60 == 0, sets[0].contains(minutes % 60), sets[1].contains(minutes / 60 % 24) else { return false }
    let date = CivilDate.date(days: days)
    guard sets[3].contains(date.month) else { return false }
    let fitsDay = sets[2].contains(date.day)
    let fitsWeekday = sets[4].contains((days + 4) % 7)
    return stars[2] || stars[4] ? fitsDay && fitsWeekday : fitsDay || fitsWeekday
  }
}
