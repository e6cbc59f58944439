// Reaches the keeper of a data directory: connects to its socket, and starts a keeper when there is none.
// Knows nothing of what is said on the socket.

import CLinux
import ClusterIO
import ClusterProto
import Glibc

/// Tries until a keeper answers or the time is over.
final class KeeperLauncher {
  private static let patienceNanoseconds: Int64 = 70_000_000_000
  /// How long a keeper that is only looked for may hold its lock without listening, as one does that begins or ends.
  private static let findingNanoseconds: Int64 = 6_000_000_000
  /// Before it is said that a keeper does not listen: a start takes its time.
  private static let quietNanoseconds: Int64 = 2_000_000_000
  private static let toldPause: Int64 = 15_000_000_000
  private static let firstPause: Int64 = 10_000_000
  private static let longestPause: Int64 = 1_000_000_000
  private static let longestPauseForStart: Int64 = 100_000_000

  private let loop: EventLoop
  private let paths: NodePaths
  /// nil: none is started.
  private let arguments: [String]?
  private let began = Clocks.boot()
  private var child: Child?
  /// What the child says on its standard output: why it does not start.
  private var words: Int32 = -1
  private var lastWords = ""
  private var pause = KeeperLauncher.firstPause
  private var timer: LoopTimer?
  private var connection: Connection?
  private var isDone = false
  /// When it may be said again what is waited for.
  private var nextTold: Int64 = 0
  /// Called once: the connection, or why there is none.
  private let finished: (Connection?, String) -> Void

  /// `arguments` of `stint keeper`, without the program's name; nil: only a keeper that runs is connected to.
  init(
    loop: EventLoop, paths: NodePaths, arguments: [String]?, finished: @escaping (Connection?, String) -> Void
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
    hearLastWords()
  }

  private func attempt() {
    guard !isDone else { return }
    do throws(IOError) {
      // Room for a whole node's plans at once: a limit that they exceed would end each new connection in the same way.
      let next = try Connection.connect(loop: loop, to: .unix(path: paths.keeperSocket), outputLimit: 512 << 20)
      connection = next
      next.onOpen = { [self] in
        // One that was killed, but whose threads a disk holds, answers as long as its socket is there.
        guard KeeperWatch.obstacle(next) != nil else { return end(next, "") }
        next.close()
      }
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
      hearLastWords()
      let reason = lastWords.isEmpty ? "" : ": \(lastWords)"
      HostLog.error("agent: the keeper ended (\(status))\(reason); see \(paths.keeperLog)")
      child = nil
    }
    // One that runs already, if it only does not listen yet, needs no second one beside it.
    let isHeld = child == nil && FileLock.isHeld(paths.keeperLock)
    let waited = Clocks.boot() - began
    if waited > (arguments == nil ? Self.findingNanoseconds : Self.patienceNanoseconds) || arguments == nil && !isHeld {
      return end(nil, "no keeper answers on \(paths.keeperSocket)\(isHeld ? holder : ""); see \(paths.keeperLog)")
    }
    if waited > Self.quietNanoseconds { tellTrouble(isHeld: isHeld) }
    // Not at once again after one that ended: what ended it may last.
    if child == nil, !wasEnded, !isHeld { launch() }
    timer?.arm(at: Clocks.boot() + pause)
    pause = min(pause * 2, child == nil ? Self.longestPause : Self.longestPauseForStart)
  }

  /// What is waited for, now and then.
  private func tellTrouble(isHeld: Bool) {
    guard Clocks.boot() >= nextTold else { return }
    if isHeld {
      HostLog.line("agent: waiting for a keeper\(holder)")
    } else if let pid = child?.pid, let trouble = ProcessTrouble.read(pid: pid) {
      HostLog.line("agent: the keeper that starts (process \(pid)) \(trouble.words): \(ProcessTrouble.advice)")
    } else {
      return
    }
    nextTold = Clocks.boot() + Self.toldPause
  }

  private var holder: String {
    let pid = (try? Files.readLine(paths.keeperLock)) ?? "?"
    let what = ": process \(pid) holds \(paths.keeperLock)"
    guard let trouble = Int32(pid).flatMap({ ProcessTrouble.read(pid: $0) }) else {
      return what + " and does not listen"
    }
    return "\(what) and \(trouble.words): \(ProcessTrouble.advice)"
  }

  private func hearLastWords() {
    guard words >= 0 else { return }
    var bytes = [UInt8](repeating: 0, count: 1024)
    let size = read(words, &bytes, bytes.count)
    if size > 0 { lastWords = String(decoding: bytes.prefix(size), as: UTF8.self) }
    close(words)
    words = -1
  }

  private func end(_ connection: Connection?, _ reason: String) {
    isDone = true
    timer?.arm(at: nil)
    hearLastWords()
    finished(connection, reason + (connection == nil && !lastWords.isEmpty ? ". It said: \(lastWords)" : ""))
  }

  private func launch() {
    guard let arguments else { return }
    hearLastWords()
    var ends: [Int32] = [-1, -1]
    guard stint_output_pipe(&ends) == 0 else {
      return HostLog.line("agent: cannot start a keeper: \(IOError.last("pipe"))")
    }
    defer { close(ends[1]) }
    words = ends[0]
    // Not made where it is there: a disk that hangs would hold up the loop here.
    var log = open(paths.keeperLog, O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK)
    if log < 0, errno == ENOENT { log = open(paths.keeperLog, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600) }
    defer { if log >= 0 { close(log) } }
    var options = Child.Options(
      path: "/proc/self/exe", arguments: ["stint", "keeper"] + arguments, environment: Self.environment())
    options.descriptors[1] = ends[1]
    if log >= 0 { options.descriptors[2] = log }
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
