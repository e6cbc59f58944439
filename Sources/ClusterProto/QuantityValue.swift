// Quantities that are added up and shown as Kubernetes shows them: an amount in thousandths, and whether it was written
// in powers of 1024. Pure.

/// One quantity as a number.
package struct QuantityValue: Equatable, Sendable {
  /// Thousandths of the unit.
  package var millis: Int128
  /// Shown with Ki, Mi, …; else with k, M, ….
  package var isBinary: Bool

  /// Nothing, and in no form yet.
  package static let zero = QuantityValue(millis: 0, isBinary: false)

  /// So many whole units.
  package init(count: Int64) { self.init(millis: Int128(count) * 1000, isBinary: false) }

  /// Takes each value as it stands.
  package init(millis: Int128, isBinary: Bool) {
    self.millis = millis
    self.isBinary = isBinary
  }

  /// Reads what validation has let through; nil for what is no quantity.
  package init?(_ json: JSON?) {
    guard let json else { return nil }
    let text = json.stringValue ?? json.text
    guard let millis = Quantity.thousandths(text) else { return nil }
    self.init(millis: millis, isBinary: text.hasSuffix("i"))
  }

  /// The sum has the form of what was there first, as in Kubernetes.
  package static func += (left: inout QuantityValue, right: QuantityValue) {
    if left.millis == 0 { left.isBinary = right.isBinary }
    left.millis += right.millis
  }

  /// Takes away again what was added.
  package static func -= (left: inout QuantityValue, right: QuantityValue) { left.millis -= right.millis }

  /// The canonical form: the largest unit that leaves a whole number.
  package var description: String {
    if millis == 0 { return "0" }
    let isWhole = millis % 1000 == 0
    if isBinary, abs(millis) >= 1_024_000 {
      // Kubernetes rounds up what has no whole bytes.
      var value = isWhole ? millis / 1000 : millis / 1000 + (millis > 0 ? 1 : 0)
      var unit = 0
      while value % 1024 == 0, unit + 1 < Self.binaryUnits.count {
        value /= 1024
        unit += 1
      }
      return "\(value)\(Self.binaryUnits[unit])"
    }
    guard isWhole else { return "\(millis)m" }
    var value = millis / 1000
    var unit = 0
    while value % 1000 == 0, unit + 1 < Self.decimalUnits.count {
      value /= 1000
      unit += 1
    }
    return "\(value)\(Self.decimalUnits[unit])"
  }

  private static let binaryUnits = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
  private static let decimalUnits = ["", "k", "M", "G", "T", "P", "E"]
}
