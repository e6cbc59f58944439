// Seeded numbers and stable hashes: the same input gives the same output in every process and build.

/// Steele, Lea and Flood's SplitMix64 generator: for names and uids in the cores, and for the simulator. Not for keys.
package struct SplitMix64: Sendable, Equatable {
  private var state: UInt64

  /// Begins from the seed; without one, empty.
  package init(seed: UInt64) { state = seed }

  /// The next number.
  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  /// A number in 0..<bound; 0 for a bound of 0.
  package mutating func below(_ bound: UInt64) -> UInt64 {
    bound == 0 ? 0 : next().multipliedFullWidth(by: bound).high
  }

  /// A number in 0..<1.
  package mutating func unitInterval() -> Double { Double(next() >> 11) * 0x1p-53 }
}

/// 64-bit FNV-1a with a final mix, for traces and names. Never the identity of what users write: anybody
/// finds two texts with one value in minutes (SHA256 is that).
package struct StableHash: Sendable, Equatable {
  private var state: UInt64 = 0xCBF2_9CE4_8422_2325

  /// Begins from the seed; without one, empty.
  package init() {}

  /// Adds these bytes.
  package mutating func combine(_ bytes: some Sequence<UInt8>) {
    for byte in bytes { state = (state ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
  }

  /// Adds these bytes.
  package mutating func combine(_ text: String) { combine(text.utf8) }

  /// The hash of all that was added.
  package var value: UInt64 {
    var generator = SplitMix64(seed: state)
    return generator.next()
  }

  /// 16 hexadecimal digits.
  package var hex: String { Self.hex(value) }

  /// In lower-case hexadecimal digits.
  package static func hex(of bytes: [UInt8]) -> String {
    var hash = StableHash()
    hash.combine(bytes)
    return hash.hex
  }

  /// In lower-case hexadecimal digits.
  package static func hex(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
