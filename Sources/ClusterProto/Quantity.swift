// Kubernetes' resource quantities (resource.Quantity): 500m, 1.5, 8Gi, 1e3. Exact integer arithmetic, saturating.

/// Reading and writing of quantities.
package enum Quantity {
  /// Kubernetes' words for a quantity that cannot be read.
  package static let formatMessage =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"

  /// Thousandths, rounded up: CPU to millicores. nil when the text is no quantity.
  package static func parseMillis(_ text: String) -> Int64? { parse(text, scaledByThousand: true) }

  /// Whole units, rounded up: memory to bytes. nil when the text is no quantity.
  package static func parseBytes(_ text: String) -> Int64? { parse(text, scaledByThousand: false) }

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

  private static func parse(_ text: String, scaledByThousand: Bool) -> Int64? {
    var rest = text.utf8[...]
    var negative = false
    if let first = rest.first, first == 43 || first == 45 {
      negative = first == 45
      rest = rest.dropFirst()
    }
    guard let number = mantissa(&rest), let scale = scale(String(Substring(rest))) else { return nil }
    var numerator = UInt64(1)
    var denominator = UInt64(1)
    var exponent = scale.decimal - number.fractionDigits + (scaledByThousand ? 3 : 0)
    // Trailing zeros of the mantissa carry no value; without them 1.000000000 stays small.
    var digits = number.digits
    while exponent < 0, digits % 10 == 0, digits > 0 {
      digits /= 10
      exponent += 1
    }
    for _ in 0..<min(abs(exponent), 19) {
      if exponent > 0 {
        numerator = numerator.multipliedSaturated(by: 10)
      } else {
        denominator = denominator.multipliedSaturated(by: 10)
      }
    }
    if exponent < -19 { return digits == 0 ? 0 : (negative ? 0 : 1) }
    if exponent > 19, digits > 0 { return negative ? -Int64.max : Int64.max }
    for _ in 0..<scale.binary { numerator = numerator.multipliedSaturated(by: 1024) }
    let (high, low) = digits.multipliedFullWidth(by: numerator)
    guard high < denominator else { return negative ? -Int64.max : Int64.max }
    let (quotient, remainder) = denominator.dividingFullWidth((high, low))
    let rounded = remainder > 0 && !negative ? quotient.addingSaturated(1) : quotient
    let value = Int64(min(rounded, UInt64(Int64.max)))
    return negative ? -value : value
  }

  private static func mantissa(_ rest: inout Substring.UTF8View) -> (digits: UInt64, fractionDigits: Int)? {
    var digits: UInt64 = 0
    var fraction = 0
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
      if digits > (UInt64.max - 9) / 10 {
        if !seenPoint { return nil }
        continue
      }
      digits = digits * 10 + UInt64(byte - 48)
      if seenPoint { fraction += 1 }
    }
    return any ? (digits, fraction) : nil
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
      guard let first = suffix.first, first == "e" || first == "E", let power = Int(suffix.dropFirst()),
        (-99...99).contains(power)
      else { return nil }
      return (power, 0)
    }
  }
}
