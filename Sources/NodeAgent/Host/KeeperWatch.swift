// Owns: whether the keeper's process still runs. A connection alone does not tell: a keeper that is killed while one of
// its threads waits for a disk keeps its sockets open until that thread may end. It must not know what is said on them,
// and what its end proves: nothing, about pods.

import ClusterIO
import Glibc

/// Looks after the process at the other end of a keeper's socket.
final class KeeperWatch {
  private static let lookNanoseconds: Int64 = 1_000_000_000

  private let process: ProcessIdentity
  private let died: (String) -> Void
  /// One that ends as it should is gone by the next look, and its connection with it.
  private var wasOver = false
  private var timer: LoopTimer?

  /// nil: the process is not known (it is in another PID namespace); then the connection's end has to do. `died` is
  /// called once, with the reason.
  init?(loop: EventLoop, connection: Connection, died: @escaping (String) -> Void) {
    guard let pid = connection.peerProcess, let process = ProcessIdentity.read(pid: pid) else { return nil }
    self.process = process
    self.died = died
    timer = loop.makeTimer { [weak self] in self?.look() }
    timer?.arm(at: Clocks.boot() + Self.lookNanoseconds)
  }

  /// Looks no more.
  func end() { timer?.arm(at: nil) }

  /// Why a keeper that answers a connection is none; nil: nothing is seen.
  static func obstacle(_ connection: Connection) -> String? {
    guard let pid = connection.peerProcess, let trouble = ProcessTrouble.read(pid: pid), trouble.isDying else {
      return nil
    }
    return "its process \(pid) \(trouble.words)"
  }

  private func look() {
    let isOver = ProcessTrouble.isOver(process)
    guard isOver, wasOver else {
      wasOver = isOver
      timer?.arm(at: Clocks.boot() + Self.lookNanoseconds)
      return
    }
    let words = ProcessTrouble.read(pid: process.pid)?.words ?? "is gone"
    died("its process \(process.pid) \(words)")
  }
}
