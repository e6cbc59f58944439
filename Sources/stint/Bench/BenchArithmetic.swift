// Owns: what many measurements come to: medians, the slowest of a hundred, ratios of pairs. It must not know what was
// measured.

/// Measurements in order.
struct Spread {
  private let sorted: [Double]

  init(_ values: [Double]) { sorted = values.sorted() }

  var count: Int { sorted.count }
  /// Of an even number the mean of the two in the middle; of none infinite, which meets no bound.
  var median: Double {
    guard let upper = sorted.dropFirst(sorted.count / 2).first else { return .infinity }
    return sorted.count % 2 == 1 ? upper : (sorted[sorted.count / 2 - 1] + upper) / 2
  }
  /// Ninety-nine of a hundred are not above it.
  var p99: Double { sorted.dropFirst(sorted.count * 99 / 100).first ?? .infinity }
  var most: Double { sorted.last ?? .infinity }
  var least: Double { sorted.first ?? .infinity }

  /// Of measurements that were taken in turn: the ratio of each pair, so that what slows the machine for a while slows
  /// both.
  init(of these: [Double], over others: [Double]) { self.init(zip(these, others).map { $0 / $1 }) }
}
