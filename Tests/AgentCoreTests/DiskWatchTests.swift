// A disk that does not answer, as the agent sees and tells it.

import AgentCore
import ClusterProto
import Testing

@Suite struct DiskWatchTests {
  /// An agent with a session whose disk hangs from now on.
  private func hanging() -> AgentBench {
    var bench = AgentBench()
    bench.begin()
    bench.answer()
    bench.diskAnswers = false
    return bench
  }

  private func probes(_ bench: AgentBench) -> [Int64] {
    bench.all.compactMap { if case .probeDisk(let number) = $0 { number } else { nil } }
  }

  @Test("a disk that hangs is told within a lease, for how long, while heartbeats go on and the lease is renewed")
  func told() throws {
    var bench = hanging()
    bench.desired = [1: .run]
    var beats: [Heartbeat] = []
    for _ in 0..<10 {
      beats += bench.pass(1_000).heartbeats
      bench.answer()
    }
    #expect(beats.count == 10)
    #expect(beats.map(\.diskStalledMilliseconds) == [nil, nil] + (2...9).map { $0 * 1_000 })
    #expect(!bench.all.disconnects)
    #expect(bench.all.fetched.contains(1))
  }

  @Test("only one probe waits, and the disk's answer is told at once")
  func recovers() throws {
    var bench = hanging()
    bench.live(seconds: 5)
    let waiting = probes(bench)
    #expect(waiting == Array(1...Int64(waiting.count)))
    bench.diskAnswers = true
    let beats = (bench.send(.diskAnswered(try #require(waiting.last))) + bench.pass(200)).heartbeats
    #expect(beats.map(\.diskStalledMilliseconds) == [nil])
    #expect(probes(bench).count == waiting.count + 1)
  }

  @Test("an answer to an earlier probe proves nothing")
  func stale() throws {
    var bench = hanging()
    bench.live(seconds: 5)
    bench.send(.diskAnswered(try #require(probes(bench).last) - 1))
    #expect(bench.pass(1_000).heartbeats.compactMap(\.diskStalledMilliseconds).count == 1)
  }

  @Test("a disk that is slow for less than two fifths of a lease is not called stalled")
  func slow() throws {
    var bench = hanging()
    for _ in 0..<10 {
      bench.live(seconds: 1)
      if let number = probes(bench).last { bench.send(.diskAnswered(number)) }
    }
    #expect(bench.all.heartbeats.compactMap(\.diskStalledMilliseconds).isEmpty)
  }

  @Test("a new session tells of a disk that has hung since the one before")
  func newSession() throws {
    var bench = hanging()
    bench.live(seconds: 3)
    bench.send(.coordinatorClosed(bench.connection, reason: "cut"))
    bench.pass(2_000)
    bench.session = "session-b"
    #expect(bench.register().heartbeats.compactMap(\.diskStalledMilliseconds).first ?? 0 >= 3_000)
  }
}
