// Containers that are added to an attempt that runs (pods/ephemeralcontainers), in the agent: each by itself, from the
// attempt's new body over its image and its plan to the keeper, which starts it once. Nothing of it is remembered: what
// the keeper does not show as begun is handed over again by the next session. Knows no processes.

import ClusterProto

/// How far the agent is with one.
struct Addition: Equatable {
  enum Progress: Equatable {
    /// Its image is fetched, or cannot be had. What is shown for that; when the body is asked for anew.
    case imageAwaited(PreparationFailure, retryAt: BootTime?)
    case preparing(number: Int64)
    /// It waits for another try, of which the body's coming is the beginning.
    case unprepared(retryAt: BootTime)
    /// The keeper has it.
    case handedOver
  }

  /// Its image is asked for under this number.
  let key: AttemptNumber
  var progress: Progress
}

/// The numbers under which their images are asked for: below those of attempts, so that each waits for its own alone.
struct AdditionKeys {
  struct Owner: Equatable {
    var attempt: AttemptNumber
    var container: String
  }

  private var owners: [AttemptNumber: Owner] = [:]
  private var last: AttemptNumber = 0

  mutating func make(_ owner: Owner) -> AttemptNumber {
    last -= 1
    owners[last] = owner
    return last
  }

  mutating func remove(_ key: AttemptNumber) { owners[key] = nil }

  func owner(of key: AttemptNumber) -> Owner? { owners[key] }
}

extension AgentCore {
  /// The coordinator says that these have containers which were added: their bodies tell which.
  mutating func fetchGrown(_ numbers: [AttemptNumber], _ now: Now) {
    let wanted = numbers.filter { session?.desired[$0] == .run }
    for number in wanted { attempts[number]?.fetchedAt = now.boot }
    if !wanted.isEmpty { sendFetch(wanted) }
  }

  /// A body has come. Who waited for another try has it now.
  mutating func takeGrowth(_ assignment: Assignment, _ now: Now) {
    guard !assignment.spec.ephemeralContainers.isEmpty else { return }
    let number = assignment.attempt
    attempts[number, default: LocalAttempt()].grown = assignment
    for container in assignment.spec.ephemeralContainers {
      guard let addition = attempts[number]?.additions[container.name] else { continue }
      switch addition.progress {
      case .imageAwaited(_, let retryAt?) where retryAt <= now.boot: break
      case .unprepared(let retryAt) where retryAt <= now.boot: break
      default: continue
      }
      ask(container.name, of: assignment, addition.key, now)
    }
  }

  /// Begins what of a running attempt is missing; true: its body is asked for again, for another try.
  mutating func advanceAdditions(_ number: AttemptNumber, _ now: Now) -> Bool {
    guard let attempt = attempts[number], let body = attempt.grown, let status = attempt.report?.status,
      !isShuttingDown, !status.phase.isTerminal, status.condition("PodReadyToStartContainers")?.isTrue == true
    else { return false }
    let again = (attempt.fetchedAt ?? BootTime(milliseconds: 0)) + configuration.preparationRetryMilliseconds
    var needsBody = false
    for container in body.spec.ephemeralContainers {
      switch attempt.additions[container.name]?.progress {
      case .imageAwaited(_, let retryAt?)?: if isDue(max(retryAt, again), now) { needsBody = true }
      case .unprepared(let retryAt)?: if isDue(max(retryAt, again), now) { needsBody = true }
      case .imageAwaited(_, nil)?, .preparing?, .handedOver?: break
      case nil:
        let shown = status.ephemeralContainers.first { $0.name == container.name }
        if let shown, shown.hasBegun { continue }
        let key = additionKeys.make(.init(attempt: number, container: container.name))
        ask(container.name, of: body, key, now)
      }
    }
    return needsBody
  }

  /// Its image first.
  private mutating func ask(_ name: String, of body: Assignment, _ key: AttemptNumber, _ now: Now) {
    let number = body.attempt
    guard let container = body.spec.ephemeralContainers.first(where: { $0.name == name }) else { return }
    if attempts[number]?.additions[name] == nil {
      attempts[number]?.additions[name] = Addition(key: key, progress: .unprepared(retryAt: .never))
    }
    guard runsImages, let request = ImageRequest(of: [container], body) else {
      return begin(name, of: body, images: [:])
    }
    followAddition(key, pulls.ask(key, request, at: now.boot), now)
  }

  /// What has come of its image.
  mutating func followAddition(_ key: AttemptNumber, _ answer: ImageAnswer, _ now: Now) {
    guard let owner = additionKeys.owner(of: key), let attempt = attempts[owner.attempt], let body = attempt.grown
    else {
      return
    }
    var shown: PreparationFailure?
    switch attempt.additions[owner.container]?.progress {
    case .imageAwaited(let failure, _): shown = failure
    case .unprepared: shown = nil
    // It is past that.
    case .preparing, .handedOver, nil: return
    }
    switch answer {
    case .ready(let images):
      for id in images.values.map(\.id).sorted() { garbage.used(id, at: now.boot) }
      begin(owner.container, of: body, images: images)
    case .waiting: wait(owner, shown ?? Self.creating, shown: shown, retryAt: nil, in: body)
    case .failed(let failure, let retryAt): wait(owner, failure, shown: shown, retryAt: retryAt, in: body)
    }
  }

  private mutating func wait(
    _ owner: AdditionKeys.Owner, _ failure: PreparationFailure, shown: PreparationFailure?, retryAt: BootTime?,
    in body: Assignment
  ) {
    attempts[owner.attempt]?.additions[owner.container]?.progress = .imageAwaited(failure, retryAt: retryAt)
    if shown != failure { tellWaiting(owner.container, failure, in: body) }
  }

  private mutating func tellWaiting(_ name: String, _ failure: PreparationFailure, in body: Assignment) {
    let image = body.spec.ephemeralContainers.first { $0.name == name }?.image ?? ""
    effects.append(
      .keeper(
        .addWaits(
          body.attempt, container: name, image: image, reason: failure.reason, message: failure.message)))
  }

  private mutating func begin(_ name: String, of body: Assignment, images: [String: ImageRecord]) {
    lastPreparation += 1
    attempts[body.attempt]?.additions[name]?.progress = .preparing(number: lastPreparation)
    effects.append(.prepareAddition(body, container: name, number: lastPreparation, images: images))
  }

  mutating func additionPrepared(
    _ number: AttemptNumber, _ preparation: Int64, _ container: PodPlan.Container, _ now: Now
  ) {
    guard let addition = attempts[number]?.additions[container.name],
      addition.progress == .preparing(number: preparation)
    else { return }
    attempts[number]?.additions[container.name]?.progress = .handedOver
    effects.append(.keeper(.add(number, container.naming(pulls.found(for: addition.key)))))
  }

  /// Whether that was the preparation of one of these.
  mutating func additionFailed(
    _ number: AttemptNumber, _ preparation: Int64, _ failure: PreparationFailure, _ now: Now
  ) -> Bool {
    guard let attempt = attempts[number], let body = attempt.grown,
      let name = attempt.additions.first(where: { $0.value.progress == .preparing(number: preparation) })?.key
    else { return false }
    attempts[number]?.additions[name]?.progress =
      .unprepared(retryAt: now.boot + configuration.preparationRetryMilliseconds)
    tellWaiting(name, failure, in: body)
    reconcile([number], now)
    return true
  }

  /// What the keeper shows of them says from here on which images are in use.
  mutating func releaseAdditions(of report: AttemptReport, _ now: Now) {
    if report.isTerminal { return dropAdditions(of: report.attempt, keepsPulls: false, now) }
    for status in report.status.ephemeralContainers where status.hasBegun || !status.imageID.isEmpty {
      guard let addition = attempts[report.attempt]?.additions[status.name], addition.progress == .handedOver else {
        continue
      }
      pulls.release(addition.key, keeps: false, at: now.boot)
    }
  }

  /// The attempt, its keeper or the session is gone.
  mutating func dropAdditions(of number: AttemptNumber, keepsPulls: Bool, _ now: Now) {
    guard let attempt = attempts[number] else { return }
    for key in attempt.additions.values.map(\.key).sorted() {
      pulls.release(key, keeps: keepsPulls, at: now.boot)
      additionKeys.remove(key)
    }
    attempts[number]?.additions = [:]
    attempts[number]?.grown = nil
  }
}

extension ContainerStatus {
  /// It runs or has run: it is never started again.
  fileprivate var hasBegun: Bool {
    if case .waiting = state { false } else { true }
  }
}
