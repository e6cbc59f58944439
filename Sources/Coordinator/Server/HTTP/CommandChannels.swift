// Owns: Kubernetes' remote command protocols (v4 over SPDY streams, v4 and v5 over WebSocket messages): which stream or
// message is the input, the output, the errors, the status, the terminal's size. It must not know what runs.

import ClusterIO
import ClusterProto

/// What a remote command and its client say to each other.
enum CommandChannel: UInt8 {
  case input = 0
  case output = 1
  case errors = 2
  /// How it ended, said last.
  case status = 3
  case size = 4
}

/// One client's way of speaking to a remote command.
protocol CommandChannels: AnyObject {
  /// What comes of the client's bytes.
  var handler: CommandChannelHandler? { get set }
  /// Takes the client's bytes.
  func receive(_ bytes: [UInt8])
  func send(_ bytes: [UInt8], on channel: CommandChannel)
  /// The last word; the client closes behind it.
  func finish(_ status: [UInt8])
  /// Bytes wait for the client to make room by other means than its socket.
  var isWaiting: Bool { get }
}

/// What a client says to a remote command.
struct CommandChannelHandler {
  /// It is ready to take output.
  var ready: () -> Void
  var input: ([UInt8]) -> Void
  var inputEnd: () -> Void
  var resize: (_ columns: UInt16, _ rows: UInt16) -> Void
  /// It wants no more; `reason` empty: as it may.
  var gone: (_ reason: String) -> Void
}

extension CommandChannelHandler {
  /// Most bytes of one size: two numbers as JSON.
  static let sizeLimit = 1_024

  /// `{"Width":80,"Height":24}`; anything else is passed over, as Kubernetes does.
  func size(_ bytes: [UInt8]) {
    guard bytes.count <= Self.sizeLimit, let json = try? JSON(parsing: bytes),
      let columns = json["Width"]?.intValue.flatMap({ UInt16(exactly: $0) }),
      let rows = json["Height"]?.intValue.flatMap({ UInt16(exactly: $0) })
    else { return }
    resize(columns, rows)
  }
}

/// v4.channel.k8s.io over SPDY: a stream for each channel, opened by the client.
final class SPDYCommandChannels: CommandChannels {
  var handler: CommandChannelHandler?
  private let session: SPDYSession
  private var awaited: Set<String>
  private var streams: [CommandChannel: UInt32] = [:]
  private var channels: [UInt32: CommandChannel] = [:]
  private static let names: [String: CommandChannel] = [
    "error": .status, "stdin": .input, "stdout": .output, "stderr": .errors, "resize": .size,
  ]

  init?(_ options: PodStreamOptions, sink: any ByteSink) {
    guard let session = SPDYSession(sink) else { return nil }
    self.session = session
    awaited = ["error"]
    if options.stdin { awaited.insert("stdin") }
    if options.stdout { awaited.insert("stdout") }
    // With a terminal there is one output.
    if options.stderr, !options.tty { awaited.insert("stderr") }
    if options.tty { awaited.insert("resize") }
    session.handler = SPDYSession.Handler(
      opened: { [unowned self] id, headers in opened(id, headers["streamtype"] ?? "") },
      data: { [unowned self] id, bytes in
        switch channels[id] {
        case .input?: handler?.input(bytes)
        case .size?: handler?.size(bytes)
        default: break
        }
      },
      finished: { [unowned self] id in if channels[id] == .input { handler?.inputEnd() } },
      reset: { [unowned self] id in if channels[id] == .input { handler?.inputEnd() } },
      left: { [unowned self] in handler?.gone("") })
  }

  var isWaiting: Bool { streams.values.contains { session.isWaiting($0) } }

  func receive(_ bytes: [UInt8]) {
    do throws(SPDYError) {
      try session.receive(bytes)
    } catch {
      session.leave(isError: true)
      handler?.gone(error.description)
    }
  }

  private func opened(_ id: UInt32, _ name: String) {
    guard awaited.remove(name) != nil, let channel = Self.names[name] else {
      return session.reset(id, SPDYFrame.ResetStatus.refusedStream)
    }
    streams[channel] = id
    channels[id] = channel
    session.accept(id)
    if awaited.isEmpty { handler?.ready() }
  }

  func send(_ bytes: [UInt8], on channel: CommandChannel) {
    if let id = streams[channel] { session.send(bytes, on: id) }
  }

  private func end(_ channel: CommandChannel) { if let id = streams[channel] { session.finish(id) } }

  func finish(_ status: [UInt8]) {
    for channel in [CommandChannel.output, .errors] { end(channel) }
    send(status, on: .status)
    for channel in [CommandChannel.status, .input, .size] { end(channel) }
  }
}

/// v4.channel.k8s.io and v5.channel.k8s.io over WebSocket: the first byte of each message names the channel.
final class WebSocketCommandChannels: CommandChannels {
  var handler: CommandChannelHandler?
  private let sink: any ByteSink
  private let hasClose: Bool
  private var reader = WebSocketReader()
  private var isClosed = false
  /// v5: the message names a channel on which nothing more comes.
  private static let close: UInt8 = 255

  init(version: String, sink: any ByteSink) {
    self.sink = sink
    hasClose = version.hasPrefix("v5.")
  }

  var isWaiting: Bool { false }

  func receive(_ bytes: [UInt8]) {
    reader.append(bytes)
    do throws(WebSocketError) {
      while !isClosed, let event = try reader.next() { take(event) }
    } catch {
      sayClose(error.code, error.reason)
      handler?.gone(error.reason)
    }
  }

  private func take(_ event: WebSocketEvent) {
    switch event {
    case .message(let bytes, _): take(bytes)
    case .ping(let bytes): sink.send(WebSocketFrame.pong(bytes))
    case .pong: break
    case .close:
      sayClose(1000)
      handler?.gone("")
    }
  }

  private func take(_ message: [UInt8]) {
    switch message.first {
    case CommandChannel.input.rawValue?: if message.count > 1 { handler?.input(Array(message.dropFirst())) }
    case CommandChannel.size.rawValue?: handler?.size(Array(message.dropFirst()))
    case Self.close? where hasClose && message.dropFirst().first == CommandChannel.input.rawValue: handler?.inputEnd()
    default: break
    }
  }

  func send(_ bytes: [UInt8], on channel: CommandChannel) {
    if !isClosed { sink.send(WebSocketFrame.binary([channel.rawValue] + bytes)) }
  }

  func finish(_ status: [UInt8]) {
    send(status, on: .status)
    sayClose(1000)
  }

  private func sayClose(_ code: UInt16, _ reason: String = "") {
    if isClosed { return }
    isClosed = true
    sink.send(WebSocketFrame.close(code, reason))
  }
}
