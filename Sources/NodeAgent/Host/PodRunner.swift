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
  var paths: NodePaths
  var isolation: PodProcess.Isolation
  /// Descriptor of the data directory: a successor finds our pods by it.
  var marker: Int32
  var user: PodUser?
  /// An empty directory that a container's own root may be mounted on, privately.
  var rootDirectory: String
  var messages: TerminationFiles
  /// The home directory of whoever pods run as.
  var home: String
  /// Where the pods' inits read their deadlines.
  var deadlines: DeadlineTable
}

/// Who pods run as (`--pod-user`).
package struct PodUser: Equatable, Sendable {
  package var userID: UInt32
  package var groupID: UInt32
  package var groups: [UInt32]
  /// Its home directory; `/` when it has none.
  package var home: String

  /// Looks a user up by name or number; nil when there is none.
  package init?(named name: String) {
    var entry = getpwnam(name)
    if entry == nil, let number = UInt32(name) { entry = getpwuid(number) }
    guard let entry else { return nil }
    userID = entry.pointee.pw_uid
    groupID = entry.pointee.pw_gid
    home = Self.home(entry)
    var list = [gid_t](repeating: 0, count: 64)
    var count = Int32(list.count)
    let result = getgrouplist(entry.pointee.pw_name, groupID, &list, &count)
    groups = result < 0 ? [groupID] : list.prefix(Int(count)).map { UInt32($0) }
  }

  /// The home directory of a user by number, as runtimes take it: `/` for one that nobody knows.
  static func home(of userID: UInt32) -> String { getpwuid(userID).map { home($0) } ?? "/" }

  private static func home(_ entry: UnsafeMutablePointer<passwd>) -> String {
    let text = entry.pointee.pw_dir.map { String(cString: $0) } ?? ""
    return text.isEmpty ? "/" : text
  }
}

final class PodRunner {
  private struct Output {
    var descriptor: Int32
    var log: LogFile
    var run: ContainerRun
    var message: TerminationMessage
  }

  let attempt: AttemptNumber
  private let surroundings: PodSurroundings
  private let plan: PodPlan
  private let process: PodProcess
  private let report: (KeeperEvent) -> Void
  private var outputs: [Int: Output] = [:]

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
      for slot in outputs.keys.sorted() { closeOutput(slot) }
      gone(end.message)
    }
  }

  func start(_ run: ContainerRun, _ container: PodPlan.Container) {
    var pipes: [Int32] = [-1, -1]
    guard stint_output_pipe(&pipes) == 0 else { return startFailed(run, .other, errno, "pipe") }
    let errors = fcntl(pipes[1], F_DUPFD_CLOEXEC, 3)
    guard errors >= 0 else {
      let code = errno
      for descriptor in pipes { close(descriptor) }
      return startFailed(run, .other, code, "pipe")
    }
    let directory = surroundings.paths.logs(attempt, container: container.name)
    let message = TerminationMessage(run, container, files: surroundings.messages)
    outputs[run.slot] = Output(
      descriptor: pipes[0], log: LogFile(directory: directory, restart: run.restart), run: run, message: message)
    do throws(IOError) {
      do throws(IOError) {
        try surroundings.loop.add(pipes[0], .readable) { [unowned self] _ in readOutput(run.slot) }
      } catch {
        for descriptor in [pipes[1], errors] { close(descriptor) }
        throw error
      }
      try process.startContainer(slot: run.slot, containerPlan(container, message), output: pipes[1], errors: errors)
    } catch {
      closeOutput(run.slot)
      startFailed(run, .other, error.code, error.description)
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

  private func containerPlan(_ container: PodPlan.Container, _ message: TerminationMessage) -> ContainerPlan {
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
    result.oomScoreAdjust = 500
    result.mounts =
      message.soleMount.map { [$0] }
      ?? MountPlan.operations(
        for: message.mounted, podDirectory: plan.podDirectory, rootDirectory: surroundings.rootDirectory)
    return result
  }

  /// Reads what is in the pipe, bounded, so that a chatty container cannot hold up the keeper's deadlines.
  private func readOutput(_ slot: Int, limit: Int = 4) {
    guard let output = outputs[slot] else { return }
    let wall = Clocks.now().wall
    for _ in 0..<limit {
      var count = 0
      let bytes = [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, used in
        count = read(output.descriptor, buffer.baseAddress, buffer.count)
        used = max(0, count)
      }
      if count > 0 { output.log.append(bytes[...], wall: wall) }
      if count < bytes.count || count < 65_536 {
        if count == 0 { surroundings.loop.remove(output.descriptor) }
        return
      }
    }
  }

  /// Ends the run's output; returns its termination message.
  @discardableResult
  private func closeOutput(_ slot: Int, failed: Bool = false) -> String {
    guard outputs[slot] != nil else { return "" }
    // Every writer is dead or being killed: what is in the pipe is all there will be, at most its capacity.
    readOutput(slot, limit: 32)
    guard let output = outputs.removeValue(forKey: slot) else { return "" }
    surroundings.loop.remove(output.descriptor)
    close(output.descriptor)
    output.log.close(wall: Clocks.now().wall)
    let containers = plan.initContainers.count + plan.containers.count
    return output.message.take(failed: failed, containers: containers, paths: surroundings.paths)
  }

  private func exited(_ slot: Int, _ status: ProcessExit) {
    guard let run = outputs[slot]?.run else { return }
    let message = closeOutput(slot, failed: status != .exited(code: 0))
    switch status {
    case .exited(let code):
      report(.containerExited(run, exitCode: Int64(code), signal: 0, outOfMemory: false, message: message))
    case .signaled(let number):
      report(
        .containerExited(
          run, exitCode: 128 + Int64(number), signal: Int64(number), outOfMemory: false, message: message))
    }
  }

  private func startFailed(_ slot: Int, _ failure: PodProcess.StartFailure) {
    guard let run = outputs[slot]?.run else { return }
    closeOutput(slot)
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
    startFailed(run, stage, failure.error.code, detail)
  }

  private func startFailed(_ run: ContainerRun, _ stage: StartFailure.Stage, _ code: Int32, _ detail: String) {
    report(.containerStartFailed(run, StartFailure(stage: stage, errorNumber: code, detail: detail)))
  }
}
