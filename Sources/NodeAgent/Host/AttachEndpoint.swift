// A stream of what a container itself writes from now on (attach): its log, followed from its end. Output and errors
// are one there. Knows no sockets; how a log is read is LogStreams'.

import ClusterIO
import ClusterProto

/// One client that is attached to a container.
final class AttachEndpoint: PodStreamEndpoint {
  private let logs: LogStreams
  private let name: String
  private var close: () -> Void = {}
  private var isReading = true

  /// What comes of it are `events`, none of them before this returns. `isLive`: whether that run of the container still
  /// may write.
  init(
    logs: LogStreams, request: PodStreamRequest, isLive: @escaping (_ restart: Int64) -> Bool,
    _ events: PodStreamEvents
  ) {
    self.logs = logs
    name = "attach-\(request.stream)"
    let log = LogRequest(
      stream: name, attempt: request.attempt, container: request.options.container, follow: true, tailLines: 0)
    let isWanted = request.options.stdout || request.options.stderr
    let sink = LogSink(
      send: { if isWanted { events.frame(.output($0)) } },
      // While nobody takes it, nothing is read.
      pendingOutput: { [weak self] in self?.isReading == false ? Int.max : 0 },
      finish: { [weak self] code, message in
        self?.close()
        events.frame(.end(PodStreamEnd(code: code, message: message)))
      })
    close = logs.open(log, sink, isLive: isLive)
    logs.pump(name)
  }

  /// Containers have no input.
  func take(_ frame: PodStreamFrame) {}

  var isInputBehind: Bool { false }

  func setReading(_ reading: Bool) {
    isReading = reading
    if reading { logs.pump(name) }
  }

  func cancel() { close() }
}
