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
  private var held = HeldQueue()
  /// Of agents, whose leases do not wait behind clients' answers. Their order among each other is kept.
  private var heldForAgents = HeldQueue()
  /// Number of the commit that is in flight, or was last, and of the one that was durable last.
  private var commit = 0
  private var durable = 0
  private var isInFlight = false
  /// The highest resourceVersion of the writes that wait, that are in flight, and that are durable.
  private var versions = (waiting: Int64(0), inFlight: Int64(0), durable: Int64(0))

  private struct HeldQueue {
    private var effects: [Held] = []
    private var start = 0

    var count: Int { effects.count - start }

    mutating func append(_ effect: Held) { effects.append(effect) }

    func isFirst(durable commit: Int) -> Bool { start < effects.count && effects[start].commit <= commit }

    mutating func take(durable commit: Int, atMost limit: Int, into released: inout [CoordinatorEffect]) {
      var left = limit
      while left > 0, isFirst(durable: commit) {
        released.append(effects[start].effect)
        start += 1
        left -= 1
      }
      // The front is cut off only now and then: cutting it each time would cost the length of the rest.
      if start == effects.count || start > 4_096 {
        effects.removeFirst(start)
        start = 0
      }
    }
  }

  private struct RowName: Hashable {
    var table: StoreTable
    var key: String
  }

  /// An empty queue: nothing in flight.
  package init() {}

  /// Whether effects or writes wait.
  package var isEmpty: Bool { heldCount == 0 && writes.isEmpty && !isInFlight }

  /// How many effects wait.
  package var heldCount: Int { held.count + heldForAgents.count }

  /// Whether some of them may leave.
  package var hasReleased: Bool { held.isFirst(durable: durable) || heldForAgents.isFirst(durable: durable) }

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
      case .send, .closeSession:
        if mustWait { heldForAgents.append(Held(commit: needed, effect: effect)) } else { free.append(effect) }
      case .reply, .shown, .tell, .startLogs, .startStream, .issue, .issueRefused, .issueUser, .closeHolders,
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

  /// The transaction in flight is durable: what waited for it is `released`.
  package mutating func committed() {
    isInFlight = false
    versions.durable = versions.inFlight
    durable = commit
  }

  /// Takes what may leave, in order: all that is agents', and so much of the rest.
  package mutating func released(atMost limit: Int = .max) -> [CoordinatorEffect] {
    var effects: [CoordinatorEffect] = []
    heldForAgents.take(durable: durable, atMost: .max, into: &effects)
    held.take(durable: durable, atMost: limit, into: &effects)
    return effects
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
