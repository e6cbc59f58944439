// What a keeper's start could not finish and goes on without: former pods that a disk keeps from dying, and a register
// that a full disk does not take. Says what that means, and settles it later on a thread that a disk may hold up.
// Knows no pods of this keeper: it waits for the processes that the sweep had found, and ends none.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc

/// The open ends of one start.
struct StartRemains: Sendable {
  /// Inits of former keepers that are not dead yet.
  private(set) var living: [ProcessIdentity]
  /// Why this keeper's entry is not in the register; nil: it is.
  private(set) var registerError: String?
  private let sweptKeepers: [String]
  private let pods: [String]
  private let registerPath: String
  private let registerBytes: [UInt8]

  private static let firstPause: Int32 = 100
  private static let longestPause: Int32 = 5_000
  /// Pods and processes that are named.
  private static let named = 4

  /// After the sweep. Writes the register, or notes why it cannot.
  init(
    living: [ProcessIdentity], sweptKeepers: [String], paths: NodePaths, records: [KeeperRecord],
    registerPath: String, registerBytes: [UInt8]
  ) {
    self.living = living
    self.sweptKeepers = sweptKeepers
    self.registerPath = registerPath
    self.registerBytes = registerBytes
    pods = living.isEmpty ? [] : Self.unended(records).map(paths.pod)
    writeRegister()
    if !concern.isEmpty { HostLog.line("keeper: \(concern)") }
  }

  /// Former keepers whose pods are proven dead: none while one of the inits may be any of theirs.
  var provenKeepers: [String] { living.isEmpty ? sweptKeepers : [] }

  /// For the node's people; empty: nothing is left.
  var concern: String {
    var parts: [String] = []
    if !living.isEmpty {
      let inits = living.prefix(Self.named).map { "\($0.pid)" }.joined(separator: ", ")
      let which = pods.isEmpty ? "" : "; they are of \(pods.suffix(Self.named).joined(separator: ", "))"
      parts.append(
        "\(living.count) pods of a former keeper are not dead yet (their inits: \(inits)\(which)): a process of theirs "
          + "stands in the kernel, as on a disk that hangs. This keeper proves nothing about them: until they end, the "
          + "coordinator takes it, and replaces their work, only when their lease and tolerations are over")
    }
    if let registerError {
      parts.append(
        "\(registerPath) cannot be written: \(registerError). Pods of this keeper are proven dead after its own death "
          + "only by time, unless it can be written before")
    }
    return parts.joined(separator: "; ")
  }

  /// Waits on a thread of its own for what is left; `changed` is called on the loop whenever some of it is settled.
  func settle(on loop: EventLoop, changed: @escaping (StartRemains) -> Void) throws(IOError) {
    guard !concern.isEmpty else { return }
    let mailbox = try Mailbox<StartRemains>()
    try loop.attach(mailbox) { words in if let last = words.last { changed(last) } }
    let worker = try WorkerThread(name: "stint-remains")
    // Kept for ever: giving it up waits for its work, which a disk may hold up.
    _ = Unmanaged.passRetained(worker)
    worker.post { [self] in
      var left = self
      var pause = Self.firstPause
      while !left.concern.isEmpty {
        if left.living.isEmpty {
          poll(nil, 0, pause)
        } else {
          PodSweep.wait(for: left.living, milliseconds: pause)
        }
        pause = min(pause * 2, Self.longestPause)
        if left.look() { mailbox.post(left) }
      }
    }
  }

  /// Looks once; whether that settled something.
  private mutating func look() -> Bool {
    let before = (living.count, registerError == nil)
    living = living.filter(\.isAlive)
    if registerError != nil { writeRegister() }
    return before != (living.count, registerError == nil)
  }

  private mutating func writeRegister() {
    do throws(IOError) {
      try Files.writeAtomically(registerPath, registerBytes)
      registerError = nil
    } catch {
      registerError = error.message
    }
  }

  /// Attempts that the journal begins and does not end.
  private static func unended(_ records: [KeeperRecord]) -> [AttemptNumber] {
    var open: Set<AttemptNumber> = []
    for record in records {
      switch record {
      case .started(let attempt): open.insert(attempt)
      case .ended(let report): open.remove(report.attempt)
      case .acknowledged(let attempts): open.subtract(attempts)
      case .proven: break
      }
    }
    return open.sorted()
  }
}
