// The keeper's pure core: dispatches events to the pods, keeps terminal reports until they are acknowledged, and
// tells the shell when to wake it. Owns attempts from their first word to the acknowledgement of their end; knows
// nothing of sessions, volumes or the coordinator.

import ClusterProto

/// The state machine of one keeper process. It outlives the agent and enforces every deadline by itself.
/// The shell's first event is `timer`; every event is handled completely, deadlines first.
package struct KeeperCore {
  private(set) var start: KeeperStart
  let configuration: KeeperConfiguration
  var pods: [AttemptNumber: KeeperPod] = [:]
  /// `nextWake` and `dangerAt` of each pod as of its last change, the earliest at hand: an event must not look at every
  /// pod.
  private var wakes = TimerQueue<AttemptNumber>()
  private var dangers = TimerQueue<AttemptNumber>()
  /// The deadline that each pod's init holds.
  private var ownDeadlines: [AttemptNumber: BootTime] = [:]
  /// Of this step.
  private var movedDeadlines: [AttemptNumber: BootTime] = [:]
  var memory: KeeperMemory
  var isAgentConnected = false
  /// `shutDown` was asked for.
  var isShuttingDown = false
  private var emptySince: BootTime?
  private var deathTimer: BootTime?
  private var wake: BootTime?
  /// Starts that wait for the journal, by the number of their `journal` effect.
  private var recording: [(number: Int64, attempt: AttemptNumber)] = []
  var sandbox = SandboxWatch()
  var execs = KeeperExecs()
  var storage = StorageWatch()
  /// What the node is short of, while it is found out what pods use.
  var shortage: Shortage?
  /// The same of its disk, and what was found out so far.
  var diskRelief: DiskRelief?
  private var checks = CheckCount()
  /// Whose probes wait until fewer are under way, in the order in which they came.
  private var checkQueue: [AttemptNumber] = []

  /// Reports and entries a message carries at most, so that a frame stays under its limit.
  private static let page = 64
  /// Above every revision that an earlier keeper may have reported of the attempt.
  private static let tombstoneRevision = Int64(Int32.max)
  /// A tombstone's words.
  private static let neverStarted = "The pod was stopped before its containers were started"

  /// Begins from what the journal told.
  package init(_ start: KeeperStart, configuration: KeeperConfiguration) {
    self.start = start
    self.configuration = configuration
    memory = KeeperMemory(restoring: start.records)
  }

  /// Handles one event and gives what the shell has to do, in order. `now` never goes back.
  package mutating func step(_ event: KeeperEvent, at now: Now) -> [KeeperEffect] {
    var turn = KeeperTurn(now: now, configuration: configuration, checks: checks)
    var touched = enforceDeadlines(&turn)
    switch event {
    case .agentConnected, .agentDisconnected:
      isAgentConnected = event == .agentConnected
    case .request(let request):
      handle(request, &turn, &touched)
    // Whoever was woken early is woken again.
    case .timer: wake = nil
    case .podStarted(let attempt):
      on(attempt, &touched) { $0.started(&turn) }
      watchStorage(of: attempt, turn.now.boot)
    case .podStartFailed(let attempt, let message):
      doubtSandbox(now.boot)
      on(attempt, &touched) { $0.unstartable(message, &turn) }
      endExecs(of: attempt, &turn)
    case .containerStarted(let run): on(run.attempt, &touched) { $0.containerStarted(run, &turn) }
    case .containerStartFailed(let run, let failure):
      on(run.attempt, &touched) { $0.containerFailedToStart(run, failure, &turn) }
    case .containerExited(let run, let code, let signal, let message, let outOfMemory):
      on(run.attempt, &touched) {
        $0.containerExited(run, code: code, signal: signal, message: message, outOfMemory: outOfMemory, &turn)
      }
    case .podGone(let attempt):
      if let pod = pods[attempt], pod.ending == nil { doubtSandbox(now.boot) }
      on(attempt, &touched) { $0.gone(&turn) }
      endExecs(of: attempt, &turn)
    case .podFrozen(let attempt): on(attempt, &touched) { $0.frozen(&turn) }
    case .freezeFailed(let attempt, let message):
      turn.effects.append(.log("attempt \(attempt) cannot be frozen and is killed instead: \(message)"))
      on(attempt, &touched) { $0.freezeFailed(&turn) }
    case .podThawed(let attempt): on(attempt, &touched) { $0.thawed(&turn) }
    case .journaled(let number, let error): journaled(number, error, &turn, &touched)
    case .startSettled(let swept, let concern): startSettled(swept, concern, &turn)
    case .exec(let number, let request): exec(number, request, &turn)
    case .input(let number, let request): input(number, request, &turn)
    case .execClosed(let number): execClosed(number, &turn)
    case .execTold(let number, let word): execTold(number, word, &turn)
    case .checked(let number, let run, let answer):
      on(run.attempt, &touched) { $0.checked(number, run, answer, &turn) }
    case .measured(let pods):
      if isAgentConnected { turn.effects.append(.reply(.usage(pods))) }
      relieveNow(pods, &turn, &touched)
    case .storageMeasured(let attempt, let usage):
      storageMeasured(attempt, usage, &turn)
      touched.append(attempt)
      relieveDisk(attempt, usage, &turn, &touched)
    case .sandboxProbed(let works, let detail): sandboxProbed(works: works, detail: detail, &turn)
    }
    settleSandbox(&turn)
    settleStorage(&turn)
    goOnChecking(&turn, &touched)
    checks = turn.checks
    tell(turn.facts, &turn)
    flush(touched, &turn)
    finishTurn(&turn)
    if !movedDeadlines.isEmpty {
      turn.effects.insert(.moveDeadlines(movedDeadlines), at: 0)
      movedDeadlines = [:]
    }
    // Last: what it says has been done, the death timer included. An init that was armed before its word came nearer
    // looks again within the interval, which counts from the reading of this answer, so from after that.
    if let number = turn.shortened, isAgentConnected {
      turn.effects.append(
        .reply(.shortened(number: number, settleMilliseconds: configuration.initLookMilliseconds)))
    }
    return turn.effects
  }

  private mutating func startSettled(_ sweptKeepers: [String], _ concern: String, _ turn: inout KeeperTurn) {
    start.sweptKeepers = sweptKeepers
    start.concern = concern
    turn.effects.append(.endAgentConnection)
  }

  /// Whether that is news: the next hello says it.
  mutating func noteSandbox(works: Bool, detail: String) -> Bool {
    guard works != start.fencesFully || (!works && detail != start.fencingDetail) else { return false }
    start.fencesFully = works
    start.fencingDetail = detail
    return true
  }

  /// Pods whose probes waited go on, each in its turn, as long as there is room.
  private mutating func goOnChecking(_ turn: inout KeeperTurn, _ touched: inout [AttemptNumber]) {
    for attempt in touched where pods[attempt]?.awaitsChecks == true && !checkQueue.contains(attempt) {
      checkQueue.append(attempt)
    }
    while turn.checks.underWay < configuration.probesAtOnce, !checkQueue.isEmpty {
      let attempt = checkQueue.removeFirst()
      pods[attempt]?.awaitsChecks = false
      on(attempt, &touched) { $0.advance(&turn) }
      if pods[attempt]?.awaitsChecks == true { checkQueue.append(attempt) }
    }
  }

  private func tell(_ facts: [PodFact], _ turn: inout KeeperTurn) {
    guard isAgentConnected else { return }
    var rest = facts[...]
    while !rest.isEmpty {
      turn.effects.append(.reply(.events(Array(rest.prefix(Self.page)))))
      rest = rest.dropFirst(Self.page)
    }
  }

  private mutating func on(
    _ attempt: AttemptNumber, _ touched: inout [AttemptNumber], _ change: (inout KeeperPod) -> Void
  ) {
    guard pods[attempt] != nil else { return }
    pods[attempt]?.apply(change)
    touched.append(attempt)
  }

  /// Past deadlines are dealt with before the event is heard; gives the attempts that were looked at, in order.
  private mutating func enforceDeadlines(_ turn: inout KeeperTurn) -> [AttemptNumber] {
    var due: [AttemptNumber] = []
    while let attempt = wakes.popDue(at: turn.now.boot) { due.append(attempt) }
    due.sort()
    for attempt in due {
      pods[attempt]?.enforceDeadlines(&turn)
      pods[attempt]?.advance(&turn)
    }
    return due
  }
}

// MARK: - The agent's requests

extension KeeperCore {
  private mutating func handle(
    _ request: KeeperRequest, _ turn: inout KeeperTurn, _ touched: inout [AttemptNumber]
  ) {
    switch request {
    case .hello: greet(&turn)
    case .renew(let leaseEnd, let attempts):
      for attempt in attempts ?? Array(pods.keys) {
        guard let pod = pods[attempt], pod.stage != .gone, pod.leaseEnd < leaseEnd else { continue }
        pods[attempt]?.leaseEnd = leaseEnd
        retime(attempt)
      }
    case .shorten(let leaseEnd, let number):
      // A word that comes too late would end pods that the next renewal is about to keep.
      guard turn.now.boot < leaseEnd else { return }
      for attempt in pods.keys.sorted() {
        guard let pod = pods[attempt], pod.leaseEnd > leaseEnd else { continue }
        pods[attempt]?.leaseEnd = leaseEnd
        retime(attempt)
      }
      turn.shortened = number
    case .start(let assignment, let plan, let leaseEnd):
      startPod(assignment, plan, leaseEnd, &turn)
      touched.append(assignment.attempt)
    case .unprepared(let assignment, let container, let reason, let message, let leaseEnd):
      guard hold(assignment, leaseEnd, &turn) else { return }
      pods[assignment.attempt]?.wait(container: container, reason: reason, message: message)
      touched.append(assignment.attempt)
    case .add(let attempt, let container): on(attempt, &touched) { $0.add(container, &turn) }
    case .addWaits(let attempt, let container, let image, let reason, let message):
      on(attempt, &touched) { $0.awaitAddition(container, image: image, reason: reason, message: message) }
    case .stop(let attempt, let grace):
      stop(attempt, graceMilliseconds: grace, &turn)
      touched.append(attempt)
    case .thaw(let attempt):
      on(attempt, &touched) { $0.thaw(&turn) }
    case .acknowledge(let attempts):
      let known = attempts.filter { memory.ended[$0] != nil }
      guard !known.isEmpty else { return }
      turn.effects.append(contentsOf: memory.record([.acknowledged(known)]))
    case .measure: turn.effects.append(.measure)
    case .relieve(let shortage): relieve(shortage, &turn)
    case .shutDown(let grace):
      isShuttingDown = true
      for attempt in pods.keys.sorted() {
        let killAt = turn.now.boot + grace
        on(attempt, &touched) { $0.end(.shutDown, killAt: killAt, &turn) }
      }
    }
  }

  /// Answers an agent's hello, then sends the whole inventory: any number of `reports`, the last one empty.
  private mutating func greet(_ turn: inout KeeperTurn) {
    isAgentConnected = true
    turn.effects.append(
      .reply(
        .hello(
          keeper: start.keeper, directory: start.directory, sweptKeepers: start.sweptKeepers,
          highestAttempt: memory.highestAttempt, fencesFully: start.fencesFully, fencingDetail: start.fencingDetail)))
    if let limits = start.limits { turn.effects.append(.reply(.limits(limits))) }
    let devices = pods.compactMapValues { $0.plan?.devices }.filter { !$0.value.isEmpty }
    if !devices.isEmpty { turn.effects.append(.reply(.devices(devices))) }
    if let proven = memory.proven { turn.effects.append(.reply(.proven(proven))) }
    if !start.concern.isEmpty { turn.effects.append(.reply(.concern(start.concern))) }
    let reports = Array(memory.ended.values) + pods.values.compactMap(\.reported)
    reply(reports.sorted { $0.attempt < $1.attempt }, &turn)
    turn.effects.append(.reply(.reports([])))
  }

  /// Makes the attempt known, or finds it. False: it is addressed to another keeper, has ended, or is long over.
  private mutating func hold(_ assignment: Assignment, _ leaseEnd: BootTime, _ turn: inout KeeperTurn) -> Bool {
    let attempt = assignment.attempt
    guard assignment.keeper == start.keeper else {
      turn.effects.append(.log("attempt \(attempt) is addressed to keeper \(assignment.keeper), not to this one"))
      return false
    }
    if pods[attempt] != nil { return true }
    if let report = memory.ended[attempt] {
      reply([report], &turn)
      return false
    }
    if isShuttingDown || memory.isOver(attempt) {
      bury(attempt, &turn)
      return false
    }
    pods[attempt] = KeeperPod(assignment: assignment, leaseEnd: leaseEnd, now: turn.now)
    return true
  }

  /// K1: at most once an attempt, only before its lease ends, only for this keeper. The start is recorded first, which
  /// may take as long as the disk likes: `journaled` goes on.
  private mutating func startPod(
    _ assignment: Assignment, _ plan: PodPlan, _ leaseEnd: BootTime, _ turn: inout KeeperTurn
  ) {
    let attempt = assignment.attempt
    guard turn.now.boot < leaseEnd || pods[attempt]?.mayRun == true else {
      turn.effects.append(.log("attempt \(attempt) is not started: its lease is over"))
      return
    }
    guard hold(assignment, leaseEnd, &turn), var pod = pods[attempt] else { return }
    guard pod.stage == .waiting else {
      pods[attempt]?.isUnannounced = true
      return
    }
    guard pod.adopt(plan) else {
      turn.effects.append(.log("attempt \(attempt) is not started: its plan does not fit its spec"))
      return
    }
    pod.leaseEnd = max(pod.leaseEnd, leaseEnd)
    pod.stage = .recording
    pods[attempt] = pod
    let proven = ProvenAttempt(attempt: attempt, proof: assignment.proof)
    turn.effects.append(
      contentsOf: memory.record([.started(attempt)] + (proven.proof.isEmpty ? [] : [.proven(proven)])))
    recording.append((memory.journalNumber, attempt))
  }

  /// What waited for the journal is started, if its lease still holds: else it waits for the agent to ask again.
  private mutating func journaled(
    _ number: Int64, _ error: String?, _ turn: inout KeeperTurn, _ touched: inout [AttemptNumber]
  ) {
    let written = recording.prefix { $0.number <= number }.map(\.attempt)
    recording.removeFirst(written.count)
    noteJournal(error, &turn)
    for attempt in written {
      // It may have been stopped meanwhile.
      guard let pod = pods[attempt], pod.stage == .recording, let plan = pod.plan else { continue }
      touched.append(attempt)
      if let error {
        pods[attempt]?.turnedAway("The node cannot write down what it starts: \(error)")
      } else if turn.now.boot < pod.leaseEnd {
        pods[attempt]?.stage = .starting
        pods[attempt]?.hasBegun = true
        turn.effects.append(.startPod(attempt, plan, deadline: pod.ownDeadline))
        ownDeadlines[attempt] = pod.ownDeadline
      } else {
        pods[attempt]?.stage = .waiting
        turn.effects.append(.log("attempt \(attempt) is not started: its lease ended while its start was written down"))
      }
    }
  }

  /// A negative grace is the pod's own. An attempt that was never heard of ends here and now, so that it can never
  /// start.
  private mutating func stop(_ attempt: AttemptNumber, graceMilliseconds: Int64, _ turn: inout KeeperTurn) {
    if let report = memory.ended[attempt] {
      reply([report], &turn)
    } else if let own = pods[attempt]?.graceMilliseconds {
      let killAt = turn.now.boot + (graceMilliseconds < 0 ? own : graceMilliseconds)
      pods[attempt]?.end(.stopped, killAt: killAt, &turn)
    } else {
      bury(attempt, &turn)
    }
  }

  /// A tombstone: the terminal report of an attempt that never ran and never will.
  private mutating func bury(_ attempt: AttemptNumber, _ turn: inout KeeperTurn) {
    var status = PodStatus()
    status.phase = .failed
    status.message = Self.neverStarted
    status.fencingToken = attempt
    let report = AttemptReport(attempt: attempt, revision: Self.tombstoneRevision, status: status)
    turn.effects.append(contentsOf: memory.record([.ended(report)]))
    reply([report], &turn)
  }
}

// MARK: - The end of a turn

extension KeeperCore {
  /// One report for each touched attempt that changed; those that are gone move to the memory of ended ones.
  private mutating func flush(_ touched: [AttemptNumber], _ turn: inout KeeperTurn) {
    var reports: [AttemptReport] = []
    for attempt in Set(touched).sorted() {
      defer { retime(attempt) }
      guard let pod = pods[attempt] else { continue }
      let always = pod.isUnannounced
      // Nothing to tell yet: the journal's answer is near.
      if pod.stage == .recording, !always { continue }
      pods[attempt]?.isUnannounced = false
      guard let report = pods[attempt]?.makeReport(now: turn.now, always: always) else { continue }
      if report.isTerminal, pods.removeValue(forKey: attempt) != nil {
        turn.effects.append(contentsOf: memory.record([.ended(report)]))
      }
      reports.append(report)
    }
    reply(reports, &turn)
  }

  private mutating func retime(_ attempt: AttemptNumber) {
    guard let pod = pods[attempt] else {
      wakes.cancel(attempt)
      dangers.cancel(attempt)
      storage.due.cancel(attempt)
      ownDeadlines[attempt] = nil
      return
    }
    // A pod that is killed keeps what it has: nothing of it may run longer.
    if pod.mayRun, !pod.killed, let present = ownDeadlines[attempt], present != pod.ownDeadline {
      ownDeadlines[attempt] = pod.ownDeadline
      movedDeadlines[attempt] = pod.ownDeadline
    }
    if let wake = pod.nextWake(configuration) { wakes.set(attempt, at: wake) } else { wakes.cancel(attempt) }
    if let danger = pod.dangerAt { dangers.set(attempt, at: danger) } else { dangers.cancel(attempt) }
  }

  private func reply(_ reports: [AttemptReport], _ turn: inout KeeperTurn) {
    guard isAgentConnected else { return }
    var rest = reports[...]
    while !rest.isEmpty {
      turn.effects.append(.reply(.reports(Array(rest.prefix(Self.page)))))
      rest = rest.dropFirst(Self.page)
    }
  }

  /// Journal size, death timer, idle exit and the next wake.
  private mutating func finishTurn(_ turn: inout KeeperTurn) {
    if memory.isLong(pods: pods.count) {
      let records = memory.rewrite(live: pods.values.filter { $0.stage != .waiting }.map(\.attempt))
      turn.effects.append(.rewriteJournal(records))
    }
    var next = wakes.earliest()
    let timer = dangers.earliest().map { $0 + configuration.deathTimerMarginMilliseconds }
    if timer != deathTimer {
      deathTimer = timer
      turn.effects.append(.armDeathTimer(at: timer))
    }
    next = earliest(earliest(next, exitTime(turn.now.boot)), earliest(sandbox.due, storage.due.earliest()))
    if let exitAt = exitTime(turn.now.boot), exitAt <= turn.now.boot {
      turn.effects.append(.exit)
      return
    }
    if next != wake {
      wake = next
      turn.effects.append(.wake(at: next))
    }
  }

  /// When a keeper that has nothing left to do leaves; nil: it has. After `shutDown` it waits only shortly for
  /// acknowledgements.
  private mutating func exitTime(_ now: BootTime) -> BootTime? {
    let mayBeEmpty = isShuttingDown || (!isAgentConnected && memory.ended.isEmpty)
    guard mayBeEmpty, !pods.values.contains(where: { $0.stage != .waiting || isShuttingDown }) else {
      emptySince = nil
      return nil
    }
    let since = emptySince ?? now
    emptySince = since
    if isShuttingDown {
      return memory.ended.isEmpty || !isAgentConnected ? now : since + configuration.shutDownLingerMilliseconds
    }
    return since + configuration.idleExitMilliseconds
  }
}

extension KeeperPod {
  fileprivate mutating func apply(_ change: (inout KeeperPod) -> Void) { change(&self) }

  /// Shows why the agent could not prepare it, on the named container or on all that have not started.
  mutating func wait(container: String, reason: String, message: String) {
    guard stage == .waiting else { return }
    for position in slots.indices {
      let named = container.isEmpty || slots[position].name == container
      slots[position].waiting = named ? (reason, message) : nil
    }
  }
}
