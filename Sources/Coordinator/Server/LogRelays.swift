// Owns: logs on their way from an agent's log connection to a client: who waits for which stream, and holding the
// agent back while the client is behind. It must not know what a log says.

import ClusterIO
import ClusterProto
import CoordinatorCore

/// All log streams that clients wait for or read.
final class LogRelays {
  private final class Relay {
    let stream: String
    /// The agent that was asked: nobody else may open it.
    let agent: Subject
    let client: any ReplyTaker
    let clientID: Int64
    let request: RequestID
    /// The agent's log connection, once it is there.
    var source: Peer?
    var deadline: LoopTimer?

    init(stream: String, agent: Subject, client: any ReplyTaker, clientID: Int64, request: RequestID) {
      self.stream = stream
      self.agent = agent
      self.client = client
      self.clientID = clientID
      self.request = request
    }
  }

  private let loop: EventLoop
  /// A log that is read is a connection of who reads it.
  private let places: ConnectionPlaces
  private var byStream: [String: Relay] = [:]
  private var byRequest: [RequestID: Relay] = [:]
  /// Called when a request was answered to its end.
  private let finished: (RequestID) -> Void
  /// How long an agent may take to open the connection.
  private static let connectNanoseconds: Int64 = 10_000_000_000

  init(loop: EventLoop, places: ConnectionPlaces, finished: @escaping (RequestID) -> Void) {
    self.loop = loop
    self.places = places
    self.finished = finished
  }

  /// A client waits for `stream`, which `agent` is to be asked for; false: it has too many connections, and was told.
  func expect(
    stream: String, of agent: Subject, client: any ReplyTaker, clientID: Int64, request: RequestID
  ) -> Bool {
    let relay = Relay(stream: stream, agent: agent, client: client, clientID: clientID, request: request)
    byStream[stream] = relay
    byRequest[request] = relay
    let timer = loop.makeTimer { [self, unowned relay] in
      end(relay, code: 504, message: "the node's agent did not open the log in time")
    }
    timer.arm(at: Clocks.boot() + Self.connectNanoseconds)
    relay.deadline = timer
    let refusal = places.take(relay, for: client.subject) { [unowned self, unowned relay] reason in
      end(relay, code: 429, message: reason)
    }
    if let refusal { end(relay, code: 429, message: refusal) }
    return refusal == nil
  }

  /// An agent has opened a log connection.
  func attach(_ source: Peer, stream: String) throws(ProtocolError) {
    guard let relay = byStream[stream], relay.source == nil, source.subject.isHolder(of: relay.agent) else {
      throw ProtocolError(.unexpected, "nobody waits for this log stream")
    }
    relay.source = source
    relay.deadline?.arm(at: nil)
    source.isHeld = relay.client.isBehind
  }

  func receive(_ payload: [UInt8], stream: String) throws(ProtocolError) {
    let frame = try LogFrame(payload: payload)
    guard let relay = byStream[stream] else { return }
    switch frame {
    case .bytes(let bytes):
      relay.client.take(.bytes(bytes), of: relay.clientID)
      if relay.client.isBehind { relay.source?.isHeld = true }
    case .end(let code, let message):
      let told = ReportBounds.end(code: code, message: message)
      end(relay, code: told.code, message: told.message)
    }
  }

  /// The client has taken what its socket held: what it reads goes on, unless more of it waits here.
  func drained(_ client: any ReplyTaker) {
    if client.isBehind { return }
    for request in client.requests.values { byRequest[request]?.source?.isHeld = false }
  }

  /// The agent's log connection has closed; an end that was not said is an error.
  func sourceClosed(stream: String) {
    guard let relay = byStream[stream] else { return }
    end(relay, code: 500, message: "the connection to the node ended before the log did")
  }

  /// The client has gone or wants no more.
  func cancel(_ request: RequestID) {
    guard let relay = byRequest[request] else { return }
    forget(relay)
    relay.source?.connection.close()
  }

  private func end(_ relay: Relay, code: Int, message: String) {
    forget(relay)
    let status = code == 200 ? ReplyStatus.success : ReplyStatus.failure(code: code, message: message)
    finished(relay.request)
    relay.source?.connection.close(afterFlush: true)
    relay.client.take(.done(code: code, object: status, warnings: []), of: relay.clientID)
  }

  private func forget(_ relay: Relay) {
    byStream[relay.stream] = nil
    byRequest[relay.request] = nil
    relay.deadline?.arm(at: nil)
    places.remove(relay)
  }
}

/// Status objects of answers that the server gives without the core.
enum ReplyStatus {
  static let success: JSON = ["kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Success"]

  static func failure(code: Int, message: String) -> JSON {
    let reason =
      switch code {
      case 404: "NotFound"
      case 400: "BadRequest"
      case 429: "TooManyRequests"
      case 504: "Timeout"
      default: "InternalError"
      }
    return [
      "kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Failure", "message": .string(message),
      "reason": .string(reason), "code": .int(Int64(code)),
    ]
  }
}
