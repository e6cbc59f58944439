// What a keeper tells of its pods, and when: ends at once, what passes by on the way there once at the most.

import ClusterIO
import ClusterProto
import Testing

@testable import NodeAgent

@Suite("A keeper's reports are gathered")
struct ReportBatchTests {
  private final class Told {
    var messages: [[AttemptReport]] = []
    var revisions: [[Int64]] { messages.map { $0.map(\.revision) } }
  }

  private func report(_ attempt: AttemptNumber, _ revision: Int64, _ phase: PodPhase, frozen: Bool = false)
    -> AttemptReport
  {
    var status = PodStatus()
    status.phase = phase
    return AttemptReport(attempt: attempt, revision: revision, status: status, frozen: frozen)
  }

  private func turn(_ loop: EventLoop, until condition: () -> Bool) throws {
    let end = Clocks.boot() + 15_000_000_000
    while !condition(), Clocks.boot() < end { try loop.runOnce(timeoutMilliseconds: 5) }
  }

  @Test("of states that follow one another only the newest is told, of all pods in one message")
  func passing() throws {
    let loop = try EventLoop()
    let told = Told()
    let batch = ReportBatch(loop: loop) { told.messages.append($0) }
    let begun = Clocks.boot()
    batch.add(report(2, 1, .pending))
    batch.add(report(1, 1, .running))
    try loop.runOnce(timeoutMilliseconds: 0)
    batch.add(report(2, 2, .running))
    if Clocks.boot() < begun + ReportBatch.patienceNanoseconds / 2 { #expect(told.messages.isEmpty) }
    try turn(loop) { !told.messages.isEmpty }
    #expect(told.revisions == [[1, 2]] && told.messages[0].map(\.attempt) == [1, 2])
  }

  @Test("a pod that waits for its containers waits longer to say so, but not for ever")
  func pending() throws {
    let loop = try EventLoop()
    let told = Told()
    let batch = ReportBatch(loop: loop) { told.messages.append($0) }
    batch.add(report(1, 1, .pending))
    batch.add(report(2, 1, .running))
    try turn(loop) { !told.messages.isEmpty }
    #expect(told.messages.first?.map(\.attempt).last == 2)
    // A newer one of the same kind makes the first one's time no longer.
    batch.add(report(1, 2, .pending))
    try turn(loop) { told.messages.flatMap { $0 }.contains { $0.attempt == 1 } }
    #expect(told.revisions.last == [2] || told.revisions == [[1, 1]])
  }

  @Test("a pod's end, and that it is frozen, go with their turn and alone; nothing older follows")
  func urgent() throws {
    let loop = try EventLoop()
    let told = Told()
    let batch = ReportBatch(loop: loop) { told.messages.append($0) }
    batch.add(report(1, 1, .running))
    batch.add(report(3, 1, .running))
    batch.add(report(1, 2, .succeeded))
    batch.add(report(2, 1, .running, frozen: true))
    try loop.runOnce(timeoutMilliseconds: 0)
    #expect(told.messages.first?.map(\.attempt) == [1, 2] && told.revisions.first == [2, 1])
    try turn(loop) { told.messages.count == 2 }
    #expect(told.messages.last?.map(\.attempt) == [3])
    // Said between two turns, it needs no other wake.
    batch.add(report(3, 2, .failed))
    try loop.runOnce(timeoutMilliseconds: -1)
    #expect(told.revisions.last == [2])
  }

  @Test("what is said after the reports comes after them, and who comes anew is told by the inventory alone")
  func order() throws {
    let loop = try EventLoop()
    let told = Told()
    let batch = ReportBatch(loop: loop) { told.messages.append($0) }
    for attempt in 1...130 { batch.add(report(Int64(attempt), 1, .pending)) }
    batch.flush()
    #expect(told.messages.map(\.count) == [64, 64, 2])
    batch.add(report(1, 2, .running))
    batch.add(report(2, 2, .failed))
    batch.clear()
    batch.flush()
    #expect(told.messages.count == 3)
  }
}
