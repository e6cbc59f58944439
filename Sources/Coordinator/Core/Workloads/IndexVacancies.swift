// Which indexes of a Job have no pod and want one, kept by each pod's change: finding the next costs what became free,
// not the indexes that the Job has. A hint only: who asks says of each index whether it is pending. It must not know
// why an index waits.

import ClusterProto

struct IndexVacancies: Sendable {
  /// No index from here on was looked at yet.
  private(set) var frontier: Int64 = 0
  /// Below the frontier: indexes that may be pending.
  private(set) var open = IndexIntervals()
  /// Below the frontier: pending indexes whose pause goes on.
  private(set) var paused = IndexIntervals()
  private var pauses = TimerQueue<Int64>()
  private var looked = 0

  /// How many indexes were looked at since this was last asked.
  mutating func takeLooked() -> Int {
    defer { looked = 0 }
    return looked
  }

  /// A pod has left the index, or what held it back has changed.
  mutating func free(_ index: Int64) {
    guard index < frontier else { return }
    resume(index)
    open.insert(index)
  }

  /// The index has a pod.
  mutating func fill(_ index: Int64) {
    resume(index)
    open.remove(index)
  }

  private mutating func resume(_ index: Int64) {
    if paused.remove(index) { pauses.cancel(index) }
  }

  /// What was known of the indexes no longer holds.
  mutating func forget() {
    self = IndexVacancies()
  }

  /// The end of the earliest pause.
  mutating func nextEnd() -> BootTime? { pauses.earliest() }

  /// Up to `count` indexes that may have their next pod now, of the lowest `places` that are pending, the lowest
  /// first. An index that pauses takes its place as Kubernetes has it: it stays empty. `end` is the last index of a run
  /// that is not pending around the index, or nil; `pause` is when its pause ends, or nil.
  mutating func next(
    _ count: Int64, places: Int64, below completions: Int64, at now: BootTime, end: (Int64) -> Int64?,
    pause: (Int64) -> BootTime?
  ) -> [Int64] {
    while let index = pauses.popDue(at: now) {
      paused.remove(index)
      open.insert(index)
    }
    var result: [Int64] = []
    var from: Int64 = 0
    while Int64(result.count) < count, let index = open.next(from: from), index < completions {
      looked += 1
      from = index + 1
      if end(index) != nil {
        open.remove(index)
      } else if !park(index, pause(index), now), !take(index, places, &result) {
        return result
      }
    }
    while Int64(result.count) < count, frontier < completions {
      looked += 1
      let index = frontier
      if let last = end(index) {
        frontier = last + 1
        continue
      }
      frontier += 1
      if park(index, pause(index), now) { continue }
      open.insert(index)
      if !take(index, places, &result) { return result }
    }
    return result
  }

  private mutating func park(_ index: Int64, _ end: BootTime?, _ now: BootTime) -> Bool {
    guard let end, end > now else { return false }
    open.remove(index)
    paused.insert(index)
    pauses.set(index, at: end)
    return true
  }

  /// False when the lowest pending indexes have all places.
  private func take(_ index: Int64, _ places: Int64, _ result: inout [Int64]) -> Bool {
    let ahead = Int64(result.count)
    if ahead + paused.count >= places, ahead + paused.count(below: index) >= places { return false }
    result.append(index)
    return true
  }
}
