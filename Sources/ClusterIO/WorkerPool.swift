// Owns: threads for work of which any piece may hang (a dead network mount, a FIFO, a disk): one that does costs the
// others next to nothing until all threads hang. It must not know what is done.

import Glibc
import Synchronization

/// Does pieces of work one after another on one thread, and on further ones, up to a limit, when that one is held up:
/// to wake a thread for each short piece would cost more than the piece. With all threads held up the pieces wait for
/// the first that is done. Pieces with one key run in the order of posting.
package final class WorkerPool: Sendable {
  private struct Piece {
    var key: Int64
    var work: @Sendable () -> Void
  }

  private struct State {
    var threads: [WorkerThread] = []
    /// Threads that have nothing to do.
    var idle: [Int] = []
    /// The thread that is relied on to take what is ready; nil: none. Those that were held up take pieces too when they
    /// are done, but nobody counts on it.
    var lead: Int?
    /// Pieces that may begin, from `next` on.
    var ready: [Piece] = []
    var next = 0
    /// Of each key with a piece that is ready or under way: those that come after it.
    var later: [Int64: [Piece]] = [:]
    /// Pieces that were begun so far.
    var begun = 0
    /// Somebody looks whether the lead gets on.
    var isWatched = false
  }

  private let name: String
  private let limit: Int
  private let lookout: WorkerThread
  private let state: Mutex<State>
  /// What is ready waits for so long at the most, and for twice that, until the lead is held to be held up.
  private static let patienceMilliseconds: Int32 = 5

  /// Starts one thread and one that watches it; the others are made when they are needed.
  package init(name: String, limit: Int) throws(IOError) {
    self.name = name
    self.limit = limit
    let first = try WorkerThread(name: name)
    lookout = try WorkerThread(name: name)
    state = Mutex(State(threads: [first], idle: [0]))
  }

  /// Has `work` run after all that was posted with this `key` before.
  package func post(key: Int64, _ work: @escaping @Sendable () -> Void) {
    let piece = Piece(key: key, work: work)
    let isFirst = state.withLock { state in
      guard state.later[key] == nil else {
        state.later[key]?.append(piece)
        return false
      }
      state.later[key] = []
      state.ready.append(piece)
      if state.lead == nil { wake(&state) }
      defer { state.isWatched = true }
      return !state.isWatched
    }
    if isFirst { lookout.post { [weak self] in self?.watch() } }
  }

  /// Whether nothing that was posted with this key is left to do.
  package func isFree(_ key: Int64) -> Bool { state.withLock { $0.later[key] == nil } }

  /// Waits until all is done, but not longer than that; whether it is.
  package func finish(milliseconds: Int64) -> Bool {
    let end = Clocks.boot() + milliseconds * 1_000_000
    while state.withLock({ !$0.later.isEmpty }) {
      if Clocks.boot() >= end { return false }
      poll(nil, 0, 1)
    }
    return true
  }

  private func wake(_ state: inout State) {
    if state.idle.isEmpty, state.threads.count < limit, let thread = try? WorkerThread(name: name) {
      state.idle.append(state.threads.count)
      state.threads.append(thread)
    }
    state.lead = state.idle.popLast()
    guard let position = state.lead else { return }
    state.threads[position].post { [self] in work(position) }
  }

  /// Takes pieces until there are none.
  private func work(_ position: Int) {
    var done: Int64?
    while let piece = next(position, done: done) {
      piece.work()
      done = piece.key
    }
  }

  /// What the thread does next, after its piece with that key.
  private func next(_ position: Int, done: Int64?) -> Piece? {
    state.withLock { state in
      if let done { finish(done, &state) }
      guard state.next < state.ready.count else {
        state.idle.append(position)
        if state.lead == position { state.lead = nil }
        return nil
      }
      let piece = state.ready[state.next]
      state.next += 1
      if state.next == state.ready.count {
        state.ready.removeAll(keepingCapacity: state.next <= 256)
        state.next = 0
      }
      state.begun += 1
      return piece
    }
  }

  private func finish(_ key: Int64, _ state: inout State) {
    var later = state.later[key] ?? []
    if later.isEmpty {
      state.later[key] = nil
    } else {
      state.ready.append(later.removeFirst())
      state.later[key] = later
    }
  }

  /// Looks, while there is work, whether what is ready is begun; where it is not, another thread takes the lead.
  private func watch() {
    var begun = -1
    var isOver = false
    while !isOver {
      poll(nil, 0, Self.patienceMilliseconds)
      state.withLock { state in
        if state.next < state.ready.count {
          if state.begun == begun { wake(&state) }
        } else if state.begun == begun {
          // Nothing came for a while: the next piece calls.
          isOver = true
          state.isWatched = false
        }
        begun = state.begun
      }
    }
  }
}
