// Owns: figures of the Kubernetes API's reads: small and long answers a second beside a bare TLS echo, and what
// heartbeats feel of them. It must not know how requests travel.

import ClusterIO
import ClusterProto
import Coordinator
import Glibc

/// Where a measured cluster serves the Kubernetes API, and the administrator's way in.
struct APIAccess {
  let address: SocketAddress
  let context: TLSContext
  let pki: PKI

  init(_ cluster: BenchCluster) throws {
    let facts = try JSON(parsing: try Files.read("\(cluster.coordinatorData)/coordinator.json", limit: 64 * 1024))
    let url = facts["api"]?.stringValue ?? ""
    guard let address = SocketAddress(parsing: String(url.dropFirst("https://".utf8.count))) else {
      throw CommandError("error: the measured cluster serves no Kubernetes API")
    }
    self.address = address
    pki = try PKI(directory: cluster.coordinatorData, host: "127.0.0.1")
    context = try TLSContext(client: pki.administrator, authority: pki.authority.certificate)
  }

  /// So many connections, each of which has answered once.
  func connect(_ count: Int, _ loop: EventLoop) throws -> [APIClient] {
    let clients = try (0..<count).map { _ in try APIClient(loop, address, context) }
    for client in clients { client.send(APIClient.request("GET", "/readyz")) }
    try APIAccess.turn(loop, "connections are answered") { clients.allSatisfy { $0.counter.answers > 0 } }
    return clients
  }

  /// Runs the loop until `isTrue`.
  static func turn(_ loop: EventLoop, _ what: String, seconds: Int64 = 300, isTrue: () -> Bool) throws {
    let limit = Clocks.boot() + seconds * 1_000_000_000
    while !isTrue() {
      guard Clocks.boot() < limit else { throw CommandError("error: not within \(seconds) s: \(what)") }
      try loop.runOnce(timeoutMilliseconds: 20)
    }
  }
}

/// Answers a second, with five hundred running pods on simulated agents in the background.
enum APIBench {
  private static let text = BenchCommand.text
  private static let pods = 500
  private static let job = "/apis/batch/v1/namespaces/default/jobs/wide"
  private static let list = "/api/v1/namespaces/default/pods?limit=500"

  @Sendable static func run(_ bench: BenchContext) throws -> [BenchFigure] {
    try reads(bench) + WatchBench.run(bench)
  }

  private static func reads(_ bench: BenchContext) throws -> [BenchFigure] {
    bench.progress("the Kubernetes API: reads")
    FleetBench.raiseDescriptorLimit()
    let cluster = try BenchCluster(bench, name: "api", agents: 0)
    defer { cluster.stop() }
    let fleet = try SimulatedFleet(cluster, count: pods / 10, pods: 10, work: .keepsRunning)
    defer { fleet.close() }
    _ = try cluster.makeClient().send(
      BenchManifest.create(
        BenchManifest.job("wide", completions: pods, parallelism: pods, command: ["/bin/sleep", "100000"])))
    try FleetBench.turn(cluster, "\(pods) pods run") { fleet.reported >= pods || fleet.closed > 0 }
    try FleetBench.pause(cluster, seconds: 2)
    let access = try APIAccess(cluster)
    let clients = try access.connect(64, cluster.loop)
    var figures = try small(bench, cluster, access, clients)
    figures += try long(bench, cluster, clients)
    let closed = fleet.closed
    let slowest = Double(fleet.slowestAnswer) / 1e6
    figures.append(
      BenchFigure(
        name: "slowest answer to a heartbeat meanwhile, \(fleet.agents.count) agents",
        value: "\(text(slowest, 1)) ms, \(closed) sessions lost", reach: "<= 200 ms",
        isMet: slowest <= 200 && closed == 0))
    return figures
  }

  /// GET of one Job from 1, 16 and 64 connections, and the same bytes from a bare TLS server.
  private static func small(
    _ bench: BenchContext, _ cluster: BenchCluster, _ access: APIAccess, _ clients: [APIClient]
  ) throws -> [BenchFigure] {
    let request = APIClient.request("GET", job)
    let answer = try wholeAnswer(cluster.loop, clients[0], request)
    let echo = try TLSEcho(access.pki, requestSize: request.count, answer: answer)
    defer { echo.stop() }
    let echoClients = try (0..<64).map { _ in try APIClient(cluster.loop, echo.address, access.context) }
    let seconds = Double(bench.size(4, quick: 2))
    let coordinator = cluster.coordinator
    var figures: [BenchFigure] = []
    for count in [1, 16, 64] {
      let raw = try APIRate(
        cluster.loop, Array(echoClients.prefix(count)), request: request, seconds: seconds / 2,
        cpu: { echo.cpuSeconds })
      let rate = try APIRate(
        cluster.loop, Array(clients.prefix(count)), request: request, seconds: seconds,
        cpu: { ProcessUsage(coordinator).cpuSeconds })
      figures += [
        BenchFigure(
          name: "bare TLS echo of \(request.count) and \(answer.count) bytes, \(count) connections",
          value: "\(text(raw.perSecond, 0))/s, \(text(raw.cpuSeconds * 1e6, 1)) us of CPU each"),
        BenchFigure(
          name: "GET of one Job, \(count) connections",
          value: "\(text(rate.perSecond, 0))/s, \(text(rate.cpuSeconds * 1e6, 1)) us of CPU each: "
            + "\(text(rate.perCore, 0))/s a core",
          reach: count == 64 ? ">= 20000/s a core" : "", isMet: count == 64 ? rate.perCore >= 20_000 : nil),
      ]
    }
    return figures
  }

  /// Lists of five hundred pods, plain and compressed.
  private static func long(
    _ bench: BenchContext, _ cluster: BenchCluster, _ clients: [APIClient]
  ) throws -> [BenchFigure] {
    let seconds = Double(bench.size(4, quick: 2))
    let coordinator = cluster.coordinator
    return try [("", []), (", gzip", ["Accept-Encoding: gzip"])].map { name, headers in
      let rate = try APIRate(
        cluster.loop, Array(clients.prefix(4)), request: APIClient.request("GET", list, headers: headers),
        seconds: seconds, cpu: { ProcessUsage(coordinator).cpuSeconds })
      let size = rate.bytesPerSecond / rate.perSecond / 1_000
      return BenchFigure(
        name: "list of \(pods) pods\(name), 4 connections",
        value: "\(text(rate.perSecond, 0))/s, \(text(rate.bytesPerSecond / 1e6, 0)) MB/s (\(text(size, 0)) KB each), "
          + "\(text(rate.cpuSeconds * 1e3, 2)) ms of CPU each")
    }
  }

  /// The bytes of one answer, head included.
  private static func wholeAnswer(
    _ loop: EventLoop, _ client: APIClient, _ request: [UInt8]
  ) throws -> [UInt8] {
    var bytes: [UInt8] = []
    let before = client.counter.answers
    client.onBytes = { bytes += $0 }
    defer { client.onBytes = nil }
    client.send(request)
    try APIAccess.turn(loop, "the Job is answered") { client.counter.answers > before }
    return bytes
  }
}
