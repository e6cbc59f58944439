// One attempt's processes as the keeper holds them: its pod init, its containers' streams and log files.
// Turns what PodProcess reports into the keeper core's events. Knows no deadlines and no restart rules.

import AgentCore
import CLinux
import ClusterIO
import ClusterProto
import Glibc

/// What every pod of one keeper shares.
struct PodSurroundings {
  var loop: EventLoop
  var isolation: PodProcess.Isolation
  /// Descriptor of the data directory: a successor finds our pods by it.
  var marker: PodMarker
  var user: PodUser?
  var storage: PodStorage
  /// The home directory of whoever pods run as.
  var home: String
  /// Where the pods' inits read their deadlines.
  var deadlines: DeadlineTable
  /// Of pods that have users of their own.
  var users = UserRanges()
  /// Room for what is read from a pipe at once, for whichever is reading.
  let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)

  /// Users for a pod. Throws where this keeper has no root of its own to give them with.
  func takeUsers() throws(IOError) -> UserRange {
    guard user == nil, isolation == .namespaces else {
      throw IOError(
        operation: "start", subject: "hostUsers: false",
        message: user == nil ? "the agent of this node is not root" : "pods run as one user here (--pod-user)",
        code: EPERM)
    }
    return try users.take()
  }

  /// Who a container of an image runs as and what it may do. Where pods run as one user, or are root only in a user
  /// namespace of that user's, the image's own users are that one, and nothing makes them more.
  /// `filter`: of the profile that it names, where it does. `range`: the pod's own users, where it has some.
  func confine(
    _ plan: inout ContainerPlan, _ root: ContainerRoot, _ filter: [UInt8]?, _ range: UserRange?
  ) throws(IOError) {
    plan.userID = user?.userID ?? root.userID
    plan.groupID = user?.groupID ?? root.groupID
    plan.groups = user?.groups ?? root.groups
    var confinement = Confinement(capabilities: user == nil ? root.capabilities : 0)
    confinement.noNewPrivileges = root.noNewPrivileges || user != nil
    confinement.ownProcesses = root.ownProcesses
    confinement.podIPC = root.podIPC
    confinement.firstUser = range?.first
    if range != nil, let id = ([root.userID, root.groupID] + root.groups).first(where: { $0 >= UserRanges.size }) {
      throw IOError(
        operation: "start", subject: "hostUsers: false",
        message: "user or group \(id) is none of the pod's \(UserRanges.size)", code: EINVAL)
    }
    switch root.seccomp {
    case .runtimeDefault:
      confinement.filter = try SeccompFilters.runtimeDefault(capabilities: confinement.capabilities)
    case .localhost(let profile):
      guard let filter else { throw IOError(code: ENOENT, operation: "load seccomp profile", subject: profile) }
      confinement.filter = filter
    case .unconfined: break
    }
    plan.confinement = confinement
  }
}

final class PodRunner {
  /// A run that is over, while its log is closed and its message read.
  private struct Closing {
    var timer: LoopTimer
    var done: (String) -> Void
  }

  /// A disk that takes longer costs the termination message.
  private static let closeNanoseconds: Int64 = 1_000_000_000

  let attempt: AttemptNumber
  private let surroundings: PodSurroundings
  private let plan: PodPlan
  private let process: PodProcess
  private let report: (KeeperEvent) -> Void
  private let memory: MemoryWatch
  private let limited: LimitedPod?
  /// Of each container that runs: its first process' id inside the pod.
  private var running: [Int: Int32] = [:]
  private var starting: [ContainerRun: PodPlan.Container] = [:]
  /// Containers that the plan does not have, by their slots.
  private var added: [Int: PodPlan.Container] = [:]
  /// Compiled profiles of the present runs that have some of the node's.
  private var filters: [Int: [UInt8]] = [:]
  private var outputs: [Int: ContainerOutput] = [:]
  private var closing: [ContainerRun: Closing] = [:]
  private let execs = PodExecs()
  /// Its own users, from its first container that has them; others' once it is gone.
  private var users: UserRange?
  /// Every process is dead; called when nothing is being closed any more.
  private var gone: (() -> Void)?

  /// Starts the pod's init, which holds `deadline` by itself. `report` gets the core's events, always from the loop.
  init(
    _ attempt: AttemptNumber, plan: PodPlan, deadline: BootTime, surroundings: PodSurroundings, cgroup: PodCgroup?,
    limited: LimitedPod?, report: @escaping (KeeperEvent) -> Void
  ) throws(IOError) {
    self.limited = limited
    memory = MemoryWatch(limited, loop: surroundings.loop)
    self.attempt = attempt
    self.plan = plan
    self.surroundings = surroundings
    self.report = report
    var options = PodProcess.Options(
      isolation: surroundings.isolation, deadline: try surroundings.deadlines.take(until: deadline.nanoseconds))
    options.marker = surroundings.marker
    options.cgroup = cgroup
    process = try PodProcess(loop: surroundings.loop, options: options)
    memory.kill = { [unowned self] slot in process.killContainer(slot: slot) }
    process.onStarted = { [unowned self] slot, pid in
      running[slot] = pid
      if let run = outputs[slot]?.run { report(.containerStarted(run)) }
    }
    process.onExited = { [unowned self] slot, status in exited(slot, status) }
    process.onStartFailed = { [unowned self] slot, failure in startFailed(slot, failure) }
    process.onExec = { [unowned self] place, word in
      if let number = execs.number(at: place, word) { report(.execTold(number, PodExecs.told(word))) }
    }
    process.onFrozen = { isFrozen in
      report(isFrozen ? .podFrozen(attempt) : .freezeFailed(attempt, message: "processes still run"))
    }
  }

  /// `gone` is called once, last, when every process is proven dead; with what bubblewrap said, if anything.
  func watchEnd(_ gone: @escaping (String) -> Void) {
    process.onGone = { [self] end in
      starting = [:]
      for slot in outputs.keys.sorted() {
        guard memory.ended(slot), let run = outputs[slot]?.run else {
          closeOutput(slot) { _ in }
          continue
        }
        // A limit that not even a start fits in takes the pod's init along, whose memory the start shares.
        closeOutput(slot, failed: true) { [self] message in
          report(.containerExited(run, exitCode: 137, signal: 9, message: message, outOfMemory: true))
        }
      }
      users = nil
      self.gone = { gone(end.message) }
      endIfGone()
    }
  }

  /// What its running containers have used; nil: none runs.
  func usage() -> AttemptUsage? {
    guard !running.isEmpty else { return nil }
    var containers: [String: Usage] = [:]
    let (slots, processes) = UsageReader.pod(process, limited: limited, containers: running)
    for (slot, usage) in slots {
      if let name = container(in: slot)?.name { containers[name] = usage }
    }
    return AttemptUsage(attempt: attempt, containers: containers, processes: processes)
  }

  private func container(in slot: Int) -> PodPlan.Container? { plan.container(in: slot) ?? added[slot] }

  func start(_ run: ContainerRun, _ container: PodPlan.Container) {
    starting[run] = container
    if plan.container(in: run.slot) == nil { added[run.slot] = container }
    if let ready = surroundings.storage.prepare(run, container, hostname: plan.hostname) {
      prepared(run, ready)
    }
  }

  /// The storage's word.
  func take(_ word: PodStorage.Word) {
    switch word {
    case .room(let run): if outputs[run.slot]?.run == run { outputs[run.slot]?.hasRoom() }
    case .prepared(let run, let preparation): prepared(run, preparation)
    case .unprepared(let run, let error):
      if starting.removeValue(forKey: run) != nil { startFailed(run, .other, error.code, error.description) }
    case .closed(let run, let message): closed(run, message)
    case .measured: break
    }
  }

  private func prepared(_ run: ContainerRun, _ preparation: PodStorage.Preparation) {
    guard let container = starting.removeValue(forKey: run) else {
      return surroundings.storage.discard(preparation)
    }
    let output = ContainerOutput(
      preparation.message, log: surroundings.storage.log(run, container.name), surroundings: surroundings)
    outputs[run.slot] = output
    filters[run.slot] = preparation.filter
    do throws(IOError) {
      var plan = try containerPlan(
        container, preparation.mounts, preparation.filter,
        cgroups: try memory.enter(run.slot, container.limits ?? ResourceLimits()))
      if container.input.isTerminal { plan.terminal = .usual }
      let ends = try output.open(container.input)
      try process.startContainer(
        slot: run.slot, plan, output: ends.output, errors: ends.errors, input: ends.input,
        amongProcessesOf: container.target.flatMap { self.plan.slot(of: $0) })
    } catch {
      closeOutput(run.slot) { [self] _ in startFailed(run, .other, error.code, error.description) }
    }
  }

  /// Takes over `streams`. What fails at once is told as what fails later.
  func startExec(
    _ number: ExecNumber, _ run: ContainerRun, _ arguments: [String], _ terminal: TerminalSize?, streams: [Int32]
  ) {
    guard var container = container(in: run.slot), let place = execs.takePlace(for: number) else {
      for descriptor in streams { close(descriptor) }
      let failure = StartFailure(stage: .other, errorNumber: EAGAIN, detail: IOError.text(EAGAIN))
      return report(.execTold(number, .failed(failure)))
    }
    container.arguments = arguments
    if terminal != nil { TerminalSize.name(in: &container.environment) }
    do throws(IOError) {
      var wanted: ContainerPlan
      do throws(IOError) {
        wanted = try containerPlan(container, [], filters[run.slot], cgroups: memory.files(of: run.slot))
      } catch {
        for descriptor in streams { close(descriptor) }
        throw error
      }
      wanted.terminal = terminal
      try process.startExec(place: place, inContainer: run.slot, wanted, streams: streams)
    } catch {
      execs.giveBack(place)
      let failure = StartFailure(stage: .other, errorNumber: error.code, detail: error.description)
      report(.execTold(number, .failed(failure)))
    }
  }

  /// As `ContainerOutput.takeInput`, of that run; -1 where it is over.
  func takeInput(_ run: ContainerRun, _ terms: ContainerInput) -> Int32 {
    guard let output = outputs[run.slot], output.run == run else { return -1 }
    return output.takeInput(terms)
  }

  /// Where the probes of that container find it.
  func podAddress(of slot: Int) -> String { container(in: slot)?.care.podAddress ?? "" }

  func killExec(_ number: ExecNumber) {
    if let place = execs.place(of: number) { process.killExec(place: place) }
  }

  func signal(_ run: ContainerRun, _ number: Int32) { process.signal(slot: run.slot, number) }

  func kill() { process.kill() }

  func moveDeadline(to time: BootTime) { process.moveDeadline(to: time.nanoseconds) }

  func freeze() { process.freeze() }

  func thaw() {
    process.thaw()
    report(.podThawed(attempt))
  }

  private func containerPlan(
    _ container: PodPlan.Container, _ mounts: [MountOperation], _ filter: [UInt8]?, cgroups: [String]
  ) throws(IOError) -> ContainerPlan {
    var result = ContainerPlan(arguments: container.arguments, environment: container.environment)
    result.directory = container.workingDirectory
    result.cgroups = cgroups
    result.oomScoreAdjust = MemoryPressure.score(container.oomScore, isBounded: memory.bounds(container.limits))
    result.mounts = mounts
    result.hasOthersProcesses = container.target != nil
    if let root = container.root {
      if root.ownUsers, users == nil { users = try surroundings.takeUsers() }
      try surroundings.confine(&result, root, filter, users)
      return result
    }
    // As runtimes do: the manifest's own wins, and kubelet's expansion of $(HOME) does not know it.
    if !container.environment.contains(where: { $0.hasPrefix("HOME=") }) {
      result.environment.append("HOME=\(surroundings.home)")
    }
    result.userID = surroundings.user?.userID
    result.groupID = surroundings.user?.groupID
    result.groups = surroundings.user?.groups ?? []
    return result
  }

  /// Ends the run's output; `done` gets its termination message, which is empty when the disk gives none in time.
  private func closeOutput(_ slot: Int, failed: Bool = false, _ done: @escaping (String) -> Void) {
    running[slot] = nil
    guard let output = outputs.removeValue(forKey: slot) else { return done("") }
    let run = output.run
    // Every writer is dead or being killed: what is in the pipe is all there will be.
    output.end()
    let timer = surroundings.loop.makeTimer { [unowned self] in closed(run, "") }
    timer.arm(at: Clocks.boot() + Self.closeNanoseconds)
    closing[run] = Closing(timer: timer, done: done)
    let containers = plan.initContainers.count + plan.containers.count + added.count
    surroundings.storage.close(output.log, output.message, failed: failed, containers: containers)
    if container(in: slot)?.root != nil { surroundings.storage.removeRoot(of: run) }
  }

  private func closed(_ run: ContainerRun, _ message: String) {
    guard let entry = closing.removeValue(forKey: run) else { return }
    entry.timer.arm(at: nil)
    entry.done(message)
    endIfGone()
  }

  private func endIfGone() {
    guard closing.isEmpty, let gone else { return }
    self.gone = nil
    gone()
  }

  private func exited(_ slot: Int, _ status: ProcessExit) {
    guard let run = outputs[slot]?.run else { return }
    let outOfMemory = memory.ended(slot)
    closeOutput(slot, failed: status != .exited(code: 0)) { [self] message in
      switch status {
      case .exited(let code):
        report(
          .containerExited(run, exitCode: Int64(code), signal: 0, message: message, outOfMemory: outOfMemory))
      case .signaled(let number):
        report(
          .containerExited(
            run, exitCode: 128 + Int64(number), signal: Int64(number), message: message, outOfMemory: outOfMemory))
      }
    }
  }

  private func startFailed(_ slot: Int, _ failure: PodProcess.StartFailure) {
    guard let run = outputs[slot]?.run else { return }
    _ = memory.ended(slot)
    closeOutput(slot) { [self] _ in report(.containerStartFailed(run, StartFailure(failure))) }
  }

  private func startFailed(_ run: ContainerRun, _ stage: StartFailure.Stage, _ code: Int32, _ detail: String) {
    report(.containerStartFailed(run, StartFailure(stage: stage, errorNumber: code, detail: detail)))
  }
}

extension StartFailure {
  /// The container that a process was to be started in is not there any more.
  static let gone = StartFailure(stage: .other, errorNumber: ESRCH, detail: "")

  /// What the pod's init said.
  init(_ failure: PodProcess.StartFailure) {
    let stage: Stage =
      switch failure.stage {
      case "mount": .mount
      case "workingDir": .workingDirectory
      case "exec": .execute
      case "interpreter": .interpreter
      default: .other
      }
    let subject = failure.error.subject
    let detail =
      switch stage {
      case .interpreter: subject
      case .workingDirectory: "chdir to workingDir \"\(subject)\": \(failure.error.message)"
      default: "\(subject): \(failure.error.message)"
      }
    self.init(stage: stage, errorNumber: failure.error.code, detail: detail)
  }
}
