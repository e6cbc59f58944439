// Jobs that wait for other Jobs: who waits for whom, how the others stand, and what has to be remembered of those that
// go. A change of a Job wakes those that wait for it and looks at no others. Must not know queues.

import ClusterProto

/// Who waits for which Job. Derives from the Jobs.
struct DependencyIndex: Sendable {
  /// By the Job that is waited for.
  private var waiters: [ObjectKey: InsertionSet<ObjectKey>] = [:]
  /// Those that wait for single indexes.
  private var indexWaiters: [ObjectKey: InsertionSet<ObjectKey>] = [:]

  func isAwaited(_ key: ObjectKey) -> Bool { waiters[key] != nil }
  func waiters(for key: ObjectKey) -> InsertionSet<ObjectKey> { waiters[key] ?? InsertionSet() }
  func indexWaiters(for key: ObjectKey) -> InsertionSet<ObjectKey> { indexWaiters[key] ?? InsertionSet() }

  mutating func add(_ waiter: ObjectKey, _ dependencies: [JobDependency]) {
    for one in dependencies {
      let key = ObjectKey(namespace: waiter.namespace, name: one.job)
      waiters[key, default: InsertionSet()].insert(waiter)
      if one.isOfIndexes { indexWaiters[key, default: InsertionSet()].insert(waiter) }
    }
  }

  mutating func take(_ waiter: ObjectKey, _ dependencies: [JobDependency]) {
    for one in dependencies {
      let key = ObjectKey(namespace: waiter.namespace, name: one.job)
      waiters[key]?.remove(waiter)
      if waiters[key]?.isEmpty == true { waiters[key] = nil }
      indexWaiters[key]?.remove(waiter)
      if indexWaiters[key]?.isEmpty == true { indexWaiters[key] = nil }
    }
  }
}

/// How a Job that is waited for stood when it went. It is not there to be asked, and must not be waited for again.
struct DependencyRecord: Equatable, Sendable {
  /// The dependency, as `JobDependency.text`.
  var of: String
  /// Why it cannot be met any more; empty: it was met, as far as it says.
  var never = ""
  /// Indexes that were met.
  var met = IndexIntervals()
  /// The Job had ended: what is not met never will be.
  var isFinal = true

  static func all(json: JSON?) -> [DependencyRecord] {
    (json?.arrayValue ?? []).map { one in
      DependencyRecord(
        of: one["of"]?.stringValue ?? "", never: one["never"]?.stringValue ?? "",
        met: IndexIntervals(text: one["met"]?.stringValue ?? ""), isFinal: one["final"]?.boolValue ?? false)
    }
  }

  static func json(_ all: [DependencyRecord]) -> JSON {
    .array(
      all.map { one in
        [
          "of": .string(one.of), "never": .string(one.never), "met": .string(one.met.text), "final": .bool(one.isFinal),
        ]
      })
  }
}

/// What has become of something that a Job waits for.
enum DependencyFinding: Equatable {
  case met
  /// What it waits for, in words.
  case waits(String)
  /// Why that cannot come any more.
  case never(String)
}

/// Which indexes of another Job have ended as asked, and which never will.
struct IndexFinding {
  var met = IndexIntervals()
  var never = IndexIntervals()
}

extension JobDependency {
  /// How it stands with a Job that is there.
  func finding(_ other: Job) -> DependencyFinding {
    guard let end = other.status.finishedCondition else { return .waits(wish) }
    let hasFailed = end.type == "Failed"
    if outcome == .any || hasFailed == (outcome == .failure) { return .met }
    return .never(
      hasFailed
        ? "Job \(job) has failed (\(end.reason)), and this one asks for its success"
        : "Job \(job) has succeeded, and this one asks for its failure")
  }

  /// What it waits for, as part of a sentence.
  var wish: String {
    let what = isOfIndexes ? "indexes of Job \(job)" : "Job \(job)"
    switch outcome {
    case .success: return "the success of \(what)"
    case .failure: return "the failure of \(what)"
    case .any: return "the end of \(what)"
    }
  }

  /// The same of each index, of a Job that is there.
  func indexes(_ other: Job, below completions: Int64) -> IndexFinding {
    let done = other.status.completedIndexes
    var failed = other.status.failedIndexes ?? IndexIntervals()
    let end = other.status.finishedCondition
    if end?.type == "Failed" { failed = done.inverted(below: other.spec.completions ?? 0) }
    var result = IndexFinding()
    switch outcome {
    case .success: (result.met, result.never) = (done, failed)
    case .failure: (result.met, result.never) = (failed, done)
    case .any:
      result.met = done
      result.met.formUnion(failed)
      if end != nil { result.met = IndexIntervals().inverted(below: other.spec.completions ?? 0) }
    }
    result.met.trim(below: completions)
    result.never.trim(below: completions)
    if end != nil || !other.spec.isIndexed { result.never = result.met.inverted(below: completions) }
    return result
  }
}

extension CoordinatorCore {
  // MARK: Who waits

  /// A Job came, changed or went: as one that waits, and as one that is waited for.
  mutating func observeDependencies(_ change: ObjectChange) {
    guard case .job(let job)? = change.subject else { return }
    let before: Job? = if case .job(let job)? = change.before { job } else { nil }
    let after: Job? = if case .job(let job)? = change.after { job } else { nil }
    let key = job.meta.key
    let was = before?.openDependencies ?? []
    let waits = after?.openDependencies ?? []
    if was != waits {
      workloads.waiters.take(key, was)
      workloads.waiters.add(key, waits)
    }
    guard workloads.waiters.isAwaited(key) else { return }
    if after == nil { rememberDependency(job) }
    if (before == nil) != (after == nil) || before?.status.isFinished != after?.status.isFinished {
      for waiter in workloads.waiters.waiters(for: key) { workloads.jobs.add(waiter) }
    } else if before?.status.completedIndexes != after?.status.completedIndexes
      || before?.status.failedIndexes != after?.status.failedIndexes
    {
      for waiter in workloads.waiters.indexWaiters(for: key) { workloads.jobs.add(waiter) }
    }
  }

  /// A Job goes that others wait for: what they have had of it stays theirs.
  private mutating func rememberDependency(_ gone: Job) {
    for key in workloads.waiters.waiters(for: gone.meta.key) {
      guard let waiter = state.jobs[key] else { continue }
      for one in waiter.openDependencies where one.job == gone.meta.name {
        guard var record = record(of: one, waiter) ?? newRecord(of: one, gone, waiter) else { continue }
        if one.isOfIndexes, !record.isFinal {
          record.met.formUnion(one.indexes(gone, below: waiter.spec.completions ?? 0).met)
          record.isFinal = gone.status.isFinished
        }
        keep(record, of: waiter)
      }
    }
  }

  private func newRecord(of one: JobDependency, _ gone: Job, _ waiter: Job) -> DependencyRecord? {
    if one.isOfIndexes { return DependencyRecord(of: one.text, isFinal: false) }
    switch one.finding(gone) {
    case .met: return DependencyRecord(of: one.text)
    case .never(let why): return DependencyRecord(of: one.text, never: why)
    case .waits: return nil
    }
  }

  private func record(of one: JobDependency, _ waiter: Job) -> DependencyRecord? {
    workloads.memories[waiter.meta.uid]?.dependencies.first { $0.of == one.text }
  }

  private mutating func keep(_ record: DependencyRecord, of waiter: Job) {
    let uid = waiter.meta.uid
    var all = workloads.memories[uid]?.dependencies ?? []
    if let position = all.firstIndex(where: { $0.of == record.of }) {
      if all[position] == record { return }
      all[position] = record
    } else {
      all.append(record)
    }
    workloads.memories[uid, default: JobMemory()].dependencies = all
    writeJobRecord(uid: uid)
  }

  // MARK: What they wait for

  /// How it stands with all that the Job waits for before it begins. One that waits for indexes begins with the first
  /// of them.
  mutating func wholeDependencies(of job: Job) -> DependencyFinding {
    var open: [String] = []
    for one in job.dependencies {
      switch finding(one, of: job) {
      case .met: continue
      case .never(let why): return .never(why)
      case .waits(let wish): open.append(wish)
      }
    }
    if open.isEmpty { return .met }
    let more = open.count > 3 ? " and \(open.count - 3) more" : ""
    return .waits("The Job waits for " + open.prefix(3).joined(separator: ", ") + more)
  }

  private func finding(_ one: JobDependency, of job: Job) -> DependencyFinding {
    if one.isOfIndexes {
      let found = indexFinding(one, of: job)
      if !found.met.isEmpty || job.spec.completions == 0 { return .met }
      return found.never.count < job.spec.completions ?? 0
        ? .waits(wish(one, of: job)) : .never("Job \(one.job) is over, and this one asks for \(one.wish)")
    }
    if let known = record(of: one, job) { return known.never.isEmpty ? .met : .never(known.never) }
    guard let other = state.jobs[ObjectKey(namespace: job.meta.namespace, name: one.job)] else {
      return .waits(wish(one, of: job))
    }
    return one.finding(other)
  }

  private func wish(_ one: JobDependency, of job: Job) -> String {
    let isThere = state.jobs[ObjectKey(namespace: job.meta.namespace, name: one.job)] != nil
    return isThere ? one.wish : "\(one.wish), which does not exist"
  }

  private func indexFinding(_ one: JobDependency, of job: Job) -> IndexFinding {
    let completions = job.spec.completions ?? 0
    let known = record(of: one, job)
    var result = IndexFinding()
    if known?.isFinal != true, let other = state.jobs[ObjectKey(namespace: job.meta.namespace, name: one.job)] {
      result = one.indexes(other, below: completions)
    }
    guard let known else { return result }
    result.met.formUnion(known.met)
    result.met.trim(below: completions)
    result.never =
      known.isFinal ? result.met.inverted(below: completions) : result.never.subtracting(result.met)
    return result
  }

  /// Brings up to date which indexes wait for indexes of other Jobs. An index that waits for what cannot come fails,
  /// where indexes fail by themselves; else the Job does.
  mutating func fitBarred(_ round: inout JobRound) {
    let job = round.job
    guard let completions = job.spec.completions, job.spec.isIndexed else { return }
    let uid = job.meta.uid
    var barred = IndexIntervals()
    for one in job.dependencies where one.isOfIndexes {
      let found = indexFinding(one, of: job)
      barred.formUnion(found.met.inverted(below: completions))
      failUnreachable(one, found, &round)
    }
    let before = workloads.memories[uid]?.barred ?? IndexIntervals()
    guard barred != before else { return }
    workloads.memories[uid, default: JobMemory()].barred = barred
    workloads.tallies[uid]?.vacancies.forget()
  }

  private func failUnreachable(_ one: JobDependency, _ found: IndexFinding, _ round: inout JobRound) {
    // What runs or has ended was allowed before.
    let lost = found.never.subtracting(round.status.completedIndexes)
      .subtracting(workloads.tallies[round.job.meta.uid]?.indexed.indexes ?? IndexIntervals())
    guard let first = lost.next(from: 0), !round.isDecided else { return }
    guard round.job.spec.backoffLimitPerIndex != nil else {
      let why = "Index \(first) waits for \(one.wish) with its number, which cannot come any more"
      return round.decide("FailureTarget", JobAdmission.neverMet, why, at: stamp)
    }
    round.status.failedIndexes?.formUnion(lost)
  }
}
