// One session with the coordinator: heartbeats, their send times, the desired set and its digest.
// Lease arithmetic is AgentLease's, what follows from the desired set AgentReconciliation's.

import ClusterProto

/// What the agent knows of its present session.
struct AgentSession {
  let id: String
  let incarnation: Int64
  let heartbeatMilliseconds: Int64
  let leaseMilliseconds: Int64
  /// Heartbeats sent; the latest one's number.
  var sequence: Int64 = 0
  /// Highest heartbeat that an answer has echoed.
  var answeredSequence: Int64 = 0
  /// Send times of the heartbeats from `answeredSequence` on (K2), oldest first.
  var sent: [(sequence: Int64, at: BootTime)] = []
  /// Number of the last answer taken.
  var echo: Int64 = 0
  /// Regular heartbeats that found the one before unanswered, since the last answer (C7).
  var unanswered = 0
  var desired: [AttemptNumber: DesiredAction] = [:]
  var desiredDigest = SetDigest()
  /// The desired set is the coordinator's whole one: what it does not list is not wanted.
  var isComplete = false
  /// The end of the lease that all of it was last renewed to.
  var renewedTo = BootTime(milliseconds: 0)
  /// C2: the number of the word by which the keeper takes back whatever longer lease ends it holds of sessions before,
  /// once it was said; and when that has settled, once the keeper has answered.
  var shortening: Int64?
  var settlesAt: BootTime?
  var wantsInventory = true
  var inventorySentAt: BootTime?
  var nextHeartbeat: BootTime
  /// An extra heartbeat that asks for the whole desired set may not go before this.
  var mayAskAt: BootTime
  /// An extra heartbeat is due.
  var asks = false
  /// When some attempt's body has to be asked for (again).
  var retryAt: BootTime?

  /// Shortest heartbeat interval that is honoured, and the pause between extra heartbeats. Milliseconds.
  static let shortestInterval: Int64 = 10
  static let askPause: Int64 = 200
  /// Unacknowledged terminal reports go again with every so many heartbeats.
  static let repeatEvery: Int64 = 5

  init(id: String, incarnation: Int64, heartbeatMilliseconds: Int64, leaseMilliseconds: Int64, now: BootTime) {
    self.id = id
    self.incarnation = incarnation
    self.leaseMilliseconds = max(0, leaseMilliseconds)
    self.heartbeatMilliseconds = max(Self.shortestInterval, heartbeatMilliseconds)
    nextHeartbeat = now
    mayAskAt = now
  }

  var nextWake: BootTime {
    let next = asks ? min(nextHeartbeat, mayAskAt) : nextHeartbeat
    return earliest(next, retryAt) ?? next
  }

  mutating func set(_ entry: DesiredAttempt) {
    remove(entry.attempt)
    desired[entry.attempt] = entry.action
    desiredDigest.insert(entry)
  }

  mutating func remove(_ attempt: AttemptNumber) {
    guard let action = desired.removeValue(forKey: attempt) else { return }
    desiredDigest.remove(DesiredAttempt(attempt: attempt, action: action))
  }

  /// When the heartbeat of that number was sent; nil: unknown, or superseded by an answer to a later one.
  func sendTime(of sequence: Int64) -> BootTime? { sent.first { $0.sequence == sequence }?.at }
}

extension AgentCore {
  private static let reportPage = 64
  /// Termination messages in one message to the coordinator: as JSON a byte can become six, and 3 MiB is the limit.
  private static let messageBytes = 256 * 1024
  private static let numberPage = 8_192

  /// Sends the regular heartbeat when its time has come, and extra ones as they are asked for. Two unanswered ones
  /// end the session (C7).
  mutating func beatIfDue(_ now: Now) {
    guard let session else { return }
    if session.nextHeartbeat <= now.boot {
      // Each had an interval: the first of two is two intervals old by now.
      let unanswered = session.unanswered + (session.sequence > session.answeredSequence ? 1 : 0)
      self.session?.unanswered = unanswered
      guard unanswered < 2 else {
        loseCoordinator(failure: "two heartbeats were not answered", now)
        return
      }
      beat(now)
      if (self.session?.sequence ?? 0) % AgentSession.repeatEvery == 0 {
        sendReports(attempts.values.compactMap(\.report).filter(\.isTerminal))
      }
      reconcileAll(now)
    } else if session.asks, session.mayAskAt <= now.boot {
      beat(now)
    } else if let retryAt = session.retryAt, retryAt <= now.boot {
      reconcileAll(now)
    }
  }

  mutating func beat(_ now: Now) {
    guard var session else { return }
    session.sequence += 1
    session.sent.append((session.sequence, now.boot))
    session.nextHeartbeat = now.boot + session.heartbeatMilliseconds
    session.asks = false
    session.mayAskAt = now.boot + AgentSession.askPause
    let isOld =
      session.inventorySentAt.map { now.boot >= $0 + configuration.wholeInventoryMilliseconds } ?? true
    var inventory: [InventoryEntry]?
    if session.wantsInventory || isOld {
      inventory = attempts.values.compactMap { $0.report.map(Self.entry) }.sorted { $0.attempt < $1.attempt }
      session.wantsInventory = false
      session.inventorySentAt = now.boot
    }
    var heartbeat = Heartbeat(
      sequence: session.sequence, echo: session.echo, desiredDigest: session.desiredDigest,
      inventoryDigest: inventoryDigest, inventory: inventory, diskStalledMilliseconds: diskStalled(now),
      pressures: pressures(now), leasesSettleMilliseconds: session.settlesAt.map { max(0, $0 - now.boot) })
    heartbeat.spared = pressure.spared
    heartbeat.remains = remains
    effects.append(.send(.heartbeat(heartbeat)))
    self.session = session
    probeDisk(now)
  }

  static func entry(_ report: AttemptReport) -> InventoryEntry {
    InventoryEntry(
      attempt: report.attempt, revision: report.revision, terminal: report.isTerminal, frozen: report.frozen)
  }

  /// In pages, by attempt; only within a session.
  mutating func sendReports(_ reports: [AttemptReport]) {
    guard session != nil else { return }
    var page: [AttemptReport] = []
    var bytes = 0
    for report in reports.sorted(by: { $0.attempt < $1.attempt }) {
      let more = report.status.messageBytes
      if page.count == Self.reportPage || !page.isEmpty && bytes + more > Self.messageBytes {
        effects.append(.send(.reports(page)))
        page = []
        bytes = 0
      }
      page.append(report)
      bytes += more
    }
    if !page.isEmpty { effects.append(.send(.reports(page))) }
  }

  mutating func sendRetained() {
    var rest = retained.sorted()[...]
    while !rest.isEmpty {
      effects.append(.send(.retained(Array(rest.prefix(Self.numberPage)))))
      rest = rest.dropFirst(Self.numberPage)
    }
  }

  mutating func sendFetch(_ numbers: [AttemptNumber]) {
    var rest = numbers[...]
    while !rest.isEmpty {
      effects.append(.send(.fetch(Array(rest.prefix(Self.numberPage)))))
      rest = rest.dropFirst(Self.numberPage)
    }
  }

  /// Logs go when the pod is gone, but never those of an attempt that still runs here.
  mutating func purge(_ numbers: [AttemptNumber]) {
    let gone = numbers.filter { number in
      guard let attempt = attempts[number] else { return retained.contains(number) }
      return attempt.report?.isTerminal == true && retained.contains(number)
    }
    guard !gone.isEmpty else { return }
    retained.subtract(gone)
    effects.append(.deleteLogs(gone))
  }
}
