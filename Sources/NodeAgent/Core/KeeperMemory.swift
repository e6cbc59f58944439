// What a keeper remembers of attempts beyond their life: terminal reports until they are acknowledged, which attempts
// are over, the highest number. Folds journal records into state and says when the journal should be rewritten.
// Touches no file.

import ClusterProto

/// The fold of a keeper's journal.
struct KeeperMemory {
  /// Terminal reports that the coordinator has not acknowledged.
  private(set) var ended: [AttemptNumber: AttemptReport] = [:]
  private(set) var highestAttempt: AttemptNumber = 0
  /// The highest that was started with a proof (C4).
  private(set) var proven: ProvenAttempt?
  /// Acknowledged attempts, the latest ones, and in which order they came.
  private var over: Set<AttemptNumber> = []
  private var overInOrder: [AttemptNumber] = []
  /// Everything up to it that is not otherwise known counts as over, since it fell out of `over`.
  private var overUpTo: AttemptNumber = 0
  private var journalled = 0
  /// Number of the last `journal` effect.
  private(set) var journalNumber: Int64 = 0

  private static let rememberedLimit = 8_192
  private static let rewriteAfter = 1_024

  /// Attempts that earlier keepers started and did not end are not invented: their keeper is listed as swept instead.
  init(restoring records: [KeeperRecord]) {
    for record in records { fold(record) }
    journalled = records.count
  }

  /// Notes the records and gives the effect that writes them.
  mutating func record(_ records: [KeeperRecord]) -> [KeeperEffect] {
    for record in records { fold(record) }
    journalled += records.count
    journalNumber += 1
    return [.journal(records, number: journalNumber)]
  }

  /// It has ended and was acknowledged, or is so old that it must have.
  func isOver(_ attempt: AttemptNumber) -> Bool { attempt <= overUpTo || over.contains(attempt) }

  /// The journal has grown long beside what it says.
  func isLong(pods: Int) -> Bool { journalled > Self.rewriteAfter && journalled > (pods + ended.count + 1) * 4 }

  /// The records that say the same in short. `live`: attempts that may have processes.
  mutating func rewrite(live: [AttemptNumber]) -> [KeeperRecord] {
    var records = [KeeperRecord.started(highestAttempt)]
    records += live.sorted().filter { $0 != highestAttempt }.map { .started($0) }
    if let proven { records.append(.proven(proven)) }
    records += ended.values.sorted { $0.attempt < $1.attempt }.map { .ended($0) }
    journalled = records.count
    return records
  }

  private mutating func fold(_ record: KeeperRecord) {
    switch record {
    case .started(let attempt):
      highestAttempt = max(highestAttempt, attempt)
    case .ended(let report):
      highestAttempt = max(highestAttempt, report.attempt)
      ended[report.attempt] = report
    case .proven(let next): if next.attempt > proven?.attempt ?? 0 { proven = next }
    case .acknowledged(let attempts):
      for attempt in attempts where ended.removeValue(forKey: attempt) != nil { retire(attempt) }
    }
  }

  private mutating func retire(_ attempt: AttemptNumber) {
    guard over.insert(attempt).inserted else { return }
    overInOrder.append(attempt)
    guard overInOrder.count >= Self.rememberedLimit * 2 else { return }
    for old in overInOrder.prefix(Self.rememberedLimit) {
      over.remove(old)
      overUpTo = max(overUpTo, old)
    }
    overInOrder.removeFirst(Self.rememberedLimit)
  }
}
