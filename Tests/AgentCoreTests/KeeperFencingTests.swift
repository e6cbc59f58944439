// Rules K1 to K4 as the keeper core keeps them.

import AgentCore
import ClusterProto
import Testing

@Suite struct KeeperFencingTests {
  // MARK: K1

  @Test("an attempt whose lease is over is never started")
  func leaseOver() throws {
    var bench = KeeperBench()
    let body = assignment()
    let effects = bench.request(.start(body, plan: try plan(body), leaseEnd: boot(bench.now)))
    #expect(effects.startedPods.isEmpty)
    #expect(effects.reports.isEmpty)
  }

  @Test("an attempt addressed to another keeper is not started and not reported")
  func otherKeeper() throws {
    var bench = KeeperBench()
    let body = assignment(keeper: "keeper-old")
    let effects = bench.request(.start(body, plan: try plan(body), leaseEnd: boot(bench.now + 5_000)))
    #expect(effects.startedPods.isEmpty && effects.reports.isEmpty && effects.records.isEmpty)
  }

  @Test("a second start of an attempt starts nothing, but says again how it is")
  func twice() throws {
    var bench = KeeperBench()
    try bench.run(assignment())
    let body = assignment()
    let effects = bench.request(.start(body, plan: try plan(body), leaseEnd: boot(bench.now + 9_000)))
    #expect(effects.startedPods.isEmpty && effects.startedRuns.isEmpty)
    #expect(effects.reports.map(\.attempt) == [1])
  }

  @Test("an attempt that has ended and was acknowledged is never started again")
  func afterTheEnd() throws {
    var bench = KeeperBench()
    try bench.run(assignment())
    bench.exit(0)
    bench.send(.podGone(1))
    bench.request(.acknowledge([1]))
    let body = assignment()
    let effects = bench.request(.start(body, plan: try plan(body), leaseEnd: boot(bench.now + 5_000)))
    #expect(effects.startedPods.isEmpty)
    #expect(effects.reports.map(\.isTerminal) == [true])
  }

  @Test("a stop for an unknown attempt gives a terminal report, and a start that comes later starts nothing")
  func tombstone() throws {
    var bench = KeeperBench()
    let stopped = bench.request(.stop(7, graceMilliseconds: 0))
    #expect(stopped.reports.map(\.attempt) == [7])
    #expect(stopped.reports.first?.status.phase == .failed)
    let position = try #require(stopped.firstIndex { if case .journal = $0 { true } else { false } })
    let reply = try #require(stopped.firstIndex { if case .reply = $0 { true } else { false } })
    #expect(position < reply)
    let body = assignment(7)
    let started = bench.request(.start(body, plan: try plan(body), leaseEnd: boot(bench.now + 5_000)))
    #expect(started.startedPods.isEmpty)
    #expect(started.reports.map(\.isTerminal) == [true])
  }

  @Test("the journal names an attempt before its pod is started")
  func journalFirst() throws {
    var bench = KeeperBench()
    let effects = try bench.start(assignment())
    let journal = try #require(effects.firstIndex(of: .journal([.started(1)], number: 1)))
    let start = try #require(effects.firstIndex { if case .startPod = $0 { true } else { false } })
    #expect(journal < start)
  }

  // MARK: K2 at the keeper

  @Test("a renewal never moves a lease end backwards")
  func backwards() throws {
    var bench = KeeperBench()
    try bench.run(assignment(), lease: 9_000)
    bench.request(.renew(leaseEnd: boot(bench.now + 1_000), attempts: [1]))
    #expect(bench.deathTimer == boot(1_000 + 9_000 + 10_000 + 500))
  }

  @Test("a renewal reaches only the attempts that it lists")
  func listed() throws {
    var bench = KeeperBench()
    try bench.run(assignment(1))
    try bench.run(assignment(2))
    bench.request(.renew(leaseEnd: boot(bench.now + 60_000), attempts: [2]))
    let effects = bench.pass(20_000)
    #expect(effects.contains(.freezePod(1)))
    #expect(!effects.contains(.freezePod(2)))
  }

  @Test("a renewal that is read after D does not save the attempt")
  func lateRenewal() throws {
    var bench = KeeperBench()
    try bench.run(assignment())
    bench.now += 15_000
    let effects = bench.request(.renew(leaseEnd: boot(bench.now + 60_000), attempts: nil))
    #expect(effects.contains(.freezePod(1)))
  }

  // MARK: K3

  @Test("at D the attempt is frozen, not a millisecond before", arguments: [0, 10_000, 300_000] as [Int64])
  func freezeAtDeadline(toleration: Int64) throws {
    var bench = KeeperBench()
    try bench.run(assignment(toleration: toleration))
    #expect(!bench.pass(5_000 + toleration - 1).contains(.freezePod(1)))
    #expect(bench.pass(1).contains(.freezePod(1)))
    #expect(bench.latest[1]?.frozen == true)
  }

  @Test("deadlines go on while no agent is connected")
  func withoutAgent() throws {
    var bench = KeeperBench()
    try bench.run(assignment())
    bench.send(.agentDisconnected)
    #expect(bench.pass(15_000).contains(.freezePod(1)))
  }

  @Test("an unlimited toleration has no deadline and no death timer")
  func unlimited() throws {
    var bench = KeeperBench()
    try bench.run(assignment(toleration: nil))
    #expect(bench.deathTimer == nil)
    let effects = bench.pass(86_400_000)
    #expect(!effects.contains(.freezePod(1)) && !effects.contains(.killPod(1)))
  }

  @Test("a frozen attempt thaws only on the word that it is current, under a renewed lease")
  func thaw() throws {
    var bench = KeeperBench()
    try bench.run(assignment())
    bench.pass(15_000)
    #expect(!bench.request(.thaw(1)).contains(.thawPod(1)))
    #expect(!bench.request(.renew(leaseEnd: boot(bench.now + 5_000), attempts: [1])).contains(.thawPod(1)))
    #expect(bench.request(.thaw(1)).contains(.thawPod(1)))
    bench.send(.podThawed(1))
    #expect(bench.latest[1]?.frozen == false)
    #expect(try bench.main().state.isRunning)
    #expect(bench.pass(15_000).contains(.freezePod(1)))
  }

  @Test("a frozen attempt is killed after frozen-kill, and its end is a disruption and not its own failure")
  func frozenKill() throws {
    var bench = KeeperBench()
    try bench.run(assignment())
    bench.pass(15_000)
    #expect(!bench.pass(599_999).contains(.killPod(1)))
    #expect(bench.pass(1).contains(.killPod(1)))
    bench.send(.podGone(1))
    #expect(try bench.status().phase == .failed)
    #expect(try bench.status().reason == "NodeLost")
    #expect(try bench.status().condition("DisruptionTarget")?.reason == "DeletionByTaintManager")
  }

  @Test("a stop of a frozen attempt kills it without a thaw")
  func stopFrozen() throws {
    var bench = KeeperBench()
    try bench.run(assignment())
    bench.pass(15_000)
    let effects = bench.request(.stop(1, graceMilliseconds: 30_000))
    #expect(effects.contains(.killPod(1)))
    #expect(!effects.contains(.thawPod(1)) && effects.terms.isEmpty)
  }

  @Test("an attempt that cannot be frozen is killed")
  func freezeFailure() throws {
    var bench = KeeperBench()
    bench.freezes = false
    try bench.run(assignment())
    bench.pass(15_000)
    #expect(bench.send(.freezeFailed(1, message: "no freezer")).contains(.killPod(1)))
  }

  @Test("a freeze that nobody confirms becomes a kill before the death timer strikes")
  func unconfirmedFreeze() throws {
    var bench = KeeperBench()
    bench.freezes = false
    try bench.run(assignment())
    let effects = bench.pass(15_300)
    #expect(effects.contains(.freezePod(1)) && effects.contains(.killPod(1)))
    #expect(!bench.isKilled)
  }

  @Test("nothing is started or restarted in a frozen attempt")
  func noStartWhileFrozen() throws {
    var bench = KeeperBench()
    try bench.run(assignment(spec: podSpec(policy: .always), toleration: 0), lease: 3_000)
    bench.exit(0, code: 1)
    bench.send(.containerStarted(ContainerRun(attempt: 1, slot: 0, restart: 1)))
    bench.exit(0, restart: 1, code: 1)
    let effects = bench.pass(60_000)
    #expect(effects.contains(.freezePod(1)))
    #expect(effects.startedRuns.isEmpty)
  }

  @Test("on-lease-end kill: SIGTERM grace before D, SIGKILL at D, grace never extends D")
  func killMode() throws {
    var bench = KeeperBench()
    let body = assignment(spec: podSpec(grace: 4), annotations: ["stint.dev/on-lease-end": "kill"])
    try bench.run(body)
    #expect(bench.pass(10_999).isEmpty)
    #expect(bench.pass(1).terms == [0])
    #expect(!bench.pass(3_999).contains(.killPod(1)))
    let atDeadline = bench.pass(1)
    #expect(atDeadline.contains(.killPod(1)))
    #expect(!bench.all.contains(.freezePod(1)))
  }

  @Test("on-lease-end kill with a long grace: SIGTERM waits for the lease end")
  func killModeLongGrace() throws {
    var bench = KeeperBench()
    try bench.run(assignment(spec: podSpec(grace: 300), annotations: ["stint.dev/on-lease-end": "kill"]))
    #expect(bench.pass(4_999).terms.isEmpty)
    #expect(bench.pass(1).terms == [0])
    #expect(bench.pass(10_000).contains(.killPod(1)))
  }

  @Test("a pod that is being stopped within its grace is killed at D")
  func graceDoesNotExtend() throws {
    var bench = KeeperBench()
    try bench.run(assignment())
    bench.request(.stop(1, graceMilliseconds: 600_000))
    #expect(!bench.pass(14_999).contains(.killPod(1)))
    #expect(bench.pass(1).contains(.killPod(1)))
  }

  @Test("renewals keep a grace that is longer than lease and toleration")
  func graceIsKept() throws {
    var bench = KeeperBench()
    try bench.run(assignment())
    bench.request(.stop(1, graceMilliseconds: 60_000))
    for _ in 0..<59 {
      #expect(!bench.pass(1_000).contains(.killPod(1)))
      bench.request(.renew(leaseEnd: boot(bench.now + 5_000), attempts: [1]))
    }
    #expect(bench.pass(1_000).contains(.killPod(1)))
  }

  @Test("a pod whose init is still being made at D is killed")
  func startingAtDeadline() throws {
    var bench = KeeperBench()
    let body = assignment()
    bench.request(.start(body, plan: try plan(body), leaseEnd: boot(bench.now + 5_000)))
    #expect(bench.pass(15_000).contains(.killPod(1)))
    #expect(bench.send(.podStarted(1)).startedRuns.isEmpty)
  }

  // MARK: K4

  @Test("the death timer stands at the earliest deadline plus half a second and moves with renewals")
  func deathTimer() throws {
    var bench = KeeperBench()
    try bench.run(assignment(1, toleration: 60_000))
    try bench.run(assignment(2, toleration: 10_000))
    #expect(bench.deathTimer == boot(1_000 + 5_000 + 10_000 + 500))
    bench.request(.renew(leaseEnd: boot(11_000), attempts: nil))
    #expect(bench.deathTimer == boot(11_000 + 10_000 + 500))
  }

  @Test("the death timer is disarmed when everything is frozen or gone, and not before the freeze is confirmed")
  func disarm() throws {
    var bench = KeeperBench()
    bench.freezes = false
    try bench.run(assignment())
    bench.pass(15_000)
    #expect(bench.deathTimer != nil)
    bench.send(.podFrozen(1))
    #expect(bench.deathTimer == nil)
  }

  /// What the init of attempt 1 holds after these effects, if they say so.
  private func own(_ effects: [KeeperEffect]) -> BootTime? {
    var result: BootTime?
    for effect in effects {
      if case .startPod(1, _, let deadline) = effect { result = deadline }
      if case .moveDeadlines(let deadlines) = effect { result = deadlines[1] ?? result }
    }
    return result
  }

  @Test("a pod's init is started with D, gets each later D, and none while the keeper holds the pod frozen")
  func ownDeadline() throws {
    var bench = KeeperBench()
    #expect(own(try bench.start(assignment())) == boot(1_000 + 5_000 + 10_000))
    #expect(own(bench.request(.renew(leaseEnd: boot(8_000), attempts: [1]))) == boot(18_000))
    // An older lease moves nothing.
    #expect(bench.request(.renew(leaseEnd: boot(7_000), attempts: [1])).isEmpty)
    #expect(own(bench.pass(17_000)) == .never)
    #expect(own(bench.request(.renew(leaseEnd: boot(bench.now + 5_000), attempts: [1]))) == nil)
    let thaw = bench.request(.thaw(1))
    #expect(own(thaw) == boot(bench.now + 15_000))
    #expect(thaw.first == .moveDeadlines([1: boot(bench.now + 15_000)]))
    #expect(thaw.contains(.thawPod(1)))
  }

  @Test("a word that shortens leases moves deadlines and death timer nearer, and is answered after that")
  func shorten() throws {
    var bench = KeeperBench()
    try bench.run(assignment(1), lease: 600_000)
    try bench.run(assignment(2), lease: 3_000)
    let effects = bench.request(.shorten(leaseEnd: boot(6_000), number: 7))
    #expect(effects.first == .moveDeadlines([1: boot(16_000)]))
    // The earliest is the other pod's; it has not moved.
    #expect(bench.deathTimer == boot(1_000 + 3_000 + 10_000 + 500))
    #expect(effects.last == .reply(.shortened(number: 7, settleMilliseconds: 10_000)))
    bench.request(.renew(leaseEnd: boot(5_000), attempts: nil))
    bench.request(.renew(leaseEnd: boot(8_000), attempts: [1, 2]))
    #expect(bench.deathTimer == boot(18_500))
    #expect(bench.pass(16_900).filter { $0 == .freezePod(1) }.isEmpty)
    #expect(bench.pass(100).contains(.freezePod(1)))
  }

  @Test("a shortened lease moves the death timer before it is answered")
  func shortenTimer() throws {
    var bench = KeeperBench()
    try bench.run(assignment(1), lease: 600_000)
    let effects = bench.request(.shorten(leaseEnd: boot(6_000), number: 1))
    let timer = try #require(effects.firstIndex(of: .armDeathTimer(at: boot(16_500))))
    let answer = try #require(effects.firstIndex { if case .reply(.shortened) = $0 { true } else { false } })
    #expect(timer < answer)
  }

  @Test("a word that shortens leases and comes when they would be over changes nothing and is not answered")
  func shortenTooLate() throws {
    var bench = KeeperBench()
    try bench.run(assignment(1), lease: 600_000)
    bench.now = 6_000
    #expect(bench.request(.shorten(leaseEnd: boot(6_000), number: 1)).isEmpty)
    bench.pass(60_000)
    #expect(bench.latest[1]?.frozen == false)
  }

  @Test("a pod that waits for the journal is started under the shortened lease")
  func shortenRecording() throws {
    var bench = KeeperBench()
    bench.journals = false
    let body = assignment()
    bench.request(.start(body, plan: try plan(body), leaseEnd: boot(600_000)))
    bench.request(.shorten(leaseEnd: boot(6_000), number: 1))
    #expect(own(bench.send(.journaled(1, error: nil))) == boot(16_000))
  }

  @Test("an unlimited toleration gives the init no deadline either")
  func noOwnDeadline() throws {
    var bench = KeeperBench()
    #expect(own(try bench.start(assignment(toleration: nil))) == .never)
    #expect(own(bench.request(.renew(leaseEnd: boot(60_000), attempts: nil))) == nil)
  }

  @Test("a killed pod's init is given no more time")
  func killedKeepsItsDeadline() throws {
    var bench = KeeperBench()
    try bench.run(assignment())
    bench.request(.stop(1, graceMilliseconds: 0))
    #expect(own(bench.request(.renew(leaseEnd: boot(60_000), attempts: nil))) == nil)
  }

  @Test("a pod that its own init has stopped is frozen, stays so when its lease moves on, and thaws on the word")
  func stoppedByItsInit() throws {
    var bench = KeeperBench()
    try bench.run(assignment())
    bench.request(.renew(leaseEnd: boot(30_000), attempts: [1]))
    let stopped = bench.send(.podFrozen(1))
    #expect(bench.latest[1]?.frozen == true)
    #expect(own(stopped) == .never)
    #expect(!bench.request(.renew(leaseEnd: boot(40_000), attempts: [1])).contains(.thawPod(1)))
    #expect(bench.request(.thaw(1)).contains(.thawPod(1)))
    // Said again after the thaw: it stands again.
    bench.send(.podFrozen(1))
    #expect(bench.latest[1]?.frozen == true)
  }

  @Test("a pod that its own init has stopped is killed when it prefers death, is ending, or could not be stopped whole")
  func stoppedByItsInitAndKilled() throws {
    var prefersDeath = KeeperBench()
    try prefersDeath.run(assignment(annotations: ["stint.dev/on-lease-end": "kill"]))
    #expect(prefersDeath.send(.podFrozen(1)).contains(.killPod(1)))
    var ending = KeeperBench()
    try ending.run(assignment())
    ending.request(.stop(1, graceMilliseconds: 60_000))
    #expect(ending.send(.podFrozen(1)).contains(.killPod(1)))
    var running = KeeperBench()
    try running.run(assignment())
    #expect(running.send(.freezeFailed(1, message: "still run")).contains(.killPod(1)))
  }

  @Test("a pod that its init has ended while a freeze was not confirmed is a disruption, not a failure of its own")
  func endedByItsInit() throws {
    var bench = KeeperBench()
    bench.freezes = false
    try bench.run(assignment())
    bench.pass(15_000)
    bench.send(.podGone(1))
    #expect(try bench.status().reason == "NodeLost")
  }
}
