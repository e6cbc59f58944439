// The coordinator's disk is lost and a backup of an earlier time is restored (C4), perhaps twice from the same one.
// What was acknowledged since is gone, so the workloads are told; that nothing runs twice must hold nevertheless.

import ClusterProto
import CoordinatorCore

/// What a planted fault leaves out of a restore; each must be found.
package enum PlantedRestore: Sendable {
  /// The store is put back as it is.
  case opensNoEpoch
  /// It takes numbers above all, and gives out pods at once.
  case waitsForNothing
}

final class RestoreFaults {
  private let cluster: SimCluster
  private let world: World
  private let planted: PlantedRestore?
  private let meanPause: TrueTime
  private let isDrawn: Bool
  private var isOver = false
  private(set) var count = 0
  /// The store is older than what was answered.
  var restored: (() -> Void)?

  init(cluster: SimCluster, often: Bool, planted: PlantedRestore?) {
    self.cluster = cluster
    self.planted = planted
    world = cluster.world
    meanPause =
      planted != nil ? 60_000_000 : world.pickRare(often ? 200_000_000...400_000_000 : 400_000_000...1_500_000_000)
    isDrawn = world.chance(0.3) || often || planted != nil
  }

  func begin() { if isDrawn { scheduleNext() } }

  func end() { isOver = true }

  private func scheduleNext() {
    world.after(world.delay(mean: meanPause) + 1_000_000) { [self] in
      guard !isOver else { return }
      let backup = cluster.coordinator.store
      world.record("coordinator's store is backed up")
      loseDisk(backup, after: world.pickRare(1_000_000...300_000_000))
      scheduleNext()
    }
  }

  private func loseDisk(_ backup: SimStore, after pause: TrueTime) {
    world.after(pause) { [self] in
      guard !isOver, cluster.coordinator.restore(backup, facts(backup)) else { return }
      count += 1
      restored?()
      world.after(world.pickLong(100_000...120_000_000)) { [self] in cluster.coordinator.start() }
      if world.chance(0.3) { loseDisk(backup, after: world.pickRare(10_000_000...400_000_000)) }
    }
  }

  /// The rows that the restore writes.
  private func facts(_ backup: SimStore) -> [StoreWrite] {
    func write(_ key: String, _ value: JSON) -> StoreWrite {
      StoreWrite(table: .facts, key: key, value: Array(value.text.utf8))
    }
    func number(_ key: String) -> Int64 {
      backup.value(.facts, key).flatMap { try? JSON(parsing: $0) }?.intValue ?? 0
    }
    switch planted {
    case nil: return [write(CoordinatorCore.restoredFact, .object(JSONObject()))]
    case .opensNoEpoch: return []
    case .waitsForNothing:
      let far = Int64(count + 1) << 36
      return [
        write("incarnation", .int(number("incarnation") + far)), write("attempt", .int(number("attempt") + far)),
        write("marks", .object(JSONObject())),
      ]
    }
  }
}
