// A connection to the coordinator with its hello done: used for the agent's session, for each log and each stream into
// a pod.
// Knows TLS and the hello, not what is said after it.

import ClusterIO
import ClusterProto

/// Opens a connection, proves who we are, then hands messages through.
final class CoordinatorLink {
  private var link: FrameLink?
  private let handshake: HandshakeClient
  private var tls: TLSSession?
  /// Why the coordinator's authority is not the one that was wanted.
  var distrust: String? {
    if let problem = tls?.pinProblem { return problem }
    return tls?.isStranger == true ? "the coordinator's certificate is of no authority that is believed here" : nil
  }
  private var isOpen = false
  /// The hello is over.
  var onOpen: ((HandshakeResult) -> Void)?
  var onMessage: ((JSON) -> Void)?
  /// Role stream: what comes after the hello.
  var onFrame: (([UInt8]) -> Void)?
  /// The coordinator's word on why not, before `onClosed`.
  var onRefused: ((ProtocolError) -> Void)?
  /// Called once, last.
  var onClosed: ((String) -> Void)?

  private let loop: EventLoop
  private let names: NameResolver
  private let context: TLSContext
  private let role: ProtocolRole
  let address: SocketAddress
  private let name: String?
  /// The look-up of the name, while it lasts.
  private var lookUp: Int?
  /// What the name stands for and was not tried, and what is being tried.
  private var left: ArraySlice<SocketAddress> = []
  private var tried: SocketAddress?
  /// Why not, of those that the name stands for and that were tried.
  private var problems: [String] = []

  /// Starts to connect, by what the name stands for now where the address has one. Failures come by `onClosed`, in a
  /// later turn; whoever waits no longer calls `close`.
  init(
    loop: EventLoop, names: NameResolver, address: SocketAddress, tls: TLSContext, role: ProtocolRole,
    stream: String = ""
  ) {
    handshake = HandshakeClient(role: role, stream: stream)
    self.loop = loop
    self.names = names
    self.role = role
    self.address = address
    context = tls
    name = address.name
    if name == nil {
      left = [address]
      next("")
    } else {
      lookUp = names.lookUp(address) { [self] outcome in
        lookUp = nil
        switch outcome {
        case .success(let found):
          left = found[...]
          next("")
        case .failure(let failure): closed(failure.message)
        }
      }
    }
  }

  /// Tries the next address; `reason`: why the one before would not do.
  private func next(_ reason: String) {
    guard let address = left.popFirst() else {
      loop.atTurnEnd { [self] in closed(reason) }
      return loop.requestTurn()
    }
    if !reason.isEmpty { problems.append(reason) }
    tried = address
    do throws(IOError) {
      let connection = try Connection.connect(loop: loop, to: address)
      connection.outputLimit = 64 << 20
      do throws(IOError) {
        try connection.startTLS(context, name: name)
      } catch {
        connection.close()
        throw error
      }
      tls = connection.tls
      start(connection, role)
    } catch {
      note(works: false)
      next(error.description)
    }
  }

  /// Of names alone: an address has no other to be preferred to.
  private func note(works: Bool) {
    if name != nil, let tried { names.note(tried, works: works) }
    tried = nil
  }

  /// The address that the coordinator is reached from.
  var localHost: String? { link?.localHost }
  var pendingOutput: Int { link?.pendingOutput ?? 0 }
  var onDrained: (() -> Void)? {
    get { link?.onDrained }
    set { link?.onDrained = newValue }
  }

  func send(_ message: JSON) { if isOpen { link?.send(message) } }
  func send(payload: [UInt8]) { if isOpen { link?.send(payload: payload) } }

  func setReading(_ reading: Bool) { link?.setReading(reading) }

  func close(afterFlush: Bool = false) {
    if let lookUp { names.cancel(lookUp) }
    lookUp = nil
    // It took too long.
    if !isOpen { note(works: false) }
    left = []
    link?.close(afterFlush: afterFlush)
  }

  private func start(_ connection: Connection, _ role: ProtocolRole) {
    let link = FrameLink(connection)
    self.link = link
    link.onMessage = { [self] message in receive(message) }
    link.onClosed = { [self] reason in
      guard tried != nil, !left.isEmpty else { return closed(reason) }
      note(works: false)
      next(reason)
    }
    connection.onOpen = { [self] in
      // A log's reader may take its time: the coordinator makes no room then, and that is no failure.
      if role == .agent { link.setUserTimeout(milliseconds: 10_000) }
      link.send(handshake.hello)
    }
  }

  private func receive(_ message: JSON) {
    if isOpen {
      if let error = ProtocolError(json: message) { onRefused?(error) }
      onMessage?(message)
      return
    }
    do throws(ProtocolError) {
      let result = try handshake.receive(message)
      isOpen = true
      note(works: true)
      if role == .stream {
        link?.beginStream()
        link?.onFrame = { [self] frame in onFrame?(frame) }
      }
      onOpen?(result)
    } catch {
      onRefused?(error)
      // It answered: the name's other addresses would say the same.
      left = []
      link?.close()
      closed(error.message)
    }
  }

  private func closed(_ reason: String) {
    if !isOpen { note(works: false) }
    let handler = onClosed
    onClosed = nil
    onOpen = nil
    onRefused = nil
    onMessage = nil
    onFrame = nil
    link = nil
    handler?(isOpen ? reason : (problems + [reason]).joined(separator: "; "))
  }
}
