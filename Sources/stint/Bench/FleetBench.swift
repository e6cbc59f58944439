// Owns: what the coordinator costs with a thousand simulated agents, and with a hundred thousand finished pods.
// It must not know how agents are simulated.

import ClusterIO
import ClusterProto
import Glibc

/// A thousand agents with ten running pods each.
enum FleetBench {
  private static let podsEach = 10

  @Sendable static func run(_ bench: BenchContext) throws -> [BenchFigure] {
    let count = bench.size(1_000, quick: 200)
    bench.progress("\(count) simulated agents with \(podsEach) pods each")
    raiseDescriptorLimit()
    let cluster = try BenchCluster(bench, name: "fleet", agents: 0)
    defer { cluster.stop() }
    let fleet = try SimulatedFleet(cluster, count: count, pods: Int64(podsEach), work: .keepsRunning)
    defer { fleet.close() }
    let start = Clocks.boot()
    let pods = count * podsEach
    _ = try cluster.makeClient().send(
      BenchManifest.create(
        BenchManifest.job("wide", completions: pods, parallelism: pods, command: ["/bin/sleep", "100000"])))
    try turn(cluster, "\(pods) pods run") { fleet.reported >= pods || fleet.closed > 0 }
    let placed = Double(Clocks.boot() - start) / 1e9
    // What the pods' start left to do: status writes, the Job's counters.
    try pause(cluster, seconds: 5)
    let seconds = bench.size(15, quick: 5)
    let before = ProcessUsage(cluster.coordinator)
    let begun = Clocks.boot()
    try pause(cluster, seconds: seconds)
    let after = ProcessUsage(cluster.coordinator)
    let share = (after.cpuSeconds - before.cpuSeconds) * 1e11 / Double(Clocks.boot() - begun)
    guard fleet.closed == 0 else { throw CommandError("error: \(fleet.closed) simulated agents lost their session") }
    return [
      BenchFigure(
        name: "\(pods) pods placed on \(count) simulated agents",
        value: "\(BenchCommand.text(placed, 2)) s, \(BenchCommand.text(Double(pods) / placed, 0)) pods/s"),
      BenchFigure(
        name: "coordinator with \(count) agents, heartbeat 1 s, \(podsEach) pods each",
        value: "\(BenchCommand.text(share)) % of a core", reach: "<= 10 %", isMet: share <= 10),
      BenchFigure(name: "its memory", value: after.memoryText),
    ]
  }

  /// Runs the loop until `isTrue`.
  static func turn(_ cluster: BenchCluster, _ what: String, isTrue: () -> Bool) throws {
    let limit = Clocks.boot() + 300_000_000_000
    while !isTrue() {
      guard Clocks.boot() < limit else { throw CommandError("error: not within five minutes: \(what)") }
      try cluster.loop.runOnce(timeoutMilliseconds: 100)
    }
  }

  static func pause(_ cluster: BenchCluster, seconds: Int) throws {
    try pause(cluster, milliseconds: Int64(seconds) * 1_000)
  }

  static func pause(_ cluster: BenchCluster, milliseconds: Int64) throws {
    let until = Clocks.boot() + milliseconds * 1_000_000
    while Clocks.boot() < until { try cluster.loop.runOnce(timeoutMilliseconds: 50) }
  }

  static func raiseDescriptorLimit() {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }
}

/// A hundred thousand finished pods kept, and a restart with them.
enum HistoryBench {
  private static let agents = 100

  @Sendable static func run(_ bench: BenchContext) throws -> [BenchFigure] {
    let jobs = bench.size(20, quick: 4)
    let podsEach = bench.size(5_000, quick: 2_500)
    let pods = jobs * podsEach
    bench.progress("\(pods) finished pods by \(agents) simulated agents")
    let cluster = try BenchCluster(
      bench, name: "history", agents: 0, flags: ["--terminated-pod-gc-threshold", "1000000"])
    defer { cluster.stop() }
    let empty = ProcessUsage(cluster.coordinator)
    let fleet = try SimulatedFleet(cluster, count: agents, pods: 110, work: .succeedsAtOnce)
    let start = Clocks.boot()
    let client = cluster.makeClient()
    for number in 0..<jobs {
      _ = try client.send(
        BenchManifest.create(BenchManifest.job("history-\(number)", completions: podsEach, parallelism: 50)))
    }
    try FleetBench.turn(cluster, "\(pods) pods ended") { fleet.reported >= pods || fleet.closed > 0 }
    guard fleet.closed == 0 else { throw CommandError("error: \(fleet.closed) simulated agents lost their session") }
    let filled = Double(Clocks.boot() - start) / 1e9
    try FleetBench.pause(cluster, seconds: 3)
    let full = ProcessUsage(cluster.coordinator)
    let cpu = (full.cpuSeconds - empty.cpuSeconds) * 1_000 / Double(pods)
    let one = try client.list(.pods, "default", labels: "job-name=history-0")["items"]?[0]
    fleet.close()
    cluster.stop()
    let text = Double(try textBytes(one))
    let begun = Clocks.boot()
    try cluster.start()
    let restart = Double(Clocks.boot() - begun) / 1e9
    let fresh = ProcessUsage(cluster.coordinator)
    func each(_ usage: ProcessUsage) -> Double { Double(usage.anonymous - empty.anonymous) / Double(pods) }
    let word = BenchCommand.text
    let beyond = max(each(full), each(fresh)) - text
    return [
      BenchFigure(
        name: "\(pods) pods through the coordinator alone",
        value: "\(word(Double(pods) / filled, 0)) pods/s, \(word(cpu, 2)) ms CPU of the coordinator each"),
      BenchFigure(
        name: "memory a finished pod, \(pods) kept",
        value: "\(word(each(full), 0)) B, after a restart \(word(each(fresh), 0)) B; its own text \(word(text, 0)) B",
        reach: "<= 2048 B beyond its text", isMet: beyond <= 2_048),
      BenchFigure(name: "memory of that coordinator", value: full.memoryText),
      BenchFigure(
        name: "restart with them, to the first answer",
        value: "\(word(restart, 2)) s, \(word(fresh.cpuSeconds, 2)) s of CPU",
        reach: "<= 3 s", isMet: restart <= 3),
    ]
  }

  /// Bytes of what is a pod's own as JSON text: metadata and status. The spec is shared by a Job's pods.
  private static func textBytes(_ pod: JSON?) throws -> Int {
    guard let metadata = pod?["metadata"], let status = pod?["status"] else {
      throw CommandError("error: no pod of the bench is left")
    }
    return metadata.text.utf8.count + status.text.utf8.count
  }
}
