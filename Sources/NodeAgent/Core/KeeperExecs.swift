// Which processes are started in containers that run, and what is told of their ends: the keeper core's part of exec.
// Knows nothing of streams, nor who wants them.

import ClusterProto

/// A connection to the keeper's exec socket; rises, never reused in one keeper. One is one process.
package typealias ExecNumber = Int64

/// What the shell tells of a process that it was to start in a container.
package enum ExecWord: Equatable, Sendable {
  /// Its command runs.
  case started
  /// It ended; `code` is 128 + the signal of one that a signal ended.
  case exited(code: Int64)
  /// Its command did not run. `container`: the container that it was to run in had ended.
  case failed(StartFailure, containerEnded: Bool = false)
}

/// The processes in containers of one keeper's pods.
struct KeeperExecs {
  struct Process {
    var attempt: AttemptNumber
    /// The command's first word.
    var command: String
    var container: String
  }

  private(set) var processes: [ExecNumber: Process] = [:]
  private var numbers: [AttemptNumber: [ExecNumber]] = [:]

  /// How many a pod has.
  func count(in attempt: AttemptNumber) -> Int { numbers[attempt]?.count ?? 0 }

  mutating func add(_ number: ExecNumber, _ process: Process) {
    processes[number] = process
    numbers[process.attempt, default: []].append(number)
  }

  /// What it was; nil: it is not known any more.
  mutating func remove(_ number: ExecNumber) -> Process? {
    guard let process = processes.removeValue(forKey: number) else { return nil }
    numbers[process.attempt]?.removeAll { $0 == number }
    if count(in: process.attempt) == 0 { numbers[process.attempt] = nil }
    return process
  }

  /// Forgets those of a pod that is gone.
  mutating func removeAll(of attempt: AttemptNumber) -> [ExecNumber] {
    let gone = numbers.removeValue(forKey: attempt) ?? []
    for number in gone { processes[number] = nil }
    return gone
  }
}

extension KeeperCore {
  /// A client wants a process: `KeeperPod.place` says where it would run, or why it does not.
  mutating func exec(_ number: ExecNumber, _ request: ExecRequest, _ turn: inout KeeperTurn) {
    guard execs.processes[number] == nil else { return }
    guard let pod = pods[request.attempt] else {
      return answer(number, .refused(.notFound, message: KeeperPod.noContainer(request.container)), &turn)
    }
    switch pod.place(ofContainer: request.container) {
    case .refused(let reason, let message): answer(number, .refused(reason, message: message), &turn)
    case .run where execs.count(in: request.attempt) >= ExecLimit.processes:
      let message = "pod \(pod.fullName) runs \(ExecLimit.processes) processes beside its containers already"
      answer(number, .refused(.busy, message: message), &turn)
    case .run(let run):
      let command = request.arguments.first ?? ""
      execs.add(number, .init(attempt: request.attempt, command: command, container: request.container))
      turn.effects.append(.startExec(number, run, arguments: request.arguments, terminal: request.terminal))
    }
  }

  /// A client is being attached: it gets what the container reads from, where it may enter it at all.
  func input(_ number: ExecNumber, _ request: InputRequest, _ turn: inout KeeperTurn) {
    guard let pod = pods[request.attempt] else {
      return answer(number, .refused(.notFound, message: KeeperPod.noContainer(request.container)), &turn)
    }
    switch pod.place(ofContainer: request.container) {
    case .refused(let reason, let message): answer(number, .refused(reason, message: message), &turn)
    case .run(let run):
      turn.effects.append(.giveInput(number, run, pod.slots[run.slot].container?.input ?? ContainerInput()))
    }
  }

  /// The client is gone: what it started is killed, and nothing else.
  func execClosed(_ number: ExecNumber, _ turn: inout KeeperTurn) {
    guard let process = execs.processes[number] else { return }
    turn.effects.append(.killExec(number, process.attempt))
  }

  /// The shell's word of one.
  mutating func execTold(_ number: ExecNumber, _ word: ExecWord, _ turn: inout KeeperTurn) {
    guard let process = execs.processes[number] else { return }
    switch word {
    case .started: turn.effects.append(.answerExec(number, .started))
    case .exited(let code):
      _ = execs.remove(number)
      answer(number, .exited(code: code), &turn)
    case .failed(_, containerEnded: true):
      _ = execs.remove(number)
      answer(number, .refused(.notRunning, message: KeeperPod.noContainer(process.container)), &turn)
    case .failed(let failure, containerEnded: false):
      _ = execs.remove(number)
      answer(number, Self.failed(failure, command: process.command, at: turn.now.wall), &turn)
    }
  }

  /// Nothing of the pod is left.
  mutating func endExecs(of attempt: AttemptNumber, _ turn: inout KeeperTurn) {
    for number in execs.removeAll(of: attempt) { answer(number, .gone, &turn) }
  }

  private func answer(_ number: ExecNumber, _ end: ExecEnd, _ turn: inout KeeperTurn) {
    turn.effects.append(.answerExec(number, .ended(end)))
  }

  /// A command that did not run, as a runtime tells kubelet of it.
  static func failed(_ failure: StartFailure, command: String, at now: WallTime) -> ExecEnd {
    let end = ContainerState.Termination.failed(failure, command: command, at: now)
    return .failed(
      code: end.exitCode,
      message: "OCI runtime exec failed: exec failed: unable to start container process: \(end.message): unknown")
  }
}

extension KeeperPod {
  /// Where a process would run, or why it does not.
  enum ExecPlace: Equatable {
    case run(ContainerRun)
    case refused(ExecRefusal, message: String)
  }

  /// kubelet's words.
  static func noContainer(_ name: String) -> String { "container not found (\"\(name)\")" }

  /// The run of this container that a process can be started in.
  func place(ofContainer name: String) -> ExecPlace {
    guard let position = slots.firstIndex(where: { $0.name == name }) else {
      return .refused(.notFound, message: Self.noContainer(name))
    }
    guard freeze == .none else {
      return .refused(
        .frozen,
        message: "pod \(fullName) stands still: its node has heard nothing of the coordinator until the pod's lease "
          + "was over")
    }
    guard stage == .running, !killed, case .running = slots[position].run else {
      return .refused(.notRunning, message: Self.noContainer(name))
    }
    return .run(ContainerRun(attempt: attempt, slot: position, restart: slots[position].restarts))
  }
}
