// Owns: `port-forward`: ports of this machine that lead to ports of a pod. It must not know how streams travel.

import ClusterIO
import ClusterProto
import Glibc

/// `stint port-forward`.
final class PortForwardCommand {
  private let context: Context
  private let entry: PodEntry
  private let pod: String
  private var listeners: [Listener] = []
  /// Connections that wait for their stream: none is opened while another one is.
  private var waiting: [(connection: Connection, port: Int64)] = []
  private var isDone = false

  @Sendable static func run(_ context: Context) throws -> Int32 {
    let words = context.arguments.words
    guard words.count >= 2 else { throw context.arguments.problem("name a pod and its ports") }
    let ports = try words.dropFirst().map { word in
      guard let pair = PortForwardCommand.ports(word) else {
        throw context.arguments.problem("\"\(word)\" is no port: write REMOTE, LOCAL:REMOTE or :REMOTE")
      }
      return pair
    }
    let entry = try PodEntry(context)
    let command = PortForwardCommand(context, entry, pod: try entry.pod(words[0]))
    try command.listen(ports)
    try command.serve()
    return 0
  }

  /// `8080`, `80:8080`, `:8080`; a local port of 0 is any.
  static func ports(_ word: String) -> (local: UInt16, remote: UInt16)? {
    let parts = word.split(separator: ":", omittingEmptySubsequences: false)
    guard let remote = parts.last.flatMap({ UInt16($0) }), remote > 0, parts.count <= 2 else { return nil }
    if parts.count == 1 { return (remote, remote) }
    guard !parts[0].isEmpty else { return (0, remote) }
    return UInt16(parts[0]).map { ($0, remote) }
  }

  private init(_ context: Context, _ entry: PodEntry, pod: String) {
    self.context = context
    self.entry = entry
    self.pod = pod
  }

  private func listen(_ ports: [(local: UInt16, remote: UInt16)]) throws {
    // Whether it may at all, before anybody connects.
    let options = PodStreamOptions()
    _ = try entry.cluster.send(
      APIRequest(
        verb: .connect, kind: .pods, namespace: context.namespace, name: pod,
        subresource: PodStreamPurpose.portforward.rawValue, body: options.json))
    let host = context.arguments.value("address") ?? "127.0.0.1"
    for (local, remote) in ports {
      let listener = try Listener(loop: entry.loop, at: .tcp(host: host, port: local)) { [unowned self] connection in
        // Not read before there is somewhere to put it.
        connection.setReading(false)
        waiting.append((connection, Int64(remote)))
      }
      listeners.append(listener)
      context.console.line("Forwarding from \(listener.address) -> \(remote)")
    }
  }

  private func serve() throws {
    let signals = try Signals(loop: entry.loop, [SIGINT, SIGTERM, SIGHUP]) { [unowned self] _ in isDone = true }
    while !isDone {
      try entry.loop.runOnce(timeoutMilliseconds: 1_000)
      while let (connection, port) = waiting.first {
        waiting.removeFirst()
        open(connection, port)
      }
    }
    _ = signals
    for listener in listeners { listener.close() }
  }

  private func open(_ connection: Connection, _ port: Int64) {
    guard connection.isOpen else { return }
    context.console.line("Handling connection for \(port)")
    var options = PodStreamOptions()
    options.port = port
    do {
      join(connection, try entry.open(.portforward, pod: pod, options))
    } catch {
      let why = (error as? StatusError)?.message ?? (error as? CommandError)?.message ?? "\(error)"
      context.console.note("error: forwarding port \(port): \(TerminalText.harmless(why))")
      connection.close()
    }
  }

  private func join(_ connection: Connection, _ stream: PodStreamConnection) {
    connection.onBytes = { bytes in
      for frame in PodStreamFrame.pieces(bytes, { .input($0) }) { stream.send(frame) }
      if stream.isBehind { connection.setReading(false) }
    }
    connection.onInputEnd = { stream.send(.inputEnd) }
    connection.onClose = { _ in stream.close() }
    connection.onDrained = { stream.setReading(true) }
    stream.onDrained = { connection.setReading(true) }
    stream.onFrame = { [context] frame in
      switch frame {
      case .output(let bytes):
        connection.send(bytes)
        if connection.pendingOutput > PodStreamConnection.mark { stream.setReading(false) }
      case .end(let end):
        if end.code != 200 { context.console.note("error: \(TerminalText.harmless(end.message))") }
        connection.close(afterFlush: true)
      case .started, .errors, .input, .inputEnd, .resize: break
      }
    }
    stream.onLost = { [context] reason in
      context.console.note("error: the connection to the coordinator ended: \(reason)")
      connection.close()
    }
    connection.setReading(true)
  }
}
