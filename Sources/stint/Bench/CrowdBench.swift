// Owns: what crowds cost those who are there already: a thousand agents at once, machines that join by one token,
// handshakes that never end; how long heartbeats wait for their answers meanwhile. It must not know how a member of a
// crowd behaves.

import ClusterIO
import ClusterProto
import Glibc

/// Heartbeats beside crowds.
enum CrowdBench {
  private static let text = BenchCommand.text
  /// Agents whose heartbeats are looked at, each one a second.
  private static let settled = 100

  @Sendable static func run(_ bench: BenchContext) throws -> [BenchFigure] {
    FleetBench.raiseDescriptorLimit()
    let cluster = try BenchCluster(bench, name: "crowd", agents: 0)
    defer { cluster.stop() }
    let fleet = try SimulatedFleet(cluster, count: settled, pods: 10, work: .keepsRunning)
    defer { fleet.close() }
    let beats = HeartbeatWaits(fleet)
    try FleetBench.pause(cluster, seconds: bench.size(5, quick: 2))
    var figures = [beats.figure("nobody else", bounded: false)]
    figures += try agents(bench, cluster, beats)
    figures += try joiners(bench, cluster, beats)
    figures += try halfOpen(bench, cluster, beats)
    guard fleet.closed == 0 else { throw CommandError("error: \(fleet.closed) agents lost their session to a crowd") }
    return figures
  }

  /// Agents that all connect in one moment, as after a coordinator's restart.
  private static func agents(_ bench: BenchContext, _ cluster: BenchCluster, _ beats: HeartbeatWaits) throws
    -> [BenchFigure]
  {
    let count = bench.size(1_000, quick: 200)
    bench.progress("\(count) agents connect at once")
    let identities = try SimulatedFleet.identities(cluster, (0..<count).map { "crowd-\($0)" })
    let crowd = try Crowd(cluster, .agents(identities))
    defer { crowd.stop() }
    try beats.clear(cluster)
    let cpu = ProcessUsage.exactSeconds(cluster.coordinator)
    let start = Clocks.boot()
    crowd.begin()
    try FleetBench.turn(cluster, "a crowd of agents has sessions") { crowd.isDone }
    try crowd.requireHealth()
    let sessions = Double(Clocks.boot() - start) / 1e9
    let nodes = try cluster.makeClient().list(.nodes, "")["items"]?.arrayValue ?? []
    let ready = nodes.count(where: BenchCluster.isReady)
    let seconds = Double(Clocks.boot() - start) / 1e9
    let used = ProcessUsage.exactSeconds(cluster.coordinator) - cpu
    let figure = beats.figure("\(count) agents that connect at once")
    guard ready == count + settled else {
      throw CommandError("error: \(ready) of \(count + settled) nodes are Ready")
    }
    return [
      BenchFigure(
        name: "\(count) agents that connect at once, all Ready",
        value: "\(text(seconds, 2)) s (the last session after \(text(sessions, 2)) s), "
          + "\(text(used * 1_000 / Double(count), 2)) ms of the coordinator's CPU each", reach: "<= 5 s",
        isMet: seconds <= 5),
      figure,
    ]
  }

  /// Machines that join by one token.
  private static func joiners(_ bench: BenchContext, _ cluster: BenchCluster, _ beats: HeartbeatWaits) throws
    -> [BenchFigure]
  {
    let count = bench.size(1_000, quick: 200)
    bench.progress("\(count) machines join at once")
    let secret = Hexadecimal.text(try Crypto.randomBytes(JoinToken.secretDigits / 2))
    let made = try cluster.makeClient().ask {
      .joining(
        id: $0,
        .createToken(
          id: "bench", digest: JoinToken.digest(ofSecret: secret), ttlSeconds: 3_600, uses: Int64(count), node: ""))
    }
    guard let authority = made["authority"]?.stringValue else { throw CommandError("error: no join token was made") }
    let requests = try (0..<count).map { number in
      let node = "joiner-\(number)"
      let request = try SigningRequests.make(name: Subject.nodeName(node), key: try SigningRequests.makeKey())
      return JoinRequest(
        token: "bench", secret: secret, node: node, request: String(decoding: request, as: UTF8.self))
    }
    let crowd = try Crowd(cluster, .joiners(requests, authority: authority))
    defer { crowd.stop() }
    try beats.clear(cluster)
    let cpu = ProcessUsage.exactSeconds(cluster.coordinator)
    let start = Clocks.boot()
    crowd.begin()
    try FleetBench.turn(cluster, "a crowd of joiners has certificates") { crowd.isDone }
    try crowd.requireHealth()
    let seconds = Double(Clocks.boot() - start) / 1e9
    let used = ProcessUsage.exactSeconds(cluster.coordinator) - cpu
    return [
      BenchFigure(
        name: "\(count) machines that join at once, all have certificates",
        value: "\(text(seconds, 2)) s, \(text(used * 1_000 / Double(count), 2)) ms of the coordinator's CPU each"),
      beats.figure("\(count) machines that join at once"),
    ]
  }

  /// Handshakes that begin and never end, begun again as often as the coordinator ends them.
  private static func halfOpen(
    _ bench: BenchContext, _ cluster: BenchCluster, _ beats: HeartbeatWaits
  ) throws -> [BenchFigure] {
    let count = bench.size(2_000, quick: 500)
    bench.progress("\(count) handshakes that never end")
    let crowd = try Crowd(cluster, .halfOpen(count))
    defer { crowd.stop() }
    try beats.clear(cluster)
    let cpu = ProcessUsage.exactSeconds(cluster.coordinator)
    let start = Clocks.boot()
    crowd.begin()
    try FleetBench.pause(cluster, seconds: bench.size(8, quick: 4))
    try crowd.requireHealth()
    let share = (ProcessUsage.exactSeconds(cluster.coordinator) - cpu) * 1e11 / Double(Clocks.boot() - start)
    return [
      beats.figure("\(count) half-open handshakes"),
      BenchFigure(
        name: "coordinator meanwhile",
        value: "\(text(share, 1)) % of a core; \(crowd.count) handshakes were begun"),
    ]
  }
}
