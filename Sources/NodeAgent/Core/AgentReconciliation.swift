// Makes the node what the coordinator wants: fetches bodies, prepares, starts, stops, and forwards the keeper's
// reports. Level-triggered: looks at desired set, keeper reports and preparations, and asks for what is missing.
// Grants no leases.

import ClusterProto

/// Why the worker could not prepare an attempt.
struct PreparationFailure: Error, Equatable {
  var container: String
  var reason: String
  var message: String
  var isRetryable: Bool
}

/// What the agent knows of one attempt beside the desired set.
struct LocalAttempt {
  enum Progress: Equatable {
    /// Nothing of ours: not yet looked at, or adopted from a keeper that runs it.
    case none
    /// Its images are fetched, or cannot be had. What the keeper shows for that; when its body is asked for anew.
    case imagesAwaited(PreparationFailure, retryAt: BootTime?)
    case preparing(number: Int64)
    case prepared(PodPlan)
    /// The keeper was asked to start it under that lease, in that session, and has not said yet that it did.
    case startSent(PodPlan, leaseEnd: BootTime, session: String)
    /// It waits for another body or another try.
    case unprepared(PreparationFailure)
  }

  var assignment: Assignment?
  var progress = Progress.none
  /// Until when the coordinator's word holds; zero: no word yet.
  var leaseEnd = BootTime(milliseconds: 0)
  var report: AttemptReport?
  /// Grace of the last stop sent to the keeper.
  var stopSent: Int64?
  /// When the body was last asked for.
  var fetchedAt: BootTime?
  /// The body, where its spec has containers that were added to the pod.
  var grown: Assignment?
  /// Those that are on their way, by their names.
  var additions: [String: Addition] = [:]

  /// The keeper may hold it: renewals reach it.
  var isKnownToKeeper: Bool {
    if report != nil { return true }
    switch progress {
    case .startSent, .unprepared, .imagesAwaited: return true
    case .none, .preparing, .prepared: return false
    }
  }

  /// The keeper runs it, or has run it: it is never prepared or started again.
  var isAdopted: Bool { report.map { !$0.isUnstarted } ?? false }
}

extension AttemptReport {
  /// The keeper holds it but was never asked to start it: such a report has no PodReadyToStartContainers condition.
  var isUnstarted: Bool { !isTerminal && status.condition("PodReadyToStartContainers") == nil }
}

extension AgentCore {
  /// The keeper's word for "the pod's own grace".
  static let ownGrace: Int64 = -1
  /// A start whose lease is over for this long and that the keeper never reported was refused.
  private static let startSettleMilliseconds: Int64 = 1_000

  /// Takes reports of the keeper and forwards those that are new.
  mutating func take(_ reports: [AttemptReport], _ now: Now) {
    var fresh: [AttemptReport] = []
    for report in reports {
      let number = report.attempt
      highestAttempt = max(highestAttempt, number)
      let known = attempts[number]?.report
      if let known, known.revision > report.revision || known.isTerminal && known != addressed(report) { continue }
      let shown = addressed(report)
      if let known { inventoryDigest.remove(Self.entry(known)) }
      inventoryDigest.insert(Self.entry(shown))
      attempts[number, default: LocalAttempt()].report = shown
      // Ended or started: the preparation has served.
      if !shown.isUnstarted {
        attempts[number]?.progress = .none
        attempts[number]?.assignment = nil
        releaseImages(of: shown, now)
        if attempts[number]?.additions.isEmpty == false { releaseAdditions(of: shown, now) }
      }
      retained.insert(number)
      fresh.append(shown)
    }
    sendReports(fresh)
    reconcile(fresh.map(\.attempt), now)
  }

  /// hostIP always, podIP once the pod has been set up: both are the agent's address.
  func addressed(_ report: AttemptReport) -> AttemptReport {
    var shown = report
    shown.status.hostIP = configuration.address
    let isSetUp = shown.status.condition("PodReadyToStartContainers")?.isTrue == true
    let hasRun = shown.status.allContainers.contains { status in
      if case .waiting = status.state { status.lastTermination != nil } else { true }
    }
    if isSetUp || hasRun { shown.status.podIP = configuration.address }
    return shown
  }

  /// Takes bodies that name this session and this keeper (K1) and are desired; others change nothing.
  mutating func take(_ assignments: [Assignment], _ now: Now) {
    guard let session, let identity else { return }
    for assignment in assignments {
      let number = assignment.attempt
      guard assignment.session == session.id, assignment.keeper == identity.keeper, session.desired[number] == .run
      else { continue }
      highestAttempt = max(highestAttempt, number)
      note(ProvenAttempt(attempt: number, proof: assignment.proof))
      takeGrowth(assignment, now)
      let attempt = attempts[number] ?? LocalAttempt()
      switch attempt.progress {
      case .none where !attempt.isAdopted: break
      case .unprepared(let failure) where failure.isRetryable || attempt.assignment != assignment: break
      case .imagesAwaited: break
      default: continue
      }
      attempts[number, default: LocalAttempt()].assignment = assignment
      noteTokens(assignment.tokens, of: number, now)
      guard !isShuttingDown else { continue }
      attempts[number]?.fetchedAt = nil
      askForImages(of: assignment, now)
    }
  }

  /// All that it needs before its volumes and its plan is there.
  mutating func beginPreparation(_ assignment: Assignment, images: [String: ImageRecord]) {
    lastPreparation += 1
    attempts[assignment.attempt]?.progress = .preparing(number: lastPreparation)
    effects.append(.prepare(assignment, number: lastPreparation, images: images))
  }

  mutating func prepared(_ number: AttemptNumber, _ preparation: Int64, _ plan: PodPlan, _ now: Now) {
    guard let attempt = attempts[number], attempt.progress == .preparing(number: preparation),
      let assignment = attempt.assignment
    else { return }
    do throws(PreparationFailure) {
      let whole = try handDevices(plan, to: assignment)
      attempts[number]?.progress = .prepared(whole.naming(pulls.found(for: number)))
      reconcile([number], now)
    } catch {
      preparationFailed(number, preparation, error, now)
    }
  }

  mutating func preparationFailed(
    _ number: AttemptNumber, _ preparation: Int64, _ failure: PreparationFailure, _ now: Now
  ) {
    if additionFailed(number, preparation, failure, now) { return }
    guard let attempt = attempts[number], attempt.progress == .preparing(number: preparation),
      let assignment = attempt.assignment
    else { return }
    attempts[number]?.progress = .unprepared(failure)
    attempts[number]?.fetchedAt = now.boot
    tellWaiting(assignment, failure, leaseEnd: attempt.leaseEnd)
    reconcile([number], now)
  }

  /// The keeper shows why the attempt does not start yet.
  mutating func tellWaiting(_ assignment: Assignment, _ failure: PreparationFailure, leaseEnd: BootTime) {
    effects.append(
      .keeper(
        .unprepared(
          assignment, container: failure.container, reason: failure.reason, message: failure.message,
          leaseEnd: leaseEnd)))
  }

  /// The session is over: what the keeper was never asked to start has to be assigned anew (K1).
  mutating func forgetUnstarted(_ now: Now) {
    for number in attempts.keys.sorted() {
      attempts[number]?.stopSent = nil
      attempts[number]?.fetchedAt = nil
      dropAdditions(of: number, keepsPulls: true, now)
      switch attempts[number]?.progress {
      // The next session wants the same images.
      case .imagesAwaited, .preparing, .prepared, .unprepared: cancel(number, keepsPulls: true, now)
      default: break
      }
    }
  }

  /// Drops the preparation of an attempt that was never started.
  private mutating func cancel(_ number: AttemptNumber, keepsPulls: Bool = false, _ now: Now) {
    pulls.release(number, keeps: keepsPulls, at: now.boot)
    effects.append(.cleanUp(number))
    attempts[number]?.progress = .none
    attempts[number]?.assignment = nil
    // What is left is only the keeper's waiting entry, if any; its report keeps the attempt known here.
    if attempts[number]?.report == nil { attempts[number] = nil }
  }
}

// MARK: - Wanted and held

extension AgentCore {
  mutating func reconcileAll(_ now: Now) {
    guard let session else { return }
    self.session?.retryAt = nil
    reconcile(Set(attempts.keys).union(session.desired.keys).sorted(), now)
  }

  /// Compares each attempt with the desired set and asks for what is missing.
  mutating func reconcile(_ numbers: [AttemptNumber], _ now: Now) {
    guard let session, keeperLink == .ready else { return }
    var bodies: [AttemptNumber] = []
    for number in numbers {
      switch session.desired[number] {
      case .run: if !isShuttingDown, needsBody(number, now) { bodies.append(number) }
      case .stop(let grace): stop(number, grace: max(0, grace), now)
      case nil: if session.isComplete { stopUnwanted(number, now) }
      }
    }
    for number in bodies { attempts[number, default: LocalAttempt()].fetchedAt = now.boot }
    if !bodies.isEmpty { sendFetch(bodies) }
  }

  /// Drives a wanted attempt on as far as it goes without its body; true: the body has to be fetched now.
  private mutating func needsBody(_ number: AttemptNumber, _ now: Now) -> Bool {
    let attempt = attempts[number] ?? LocalAttempt()
    if attempt.isAdopted { return attempt.grown != nil && advanceAdditions(number, now) }
    switch attempt.progress {
    case .preparing: return false
    case .imagesAwaited(_, let retryAt):
      guard let retryAt else { return false }
      let again = attempt.fetchedAt.map { $0 + configuration.preparationRetryMilliseconds } ?? retryAt
      return isDue(max(retryAt, again), now)
    case .prepared(let plan):
      start(number, plan, now)
      return false
    case .startSent(let plan, let leaseEnd, let startSession):
      guard now.boot > leaseEnd + Self.startSettleMilliseconds, attempt.leaseEnd > now.boot else { return false }
      if startSession == session?.id {
        start(number, plan, now)
        return false
      }
      attempts[number]?.progress = .none
      return true
    case .none, .unprepared:
      guard let fetchedAt = attempt.fetchedAt else { return true }
      return isDue(fetchedAt + configuration.preparationRetryMilliseconds, now)
    }
  }

  /// Whether that time has come; if not, it is looked at again then.
  mutating func isDue(_ time: BootTime, _ now: Now) -> Bool {
    if time > now.boot {
      let present = session?.retryAt
      session?.retryAt = earliest(present, time)
    }
    return time <= now.boot
  }

  /// Hands the attempt to the keeper under a lease that has not ended; else it waits for the next renewal.
  private mutating func start(_ number: AttemptNumber, _ plan: PodPlan, _ now: Now) {
    guard let attempt = attempts[number], let assignment = attempt.assignment, let session,
      attempt.leaseEnd > now.boot
    else { return }
    attempts[number]?.progress = .startSent(plan, leaseEnd: attempt.leaseEnd, session: session.id)
    retained.insert(number)
    effects.append(.keeper(.start(assignment, plan: plan, leaseEnd: attempt.leaseEnd)))
  }

  /// Passes the coordinator's stop on, once a grace. The keeper is the one authority: it answers for an attempt that
  /// it never started with a terminal report too, and will never start it.
  private mutating func stop(_ number: AttemptNumber, grace: Int64, _ now: Now) {
    let attempt = attempts[number] ?? LocalAttempt()
    guard attempt.report?.isTerminal != true, attempt.stopSent != grace else { return }
    switch attempt.progress {
    case .imagesAwaited, .preparing, .prepared, .unprepared: cancel(number, now)
    case .none, .startSent: break
    }
    attempts[number, default: LocalAttempt()].stopSent = grace
    effects.append(.keeper(.stop(number, graceMilliseconds: grace)))
  }

  /// Unknown to the coordinator: stopped when it runs here, forgotten when it was never started.
  private mutating func stopUnwanted(_ number: AttemptNumber, _ now: Now) {
    guard let attempt = attempts[number], attempt.report?.isTerminal != true else { return }
    if attempt.isKnownToKeeper {
      stop(number, grace: Self.ownGrace, now)
    } else if attempt.progress != .none {
      cancel(number, now)
    } else if attempt.stopSent == nil {
      pulls.release(number, keeps: false, at: now.boot)
      attempts[number] = nil
    }
  }
}
