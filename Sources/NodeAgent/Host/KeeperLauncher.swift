// Reaches the keeper of a data directory: connects to its socket, and starts a keeper when there is none.
// Knows nothing of what is said on the socket.

import ClusterIO
import ClusterProto
import Glibc

/// Tries until a keeper answers or the time is over.
final class KeeperLauncher {
  private static let patienceNanoseconds: Int64 = 70_000_000_000
  private static let firstPause: Int64 = 10_000_000
  private static let longestPause: Int64 = 1_000_000_000

  private let loop: EventLoop
  private let paths: NodePaths
  private let arguments: [String]
  private let began = Clocks.boot()
  private var child: Child?
  private var pause = KeeperLauncher.firstPause
  private var timer: LoopTimer?
  private var connection: Connection?
  private var isDone = false
  /// Called once: the connection, or why there is none.
  private let finished: (Connection?, String) -> Void

  /// `arguments` of `stint keeper`, without the program's name.
  init(
    loop: EventLoop, paths: NodePaths, arguments: [String], finished: @escaping (Connection?, String) -> Void
  ) {
    self.loop = loop
    self.paths = paths
    self.arguments = arguments
    self.finished = finished
    timer = loop.makeTimer { [weak self] in self?.attempt() }
    timer?.arm(at: began)
  }

  /// Gives up without a word.
  func cancel() {
    isDone = true
    timer?.arm(at: nil)
    connection?.close()
  }

  private func attempt() {
    guard !isDone else { return }
    do throws(IOError) {
      let next = try Connection.connect(loop: loop, to: .unix(path: paths.keeperSocket), outputLimit: 64 << 20)
      connection = next
      next.onOpen = { [self] in end(next, "") }
      next.onClose = { [weak self] _ in self?.retry() }
    } catch {
      retry()
    }
  }

  private func retry() {
    guard !isDone else { return }
    connection = nil
    let wasEnded = child?.status != nil
    if let status = child?.status {
      // Another keeper may hold the lock and be about to listen; otherwise this is the fault to show.
      HostLog.line("agent: the keeper ended (\(status)); see \(paths.keeperLog)")
      child = nil
      pause = min(pause * 2, Self.longestPause)
    }
    if Clocks.boot() - began > Self.patienceNanoseconds {
      return end(nil, "no keeper answers on \(paths.keeperSocket); see \(paths.keeperLog)")
    }
    // Not at once again after one that ended: what ended it may last.
    if child == nil, !wasEnded { launch() }
    timer?.arm(at: Clocks.boot() + pause)
  }

  private func end(_ connection: Connection?, _ reason: String) {
    isDone = true
    timer?.arm(at: nil)
    finished(connection, reason)
  }

  private func launch() {
    let log = open(paths.keeperLog, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    defer { if log >= 0 { close(log) } }
    var options = Child.Options(
      path: "/proc/self/exe", arguments: ["stint", "keeper"] + arguments, environment: Self.environment())
    if log >= 0 { options.descriptors = [1: log, 2: log] }
    do throws(IOError) {
      let started = try Child(options)
      try started.watch(loop: loop) { _ in }
      child = started
    } catch {
      HostLog.line("agent: cannot start a keeper: \(error)")
    }
  }

  /// Only what a program needs to run at all: pods do not inherit it, and the keeper needs no more.
  private static func environment() -> [String] {
    let names: [String] = ["PATH", "HOME", "LANG", "XDG_RUNTIME_DIR"]
    return names.compactMap { (name: String) -> String? in
      getenv(name).map { "\(name)=\(String(cString: $0))" }
    }
  }
}
