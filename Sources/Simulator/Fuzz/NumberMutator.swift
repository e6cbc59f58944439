// Puts extreme numbers, amounts and times into trees of JSON. Knows no kinds and no messages: whatever has a leaf can
// be mutated.

import ClusterProto

/// A seeded source of values at the ends of their ranges, and of trees that hold them.
struct NumberMutator {
  var random: SplitMix64

  static let integers: [Int64] = [
    0, 1, -1, 2, 127, 128, 255, 256, 65_535, Int64(Int32.max), Int64(Int32.max) + 1, Int64(Int32.min),
    Int64(Int32.min) - 1, Int64(UInt32.max), 1 << 53, (1 << 53) - 1, (1 << 53) + 1, -(1 << 53), -(1 << 53) - 1,
    Int64.max, Int64.max - 1, Int64.min, Int64.min + 1, Int64.max / 1_000, Int64.max / 1_000 + 1,
    Int64.max / 1_000_000, Int64.max / 1_000_000 + 1, Int64.max / 1_000_000_000 + 1, Int64.min / 1_000,
    Int64.min / 1_000 - 1, 1_000_000_000_000, 9_999_999_999,
  ]
  private static let doubles: [Double] = [
    1e308, -1e308, 1e-300, 1e18, 1e19, -1e19, 9.223372036854775e18, 9.3e18, -9.3e18, 0.5, -0.0, 1e15, 4.5e15,
  ]
  private static let texts = [
    "-9223372036854775807m", "9223372036854775807", "9223372036854775807m", "-9223372036854775808",
    "18446744073709551615", "99999999999999999999999999", "-9e9999Ei", "9e9999Ei", "1e9999", "1e-9999", "1e99", "-1e99",
    "1e-9223372036854775808", "1e9223372036854775807", "1E-99", "8Ei", "7Ei", "16Ei", "-16Ei", "0.0000000000000000001",
    "0.9999999999999999999999999999", "1n", "9223372036854775807n", "1Ki", "-1", "-0", "+5", ".", "1.", ".5", "100%",
    "9223372036854775807%", "2249-12-31T23:59:59Z", "2262-04-11T23:47:16Z", "2262-04-12T00:00:00Z",
    "1677-09-21T00:12:43Z", "1701-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
    "1970-01-01T00:00:00Z", "2026-11-23T10:00:00.999999999+23:59", "2026-11-23T10:00:00.123456Z",
    "0-9223372036854775807",
    "", "0", "1", "2147483648", "False", "Unknown", "True",
  ]

  init(seed: UInt64) { random = SplitMix64(seed: seed) }

  mutating func pick<Element>(_ values: [Element]) -> Element { values[Int(random.below(UInt64(values.count)))] }
  mutating func oneIn(_ count: UInt64) -> Bool { random.below(count) == 0 }

  /// Mostly one of the ends, sometimes anything.
  mutating func integer() -> Int64 {
    switch random.below(4) {
    case 0: Int64(truncatingIfNeeded: random.next())
    case 1: Int64(random.below(10))
    default: pick(Self.integers)
    }
  }

  mutating func value() -> JSON {
    switch random.below(8) {
    case 0: .double(pick(Self.doubles))
    case 1, 2, 3: .string(pick(Self.texts))
    case 4: .string(String(integer()))
    case 5: pick([JSON.null, true, [], .object(JSONObject())])
    default: .int(integer())
    }
  }

  /// A value of a leaf's own type, so that it gets past the check of types; now and then of another.
  mutating func value(like leaf: JSON) -> JSON {
    if oneIn(6) { return value() }
    switch leaf {
    case .string: return oneIn(3) ? .string(String(integer())) : .string(pick(Self.texts))
    case .int, .double: return .int(integer())
    default: return value()
    }
  }

  /// The tree with one leaf changed.
  mutating func mutate(_ tree: JSON) -> JSON {
    switch tree {
    case .object(var members) where !members.isEmpty:
      let entry = members[Int(random.below(UInt64(members.count)))]
      members[entry.key] = mutate(entry.value)
      return .object(members)
    case .array(var values) where !values.isEmpty:
      let index = Int(random.below(UInt64(values.count)))
      if oneIn(8) { values.append(values[index]) } else { values[index] = mutate(values[index]) }
      return .array(values)
    default: return value(like: tree)
    }
  }

  /// The tree with one to `most` leaves changed.
  mutating func mutate(_ tree: JSON, most: UInt64) -> JSON {
    var result = tree
    for _ in 0...random.below(most) { result = mutate(result) }
    return result
  }
}
