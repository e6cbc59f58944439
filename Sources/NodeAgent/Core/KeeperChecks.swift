// Owns: what the keeper core keeps of the probes and hooks of one container's present run: their words, their counts,
// when they are due. It must not know pods, nor decide what follows from them (KeeperProbes, KeeperHooks).

import ClusterProto

/// One carrying out of a probe or hook; rises, never reused in one keeper.
package typealias CheckNumber = Int64

/// What the shell is to carry out. Hosts and ports are filled in.
package struct Check: Equatable, Sendable {
  /// What it does; never `pause`.
  package var action: CareAction
  /// Kubernetes asks less of an answer to a hook: any is good.
  package var isHook: Bool

  /// Takes both as they stand.
  package init(action: CareAction, isHook: Bool) {
    self.action = action
    self.isHook = isHook
  }
}

/// What became of a check.
package enum CheckAnswer: Equatable, Sendable {
  /// A process ended: its exit code, and the first of what it wrote.
  case exited(code: Int64, output: String)
  /// A command did not run. `containerEnded`: the container had ended.
  case notRun(StartFailure, containerEnded: Bool)
  /// Something answered as it should.
  case passed
  /// As `passed`, and there is something to say.
  case warned(String)
  /// Nothing answered as it should.
  case failed(String)
}

/// Numbers of checks, over all pods.
struct CheckCount {
  var latest: CheckNumber = 0
  /// Of probes: not answered yet.
  var underWay = 0

  mutating func next() -> CheckNumber {
    latest += 1
    return latest
  }
}

/// Which of a container's probes.
enum ProbeKind: String {
  case startup = "Startup"
  case liveness = "Liveness"
  case readiness = "Readiness"
}

/// One probe of a container's present run.
struct ProbeWatch {
  let kind: ProbeKind
  let spec: ProbeSpec
  /// When it is asked next; nil: not before something else happens.
  var due: BootTime?
  /// It is due, and too many others are under way.
  var isHeld = false
  /// The one that is under way, and when that has failed.
  var check: (number: CheckNumber, failsAt: BootTime)?
  /// One that was given up and has not been answered: no other begins before it is. Until then it may take its time to
  /// end; from then on it counts as one that cannot be ended.
  var abandoned: (number: CheckNumber, until: BootTime)?
  private var isPassing = false
  private var inRow: Int64 = 0

  init(kind: ProbeKind, spec: ProbeSpec) {
    self.kind = kind
    self.spec = spec
  }

  var periodMilliseconds: Int64 { spec.periodSeconds * 1_000 }

  /// Counts one outcome; what holds from here on, once there are enough of one kind in a row.
  mutating func count(passed: Bool) -> Bool? {
    inRow = passed == isPassing ? inRow &+ 1 : 1
    isPassing = passed
    return inRow >= (passed ? spec.successThreshold : spec.failureThreshold) ? passed : nil
  }

  var nextWake: BootTime? {
    if let check { return check.failsAt }
    if isHeld { return nil }
    return due.map { max($0, abandoned?.until ?? $0) }
  }

  /// What the kubelet says when no answer came in time.
  var timeoutMessage: String {
    switch spec.action {
    case .exec(let command):
      return "command timed out: \"\(command.joined(separator: " "))\" timed out after \(spec.timeoutSeconds)s"
    case .get(let get):
      return "Get \"\(get.url)\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    case .connect(let host, let port): return "dial tcp \(CareAction.place(host, port)): i/o timeout"
    case .pause: return ""
    }
  }
}

/// A hook's run: at most one in a container's.
enum HookRun: Equatable {
  case notBegun
  case underWay(CheckNumber)
  case asleep(until: BootTime)
  case over
}

/// Why one container alone is on its way out, and until when.
struct ContainerStop: Equatable {
  var isByProbe: Bool
  /// SIGKILL to it.
  var killAt: BootTime
  var isKilled = false
}

/// The probes and hooks of one container.
struct CareState {
  var spec = ContainerCare()
  var watches: [ProbeWatch] = []
  var postStart = HookRun.notBegun
  var preStop = HookRun.notBegun
  var stop: ContainerStop?
  /// Its process runs and what was to be done right after is done.
  var isSettled = false
  /// Nothing holds back its other probes any more.
  var isUp = false
  /// It was up in some run.
  var hasBeenUp = false
  /// What the readiness probe says; without one, that it is up.
  var isReady = false

  /// For its next run.
  mutating func reset() {
    watches = []
    (postStart, preStop) = (.notBegun, .notBegun)
    stop = nil
    (isSettled, isUp, isReady) = (false, false, false)
  }

  /// Checks that the shell has not been told to give up.
  var underWay: [CheckNumber] {
    var numbers = watches.compactMap { $0.check?.number }
    for hook in [postStart, preStop] { if case .underWay(let number) = hook { numbers.append(number) } }
    return numbers
  }

  /// Whether a probe is asked in this state.
  func asks(_ kind: ProbeKind, ending: Bool) -> Bool { kind == .readiness || (!ending && stop == nil) }

  func nextWake(ending: Bool) -> BootTime? {
    var next: BootTime?
    for watch in watches where asks(watch.kind, ending: ending) { next = earliest(next, watch.nextWake) }
    if case .asleep(let until) = postStart { next = earliest(next, until) }
    if case .asleep(let until) = preStop { next = earliest(next, until) }
    if let stop, !stop.isKilled { next = earliest(next, stop.killAt) }
    return next
  }
}

extension CareAction {
  /// A named port that the container does not have.
  var unknownPort: String? {
    switch self {
    case .get(let get): if case .name(let name) = get.port { name } else { nil }
    case .connect(_, let port): if case .name(let name) = port { name } else { nil }
    case .exec, .pause: nil
    }
  }
}
