// Kubernetes' resource quantities (resource.Quantity): 500m, 1.5, 8Gi, 1e3. Exact integer arithmetic, saturating.

/// Reading and writing of quantities.
package enum Quantity {
  /// Kubernetes' words for a quantity that cannot be read.
  package static let formatMessage =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"

  /// The largest amount, in whole units: what lies beyond counts as that, as in Kubernetes' arithmetic.
  private static let most = Int128(Int64.max)

  /// Thousandths, rounded up: CPU to millicores. nil when the text is no quantity.
  package static func parseMillis(_ text: String) -> Int64? {
    thousandths(text).map { Int64(max(-most, min(most, $0))) }
  }

  /// Whole units, rounded up: memory to bytes. nil when the text is no quantity.
  package static func parseBytes(_ text: String) -> Int64? { thousandths(text).map { Int64(whole($0)) } }

  /// Thousandths, rounded away from zero as Kubernetes does it, of at most 2^63-1 whole units. nil when the text is no
  /// quantity.
  package static func thousandths(_ text: String) -> Int128? { parse(text)?.rounded }

  /// Whether it is more than nothing and less than one of the smallest parts that are counted: thousandths, or whole
  /// units. Such an amount is rounded up to one.
  package static func isLessThanOne(_ text: String, ofThousandths: Bool) -> Bool {
    guard let (amount, isExact) = parse(text) else { return false }
    return ofThousandths ? amount == 1 && !isExact : (1..<1000).contains(amount)
  }

  private static func whole(_ thousandths: Int128) -> Int128 {
    thousandths / 1000 + (thousandths % 1000).signum()
  }

  /// `4`, `500m`.
  package static func formatMillis(_ millis: Int64) -> String {
    millis % 1000 == 0 ? String(millis / 1000) : "\(millis)m"
  }

  /// `8Gi`, `512Mi`, `1500`: the largest binary unit that divides it.
  package static func formatBytes(_ bytes: Int64) -> String {
    guard bytes != 0 else { return "0" }
    var value = bytes
    var unit = 0
    let units = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
    while value % 1024 == 0, unit + 1 < units.count {
      value /= 1024
      unit += 1
    }
    return "\(value)\(units[unit])"
  }

  private static func parse(_ text: String) -> (rounded: Int128, isExact: Bool)? {
    var rest = text.utf8[...]
    var negative = false
    if let first = rest.first, first == 43 || first == 45 {
      negative = first == 45
      rest = rest.dropFirst()
    }
    guard var number = mantissa(&rest), let scale = scale(String(Substring(rest))) else { return nil }
    let (size, isExact) = magnitude(&number, scale)
    return (negative ? -size : size, isExact)
  }

  /// Digits that are looked at: more than an exact amount has. What follows counts as something that is left.
  private static let digitLimit = UInt128(1_000_000_000_000_000) * 1_000_000_000_000_000
  /// The largest power of ten in 128 bits.
  private static let mostPlaces = 38

  private struct Mantissa {
    var digits: UInt128 = 0
    /// Powers of ten by which the digits are too small, or too large where it is negative.
    var places = 0
    /// Digits that were left out were not all zeros.
    var hasRest = false
  }

  /// Thousandths, rounded up.
  private static func magnitude(_ number: inout Mantissa, _ scale: (decimal: Int, binary: Int)) -> (Int128, Bool) {
    var exponent = scale.decimal + number.places + 3
    // Trailing zeros carry no value; and below 10^-38 there is nothing but what is rounded up.
    while number.digits > 0, exponent < -mostPlaces || exponent < 0 && number.digits % 10 == 0 {
      if number.digits % 10 != 0 { number.hasRest = true }
      number.digits /= 10
      exponent += 1
    }
    if number.digits == 0 { return (number.hasRest ? 1 : 0, !number.hasRest) }
    let limit = most * 1000
    if exponent > mostPlaces { return (limit, true) }
    var numerator = UInt128(1)
    var denominator = UInt128(1)
    for _ in 0..<abs(exponent) {
      if exponent > 0 { numerator = numerator.multipliedSaturated(by: 10) } else { denominator *= 10 }
    }
    for _ in 0..<scale.binary { numerator = numerator.multipliedSaturated(by: 1024) }
    let (high, low) = number.digits.multipliedFullWidth(by: numerator)
    guard high < denominator else { return (limit, true) }
    let (quotient, remainder) = denominator.dividingFullWidth((high, low))
    guard quotient < UInt128(limit) else { return (limit, true) }
    let isExact = remainder == 0 && !number.hasRest
    return (Int128(quotient) + (isExact ? 0 : 1), isExact)
  }

  private static func mantissa(_ rest: inout Substring.UTF8View) -> Mantissa? {
    var number = Mantissa()
    var seenPoint = false
    var any = false
    while let byte = rest.first, (48...57).contains(byte) || byte == 46 {
      rest = rest.dropFirst()
      if byte == 46 {
        guard !seenPoint else { return nil }
        seenPoint = true
        continue
      }
      any = true
      if number.digits >= digitLimit {
        if byte != 48 { number.hasRest = true }
        if !seenPoint { number.places += 1 }
      } else {
        number.digits = number.digits * 10 + UInt128(byte - 48)
        if seenPoint { number.places -= 1 }
      }
    }
    return any ? number : nil
  }

  private static func scale(_ suffix: String) -> (decimal: Int, binary: Int)? {
    switch suffix {
    case "": return (0, 0)
    case "n": return (-9, 0)
    case "u": return (-6, 0)
    case "m": return (-3, 0)
    case "k": return (3, 0)
    case "M": return (6, 0)
    case "G": return (9, 0)
    case "T": return (12, 0)
    case "P": return (15, 0)
    case "E": return (18, 0)
    case "Ki": return (0, 1)
    case "Mi": return (0, 2)
    case "Gi": return (0, 3)
    case "Ti": return (0, 4)
    case "Pi": return (0, 5)
    case "Ei": return (0, 6)
    default:
      guard let first = suffix.first, first == "e" || first == "E", let power = Int32(suffix.dropFirst()) else {
        return nil
      }
      return (Int(power), 0)
    }
  }
}
