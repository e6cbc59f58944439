// Owns: tests of threads that may be held up: the pool, the log's writer, and the ends of both.

import ClusterIO
import Glibc
import Synchronization
import Testing

/// Work that hangs until it is let go.
private final class Hang: Sendable {
  private let gate: Mailbox<Int>

  init() throws { gate = try Mailbox() }

  func hang() {
    var watched = pollfd(fd: gate.descriptor, events: Int16(POLLIN), revents: 0)
    poll(&watched, 1, -1)
  }

  func letGo() { gate.post(1) }
}

@Suite struct ThreadTests {
  @Test("work that hangs holds up no other work of a pool, but what has its key")
  func pool() throws {
    let pool = try WorkerPool(name: "test-pool", limit: 4)
    let hang = try Hang()
    let done = Mutex<[Int]>([])
    pool.post(key: 1) { hang.hang() }
    pool.post(key: 1) { done.withLock { $0.append(1) } }
    for number in 2..<100 { pool.post(key: Int64(number)) { done.withLock { $0.append(number) } } }
    #expect(eventually { done.withLock { $0.count } == 98 })
    #expect(!pool.finish(milliseconds: 20))
    hang.letGo()
    #expect(pool.finish(milliseconds: 15_000))
    #expect(done.withLock { $0.last } == 1)
  }

  @Test("short pieces of work wake no thread each: those that come behind one another are done by the same thread")
  func shortPieces() throws {
    let pool = try WorkerPool(name: "test-pool", limit: 64)
    let hang = try Hang()
    let threads = Mutex<Set<UInt>>([])
    pool.post(key: 0) { hang.hang() }
    for number in 1..<200 { pool.post(key: Int64(number)) { _ = threads.withLock { $0.insert(UInt(pthread_self())) } } }
    #expect(eventually { threads.withLock { !$0.isEmpty } })
    hang.letGo()
    #expect(pool.finish(milliseconds: 15_000))
    // One, but for a machine so busy that it stops a thread in the middle.
    #expect(threads.withLock { $0.count } < 16)
  }

  @Test("two hundred pieces that hang hold up none of the others, where a pool may have so many threads")
  func crowd() throws {
    let pool = try WorkerPool(name: "test-pool", limit: 512)
    let hang = try Hang()
    let done = Mutex(0)
    for number in 0..<200 { pool.post(key: Int64(number)) { hang.hang() } }
    for number in 200..<210 { pool.post(key: Int64(number)) { done.withLock { $0 += 1 } } }
    #expect(eventually { done.withLock { $0 } == 10 })
    hang.letGo()
    #expect(pool.finish(milliseconds: 15_000))
  }

  @Test("a pool whose threads all hang goes on when one of them does")
  func exhausted() throws {
    let pool = try WorkerPool(name: "test-pool", limit: 2)
    let hangs = [try Hang(), try Hang()]
    let done = Mutex(0)
    for (number, hang) in hangs.enumerated() { pool.post(key: Int64(number)) { hang.hang() } }
    for number in 2..<10 { pool.post(key: Int64(number)) { done.withLock { $0 += 1 } } }
    hangs[0].letGo()
    hangs[1].letGo()
    #expect(pool.finish(milliseconds: 15_000))
    #expect(done.withLock { $0 } == 8)
  }

  @Test("a thread that hangs cannot hold up who stops it, nor who lets go of it")
  func stop() throws {
    let hang = try Hang()
    do {
      let thread = try WorkerThread(name: "test-thread")
      thread.post { hang.hang() }
      #expect(!thread.stop(milliseconds: 20))
    }
    hang.letGo()
  }

  @Test(
    "a log whose reader has stopped costs its writers no time, and says afterwards how many lines it dropped"
  )
  func stuckError() throws {
    var pipes: [Int32] = [-1, -1]
    #expect(pipe(&pipes) == 0)
    defer { for descriptor in pipes { close(descriptor) } }
    let writer = LineWriter(descriptor: pipes[1])
    let line = String(repeating: "x", count: 1_000)
    for _ in 0..<2_000 { writer.write(line) }
    // It came here, though the pipe and the queue hold far less than was written.
    var text = ""
    var room = [UInt8](repeating: 0, count: 65_536)
    _ = fcntl(pipes[0], F_SETFL, O_NONBLOCK)
    func readOn() {
      let count = read(pipes[0], &room, room.count)
      text += String(decoding: room.prefix(max(0, count)), as: UTF8.self)
    }
    // Each line is there or counted, however often the queue was full.
    let isAllTold = eventually {
      readOn()
      let lines = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
      let dropped = lines.compactMap { $0.hasPrefix("[stint: ") ? Int($0.dropFirst(8).prefix { $0 != " " }) : nil }
      return !dropped.isEmpty && lines.count { $0 == line } + dropped.reduce(0, +) == 2_000
    }
    #expect(isAllTold)
    writer.write("after")
    #expect(
      eventually {
        readOn()
        return text.hasSuffix("\nafter\n")
      })
  }
}
