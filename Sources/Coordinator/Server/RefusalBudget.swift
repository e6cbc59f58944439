// Owns: how many lines of the audit refusals may have: so many a second for each address, so that who is noisy takes no
// other's lines; what is beyond is counted. It must not know what is refused, nor how a line is written.

import ClusterIO

/// Counts refusals of this second. Bounded: addresses beyond the number that is kept share one count.
struct RefusalBudget {
  /// Refusals that had no line of their own. `from` empty: of several addresses.
  struct Left: Equatable {
    var from: String
    var count: Int
  }

  /// Lines an address a second.
  static let linesEach = 10
  /// Addresses that are told apart within a second.
  static let originLimit = 32

  private var second = Int64.min
  private var counts: [String: Int] = [:]

  /// One more, from `HOST:PORT`: what is to be said of the seconds before, and whether it has a line.
  mutating func take(from: String, second now: Int64) -> (left: [Left], hasLine: Bool) {
    let left = now == second ? [] : close()
    second = now
    var origin = Self.origin(from)
    if counts[origin] == nil, counts.count >= Self.originLimit { origin = "" }
    let count = (counts[origin] ?? 0) + 1
    counts[origin] = count
    return (left, count <= Self.linesEach)
  }

  /// Ends the second: what had no line.
  mutating func close() -> [Left] {
    defer { counts = [:] }
    return counts.filter { $0.value > Self.linesEach }.map { Left(from: $0.key, count: $0.value - Self.linesEach) }
      .sorted { $0.from < $1.from }
  }

  /// What stands for one machine.
  private static func origin(_ from: String) -> String {
    guard let address = SocketAddress(parsing: from), case .tcp(let host, _) = address else { return from }
    return address.origin ?? host
  }
}
