// Arithmetic on numbers that a user, an agent or a clock may set: it stops at the largest and smallest number where the
// usual operators would end the process. Knows no units and no fields.

extension FixedWidthInteger {
  /// The sum, or the end of the range that it lies beyond.
  package func addingSaturated(_ other: Self) -> Self {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? (other > 0 ? Self.max : Self.min) : sum
  }

  /// The product, or the end of the range that it lies beyond.
  package func multipliedSaturated(by other: Self) -> Self {
    let (product, overflow) = multipliedReportingOverflow(by: other)
    return overflow ? ((self < 0) == (other < 0) ? Self.max : Self.min) : product
  }
}

extension Int64 {
  /// One more, but not more than an int32 field of the API holds: clients cannot read a larger one.
  package var nextCount: Int64 { Swift.min(addingSaturated(1), Int64(Int32.max)) }

  /// The nearest number that an int32 field of the API holds.
  package var clampedToInt32: Int64 { Int64(Int32(clamping: self)) }
}
