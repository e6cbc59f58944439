// What a pod's containers do next: init containers in order, sidecars that stay, main containers together, restarts,
// and the way out. Level-triggered: `advance` looks at the whole pod and asks for what is missing. Deadlines are
// KeeperDeadlines' business.

import ClusterProto

/// What a step of a pod's life needs from the core and gives back to it.
struct KeeperTurn {
  let now: Now
  let configuration: KeeperConfiguration
  var effects: [KeeperEffect] = []
  /// The number of a `shorten` that was obeyed.
  var shortened: Int64?
  /// The latest check's, and how many of probes are under way.
  var checks = CheckCount()
  /// What happened to containers, for people.
  var facts: [PodFact] = []
}

extension KeeperPod {
  private static let sigterm: Int32 = 15

  /// Starts what is due. Nothing happens to a pod that is frozen, killed or not running.
  mutating func advance(_ turn: inout KeeperTurn) {
    guard stage == .running, freeze == .none, !killed else { return }
    tendHooks(&turn)
    tendProbes(&turn)
    if ending == nil { advanceAdditions(&turn) }
    if ending == nil { advanceInit(&turn) }
    if ending == nil, initialized { advanceMain(&turn) }
    advanceStops(&turn)
    if ending != nil { advanceEnding(&turn) }
  }

  /// Begins the way out, or hurries one that is under way: the earlier kill counts, the first cause stays.
  mutating func end(_ cause: EndCause, killAt: BootTime, _ turn: inout KeeperTurn) {
    guard stage != .gone else { return }
    if let present = ending {
      ending?.killAt = min(present.killAt, killAt)
    } else {
      ending = Ending(cause: cause, killAt: killAt)
    }
    switch stage {
    case .waiting, .recording: stage = .gone
    case .starting: if killAt <= turn.now.boot { kill(&turn) }
    case .running where freeze == .none || freeze == .thawing:
      if killAt <= turn.now.boot { kill(&turn) } else { advance(&turn) }
    // A frozen process cannot hear SIGTERM, and only the coordinator's word that it is current may thaw it.
    case .running: kill(&turn)
    case .gone: break
    }
  }

  /// SIGKILL to everything, once.
  mutating func kill(_ turn: inout KeeperTurn) {
    guard mayRun, !killed else { return }
    killed = true
    turn.effects.append(.killPod(attempt))
  }

  private mutating func advanceInit(_ turn: inout KeeperTurn) {
    for position in 0..<initCount {
      let slot = slots[position]
      switch slot.run {
      case .idle:
        start(position, &turn)
        return
      case .starting:
        if !slot.isSidecar || !slot.care.hasBeenUp { return }
      case .running:
        if !slot.isSidecar || !slot.care.hasBeenUp { return }
      case .ended:
        if !slot.isSidecar, slot.succeeded { continue }
        guard slot.retryAt != nil else {
          end(.finished, killAt: turn.now.boot + graceMilliseconds, &turn)
          return
        }
        restartIfDue(position, &turn)
        if !slot.isSidecar || !slot.care.hasBeenUp { return }
      }
    }
    initialized = true
  }

  private mutating func advanceMain(_ turn: inout KeeperTurn) {
    for position in mainIndices {
      switch slots[position].run {
      case .idle: start(position, &turn)
      case .ended: restartIfDue(position, &turn)
      case .starting, .running: break
      }
      // As the kubelet starts them: one after the other, each with its hook.
      if slots[position].isSettling { return }
    }
    if mainIndices.allSatisfy({ slots[$0].run == .ended && slots[$0].retryAt == nil }) {
      ending = Ending(cause: .finished, killAt: turn.now.boot + graceMilliseconds)
    }
  }

  /// The hooks of all before their ends, then SIGTERM to the main containers (and a running init container), then to
  /// the sidecars one by one from the last; when none is left the rest of the pod, such as what a container has forked
  /// away, is killed.
  private mutating func advanceEnding(_ turn: inout KeeperTurn) {
    var waits = false
    for position in slots.indices where slots[position].isAlive {
      let mayEnd = prepareEnd(position, &turn)
      if slots[position].isSidecar { continue }
      if mayEnd { terminate(position, &turn) }
      // Nobody waits for what was added.
      if position < ownCount { waits = true }
    }
    if waits { return }
    if let last = slots.indices.last(where: { slots[$0].isSidecar && slots[$0].isAlive }) {
      if prepareEnd(last, &turn) { terminate(last, &turn) }
      return
    }
    kill(&turn)
  }

  mutating func terminate(_ position: Int, _ turn: inout KeeperTurn) {
    guard case .running = slots[position].run, !slots[position].signalled else { return }
    slots[position].signalled = true
    let run = ContainerRun(attempt: attempt, slot: position, restart: slots[position].restarts)
    turn.effects.append(.signal(run, slots[position].container?.root?.stopSignal ?? Self.sigterm))
  }

  mutating func start(_ position: Int, _ turn: inout KeeperTurn) {
    guard let container = slots[position].container, !slots[position].lacksCommand else { return }
    slots[position].run = .starting
    let run = ContainerRun(attempt: attempt, slot: position, restart: slots[position].restarts)
    turn.effects.append(.startContainer(run, container))
  }

  private mutating func restartIfDue(_ position: Int, _ turn: inout KeeperTurn) {
    guard let due = slots[position].retryAt, due <= turn.now.boot else { return }
    slots[position].retryAt = nil
    slots[position].restarts += 1
    start(position, &turn)
  }
}

// MARK: - The shell's words about processes

extension KeeperPod {
  mutating func started(_ turn: inout KeeperTurn) {
    guard stage == .starting else { return }
    stage = .running
    if let ending {
      if ending.killAt <= turn.now.boot { kill(&turn) } else { advance(&turn) }
    } else {
      advance(&turn)
    }
  }

  /// The init could not be made and no process is left. Not tried again: an attempt is started at most once (K1).
  mutating func unstartable(_ message: String, _ turn: inout KeeperTurn) {
    guard stage == .starting || stage == .recording || stage == .running else { return }
    // Bubblewrap tells it late: then its containers have been asked for.
    if stage == .running, ending != nil || slots.contains(where: \.hasStarted) { return gone(&turn) }
    for position in slots.indices where slots[position].isAlive { slots[position].run = .idle }
    if ending == nil { ending = Ending(cause: .unstartable(message: message), killAt: leaseEnd) }
    stage = .gone
  }

  /// Its start could not be written down, so it never began: that is its node's trouble, and no failure of the work.
  mutating func turnedAway(_ message: String) {
    guard stage == .recording else { return }
    if ending == nil { ending = Ending(cause: .evicted(message: message, isNodes: true), killAt: leaseEnd) }
    stage = .gone
  }

  mutating func containerStarted(_ run: ContainerRun, _ turn: inout KeeperTurn) {
    guard let position = index(of: run), slots[position].run == .starting else { return }
    slots[position].run = .running(since: turn.now)
    settle(position, &turn)
    advance(&turn)
  }

  mutating func containerFailedToStart(_ run: ContainerRun, _ failure: StartFailure, _ turn: inout KeeperTurn) {
    guard let position = index(of: run), slots[position].run == .starting else { return }
    let command = slots[position].container?.arguments.first ?? ""
    finish(position, .failed(failure, command: command, at: turn.now.wall), &turn)
  }

  mutating func containerExited(
    _ run: ContainerRun, code: Int64, signal: Int64, message: String, outOfMemory: Bool, _ turn: inout KeeperTurn
  ) {
    guard let position = index(of: run) else { return }
    finish(
      position,
      .exited(
        code: code, signal: signal, message: message, outOfMemory: outOfMemory,
        since: startTime(of: position, turn.now),
        at: turn.now.wall), &turn)
  }

  private mutating func finish(_ position: Int, _ end: ContainerState.Termination, _ turn: inout KeeperTurn) {
    endCare(position, &turn)
    slots[position].finish(end, policy: restartPolicy, configuration: turn.configuration, now: turn.now)
    advance(&turn)
  }

  /// The pod's processes are all proven dead. Those whose end nobody reported were killed with the pod, or vanished
  /// with it.
  mutating func gone(_ turn: inout KeeperTurn) {
    guard mayRun else { return }
    if ending == nil {
      // Its init kills it when nobody has confirmed its stop in time.
      if case .freezing = freeze { ending = Ending(cause: .leaseLost, killAt: turn.now.boot) }
      ending = ending ?? Ending(cause: .vanished, killAt: turn.now.boot)
    }
    for position in slots.indices where slots[position].isAlive {
      let since = startTime(of: position, turn.now)
      slots[position].previous = slots[position].latest
      slots[position].latest =
        killed ? .killed(since: since, at: turn.now.wall) : .unknown(since: since, at: turn.now.wall)
      slots[position].run = .ended
    }
    turn.checks.underWay -= probesUnderWay.count
    probesUnderWay = []
    stage = .gone
    freeze = .none
  }

  private func startTime(of position: Int, _ now: Now) -> WallTime {
    if case .running(let since) = slots[position].run { since.wall } else { now.wall }
  }
}
