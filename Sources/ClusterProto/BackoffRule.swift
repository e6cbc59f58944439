// How long a Job waits after its failures, as a value that is read from text: `initial=10s,factor=2,max=6m,jitter=0.1`.
// Must not know what a failure is, nor draw at random: the same Job and failure give the same pause in every process.

/// The pauses between a Job's failures.
package struct BackoffRule: Equatable, Sendable {
  /// Why a text is no rule.
  package struct Problem: Error, Equatable {
    /// What is wrong, as validation says it.
    package var text: String
  }

  /// The pause after the first failure.
  package var initialMilliseconds: Int64 = 10_000
  /// What each further failure multiplies it by, in thousandths.
  package var factorThousandths: Int64 = 2_000
  /// No pause is longer.
  package var longestMilliseconds: Int64 = 600_000
  /// The share of a pause that may come on top, in thousandths.
  package var jitterThousandths: Int64 = 0

  /// Kubernetes' own: 10 s doubling to 10 min.
  package static let kubernetes = BackoffRule()

  private init() {}

  /// Reads a rule; what it leaves out is Kubernetes'.
  package init(text: String) throws(Problem) {
    var seen: [Substring] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let sides = part.split(separator: "=", omittingEmptySubsequences: false)
      guard sides.count == 2 else { throw Problem(text: Self.form) }
      if seen.contains(sides[0]) { throw Problem(text: "\(sides[0]) stands twice") }
      seen.append(sides[0])
      switch sides[0] {
      case "initial": initialMilliseconds = try Self.duration(sides[1], "initial")
      case "max": longestMilliseconds = try Self.duration(sides[1], "max")
      case "factor":
        factorThousandths = try Self.number(sides[1], from: 1, to: 100, "factor")
      case "jitter": jitterThousandths = try Self.number(sides[1], from: 0, to: 1, "jitter")
      default: throw Problem(text: Self.form)
      }
    }
    if initialMilliseconds > longestMilliseconds {
      throw Problem(text: "initial must be no longer than max, which is 10m unless said")
    }
  }

  private static let form = "must be a list of initial=DURATION, factor=NUMBER, max=DURATION and jitter=NUMBER"

  private static func duration(_ text: Substring, _ name: String) throws(Problem) -> Int64 {
    guard let value = DurationText.parse(String(text)), value <= 31_536_000_000 else {
      throw Problem(text: "\(name) must be a duration such as 10s or 1m30s, at most 8760h")
    }
    return value
  }

  private static func number(_ text: Substring, from least: Int64, to most: Int64, _ name: String) throws(Problem)
    -> Int64
  {
    let isPlain = text.allSatisfy { ("0"..."9").contains($0) || $0 == "." }
    guard isPlain, let value = DurationText.scaled(text, by: 1_000), (least * 1_000...most * 1_000).contains(value)
    else {
      throw Problem(text: "\(name) must be a number from \(least) to \(most), as in 1.5")
    }
    return value
  }

  /// Milliseconds after so many failures in a row. `seed`: whose failures they are, for the jitter.
  package func pause(after failures: Int64, seed: String) -> Int64 {
    guard failures > 0, initialMilliseconds > 0 else { return 0 }
    let longest = Double(longestMilliseconds)
    var pause = Double(initialMilliseconds)
    var factor = Double(factorThousandths) / 1_000
    var power = failures - 1
    while power > 0, pause < longest {
      if power & 1 == 1 { pause *= factor }
      factor *= factor
      power >>= 1
    }
    pause = min(pause, longest)
    if jitterThousandths > 0 {
      var hash = StableHash()
      hash.combine("\(seed) \(failures)".utf8)
      var random = SplitMix64(seed: hash.value)
      pause += pause * (Double(jitterThousandths) / 1_000) * random.unitInterval()
    }
    return Int64(min(pause, longest))
  }
}
