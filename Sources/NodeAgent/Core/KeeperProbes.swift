// Owns: a pod's probes in the keeper: when each is asked, what its answers come to, and which container is stopped for
// them. kubelet's rules and words. It must not know how a check is carried out; deadlines of the pod come first.

import ClusterProto

extension KeeperPod {
  /// The kubelet asks at its next tick, up to a period later. Who has only just begun is not there yet.
  private static let firstMilliseconds: Int64 = 1_000
  /// So long a command that was told to end may take for it.
  private static let endMilliseconds: Int64 = 2_000
  /// An Event's message is bounded by the API; the coordinator cuts it again.
  private static let factLength = 1_024

  /// Says something of a container to people.
  func tell(_ position: Int, _ reason: String, _ message: String, _ turn: inout KeeperTurn) {
    let text =
      message.utf8.count <= Self.factLength
      ? message : String(decoding: message.utf8.prefix(Self.factLength - 3), as: UTF8.self) + "..."
    turn.facts.append(PodFact(attempt: attempt, container: slots[position].name, reason: reason, message: text))
  }

  /// The container counts as running: its probes begin.
  mutating func beginProbes(_ position: Int, _ turn: inout KeeperTurn) {
    slots[position].hasStarted = true
    slots[position].care.isSettled = true
    let spec = slots[position].care.spec
    slots[position].care.watches = [
      spec.startup.map { ProbeWatch(kind: .startup, spec: $0) },
      spec.liveness.map { ProbeWatch(kind: .liveness, spec: $0) },
      spec.readiness.map { ProbeWatch(kind: .readiness, spec: $0) },
    ].compactMap { $0 }
    guard spec.startup != nil else { return up(position, after: Self.firstMilliseconds, &turn) }
    slots[position].care.watches[0].due = firstTime(of: 0, position, after: Self.firstMilliseconds, turn.now)
  }

  /// Nothing holds its other probes back.
  private mutating func up(_ position: Int, after pause: Int64, _ turn: inout KeeperTurn) {
    slots[position].care.isUp = true
    slots[position].care.hasBeenUp = true
    slots[position].care.isReady = slots[position].care.spec.readiness == nil
    for index in slots[position].care.watches.indices {
      let watch = slots[position].care.watches[index]
      switch watch.kind {
      case .startup: continue
      case .liveness:
        let due = firstTime(of: index, position, after: watch.periodMilliseconds, turn.now)
        slots[position].care.watches[index].due = due
      case .readiness:
        slots[position].care.watches[index].due = firstTime(of: index, position, after: pause, turn.now)
      }
    }
  }

  private func firstTime(of index: Int, _ position: Int, after pause: Int64, _ now: Now) -> BootTime {
    guard case .running(let since) = slots[position].run else { return now.boot + pause }
    let delay = slots[position].care.watches[index].spec.initialDelaySeconds * 1_000
    return max(since.boot + delay, now.boot + pause)
  }

  /// Asks what is due, and counts what has taken too long.
  mutating func tendProbes(_ turn: inout KeeperTurn) {
    for position in slots.indices where !slots[position].care.watches.isEmpty {
      guard case .running = slots[position].run else { continue }
      for index in slots[position].care.watches.indices {
        let kind = slots[position].care.watches[index].kind
        guard slots[position].care.asks(kind, ending: ending != nil) else { continue }
        tend(position, index, &turn)
      }
    }
  }

  private mutating func tend(_ position: Int, _ index: Int, _ turn: inout KeeperTurn) {
    let now = turn.now.boot
    if let check = slots[position].care.watches[index].check, check.failsAt <= now {
      abandon(position, index, &turn)
      count(position, index, passed: false, slots[position].care.watches[index].timeoutMessage, &turn)
    }
    let watch = slots[position].care.watches[index]
    guard watch.check == nil, let due = watch.due, due <= now else { return }
    if let port = watch.spec.action.unknownPort {
      slots[position].care.watches[index].due = now + watch.periodMilliseconds
      return tellError(position, index, "strconv.Atoi: parsing \(DownwardAPI.quoted(port)): invalid syntax", &turn)
    }
    if let abandoned = watch.abandoned {
      // Its answer lets the next one begin.
      guard abandoned.until <= now else { return }
      // What was asked before cannot even be ended.
      slots[position].care.watches[index].due = now + watch.periodMilliseconds
      return count(position, index, passed: false, watch.timeoutMessage, &turn)
    }
    let isFull = turn.checks.underWay >= turn.configuration.probesAtOnce
    slots[position].care.watches[index].isHeld =
      isFull || probesUnderWay.count >= turn.configuration.probesAtOnceInPod
    // Its own pod's next answer lets it go on where the pod has too many.
    if isFull { awaitsChecks = true }
    if slots[position].care.watches[index].isHeld { return }
    let number = turn.checks.next()
    turn.checks.underWay += 1
    probesUnderWay.insert(number)
    slots[position].care.watches[index].due = now + watch.periodMilliseconds
    slots[position].care.watches[index].check = (number, now + watch.spec.timeoutSeconds * 1_000)
    turn.effects.append(.startCheck(number, run(of: position), Check(action: watch.spec.action, isHook: false)))
  }

  /// The present run of a slot.
  func run(of position: Int) -> ContainerRun {
    ContainerRun(attempt: attempt, slot: position, restart: slots[position].restarts)
  }

  private mutating func abandon(_ position: Int, _ index: Int, _ turn: inout KeeperTurn) {
    guard let check = slots[position].care.watches[index].check else { return }
    slots[position].care.watches[index].check = nil
    slots[position].care.watches[index].abandoned = (check.number, turn.now.boot + Self.endMilliseconds)
    giveUp(check.number, &turn)
  }

  /// The shell ends it. It counts no longer: at most one of each probe can be left that cannot be ended.
  mutating func giveUp(_ number: CheckNumber, _ turn: inout KeeperTurn) {
    if probesUnderWay.remove(number) != nil { turn.checks.underWay -= 1 }
    turn.effects.append(.endCheck(number, attempt))
  }

  /// A pod that stood still could not answer.
  mutating func resumeProbes(_ turn: inout KeeperTurn) {
    for position in slots.indices {
      for index in slots[position].care.watches.indices {
        abandon(position, index, &turn)
        slots[position].care.watches[index].isHeld = false
        guard slots[position].care.watches[index].due != nil else { continue }
        let period = slots[position].care.watches[index].periodMilliseconds
        slots[position].care.watches[index].due = turn.now.boot + period
      }
    }
  }

  /// The shell's answer.
  mutating func checked(
    _ number: CheckNumber, _ run: ContainerRun, _ answer: CheckAnswer, _ turn: inout KeeperTurn
  ) {
    if probesUnderWay.remove(number) != nil { turn.checks.underWay -= 1 }
    guard let position = index(of: run) else { return advance(&turn) }
    for index in slots[position].care.watches.indices {
      if slots[position].care.watches[index].abandoned?.number == number {
        slots[position].care.watches[index].abandoned = nil
      }
      guard slots[position].care.watches[index].check?.number == number else { continue }
      slots[position].care.watches[index].check = nil
      // What stands still says nothing by it, and what is being stopped for another reason is not asked again.
      let kind = slots[position].care.watches[index].kind
      guard freeze == .none, slots[position].care.asks(kind, ending: ending != nil) else { continue }
      judge(position, index, answer, &turn)
    }
    if slots[position].care.postStart == .underWay(number) { endPostStart(position, answer, &turn) }
    if slots[position].care.preStop == .underWay(number) { endPreStop(position, answer, &turn) }
    advance(&turn)
  }

  private mutating func judge(_ position: Int, _ index: Int, _ answer: CheckAnswer, _ turn: inout KeeperTurn) {
    let kind = slots[position].care.watches[index].kind
    switch answer {
    case .exited(let code, let output): count(position, index, passed: code == 0, output, &turn)
    case .passed: count(position, index, passed: true, "", &turn)
    case .warned(let message):
      tell(position, "ProbeWarning", "\(kind.rawValue) probe warning: \(message)", &turn)
      count(position, index, passed: true, "", &turn)
    case .failed(let message): count(position, index, passed: false, message, &turn)
    // Its end is told by itself.
    case .notRun(_, containerEnded: true): break
    // As in Kubernetes no failure: what could not be asked says nothing.
    case .notRun(let failure, containerEnded: false):
      guard case .exec(let command) = slots[position].care.watches[index].spec.action,
        case .failed(_, let message) = KeeperCore.failed(failure, command: command.first ?? "", at: turn.now.wall)
      else { return }
      tellError(position, index, message, &turn)
    }
  }

  private func tellError(_ position: Int, _ index: Int, _ message: String, _ turn: inout KeeperTurn) {
    let kind = slots[position].care.watches[index].kind
    tell(
      position, "Unhealthy", "\(kind.rawValue) probe errored and resulted in unknown state: \(message)", &turn)
  }

  private mutating func count(
    _ position: Int, _ index: Int, passed: Bool, _ message: String, _ turn: inout KeeperTurn
  ) {
    let watch = slots[position].care.watches[index]
    if !passed { tell(position, "Unhealthy", "\(watch.kind.rawValue) probe failed: \(message)", &turn) }
    guard let holds = slots[position].care.watches[index].count(passed: passed) else { return }
    switch watch.kind {
    case .readiness: slots[position].care.isReady = holds
    case .startup where holds:
      slots[position].care.watches[index].due = nil
      up(position, after: 0, &turn)
    case .startup, .liveness:
      guard !holds else { return }
      slots[position].care.watches[index].due = nil
      stopForProbe(position, watch, &turn)
    }
  }

  private mutating func stopForProbe(_ position: Int, _ watch: ProbeWatch, _ turn: inout KeeperTurn) {
    let slot = slots[position]
    let restarts = slot.isSidecar || (slot.ownPolicy ?? restartPolicy) != .never
    let what = "\(slot.isInit ? "Init container" : "Container") \(slot.name) failed \(watch.kind.rawValue.lowercased())"
    let grace = watch.spec.terminationGracePeriodSeconds.map { $0 * 1_000 } ?? graceMilliseconds
    stopContainer(
      position, isByProbe: true, "\(what) probe\(restarts ? ", will be restarted" : "")", graceMilliseconds: grace,
      &turn)
  }
}
