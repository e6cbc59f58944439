// Owns: the hooks of a pod's containers in the keeper, and how one container alone is stopped: the hook before its end,
// SIGTERM, SIGKILL. kubelet's rules and words. No hook moves the deadline of a lease: KeeperDeadlines kills whatever a
// hook does.

import ClusterProto

extension KeeperPod {
  /// minimumGracePeriodInSeconds of the kubelet: what SIGTERM leaves a container at least behind its hook.
  private static let leastGraceMilliseconds: Int64 = 2_000

  // MARK: - After the start

  /// Its process runs: what is to be done right after comes before it counts as running.
  mutating func settle(_ position: Int, _ turn: inout KeeperTurn) {
    guard let hook = slots[position].care.spec.postStart, ending == nil else { return beginProbes(position, &turn) }
    slots[position].care.postStart = begin(hook, position, &turn)
    tendPostStart(position, &turn)
  }

  /// Whose time has come, and what could not even be begun.
  mutating func tendHooks(_ turn: inout KeeperTurn) {
    guard ending == nil else { return }
    for position in slots.indices {
      guard case .running = slots[position].run, !slots[position].care.isSettled else { continue }
      tendPostStart(position, &turn)
    }
  }

  private mutating func tendPostStart(_ position: Int, _ turn: inout KeeperTurn) {
    switch slots[position].care.postStart {
    case .asleep(let until) where until <= turn.now.boot: endPostStart(position, .passed, &turn)
    case .over where !slots[position].care.isSettled && slots[position].care.stop == nil:
      failPostStart(position, &turn)
    case .notBegun, .underWay, .asleep, .over: break
    }
  }

  mutating func endPostStart(_ position: Int, _ answer: CheckAnswer, _ turn: inout KeeperTurn) {
    slots[position].care.postStart = .over
    if answer.isGood { beginProbes(position, &turn) } else { failPostStart(position, &turn) }
  }

  private mutating func failPostStart(_ position: Int, _ turn: inout KeeperTurn) {
    tell(position, "FailedPostStartHook", "PostStartHook failed", &turn)
    stopContainer(
      position, isByProbe: false, "FailedPostStartHook", graceMilliseconds: graceMilliseconds, &turn)
  }

  /// Begins a hook. What Kubernetes takes in a manifest and cannot do is over at once, and has failed.
  private func begin(_ hook: CareAction, _ position: Int, _ turn: inout KeeperTurn) -> HookRun {
    switch hook {
    case .pause(let seconds): return .asleep(until: turn.now.boot + min(seconds, Int64(Int32.max)) * 1_000)
    case .connect: return .over
    case .get where hook.unknownPort != nil: return .over
    case .exec, .get:
      let number = turn.checks.next()
      turn.effects.append(.startCheck(number, run(of: position), Check(action: hook, isHook: true)))
      return .underWay(number)
    }
  }

  // MARK: - One container's end

  /// Ends this run of it, after its hook and its grace.
  mutating func stopContainer(
    _ position: Int, isByProbe: Bool, _ why: String, graceMilliseconds: Int64, _ turn: inout KeeperTurn
  ) {
    guard slots[position].care.stop == nil, ending == nil else { return }
    tell(position, "Killing", why, &turn)
    slots[position].care.stop = ContainerStop(isByProbe: isByProbe, killAt: turn.now.boot + graceMilliseconds)
  }

  /// Containers that are stopped by themselves, whatever becomes of their pod meanwhile.
  mutating func advanceStops(_ turn: inout KeeperTurn) {
    for position in slots.indices {
      guard case .running = slots[position].run else { continue }
      guard slots[position].care.stop != nil, prepareEnd(position, &turn) else { continue }
      if !slots[position].signalled {
        let least = turn.now.boot + Self.leastGraceMilliseconds
        let killAt = slots[position].care.stop?.killAt ?? least
        slots[position].care.stop?.killAt = max(killAt, least)
        terminate(position, &turn)
      } else if let stop = slots[position].care.stop, stop.killAt <= turn.now.boot, !stop.isKilled {
        slots[position].care.stop?.isKilled = true
        turn.effects.append(.signal(run(of: position), Self.sigkill))
      }
    }
  }

  private static let sigkill: Int32 = 9

  /// When a container is killed; nil: it is not being stopped.
  private func killTime(_ position: Int) -> BootTime? {
    earliest(slots[position].care.stop?.killAt, ending?.killAt)
  }

  /// What comes before SIGTERM; true when nothing does any more.
  mutating func prepareEnd(_ position: Int, _ turn: inout KeeperTurn) -> Bool {
    guard case .running = slots[position].run else { return false }
    giveUpPostStart(position, &turn)
    let now = turn.now.boot
    let killAt = killTime(position) ?? now
    switch slots[position].care.preStop {
    case .over: return true
    case .notBegun:
      // Without any grace there is none for a hook either.
      guard let hook = slots[position].care.spec.preStop, now < killAt else {
        slots[position].care.preStop = .over
        return true
      }
      slots[position].care.preStop = begin(hook, position, &turn)
      if slots[position].care.preStop == .over { tell(position, "FailedPreStopHook", "PreStopHook failed", &turn) }
      return slots[position].care.preStop == .over || prepareEnd(position, &turn)
    case .asleep(let until) where until <= now: endPreStop(position, .passed, &turn)
    case .underWay, .asleep:
      guard killAt <= now else { return false }
      cutPreStop(position, &turn)
    }
    return true
  }

  mutating func endPreStop(_ position: Int, _ answer: CheckAnswer, _ turn: inout KeeperTurn) {
    slots[position].care.preStop = .over
    if !answer.isGood { tell(position, "FailedPreStopHook", "PreStopHook failed", &turn) }
    leaveGrace(&turn)
  }

  private mutating func cutPreStop(_ position: Int, _ turn: inout KeeperTurn) {
    if case .underWay(let number) = slots[position].care.preStop { giveUp(number, &turn) }
    slots[position].care.preStop = .over
    leaveGrace(&turn)
  }

  private mutating func giveUpPostStart(_ position: Int, _ turn: inout KeeperTurn) {
    if case .underWay(let number) = slots[position].care.postStart { giveUp(number, &turn) }
    slots[position].care.postStart = .over
  }

  /// A hook has used the pod's grace: its container still has a little to end in.
  private mutating func leaveGrace(_ turn: inout KeeperTurn) {
    ending?.leavesUntil = turn.now.boot + Self.leastGraceMilliseconds
  }

  /// When the pod's end is looked at again.
  var endWake: BootTime? {
    guard let ending else { return nil }
    let hasHook = slots.contains { slot in
      switch slot.care.preStop {
      case .underWay, .asleep: slot.isAlive
      case .notBegun, .over: false
      }
    }
    return hasHook ? ending.killAt : ending.dueAt
  }

  /// The pod's grace is over, and hooks have taken all of it: they end, and SIGTERM comes to all that have not had it.
  /// False: no hook was under way.
  mutating func cutHooks(_ turn: inout KeeperTurn) -> Bool {
    guard stage == .running, freeze == .none else { return false }
    var isCut = false
    for position in slots.indices where slots[position].isAlive {
      switch slots[position].care.preStop {
      case .underWay, .asleep:
        cutPreStop(position, &turn)
        isCut = true
      case .notBegun, .over: break
      }
    }
    guard isCut else { return false }
    for position in slots.indices where slots[position].isAlive { terminate(position, &turn) }
    return true
  }

  /// A run of it is over: nothing more is asked of it.
  mutating func endCare(_ position: Int, _ turn: inout KeeperTurn) {
    for number in slots[position].care.underWay { giveUp(number, &turn) }
    if case .running = slots[position].run, !slots[position].care.isSettled, slots[position].care.postStart != .over {
      tell(position, "FailedPostStartHook", "PostStartHook failed", &turn)
    }
  }
}

extension CheckAnswer {
  /// A hook has done what it should.
  fileprivate var isGood: Bool {
    switch self {
    case .exited(let code, _): code == 0
    case .passed, .warned: true
    case .failed, .notRun: false
    }
  }
}
