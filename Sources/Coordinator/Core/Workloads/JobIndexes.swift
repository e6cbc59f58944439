// Which indexes a Job's pods hold now, and the failed pods that wait for their replacement: an index's count of
// failures lives in the annotations of its last failed pod, which keeps the tracking finalizer until the next pod has
// the count. Kept by each pod's change. What becomes of an index is the Job controller's.

import ClusterProto

/// Pods by the index that they hold.
struct IndexedPods: Equatable, Sendable {
  private var keys: [Int64: [ObjectKey]] = [:]
  /// Indexes that some pod holds.
  private(set) var indexes = IndexIntervals()
  /// Indexes that more than one pod holds.
  private(set) var crowded = InsertionSet<Int64>()
  /// How many pods hold an index.
  private(set) var count = 0

  func pods(of index: Int64) -> [ObjectKey] { keys[index] ?? [] }

  mutating func add(_ index: Int64, _ key: ObjectKey) {
    count += 1
    keys[index, default: []].append(key)
    if !indexes.insert(index) { crowded.insert(index) }
  }

  mutating func take(_ index: Int64, _ key: ObjectKey) {
    guard let position = keys[index]?.firstIndex(of: key) else { return }
    count -= 1
    keys[index]?.remove(at: position)
    let left = keys[index]?.count ?? 0
    if left < 2 { crowded.remove(index) }
    if left == 0 {
      keys[index] = nil
      indexes.remove(index)
    }
  }

  /// The order of two pods of one index is no difference.
  static func == (left: IndexedPods, right: IndexedPods) -> Bool {
    left.indexes == right.indexes && left.count == right.count && left.crowded == right.crowded
  }
}

/// Failed pods that are counted when their index gets its next pod.
struct HeldPods: Sendable {
  struct Pod: Sendable {
    var key: ObjectKey
    /// When the index's next pod is due.
    var due: BootTime
    /// Whether it will count as failed.
    var isCounted: Bool
  }

  private var pods: [Int64: Pod] = [:]
  private(set) var keys = InsertionSet<ObjectKey>()
  /// How many of them will count as failed.
  private(set) var counted: Int64 = 0

  var isEmpty: Bool { keys.isEmpty }
  subscript(index: Int64) -> Pod? { pods[index] }

  mutating func hold(_ pod: Pod, of index: Int64) {
    if let before = pods[index] { take(index, before.key) }
    pods[index] = pod
    keys.insert(pod.key)
    if pod.isCounted { counted += 1 }
  }

  mutating func take(_ index: Int64, _ key: ObjectKey) {
    guard let pod = pods[index], pod.key == key else { return }
    pods[index] = nil
    keys.remove(key)
    if pod.isCounted { counted -= 1 }
  }
}

extension Slot {
  /// How many counted failures the pod's index has had before it.
  static let failuresAnnotation = "batch.kubernetes.io/job-index-failure-count"
  /// The same for failures that were not counted.
  static let ignoredAnnotation = "batch.kubernetes.io/job-index-ignored-failure-count"

  /// The index that a pod of an Indexed Job bears; nil: none that is one.
  static func index(of pod: ClusterProto.Pod) -> Int64? {
    guard let index = pod.meta.annotations[indexAnnotation].flatMap({ Int64($0) }), index >= 0 else { return nil }
    return index
  }

  static func count(_ annotation: String, of pod: ClusterProto.Pod) -> Int64 {
    max(0, pod.meta.annotations[annotation].flatMap { Int64($0) } ?? 0)
  }
}

extension CoordinatorCore {
  /// The lowest indexes below the completions that have neither succeeded nor failed and that no pod holds, at most
  /// `count`.
  func pendingIndexes(_ round: JobRound, count: Int64) -> [Int64] {
    guard let completions = round.job.spec.completions, count > 0 else { return [] }
    let tally = tally(of: round.job)
    var taken = [round.status.completedIndexes, tally.indexed.indexes]
    if let failed = round.status.failedIndexes { taken.append(failed) }
    if round.job.spec.podReplacementPolicy == "Failed" { taken.append(tally.ending.indexes) }
    var result: [Int64] = []
    var index: Int64 = 0
    while index < completions, Int64(result.count) < count {
      if let end = taken.lazy.compactMap({ $0.end(around: index) }).max() {
        index = end + 1
      } else {
        result.append(index)
        index += 1
      }
    }
    return result
  }

  /// Of the pending indexes those whose pause is over; and else when the first of the others is due.
  func dueIndexes(_ indexes: [Int64], of job: Job) -> (now: [Int64], next: BootTime?) {
    let tally = tally(of: job)
    if tally.held.isEmpty { return (indexes, nil) }
    var due: [Int64] = []
    var next: BootTime?
    for index in indexes {
      if let end = tally.held[index]?.due, end > now.boot {
        next = min(end, next ?? end)
      } else {
        due.append(index)
      }
    }
    return (due, due.isEmpty ? next : nil)
  }

  /// Active pods that hold no index of their Job, or one that a better pod holds: Kubernetes' order says which stays.
  func misplacedPods(of job: Job) -> [ObjectKey] {
    guard job.spec.isIndexed, let completions = job.spec.completions else { return [] }
    let tally = tally(of: job)
    var result: [ObjectKey] = []
    if tally.indexed.count < tally.active.count || tally.indexed.indexes.last ?? 0 >= completions {
      for key in tally.active {
        guard let pod = state.pods[key] else { continue }
        if Slot.index(of: pod).map({ $0 >= completions }) ?? true { result.append(key) }
      }
    }
    for index in tally.indexed.crowded where index < completions {
      result += inDeletionOrder(tally.indexed.pods(of: index)).dropLast()
    }
    return result
  }
}
