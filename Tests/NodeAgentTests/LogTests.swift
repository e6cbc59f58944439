// Owns: tests of container logs: what is written, capped and dropped, and which lines a reader gives.

import ClusterIO
import ClusterProto
import Glibc
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
    log.append(Array(text.utf8)[...], wall: noon + second * 1_000_000_000)
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
    log.close(wall: noon)
    #expect(!Files.exists(directory))
  }

  @Test("lines are stamped, put together from pieces, and ended when the pipe closes")
  func lines() throws {
    let log = LogFile(directory: directory, restart: 0)
    append(log, "one\ntw")
    append(log, "o\n\nthr", second: 1)
    append(log, "ee", second: 2)
    log.close(wall: noon + 3_000_000_000)
    #expect(readAll(try reader()) == "one\ntwo\n\nthree\n")
    let stamped = readAll(try reader { $0.timestamps = true })
    #expect(
      stamped == """
        2026-11-23T12:00:00.000000000Z one
        2026-11-23T12:00:01.000000000Z two
        2026-11-23T12:00:01.000000000Z \n2026-11-23T12:00:03.000000000Z three\n
        """)
  }

  @Test("a line without end is cut at the limit, and a reader gives all of it")
  func longLine() throws {
    let log = LogFile(directory: directory, restart: 0)
    for _ in 0..<5 { append(log, String(repeating: "x", count: 40_000)) }
    log.close(wall: noon)
    let all = readAll(try reader())
    #expect(all.filter { $0 == "x" }.count == 200_000)
    #expect(all.hasSuffix("x\n"))
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
    // 40 lines, a second apart; 21 of them fill a file.
    let log = LogFile(directory: directory, restart: 0, rotationSize: 800)
    for line in 0..<40 { append(log, "line \(100 + line)\n", second: Int64(line)) }
    log.close(wall: noon)
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
    let log = LogFile(directory: directory, restart: 0, rotationSize: 300)
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

  @Test("each run has its log, the latest two are kept, and a silent run is not taken for the one before")
  func runs() throws {
    for run in 0..<3 as Range<Int64> {
      let log = LogFile(directory: directory, restart: run)
      if run < 2 { append(log, "run \(run)\n") }
      log.close(wall: noon)
    }
    #expect(try Files.list(directory) == ["1.log", "2.log"])
    #expect(readAll(try reader()) == "")
    #expect(readAll(try reader { $0.previous = true }) == "run 1\n")
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
    #expect(log.hasSuffix("\nafter\n"), "\(log.suffix(300))")
  }
}
