// Zones: files as RFC 8536 has them, rules, and Go's choice where a local time is none or two.

import ClusterProto
import Testing

@testable import CoordinatorCore

/// A zone's file, made by hand.
enum ZoneFile {
  static func bytes(
    offsets: [Int64] = [0], transitions: [(at: Int64, type: UInt8)] = [], rule: String = "", version: UInt8 = 50
  ) -> [UInt8] {
    func number(_ value: Int64, _ size: Int) -> [UInt8] {
      (0..<size).map { UInt8(truncatingIfNeeded: value >> Int64(8 * (size - 1 - $0))) }
    }
    func block(_ size: Int) -> [UInt8] {
      var bytes = Array("TZif".utf8) + [version] + [UInt8](repeating: 0, count: 15)
      for count in [0, 0, 0, transitions.count, offsets.count, 4] { bytes += number(Int64(count), 4) }
      for transition in transitions { bytes += number(transition.at, size) }
      bytes += transitions.map(\.type)
      for offset in offsets { bytes += number(offset, 4) + [0, 0] }
      return bytes + Array("ABC\0".utf8)
    }
    return version == 0 ? block(4) : block(4) + block(8) + Array("\n\(rule)\n".utf8)
  }
}

@Suite("Zones")
struct ZoneTableTests {
  private static func seconds(_ text: String) -> Int64 { WallTime(rfc3339: text)?.seconds ?? 0 }

  @Test("a file's transitions hold until the last one, then its rule")
  func file() throws {
    let zone = try #require(
      ZoneTable(
        file: ZoneFile.bytes(
          offsets: [3_600, 7_200, 10_800], transitions: [(1_000, 1), (2_000, 2), (3_000, 0)],
          rule: "CET-1CEST,M3.5.0,M10.5.0/3")))
    #expect([999, 1_000, 1_999, 2_000, 2_999].map(zone.offset(at:)) == [3_600, 7_200, 7_200, 10_800, 10_800])
    #expect(zone.offset(at: Self.seconds("2026-07-01T00:00:00Z")) == 7_200)
    #expect(zone.offset(at: Self.seconds("2026-12-01T00:00:00Z")) == 3_600)
    #expect(ZoneTable(file: ZoneFile.bytes(offsets: [-18_000], version: 0))?.offset(at: 5) == -18_000)
  }

  @Test("bytes that are no zone are none, wherever they end")
  func broken() {
    let whole = ZoneFile.bytes(offsets: [3_600, 0], transitions: [(1_000, 1), (2_000, 0)], rule: "CET-1")
    #expect(ZoneTable(file: whole) != nil)
    for length in 0..<whole.count - 8 { #expect(ZoneTable(file: Array(whole.prefix(length))) == nil, "\(length)") }
    #expect(ZoneTable(file: ZoneFile.bytes(offsets: [0], transitions: [(1, 7)])) == nil)
    #expect(ZoneTable(file: ZoneFile.bytes(offsets: [0, 1], transitions: [(2, 1), (1, 0)])) == nil)
    #expect(ZoneTable(file: ZoneFile.bytes(offsets: [])) == nil)
  }

  @Test(
    "rules change the clocks at their moments",
    arguments: [
      ("EST5EDT,M3.2.0,M11.1.0", "2026-03-08T07:00:00Z", -18_000, -14_400),
      ("EST5EDT,M3.2.0,M11.1.0", "2026-11-01T06:00:00Z", -14_400, -18_000),
      ("CET-1CEST,M3.5.0,M10.5.0/3", "2026-03-29T01:00:00Z", 3_600, 7_200),
      ("CET-1CEST,M3.5.0,M10.5.0/3", "2026-10-25T01:00:00Z", 7_200, 3_600),
      // The summer of the south spans the new year.
      ("AEST-10AEDT,M10.1.0,M4.1.0/3", "2026-10-03T16:00:00Z", 36_000, 39_600),
      ("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "2026-04-04T15:00:00Z", 39_600, 37_800),
      ("IST-1GMT0,M10.5.0,M3.5.0/1", "2026-10-25T01:00:00Z", 3_600, 0),
      ("XXX3YYY,J60,300/4", "2028-03-01T05:00:00Z", -10_800, -7_200),
      ("XXX3YYY,J60,300/4", "2028-10-27T06:00:00Z", -7_200, -10_800),
    ] as [(String, String, Int64, Int64)])
  func rules(rule: String, moment: String, before: Int64, after: Int64) throws {
    let zone = try #require(ZoneTable(rule: rule))
    let moment = Self.seconds(moment)
    #expect(zone.offset(at: moment - 1) == before)
    #expect(zone.offset(at: moment) == after)
    let span = zone.span(at: moment)
    #expect(span.start == moment && span.end > moment)
  }

  @Test(
    "a text that is no rule is none",
    arguments: [
      "", "X", "EST", "EST5EDT", "EST5EDT,M3.2.0", "EST5EDT,M13.2.0,M11.1.0", "EST5EDT,M3.2.0,M11.1.0x", "<A5",
    ])
  func noRule(text: String) { #expect(ZoneRule(parsing: Substring(text)) == nil) }

  @Test("a local time that exists twice is its first moment, one that does not exist is by the offset before")
  func ambiguous() throws {
    let zone = try #require(ZoneTable(rule: "EST5EDT,M3.2.0,M11.1.0"))
    #expect(zone.moment(ofLocal: Self.seconds("2026-11-01T01:30:00Z")) == Self.seconds("2026-11-01T05:30:00Z"))
    #expect(zone.moment(ofLocal: Self.seconds("2026-03-08T02:30:00Z")) == Self.seconds("2026-03-08T06:30:00Z"))
  }

  @Test("every moment's local time leads back to it or to its twin")
  func roundTrip() throws {
    let zone = try #require(ZoneTable(rule: "CET-1CEST,M3.5.0,M10.5.0/3"))
    var random = SplitMix64(seed: 3)
    for _ in 0..<5_000 {
      let moment = 1_700_000_000 + Int64(random.next() % 200_000_000)
      let found = zone.moment(ofLocal: moment + zone.offset(at: moment))
      #expect(found == moment || abs(found - moment) == 3_600)
    }
  }
}
