// Owns: streams into pods between the agent's connection and the client's end: who may open which, their beginning and
// end, and holding one side back while the other is behind. It must not know how clients speak, nor what a stream says.

import ClusterIO
import ClusterProto
import CoordinatorCore

/// The client's end of one stream.
protocol PodStreamClient: AnyObject {
  /// Its way to the pod; set before the first frame comes.
  var relay: PodStreamRelay? { get set }
  /// A frame of the agent. The last one is `end`; without a `started` before it the stream was refused.
  func take(_ frame: PodStreamFrame)
  /// More waits for it than it takes.
  var isBehind: Bool { get }
  /// There is room again towards the pod.
  func inputDrained()
}

/// One stream. Ends with `end` from the agent, or with `cancel` by the client.
final class PodStreamRelay {
  let stream: String
  /// The agent that was asked: nobody else may open it.
  let agent: Subject
  let request: RequestID
  let client: any PodStreamClient
  /// The agent's connection, once it is there.
  fileprivate(set) var source: Peer?
  fileprivate var hasStarted = false
  fileprivate var deadline: LoopTimer?
  private unowned let relays: PodStreamRelays
  /// Bytes that wait for the agent beyond which the client is not read.
  private static let inputMark = 256 * 1024

  fileprivate init(
    stream: String, agent: Subject, request: RequestID, client: any PodStreamClient, relays: PodStreamRelays
  ) {
    self.stream = stream
    self.agent = agent
    self.request = request
    self.client = client
    self.relays = relays
  }

  /// More waits for the agent than it takes: the client is to be read no further until `inputDrained`.
  var isInputBehind: Bool { (source?.connection.pendingOutput ?? 0) > Self.inputMark }

  /// Towards the pod.
  func send(_ frame: PodStreamFrame) { if hasStarted { source?.send(payload: frame.payload) } }

  /// The client has taken what waited: the agent is read on.
  func resume() { if !client.isBehind { source?.isHeld = false } }

  /// The client has gone or wants no more. No frame follows.
  func cancel() { relays.cancel(self) }
}

/// All streams into pods that clients wait for or use.
final class PodStreamRelays {
  private let loop: EventLoop
  /// A stream is a connection of who uses it.
  private let places: ConnectionPlaces
  private var byStream: [String: PodStreamRelay] = [:]
  private var byRequest: [RequestID: PodStreamRelay] = [:]
  /// Called when a request needs no more.
  private let finished: (RequestID) -> Void
  /// How long an agent may take to open the connection, and a client its own.
  private static let connectNanoseconds: Int64 = 10_000_000_000

  init(loop: EventLoop, places: ConnectionPlaces, finished: @escaping (RequestID) -> Void) {
    self.loop = loop
    self.places = places
    self.finished = finished
  }

  /// `client` waits for `stream`, which `agent` is to be asked for; false: `owner` has too many connections, and it was
  /// told.
  func expect(
    stream: String, of agent: Subject, for owner: Subject, client: any PodStreamClient, request: RequestID
  ) -> Bool {
    let relay = PodStreamRelay(stream: stream, agent: agent, request: request, client: client, relays: self)
    byStream[stream] = relay
    byRequest[request] = relay
    client.relay = relay
    setDeadline(relay, "the node's agent did not open the stream in time")
    let refusal = places.take(relay, for: owner) { [unowned self, unowned relay] reason in
      end(relay, PodStreamEnd(code: 429, message: reason))
    }
    if let refusal { end(relay, PodStreamEnd(code: 429, message: refusal)) }
    return refusal == nil
  }

  /// An agent, or a client of the native protocol, has opened a stream's connection.
  func attach(_ peer: Peer, stream: String) throws(ProtocolError) {
    guard let relay = byStream[stream] else { throw PodStreamRelays.nobodyWaits }
    if let client = relay.client as? NativeStreamClient, client.attach(peer) {
      relay.deadline?.arm(at: nil)
      return relay.resume()
    }
    guard relay.source == nil, peer.subject.isHolder(of: relay.agent) else {
      throw PodStreamRelays.nobodyWaits
    }
    relay.source = peer
  }

  private static let nobodyWaits = ProtocolError(.unexpected, "nobody waits for this stream")

  /// A frame of either end.
  func receive(_ payload: [UInt8], stream: String, from peer: Peer) throws(ProtocolError) {
    let frame = try PodStreamFrame(payload: payload)
    guard let relay = byStream[stream] else { return }
    guard frame.isOfAgent == (relay.source === peer) else {
      throw ProtocolError(.unexpected, "this frame is the other side's to send")
    }
    switch frame {
    case .input, .inputEnd, .resize:
      relay.send(frame)
      if relay.isInputBehind { peer.isHeld = true }
    case .started:
      if relay.hasStarted { return }
      relay.hasStarted = true
      relay.deadline?.arm(at: nil)
      relay.client.take(.started)
      if relay.client is NativeStreamClient { setDeadline(relay, "the client did not open its connection in time") }
      peer.isHeld = relay.client.isBehind
    case .output, .errors:
      guard relay.hasStarted else { throw ProtocolError(.unexpected, "a stream that has not started says nothing") }
      relay.client.take(frame)
      if relay.client.isBehind { peer.isHeld = true }
    case .end(let said):
      let told = ReportBounds.end(code: said.code, message: said.message)
      end(relay, PodStreamEnd(code: told.code, message: told.message, exitCode: said.exitCode))
    }
  }

  /// All that was sent to this connection has gone.
  func drained(_ peer: Peer, stream: String) {
    guard let relay = byStream[stream] else { return }
    if relay.source === peer { relay.client.inputDrained() } else { relay.resume() }
  }

  /// The connection has closed; an end that was not said is an error.
  func closed(_ peer: Peer, stream: String) {
    guard let relay = byStream[stream] else { return }
    if relay.source === peer {
      end(relay, PodStreamEnd(code: 500, message: "the connection to the node ended before the stream did"))
    } else {
      cancel(relay)
    }
  }

  /// The request's client has gone.
  func cancel(_ request: RequestID) { if let relay = byRequest[request] { cancel(relay) } }

  fileprivate func cancel(_ relay: PodStreamRelay) {
    guard forget(relay) else { return }
    finished(relay.request)
    relay.source?.connection.abort()
  }

  private func setDeadline(_ relay: PodStreamRelay, _ message: String) {
    let timer =
      relay.deadline
      ?? loop.makeTimer { [self, unowned relay] in end(relay, PodStreamEnd(code: 504, message: message)) }
    timer.arm(at: Clocks.boot() + Self.connectNanoseconds)
    relay.deadline = timer
  }

  private func end(_ relay: PodStreamRelay, _ end: PodStreamEnd) {
    guard forget(relay) else { return }
    finished(relay.request)
    relay.source?.connection.close(afterFlush: true)
    relay.client.take(.end(end))
  }

  private func forget(_ relay: PodStreamRelay) -> Bool {
    guard byStream.removeValue(forKey: relay.stream) != nil else { return false }
    byRequest[relay.request] = nil
    relay.deadline?.arm(at: nil)
    places.remove(relay)
    return true
  }
}

/// The client's end of a stream of the native protocol: told of it by the answer to its request, it opens a connection
/// of its own, on which frames go as they are.
final class NativeStreamClient: PodStreamClient {
  weak var relay: PodStreamRelay?
  private let asker: any ReplyTaker
  private let owner: Subject
  private let clientID: Int64
  private let stream: String
  private weak var peer: Peer?
  private var hasStarted = false
  private let loop: EventLoop
  private var timer: LoopTimer?
  private static let mark = 256 * 1024
  /// In which the client has to close when all was said.
  private static let lingerNanoseconds: Int64 = 5_000_000_000

  init(loop: EventLoop, asker: any ReplyTaker, clientID: Int64, stream: String) {
    self.loop = loop
    self.asker = asker
    owner = asker.subject
    self.clientID = clientID
    self.stream = stream
  }

  /// Until its connection is there nothing can be taken.
  var isBehind: Bool { peer.map { $0.connection.pendingOutput > Self.mark } ?? true }

  /// Whether `peer` is the connection that it waits for.
  func attach(_ peer: Peer) -> Bool {
    guard hasStarted, self.peer == nil, peer.subject.isHolder(of: owner) else { return false }
    self.peer = peer
    return true
  }

  func take(_ frame: PodStreamFrame) {
    switch frame {
    case .started:
      hasStarted = true
      asker.take(.done(code: 200, object: ["stream": .string(stream)], warnings: []), of: clientID)
    case .end(let end) where !hasStarted:
      let status =
        end.code == 200 ? ReplyStatus.success : ReplyStatus.failure(code: end.code, message: end.message)
      asker.take(.done(code: end.code, object: status, warnings: []), of: clientID)
    case .end:
      guard let peer else { return }
      peer.send(payload: frame.payload)
      // What it still sends is dropped: closing at once would take from it what it has not read.
      peer.isHeld = false
      timer = loop.makeTimer { [peer] in peer.connection.close() }
      timer?.arm(at: Clocks.boot() + Self.lingerNanoseconds)
    case .output, .errors, .input, .inputEnd, .resize: peer?.send(payload: frame.payload)
    }
  }

  func inputDrained() { peer?.isHeld = false }
}
