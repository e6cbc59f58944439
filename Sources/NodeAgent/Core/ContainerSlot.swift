// One container of a pod as the keeper sees it: its runs, its restarts and their backoff, and the status that users
// see. Knows nothing of pods beyond the restart policy that it is asked about, behind the container's own.

import ClusterProto

/// A container of a pod; init containers first, in the plan's order.
struct ContainerSlot {
  enum Run: Equatable {
    /// Never started in this attempt.
    case idle
    /// Asked to start; no answer yet.
    case starting
    case running(since: Now)
    /// The latest run is over; `ContainerSlot.retryAt` says whether another follows.
    case ended
  }

  let name: String
  let image: String
  let isInit: Bool
  let isSidecar: Bool
  /// The container's own restartPolicy; nil: its pod's decides.
  let ownPolicy: RestartPolicy?
  /// What restarts it by its exit code before any policy is asked.
  var rules: [RestartRule] = []
  /// nil until the agent's plan is there.
  var container: PodPlan.Container?
  var run = Run.idle
  /// The process was confirmed at least once.
  var hasStarted = false
  /// Its probes and hooks.
  var care = CareState()
  /// SIGTERM was sent to the present run.
  var signalled = false
  var restarts: Int64 = 0
  /// The end of the latest run, and of the one before.
  var latest: ContainerState.Termination?
  var previous: ContainerState.Termination?
  /// When the next run may start; nil: no further run.
  var retryAt: BootTime?
  /// The pause before that run, and the one for the run after it (0: none yet).
  private(set) var pause: Int64 = 0
  private var nextPause: Int64 = 0
  /// Set by the agent when it could not prepare the container.
  var waiting: (reason: String, message: String)?

  init(name: String, image: String, isInit: Bool, isSidecar: Bool, ownPolicy: RestartPolicy?) {
    self.ownPolicy = ownPolicy
    self.name = name
    self.image = image
    self.isInit = isInit
    self.isSidecar = isSidecar
  }

  /// A process of it may be there.
  var isAlive: Bool {
    switch run {
    case .starting, .running: true
    case .idle, .ended: false
    }
  }

  /// It is being started: its process, then the hook behind that.
  var isSettling: Bool {
    guard care.spec.postStart != nil else { return false }
    switch run {
    case .starting: return true
    case .running: return !care.isSettled
    case .idle, .ended: return false
    }
  }

  /// The image's entry point would be needed: it never starts.
  var lacksCommand: Bool { container.map { $0.arguments.isEmpty } ?? false }

  var succeeded: Bool { run == .ended && latest?.exitCode == 0 }

  /// Whether a run that ended so is followed by another (Kubernetes' ShouldContainerBeRestarted, and sidecars always).
  func restarts(after exitCode: Int64, policy: RestartPolicy) -> Bool {
    if isSidecar || rules.contains(where: { $0.matches(exitCode) }) { return true }
    switch ownPolicy ?? policy {
    case .never: return false
    case .onFailure: return exitCode != 0
    case .always: return isInit ? exitCode != 0 : true
    }
  }

  /// Notes the end of a run. The first restart is immediate, later ones wait as kubelet's crash loop: 10 s, doubled
  /// up to the cap.
  mutating func finish(
    _ end: ContainerState.Termination, policy: RestartPolicy, configuration: KeeperConfiguration, now: Now
  ) {
    if case .running(let since) = run, now.boot - since.boot >= configuration.crashLoopResetMilliseconds {
      nextPause = 0
    }
    previous = latest
    latest = end
    run = .ended
    signalled = false
    // What a probe has ended starts again however it has ended, unless nothing may.
    let isEndedByProbe = care.stop?.isByProbe == true && (ownPolicy ?? policy) != .never
    care.reset()
    guard isEndedByProbe || restarts(after: end.exitCode, policy: policy) else {
      retryAt = nil
      return
    }
    pause = nextPause
    retryAt = now.boot + pause
    let doubled = min(pause, configuration.crashLoopCapMilliseconds) * 2
    nextPause =
      pause == 0 ? configuration.crashLoopMilliseconds : min(doubled, configuration.crashLoopCapMilliseconds)
  }

  /// The state shown. `pod`: as kubelet names it, NAME_NAMESPACE(UID). Before its first run it waits with
  /// PodInitializing in a pod that has init containers, else with ContainerCreating.
  func status(podHasInit: Bool, pod: String, ending: Bool) -> ContainerStatus {
    let notYet = ContainerState.waiting(reason: podHasInit ? "PodInitializing" : "ContainerCreating", message: "")
    // From the plan on, before the first run too: by it an agent that comes later knows what is in use.
    let (image, id) = (container?.shownImage?.name ?? image, container?.shownImage?.id ?? "")
    var shown = ContainerStatus(name: name, image: image, imageID: id, state: notYet, restartCount: restarts)
    shown.started = false
    switch run {
    case .idle:
      if let waiting {
        let waitsForInit = podHasInit && waiting.reason == "ContainerCreating"
        shown.state = .waiting(reason: waitsForInit ? "PodInitializing" : waiting.reason, message: waiting.message)
      }
      if lacksCommand { shown.state = .waiting(reason: "CreateContainerConfigError", message: Self.noCommand) }
    case .running(let since) where care.isSettled:
      shown.state = .running(startedAt: since.wall)
      shown.lastTermination = latest
      shown.ready = (!isInit || isSidecar) && care.isReady
      shown.started = care.isUp
    case .starting, .running:
      guard let latest else { break }
      shown.state = .terminated(latest)
      shown.lastTermination = previous
    case .ended:
      guard let latest else { break }
      if retryAt != nil, pause > 0, !ending {
        let message =
          "back-off \(DurationText.format(milliseconds: pause)) restarting failed container=\(name) pod=\(pod)"
        shown.state = .waiting(reason: "CrashLoopBackOff", message: message)
        shown.lastTermination = latest
      } else {
        shown.state = .terminated(latest)
        shown.lastTermination = previous
        shown.ready = isInit && !isSidecar && latest.exitCode == 0
      }
    }
    return shown
  }

  static let noCommand =
    "container has no command, and the host has no entry point: name the program in `command`"
}

extension ContainerState.Termination {
  /// How a process ended. A signal n shows as exit code 128 + n. As in containerd, a container in which memory ran out
  /// has that reason whatever its first process made of it.
  static func exited(
    code: Int64, signal: Int64, message: String, outOfMemory: Bool = false, since: WallTime, at: WallTime
  ) -> Self {
    let shown = signal > 0 ? 128 &+ signal : code
    let reason = outOfMemory ? "OOMKilled" : shown == 0 ? "Completed" : "Error"
    return Self(
      exitCode: shown, signal: max(0, signal), reason: reason, message: message, startedAt: since, finishedAt: at)
  }

  /// A command that did not run: 127 for one that is not there, 126 for one that may not run, 128 for everything
  /// before it.
  static func failed(_ failure: StartFailure, command: String, at: WallTime) -> Self {
    let (noEntry, noAccess): (Int32, Int32) = (2, 13)
    var end = Self(exitCode: 128, reason: "StartError", message: failure.detail, startedAt: at, finishedAt: at)
    if failure.stage == .interpreter {
      end.reason = "ContainerCannotRun"
      end.exitCode = 127
      end.message = interpreterMessage(failure.detail, command: command)
      return end
    }
    guard failure.stage == .execute else {
      if end.message.isEmpty { end.message = "\(failure.stage.rawValue) failed (errno \(failure.errorNumber))" }
      return end
    }
    end.reason = "ContainerCannotRun"
    switch failure.errorNumber {
    case noEntry where command.contains("/"):
      end.exitCode = 127
      end.message = "exec: \(DownwardAPI.quoted(command)): stat \(command): no such file or directory"
    case noEntry:
      end.exitCode = 127
      end.message = "exec: \(DownwardAPI.quoted(command)): executable file not found in $PATH"
    case noAccess:
      end.exitCode = 126
      end.message = "exec: \(DownwardAPI.quoted(command)): permission denied"
    default:
      end.exitCode = 126
      let detail = failure.detail.isEmpty ? "errno \(failure.errorNumber)" : failure.detail
      end.message = "exec: \(DownwardAPI.quoted(command)): \(detail)"
    }
    return end
  }

  /// A command that is there, and cannot run for what it names itself.
  private static func interpreterMessage(_ interpreter: String, command: String) -> String {
    if interpreter.isEmpty {
      return "exec: \(DownwardAPI.quoted(command)): the loader that the program asks for: no such file or directory"
    }
    let hint = interpreter.utf8.last == 13 ? " (the script has Windows line ends)" : ""
    let shown = DownwardAPI.quoted(interpreter)
    return "exec: \(DownwardAPI.quoted(command)): its interpreter \(shown): no such file or directory\(hint)"
  }

  /// Was alive when the whole pod was killed.
  static func killed(since: WallTime, at: WallTime) -> Self {
    Self(exitCode: 137, signal: 9, reason: "Error", startedAt: since, finishedAt: at)
  }

  /// The pod's processes went without our doing, and nobody saw this one's end: kubelet's words.
  static func unknown(since: WallTime, at: WallTime) -> Self {
    Self(
      exitCode: 137, reason: "ContainerStatusUnknown",
      message: "The container could not be located when the pod was terminated", startedAt: since, finishedAt: at)
  }
}
