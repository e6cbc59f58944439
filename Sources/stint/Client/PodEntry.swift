// Owns: the command line's way into a pod: which pod a word means, the request for a stream, and the connection that
// carries its frames. It must not know what goes through it.

import ClusterIO
import ClusterProto
import Glibc

/// Opens streams into pods. One control connection stays open beside them; with it they end.
final class PodEntry {
  let loop: EventLoop
  let cluster: Cluster
  private let namespace: String
  private let endpoint: Endpoint

  convenience init(_ context: Context) throws {
    let endpoint = Endpoint(arguments: context.arguments, environment: context.environment)
    if let server = endpoint.server, SocketAddress(parsing: server) == nil {
      throw CommandError("error: the coordinator's address \"\(server)\" is not HOST:PORT")
    }
    self.init(endpoint, context.console, namespace: context.namespace, loop: try EventLoop())
  }

  init(_ endpoint: Endpoint, _ console: Console, namespace: String, loop: EventLoop) {
    (self.endpoint, self.namespace, self.loop) = (endpoint, namespace, loop)
    cluster = NativeClient.makeCluster(endpoint, console, loop: loop)
  }

  /// The pod that a word names: `NAME`, `pod/NAME`, or the first that runs of `job/NAME`.
  func pod(_ word: String) throws -> String {
    guard let slash = word.firstIndex(of: "/") else { return word }
    let target = try Target.parse([word])[0]
    let name = String(word[word.index(after: slash)...])
    switch KindPresentation.of(target.kind).running {
    case .itself: return name
    case .pods:
      let job = try cluster.get(target.kind, namespace, name)
      let selector = LabelText.selector(job[path: ["spec", "selector"]])
      let pods = try cluster.list(.pods, namespace, labels: selector)["items"]?.arrayValue ?? []
      let running = pods.filter { $0[path: ["status", "phase"]] == "Running" }
      guard let pod = running.first?[path: ["metadata", "name"]]?.stringValue else {
        throw CommandError("error: no pod of \(word) runs\(pods.isEmpty ? "" : " any more, or yet")")
      }
      return pod
    case nil: throw CommandError("error: there is no way into \(target.kind.qualifiedPlural): name a pod or a job")
    }
  }

  /// Opens a stream; the coordinator's refusal is thrown as `StatusError`.
  func open(_ purpose: PodStreamPurpose, pod: String, _ options: PodStreamOptions) throws -> PodStreamConnection {
    let request = APIRequest(
      verb: .connect, kind: .pods, namespace: namespace, name: pod, subresource: purpose.rawValue,
      body: options.json)
    let answer = try cluster.send(request)
    guard let stream = answer.object["stream"]?.stringValue else {
      throw CommandError("error: the coordinator names no stream: it is another version's")
    }
    return try PodStreamConnection(loop: loop, endpoint: endpoint, stream: stream)
  }

  /// Turns the loop until that holds.
  func run(until isDone: () -> Bool) throws { while !isDone() { try loop.runOnce(timeoutMilliseconds: -1) } }
}

/// One stream's connection to the coordinator.
final class PodStreamConnection {
  /// A frame of the pod's.
  var onFrame: ((PodStreamFrame) -> Void)?
  /// All that was sent has gone.
  var onDrained: (() -> Void)?
  /// Once, last, where no `end` has come: why.
  var onLost: ((String) -> Void)?

  private let loop: EventLoop
  private let proof: ClientProof
  private let stream: String
  private let name: String?
  /// Those that were not tried yet: a machine may have addresses that do not reach it from here.
  private var addresses: ArraySlice<SocketAddress>
  private var connection: Connection
  private var handshake: HandshakeClient
  private var reader = MessageStream()
  private var hasConnected = false
  private var isOpen = false
  /// What waits for the hello.
  private var early: [PodStreamFrame] = []
  /// Bytes that wait for the coordinator beyond which nothing more is to be sent.
  static let mark = 256 * 1024

  fileprivate init(loop: EventLoop, endpoint: Endpoint, stream: String) throws {
    let access = try endpoint.read()
    let server = try endpoint.server ?? access.nativeAddress()
    guard let address = SocketAddress(parsing: server) else {
      throw CommandError("error: the coordinator's address \"\(server)\" is not HOST:PORT")
    }
    do throws(NameLookup.Failure) {
      addresses = try NameLookup.addresses(of: address)[...]
    } catch {
      throw CommandError("error: \(error.message)")
    }
    (self.loop, self.stream, name) = (loop, stream, address.name)
    proof = try access.proof()
    (connection, handshake) = try Self.connect(loop, &addresses, name, proof, stream)
    attach()
  }

  /// The first address that can be tried at all; those before it are left out. Throws why the last one cannot.
  private static func connect(
    _ loop: EventLoop, _ addresses: inout ArraySlice<SocketAddress>, _ name: String?, _ proof: ClientProof,
    _ stream: String
  ) throws -> (Connection, HandshakeClient) {
    let (tls, handshake) = try proof.opening(stream: stream)
    var made: Connection?
    while made == nil {
      do throws(IOError) {
        made = try Connection.connect(loop: loop, to: addresses.removeFirst(), outputLimit: 4 << 20)
      } catch {
        if addresses.isEmpty { throw error }
      }
    }
    guard let connection = made else { throw CommandError("error: the coordinator has no address") }
    try connection.startTLS(tls, name: name)
    connection.setKeepAlive(seconds: 60)
    return (connection, handshake)
  }

  private func attach() {
    connection.onOpen = { [unowned self] in
      hasConnected = true
      connection.send(MessageWriter.frames(handshake.hello))
    }
    connection.onBytes = { [unowned self] bytes in take(bytes) }
    connection.onDrained = { [unowned self] in if isOpen { onDrained?() } }
    // The loop holds the connection, and this closure this: until it closes.
    connection.onClose = { [self] reason in closed(reason.description) }
  }

  private func closed(_ reason: String) {
    guard !hasConnected, onLost != nil, !addresses.isEmpty else { return lost(reason) }
    do {
      (connection, handshake) = try Self.connect(loop, &addresses, name, proof, stream)
      attach()
    } catch {
      lost("\(error)")
    }
  }

  /// More waits than is taken: send no more before `onDrained`.
  var isBehind: Bool { !early.isEmpty || connection.pendingOutput > Self.mark }

  func send(_ frame: PodStreamFrame) {
    guard isOpen else { return early.append(frame) }
    guard let bytes = try? Frame.encode(frame.payload) else { return }
    connection.send(bytes)
  }

  func setReading(_ reading: Bool) { connection.setReading(reading) }

  /// Ends it; nothing is told any more.
  func close() {
    onFrame = nil
    onDrained = nil
    onLost = nil
    connection.close()
  }

  private func lost(_ reason: String) {
    let handler = onLost
    onLost = nil
    handler?(reason)
  }

  private func take(_ bytes: [UInt8]) {
    reader.append(bytes)
    do throws(ProtocolError) {
      while connection.isOpen {
        if isOpen {
          guard let frame = try reader.nextFrame() else { return }
          onFrame?(try PodStreamFrame(payload: frame))
        } else {
          guard let message = try reader.next() else { return }
          _ = try handshake.receive(message)
          reader.finishHello(messageLimit: MessageLimits.fromCoordinator)
          opened()
        }
      }
    } catch {
      lost(error.message)
      connection.close()
    }
  }

  private func opened() {
    isOpen = true
    let waiting = early
    early = []
    for frame in waiting { send(frame) }
    if !waiting.isEmpty, connection.pendingOutput == 0 { onDrained?() }
  }
}
