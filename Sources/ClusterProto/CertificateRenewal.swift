// Owns: when a node's certificate is renewed. Pure: times and random numbers come in. It must not know keys, sessions
// or how a certificate is asked for.

/// The life of one certificate as its holder sees it: renewed at a random time between 50 and 80 % of it, so that
/// nodes that joined together do not come together, and again soon where that fails.
package struct CertificateRenewal: Equatable, Sendable {
  /// When the certificate began; one that is backdated: when it was made.
  package let start: WallTime
  /// When it ends.
  package let end: WallTime
  /// When to ask for the next one.
  package private(set) var due: WallTime

  private static let day: Int64 = 86_400_000

  /// How long after its end a certificate's key is still good for a new one.
  package static let graceMilliseconds = 30 * day
  /// How long a node's certificate is valid.
  package static let lifetimeMilliseconds = 90 * day

  /// `random` is drawn anew for each certificate, any number.
  package init(start: WallTime, end: WallTime, random: UInt64) {
    self.start = start
    self.end = end
    let life = max(0, end.milliseconds(since: start))
    let share = 500 + Int64((random % 301))
    // A life of a thousand years times 800 still fits.
    due = start.adding(milliseconds: life / 1_000 * share + life % 1_000 * share / 1_000)
  }

  /// Whether to ask now.
  package func isDue(at now: WallTime) -> Bool { now >= due }

  /// The asking failed: again after a hundredth of the life, at most an hour.
  package mutating func failed(at now: WallTime) {
    let life = max(0, end.milliseconds(since: start))
    due = now.adding(milliseconds: min(max(life / 100, 1_000), 3_600_000))
  }

  /// There is a reason to ask sooner.
  package mutating func hasten(to time: WallTime) { due = min(due, time) }

  /// Whether it is over: no session opens with it any more.
  package func hasEnded(at now: WallTime) -> Bool { now >= end }
}
