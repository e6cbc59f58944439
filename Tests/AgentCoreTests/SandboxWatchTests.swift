// When the keeper tries whether pods can be started, and whom it tells.

import AgentCore
import ClusterProto
import Testing

@Suite struct SandboxWatchTests {
  private func broken() -> KeeperBench {
    KeeperBench(KeeperStart(keeper: "keeper-a", fencesFully: false, fencingDetail: "no namespaces"))
  }

  /// Lets time pass; each try is answered as `works` says.
  private func pass(_ bench: inout KeeperBench, _ milliseconds: Int64, works: Bool = false) -> (tries: Int, ends: Int) {
    let end = bench.now + milliseconds
    var (tries, ends) = (0, 0)
    while bench.now < end {
      var effects = bench.pass(100)
      if effects.contains(.probeSandbox) {
        tries += 1
        effects += bench.send(.sandboxProbed(works: works, detail: works ? "clone" : "no namespaces"))
      }
      ends += effects.count { $0 == .endAgentConnection }
    }
    return (tries, ends)
  }

  private func hello(_ bench: inout KeeperBench) -> (works: Bool, detail: String)? {
    for case .reply(.hello(_, _, _, _, let works, let detail)) in bench.request(.hello(agentVersion: "1")) {
      return (works, detail)
    }
    return nil
  }

  @Test("while no pod can be started it is tried ever more rarely, at least every 30 s, and told once")
  func backsOff() {
    var bench = broken()
    #expect(pass(&bench, 10_000) == (4, 0))
    #expect(pass(&bench, 600_000) == (21, 0))
  }

  @Test("the agent is told at once when pods can be started, by its next hello, and then nothing is tried any more")
  func heals() throws {
    var bench = broken()
    #expect(try #require(hello(&bench)) == (false, "no namespaces"))
    #expect(pass(&bench, 1_100, works: true) == (1, 1))
    #expect(try #require(hello(&bench)) == (true, "clone"))
    #expect(pass(&bench, 600_000) == (0, 0))
  }

  @Test("pods that cannot be started, or vanish, cause one try, and the agent is told what it found")
  func doubts() throws {
    var bench = KeeperBench()
    for attempt in Int64(1)...3 { try bench.run(assignment(attempt)) }
    #expect(pass(&bench, 10_000) == (0, 0))
    for attempt in Int64(1)...3 { bench.send(.podGone(attempt)) }
    #expect(bench.all.count { $0 == .probeSandbox } == 1)
    #expect(bench.send(.sandboxProbed(works: true, detail: "")).contains(.endAgentConnection) == false)
    let body = assignment(4)
    bench.request(.start(body, plan: try plan(body), leaseEnd: boot(bench.now + 5_000)))
    bench.send(.podStartFailed(4, message: "no"))
    #expect(bench.all.count { $0 == .probeSandbox } == 1, "not in the second after the last one")
    #expect(pass(&bench, 1_100) == (1, 1))
    #expect(try #require(hello(&bench)) == (false, "no namespaces"))
  }

  @Test("a pod whose end was asked for says nothing of the machine")
  func asked() throws {
    var bench = KeeperBench()
    try bench.run(assignment())
    bench.exit(0)
    bench.send(.podGone(1))
    try bench.run(assignment(2))
    bench.request(.stop(2, graceMilliseconds: 0))
    bench.send(.podGone(2))
    #expect(pass(&bench, 10_000) == (0, 0))
  }

  @Test("a journal that cannot be written is told at once, tried ever more rarely, and told again when it can")
  func journal() throws {
    var bench = KeeperBench()
    bench.journals = false
    let body = assignment()
    bench.request(.start(body, plan: try plan(body), leaseEnd: boot(bench.now + 5_000)))
    #expect(bench.send(.journaled(1, error: "no space")).contains(.endAgentConnection))
    #expect(try #require(hello(&bench)) == (false, "the keeper's journal cannot be written: no space"))
    // Each try is a pod first, then a record that says nothing.
    var number = Int64(1)
    func pass(_ milliseconds: Int64, error: String?) -> (tries: Int, ends: Int) {
      let end = bench.now + milliseconds
      var (tries, ends) = (0, 0)
      while bench.now < end {
        var effects = bench.pass(100)
        if effects.contains(.probeSandbox) { effects += bench.send(.sandboxProbed(works: true, detail: "clone")) }
        if effects.records == [.acknowledged([])] {
          (tries, number) = (tries + 1, number + 1)
          effects += bench.send(.journaled(number, error: error))
        }
        ends += effects.count { $0 == .endAgentConnection }
      }
      return (tries, ends)
    }
    #expect(pass(10_000, error: "no space") == (4, 0))
    #expect(pass(31_000, error: nil) == (1, 1))
    #expect(try #require(hello(&bench)) == (true, "clone"))
    #expect(pass(600_000, error: nil) == (0, 0))
  }

  @Test(
    "while the journal cannot be written, other records that fail cause no tries, and a disk that hangs no second one")
  func journalTries() throws {
    var bench = KeeperBench()
    bench.journals = false
    bench.send(.journaled(1, error: "no space"))
    for number in 2...50 as ClosedRange<Int64> { bench.send(.journaled(number, error: "no space")) }
    #expect(bench.all.count { $0 == .endAgentConnection } == 1)
    #expect(bench.pass(1_100).contains(.probeSandbox))
    let record = bench.send(.sandboxProbed(works: true, detail: "clone")).records
    #expect(record == [.acknowledged([])])
    #expect(!bench.pass(600_000).contains(.probeSandbox), "the disk has not answered")
    #expect(bench.send(.journaled(51, error: nil)).contains(.endAgentConnection))
  }
}
