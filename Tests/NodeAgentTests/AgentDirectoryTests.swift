// An agent process and its data directory: moved away under it, full, or with a keeper in it that does not come up. No
// coordinator is there: what the agent says stands in its log.

import ClusterIO
import Glibc
import Testing

@testable import NodeAgent

/// An agent on its own, with the keeper that it starts; both end with their owner.
private final class LoneAgent {
  let child: Child
  let paths: NodePaths
  private let output: String

  init(_ scratch: Scratch, data: String, _ name: String = "agent", _ more: [String] = []) throws {
    paths = NodePaths(data: data)
    output = "\(scratch.path)/\(name).log"
    let program = "\(Files.split(CommandLine.arguments[0]).parent)/NodeHarness"
    // Nobody listens on port 1.
    let line = [program, "agent", "--data", data, "--coordinator", "127.0.0.1:1"] + more
    var options = Child.Options(path: program, arguments: line, environment: ["PATH=/usr/bin:/bin"])
    let log = open(output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    defer { close(log) }
    options.descriptors = [2: log]
    child = try Child(options)
  }

  deinit {
    child.signal(SIGKILL)
    _ = eventually { child.reap() != nil }
    for pid in processes(with: paths.data) { kill(pid, SIGKILL) }
    _ = eventually { processes(with: paths.data).isEmpty }
  }

  var log: String { text(output) }

  func says(_ words: String, seconds: Int64 = 20) -> Bool { eventually(seconds: seconds) { log.contains(words) } }

  /// The keeper that listens there; nil: none does.
  func keeper(other: Int32? = nil) -> Int32? {
    var found: Int32?
    _ = eventually {
      guard text(paths.keeperLog).contains("ready"), FileLock.isHeld(paths.keeperLock) else { return false }
      found = (try? Files.readLine(paths.keeperLock)).flatMap { Int32($0) }
      return found != nil && found != other
    }
    return found
  }

  func ends(seconds: Int64) -> ProcessExit? {
    _ = eventually(seconds: seconds) { child.reap() != nil }
    return child.status
  }
}

@Suite struct AgentDirectoryTests {
  @Test("an agent whose data directory is moved away or deleted ends and says so", arguments: ["mv", "rm"])
  func lost(how: String) throws {
    let scratch = try Scratch()
    let data = "\(scratch.path)/data"
    let agent = try LoneAgent(scratch, data: data, "agent", ["--lost-directory", "300"])
    let keeper = try #require(agent.keeper())
    defer { kill(keeper, SIGKILL) }
    if how == "mv" { #expect(rename(data, "\(scratch.path)/moved") == 0) } else { try Files.removeTree(data) }
    #expect(agent.ends(seconds: 15) == .exited(code: 1))
    #expect(agent.log.contains("was moved away, deleted or replaced"))
  }

  @Test("an agent whose directory was moved away does not take the keeper of the next agent at its path")
  func successorAtThePath() throws {
    let scratch = try Scratch()
    let data = "\(scratch.path)/data"
    let first = try LoneAgent(scratch, data: data, "first", ["--lost-directory", "600000"])
    let old = try #require(first.keeper())
    #expect(first.says("out of reach"))
    #expect(rename(data, "\(scratch.path)/moved") == 0)
    let second = try LoneAgent(scratch, data: data, "second")
    _ = try #require(second.keeper(other: old))
    #expect(second.says("out of reach"))
    // Its keeper gone, the first one looks for another one at its path, where the second one's listens.
    kill(old, SIGKILL)
    #expect(first.ends(seconds: 15) == .exited(code: 1))
    #expect(!second.log.contains("the keeper is gone"), "\(second.log)")
  }

  @Test(
    "a full disk does not keep a keeper from starting: agent and node are told what it could not write; it is later",
    .enabled(if: isRoot, "needs root"))
  func fullDisk() throws {
    let scratch = try Scratch()
    let data = "\(scratch.path)/data"
    try Files.makeDirectory(data)
    #expect(try run("/bin/mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", data))
    defer { _ = try? run("/bin/umount", "-l", data) }
    let agent = try LoneAgent(scratch, data: data)
    let old = try #require(agent.keeper())
    _ = try run("/bin/dd", "if=/dev/zero", "of=\(data)/filling", "bs=4k")
    let register = text("\(data)/keepers")
    kill(old, SIGKILL)
    #expect(agent.says("the keeper: \(data)/keepers cannot be written: No space left on device"), "\(agent.log)")
    #expect(text("\(data)/keepers") == register)
    try Files.removeTree("\(data)/filling")
    #expect(eventually { text("\(data)/keepers").utf8.count > register.utf8.count })
  }

  @Test("why a keeper does not start stands in the agent's own log, and the agent can be stopped meanwhile")
  func keeperFails() throws {
    let scratch = try Scratch()
    let data = "\(scratch.path)/data"
    try Files.makeDirectory("\(data)/keeper.sock/inside")
    let agent = try LoneAgent(scratch, data: data)
    #expect(agent.says("the keeper ended (exit code 1): "), "\(agent.log)")
    #expect(agent.log.contains("(exit code 1): bind") || agent.log.contains("keeper.sock: "), "\(agent.log)")
    agent.child.signal(SIGUSR1)
    #expect(agent.ends(seconds: 8) == .exited(code: 0))
  }

  @Test("an agent starts no keeper beside one that holds the lock, says whom it waits for, and can be stopped")
  func keeperIsSilent() throws {
    let scratch = try Scratch()
    let data = "\(scratch.path)/data"
    try Files.makeDirectory(data)
    let held = try FileLock(path: "\(data)/keeper.lock")
    let agent = try LoneAgent(scratch, data: data)
    #expect(agent.says("waiting for a keeper: process \(getpid()) holds"), "\(agent.log)")
    #expect(text(agent.paths.keeperLog) == "" && !agent.log.contains("the keeper ended"))
    agent.child.signal(SIGUSR1)
    #expect(agent.ends(seconds: 8) == .exited(code: 0))
    held.release()
  }

  @Test("a line that repeats at speed is written a few times, then counted and told with the next one")
  func repeatedLines() {
    var lines = RepeatedLines()
    let written = (0..<1_000).compactMap { lines.take("gone", at: $0) }
    #expect(written == ["gone", "gone", "gone"])
    #expect(lines.take("another", at: 1_000) == "another")
    #expect(lines.take("gone", at: 10_000) == "gone (and 997 times more before)")
    #expect(lines.take("gone", at: 20_000) == "gone")
    let many = (0..<200).compactMap { lines.take("\($0)", at: 20_001) }
    #expect(many.count == 200)
  }
}
