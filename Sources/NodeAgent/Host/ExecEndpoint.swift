// A stream's process in a container (exec): its bytes and its end as frames. Knows no sockets; how a process is started
// is ContainerExec's.

import ClusterIO
import ClusterProto

/// One process that a client has started beside a container's own.
final class ExecEndpoint: PodStreamEndpoint {
  private static let inputMark = 256 * 1024

  private let events: PodStreamEvents
  private let exec: ContainerExec
  private var hasStarted = false

  /// Asks the keeper; what comes of it are `events`, none of them before this returns. Throws where nothing was
  /// started.
  init(loop: EventLoop, paths: NodePaths, request: PodStreamRequest, _ events: PodStreamEvents) throws(IOError) {
    self.events = events
    let options = request.options
    let streams = ContainerExec.Streams(
      input: options.stdin, output: options.stdout, errors: options.stderr && !options.tty)
    exec = try ContainerExec(
      loop: loop, paths: paths,
      request: ExecRequest(
        attempt: request.attempt, container: options.container, arguments: options.command,
        terminal: options.tty ? .usual : nil), streams: streams)
    exec.onStarted = { [unowned self] in start() }
    exec.onBytes = { [unowned self] stream, bytes in
      start()
      for frame in PodStreamFrame.pieces(bytes, { stream == .errors ? .errors($0) : .output($0) }) {
        events.frame(frame)
      }
    }
    exec.onDrained = { events.inputDrained() }
    // The loop keeps the process, and this closure its endpoint, until it ends.
    exec.onEnd = { [self] end in ended(end) }
  }

  private func start() {
    if hasStarted { return }
    hasStarted = true
    events.frame(.started)
  }

  private func ended(_ end: ExecEnd) {
    switch end {
    case .exited(let code):
      start()
      events.frame(.end(PodStreamEnd(code: 200, exitCode: Int(clamping: code))))
    // The command was found wanting, and not the container: that is said on the stream, as a kubelet does.
    case .failed(_, let message):
      start()
      events.frame(.end(PodStreamEnd(code: 500, message: message)))
    case .refused(let reason, let message):
      events.frame(.end(PodStreamEnd(code: reason == .busy ? 429 : 500, message: message)))
    case .gone: events.frame(.end(PodStreamEnd(code: 500, message: "the container ended, and the command with it")))
    }
  }

  func take(_ frame: PodStreamFrame) {
    switch frame {
    // What is beyond the bound was sent by somebody who does not wait: he has lost it.
    case .input(let bytes): _ = exec.write(bytes)
    case .inputEnd: exec.closeInput()
    case .resize(let columns, let rows): exec.resize(TerminalSize(columns: columns, rows: rows))
    case .started, .output, .errors, .end: break
    }
  }

  var isInputBehind: Bool { exec.pendingInput > Self.inputMark }

  func setReading(_ reading: Bool) { exec.setReading(reading) }

  func cancel() { exec.close() }
}
