// Persist before send, as the queue between core and sockets keeps it.

import ClusterProto
import Coordinator
import CoordinatorCore
import Testing

extension TurnQueue {
  /// A step at any version.
  fileprivate mutating func step(_ effects: [CoordinatorEffect], version: Int64 = 1) -> [CoordinatorEffect] {
    add(effects, resourceVersion: version)
  }

  fileprivate mutating func commitAndRelease() -> [CoordinatorEffect] {
    committed()
    return released()
  }
}

@Suite("Turn queue")
struct TurnQueueTests {
  private func write(_ key: String, _ value: String = "1") -> CoordinatorEffect {
    .persist(StoreWrite(table: .objects, key: key, value: Array(value.utf8)))
  }
  private func reply(_ id: RequestID) -> CoordinatorEffect { .reply(id, .event(type: "ADDED", object: .null)) }
  private func send(_ session: String, _ attempt: Int64, immediate: Bool = false) -> CoordinatorEffect {
    .send(session, .purge([attempt]), immediate: immediate)
  }

  @Test("a reply leaves only after the commit of its own turn")
  func replyWaits() {
    var queue = TurnQueue()
    #expect(queue.step([write("a"), reply(1)]) == [])
    #expect(queue.nextCommit()?.map(\.key) == ["a"])
    #expect(queue.nextCommit() == nil)
    #expect(queue.commitAndRelease() == [reply(1)])
    #expect(queue.isEmpty)
  }

  @Test("a read with nothing in flight leaves at once")
  func readLeaves() {
    var queue = TurnQueue()
    #expect(queue.step([reply(1), .wake(at: nil)]) == [reply(1), .wake(at: nil)])
    #expect(queue.nextCommit() == nil)
  }

  @Test("a read waits for the commit in flight, whose state it shows, and for no later turn")
  func readWaitsForTheCommitInFlight() {
    var queue = TurnQueue()
    _ = queue.step([write("a")])
    _ = queue.nextCommit()
    #expect(queue.step([reply(1)]) == [])
    #expect(queue.step([write("b"), reply(2)]) == [])
    #expect(queue.commitAndRelease() == [reply(1)])
    #expect(queue.nextCommit()?.map(\.key) == ["b"])
    #expect(queue.commitAndRelease() == [reply(2)])
  }

  @Test("an object whose last write is durable is shown while a commit is stuck, a newer one waits for its own")
  func shownWaitsForItsOwnWrite() {
    func shown(_ id: RequestID, _ version: Int64) -> CoordinatorEffect {
      .shown(id, .done(code: 200, object: .null, warnings: []), resourceVersion: version)
    }
    var queue = TurnQueue()
    _ = queue.step([write("a")], version: 5)
    #expect(queue.step([shown(1, 5)], version: 5) == [])
    _ = queue.nextCommit()
    #expect(queue.step([shown(2, 4)], version: 5) == [])
    #expect(queue.commitAndRelease() == [shown(1, 5), shown(2, 4)])
    _ = queue.step([write("b")], version: 6)
    _ = queue.nextCommit()
    #expect(queue.step([write("c"), shown(3, 5), shown(4, 6), shown(5, 7), reply(6)], version: 7) == [shown(3, 5)])
    #expect(queue.commitAndRelease() == [])
    _ = queue.nextCommit()
    #expect(queue.commitAndRelease() == [shown(4, 6), shown(5, 7), reply(6)])
    #expect(queue.step([write("d"), shown(7, 7)], version: 8) == [shown(7, 7)])
  }

  @Test("turns that come while a commit is in flight share the next one, the latest value of a row wins")
  func groupCommit() {
    var queue = TurnQueue()
    _ = queue.step([write("a")])
    _ = queue.nextCommit()
    _ = queue.step([write("b", "old"), reply(1)])
    _ = queue.step([write("c"), reply(2)])
    _ = queue.step([write("b", "new"), reply(3)])
    #expect(queue.commitAndRelease() == [])
    let writes = queue.nextCommit()
    #expect(writes?.map(\.key) == ["b", "c"])
    #expect(writes?.first?.value == Array("new".utf8))
    #expect(queue.commitAndRelease() == [reply(1), reply(2), reply(3)])
  }

  @Test("a pure lease renewal passes a slow commit, everything else for the agent keeps its order")
  func immediateSends() {
    var queue = TurnQueue()
    _ = queue.step([write("a"), send("one", 1)])
    _ = queue.nextCommit()
    #expect(queue.step([send("two", 2, immediate: true)]) == [send("two", 2, immediate: true)])
    #expect(queue.step([send("one", 3), .closeSession("one", reason: "x")]) == [])
    #expect(queue.commitAndRelease() == [send("one", 1), send("one", 3), .closeSession("one", reason: "x")])
  }

  @Test("halt, wake and log do not wait: they concern this process alone")
  func ownEffects() {
    var queue = TurnQueue()
    #expect(queue.step([write("a"), .log("x"), reply(1), .halt("broken")]) == [.log("x"), .halt("broken")])
  }

  @Test("ten thousand held effects leave in order")
  func order() {
    var queue = TurnQueue()
    for id in 0..<10_000 { _ = queue.step([write("row\(id % 7)"), reply(Int64(id))]) }
    #expect(queue.heldCount == 10_000)
    #expect(queue.nextCommit()?.count == 7)
    #expect(queue.commitAndRelease() == (0..<10_000).map { reply(Int64($0)) })
    #expect(queue.isEmpty)
  }
}
