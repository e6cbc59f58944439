// How slow a simulated world is: as much happens in a slow one, over a longer time. A cluster that people own has a
// fault a day and Jobs of hours; only so can years of it be simulated. Knows nothing of what is drawn.

import ClusterProto

/// The pace of a world. Networks, disks and the products' own times (pauses after failures, grace periods) are as fast
/// in each; what people set, what they do and what befalls them is slower.
package struct Pace: Equatable, Sendable {
  /// Faults, users' words and the lengths of programs: so many times as long as in a busy world.
  package let rarity: Int64
  /// Heartbeats, leases, and how long something is away: so many times as long as in a busy world.
  package let beat: Int64

  /// A fault a minute, programs of seconds, a heartbeat a second.
  package static let busy = Pace(rarity: 1, beat: 1)
  /// A fault each quarter of an hour, programs of minutes.
  package static let slow = Pace(rarity: 10, beat: 5)
  /// A fault each few hours, programs of an hour.
  package static let calm = Pace(rarity: 100, beat: 30)

  /// Of a seed in a batch: a fourth of the seeds are busy, a fourth slow, half calm. What else a seed has does not
  /// hang on it.
  package static func drawn(seed: UInt64) -> Pace {
    var random = SplitMix64(seed: seed &* 7_883)
    return [.busy, .slow, .calm, .calm][Int(random.below(4))]
  }
}

extension World {
  /// How long until something that is rare in a slow world, in microseconds; `range`: in a busy one.
  func pickRare(_ range: ClosedRange<Int64>) -> TrueTime { pick(range) * pace.rarity }

  /// How long something is away, in microseconds; `range`: in a busy world.
  func pickLong(_ range: ClosedRange<Int64>) -> TrueTime { pick(range) * pace.beat }
}
