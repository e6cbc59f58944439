// Streams into this node's pods, each on a connection of its own to the coordinator: whether a pod may be entered, and
// bytes both ways, held back on one side while the other is behind. Knows no containers: what a stream leads to is an
// endpoint's.

import ClusterIO
import ClusterProto

/// What a stream leads to. All calls are on the loop's thread.
protocol PodStreamEndpoint: AnyObject {
  /// Takes a frame towards the pod.
  func take(_ frame: PodStreamFrame)
  /// More waits there than is taken: nothing more is to come until `onInputDrained`.
  var isInputBehind: Bool { get }
  /// Reads what the pod says, or no more for now.
  func setReading(_ reading: Bool)
  /// Nobody is there any more: what was begun for this stream ends.
  func cancel()
}

/// What an endpoint says.
struct PodStreamEvents {
  /// A frame towards the client; `end` is the last.
  var frame: (PodStreamFrame) -> Void
  var inputDrained: () -> Void
}

/// Whether a pod can be entered now.
enum PodEntrance {
  /// Why not, in kubelet's words where it has some; nil: it can.
  static func refusal(_ request: PodStreamRequest, status: PodStatus?, isFrozen: Bool) -> PodStreamEnd? {
    guard let status else { return PodStreamEnd(code: 404, message: "pod does not exist") }
    if isFrozen {
      return PodStreamEnd(
        code: 500,
        message: "the pod is frozen: its node was out of the coordinator's reach for longer than its lease, and it "
          + "goes on or ends at the coordinator's word")
    }
    if status.phase.isTerminal {
      return PodStreamEnd(code: 500, message: "cannot enter a completed pod; current phase is \(status.phase.rawValue)")
    }
    if request.purpose == .portforward { return nil }
    let name = request.options.container
    let container = status.allContainers.first { $0.name == name }
    guard let container, container.state.isRunning else {
      return PodStreamEnd(code: 500, message: "container not found (\(JSON.string(name).text))")
    }
    return nil
  }
}

/// All streams of an agent.
final class PodStreams {
  private let loop: EventLoop
  private let paths: NodePaths
  private let logs: LogStreams
  private var streams: [String: PodStream] = [:]

  init(loop: EventLoop, paths: NodePaths, logs: LogStreams) {
    self.loop = loop
    self.paths = paths
    self.logs = logs
  }

  /// Serves a request on `link`; `refusal`: why it cannot be. `isLive`: whether that run of the request's container
  /// still may write.
  func serve(
    _ request: PodStreamRequest, _ link: CoordinatorLink, refusal: PodStreamEnd?,
    isLive: @escaping (_ restart: Int64) -> Bool
  ) {
    let stream = PodStream(loop: loop, link: link) { [unowned self] in streams[request.stream] = nil }
    streams[request.stream] = stream
    link.onOpen = { [unowned self, unowned stream] _ in
      if let refusal { return stream.finish(refusal) }
      stream.begin { [loop, paths, logs] events throws(IOError) in
        switch request.purpose {
        case .portforward:
          events.frame(.started)
          return PortEndpoint(loop: loop, port: UInt16(clamping: request.options.port), events)
        case .exec: return try ExecEndpoint(loop: loop, paths: paths, request: request, events)
        case .attach:
          return try AttachEndpoint(
            loop: loop, paths: paths, logs: logs, request: request, isLive: isLive, events)
        }
      }
    }
  }
}

/// One stream.
private final class PodStream {
  /// Bytes that wait for the coordinator beyond which the pod is not read.
  private static let outputMark = 256 * 1024
  /// In which the coordinator has to close when all was said.
  private static let lingerNanoseconds: Int64 = 10_000_000_000

  private let loop: EventLoop
  private let link: CoordinatorLink
  private var endpoint: (any PodStreamEndpoint)?
  private var isOver = false
  private var timer: LoopTimer?

  init(
    loop: EventLoop, link: CoordinatorLink, ended: @escaping () -> Void
  ) {
    self.loop = loop
    self.link = link
    timer = loop.makeTimer { [weak self] in self?.link.close() }
    link.onFrame = { [unowned self] payload in receive(payload) }
    link.onClosed = { [unowned self] _ in
      timer?.arm(at: nil)
      if !isOver { endpoint?.cancel() }
      isOver = true
      endpoint = nil
      ended()
    }
  }

  /// The connection is open: `make` begins what it leads to.
  func begin(_ make: (PodStreamEvents) throws(IOError) -> any PodStreamEndpoint) {
    link.onDrained = { [weak self] in self?.drained() }
    let events = PodStreamEvents(
      frame: { [weak self] frame in self?.take(frame) },
      inputDrained: { [weak self] in self?.link.setReading(true) })
    do throws(IOError) {
      endpoint = try make(events)
    } catch {
      finish(PodStreamEnd(code: 500, message: "the node's keeper cannot be asked: \(error)"))
    }
  }

  /// A frame of the coordinator's.
  private func receive(_ payload: [UInt8]) {
    // What comes after the end is dropped.
    guard !isOver, let endpoint else { return }
    do throws(ProtocolError) {
      let frame = try PodStreamFrame(payload: payload)
      if case .end(let end) = frame {
        HostLog.line("agent: the coordinator has ended a stream into a pod: \(end.message)")
        return link.close()
      }
      guard !frame.isOfAgent else { throw ProtocolError(.unexpected, "an agent's frame") }
      endpoint.take(frame)
      if endpoint.isInputBehind { link.setReading(false) }
    } catch {
      HostLog.line("agent: a stream into a pod is broken: \(error.message)")
      link.close()
    }
  }

  /// A frame of the endpoint's.
  private func take(_ frame: PodStreamFrame) {
    if isOver { return }
    if case .end(let end) = frame { return finish(end) }
    link.send(payload: frame.payload)
    if link.pendingOutput > Self.outputMark { endpoint?.setReading(false) }
  }

  private func drained() { if !isOver { endpoint?.setReading(true) } }

  /// The coordinator closes: closing here, with bytes of it unread, could take the end from it.
  func finish(_ end: PodStreamEnd) {
    isOver = true
    endpoint = nil
    link.send(payload: PodStreamFrame.end(end).payload)
    link.setReading(true)
    timer?.arm(at: Clocks.boot() + Self.lingerNanoseconds)
  }
}
