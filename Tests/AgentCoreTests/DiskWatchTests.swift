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
    bench.send(.coordinatorClosed(bench.connection))
    bench.pass(2_000)
    bench.session = "session-b"
    #expect(bench.register().heartbeats.compactMap(\.diskStalledMilliseconds).first ?? 0 >= 3_000)
  }

  // Room.

  private static let gibibyte: UInt64 = 1 << 30

  @Test("too little room is less than a tenth and less than 5 GiB, or less than a 20th of the inodes and than 100,000")
  func low() {
    let gib = Self.gibibyte
    let rooms: [(DiskRoom, Bool)] = [
      (DiskRoom(availableBytes: 10 * gib, totalBytes: 100 * gib), false),
      (DiskRoom(availableBytes: 5 * gib, totalBytes: 1_000 * gib), false),
      (DiskRoom(availableBytes: 5 * gib - 1, totalBytes: 1_000 * gib), true),
      (DiskRoom(availableBytes: 100, totalBytes: 1_000), false),
      (DiskRoom(availableBytes: 99, totalBytes: 1_000), true),
      (DiskRoom(availableBytes: 0, totalBytes: 0), false),
      (DiskRoom(availableBytes: .max, totalBytes: .max, availableInodes: 0, totalInodes: 0), false),
      (DiskRoom(availableBytes: 9 * gib, totalBytes: 9 * gib, availableInodes: 49, totalInodes: 1_000), true),
      (DiskRoom(availableBytes: 9 * gib, totalBytes: 9 * gib, availableInodes: 50, totalInodes: 1_000), false),
      (DiskRoom(availableBytes: 9 * gib, totalBytes: 9 * gib, availableInodes: 100_000, totalInodes: .max), false),
    ]
    for (room, isLow) in rooms {
      var bench = AgentBench()
      bench.begin()
      bench.room = room
      bench.live(seconds: 3)
      #expect(bench.all.heartbeats.contains { $0.pressures.contains(.disk) } == isLow, "\(room)")
    }
  }

  /// What each heartbeat of so many seconds says, in runs.
  private func told(_ bench: inout AgentBench, seconds: Int) -> [Bool] {
    let before = bench.all.heartbeats.count
    bench.live(seconds: seconds)
    return bench.all.heartbeats.dropFirst(before).map { $0.pressures.contains(.disk) }.reduce(into: []) { runs, next in
      if runs.last != next { runs.append(next) }
    }
  }

  private func working() -> AgentBench {
    var bench = AgentBench()
    bench.begin()
    bench.answer()
    return bench
  }

  @Test("a disk that gets full is told at once, and that it has room only once it had for five minutes: no flapping")
  func hysteresis() throws {
    var bench = working()
    let (full, empty) = (
      DiskRoom(availableBytes: 9, totalBytes: 100), DiskRoom(availableBytes: 11, totalBytes: 100)
    )
    bench.room = empty
    #expect(told(&bench, seconds: 10) == [false])
    bench.room = full
    #expect(told(&bench, seconds: 3) == [false, true])
    // By turns for an hour.
    for _ in 0..<20 {
      bench.room = empty
      #expect(told(&bench, seconds: 150) == [true])
      bench.room = full
      #expect(told(&bench, seconds: 30) == [true])
    }
    bench.room = empty
    #expect(told(&bench, seconds: 295) == [true])
    #expect(told(&bench, seconds: 10) == [true, false])
    #expect(told(&bench, seconds: 600) == [false])
  }

  @Test("an agent that begins on a full disk says so in its first heartbeat, and one that was away does not forget it")
  func first() throws {
    var configuration = AgentBench.configuration
    configuration.diskRoom = DiskRoom(availableBytes: 0, totalBytes: 100)
    var bench = AgentBench(configuration)
    bench.room = configuration.diskRoom
    bench.begin()
    #expect(bench.all.heartbeats.map { $0.pressures.contains(.disk) } == [true])
    bench.live(seconds: 3)
    bench.send(.coordinatorClosed(bench.connection))
    bench.pass(900_000)
    bench.session = "session-b"
    #expect(bench.register().heartbeats.first?.pressures == [.disk])
  }

  @Test("a disk that does not answer, or does not say, stays what it was")
  func silent() throws {
    var bench = working()
    bench.room = DiskRoom(availableBytes: 0, totalBytes: 100)
    bench.live(seconds: 5)
    bench.diskAnswers = false
    #expect(told(&bench, seconds: 900) == [true])
    bench.room = nil
    bench.diskAnswers = true
    if let waiting = probes(bench).last { bench.send(.diskAnswered(waiting)) }
    #expect(told(&bench, seconds: 310) == [true])
    bench.room = DiskRoom(availableBytes: 100, totalBytes: 100)
    #expect(told(&bench, seconds: 310) == [true, false])
  }

  @Test("what of ended pods could not be removed is told with each heartbeat, from the next on, until it is gone")
  func remains() {
    var bench = AgentBench()
    bench.begin()
    bench.answer()
    bench.send(.leftBehind("1 directory"))
    bench.live(seconds: 1)
    #expect(bench.all.heartbeats.last?.remains == "1 directory")
    bench.send(.leftBehind(""))
    bench.live(seconds: 1)
    #expect(bench.all.heartbeats.last.map { $0.remains == nil } == true)
  }
}
