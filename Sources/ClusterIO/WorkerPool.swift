// Owns: threads for work of which any piece may hang (a dead network mount, a FIFO, a disk): one that does costs the
// others nothing until all threads hang. It must not know what is done.

import Glibc
import Synchronization

/// Runs each piece of work on a thread that has nothing to do, made if there is none, up to a limit; beyond that the
/// pieces wait for the first thread that is done. Pieces with one key run in the order of posting.
package final class WorkerPool: Sendable {
  private struct Piece {
    var key: Int64
    var work: @Sendable () -> Void
  }

  private struct State {
    var threads: [WorkerThread] = []
    /// Threads that have nothing to do.
    var idle: [Int] = []
    /// Pieces that may begin.
    var ready: [Piece] = []
    /// Of each key with a piece that is ready or under way: those that come after it.
    var later: [Int64: [Piece]] = [:]
  }

  private let name: String
  private let limit: Int
  private let state: Mutex<State>

  /// Starts one thread; the others are made when they are needed.
  package init(name: String, limit: Int) throws(IOError) {
    self.name = name
    self.limit = limit
    let first = try WorkerThread(name: name)
    state = Mutex(State(threads: [first], idle: [0]))
  }

  /// Has `work` run after all that was posted with this `key` before.
  package func post(key: Int64, _ work: @escaping @Sendable () -> Void) {
    let piece = Piece(key: key, work: work)
    state.withLock { state in
      guard state.later[key] == nil else {
        state.later[key]?.append(piece)
        return
      }
      state.later[key] = []
      state.ready.append(piece)
      wake(&state)
    }
  }

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
    guard let position = state.idle.popLast() else { return }
    state.threads[position].post { [self] in work(position) }
  }

  /// Takes pieces until there are none.
  private func work(_ position: Int) {
    while let piece = next(position) {
      piece.work()
      state.withLock { state in
        let later = state.later[piece.key] ?? []
        state.later[piece.key] = later.isEmpty ? nil : Array(later.dropFirst())
        if let next = later.first { state.ready.append(next) }
      }
    }
  }

  private func next(_ position: Int) -> Piece? {
    state.withLock { state in
      guard !state.ready.isEmpty else {
        state.idle.append(position)
        return nil
      }
      return state.ready.removeFirst()
    }
  }
}
