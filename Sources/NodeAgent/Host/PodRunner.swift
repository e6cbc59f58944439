// One attempt's processes as the keeper holds them: its pod init, its containers' output pipes and log files.
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
  /// Room for what is read from a pipe at once, for whichever is reading.
  let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)
}

/// What a container writes, on its way from its pipe to its log. Who writes is not held up for longer than a second by
/// a disk that takes nothing: after that its bytes are dropped and counted.
private final class ContainerOutput {
  private static let patienceNanoseconds: Int64 = 1_000_000_000
  /// Reads of a turn, so that a chatty container cannot hold up the keeper's deadlines.
  private static let readsPerTurn = 4
  /// What may be in a pipe when its last writer has gone.
  private static let lastReads = 32

  let run: ContainerRun
  let message: TerminationMessage
  let log: LogQueue
  private let descriptor: Int32
  private let loop: EventLoop
  private let buffer: UnsafeMutableRawBufferPointer
  private var timer: LoopTimer?
  private var isReading = false
  private var isDropping = false

  /// Takes over `descriptor`, the pipe's end.
  init(
    _ message: TerminationMessage, log: LogQueue, descriptor: Int32, surroundings: PodSurroundings
  ) {
    run = message.run
    self.message = message
    self.log = log
    self.descriptor = descriptor
    loop = surroundings.loop
    buffer = surroundings.buffer
    timer = loop.makeTimer { [unowned self] in
      isDropping = true
      resume()
    }
  }

  func resume() {
    timer?.arm(at: nil)
    guard !isReading else { return }
    do throws(IOError) {
      try loop.add(descriptor, .readable) { [unowned self] _ in read(Self.readsPerTurn) }
      isReading = true
    } catch {
      timer?.arm(at: Clocks.boot() + Self.patienceNanoseconds)
    }
  }

  private func pause() {
    loop.remove(descriptor)
    isReading = false
  }

  /// The log has room again.
  func hasRoom() {
    isDropping = false
    resume()
  }

  /// Takes what is left and lets go of the pipe.
  func end() {
    timer?.arm(at: nil)
    isDropping = true
    read(Self.lastReads)
    pause()
    close(descriptor)
  }

  private func read(_ limit: Int) {
    let wall = Clocks.now().wall
    for _ in 0..<limit {
      let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
      guard count > 0 else {
        if count == 0 { pause() }
        return
      }
      if isDropping, !log.hasRoom {
        log.drop(Int64(count))
      } else if !log.append(UnsafeRawBufferPointer(rebasing: buffer[..<count]), wall: wall),
        !isDropping
      {
        pause()
        timer?.arm(at: Clocks.boot() + Self.patienceNanoseconds)
        return
      }
      if count < buffer.count { return }
    }
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
  private var starting: [ContainerRun: PodPlan.Container] = [:]
  private var outputs: [Int: ContainerOutput] = [:]
  private var closing: [ContainerRun: Closing] = [:]
  /// Every process is dead; called when nothing is being closed any more.
  private var gone: (() -> Void)?

  /// Starts the pod's init, which holds `deadline` by itself. `report` gets the core's events, always from the loop.
  init(
    _ attempt: AttemptNumber, plan: PodPlan, deadline: BootTime, surroundings: PodSurroundings, cgroup: PodCgroup?,
    report: @escaping (KeeperEvent) -> Void
  ) throws(IOError) {
    self.attempt = attempt
    self.plan = plan
    self.surroundings = surroundings
    self.report = report
    var options = PodProcess.Options(
      isolation: surroundings.isolation, deadline: try surroundings.deadlines.take(until: deadline.nanoseconds))
    options.marker = surroundings.marker
    options.cgroup = cgroup
    process = try PodProcess(loop: surroundings.loop, options: options)
    process.onStarted = { [unowned self] slot, _ in
      if let run = outputs[slot]?.run { report(.containerStarted(run)) }
    }
    process.onExited = { [unowned self] slot, status in exited(slot, status) }
    process.onStartFailed = { [unowned self] slot, failure in startFailed(slot, failure) }
    process.onFrozen = { isFrozen in
      report(isFrozen ? .podFrozen(attempt) : .freezeFailed(attempt, message: "processes still run"))
    }
  }

  /// `gone` is called once, last, when every process is proven dead; with what bubblewrap said, if anything.
  func watchEnd(_ gone: @escaping (String) -> Void) {
    process.onGone = { [self] end in
      starting = [:]
      for slot in outputs.keys.sorted() { closeOutput(slot) { _ in } }
      self.gone = { gone(end.message) }
      endIfGone()
    }
  }

  func start(_ run: ContainerRun, _ container: PodPlan.Container) {
    starting[run] = container
    if let ready = surroundings.storage.prepare(run, container, podDirectory: plan.podDirectory) {
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
    }
  }

  private func prepared(_ run: ContainerRun, _ preparation: PodStorage.Preparation) {
    guard let container = starting.removeValue(forKey: run) else {
      return surroundings.storage.discard(preparation)
    }
    var pipes: [Int32] = [-1, -1]
    var errors: Int32 = -1
    if stint_output_pipe(&pipes) == 0 { errors = fcntl(pipes[1], F_DUPFD_CLOEXEC, 3) }
    guard errors >= 0 else {
      let code = errno
      for descriptor in pipes where descriptor >= 0 { close(descriptor) }
      surroundings.storage.discard(preparation)
      return startFailed(run, .other, code, "pipe")
    }
    let output = ContainerOutput(
      preparation.message, log: surroundings.storage.log(run, container.name), descriptor: pipes[0],
      surroundings: surroundings)
    outputs[run.slot] = output
    output.resume()
    do throws(IOError) {
      try process.startContainer(
        slot: run.slot, containerPlan(container, preparation.mounts), output: pipes[1],
        errors: errors)
    } catch {
      closeOutput(run.slot) { [self] _ in startFailed(run, .other, error.code, error.description) }
    }
  }

  func signal(_ run: ContainerRun, _ number: Int32) { process.signal(slot: run.slot, number) }

  func kill() { process.kill() }

  func moveDeadline(to time: BootTime) { process.moveDeadline(to: time.nanoseconds) }

  func freeze() { process.freeze() }

  func thaw() {
    process.thaw()
    report(.podThawed(attempt))
  }

  private func containerPlan(_ container: PodPlan.Container, _ mounts: [MountOperation])
    -> ContainerPlan
  {
    var result = ContainerPlan(arguments: container.arguments, environment: container.environment)
    // As runtimes do: the manifest's own wins, and kubelet's expansion of $(HOME) does not know it.
    if !container.environment.contains(where: { $0.hasPrefix("HOME=") }) {
      result.environment.append("HOME=\(surroundings.home)")
    }
    result.directory = container.workingDirectory
    result.userID = surroundings.user?.userID
    result.groupID = surroundings.user?.groupID
    result.groups = surroundings.user?.groups ?? []
    // Memory pressure ends pods before the keeper that holds their deadlines.
    result.oomScoreAdjust = MemoryPressure.expendable
    result.mounts = mounts
    return result
  }

  /// Ends the run's output; `done` gets its termination message, which is empty when the disk gives none in time.
  private func closeOutput(_ slot: Int, failed: Bool = false, _ done: @escaping (String) -> Void) {
    guard let output = outputs.removeValue(forKey: slot) else { return done("") }
    let run = output.run
    // Every writer is dead or being killed: what is in the pipe is all there will be.
    output.end()
    let timer = surroundings.loop.makeTimer { [unowned self] in closed(run, "") }
    timer.arm(at: Clocks.boot() + Self.closeNanoseconds)
    closing[run] = Closing(timer: timer, done: done)
    let containers = plan.initContainers.count + plan.containers.count
    surroundings.storage.close(output.log, output.message, failed: failed, containers: containers)
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
    closeOutput(slot, failed: status != .exited(code: 0)) { [self] message in
      switch status {
      case .exited(let code):
        report(
          .containerExited(
            run, exitCode: Int64(code), signal: 0, message: message))
      case .signaled(let number):
        report(
          .containerExited(
            run, exitCode: 128 + Int64(number), signal: Int64(number),
            message: message))
      }
    }
  }

  private func startFailed(_ slot: Int, _ failure: PodProcess.StartFailure) {
    guard let run = outputs[slot]?.run else { return }
    let stage: StartFailure.Stage =
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
    closeOutput(slot) { [self] _ in startFailed(run, stage, failure.error.code, detail) }
  }

  private func startFailed(_ run: ContainerRun, _ stage: StartFailure.Stage, _ code: Int32, _ detail: String) {
    report(.containerStartFailed(run, StartFailure(stage: stage, errorNumber: code, detail: detail)))
  }
}
