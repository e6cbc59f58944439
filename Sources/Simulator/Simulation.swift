// One seed from begin to verdict: faults for the given time, then everything heals and every Job must reach its end.

import ClusterProto
import CoordinatorCore

/// What a run of one seed showed.
package struct SimulationReport: Sendable {
  /// The seed of the run.
  package var seed: UInt64
  /// The pace of its world.
  package var pace = Pace.busy
  /// Two runs of one seed and build have the same hash.
  package var traceHash: String
  /// How many steps the world took.
  package var steps: Int
  /// Simulated microseconds until the verdict: with faults, and what came after the last of them.
  package var simulated: Int64
  /// How many Jobs users submitted.
  package var jobs: Int
  /// How many faults struck.
  package var faults: Int
  /// How many backups were restored.
  package var restores: Int
  /// How many pods had to give their place to others.
  package var preemptions: Int
  /// How many exchanges of the authority began.
  package var exchanges: Int
  /// How many containers were started.
  package var starts: Int
  /// How many pods were frozen.
  package var freezes: Int
  /// How many images were fetched.
  package var pulls: Int
  /// How many probes and hooks were carried out.
  package var checks: Int
  /// How many pods were ended because their node was short of something.
  package var evictions: Int
  /// How many containers were added to pods that ran.
  package var debuggers: Int
  /// Empty: everything held.
  package var violations: [String]
  /// The last lines of the trace before the first violation.
  package var tail: [String]
}

/// Runs one cluster of 3 to 5 nodes from one seed.
package struct Simulation {
  /// How long after the end of faults all must be done, in minutes of a busy world. A restore may leave a Job of eight
  /// completions to its beginning, one after the other: 4.5 for each try, two tries in five fail, and the next one
  /// waits 6 more, which is 90 on average. Settling ends as soon as all is done.
  private static let settleMinutes: TrueTime = 240

  private let seed: UInt64
  private let pace: Pace
  private let duration: TrueTime
  /// For the test that planted faults are found.
  package var sendsBeforeCommit = false
  /// For the same: the keeper's loop of old, which a hung disk holds up, is alone with its pods' deadlines.
  package var leavesDeadlinesToKeeper = false
  /// For the same: the coordinator does not see that it stood.
  package var hidesPauses = false
  /// For the same: the coordinator is not told that its store stalls.
  package var hidesStalls = false
  /// For the same: who lies about numbers has the coordinator's key for their proofs.
  package var forgerHasKey = false
  /// Which faults may strike.
  package var drawn = DrawnFaults.all
  /// What is left out of what the seed draws.
  package var cut = SimulationCut()
  /// For the same test: what copies of directories and machines say is believed.
  package var plantedEvidence: PlantedEvidence?
  /// For the same test: what a restore of a backup leaves out.
  package var plantedRestore: PlantedRestore?
  /// For the same test: CronJobs forget their runs when the coordinator crashes.
  package var splitsRuns = false
  /// For the same test: a due time is noted in one transaction, and its run made in the next.
  package var writesRunsLater = false
  /// For the same test: CronJobs stay suspended that are judged as if they went on.
  package var leavesCronsSuspended = false
  /// A backup is made and restored every few minutes.
  package var restoresOften = false

  /// What happens in `hours` of a busy world, with faults, at the given pace.
  package init(seed: UInt64, hours: Double, pace: Pace = .busy) {
    self.seed = seed
    self.pace = pace
    duration = TrueTime(hours * 3_600_000_000) * pace.rarity
  }

  /// Runs to the verdict.
  package func run() -> SimulationReport {
    let world = World(seed: seed, pace: pace)
    defer { world.end() }
    let configuration = configuration(world)
    let nodes = min(Int(world.pick(3...5)), cut.nodes ?? 5)
    let cluster = SimCluster(world: world, nodeCount: nodes, configuration: configuration)
    cluster.coordinator.sendsBeforeCommit = sendsBeforeCommit
    cluster.coordinator.splitsRuns = splitsRuns
    cluster.coordinator.writesRunsLater = writesRunsLater
    for node in cluster.nodes { node.keeper.inits.holdNothing = leavesDeadlinesToKeeper }
    giveImages(to: cluster)
    givePressure(to: cluster)
    let drawn = drawnFaults
    cluster.coordinator.losesNoPod = drawn == .coordinatorPauses
    cluster.coordinator.hidesPauses = hidesPauses
    cluster.coordinator.hidesStalls = hidesStalls
    cluster.forgerHasKey = forgerHasKey
    let faults = FaultPlan(cluster: cluster, drawn: drawn, cut: cut)
    let doubles = DoubleFaults(cluster: cluster, planted: plantedEvidence)
    let workload = Workload(cluster: cluster)
    let owners = OwnershipWorkload(cluster: cluster)
    let crons = CronWorkload(cluster: cluster)
    crons.leavesSuspended = leavesCronsSuspended
    let waiting = WaitingWorkload(cluster: cluster)
    let restores = RestoreFaults(cluster: cluster, often: restoresOften, planted: plantedRestore)
    let exchanges = exchangesAuthority ? SimAuthorities(cluster: cluster, seed: seed) : nil
    exchanges?.begin()
    restores.restored = {
      workload.storeWasRestored()
      owners.storeWasRestored()
      crons.storeWasRestored()
      waiting.storeWasRestored()
    }
    cluster.coordinator.start()
    for node in cluster.nodes { world.after(world.pick(0...2_000_000)) { node.startAgent() } }
    faults.begin()
    if drawn == .all {
      if cut.keeps(.doubles) { doubles.begin() }
      // A backup holds the authority as well, and one of before an exchange nobody believes.
      if exchanges == nil, cut.keeps(.restores) { restores.begin() }
    }
    giveWishes(to: workload)
    workload.begin()
    if cut.keeps(.owners) { owners.begin() }
    if cut.keeps(.crons) { crons.begin() }
    if cut.keeps(.waiting) { waiting.begin() }
    world.run(until: duration)
    doubles.end()
    restores.end()
    exchanges?.end()
    if world.violations.isEmpty { settle(cluster, faults, workload, owners, crons, waiting) }
    return SimulationReport(
      seed: seed, pace: pace, traceHash: world.traceHash, steps: world.steps, simulated: world.now,
      jobs: workload.jobCount,
      faults: faults.count + doubles.count + restores.count, restores: restores.count,
      preemptions: cluster.coordinator.preemptions, exchanges: exchanges?.count ?? 0, starts: cluster.ledger.starts,
      freezes: cluster.ledger.freezes,
      pulls: cluster.nodes.reduce(0) { $0 + ($1.images?.pulls ?? 0) },
      checks: cluster.nodes.reduce(0) { $0 + $1.checks },
      evictions: cluster.nodes.reduce(0) { $0 + ($1.pressure?.evictions ?? 0) },
      debuggers: cluster.ledger.debuggers,
      violations: world.violations, tail: world.violations.isEmpty ? [] : world.tail)
  }

  private func configuration(_ world: World) -> CoordinatorConfiguration {
    var configuration = CoordinatorConfiguration()
    configuration.clusterID = "simulated"
    configuration.bootID = "one"
    if world.chance(0.3) {
      configuration.heartbeatMilliseconds = world.pickLong(500...3_000)
      configuration.leaseMilliseconds = configuration.heartbeatMilliseconds * world.pick(3...6)
      configuration.defaultTolerationSeconds = world.pickLong(0...30)
    } else if pace != .busy {
      configuration.heartbeatMilliseconds *= pace.beat
      configuration.leaseMilliseconds *= pace.beat
      configuration.defaultTolerationSeconds *= pace.beat
    }
    configuration.politeStopLeaseMilliseconds *= pace.beat
    return configuration
  }

  private var isPlanted: Bool {
    sendsBeforeCommit || leavesDeadlinesToKeeper || hidesPauses || hidesStalls || forgerHasKey || splitsRuns
      || writesRunsLater || leavesCronsSuspended || plantedEvidence != nil || plantedRestore != nil
  }

  /// Anything may happen: nothing is planted, and no fault is drawn for its own sake.
  private var isMixed: Bool { !isPlanted && drawnFaults == .all && !restoresOften }

  /// In one world of eight nothing fails but the coordinator, which stands now and then.
  private var drawnFaults: DrawnFaults {
    drawn == .all && !isPlanted && !restoresOften && seed % 8 == 5 ? .coordinatorPauses : drawn
  }

  /// In a third of the worlds, and in none with a planted fault.
  private var exchangesAuthority: Bool {
    cut.keeps(.exchanges) && isMixed && seed % 3 == 0
  }

  /// In a fourth of the worlds containers have probes and hooks.
  private var asksContainers: Bool { cut.keeps(.checks) && isMixed && seed % 4 == 3 }

  /// In a fourth of the worlds containers run in images that have to be fetched.
  private var pullsImages: Bool { cut.keeps(.images) && isMixed && seed % 4 == 2 }

  /// In a fifth of the worlds nodes are short of memory, disk or processes now and then, and some containers have
  /// limits of what they keep.
  private var isPressed: Bool { cut.keeps(.pressure) && isMixed && seed % 5 == 4 }

  /// In another fifth people add containers to pods that run.
  private var debugsPods: Bool { cut.keeps(.debuggers) && isMixed && seed % 5 == 1 }

  private func giveWishes(to workload: Workload) {
    if asksContainers {
      workload.cares = SplitMix64(seed: seed &* 7_919)
      workload.caresEnd = seed % 8 == 7
    }
    if isPressed { workload.bounds = SplitMix64(seed: seed &* 7_907) }
    if debugsPods { workload.debugs = SplitMix64(seed: seed &* 7_901) }
  }

  private func givePressure(to cluster: SimCluster) {
    guard isPressed else { return }
    for node in cluster.nodes { node.pressure = SimPressure(world: cluster.world, node: node.index, seed: seed) }
  }

  private func giveImages(to cluster: SimCluster) {
    guard pullsImages else { return }
    for node in cluster.nodes { node.images = SimImages(world: cluster.world, node: node.index, seed: seed) }
  }

  private func settle(
    _ cluster: SimCluster, _ faults: FaultPlan, _ workload: Workload, _ owners: OwnershipWorkload,
    _ crons: CronWorkload, _ waiting: WaitingWorkload
  ) {
    let world = cluster.world
    faults.heal()
    workload.end()
    waiting.end()
    crons.end()
    var open: [String]? = nil
    var minutes: TrueTime = 0
    while open != [], minutes < Self.settleMinutes, world.violations.isEmpty {
      world.run(until: world.now + 60_000_000 * pace.rarity)
      minutes += 1
      if minutes % 5 == 1 { workload.end() }
      workload.judge { first in waiting.judge { open = first + $0 } }
      world.run(until: world.now + 5_000_000)
    }
    if world.violations.isEmpty, let open, !open.isEmpty {
      let waited = Self.settleMinutes * pace.rarity
      world.violated("H6: not terminal \(waited) minutes after the last fault: \(open.joined(separator: ", "))")
    }
    if world.violations.isEmpty, open == nil { world.violated("the coordinator does not answer after the last fault") }
    if world.violations.isEmpty {
      crons.beginJudging()
      world.run(until: world.now + crons.judgingTime)
      owners.judge()
      crons.judge()
      SimPressure.judge(cluster)
      world.run(until: world.now + 5_000_000)
    }
    if world.violations.isEmpty { cluster.coordinator.checkRebuild() }
  }
}
