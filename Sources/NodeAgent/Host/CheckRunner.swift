// Owns: carrying out probes and hooks in the keeper: commands by the pods' inits, with the first of what they write;
// GETs and connections from the node's network. Counts no time: the core ends what takes too long. It must not know
// what an answer means.

import AgentCore
import CLinux
import ClusterIO
import ClusterProto
import Glibc

/// The checks that are under way in one keeper. Reads at most so much of each answer, and sleeps nowhere.
final class CheckRunner {
  /// The kubelet's bound of what a command says; the rest is read and forgotten.
  static let outputLimit = 10 * 1_024
  /// Reads of a turn, so that a chatty command cannot hold up the keeper's deadlines.
  private static let readsPerTurn = 4
  /// What may be in a pipe when its process has gone.
  private static let lastReads = 8

  private struct Command {
    var run: ContainerRun
    var pipe: Int32
    var isWatched = true
    var output: [UInt8] = []
  }

  private struct Request {
    var run: ContainerRun
    var check: NetworkCheck
  }

  private let loop: EventLoop
  private let report: (CheckNumber, ContainerRun, CheckAnswer) -> Void
  private var commands: [CheckNumber: Command] = [:]
  private var requests: [CheckNumber: Request] = [:]
  private let network: CheckNetwork
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 16_384, alignment: 16)

  init(loop: EventLoop, report: @escaping (CheckNumber, ContainerRun, CheckAnswer) -> Void) {
    self.loop = loop
    self.report = report
    network = CheckNetwork(loop: loop)
  }

  deinit { buffer.deallocate() }

  /// A check's process goes by a number that no client's has.
  static func execNumber(_ number: CheckNumber) -> ExecNumber { -number }

  /// Which check's that is; nil: a client's.
  static func check(of number: ExecNumber) -> CheckNumber? { number < 0 ? -number : nil }

  func begin(_ number: CheckNumber, _ run: ContainerRun, _ check: Check, in runner: PodRunner?) {
    guard let runner else { return answer(number, run, .notRun(.gone, containerEnded: true)) }
    switch check.action {
    case .exec(let arguments): begin(number, run, arguments, in: runner)
    case .get, .connect:
      let request = NetworkCheck(check, podAddress: runner.podAddress(of: run.slot), network: network) {
        [unowned self] result in
        requests[number] = nil
        answer(number, run, result)
      }
      requests[number] = Request(run: run, check: request)
      request.begin()
    case .pause: answer(number, run, .passed)
    }
  }

  /// The word of a command's process.
  func told(_ number: CheckNumber, _ word: ExecWord) {
    switch word {
    case .started: break
    case .exited(let code):
      guard let command = commands[number] else { return }
      read(number, Self.lastReads)
      let output = String(decoding: commands[number]?.output ?? [], as: UTF8.self)
      close(number)
      answer(number, command.run, .exited(code: code, output: output))
    case .failed(let failure, let containerEnded):
      guard let command = commands[number] else { return }
      close(number)
      answer(number, command.run, .notRun(failure, containerEnded: containerEnded))
    }
  }

  /// Closes the connection; a command's process is its pod's to end.
  func end(_ number: CheckNumber) {
    guard let request = requests.removeValue(forKey: number) else { return }
    request.check.cancel()
    answer(number, request.run, .failed(""))
  }

  /// Nothing of that pod is left: nobody hears of its checks any more.
  func forget(_ attempt: AttemptNumber) {
    for (number, command) in commands where command.run.attempt == attempt { close(number) }
    for (number, request) in requests where request.run.attempt == attempt {
      requests[number] = nil
      request.check.cancel()
    }
  }

  /// Always in a later turn: the core has not ended the step that asked.
  private func answer(_ number: CheckNumber, _ run: ContainerRun, _ result: CheckAnswer) {
    loop.atTurnEnd { [self] in report(number, run, result) }
    loop.requestTurn()
  }

  private func begin(_ number: CheckNumber, _ run: ContainerRun, _ arguments: [String], in runner: PodRunner) {
    var streams: [Int32] = [open("/dev/null", O_RDONLY | O_CLOEXEC)]
    var pipe: [Int32] = [-1, -1]
    if streams[0] >= 0, stint_output_pipe(&pipe) == 0 {
      streams += [pipe[1], fcntl(pipe[1], F_DUPFD_CLOEXEC, 3)]
    }
    let failed = { [self] (error: Int32) in
      for descriptor in streams + [pipe[0]] where descriptor >= 0 { Glibc.close(descriptor) }
      let failure = StartFailure(stage: .other, errorNumber: error, detail: IOError.text(error))
      answer(number, run, .notRun(failure, containerEnded: false))
    }
    guard streams.count == 3, streams[2] >= 0 else { return failed(errno) }
    // Only ours: what writes into a pipe waits for it as any program does.
    _ = fcntl(pipe[1], F_SETFL, 0)
    _ = fcntl(pipe[0], F_SETFL, O_NONBLOCK)
    do throws(IOError) {
      try loop.add(pipe[0], .readable) { [unowned self] _ in read(number, Self.readsPerTurn) }
    } catch {
      return failed(error.code)
    }
    commands[number] = Command(run: run, pipe: pipe[0])
    runner.startExec(Self.execNumber(number), run, arguments, nil, streams: streams)
  }

  private func read(_ number: CheckNumber, _ limit: Int) {
    for _ in 0..<limit {
      guard let command = commands[number], command.isWatched else { return }
      let count = Glibc.read(command.pipe, buffer.baseAddress, buffer.count)
      if count > 0 {
        let room = max(0, Self.outputLimit - command.output.count)
        commands[number]?.output += buffer.prefix(min(count, room))
        continue
      }
      if count < 0, errno == EAGAIN || errno == EINTR { return }
      loop.remove(command.pipe)
      commands[number]?.isWatched = false
    }
  }

  private func close(_ number: CheckNumber) {
    guard let command = commands.removeValue(forKey: number) else { return }
    if command.isWatched { loop.remove(command.pipe) }
    Glibc.close(command.pipe)
  }
}
