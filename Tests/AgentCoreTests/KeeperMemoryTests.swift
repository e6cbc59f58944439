// What the keeper remembers and when it leaves: reports, acknowledgements, journal, successors, shutdown.

import AgentCore
import ClusterProto
import Testing

@Suite struct KeeperMemoryTests {
  private func ended(_ bench: inout KeeperBench, _ attempt: AttemptNumber) throws {
    try bench.run(assignment(attempt))
    bench.exit(0, attempt: attempt)
    bench.send(.podGone(attempt))
  }

  @Test("a hello is answered with the keeper's facts, then the whole inventory, then an empty page")
  func hello() throws {
    let start = KeeperStart(
      keeper: "keeper-b", directory: "mark", sweptKeepers: ["keeper-a"], fencesFully: false,
      fencingDetail: "no cgroups")
    var bench = KeeperBench(start)
    for attempt in 1...70 { bench.request(.stop(Int64(attempt), graceMilliseconds: 0)) }
    let effects = bench.request(.hello(agentVersion: "1"))
    #expect(
      effects.first
        == .reply(
          .hello(
            keeper: "keeper-b", directory: "mark", sweptKeepers: ["keeper-a"], highestAttempt: 70, fencesFully: false,
            fencingDetail: "no cgroups")))
    #expect(effects.reports.map(\.attempt) == Array(1...70))
    #expect(effects.last { if case .reply = $0 { true } else { false } } == .reply(.reports([])))
  }

  @Test("what a start left open is told after the hello, and when it is settled the next hello claims the sweep")
  func concern() throws {
    var bench = KeeperBench(KeeperStart(keeper: "keeper-b", sweptKeepers: [], concern: "pod 7 lives"))
    #expect(bench.request(.hello(agentVersion: "1")).contains(.reply(.concern("pod 7 lives"))))
    bench.send(.startSettled(sweptKeepers: ["keeper-a"], concern: ""))
    let effects = bench.request(.hello(agentVersion: "1"))
    guard case .reply(.hello(_, _, let swept, _, _, _))? = effects.first else {
      Issue.record("no hello")
      return
    }
    #expect(swept == ["keeper-a"])
    #expect(!effects.contains { if case .reply(.concern) = $0 { true } else { false } })
  }

  @Test("revisions rise by one with each change, and several changes in one step give one report")
  func revisions() throws {
    var bench = KeeperBench()
    try bench.run(assignment())
    bench.exit(0)
    bench.send(.podGone(1))
    #expect(bench.all.reports.map(\.revision) == [1, 2, 3, 4, 5])
  }

  @Test("nothing is sent to an agent that is not there, and its successor is told everything")
  func noAgent() throws {
    var bench = KeeperBench()
    try bench.run(assignment())
    bench.send(.agentDisconnected)
    #expect(bench.exit(0).reports.isEmpty)
    #expect(bench.send(.podGone(1)).reports.isEmpty)
    bench.send(.agentConnected)
    #expect(bench.request(.hello(agentVersion: "2")).reports.map(\.status.phase) == [.succeeded])
  }

  @Test("a terminal report is journalled before it is sent, and kept until it is acknowledged")
  func acknowledgement() throws {
    var bench = KeeperBench()
    try ended(&bench, 1)
    bench.pass(3_600_000)
    #expect(bench.request(.hello(agentVersion: "1")).reports.map(\.attempt) == [1])
    #expect(bench.request(.acknowledge([1, 99])).records == [.acknowledged([1])])
    #expect(bench.request(.hello(agentVersion: "1")).reports.isEmpty)
  }

  @Test("an acknowledgement of an attempt that has not ended changes nothing")
  func earlyAcknowledgement() throws {
    var bench = KeeperBench()
    try bench.run(assignment())
    #expect(bench.request(.acknowledge([1])).isEmpty)
    #expect(bench.request(.hello(agentVersion: "1")).reports.map(\.attempt) == [1])
  }

  @Test("a successor reports the old keeper's journalled ends, and does not invent those of others")
  func successor() throws {
    var bench = KeeperBench()
    try ended(&bench, 1)
    try ended(&bench, 2)
    try bench.run(assignment(3))
    bench.request(.stop(9, graceMilliseconds: 0))
    bench.request(.acknowledge([1]))
    var next = KeeperBench(
      KeeperStart(keeper: "keeper-b", sweptKeepers: ["keeper-a"], records: bench.all.records))
    let effects = next.request(.hello(agentVersion: "1"))
    #expect(effects.reports.map(\.attempt) == [2, 9])
    #expect(effects.reports.first?.status.phase == .succeeded)
    guard case .reply(.hello(_, _, _, let highest, _, _))? = effects.first else {
      Issue.record("no hello")
      return
    }
    #expect(highest == 9)
  }

  @Test("the highest attempt that came with a proof is told with it, by a successor too, and after a rewrite")
  func provenAttempt() throws {
    var bench = KeeperBench()
    for (attempt, proof) in [(4, "four"), (7, "seven"), (5, "five"), (9, "")] as [(AttemptNumber, String)] {
      try bench.run(assignment(attempt, proof: proof))
    }
    let proven = ProvenAttempt(attempt: 7, proof: "seven")
    #expect(bench.request(.hello(agentVersion: "1")).contains(.reply(.proven(proven))))
    var next = KeeperBench(KeeperStart(keeper: "keeper-b", records: bench.all.records))
    #expect(next.request(.hello(agentVersion: "1")).contains(.reply(.proven(proven))))
    for attempt in 10...2_000 {
      next.request(.stop(Int64(attempt), graceMilliseconds: 0))
      next.request(.acknowledge([Int64(attempt)]))
    }
    let rewritten = next.all.compactMap { effect in
      if case .rewriteJournal(let records) = effect { records } else { nil }
    }
    let journal = try #require(rewritten.last)
    var last = KeeperBench(KeeperStart(keeper: "keeper-c", records: journal))
    #expect(last.request(.hello(agentVersion: "1")).contains(.reply(.proven(proven))))
  }

  @Test("a keeper of a version before reads on over a proof in the journal")
  func provenText() throws {
    let record = KeeperRecord.proven(ProvenAttempt(attempt: 7, proof: "seven"))
    #expect(try KeeperRecord(json: record.json) == record)
    var json = record.json
    json["proven"] = nil
    #expect(try KeeperRecord(json: json) == .acknowledged([]))
  }

  @Test("a journal record survives its JSON, and a broken one is an error")
  func recordText() throws {
    var bench = KeeperBench()
    try ended(&bench, 1)
    bench.request(.acknowledge([1]))
    #expect(bench.all.records.count == 3)
    for record in bench.all.records {
      let text = record.json.text
      let back = try KeeperRecord(json: try JSON(parsing: text))
      #expect(back.json.text == text)
    }
    for broken in ["{}", "{\"ended\":{}}", "{\"started\":\"x\"}", "[]", "{\"acknowledged\":[\"a\"]}"] {
      #expect(throws: MessageError.self) { try KeeperRecord(json: try JSON(parsing: broken)) }
    }
  }

  @Test("a long journal is rewritten, and a successor reads the same from it")
  func rewriting() throws {
    var bench = KeeperBench()
    var journal: [KeeperRecord] = []
    var rewrites = 0
    try bench.run(assignment(1, toleration: nil))
    for attempt in 2...2_000 {
      bench.request(.stop(Int64(attempt), graceMilliseconds: 0))
      if attempt < 1_999 { bench.request(.acknowledge([Int64(attempt)])) }
    }
    for effect in bench.all {
      if case .journal(let records, _) = effect { journal += records }
      if case .rewriteJournal(let records) = effect {
        journal = records
        rewrites += 1
      }
    }
    #expect(rewrites > 0 && journal.count < 1_100)
    var next = KeeperBench(KeeperStart(keeper: "keeper-b", records: journal))
    #expect(next.request(.hello(agentVersion: "1")).reports.map(\.attempt) == [1_999, 2_000])
  }

  @Test("a keeper with no agent, no pods and no unacknowledged reports exits after 60 s")
  func idleExit() throws {
    var bench = KeeperBench(connected: false)
    #expect(!bench.pass(59_999).contains(.exit))
    #expect(bench.pass(1).contains(.exit))
  }

  @Test("an agent, a pod or an unacknowledged report keeps the keeper")
  func noIdleExit() throws {
    var withAgent = KeeperBench()
    #expect(!withAgent.pass(600_000).contains(.exit))
    var withPod = KeeperBench()
    try withPod.run(assignment(toleration: nil))
    withPod.send(.agentDisconnected)
    #expect(!withPod.pass(600_000).contains(.exit))
    var withReport = KeeperBench()
    try ended(&withReport, 1)
    withReport.send(.agentDisconnected)
    #expect(!withReport.pass(600_000).contains(.exit))
    withReport.send(.agentConnected)
    withReport.request(.acknowledge([1]))
    withReport.send(.agentDisconnected)
    #expect(withReport.pass(60_000).contains(.exit))
  }

  @Test("shutting down ends every pod within the grace, refuses new ones, and exits once all is acknowledged")
  func shutDown() throws {
    var bench = KeeperBench()
    try bench.run(assignment(1, toleration: nil))
    try bench.run(assignment(2, toleration: nil))
    #expect(bench.request(.shutDown(graceMilliseconds: 4_000)).terms.count == 2)
    let late = assignment(3)
    #expect(bench.request(.start(late, plan: try plan(late), leaseEnd: boot(bench.now + 5_000))).startedPods.isEmpty)
    bench.exit(0, attempt: 1)
    bench.send(.podGone(1))
    #expect(bench.pass(4_000).contains(.killPod(2)))
    #expect(!bench.send(.podGone(2)).contains(.exit))
    #expect(try bench.status(1).phase == .succeeded)
    #expect(try bench.status(2).reason == "Terminated")
    #expect(bench.request(.acknowledge([1, 2, 3])).contains(.exit))
  }

  @Test("shutting down does not wait for acknowledgements for ever")
  func shutDownAlone() throws {
    var bench = KeeperBench()
    try bench.run(assignment())
    bench.request(.shutDown(graceMilliseconds: 0))
    bench.send(.podGone(1))
    #expect(bench.pass(2_000).contains(.exit))
    var alone = KeeperBench()
    try alone.run(assignment())
    alone.request(.shutDown(graceMilliseconds: 0))
    alone.send(.agentDisconnected)
    #expect(alone.send(.podGone(1)).contains(.exit))
  }
}
