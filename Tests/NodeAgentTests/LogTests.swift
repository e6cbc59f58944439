// Owns: tests of container logs: what is written, capped and dropped, and which lines a reader gives.

import ClusterIO
import ClusterProto
import Glibc
import Synchronization
import Testing

@testable import NodeAgent

@Suite struct LogTests {
  private let scratch: Scratch
  private let paths: NodePaths
  private let directory: String
  /// 2026-11-23T12:00:00Z.
  private let noon: Int64 = 1_795_435_200_000_000_000

  init() throws {
    scratch = try Scratch()
    paths = NodePaths(data: scratch.path)
    directory = paths.logs(1, container: "main")
  }

  private func append(_ log: LogFile, _ text: String, second: Int64 = 0) {
    append(log, Array(text.utf8), second: second)
  }

  private func append(_ log: LogFile, _ bytes: [UInt8], second: Int64 = 0) {
    var batch = LogBatch()
    bytes.withUnsafeBytes { batch.add($0, wall: noon + second * 1_000_000_000) }
    log.write(batch)
  }

  private func reader(_ change: (inout LogRequest) -> Void = { _ in }) throws -> LogReader {
    var request = LogRequest(stream: "", attempt: 1, container: "main")
    change(&request)
    return try LogReader(request, paths: paths, now: WallTime(nanoseconds: noon + 100_000_000_000))
  }

  @Test("a log that was never written is empty, and there is no previous one")
  func silent() throws {
    #expect(readAll(try reader()) == "")
    let message = "previous terminated container \"main\" not found"
    #expect(throws: LogError(message: message)) { try reader { $0.previous = true } }
    let log = LogFile(directory: directory, restart: 0)
    log.close()
    #expect(!Files.exists(directory))
  }

  @Test(
    "what was written comes back byte for byte, without an end that nobody wrote; a line has the stamp of its beginning"
  )
  func lines() throws {
    let log = LogFile(directory: directory, restart: 0)
    append(log, "one\ntw")
    append(log, "o\n\nthr", second: 1)
    append(log, "ee", second: 2)
    log.close()
    #expect(readAll(try reader()) == "one\ntwo\n\nthree")
    let stamped = readAll(try reader { $0.timestamps = true })
    #expect(
      stamped == """
        2026-11-23T12:00:00.000000000Z one
        2026-11-23T12:00:00.000000000Z two
        2026-11-23T12:00:01.000000000Z \n2026-11-23T12:00:01.000000000Z three
        """)
  }

  @Test(
    "a line of any length comes back as it was, and so does what is no text",
    arguments: [1, 65_535, 65_536, 131_071, 131_072, 131_073, 298_000, 5_000_000])
  func longLine(length: Int) throws {
    let log = LogFile(directory: directory, restart: 0)
    let line =
      (0..<length).map { UInt8(truncatingIfNeeded: $0 % 251 == 10 ? 255 : $0 % 251) } + [10]
    var rest = line[...]
    while !rest.isEmpty {
      append(log, Array(rest.prefix(65_536)))
      rest = rest.dropFirst(65_536)
    }
    append(log, "{}")
    log.close()
    #expect(readBytes(try reader()) == line + Array("{}".utf8))
    #expect(readBytes(try reader { $0.tailLines = 1 }) == Array("{}".utf8))
    #expect(readBytes(try reader { $0.tailLines = 2 }).count == length + 3)
    #expect(
      readBytes(try reader { $0.limitBytes = 100 }) == Array((line + Array("{}".utf8)).prefix(100)))
  }

  @Test(
    "tail, since, limit and their mixtures, over a rotation",
    arguments: [
      (nil, nil, nil, 0..<40), (0, nil, nil, 40..<40), (1, nil, nil, 39..<40), (25, nil, nil, 15..<40),
      (39, nil, nil, 1..<40), (40, nil, nil, 0..<40), (1000, nil, nil, 0..<40), (nil, 70, nil, 30..<40),
      (nil, 1000, nil, 0..<40), (nil, 1, nil, 40..<40), (5, 61, nil, 39..<40), (nil, nil, 18, 0..<2),
      (1, nil, 9, 39..<40),
    ] as [(Int64?, Int64?, Int64?, Range<Int>)])
  func selection(tail: Int64?, since: Int64?, limit: Int64?, expected: Range<Int>) throws {
    // 40 lines of 9 bytes, a record each, a second apart; 21 of them fill a file.
    let log = LogFile(directory: directory, restart: 0, limit: 1_040)
    for line in 0..<40 { append(log, "line \(100 + line)\n", second: Int64(line)) }
    log.close()
    #expect(try Files.list(directory) == ["0.log", "0.log.1"])
    let text = readAll(
      try reader {
        $0.tailLines = tail
        $0.sinceSeconds = since
        $0.limitBytes = limit
      })
    #expect(text == expected.map { "line \(100 + $0)\n" }.joined())
  }

  @Test("limitBytes cuts within a line")
  func limit() throws {
    append(LogFile(directory: directory, restart: 0), "one\ntwo\n")
    let limited = try reader { $0.limitBytes = 5 }
    #expect(readAll(limited) == "one\nt")
    #expect(limited.isLimited)
  }

  @Test("a reader that keeps up loses and repeats nothing over rotations")
  func follow() throws {
    let log = LogFile(directory: directory, restart: 0, limit: 600)
    let follower = try reader()
    var seen = ""
    var written = ""
    for line in 0..<200 {
      append(log, "line \(line)\n")
      written += "line \(line)\n"
      if line % 3 == 0 { seen += readAll(follower) }
    }
    seen += readAll(follower)
    #expect(seen == written)
  }

  private func sizes() throws -> [Int64] {
    try Files.list(directory).map { try Files.status("\(directory)/\($0)").size }
  }

  @Test(
    "without a reader a log keeps to its limit, and says what is gone where that was asked for"
  )
  func capped() throws {
    let log = LogFile(directory: directory, restart: 0, limit: 1_000)
    for line in 1000..<2000 { append(log, "line \(line)\n") }
    log.close()
    #expect(try sizes().allSatisfy { $0 <= 550 })
    let all = readAll(try reader())
    let lines = all.split(separator: "\n")
    let kept = lines.dropFirst()
    #expect(kept.last == "line 1999")
    let gone = 10_000 - kept.count * 10
    #expect(
      lines.first
        == "[stint: \(gone) bytes of this log are gone: they were rotated out at the node's limit]")
    #expect(readAll(try reader { $0.tailLines = 3 }) == "line 1997\nline 1998\nline 1999\n")
    #expect(readAll(try reader { $0.tailLines = 999 }).hasPrefix("[stint: "))
  }

  @Test(
    "a reader holds rotation back within a bound; beyond it the stream says how many bytes are gone, and where"
  )
  func held() throws {
    let log = LogFile(directory: directory, restart: 0, limit: 1_000)
    append(log, "line 1000\n")
    let follower = try reader()
    #expect(readAll(follower) == "line 1000\n")
    // As much as the bound lets a reader hold: nothing is lost.
    for line in 1001..<1100 { append(log, "line \(line)\n") }
    #expect(readAll(follower) == (1001..<1100).map { "line \($0)\n" }.joined())
    for line in 1100..<9000 { append(log, "line \(line)\n") }
    #expect(try sizes().allSatisfy { $0 <= 500 * LogFile.heldTimes + 100 })
    let seen = readAll(follower)
    let parts = seen.split(separator: "\n")
    let marks = parts.indices.filter { parts[$0].hasPrefix("[stint: ") }
    #expect(marks.count >= 1)
    let gone = marks.compactMap { Int(parts[$0].split(separator: " ")[1]) }.reduce(0, +)
    #expect(gone > 0 && gone + (parts.count - marks.count) * 10 == 7_900 * 10)
    #expect(parts.last == "line 8999")
  }

  @Test(
    "a queue in front of a disk that hangs is bounded: its bytes are dropped, counted and noted in the log"
  )
  func stalled() throws {
    let thread = try WorkerThread(name: "test-logs")
    var pipes: [Int32] = [-1, -1]
    #expect(pipe(&pipes) == 0)
    defer { for descriptor in pipes { close(descriptor) } }
    let hang = pipes[0]
    thread.post {
      var byte: UInt8 = 0
      _ = read(hang, &byte, 1)
    }
    let roomy = Mutex(0)
    let queue = LogQueue(file: LogFile(directory: directory, restart: 0), thread: thread) {
      roomy.withLock { $0 += 1 }
    }
    let line = Array("0123456789abcde\n".utf8)
    var count = 1
    while line.withUnsafeBytes({ queue.append($0, wall: noon) }) { count += 1 }
    #expect(count * 32 >= LogQueue.limit && count * 32 < LogQueue.limit + 64)
    #expect(!queue.hasRoom)
    for _ in 0..<1_000 { queue.drop(16) }
    _ = write(pipes[1], "x", 1)
    #expect(eventually { queue.hasRoom && roomy.withLock { $0 } == 1 })
    #expect(line.withUnsafeBytes { queue.append($0, wall: noon) })
    queue.close { _ in }
    thread.stop()
    let all = readAll(try reader())
    let note = "[stint: 16000 bytes of log dropped: the node's disk did not take them in time]\n"
    let text = String(decoding: line, as: UTF8.self)
    #expect(all == String(repeating: text, count: count) + note + text)
  }

  @Test("a pod that prints 2,000,000 lines at full speed is followed without losing one")
  func fullSpeed() throws {
    let keeper = try TestKeeper()
    try keeper.start(1, script: "seq 1 2000000; printf end")
    let request = LogRequest(stream: "", attempt: 1, container: "main")
    #expect(keeper.wait { Files.exists(keeper.paths.logs(1, container: "main") + "/0.log") })
    let follower = try LogReader(
      request, paths: keeper.paths, now: WallTime(nanoseconds: Clocks.now().wall))
    var next: [UInt8] = []
    var newlines = 0
    var bytes = 0
    var tail: [UInt8] = []
    var isOver = false
    let ended = keeper.wait(seconds: 60) {
      let wasOver = isOver
      isOver = keeper.status(1)?.phase.isTerminal == true
      repeat {
        next = follower.next()
        bytes += next.count
        newlines += next.withUnsafeBytes { buffer in buffer.reduce(0) { $0 + ($1 == 10 ? 1 : 0) } }
        if !next.isEmpty { tail = Array((tail + next).suffix(64)) }
      } while !next.isEmpty
      return wasOver
    }
    #expect(ended)
    #expect(newlines == 2_000_000)
    #expect(bytes == 14_888_896 + 3)
    #expect(String(decoding: tail, as: UTF8.self).hasSuffix("1999999\n2000000\nend"))
  }

  @Test(
    "each run has its log, the latest two are kept, and a silent run is not taken for the one before"
  )
  func runs() throws {
    for run in 0..<3 as Range<Int64> {
      LogFile.begin(directory: directory, restart: run)
      let log = LogFile(directory: directory, restart: run)
      if run < 2 { append(log, "run \(run)\n") }
      log.close()
    }
    #expect(try Files.list(directory) == ["1.log", "2.log"])
    #expect(readAll(try reader()) == "")
    #expect(readAll(try reader { $0.previous = true }) == "run 1\n")
  }

  @Test(
    "a pod that ended on a full disk leaves a note of what is lost, once there is room",
    .enabled(if: isRoot, "needs root"))
  func endedOnFullDisk() throws {
    let keeper = try TestKeeper()
    let logs = keeper.paths.logs
    try Files.makeDirectory(logs)
    #expect(try run("/bin/mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", logs))
    defer { _ = try? run("/bin/umount", "-l", logs) }
    _ = try run("/bin/dd", "if=/dev/zero", "of=\(logs)/filling", "bs=4k")
    try keeper.start(1, script: "echo hi")
    try keeper.start(2, script: "echo hello")
    for attempt in [1, 2] as [AttemptNumber] { #expect(keeper.waitForEnd(attempt)?.phase == .succeeded) }
    unlink("\(logs)/filling")
    for (attempt, count) in [(1, 3), (2, 6)] as [(AttemptNumber, Int)] {
      let note = "[stint: \(count) bytes of log dropped: no space left on the node]\n"
      #expect(keeper.wait { keeper.log(attempt) == note }, "\(keeper.log(attempt))")
    }
  }

  @Test("a full disk drops lines with a marker, and the pod goes on", .enabled(if: isRoot, "needs root"))
  func fullDisk() throws {
    let keeper = try TestKeeper()
    let logs = keeper.paths.logs
    try Files.makeDirectory(logs)
    #expect(try run("/bin/mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", logs))
    defer { _ = try? run("/bin/umount", "-l", logs) }
    let flooded = "\(keeper.scratch.path)/flooded"
    let go = "\(keeper.scratch.path)/go"
    let script = """
      head -c 900000 /dev/zero | tr '\\0' a | fold -w 99; echo; touch \(flooded)
      while [ ! -e \(go) ]; do sleep 0.02; done; echo after
      """
    try keeper.start(1, script: script)
    #expect(keeper.wait { Files.exists(flooded) })
    #expect(try run("/bin/mount", "-o", "remount,size=4m", logs))
    try Files.writeAtomically(go, [])
    #expect(keeper.waitForEnd(1)?.phase == .succeeded)
    let log = keeper.log(1)
    #expect(log.contains("bytes of log dropped: no space left on the node]\n"))
    let said = "bytes of log dropped in \(logs)/1/main/0.log: no space"
    #expect(text("\(keeper.scratch.path)/keeper.log").contains(said))
    #expect(log.hasSuffix("\nafter\n"), "\(log.suffix(300))")
  }
}
