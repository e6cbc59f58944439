// Owns: persist before send. Effects of a turn wait here until every write of that turn, and of the turns before it,
// is durable. It must not know sockets or SQLite: it is told of commits and says what may leave.

import CoordinatorCore

/// The order between the core's writes and everything that leaves the process.
package struct TurnQueue {
  private struct Held {
    /// The commit that must be durable first.
    var commit: Int
    var effect: CoordinatorEffect
  }

  /// Writes of turns since the last commit began: the latest of each row.
  private var writes: [StoreWrite] = []
  private var positions: [RowName: Int] = [:]
  private var held: [Held] = []
  private var heldStart = 0
  /// Number of the commit that is in flight, or was last.
  private var commit = 0
  private var isInFlight = false
  /// The highest resourceVersion of the writes that wait, that are in flight, and that are durable.
  private var versions = (waiting: Int64(0), inFlight: Int64(0), durable: Int64(0))

  private struct RowName: Hashable {
    var table: StoreTable
    var key: String
  }

  /// An empty queue: nothing in flight.
  package init() {}

  /// Whether effects or writes wait.
  package var isEmpty: Bool { heldStart == held.count && writes.isEmpty && !isInFlight }

  /// How many effects wait.
  package var heldCount: Int { held.count - heldStart }

  /// Takes a step's effects and returns those that may leave now, in order. `persist` never comes out. `wake`, `log`
  /// and `halt` concern only this process and come out at once. So does an `immediate` send: the core makes one only
  /// when the agent has echoed every answer that was not, so it cannot overtake one. An object that is `shown` waits
  /// only while its own last write is not durable. `resourceVersion`: the highest that this step's writes have.
  package mutating func add(_ effects: [CoordinatorEffect], resourceVersion: Int64) -> [CoordinatorEffect] {
    for case .persist(let write) in effects {
      add(write)
      versions.waiting = resourceVersion
    }
    let needed = writes.isEmpty ? commit : commit + 1
    let mustWait = !writes.isEmpty || isInFlight || heldCount > 0
    var free: [CoordinatorEffect] = []
    for effect in effects {
      switch effect {
      case .persist: continue
      case .wake, .log, .halt, .send(_, _, immediate: true): free.append(effect)
      case .shown(_, _, let version) where version <= versions.durable: free.append(effect)
      case .send, .closeSession, .reply, .shown, .tell, .startLogs, .issue, .issueRefused, .issueUser, .closeHolders,
        .closeAuthority, .exchangeAuthority, .dropAuthority, .tellAuthorities, .tellCoordinators, .signToken, .audit,
        .stopped:
        if mustWait { held.append(Held(commit: needed, effect: effect)) } else { free.append(effect) }
      }
    }
    return free
  }

  /// The next transaction, when none is in flight and there is something to write. The caller commits it and then
  /// calls `committed`.
  package mutating func nextCommit() -> [StoreWrite]? {
    guard !isInFlight, !writes.isEmpty else { return nil }
    isInFlight = true
    versions.inFlight = versions.waiting
    commit += 1
    defer {
      writes = []
      positions = [:]
    }
    return writes
  }

  /// The transaction in flight is durable: returns what waited for it, in order.
  package mutating func committed() -> [CoordinatorEffect] {
    isInFlight = false
    versions.durable = versions.inFlight
    var released: [CoordinatorEffect] = []
    while heldStart < held.count, held[heldStart].commit <= commit {
      released.append(held[heldStart].effect)
      heldStart += 1
    }
    // The front is cut off only now and then: cutting it each time would cost the length of the rest.
    if heldStart == held.count || heldStart > 4_096 {
      held.removeFirst(heldStart)
      heldStart = 0
    }
    return released
  }

  private mutating func add(_ write: StoreWrite) {
    let name = RowName(table: write.table, key: write.key)
    if let position = positions[name] {
      writes[position] = write
    } else {
      positions[name] = writes.count
      writes.append(write)
    }
  }
}
