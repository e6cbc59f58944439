// Owns: how much one turn of the loop does for clients, and in whose order: reading their messages, writing their
// answers. Agents' messages are no part of it: they are read and answered in every turn. It must not know messages.

import ClusterIO
import ClusterProto

/// A connection of a client, which works when its turn comes.
protocol TurnTaker: AnyObject {
  /// Whose it is: lanes take turns, so that one user's thousand connections are to another's one as one.
  var lane: String { get }
  /// Has asked for a turn in which it reads.
  var isWaitingToRead: Bool { get set }
  /// Takes messages that it has, as long as `mayRead` says.
  func readOn()
  /// Writes a piece of what waits, of a size or a single object.
  func writeSome()
}

/// What clients of both doors may cost between two chances of a heartbeat. Measured by the clock where work is a piece
/// at a time, and in bytes where an answer is written at once.
final class WorkTurns {
  /// The reading of clients' messages in one turn, a last one aside.
  private static let readNanoseconds: Int64 = 5_000_000
  /// The writing of answers that wait, a last piece aside.
  private static let writeNanoseconds: Int64 = 3_000_000
  /// Bytes of answers that a turn writes as they are made; what is more waits for `writeOut`.
  static let bytesAtOnce = 2 << 20

  private var readers = FairQueue<any TurnTaker>()
  private var writers = FairQueue<any TurnTaker>()
  private var readEnd: Int64?
  private var isReadingOn = false
  private var bytesLeft = WorkTurns.bytesAtOnce

  /// Whether somebody waits for a turn.
  var hasWork: Bool { !readers.isEmpty || !writers.isEmpty }

  /// Whether `taker` may take a further message now; if not it is called in a later turn.
  func mayRead(_ taker: any TurnTaker) -> Bool {
    if isReadingOn || readers.isEmpty, isReadTime { return true }
    if !taker.isWaitingToRead {
      taker.isWaitingToRead = true
      readers.append(taker, lane: taker.lane)
    }
    return false
  }

  private var isReadTime: Bool {
    let now = Clocks.boot()
    let end = readEnd ?? now + Self.readNanoseconds
    readEnd = end
    return now < end
  }

  /// Lets those read who have waited for it. Called once a turn, before the core's steps.
  func readOn() {
    isReadingOn = true
    // Each once: who has more stands behind the others again.
    var left = readers.count
    while left > 0, isReadTime, let taker = readers.next() {
      left -= 1
      taker.isWaitingToRead = false
      taker.readOn()
    }
    isReadingOn = false
  }

  /// Whether an answer may be written as it is made.
  var mayWriteAtOnce: Bool { bytesLeft > 0 }

  /// Bytes of answers that were made since the start.
  private(set) var made = 0

  /// So many bytes of answers were made.
  func spend(_ bytes: Int) {
    bytesLeft -= bytes
    made += bytes
  }

  /// `taker` has something to write, once.
  func schedule(_ taker: any TurnTaker) { writers.append(taker, lane: taker.lane) }

  /// Lets clients write, one after the other, for a bounded time; the next turn's bounds begin. Called once a turn.
  func writeOut() {
    readEnd = nil
    bytesLeft = Self.bytesAtOnce
    guard !writers.isEmpty else { return }
    let end = Clocks.boot() + Self.writeNanoseconds
    // What comes while they write is for the next turn.
    var left = writers.count
    while left > 0, let taker = writers.next() {
      left -= 1
      taker.writeSome()
      if Clocks.boot() >= end { return }
    }
  }
}
