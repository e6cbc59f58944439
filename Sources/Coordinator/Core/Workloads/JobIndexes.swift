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

  /// True when the pod was held for that index.
  @discardableResult
  mutating func take(_ index: Int64, _ key: ObjectKey) -> Bool {
    guard let pod = pods[index], pod.key == key else { return false }
    pods[index] = nil
    keys.remove(key)
    if pod.isCounted { counted -= 1 }
    return true
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
  /// `count` of those whose pause is over. Those that pause keep their places, as in Kubernetes: of the lowest `places`
  /// pending indexes none other gets a pod in their stead.
  mutating func pendingIndexes(_ round: JobRound, count: Int64, places: Int64) -> [Int64] {
    guard let completions = round.job.spec.completions, count > 0 else { return [] }
    let uid = round.job.meta.uid
    // Taken out, so that changing them copies nothing.
    var vacancies = workloads.tallies[uid]?.vacancies ?? IndexVacancies()
    workloads.tallies[uid]?.vacancies = IndexVacancies()
    let taken = takenIndexes(of: round.job, round.status)
    let held = workloads.tallies[uid]?.held ?? HeldPods()
    let indexes = vacancies.next(
      count, places: places, below: completions, at: now.boot,
      end: { index in taken.lazy.compactMap { $0.end(around: index) }.max() }, pause: { held[$0]?.due })
    workloads.looked += vacancies.takeLooked()
    workloads.tallies[uid, default: JobTally()].vacancies = vacancies
    return indexes
  }

  /// Indexes that want no pod, as sets that may overlap.
  private func takenIndexes(of job: Job, _ status: JobStatus) -> [IndexIntervals] {
    var taken = [status.completedIndexes]
    if let memory = workloads.memories[job.meta.uid], !memory.barred.isEmpty { taken.append(memory.barred) }
    if let failed = status.failedIndexes { taken.append(failed) }
    guard let tally = workloads.tallies[job.meta.uid] else { return taken }
    taken.append(tally.indexed.indexes)
    if job.spec.podReplacementPolicy == "Failed" { taken.append(tally.ending.indexes) }
    return taken
  }

  /// An index that wants a pod and is not known to; nil as long as all is well.
  func forgottenIndex(of job: Job) -> Int64? {
    guard let vacancies = workloads.tallies[job.meta.uid]?.vacancies else { return nil }
    let taken = takenIndexes(of: job, job.status) + [vacancies.open, vacancies.paused]
    var index: Int64 = 0
    while index < min(vacancies.frontier, job.spec.completions ?? 0) {
      guard let end = taken.lazy.compactMap({ $0.end(around: index) }).max() else { return index }
      index = end + 1
    }
    return nil
  }

  /// Active pods that hold no index of their Job, or one that a better pod holds: Kubernetes' order says which stays.
  /// At most `limit`: there may be more than that.
  mutating func misplacedPods(of job: Job, limit: Int) -> [ObjectKey] {
    guard job.spec.isIndexed, let completions = job.spec.completions, limit > 0,
      let tally = workloads.tallies[job.meta.uid]
    else { return [] }
    var result: [ObjectKey] = []
    if tally.indexed.count < tally.active.count { result += strangers(of: job, limit: limit) }
    var outside = tally.indexed.indexes.next(from: completions)
    while let index = outside, result.count < limit {
      result += tally.indexed.pods(of: index)
      outside = index < Int64.max ? tally.indexed.indexes.next(from: index + 1) : nil
    }
    for index in tally.indexed.crowded where result.count < limit && index < completions {
      result += inDeletionOrder(tally.indexed.pods(of: index)).dropLast()
    }
    return Array(result.prefix(limit))
  }

  /// Somebody else made such pods. Only where the Job's first pod is one of them they are looked for, once.
  private mutating func strangers(of job: Job, limit: Int) -> [ObjectKey] {
    if let known = workloads.tallies[job.meta.uid]?.strangers { return Array(known.prefix(limit)) }
    let active = workloads.tallies[job.meta.uid]?.active ?? InsertionSet()
    workloads.looked += active.count
    var found = InsertionSet<ObjectKey>()
    for key in active where state.pods[key].map({ Slot.index(of: $0) == nil }) ?? false { found.insert(key) }
    workloads.tallies[job.meta.uid]?.strangers = found
    return Array(found.prefix(limit))
  }
}
