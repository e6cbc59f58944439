// Owns: `exec`: a command in a container that runs, with this process' streams or terminal, ending with its exit
// status. It must not know how streams travel.

import ClusterIO
import ClusterProto
import Glibc

/// `stint exec`.
struct ExecCommand {
  @Sendable static func run(_ context: Context) throws -> Int32 {
    let arguments = context.arguments
    let words = Array(arguments.wordsBeforeDashes)
    let command = Array(arguments.words.dropFirst(words.count))
    guard words.count == 1, !command.isEmpty else {
      throw arguments.problem("name a pod, and behind -- the command: stint exec POD -- COMMAND")
    }
    let entry = try PodEntry(context)
    var options = PodStreamOptions()
    options.container = arguments.value("container") ?? ""
    options.command = command
    options.stdin = arguments.isOn("stdin")
    options.tty = arguments.isOn("tty")
    (options.stdout, options.stderr) = (true, !options.tty)
    if options.tty, isatty(0) == 0 {
      context.console.note("Unable to use a TTY - input is not a terminal or the right kind of file")
      options.tty = false
      options.stderr = true
    }
    let session = ExecSession(try entry.open(.exec, pod: try entry.pod(words[0]), options))
    let end = try session.run(entry, options)
    guard end.code == 200 else { throw CommandError("error: \(TerminalText.harmless(end.message))") }
    if let code = end.exitCode, code != 0 { context.console.note("command terminated with exit code \(code)") }
    return Int32(end.exitCode ?? 0)
  }
}

/// One command's streams from its start to its end.
final class ExecSession {
  /// What it writes; default: this process' own streams.
  var onOutput: ([UInt8]) -> Void = { Console.writeRaw($0) }
  var onErrors: ([UInt8]) -> Void = { try? Files.writeAll(2, $0, path: "standard error") }
  /// What ends the session and nothing else.
  var detachKeys = DetachKeys([])
  private let stream: PodStreamConnection
  private var input: StandardInput?
  private var end: PodStreamEnd?
  private var signal: Int32?
  private var size: TerminalSize?

  init(_ stream: PodStreamConnection) { self.stream = stream }

  /// `source`: what the command reads where that is not standard input.
  func run(_ entry: PodEntry, _ options: PodStreamOptions, source: Int32 = 0) throws -> PodStreamEnd {
    stream.onFrame = { [unowned self] frame in take(frame) }
    stream.onLost = { [unowned self] reason in
      end = PodStreamEnd(code: 500, message: "the connection to the coordinator ended: \(reason)")
    }
    if options.stdin { try pass(StandardInput(entry.loop, descriptor: source)) }
    let terminal = options.tty ? RawTerminal() : nil
    defer { terminal?.restore() }
    var signals: Signals?
    if options.tty {
      signals = try Signals(loop: entry.loop, [SIGWINCH, SIGTERM, SIGHUP]) { [unowned self] number in
        if number == SIGWINCH { resize() } else { signal = number }
      }
      resize()
    }
    try entry.run(until: { end != nil || signal != nil })
    _ = signals
    stream.close()
    if let signal { return PodStreamEnd(code: 200, exitCode: 128 + Int(signal)) }
    return end ?? PodStreamEnd(code: 200)
  }

  private func pass(_ input: StandardInput) throws {
    self.input = input
    input.onBytes = { [unowned self] bytes in
      if bytes.isEmpty { return stream.send(.inputEnd) }
      let passed = detachKeys.passing(bytes)
      if !passed.isEmpty { stream.send(.input(passed)) }
      if detachKeys.areTyped {
        end = PodStreamEnd(code: 200)
        return
      }
      if !stream.isBehind { input.next() }
    }
    stream.onDrained = { input.next() }
    input.next()
  }

  private func resize() {
    guard let now = RawTerminal.size, now != size else { return }
    size = now
    stream.send(.resize(columns: now.columns, rows: now.rows))
  }

  private func take(_ frame: PodStreamFrame) {
    switch frame {
    case .output(let bytes): onOutput(bytes)
    case .errors(let bytes): onErrors(bytes)
    case .end(let said): end = said
    case .started, .input, .inputEnd, .resize: break
    }
  }
}
