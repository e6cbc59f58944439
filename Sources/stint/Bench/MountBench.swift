// Owns: what the token costs that every pod gets: Jobs whose pods have it and Jobs whose pods do not, in turn. It must
// not know how tokens are made or mounted.

import ClusterIO
import ClusterProto

/// Processor time of a pod with its service account's token and without.
enum MountBench {
  @Sendable static func run(_ bench: BenchContext) throws -> [BenchFigure] {
    let pods = bench.size(400, quick: 200)
    bench.progress("Jobs of \(pods) pods with and without tokens")
    let cluster = try BenchCluster(bench, name: "mount", agents: 3)
    defer { cluster.stop() }
    let client = cluster.makeClient()
    var costs: [Bool: [Double]] = [:]
    var sums: [Bool: [ProcessUsage]] = [:]
    let rounds = bench.rounds * 2
    // The first of all is for what only a first Job needs.
    for round in -1..<rounds {
      for hasToken in round % 2 == 0 ? [true, false] : [false, true] {
        let before = cluster.usage()
        try JobBench.watch(
          cluster, count: 1,
          start: {
            let name = "mount-\(round + 1)-\(hasToken)"
            let job = BenchManifest.job(name, completions: pods, parallelism: 64, token: hasToken)
            _ = try client.send(BenchManifest.create(job))
          }, over: { _ in })
        // What ends behind the Job's end: directories that go, rows that are written.
        try FleetBench.pause(cluster, milliseconds: 300)
        guard round >= 0 else { continue }
        let used = try ProcessUsage.difference(before, cluster.usage())
        costs[hasToken, default: []].append(used.reduce(0) { $0 + $1.totalSeconds } * 1_000 / Double(pods))
        sums[hasToken] = try sums[hasToken].map { try ProcessUsage.sum($0, used) } ?? used
      }
    }
    let (with, without) = (costs[true] ?? [], costs[false] ?? [])
    let text = BenchCommand.text
    func parts(_ hasToken: Bool) -> String {
      let sum = sums[hasToken] ?? []
      return JobBench.parts(sum.map { _ in ProcessUsage() }, sum, pods * rounds)
    }
    let ratio = Spread(of: with, over: without)
    return [
      BenchFigure(
        name: "CPU a pod with its token, \(rounds) Jobs of \(pods)",
        value: "\(text(Spread(with).median, 2)) ms (\(parts(true)))"),
      BenchFigure(
        name: "the same without a token",
        value: "\(text(Spread(without).median, 2)) ms (\(parts(false))); with \(text(ratio.median * 100, 1)) % of it "
          + "(\(text(ratio.least * 100, 1))-\(text(ratio.most * 100, 1)))"),
    ]
  }
}
