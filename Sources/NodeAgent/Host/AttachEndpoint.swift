// A stream of what a container itself writes from now on (attach): its log, followed from its end, so that a client
// who takes nothing holds up nobody; and its input, where it has one. Output and errors are one there. Knows no
// sockets; how a log is read is LogStreams', how bytes go in AttachedInput's.

import ClusterIO
import ClusterProto

/// One client that is attached to a container.
final class AttachEndpoint: PodStreamEndpoint {
  private static let inputMark = 256 * 1024

  private let logs: LogStreams
  private let name: String
  private let events: PodStreamEvents
  private let input: AttachedInput?
  private var closeLog: () -> Void = {}
  private var isReading = true
  private var isInputOver = false
  private var isOver = false

  /// What comes of it are `events`, none of them before this returns. `isLive`: whether that run of the container still
  /// may write. Throws where the keeper cannot be asked.
  init(
    loop: EventLoop, paths: NodePaths, logs: LogStreams, request: PodStreamRequest,
    isLive: @escaping (_ restart: Int64) -> Bool, _ events: PodStreamEvents
  ) throws(IOError) {
    self.logs = logs
    self.events = events
    name = "attach-\(request.stream)"
    let options = request.options
    guard options.stdin || options.tty else {
      input = nil
      follow(request, isLive)
      return
    }
    let input = try AttachedInput(
      loop: loop, paths: paths, request: InputRequest(attempt: request.attempt, container: options.container))
    self.input = input
    // The loop keeps the question, and this closure its endpoint, until it is answered.
    input.onAnswer = { [self] reply in answered(reply, request, isLive) }
  }

  private func answered(
    _ reply: ExecReply, _ request: PodStreamRequest, _ isLive: @escaping (_ restart: Int64) -> Bool
  ) {
    switch reply {
    case .input:
      input?.onDrained = { [weak self] in self?.drained() }
      follow(request, isLive)
    case .ended(.refused(_, let message)): end(PodStreamEnd(code: 500, message: message))
    case .started, .ended: end(PodStreamEnd(code: 500, message: "the pod ended"))
    }
  }

  /// The stream begins where the log ends now: what a client causes comes after that.
  private func follow(_ request: PodStreamRequest, _ isLive: @escaping (_ restart: Int64) -> Bool) {
    let log = LogRequest(
      stream: name, attempt: request.attempt, container: request.options.container, follow: true)
    let isWanted = request.options.stdout || request.options.stderr
    let sink = LogSink(
      begun: { [events] in events.frame(.started) },
      send: { [events] in if isWanted { events.frame(.output($0)) } },
      // While nobody takes it, nothing is read.
      pendingOutput: { [weak self] in self?.isReading == false ? Int.max : 0 },
      // The log keeps its sink, and this closure the endpoint, until it ends.
      finish: { [self] code, message in end(PodStreamEnd(code: code, message: message)) })
    closeLog = logs.open(log, sink, fromEnd: true, isLive: isLive)
    logs.pump(name)
  }

  func take(_ frame: PodStreamFrame) {
    guard let input, !isOver else { return }
    switch frame {
    // What is beyond the bound was sent by somebody who does not wait: he has lost it.
    case .input(let bytes): _ = input.write(bytes)
    case .inputEnd:
      // Into a container without an input nothing went: its output goes on.
      guard input.terms.isOpen, !isInputOver else { return }
      isInputOver = true
      input.finish()
    case .resize(let columns, let rows): input.resize(columns: columns, rows: rows)
    case .started, .output, .errors, .end: break
    }
  }

  private func drained() {
    if isOver { return }
    // As runtimes do: an input that stays open has been fed, and that was it. One that ends here may be answered.
    if isInputOver, input?.terms.endsWithFirst == false { return end(PodStreamEnd(code: 200)) }
    events.inputDrained()
  }

  private func end(_ end: PodStreamEnd) {
    if isOver { return }
    cancel()
    events.frame(.end(end))
  }

  var isInputBehind: Bool { (input?.pending ?? 0) > Self.inputMark }

  func setReading(_ reading: Bool) {
    isReading = reading
    if reading { logs.pump(name) }
  }

  func cancel() {
    isOver = true
    closeLog()
    closeLog = {}
    input?.close()
  }
}
