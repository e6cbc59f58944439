// K2 at the agent: what an answer renews, and until when.

import AgentCore
import ClusterProto
import Testing

@Suite struct AgentLeaseTests {
  @Test("the lease counts from the sending of the heartbeat that the answer echoes")
  func fromSending() throws {
    var bench = AgentBench()
    bench.begin(inventory: [report(1)])
    bench.desired = [1: .run]
    bench.now += 900
    let effects = bench.answer(sequence: 1)
    #expect(effects.leaseEnd == boot(1_000 + 5_000))
    #expect(effects.renewed == [1])
  }

  @Test("an answer to an earlier heartbeat counts from that one's sending")
  func earlierHeartbeat() throws {
    var bench = AgentBench()
    bench.begin(inventory: [report(1)])
    bench.desired = [1: .run]
    bench.pass(1_000)
    #expect(bench.answer(sequence: 1).leaseEnd == boot(6_000))
    #expect(bench.answer(sequence: 2).leaseEnd == boot(7_000))
  }

  @Test("an answer that is already past changes nothing")
  func past() throws {
    var bench = AgentBench()
    bench.begin(inventory: [report(1)])
    bench.desired = [1: .stop(graceMilliseconds: 0)]
    bench.now += 5_000
    #expect(bench.answer(sequence: 1, acknowledged: [1], assignments: [assignment(2)]).requests.isEmpty)
    bench.pass(1)
    #expect(bench.all.heartbeats.allSatisfy { $0.echo == 0 })
  }

  @Test("an answer to a heartbeat that was never sent, or one whose number does not rise, changes nothing")
  func unknownSequence() throws {
    var bench = AgentBench()
    bench.begin(inventory: [report(1)])
    bench.desired = [1: .run]
    #expect(bench.answer(sequence: 77).isEmpty)
    #expect(bench.answer(sequence: 0).isEmpty)
    #expect(bench.answer().renewed == [1])
    bench.answers = 0
    #expect(bench.answer().isEmpty)
  }

  @Test("a push between heartbeats repeats the last sequence, extends nothing and renews nothing twice")
  func push() throws {
    var bench = AgentBench()
    bench.begin(inventory: [report(1)])
    bench.desired = [1: .run]
    bench.answer()
    bench.now += 500
    #expect(bench.answer(sequence: 1).leaseEnd == nil)
    bench.pass(500)
    #expect(bench.answer().leaseEnd == boot(7_000))
  }

  @Test("a digest that does not match renews only what the answer names, and asks at once for the whole set")
  func mismatch() throws {
    var bench = AgentBench()
    bench.begin(inventory: [report(1), report(2), report(3)])
    bench.desired = [1: .run, 2: .run]
    bench.answer()
    bench.now += 300
    let effects = bench.hear(
      .answer(
        Answer(
          number: 2, sequence: 1, leaseMilliseconds: 5_000, desiredDigest: SetDigest(12345),
          changes: [DesiredAttempt(attempt: 3, action: .run)])))
    #expect(effects.renewed == [3])
    #expect(effects.heartbeats.count == 1)
    #expect(effects.heartbeats.first?.desiredDigest != SetDigest(12345))
  }

  /// A new session as soon as the agent tries again.
  private func reconnect(_ bench: inout AgentBench, _ session: String) {
    bench.send(.coordinatorClosed(bench.connection))
    bench.session = session
    bench.pass(2_000)
    bench.register()
  }

  @Test("a session's first whole answer takes longer leases of before back, and later answers renew from there")
  func shortened() throws {
    var bench = AgentBench()
    bench.begin(inventory: [report(1)])
    bench.desired = [1: .run]
    #expect(bench.answer(lease: 600_000).leaseEnd == boot(601_000))
    reconnect(&bench, "session-b")
    let sent = bench.now
    let word = try #require(bench.answer().shortened)
    #expect(word.end == boot(sent + 5_000))
    bench.pass(1_000)
    let next = bench.answer()
    // Ours went back too: else nothing would be renewed for ten minutes, and the keeper would freeze it.
    #expect(next.renewed == [1] && next.leaseEnd == boot(sent + 6_000))
    #expect(next.shortened == nil)
  }

  @Test("an answer that leaves the set incomplete takes nothing back: what it does not name is not renewed yet")
  func notWhole() {
    var bench = AgentBench()
    bench.begin(inventory: [report(1)])
    let effects = bench.hear(
      .answer(
        Answer(
          number: 1, sequence: 1, leaseMilliseconds: 5_000, desiredDigest: SetDigest(12345),
          changes: [DesiredAttempt(attempt: 1, action: .run)])))
    #expect(effects.renewed == [1] && effects.shortened == nil)
  }

  @Test("heartbeats say how leases settle only after the keeper's answer to this session's word")
  func settling() throws {
    var bench = AgentBench()
    bench.begin(inventory: [report(1)])
    bench.desired = [1: .run]
    let first = try #require(bench.answer().shortened).number
    #expect(bench.pass(1_000).heartbeats.map(\.leasesSettleMilliseconds) == [nil])
    bench.answer()
    reconnect(&bench, "session-b")
    let second = try #require(bench.answer().shortened).number
    // The keeper's answer to the word of before knows nothing of the answers after it.
    bench.send(.keeper(bench.keeperConnection, .shortened(number: first, settleMilliseconds: 0)))
    #expect(bench.pass(1_000).heartbeats.map(\.leasesSettleMilliseconds) == [nil])
    bench.answer()
    bench.send(.keeper(bench.keeperConnection, .shortened(number: second, settleMilliseconds: 1_500)))
    #expect(bench.pass(1_000).heartbeats.map(\.leasesSettleMilliseconds) == [500])
    bench.answer()
    #expect(bench.pass(1_000).heartbeats.map(\.leasesSettleMilliseconds) == [0])
    bench.answer()
    reconnect(&bench, "session-c")
    #expect(bench.all.heartbeats.last?.leasesSettleMilliseconds == nil)
  }

  @Test("asking for the whole set is rate-limited")
  func askingSlowly() throws {
    var bench = AgentBench()
    bench.begin()
    bench.answer()
    bench.now += 300
    var beats = 0
    for number in 2...40 {
      let answer = Answer(number: Int64(number), sequence: 1, leaseMilliseconds: 5_000, desiredDigest: SetDigest(12345))
      beats += bench.hear(.answer(answer)).heartbeats.count
      beats += bench.pass(10).heartbeats.count
    }
    #expect((1...3).contains(beats))
  }

  @Test("changes and removals are laid over the set, and the digest stays right")
  func changes() throws {
    var bench = AgentBench()
    bench.begin(inventory: [report(1), report(2)])
    bench.desired = [1: .run]
    bench.answer()
    let digest = SetDigest([DesiredAttempt(attempt: 2, action: .run)])
    let effects = bench.hear(
      .answer(
        Answer(
          number: 2, sequence: 1, leaseMilliseconds: 5_000, desiredDigest: digest,
          changes: [DesiredAttempt(attempt: 2, action: .run)], removed: [1])))
    #expect(effects.renewed == [2])
    #expect(effects.requests.contains(.stop(1, graceMilliseconds: -1)))
    #expect(bench.pass(1_000).heartbeats.map(\.desiredDigest) == [digest])
  }

  @Test("an attempt that is being stopped keeps its lease, so that its grace is not cut")
  func stopping() throws {
    var bench = AgentBench()
    bench.begin(inventory: [report(1)])
    bench.desired = [1: .stop(graceMilliseconds: 60_000)]
    let effects = bench.answer()
    #expect(effects.renewed == [1])
    #expect(effects.requests.contains(.stop(1, graceMilliseconds: 60_000)))
  }

  @Test("an attempt that the matching set does not list is not renewed but stopped")
  func unlisted() throws {
    var bench = AgentBench()
    bench.begin(inventory: [report(1), report(2)])
    bench.desired = [1: .run]
    let effects = bench.answer()
    #expect(effects.renewed == [1])
    #expect(effects.requests.contains(.stop(2, graceMilliseconds: -1)))
    #expect(!effects.requests.contains(.thaw(2)))
  }

  @Test("a frozen attempt that is to run is renewed, then thawed; one that is to stop is not thawed")
  func thaw() throws {
    var bench = AgentBench()
    bench.begin(inventory: [report(1, frozen: true), report(2, frozen: true)])
    bench.desired = [1: .run, 2: .stop(graceMilliseconds: 0)]
    let requests = bench.answer().requests
    #expect(requests.first == .renew(leaseEnd: boot(6_000), attempts: [1, 2]))
    #expect(requests.contains(.thaw(1)) && !requests.contains(.thaw(2)))
  }

  @Test("without an answer nothing is thawed or renewed, however often the keeper says that it is frozen")
  func noWord() throws {
    var bench = AgentBench()
    bench.begin(inventory: [report(1)])
    bench.desired = [1: .run]
    bench.answer()
    #expect(bench.keeper([report(1, revision: 2, frozen: true)]).requests.isEmpty)
  }

  @Test("extreme lease lengths never trap", arguments: [Int64.min, -1, 0, Int64.max])
  func extremes(lease: Int64) throws {
    var bench = AgentBench()
    bench.begin(inventory: [report(1)])
    bench.desired = [1: .run]
    #expect(bench.answer(lease: lease).renewed == (lease > 0 ? [1] : nil))
  }
}
