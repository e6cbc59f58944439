// Starts that wait for the journal while a disk holds it up: at most once, under a lease, and nothing else waits.

import AgentCore
import ClusterProto
import Testing

@Suite struct KeeperRecordingTests {
  /// A keeper whose journal is not written, with a start of attempt 1 that waits for it.
  private func waiting(lease: Int64 = 5_000) throws -> KeeperBench {
    var bench = KeeperBench()
    bench.journals = false
    let body = assignment()
    let effects = bench.request(.start(body, plan: try plan(body), leaseEnd: boot(bench.now + lease)))
    #expect(effects.records == [.started(1)])
    #expect(effects.startedPods.isEmpty)
    return bench
  }

  @Test("a pod is started when the journal has its start, once, however often the agent asks")
  func once() throws {
    var bench = try waiting()
    let body = assignment()
    let again = bench.request(.start(body, plan: try plan(body), leaseEnd: boot(bench.now + 5_000)))
    #expect(again.startedPods.isEmpty && again.records.isEmpty)
    #expect(bench.send(.journaled(1, error: nil)).startedPods == [1])
    #expect(bench.send(.journaled(1, error: nil)).startedPods.isEmpty)
    #expect(bench.send(.journaled(2, error: nil)).startedPods.isEmpty)
  }

  @Test("a start that is written down after its lease has ended starts nothing, and can be asked for again")
  func tooLate() throws {
    var bench = try waiting()
    bench.pass(5_000)
    #expect(bench.send(.journaled(1, error: nil)).startedPods.isEmpty)
    let body = assignment()
    bench.request(.hello(agentVersion: "1"))
    let told = try #require(bench.latest[1])
    #expect(!told.isTerminal && told.status.condition("PodReadyToStartContainers") == nil)
    let again = bench.request(.start(body, plan: try plan(body), leaseEnd: boot(bench.now + 5_000)))
    #expect(again.records == [.started(1)])
    #expect(bench.send(.journaled(2, error: nil)).startedPods == [1])
  }

  @Test("a renewal reaches a start that waits for the journal")
  func renewed() throws {
    var bench = try waiting()
    bench.pass(4_000)
    bench.request(.renew(leaseEnd: boot(bench.now + 5_000), attempts: [1]))
    bench.pass(4_000)
    #expect(bench.send(.journaled(1, error: nil)).startedPods == [1])
  }

  @Test("what is stopped while its start is written down ends there and then, and never starts")
  func stopped() throws {
    var bench = try waiting()
    let effects = bench.request(.stop(1, graceMilliseconds: 30_000))
    #expect(effects.reports.map(\.isTerminal) == [true])
    #expect(bench.send(.journaled(2, error: nil)).startedPods.isEmpty)
  }

  @Test("a start that cannot be written down is turned away for the node's sake, which is no failure of the work")
  func unwritable() throws {
    var bench = try waiting()
    let effects = bench.send(.journaled(1, error: "no space"))
    #expect(effects.startedPods.isEmpty)
    let status = try bench.status()
    #expect(status.phase == .failed && status.reason == "Evicted")
    #expect(status.message == "The node cannot write down what it starts: no space")
    #expect(status.condition("DisruptionTarget")?.reason == "TerminationByKubelet")
    #expect(bench.send(.journaled(1, error: nil)).startedPods.isEmpty)
  }

  @Test("while the journal waits, other pods are frozen at their deadline, stopped and reported as ever")
  func neighbours() throws {
    var bench = KeeperBench()
    try bench.run(assignment(1))
    try bench.run(assignment(2))
    bench.journals = false
    let body = assignment(3)
    bench.request(.start(body, plan: try plan(body), leaseEnd: boot(bench.now + 5_000)))
    bench.exit(0, attempt: 2)
    #expect(bench.send(.podGone(2)).reports.map(\.status.phase) == [.succeeded])
    #expect(bench.pass(15_000).contains(.freezePod(1)))
    #expect(!bench.isKilled)
  }

  @Test("a journal that is shortened while a start waits still names it")
  func rewritten() throws {
    var bench = try waiting()
    for attempt in 2...2_000 as ClosedRange<Int64> {
      bench.request(.stop(attempt, graceMilliseconds: 0))
      bench.request(.acknowledge([attempt]))
    }
    var journal: [KeeperRecord] = []
    for case .rewriteJournal(let records) in bench.all { journal = records }
    #expect(journal.contains(.started(1)))
  }
}
