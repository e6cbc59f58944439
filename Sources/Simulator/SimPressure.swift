// What one simulated machine has left of memory, disk and processes, and what its pods use: spells in which there is
// too little of one of them. Pods go for it then, or because they keep more than they may. Draws from a generator of
// its own, so that worlds without it stay as they are. Holds that a node ends one pod at a time for it.

import AgentCore
import ClusterProto
import CoordinatorCore

final class SimPressure {
  /// What a node has for its pods' files.
  static let storageBytes: Int64 = 8 << 30
  /// What the container of a Job may keep that has a limit.
  static let limit = "1Gi"

  private enum Spell: CaseIterable { case memory, disk, inodes, processes }

  private let world: World
  private let node: Int
  private var random: SplitMix64
  private var spell: Spell?
  private var changesAt: TrueTime
  private var isHealed = false
  /// Attempts that were ended for the node's sake.
  private var evicted: Set<AttemptNumber> = []

  init(world: World, node: Int, seed: UInt64) {
    self.world = world
    self.node = node
    random = SplitMix64(seed: seed &* 101 &+ UInt64(node) &+ 13)
    changesAt = world.now + 60_000_000 * world.pace.rarity
  }

  var evictions: Int { evicted.count }

  func heal() {
    isHealed = true
    spell = nil
  }

  /// Settings of an agent that begins here: it takes pods again after half a minute.
  func begin(_ configuration: inout AgentConfiguration) {
    configuration.eviction.transitionMilliseconds = 30_000
    configuration.capacity.storageBytes = Self.storageBytes
    configuration.diskRoom = disk()
  }

  private func pick(_ range: ClosedRange<Int64>) -> Int64 {
    range.lowerBound + Int64(random.below(UInt64(range.upperBound - range.lowerBound + 1)))
  }

  /// Spells of up to two minutes, with up to ten between.
  private var present: Spell? {
    while !isHealed, changesAt <= world.now {
      if spell == nil {
        spell = Spell.allCases[Int(pick(0...3))]
        changesAt += pick(5_000_000...120_000_000) * world.pace.beat
        world.record("node \(node) is short of \(spell.map { "\($0)" } ?? "")")
      } else {
        spell = nil
        changesAt += pick(20_000_000...600_000_000) * world.pace.rarity
      }
    }
    return spell
  }

  /// nil: now and then the machine does not tell.
  func machine() -> MachineRoom? {
    let short = present
    if !isHealed, pick(0...19) == 0 { return nil }
    return MachineRoom(
      memory: (short == .memory ? pick(0...99 << 20) : 4 << 30, 8 << 30),
      processes: (short == .processes ? pick(0...1_600) : 30_000, 32_768))
  }

  func disk() -> DiskRoom {
    let short = present
    return DiskRoom(
      availableBytes: short == .disk ? UInt64(pick(0...99)) : 50 << 30, totalBytes: 100 << 30,
      availableInodes: short == .inodes ? UInt64(pick(0...99)) : 1 << 20, totalInodes: 1 << 21)
  }

  /// What the containers of these attempts use, but for one now and then that has only begun.
  func usage(of attempts: [AttemptNumber]) -> [AttemptUsage] {
    attempts.filter { _ in pick(0...9) > 0 }.map { attempt in
      AttemptUsage(
        attempt: attempt, containers: ["main": Usage(cpu: world.now, memory: pick(0...2 << 30))],
        processes: pick(1...50))
    }
  }

  /// After how long a look at a pod's files answers what.
  func look(_ limits: StorageLimits) -> (after: TrueTime, StorageUsage?) {
    let after = pick(0...99) == 0 ? pick(1_000_000...90_000_000) : pick(100...200_000)
    if !isHealed, pick(0...49) == 0 { return (after, nil) }
    var usage = StorageUsage()
    let isGreedy = !isHealed && pick(0...49) == 0
    usage.containers["main"] = isGreedy ? pick((1 << 30) + 1...4 << 30) : pick(0...1 << 30)
    usage.inodes = pick(0...1_000)
    usage.milliseconds = after / 1_000
    return (after, usage)
  }

  /// After each step of a keeper here: whom it ends for the node's sake.
  func check(_ attempts: [AttemptNumber]) {
    evicted.formUnion(attempts)
    if attempts.count > 1 { world.violated("I21: node \(node) evicts attempts \(attempts) at once") }
  }

  /// I22: each eviction is told once, whatever crashed meanwhile.
  static func judge(_ cluster: SimCluster) {
    cluster.request(APIRequest(verb: .list, kind: .events, namespace: "default")) { code, list in
      guard code == 200 else { return cluster.world.violated("listing events is answered \(code)") }
      var told: Set<String> = []
      for event in list["items"]?.arrayValue ?? [] where event["reason"] == "Evicted" {
        let pod = event[path: ["involvedObject", "uid"]]?.stringValue ?? ""
        let count = event["count"]?.intValue ?? 1
        if count != 1 || !told.insert(pod).inserted {
          cluster.world.violated(
            "I22: the eviction of \(event[path: ["involvedObject", "name"]]?.text ?? "") is told again")
        }
      }
    }
  }
}
