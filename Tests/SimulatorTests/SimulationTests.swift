// The simulator itself: it repeats itself exactly, it finds what is planted, and a few seeds run with every test run.

import ClusterProto
import Testing

@testable import Simulator

@Suite("The simulator") struct SimulationTests {
  @Test("two runs of one seed have the same trace")
  func repeats() {
    let first = Simulation(seed: 7, hours: 0.1).run()
    let second = Simulation(seed: 7, hours: 0.1).run()
    #expect(first.traceHash == second.traceHash)
    #expect(first.steps == second.steps)
  }

  @Test("in a slow world as much happens over a longer time, and it is kept", arguments: [Pace.slow, .calm])
  func paces(pace: Pace) {
    let busy = Simulation(seed: 7, hours: 0.1).run()
    let report = Simulation(seed: 7, hours: 0.1, pace: pace).run()
    #expect(report.violations == [])
    #expect(report.simulated >= busy.simulated * pace.rarity / 4)
    #expect(report.jobs > 0 && report.faults > 0 && report.starts > 0)
  }

  @Test("a batch draws half of its worlds calm, a fourth slow, a fourth busy, the same ones each time")
  func drawsPaces() {
    let drawn = (1...400 as ClosedRange<UInt64>).map(Pace.drawn)
    #expect(drawn == (1...400 as ClosedRange<UInt64>).map(Pace.drawn))
    for (pace, share) in [(Pace.busy, 100), (.slow, 100), (.calm, 200)] {
      #expect(abs(drawn.filter { $0 == pace }.count - share) < 50)
    }
  }

  @Test("another seed has another trace")
  func differs() {
    #expect(Simulation(seed: 7, hours: 0.05).run().traceHash != Simulation(seed: 8, hours: 0.05).run().traceHash)
  }

  @Test("a seed keeps every promise, and something happens in it", arguments: [1, 2, 3, 8, 11, 24, 89, 97] as [UInt64])
  func holds(seed: UInt64) {
    let report = Simulation(seed: seed, hours: 0.15).run()
    #expect(report.violations == [])
    #expect(report.jobs > 0 && report.starts > 0)
  }

  /// Each once broke a promise at about that time.
  @Test("seeds that were violated hold", arguments: [(11, 0.31)] as [(UInt64, Double)])
  func mended(seed: UInt64, hours: Double) {
    #expect(Simulation(seed: seed, hours: hours).run().violations == [])
  }

  @Test(
    "where images are fetched, slowly, in vain and for ever, every promise holds", arguments: [2, 6, 10] as [UInt64])
  func images(seed: UInt64) {
    let report = Simulation(seed: seed, hours: 0.25).run()
    #expect(report.violations.isEmpty, "\(report.violations) \(report.tail.suffix(30))")
    #expect(report.pulls > 0 && report.starts > 0)
  }

  @Test(
    "where containers have probes and hooks, some of which never answer, every promise holds",
    arguments: [3, 7, 11] as [UInt64])
  func care(seed: UInt64) {
    let report = Simulation(seed: seed, hours: 0.25).run()
    #expect(report.violations == [])
    #expect(report.checks > 100)
  }

  @Test(
    "where nodes are short of memory, disk or processes, pods go for it, one at a time, and every promise holds",
    arguments: [4, 14] as [UInt64])
  func pressure(seed: UInt64) {
    let report = Simulation(seed: seed, hours: 0.4).run()
    #expect(report.violations.isEmpty, "\(report.violations) \(report.tail.suffix(30))")
    #expect(report.evictions > 0)
  }

  @Test("where people add containers to pods that run every promise holds", arguments: [6, 16] as [UInt64])
  func debugs(seed: UInt64) {
    let report = Simulation(seed: seed, hours: 0.25).run()
    #expect(report.violations.isEmpty, "\(report.violations) \(report.tail.suffix(30))")
    #expect(report.debuggers > 0)
  }

  @Test("pods give their place to those of higher priority, in some of the first seeds, and every promise holds")
  func preempts() {
    var preemptions = 0
    for seed in 1...24 as ClosedRange<UInt64> where preemptions == 0 {
      let report = Simulation(seed: seed, hours: 0.25).run()
      #expect(report.violations == [])
      preemptions += report.preemptions
    }
    #expect(preemptions > 0)
  }

  @Test(
    "the authority is exchanged while everything else fails, and nobody is locked out",
    arguments: [3, 9, 24, 33] as [UInt64])
  func exchanges(seed: UInt64) {
    let report = Simulation(seed: seed, hours: 0.5).run()
    #expect(report.violations == [])
    #expect(report.exchanges > 0)
  }

  @Test("a coordinator that sends before its commit is found")
  func findsSendsBeforeCommit() {
    var simulation = Simulation(seed: 1, hours: 0.1)
    simulation.sendsBeforeCommit = true
    #expect(simulation.run().violations.contains { $0.contains("I13") })
  }

  /// A cluster whose only faults are hung disks and standing loops.
  private func disks(_ seed: UInt64, leavesDeadlinesToKeeper: Bool) -> SimulationReport {
    var simulation = Simulation(seed: seed, hours: 0.25)
    simulation.drawn = .disks
    simulation.leavesDeadlinesToKeeper = leavesDeadlinesToKeeper
    return simulation.run()
  }

  @Test("under hung disks and standing loops every promise holds", arguments: 1...4 as ClosedRange<UInt64>)
  func disksHang(seed: UInt64) {
    let report = disks(seed, leavesDeadlinesToKeeper: false)
    #expect(report.violations == [])
    #expect(report.faults > 0)
  }

  @Test("a keeper that is alone with its pods' deadlines is found: a hung disk holds it, and two copies run")
  func findsKeeperAlone() {
    // Which seed draws a hang that is long enough depends on the build: most do.
    let found = (1...12 as ClosedRange<UInt64>).contains { seed in
      disks(seed, leavesDeadlinesToKeeper: true).violations.contains { $0.contains("H3") }
    }
    #expect(found)
  }

  /// A cluster in which nothing fails but the coordinator, which stands now and then, or whose disk hangs.
  private func pauses(_ seed: UInt64, hides: Bool = false, hidesStalls: Bool = false) -> SimulationReport {
    var simulation = Simulation(seed: seed, hours: 0.25)
    simulation.drawn = .coordinatorPauses
    simulation.hidesPauses = hides
    simulation.hidesStalls = hidesStalls
    return simulation.run()
  }

  @Test(
    "no pod is lost by a pause of the coordinator or its disk alone, however long",
    arguments: 1...6 as ClosedRange<UInt64>)
  func pausesLoseNothing(seed: UInt64) {
    let report = pauses(seed)
    #expect(report.violations == [])
    #expect(report.faults > 0 && report.starts > 0)
  }

  @Test("a coordinator that goes on after a pause as if it had heard nobody meanwhile is found")
  func findsHiddenPauses() {
    let found = (1...4 as ClosedRange<UInt64>).contains { seed in
      pauses(seed, hides: true).violations.contains { $0.contains("only stood still") }
    }
    #expect(found)
  }

  @Test("a coordinator that judges silence while its own store does not answer is found")
  func findsHiddenStalls() {
    let found = (1...4 as ClosedRange<UInt64>).contains { seed in
      pauses(seed, hidesStalls: true).violations.contains { $0.contains("only stood still") }
    }
    #expect(found)
  }

  @Test("a sweep that a moved directory claims, and an equal machine that passes for a reboot, are found when believed")
  func findsBelievedDoubles() {
    for planted in [PlantedEvidence.copies, .images] {
      let isFound = (1...24 as ClosedRange<UInt64>).contains { seed in
        var simulation = Simulation(seed: seed, hours: 0.15)
        simulation.plantedEvidence = planted
        return simulation.run().violations.contains { $0.contains("H3") }
      }
      #expect(isFound, "\(planted)")
    }
  }

  @Test("a node that lies about its numbers with the coordinator's own key is found, as it would be without proofs")
  func findsForger() {
    let found = (1...12 as ClosedRange<UInt64>).contains { seed in
      var simulation = Simulation(seed: seed, hours: 0.15)
      simulation.forgerHasKey = true
      return simulation.run().violations.contains { $0.contains("halts") }
    }
    #expect(found)
  }

  @Test("a restore that opens no epoch, and one that waits for nothing, are found")
  func findsHalfRestores() {
    for (planted, word) in [(PlantedRestore.opensNoEpoch, "halts"), (.waitsForNothing, "H3")] {
      let isFound = (1...12 as ClosedRange<UInt64>).contains { seed in
        var simulation = Simulation(seed: seed, hours: 0.25)
        simulation.plantedRestore = planted
        return simulation.run().violations.contains { $0.contains(word) }
      }
      #expect(isFound, "\(planted)")
    }
  }

  @Test("a controller that writes a run and the status that knows of it apart is found: a due time runs twice")
  func findsSplitRuns() {
    let isFound = (1...12 as ClosedRange<UInt64>).contains { seed in
      var simulation = Simulation(seed: seed, hours: 0.25)
      simulation.splitsRuns = true
      return simulation.run().violations.contains { $0.contains("H7") || $0.contains("H8") }
    }
    #expect(isFound)
  }

  @Test("a due time that is noted before its run is written is found, and one that never gets a run")
  func findsLostRuns() {
    var apart = Simulation(seed: 1, hours: 0.1)
    apart.writesRunsLater = true
    #expect(apart.run().violations.contains { $0.contains("H7") && $0.contains("no run of that time") })
    let isFound = (1...6 as ClosedRange<UInt64>).contains { seed in
      var without = Simulation(seed: seed, hours: 0.1)
      without.leavesCronsSuspended = true
      return without.run().violations.contains { $0.contains("H11") }
    }
    #expect(isFound)
  }

  @Test("backups that are restored, again and again, keep every promise", arguments: 1...3 as ClosedRange<UInt64>)
  func restoresHold(seed: UInt64) {
    var simulation = Simulation(seed: seed, hours: 0.5)
    simulation.restoresOften = true
    let report = simulation.run()
    #expect(report.violations == [])
    #expect(report.restores > 0)
  }

  @Test("the ledger sees a second copy, and not one that is frozen")
  func ledger() {
    let world = World(seed: 1)
    let ledger = Ledger(world: world)
    ledger.allow(job: "a", atOnce: 1)
    ledger.started(1, slot: 0, job: "a", node: 0)
    ledger.frozen(1, true)
    ledger.started(2, slot: 0, job: "a", node: 1)
    #expect(world.violations.isEmpty)
    ledger.frozen(1, false)
    #expect(world.violations.count == 1)
  }

  @Test("the ledger sees pods that use more of a node than it has, and not one that is frozen")
  func ledgerOfRoom() {
    let world = World(seed: 1)
    let ledger = Ledger(world: world)
    for (number, job) in [(1, "low"), (2, "high")] as [(AttemptNumber, String)] {
      ledger.allow(job: job, atOnce: 1)
      ledger.require(5_000, job: job)
      ledger.started(number, slot: 0, job: job, node: 0)
      if number == 1 { ledger.frozen(1, true) }
    }
    #expect(world.violations.isEmpty)
    ledger.frozen(1, false)
    #expect(world.violations.count == 1 && world.violations[0].contains("H12"))
  }

  @Test("work runs in the order of its times, equal times in the order of scheduling")
  func order() {
    let world = World(seed: 1)
    var seen: [Int] = []
    world.after(20) { seen.append(3) }
    world.after(10) { seen.append(1) }
    world.after(10) { seen.append(2) }
    world.run(until: 30)
    #expect(seen == [1, 2, 3])
    #expect(world.now == 30)
  }

  @Test("two machines' clocks run less than 5 % apart")
  func clocks() {
    let world = World(seed: 3)
    let machines = (0..<100).map { _ in MachineClock(world: world) }
    let before = machines.map { $0.now(world).boot }
    world.run(until: 3_600_000_000)
    let elapsed = zip(machines, before).map { $0.now(world).boot - $1 }
    let fastest = elapsed.max() ?? 0
    let slowest = elapsed.min() ?? 1
    #expect(Double(fastest) / Double(slowest) < 1.05)
  }
}
