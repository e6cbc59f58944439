// Owns: what Indexed Jobs cost the coordinator: whether a pod of a large one costs more than one of a small one, how
// large the status of the largest becomes, and what deleting it holds up. It must not know how indexes are kept.

import ClusterIO
import ClusterProto
import Glibc

/// Indexed Jobs on simulated agents whose pods succeed at once.
enum IndexBench {
  private static let text = BenchCommand.text
  private static let agents = 10
  private static let parallelism = 500
  private static let rounds = 3
  /// A status beyond this would make each of its many writes cost what the Job's size is.
  private static let mostStatusBytes = 64 << 10

  @Sendable static func run(_ bench: BenchContext) throws -> [BenchFigure] {
    let cluster = try BenchCluster(
      bench, name: "indexes", agents: 0, flags: ["--terminated-pod-gc-threshold", "1000000"])
    defer { cluster.stop() }
    let fleet = try SimulatedFleet(cluster, count: agents, pods: 110, work: .succeedsAtOnce)
    defer { fleet.close() }
    let waits = HeartbeatWaits(fleet)
    let figures = try [sizes(bench, cluster, fleet)] + largest(bench, cluster, fleet, waits)
    guard fleet.closed == 0 else { throw CommandError("error: \(fleet.closed) simulated agents lost their session") }
    return figures
  }

  /// A tenfold Job beside ten single ones, in turn.
  private static func sizes(
    _ bench: BenchContext, _ cluster: BenchCluster, _ fleet: SimulatedFleet
  ) throws -> BenchFigure {
    let small = bench.size(1_000, quick: 500)
    let large = small * 10
    bench.progress("Jobs of \(small) and of \(large) indexes, \(rounds) rounds")
    var costs: (small: [Double], large: [Double]) = ([], [])
    for round in 0..<rounds {
      for isLarge in round % 2 == 0 ? [false, true] : [true, false] {
        let names = isLarge ? ["large-\(round)"] : (0..<10).map { "small-\(round)-\($0)" }
        let before = ProcessUsage.exactSeconds(cluster.coordinator)
        for name in names { _ = try complete(name, indexes: isLarge ? large : small, cluster, fleet) }
        let cost = (ProcessUsage.exactSeconds(cluster.coordinator) - before) * 1_000 / Double(large)
        if isLarge { costs.large.append(cost) } else { costs.small.append(cost) }
        for name in names { try delete(name, cluster) }
      }
    }
    let ratio = Spread(of: costs.large, over: costs.small)
    return BenchFigure(
      name: "a pod of an Indexed Job of \(large) beside one of \(small), parallelism \(parallelism)",
      value:
        "\(text(Spread(costs.large).median, 3)) and \(text(Spread(costs.small).median, 3)) ms of the coordinator's "
        + "CPU: ratio \(text(ratio.median, 2)) (\(text(ratio.least, 2))-\(text(ratio.most, 2)))",
      reach: "<= 1.1", isMet: ratio.median <= 1.1)
  }

  /// As many indexes as a Job may have with little parallelism, then its deletion.
  private static func largest(
    _ bench: BenchContext, _ cluster: BenchCluster, _ fleet: SimulatedFleet, _ waits: HeartbeatWaits
  ) throws -> [BenchFigure] {
    let indexes = bench.size(100_000, quick: 10_000)
    bench.progress("a Job of \(indexes) indexes")
    try waits.clear(cluster)
    let start = Clocks.boot()
    let statusBytes = try complete("largest", indexes: indexes, cluster, fleet)
    let seconds = Double(Clocks.boot() - start) / 1e9
    let meanwhile = waits.figure("a Job of \(indexes) indexes")
    let begun = Clocks.boot()
    try delete("largest", cluster)
    let deleted = Double(Clocks.boot() - begun) / 1e9
    return [
      BenchFigure(
        name: "a Job of \(indexes) indexes, all succeeded",
        value: "\(text(seconds, 1)) s; its status has had at most \(statusBytes) B", reach: "<= 65536 B",
        isMet: statusBytes <= mostStatusBytes),
      meanwhile,
      BenchFigure(name: "its deletion with its pods", value: "\(text(deleted, 1)) s"),
      waits.figure("the deletion of \(indexes) pods"),
    ]
  }

  /// Runs an Indexed Job to its end; the most bytes of status that were seen on the way.
  private static func complete(
    _ name: String, indexes: Int, _ cluster: BenchCluster, _ fleet: SimulatedFleet
  ) throws -> Int {
    var job = BenchManifest.job(name, completions: indexes, parallelism: parallelism, token: false)
    job[path: ["spec", "completionMode"]] = "Indexed"
    let client = cluster.makeClient()
    _ = try client.send(BenchManifest.create(job))
    let read = APIRequest(verb: .get, kind: .jobs, namespace: "default", name: name)
    let limit = Clocks.boot() + 900_000_000_000
    var most = 0
    while true {
      // Seldom, so that what is asked is no part of what is measured.
      try FleetBench.pause(cluster, milliseconds: indexes > 10_000 ? 1_000 : 100)
      let seen = try client.send(read).object
      most = max(most, seen["status"]?.bytes.count ?? 0)
      if let end = BenchManifest.finished(seen) {
        guard end.complete else { throw CommandError("error: Job \(name) failed") }
        return most
      }
      guard fleet.closed == 0, Clocks.boot() < limit else { throw CommandError("error: Job \(name) does not end") }
    }
  }

  /// Deletes a Job and waits until none of its pods is left.
  private static func delete(_ name: String, _ cluster: BenchCluster) throws {
    let client = cluster.makeClient()
    var request = APIRequest(verb: .delete, kind: .jobs, namespace: "default", name: name)
    request.options.propagationPolicy = "Foreground"
    _ = try client.send(request)
    let read = APIRequest(verb: .list, kind: .jobs, namespace: "default")
    let limit = Clocks.boot() + 600_000_000_000
    while try client.send(read).object["items"]?.arrayValue?.contains(where: {
      $0[path: ["metadata", "name"]]?.stringValue == name
    }) ?? false {
      guard Clocks.boot() < limit else { throw CommandError("error: Job \(name) is not deleted") }
      try FleetBench.pause(cluster, milliseconds: 200)
    }
  }
}
