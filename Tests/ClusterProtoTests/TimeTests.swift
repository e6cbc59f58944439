// Wall and boot times, Go durations and Kubernetes' ages.

import ClusterProto
import Testing

@Suite("Times")
struct TimeTests {
  @Test(
    "known moments have their texts",
    arguments: [
      (0, "1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 +0000"),
      (951_782_400, "2000-02-29T00:00:00Z", "Tue, 29 Feb 2000 00:00:00 +0000"),
      (1_709_251_199, "2024-02-29T23:59:59Z", "Thu, 29 Feb 2024 23:59:59 +0000"),
      (1_795_435_200, "2026-11-23T12:00:00Z", "Mon, 23 Nov 2026 12:00:00 +0000"),
      (-1, "1969-12-31T23:59:59Z", "Wed, 31 Dec 1969 23:59:59 +0000"),
      (4_107_542_400, "2100-03-01T00:00:00Z", "Mon, 01 Mar 2100 00:00:00 +0000"),
    ] as [(Int64, String, String)])
  func moments(seconds: Int64, rfc3339: String, rfc1123: String) {
    let time = WallTime(nanoseconds: seconds * 1_000_000_000)
    #expect(time.rfc3339 == rfc3339)
    #expect(time.rfc1123Z == rfc1123)
    #expect(WallTime(rfc3339: rfc3339) == time)
    #expect(time.seconds == seconds)
  }

  @Test("no clock, user or agent makes time arithmetic trap or come out in another century")
  func extremes() {
    let numbers: [Int64] = [.min, .min + 1, -1 << 53, -1, 0, 1, 1 << 53, 9_223_372_036_854, .max - 1, .max]
    for first in numbers {
      let time = WallTime(nanoseconds: first)
      #expect(time >= .earliest && time <= .latest)
      // What is written down is read back.
      #expect(WallTime(rfc3339: time.rfc3339Nano) == time, "\(first)")
      #expect(!time.rfc1123Z.isEmpty)
      for second in numbers {
        let moved = time.adding(milliseconds: second)
        #expect(second >= 0 ? moved >= time : moved <= time, "\(first) \(second)")
        let between = time.milliseconds(since: WallTime(nanoseconds: second))
        #expect((between > 0) == (time > WallTime(nanoseconds: second)) || between == 0)
        let boot = BootTime(milliseconds: first)
        #expect(second >= 0 ? boot + second >= boot : boot + second <= boot)
        #expect(second >= 0 ? boot - second <= boot : boot - second >= boot)
        #expect((boot - BootTime(milliseconds: second) > 0) == (first > second))
      }
    }
    // From one end to the other is more than nanoseconds count.
    #expect(WallTime.earliest.adding(milliseconds: 11_000_000_000_000).rfc3339.hasPrefix("2049-"))
    // A grace of 10^10 s.
    let grace = WallTime(nanoseconds: 1_795_000_000_000_000_000).adding(milliseconds: 10_000_000_000_000)
    #expect(grace.rfc3339 == "2249-12-31T23:59:59Z")
  }

  @Test("fractions and offsets are read, and written with six and nine digits")
  func fractions() {
    let time = WallTime(rfc3339: "2026-11-23T14:30:00.123456789+02:30")
    #expect(time?.rfc3339Nano == "2026-11-23T12:00:00.123456789Z")
    #expect(time?.rfc3339Micro == "2026-11-23T12:00:00.123456Z")
    #expect(time?.rfc3339 == "2026-11-23T12:00:00Z")
    #expect(WallTime(rfc3339: "2026-11-23T12:00:00.5Z")?.milliseconds == 1_795_435_200_500)
    #expect(WallTime(rfc3339: "2026-11-23T10:00:00-02:00")?.rfc3339 == "2026-11-23T12:00:00Z")
    #expect(WallTime(nanoseconds: -1).rfc3339Nano == "1969-12-31T23:59:59.999999999Z")
  }

  @Test(
    "what is no moment is refused",
    arguments: [
      "", "2026-11-23", "2026-11-23T12:00:00", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-04-31T00:00:00Z",
      "2100-02-29T00:00:00Z", "2026-00-10T00:00:00Z", "2026-01-00T00:00:00Z", "2026-01-01T24:00:00Z",
      "2026-01-01T00:60:00Z", "2026-01-01T00:00:60Z", "2026-01-01 00:00:00Z", "2026-01-01T00:00:00.Z",
      "2026-01-01T00:00:00+0200", "2026-01-01T00:00:00Zx",
    ])
  func refusals(text: String) {
    #expect(WallTime(rfc3339: text) == nil)
  }

  @Test("moments beyond what can be held are its ends")
  func ends() {
    for text in ["0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "1677-01-01T00:00:00Z", "1700-12-31T23:59:59.5Z"] {
      #expect(WallTime(rfc3339: text) == .earliest, "\(text)")
    }
    for text in ["2250-01-01T00:00:00Z", "2262-04-11T23:47:16.9Z", "2262-04-12T00:00:00Z", "9999-12-31T23:59:59-24:60"]
    {
      #expect(WallTime(rfc3339: text) == .latest, "\(text)")
    }
  }

  @Test("random moments read back as themselves, in order")
  func roundTrip() {
    var random = SplitMix64(seed: 11)
    var previous: WallTime?
    for _ in 0..<5000 {
      let seconds = Int64(random.below(8_000_000_000)) - 4_000_000_000
      let time = WallTime(nanoseconds: seconds * 1_000_000_000 + Int64(random.below(1_000_000_000)))
      #expect(WallTime(rfc3339: time.rfc3339Nano) == time)
      #expect(WallTime(rfc3339: time.rfc3339)?.seconds == time.seconds)
      if let previous { #expect((previous < time) == (previous.rfc3339Nano < time.rfc3339Nano)) }
      previous = time
    }
  }

  @Test("boot time saturates where a manifest's duration would overflow it")
  func bootTime() {
    #expect(BootTime(milliseconds: 5) + 7 == BootTime(milliseconds: 12))
    #expect(BootTime(milliseconds: 5) - 7 == BootTime(milliseconds: -2))
    #expect(BootTime(milliseconds: 5) - BootTime(milliseconds: 7) == -2)
    #expect(BootTime(milliseconds: 5) + .max == BootTime(milliseconds: .max))
    #expect(BootTime(milliseconds: -5) - .max == BootTime(milliseconds: .min))
    #expect(WallTime(nanoseconds: 0).adding(milliseconds: -1500).milliseconds == -1500)
    #expect(WallTime(nanoseconds: 3_000_000).milliseconds(since: WallTime(nanoseconds: 1_000_000)) == 2)
  }

  @Test(
    "Go durations are read exactly",
    arguments: [
      ("0", 0), ("60s", 60_000), ("1m30s", 90_000), ("500ms", 500), ("1.5h", 5_400_000), ("1.001s", 1001),
      ("0.3s", 300), ("2562047h", 9_223_369_200_000), ("1500us", 1), ("1500\u{B5}s", 1), (".5s", 500), ("1.s", 1000),
      ("1h1h", 7_200_000), ("", nil), ("1", nil), ("s", nil), (".s", nil), ("1.2.3s", nil), ("1 s", nil), ("-1s", nil),
      ("1d", nil), ("2562048h", nil), ("99999999999999999999s", nil), ("1s2", nil), ("٣s", nil),
    ] as [(String, Int64?)])
  func durations(text: String, milliseconds: Int64?) {
    #expect(DurationText.parse(text) == milliseconds)
  }

  @Test("durations are written as Go writes them")
  func durationTexts() {
    let cases: [(Int64, String)] = [
      (0, "0s"), (500, "500ms"), (1000, "1s"), (1500, "1.5s"), (60_000, "1m0s"), (90_500, "1m30.5s"),
      (3_600_000, "1h0m0s"), (3_723_004, "1h2m3.004s"), (-1500, "-1.5s"),
    ]
    for (milliseconds, text) in cases { #expect(DurationText.format(milliseconds: milliseconds) == text) }
  }

  @Test(
    "ages are cut as Kubernetes cuts them",
    arguments: [
      (-2000, "<invalid>"), (-1999, "0s"), (-1, "0s"), (0, "0s"), (999, "0s"), (1000, "1s"), (119_999, "119s"),
      (120_000, "2m"), (125_000, "2m5s"), (599_000, "9m59s"), (600_000, "10m"), (659_000, "10m"), (10_799_000, "179m"),
      (10_800_000, "3h"), (10_860_000, "3h1m"), (28_799_000, "7h59m"), (28_800_000, "8h"), (172_799_000, "47h"),
      (172_800_000, "2d"), (176_400_000, "2d1h"), (691_199_000, "7d23h"), (691_200_000, "8d"), (63_071_999_000, "729d"),
      (63_072_000_000, "2y"), (63_158_400_000, "2y1d"), (252_287_999_000, "7y364d"), (252_288_000_000, "8y"),
      (10_000_000_000_000, "292y"), (.max, "292y"),
    ] as [(Int64, String)])
  func ages(milliseconds: Int64, text: String) {
    #expect(humanDuration(milliseconds: milliseconds) == text)
  }
}
