// The coordinator's pure state machine: events in, effects out. This file owns the turn: dispatch, controllers, order
// of effects. Controllers are extensions in Workloads/ (Jobs, garbage, TTL), Fleet/ (sessions, leases, scheduler) and
// API/ (verbs, tables, watches).

import ClusterProto

/// Why the state cannot be rebuilt from the rows, in words that say what to do.
package struct CoordinatorStartError: Error, Equatable {
  /// What is wrong, and what to do.
  package var message: String
  /// Takes each value as it stands.
  package init(message: String) { self.message = message }
}

/// The whole state of a coordinator and everything that changes it. One value, one writer.
package struct CoordinatorCore: Sendable {
  /// Fixed for one incarnation.
  package let configuration: CoordinatorConfiguration
  /// Objects that one controller round may touch before it lets the next turn in (design: bounded turns).
  static let roundLimit = 256

  var state = ClusterState()
  var workloads = WorkloadsState()
  var fleet = FleetState()
  var api = APIState()
  var access = AccessIndex()
  var storage = StorageState()
  var weights = ObjectWeights()
  /// Much of what was answered waits in the shell: reads go on as slowly as they can.
  package var answersWait = false
  var random: SplitMix64
  var now: Now
  /// Change number of the last write of any object.
  package var resourceVersion: Int64 { state.resourceVersion }
  /// API objects in memory.
  package var objectCount: Int { state.references.count }
  /// Every Node's name with the address that its agent was last seen at, in the names' order; empty: never seen.
  package mutating func nodeAddresses() -> [(name: String, address: String)] {
    state.keys(of: .nodes).map { ($0.name, state.nodes[$0]?.address ?? "") }
  }
  /// This start's number; persisted, one more at each start.
  package internal(set) var incarnation: Int64 = 0
  /// C4.
  var starts = StartHistory()

  /// Rows that the current step changed, in the order of the first change.
  var dirty = InsertionSet<ObjectReference>()
  /// Events ride along with the next commit, they never cause one.
  var dirtyEvents = InsertionSet<ObjectReference>()
  var writes: [StoreWrite] = []
  var outputs: [CoordinatorEffect] = []
  /// Kinds of which this step deleted something.
  var dirtyDeletions = InsertionSet<Kind>()
  /// No version above this is shown before the store holds a higher one. Events make versions without a commit: after
  /// a crash their numbers must not be given to other changes.
  var reservedVersion: Int64 = 0
  static let reservedVersions: Int64 = 1_000
  /// The first invariant that the current step broke (StepInvariants.swift).
  var broken: String?
  private var lastWake: BootTime?
  var wallClock = WallClock()
  /// False while the rows are read, until the first step.
  private(set) var started = false

  /// Rebuilds the state from the store's rows, in any order, and begins the next incarnation, whose number the first
  /// step persists. Throws a message for a row that it cannot read.
  package init(configuration: CoordinatorConfiguration, rows: [StoreRow], seed: UInt64, now: Now)
    throws(CoordinatorStartError)
  {
    self.configuration = configuration
    self.now = now
    random = SplitMix64(seed: seed)
    try restore(rows)
    if configuration.opensEpoch { fleet.opensEpoch = true }
    if fleet.opensEpoch { try openEpoch() }
    restoreHistory()
    incarnation += 1
    restoreProofs()
    starts.begin(incarnation, mark: startMark)
    restoreFleetAfterRows()
    restoreWorkloadsAfterRows()
  }

  /// Takes a batch of events and returns what follows, `persist` first. Never traps on what the events carry.
  package mutating func step(_ events: [CoordinatorEvent], at now: Now) -> [CoordinatorEffect] {
    self.now = now
    if !started { begin() }
    noteOwnPause()
    noteWallClock()
    api.room = answersWait ? 1 : Self.roundLimit
    for event in events { dispatch(event) }
    fireTimers()
    let more = runControllers()
    finishFleetTurn()
    finishAPITurn()
    keepPulse()
    return flush(more: more || hasMoreToAnswer)
  }

  private mutating func begin() {
    started = true
    writes.append(fact("incarnation", .int(incarnation)))
    writes.append(fact(StartHistory.fact, starts.json))
    beginWorkloads()
    beginStorage()
    beginAccess()
    beginFleet()
  }

  private mutating func dispatch(_ event: CoordinatorEvent) {
    switch event {
    case .sessionOpened(let session, let subject): sessionOpened(session, by: subject)
    case .sessionClosed(let session): sessionClosed(session)
    case .agent(let session, let message): receive(message, from: session)
    case .request(let id, let request): handle(request, id: id)
    case .requestCancelled(let id):
      cancelRequest(id)
      fleet.exchange.waiters.remove(id)
    case .requestHeld(let id, let isHeld): holdRequest(id, isHeld)
    case .join(let id, let request, let key): join(request, key: key, id: id)
    case .renew(let session, let key, let request): renew(session, key: key, request: request)
    case .joining(let id, let subject, let request): handle(request, by: subject, id: id)
    case .users(let id, let subject, let request, let key): handle(request, key: key, by: subject, id: id)
    case .authority(let id, let subject, let request): handle(request, by: subject, id: id)
    case .authorityFailed(let reason): authorityFailed(reason)
    case .timer: break
    case .diskLow(let low): api.diskLow = low
    case .diskScarce(let scarce): setDiskScarce(scarce)
    case .storeStalls(let milliseconds): storeStalls(for: milliseconds)
    case .storeAnswered(let milliseconds): storeAnswered(after: milliseconds)
    case .apiServed(let endpoint): serveAPI(endpoint)
    case .nativeServed(let point): serveNative(point)
    case .stopRequested: beginPoliteStop()
    }
  }

  /// One bounded round of every controller; true when work is left for the next turn.
  private mutating func runControllers() -> Bool {
    // Each controller may make work for the others (a finished pod → its Job → a new pod → the scheduler), so go round
    // until nothing is due or the round's budget is spent.
    var budget = Self.roundLimit
    while budget > 0 {
      let before = budget
      // Something is left for the fleet: 100,000 objects that go must not hold up what is placed, or fenced.
      budget -= runWorkloads(limit: max(1, budget - budget / 4))
      if budget > 0 { budget -= runStorage(limit: budget) }
      if budget > 0 { budget -= runFleet(limit: budget) }
      if budget > 0 { budget -= sumRoles(limit: budget) }
      if budget > 0 { budget -= runAPI(limit: budget) }
      if budget == before { return false }
    }
    return true
  }

  private mutating func fireTimers() {
    fireWorkloadTimers()
    fireFleetTimers()
    fireAPITimers()
  }

  private mutating func flush(more: Bool) -> [CoordinatorEffect] {
    if let broken { return halt(for: broken) }
    for reference in dirty { writeRow(of: reference) }
    dirty.removeAll()
    if state.resourceVersion > reservedVersion {
      reservedVersion = state.resourceVersion + Self.reservedVersions
      writes.append(fact("resourceVersion", .int(reservedVersion)))
    }
    if !writes.isEmpty {
      for reference in dirtyEvents { writeRow(of: reference) }
      dirtyEvents.removeAll()
      for kind in dirtyDeletions {
        if let version = state.deletions[kind] { writes.append(fact("deleted.\(kind.rawValue)", .int(version))) }
      }
      dirtyDeletions.removeAll()
    }
    var effects = writes.map { CoordinatorEffect.persist($0) }
    effects.append(contentsOf: outputs)
    writes.removeAll(keepingCapacity: true)
    outputs.removeAll(keepingCapacity: true)
    let wake = more ? now.boot : [nextWorkloadTimer(), nextFleetTimer(), nextAPITimer()].compactMap { $0 }.min()
    if wake != lastWake || more {
      lastWake = wake
      effects.append(.wake(at: wake))
    }
    return effects
  }

  private mutating func writeRow(of reference: ObjectReference) {
    let write = row(of: reference)
    weights.note(reference, bytes: write.value?.count)
    writes.append(write)
  }

  func fact(_ key: String, _ value: JSON) -> StoreWrite {
    StoreWrite(table: .facts, key: key, value: Array(value.text.utf8))
  }

  /// A new random uid.
  mutating func newUID() -> String { Names.uuid(random.next(), random.next()) }
}
