// Owns: which numbers, durations and quantities a flag takes, and the words for what it does not. It must not know what
// any flag is for: the command list says each one's bounds, so that none is without.

import ClusterProto

/// Bounds that several flags have.
enum Bounds {
  static let century: Int64 = 3_155_760_000_000
  static let day: Int64 = 86_400_000
  /// A duration of which a minus sign means without limit.
  static let patience = -century...century
  static let anyNumber = Int64.min...Int64.max
  static let counts = 1...Int64.max
  /// Seconds of a grace; -1 is the pod's own, as for kubectl.
  static let grace = -1...Int64(Int32.max)
  /// More than any machine has.
  static let millicores = 1...Int64(10_000_000)
  static let memory = (1 << 20)...Int64(1 << 50)
  /// Smaller files would be rotated at each line.
  static let logBytes = (64 << 10)...Int64(1 << 50)
}

extension FlagValue {
  /// What a value should have been, to stand behind "is not"; nil: it is taken.
  func expectation(of value: String) -> String? {
    switch self {
    case .text, .suggested, .file, .directory: return nil
    case .toggle: return ["true", "false"].contains(value) ? nil : "true or false"
    case .integer(_, let range):
      if let number = Int64(value), range.contains(number) { return nil }
      if range == Bounds.anyNumber || Int64(value) == nil && !Self.isNumeral(value) { return "a whole number" }
      return "a whole number " + Self.words(range) { "\($0)" }
    case .duration(let range):
      guard let milliseconds = DurationFlag.milliseconds(value) else { return "a duration such as 90s or 1m30s" }
      return range.contains(milliseconds) ? nil : "a duration " + Self.words(range, DurationFlag.text)
    case .cpu(let range):
      if Quantity.isLessThanOne(value, ofThousandths: true) { return Self.fraction(range, Quantity.formatMillis) }
      return Self.quantity(Quantity.parseMillis(value), "500m or 2", range, Quantity.formatMillis)
    case .bytes(let range):
      if Quantity.isLessThanOne(value, ofThousandths: false) { return Self.fraction(range, Quantity.formatBytes) }
      return Self.quantity(Quantity.parseBytes(value), "512Mi or 8Gi", range, Quantity.formatBytes)
    case .choice(let choices):
      // A choice that ends with "=" takes a text of its own.
      let isChoice = choices.contains { $0.hasSuffix("=") ? value.hasPrefix($0) && value != $0 : $0 == value }
      return isChoice ? nil : "one of " + choices.joined(separator: ", ")
    }
  }

  /// A number that has too many digits is one, out of bounds.
  private static func isNumeral(_ text: String) -> Bool {
    let digits = text.hasPrefix("-") ? text.utf8.dropFirst() : text.utf8[...]
    return !digits.isEmpty && digits.allSatisfy { $0 >= 0x30 && $0 <= 0x39 }
  }

  /// The same for a part of a flag's text that is a quantity.
  static func quantity(
    _ number: Int64?, _ example: String, _ range: ClosedRange<Int64>, _ text: (Int64) -> String
  ) -> String? {
    guard let number else { return "a quantity such as \(example)" }
    return range.contains(number) ? nil : "a quantity " + words(range, text)
  }

  /// What an amount should have been that is less than can be counted: not rounded up where somebody types it.
  private static func fraction(_ range: ClosedRange<Int64>, _ text: (Int64) -> String) -> String {
    let bounds = max(1, range.lowerBound)...range.upperBound
    return (range.contains(0) ? "0, or " : "") + "a quantity " + words(bounds, text)
  }

  private static func words(_ range: ClosedRange<Int64>, _ text: (Int64) -> String) -> String {
    let isOpen = range.upperBound == Int64.max || range.upperBound == Bounds.century
    let least = text(range.lowerBound)
    return isOpen ? "of at least \(least)" : "from \(least) to \(text(range.upperBound))"
  }
}

extension DurationFlag {
  /// As it may be typed: in the largest unit that leaves a whole number.
  static func text(_ milliseconds: Int64) -> String {
    let units: [(Int64, String)] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")]
    if milliseconds == 0 { return "0s" }
    for (unit, name) in units where milliseconds % unit == 0 { return "\(milliseconds / unit)\(name)" }
    return "\(milliseconds)ms"
  }
}
