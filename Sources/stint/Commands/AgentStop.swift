// Owns: `stint agent --stop`: ends the agent of a data directory together with its pods, and says what it waits for. It
// looks at locks only, and writes nothing: the disk may be the trouble. It must not know how an agent ends.

import ClusterIO
import ClusterProto
import Glibc
import NodeAgent

/// `stint agent --stop`.
enum AgentStop {
  /// Longer than the grace that the agent gives its pods.
  private static let patience: Int64 = 60_000_000_000
  /// Before it is said what is waited for, and between two such lines.
  private static let quiet: Int64 = 3_000_000_000
  private static let pause: Int64 = 15_000_000_000

  static func run(data: String, console: Console) throws -> Int32 {
    let paths = NodePaths(data: data)
    do throws(IOError) {
      _ = try Files.status(paths.agentLock)
    } catch {
      // Nobody's data directory, unless it cannot be looked into.
      if error.code != ENOENT, error.code != ENOTDIR { throw CommandError("error: \(error)") }
    }
    guard FileLock.isHeld(paths.agentLock) else {
      // Without an agent its keeper may still hold pods: the keeper's end is theirs (K4).
      guard FileLock.isHeld(paths.keeperLock) else {
        console.line("no agent runs on \(data)")
        return 0
      }
      try signal(paths.keeperLock, SIGTERM)
      try wait(for: paths.keeperLock, "keeper", of: data, console)
      console.line("keeper ended, with its pods")
      return 0
    }
    // One that was killed, and that a disk keeps from ending, passes nothing on.
    let isDying = holder(of: paths.agentLock).flatMap { ProcessTrouble.read(pid: $0) }?.isDying == true
    try signal(paths.agentLock, SIGUSR1)
    try wait(for: paths.agentLock, "agent", of: data, console)
    if isDying { try signal(paths.keeperLock, SIGTERM) }
    try wait(for: paths.keeperLock, "keeper", of: data, console)
    console.line("agent ended, with its pods")
    return 0
  }

  /// The process that holds a lock file; nil when none does.
  static func holder(of path: String) -> Int32? {
    guard FileLock.isHeld(path) else { return nil }
    return (try? Files.readLine(path)).flatMap { Int32($0) }
  }

  /// Signals the process that holds a lock file, if one does; whether it did.
  static func end(_ path: String, by number: Int32) -> Bool {
    guard let holder = holder(of: path) else { return false }
    return kill(holder, number) == 0
  }

  private static func signal(_ path: String, _ number: Int32) throws {
    guard let pid = holder(of: path) else {
      // It ended meanwhile, or a full disk has kept its number.
      guard FileLock.isHeld(path) else { return }
      throw CommandError("error: \(path) is held, and does not say by which process: end it by hand (SIGTERM)")
    }
    guard kill(pid, number) == 0 || errno == ESRCH else { throw IOError.last("signal", "process \(pid)") }
  }

  /// Until nobody holds the lock file; says every now and then why somebody still does.
  private static func wait(for path: String, _ name: String, of data: String, _ console: Console) throws {
    let began = Clocks.boot()
    var next = began + quiet
    while FileLock.isHeld(path) {
      let pid = holder(of: path) ?? 0
      let now = Clocks.boot()
      if now - began > patience {
        throw CommandError(
          "error: the \(name) (process \(pid)) of \(data) \(trouble(pid) ?? "does not end; see its log")")
      }
      if now >= next {
        let reason = trouble(pid).map { "; it \($0)" } ?? ", which gives its pods their grace"
        console.note("waiting for the \(name) (process \(pid)) of \(data)\(reason)")
        next = now + pause
      }
      // The lock has no event of its own; another process' end has none that needs no rights on it.
      poll(nil, 0, 50)
    }
  }

  /// Whether nobody holds the lock file before the patience is over.
  static func waitUntilFree(_ path: String) -> Bool {
    let deadline = Clocks.boot() + patience
    while FileLock.isHeld(path) {
      if Clocks.boot() > deadline { return false }
      poll(nil, 0, 50)
    }
    return true
  }

  private static func trouble(_ pid: Int32) -> String? {
    ProcessTrouble.read(pid: pid).map { "\($0.words): \(ProcessTrouble.advice)" }
  }
}
