// Owns: `down`: the end of the cluster that an `up` runs, or has left, on a data directory. It must not know how `up`
// ends what it runs.

import CLinux
import ClusterIO
import ClusterProto
import Glibc
import NodeAgent

/// `stint down`.
struct DownCommand {
  private static let usualPatience: Int64 = 180_000
  /// Before it is said what is waited for, and between two such lines.
  private static let quiet: Int64 = 3_000_000_000
  private static let pause: Int64 = 15_000_000_000

  private let data: String
  private let console: Console
  private let isForced: Bool
  private let deadline: Int64

  @Sendable static func run(_ context: Context) throws -> Int32 {
    let arguments = context.arguments
    let data = ServeCommand.absolute(arguments.value("data") ?? Endpoint.dataDirectory(context.environment))
    let patience = arguments.milliseconds("timeout") ?? usualPatience
    let command = DownCommand(
      data: data, console: context.console, isForced: arguments.isOn("force"),
      deadline: Clocks.boot() + patience * 1_000_000)
    switch UpState.of(data) {
    case .running(let process, let record): return try command.end(process, record)
    case .unknown(let why): throw CommandError("error: \(why): end it where, and as the user as whom, it was started")
    case .none: return try command.endRemains()
    }
  }

  /// Ends the very process that was found: by a handle, and only if it is still the one that holds the lock.
  private func end(_ process: ProcessIdentity, _ record: UpRecord?) throws -> Int32 {
    let handle = stint_pidfd_open(process.pid)
    guard handle >= 0 else { return try DownCommand.endedMeanwhile(console) }
    defer { close(handle) }
    guard process.isAlive, AgentStop.holder(of: UpRecord.lock(data)) == process.pid else {
      return try DownCommand.endedMeanwhile(console)
    }
    for number in isForced ? [1, 2] : [1] {
      // The second one is its "at once"; it has to have seen the first.
      if number == 2 { poll(nil, 0, 300) }
      guard stint_pidfd_signal(handle, SIGTERM) == 0 || errno == ESRCH else {
        throw CommandError(
          "error: process \(process.pid), which runs the cluster on \(data), cannot be signalled: "
            + "\(IOError.text(errno)); run it as the user who started it")
      }
    }
    let lock = UpRecord.lock(data)
    try wait("process \(process.pid), which ends pods, agents and coordinator") {
      !FileLock.isHeld(lock) || !process.isAlive
    }
    let nodes = record?.nodes ?? []
    let what =
      record.map { "coordinator at \($0.server), nodes \(nodes.joined(separator: ", "))" } ?? "what had started"
    console.line("ended: \(what) (process \(process.pid))")
    return try endRemains(quietly: true)
  }

  private static func endedMeanwhile(_ console: Console) throws -> Int32 {
    console.line("it has just ended by itself")
    return 0
  }

  /// Agents and a coordinator that an `up` which was killed has left on the directory.
  private func endRemains(quietly: Bool = false) throws -> Int32 {
    var ended: [String] = []
    for node in ((try? Files.list("\(data)/agents")) ?? []).sorted() {
      let paths = NodePaths(data: "\(data)/agents/\(node)")
      guard FileLock.isHeld(paths.agentLock) || FileLock.isHeld(paths.keeperLock) else { continue }
      _ = try AgentStop.run(data: paths.data, console: Console(out: { _ in }, err: console.err))
      ended.append(node)
    }
    let lock = "\(data)/coordinator/lock"
    if FileLock.isHeld(lock) {
      guard AgentStop.end(lock, by: SIGTERM) else {
        throw CommandError("error: \(lock) is held, and its process cannot be signalled: end it by hand (SIGTERM)")
      }
      try wait("the coordinator of \(data)") { !FileLock.isHeld(lock) }
      ended.append("coordinator")
    }
    if !ended.isEmpty {
      console.line("ended: \(ended.joined(separator: ", ")), which an `up` that was killed had left")
    } else if !quietly {
      console.line("no cluster of `stint up` runs on \(data)")
      return 0
    }
    console.line("Jobs and history stay in \(data)")
    return 0
  }

  private func wait(_ what: String, until isOver: () -> Bool) throws {
    var next = Clocks.boot() + DownCommand.quiet
    while !isOver() {
      let now = Clocks.boot()
      if now > deadline {
        throw CommandError(
          "error: timed out; \(what), goes on: \(UpRecord.log(data)) says more; `stint down --force` ends it at once",
          exitStatus: WaitCommand.timedOutStatus)
      }
      if now >= next {
        console.note("waiting for \(what)")
        next = now + DownCommand.pause
      }
      // The end of another's child has no event of its own that needs no rights on it.
      poll(nil, 0, 50)
    }
  }
}
