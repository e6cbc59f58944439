// Owns: one client of exec or attach from its upgrade to its end: when the protocol changes, what its channels carry to
// the stream into the pod and back, how the end is told. It must not know how channels look on the wire.

import ClusterIO
import ClusterProto
import CoordinatorCore

/// One remote command over HTTP.
final class CommandSession: UpgradedSession, PodStreamClient {
  weak var relay: PodStreamRelay?
  private unowned let client: HTTPConnection
  private let upgrade: HTTPUpgrade
  private let channels: any CommandChannels
  private var hasStarted = false
  private var isReady = false
  private var isOver = false
  /// Bytes that wait for the client beyond which the agent is not read.
  static let outputMark = 256 * 1024
  /// In which a client has to open its channels.
  private static let readyNanoseconds: Int64 = 30_000_000_000
  /// In which it has to close when all was said.
  private static let lingerNanoseconds: Int64 = 5_000_000_000

  /// nil: no memory.
  init?(_ options: PodStreamOptions, _ upgrade: HTTPUpgrade, client: HTTPConnection) {
    self.client = client
    self.upgrade = upgrade
    switch upgrade.carrier {
    case .spdy:
      guard let channels = SPDYCommandChannels(options, sink: client) else { return nil }
      self.channels = channels
    case .webSocket: channels = WebSocketCommandChannels(version: upgrade.name, sink: client)
    }
    channels.handler = CommandChannelHandler(
      ready: { [unowned self] in ready() },
      input: { [unowned self] bytes in
        for frame in PodStreamFrame.pieces(bytes, { .input($0) }) { send(frame) }
      },
      inputEnd: { [unowned self] in send(.inputEnd) },
      resize: { [unowned self] columns, rows in send(.resize(columns: columns, rows: rows)) },
      gone: { [unowned self] _ in leave() })
  }

  // The client.

  func receive(_ bytes: [UInt8]) { if !isOver { channels.receive(bytes) } }

  func drained() { if !isOver { relay?.resume() } }

  func take(_ reply: APIReply, of id: Int64) -> Bool { false }

  func streamClient(of id: Int64) -> (any PodStreamClient)? { self }

  private func ready() {
    isReady = true
    client.setDeadline(nil)
    relay?.resume()
  }

  private func send(_ frame: PodStreamFrame) {
    if isOver { return }
    relay?.send(frame)
    if relay?.isInputBehind == true { client.connection.setReading(false) }
  }

  private func leave() {
    if isOver { return }
    relay?.cancel()
    linger()
  }

  /// What the client still sends is dropped: closing at once would take from it what it has not read.
  private func linger() {
    isOver = true
    client.connection.setReading(true)
    client.setDeadline(Clocks.boot() + Self.lingerNanoseconds)
  }

  // The stream.

  /// Until the client has opened its channels nothing can be taken.
  var isBehind: Bool { !isReady || client.connection.pendingOutput > Self.outputMark || channels.isWaiting }

  func inputDrained() { if !isOver { client.connection.setReading(true) } }

  func take(_ frame: PodStreamFrame) {
    switch frame {
    case .started:
      hasStarted = true
      client.setDeadline(Clocks.boot() + Self.readyNanoseconds)
      client.switchProtocol(upgrade.head)
      if upgrade.carrier == .webSocket, !isReady { ready() }
    case .output(let bytes): channels.send(bytes, on: .output)
    case .errors(let bytes): channels.send(bytes, on: .errors)
    case .end(let end) where !hasStarted: client.refuseUpgrade(end)
    case .end(let end):
      channels.finish(RemoteStatus.json(end).bytes)
      linger()
    case .input, .inputEnd, .resize: break
    }
  }
}

/// How a remote command ended, as Kubernetes says it on the status channel.
enum RemoteStatus {
  static func json(_ end: PodStreamEnd) -> JSON {
    if end.code != 200 {
      let message = "Internal error occurred: error executing command in container: \(end.message)"
      return [
        "metadata": [:], "status": "Failure", "message": .string(message), "reason": "InternalError",
        "details": ["causes": [["message": .string("error executing command in container: \(end.message)")]]],
        "code": 500,
      ]
    }
    guard let exit = end.exitCode, exit != 0 else { return ["metadata": [:], "status": "Success"] }
    return [
      "metadata": [:], "status": "Failure",
      "message": .string("command terminated with non-zero exit code: exit status \(exit)"),
      "reason": "NonZeroExitCode", "details": ["causes": [["reason": "ExitCode", "message": .string("\(exit)")]]],
    ]
  }
}
