// Owns: what a keeper has to tell its agent of its pods, gathered: the end of a pod goes with its turn, what only
// passes by on the way there waits a moment, and the newest of it is told. It must not know what a report means.

import ClusterIO
import ClusterProto

/// Reports on their way to the agent. Each costs keeper, agent, coordinator and store; a short pod's four states within
/// a few milliseconds are not worth four of them.
final class ReportBatch {
  /// Reports that a message carries at most.
  private static let page = 64
  /// How long a state that is not the last one may wait for a newer one to take its place; longer while the pod waits
  /// for its containers, which is told of it already.
  static let patienceNanoseconds: Int64 = 25_000_000
  static let pendingPatienceNanoseconds: Int64 = 200_000_000

  private struct Waiting {
    var report: AttemptReport
    /// Boot nanoseconds by which it goes.
    var due: Int64
  }

  private let send: ([AttemptReport]) -> Void
  private var timer: LoopTimer?
  private var waiting: [AttemptNumber: Waiting] = [:]
  private var urgent: [AttemptNumber: AttemptReport] = [:]

  /// Takes the loop's turn ends for its own.
  init(loop: EventLoop, send: @escaping ([AttemptReport]) -> Void) {
    self.send = send
    timer = loop.makeTimer { [unowned self] in flushDue() }
    loop.onTurnEnd = { [unowned self] in sendUrgent() }
    loop.hasWork = { [unowned self] in !urgent.isEmpty }
  }

  /// Takes a report; it stands for all of this attempt that were told before it.
  func add(_ report: AttemptReport) {
    if urgent[report.attempt] != nil || report.isTerminal || report.frozen {
      waiting[report.attempt] = nil
      urgent[report.attempt] = report
      return
    }
    let isPending = report.status.phase == .pending
    let latest = Clocks.boot() + (isPending ? Self.pendingPatienceNanoseconds : Self.patienceNanoseconds)
    let due = min(latest, waiting[report.attempt]?.due ?? .max)
    waiting[report.attempt] = Waiting(report: report, due: due)
    if let timer, due < timer.deadline { timer.arm(at: due) }
  }

  /// Sends all that waits: something is to be said that comes after it.
  func flush() {
    for (attempt, entry) in waiting { urgent[attempt] = entry.report }
    waiting = [:]
    sendUrgent()
  }

  /// What has waited long enough goes, with what nearly has.
  private func flushDue() {
    let now = Clocks.boot() + Self.patienceNanoseconds / 2
    for (attempt, entry) in waiting where entry.due <= now {
      urgent[attempt] = entry.report
      waiting[attempt] = nil
    }
    timer?.arm(at: waiting.values.lazy.map(\.due).min())
    sendUrgent()
  }

  /// Nobody is there to be told; who comes asks for everything.
  func clear() {
    waiting = [:]
    urgent = [:]
  }

  private func sendUrgent() {
    if urgent.isEmpty { return }
    var rest = urgent.values.sorted { $0.attempt < $1.attempt }[...]
    urgent = [:]
    while !rest.isEmpty {
      send(Array(rest.prefix(Self.page)))
      rest = rest.dropFirst(Self.page)
    }
  }
}
