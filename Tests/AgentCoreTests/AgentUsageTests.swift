// Owns: tests of measuring: only while somebody asks, rates of two readings, and nothing for who cannot say.

import ClusterProto
import Testing

@testable import AgentCore

@Suite struct AgentUsageTests {
  private func bench(limits: Bool = true) -> AgentBench {
    var bench = AgentBench()
    bench.begin()
    if limits { bench.send(.keeper(bench.keeperConnection, .limits(LimitAbilities()))) }
    bench.answer()
    return bench
  }

  private func readings(_ effects: [AgentEffect]) -> Int {
    effects.requests.filter { if case .measure = $0 { true } else { false } }.count
  }

  private func reports(_ effects: [AgentEffect]) -> [UsageReport] {
    effects.sent.compactMap { if case .usage(let report) = $0 { report } else { nil } }
  }

  /// Plays both hosts' answers.
  private func tell(
    _ bench: inout AgentBench, node: Usage?, _ pods: [AttemptNumber: [String: Usage]]
  ) -> [UsageReport] {
    bench.send(.nodeMeasured(node))
    let list = pods.keys.sorted().map { AttemptUsage(attempt: $0, containers: pods[$0] ?? [:]) }
    return reports(bench.send(.keeper(bench.keeperConnection, .usage(list))))
  }

  @Test("what the keeper says of containers goes to the coordinator, fifty a second, and nowhere without one")
  func events() {
    var bench = bench()
    let fact = PodFact(attempt: 1, container: "c", reason: "Unhealthy", message: "m")
    func told(_ effects: [AgentEffect]) -> Int {
      effects.sent.reduce(0) { if case .events(let facts) = $1 { $0 + facts.count } else { $0 } }
    }
    let many = KeeperReply.events(Array(repeating: fact, count: 64))
    #expect(told(bench.send(.keeper(bench.keeperConnection, many))) == 64)
    #expect(told(bench.send(.keeper(bench.keeperConnection, many))) == 36)
    bench.send(.coordinatorClosed(bench.connection, isFinal: false))
    #expect(told(bench.send(.keeper(bench.keeperConnection, many))) == 0)
  }

  @Test("nothing is read until somebody asks, and nothing for who asks a keeper that cannot say")
  func unasked() {
    var quiet = bench()
    quiet.live(seconds: 60)
    #expect(readings(quiet.all) == 0)
    var old = bench(limits: false)
    old.hear(.measure(milliseconds: 120_000))
    old.live(seconds: 30)
    #expect(readings(old.all) == 0)
  }

  @Test("a first reading at once, the second a second later, then four a minute, until nobody asks any more")
  func rhythm() {
    var bench = bench()
    #expect(readings(bench.hear(.measure(milliseconds: 60_000))) == 1)
    #expect(tell(&bench, node: Usage(cpu: 0, memory: 1), [:]).isEmpty)
    var count = 1
    for second in 1...180 {
      let effects = bench.pass(1_000)
      count += readings(effects)
      if readings(effects) > 0 {
        #expect(tell(&bench, node: Usage(cpu: Int64(second), memory: 1), [:]).count == 1)
      }
      bench.answer()
    }
    #expect(count == 2 + 3)
    #expect(readings(bench.hear(.measure(milliseconds: 60_000))) == 1)
  }

  @Test("rates are of what both readings know; a container that began anew used nothing yet")
  func rates() throws {
    var bench = bench()
    bench.hear(.measure(milliseconds: 60_000))
    _ = tell(
      &bench, node: Usage(cpu: 5_000_000_000, memory: 7),
      [1: ["a": Usage(cpu: 100, memory: 1), "b": Usage(cpu: 900, memory: 2)], 2: ["a": Usage(cpu: 1, memory: 1)]])
    bench.pass(1_000)
    let report = try #require(
      tell(
        &bench, node: Usage(cpu: 6_500_000_000, memory: 9),
        [
          1: ["a": Usage(cpu: 500_000_100, memory: 3), "b": Usage(cpu: 10, memory: 4)],
          3: ["a": Usage(cpu: 1, memory: 1)],
        ]
      ).first)
    #expect(report.windowMilliseconds == 1_000 && report.node == Usage(cpu: 1_500_000_000, memory: 9))
    #expect(
      report.pods == [
        AttemptUsage(attempt: 1, containers: ["a": Usage(cpu: 500_000_000, memory: 3), "b": Usage(cpu: 0, memory: 4)])
      ])
    #expect(try AgentMessage(json: AgentMessage.usage(report).json) == .usage(report))
  }

  @Test("a machine that tells nothing of itself costs its report, and extreme numbers nothing more")
  func extremes() {
    var bench = bench()
    bench.hear(.measure(milliseconds: Int64.max))
    #expect(tell(&bench, node: nil, [:]).isEmpty)
    bench.pass(1_000)
    _ = tell(&bench, node: Usage(cpu: Int64.min, memory: Int64.max), [1: ["a": Usage(cpu: 0, memory: 0)]])
    bench.pass(15_000)
    let told = tell(&bench, node: Usage(cpu: Int64.max, memory: 0), [1: ["a": Usage(cpu: Int64.max, memory: 0)]])
    #expect(told.count <= 1)
  }
}
