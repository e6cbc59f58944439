// Owns: how long the heartbeats of a fleet waited for their answers. It must not know what went on beside them.

/// Heartbeats' waits since it was last cleared, milliseconds.
final class HeartbeatWaits {
  private static let text = BenchCommand.text
  private static let mostMilliseconds = 200.0
  private var milliseconds: [Double] = []

  init(_ fleet: SimulatedFleet) {
    for agent in fleet.agents { agent.onAnswer = { [unowned self] in milliseconds.append(Double($0) / 1e6) } }
  }

  /// Drops what was measured, after the answers that came while this thread prepared something.
  func clear(_ cluster: BenchCluster) throws {
    try FleetBench.pause(cluster, seconds: 2)
    milliseconds = []
  }

  /// Of those since it was last cleared.
  func figure(_ whom: String, bounded: Bool = true) -> BenchFigure {
    let text = Self.text
    let spread = Spread(milliseconds)
    milliseconds = []
    return BenchFigure(
      name: "heartbeat's answer beside \(whom)",
      value: "p50 \(text(spread.median, 2)) ms, p99 \(text(spread.p99, 1)) ms, longest \(text(spread.most, 1)) ms "
        + "of \(spread.count)",
      reach: bounded ? "<= \(text(Self.mostMilliseconds, 0)) ms" : "",
      isMet: bounded ? spread.most <= Self.mostMilliseconds : nil)
  }
}
