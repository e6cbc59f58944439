// What streams into pods lead to on a node: whether a pod may be entered, and a connection to a port from its start to
// its end, with slow and vanishing sides.

import ClusterIO
import ClusterProto
import Testing

@testable import NodeAgent

@Suite("Ends of streams into pods")
struct PodEndpointTests {
  private static func status(_ phase: PodPhase, _ state: ContainerState) -> PodStatus {
    var status = PodStatus()
    status.phase = phase
    status.containers = [ContainerStatus(name: "c", image: "i", state: state)]
    return status
  }

  private static let running = status(.running, .running(startedAt: WallTime(nanoseconds: 0)))

  private static func request(_ purpose: PodStreamPurpose, container: String = "c") -> PodStreamRequest {
    var options = PodStreamOptions()
    options.container = container
    return PodStreamRequest(stream: "1", attempt: 1, purpose: purpose, options: options)
  }

  @Test("a pod that runs is entered; one that is unknown, frozen, over or whose container waits is not")
  func entrance() {
    func why(_ purpose: PodStreamPurpose, _ status: PodStatus?, isFrozen: Bool = false, container: String = "c")
      -> String?
    {
      PodEntrance.refusal(Self.request(purpose, container: container), status: status, isFrozen: isFrozen)?.message
    }
    let waiting = Self.status(.pending, .waiting(reason: "ContainerCreating", message: ""))
    for purpose in PodStreamPurpose.allCases {
      #expect(why(purpose, Self.running) == nil)
      #expect(why(purpose, nil) == "pod does not exist")
      #expect(why(purpose, Self.running, isFrozen: true)?.hasPrefix("the pod is frozen") == true)
      #expect(why(purpose, Self.status(.failed, .waiting(reason: "", message: "")))?.contains("Failed") == true)
    }
    #expect(why(.exec, waiting) == "container not found (\"c\")")
    #expect(why(.attach, Self.running, container: "d") == "container not found (\"d\")")
    #expect(why(.portforward, waiting) == nil)
  }

  @Test("a stream that goes while its connection is open, or not there yet, takes it along", arguments: [true, false])
  func left(isConnected: Bool) throws {
    let bench = try Bench()
    if isConnected { try bench.wait("it connects") { bench.accepted != nil && bench.drained > 0 } }
    bench.leave()
    var isClosed = false
    if isConnected {
      bench.accepted?.onClose = { _ in isClosed = true }
      try bench.wait("the server's side closes") { isClosed || bench.isInputOver }
    }
    for _ in 0..<5 { try bench.loop.runOnce(timeoutMilliseconds: 5) }
    #expect(bench.frames.isEmpty)
  }

  /// A server of one connection, and an endpoint that leads to it.
  private final class Bench {
    let loop: EventLoop
    var listener: Listener?
    var accepted: Connection?
    var got: [UInt8] = []
    var isInputOver = false
    var frames: [PodStreamFrame] = []
    var drained = 0
    private(set) var endpoint: PortEndpoint?

    init(port: UInt16? = nil) throws {
      loop = try EventLoop()
      listener = try Listener(loop: loop, at: .tcp(host: "127.0.0.1", port: 0)) { [unowned self] connection in
        accepted = connection
        connection.onBytes = { [unowned self] bytes in got += bytes }
        connection.onInputEnd = { [unowned self] in isInputOver = true }
      }
      guard case .tcp(_, let own)? = listener?.address else { return }
      if port != nil { listener?.close() }
      endpoint = PortEndpoint(
        loop: loop, port: own,
        PodStreamEvents(
          frame: { [unowned self] in frames.append($0) }, inputDrained: { [unowned self] in drained += 1 }))
    }

    /// As a stream whose client has gone lets go of it.
    func leave() {
      endpoint?.cancel()
      endpoint = nil
    }

    func wait(_ what: Comment, _ condition: () -> Bool) throws {
      let deadline = Clocks.boot() + 20_000_000_000
      while !condition() {
        try #require(Clocks.boot() < deadline, what)
        try loop.runOnce(timeoutMilliseconds: 20)
      }
    }
  }

  @Test("what comes before the connection is there goes first; each side's end is told to the other")
  func bothWays() throws {
    let bench = try Bench()
    let endpoint = try #require(bench.endpoint)
    endpoint.take(.input([1, 2]))
    #expect(endpoint.isInputBehind, "nothing more is to come before it is connected")
    try bench.wait("it is connected") { bench.got == [1, 2] && bench.drained > 0 }
    #expect(!endpoint.isInputBehind)
    endpoint.take(.resize(columns: 1, rows: 1))
    endpoint.take(.input([3]))
    endpoint.take(.inputEnd)
    try bench.wait("the input ends") { bench.isInputOver }
    #expect(bench.got == [1, 2, 3])
    bench.accepted?.send([9])
    bench.accepted?.close(afterFlush: true)
    try bench.wait("the output ends") { bench.frames.count == 2 }
    #expect(bench.frames == [.output([9]), .end(PodStreamEnd(code: 200))])
  }

  @Test("a port on which nobody listens is told of, with both addresses that were tried")
  func nobody() throws {
    let bench = try Bench(port: 0)
    try bench.wait("it is told") { !bench.frames.isEmpty }
    guard case .end(let end) = bench.frames[0] else { throw IOError(operation: "", subject: "", message: "no end") }
    #expect(end.code == 500 && end.message.hasPrefix("failed to connect to localhost:"))
    #expect(end.message.contains("127.0.0.1") && end.message.contains("::1"))
  }

  @Test("a server that does not read holds the stream back; one whose client is gone is let go of")
  func backPressure() throws {
    let bench = try Bench()
    let endpoint = try #require(bench.endpoint)
    try bench.wait("it is connected") { bench.accepted != nil && !endpoint.isInputBehind }
    bench.accepted?.setReading(false)
    let piece = [UInt8](repeating: 7, count: PodStreamFrame.largestPiece)
    var sent = 0
    while !endpoint.isInputBehind, sent < 1_000 {
      endpoint.take(.input(piece))
      sent += 1
      try bench.loop.runOnce(timeoutMilliseconds: 0)
    }
    #expect(endpoint.isInputBehind)
    let before = bench.drained
    bench.accepted?.setReading(true)
    try bench.wait("it goes on") { bench.got.count == sent * piece.count && bench.drained > before }
    // Output is not read while nobody takes it.
    endpoint.setReading(false)
    for _ in 0..<16 { bench.accepted?.send(piece) }
    for _ in 0..<50 { try bench.loop.runOnce(timeoutMilliseconds: 1) }
    #expect(bench.frames.isEmpty)
    endpoint.setReading(true)
    try bench.wait("it comes") { !bench.frames.isEmpty }
    var isClosed = false
    bench.accepted?.onInputEnd = nil
    bench.accepted?.onClose = { _ in isClosed = true }
    endpoint.cancel()
    try bench.wait("the server's connection closes") { isClosed }
  }
}
