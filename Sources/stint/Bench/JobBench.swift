// Owns: figures of real pods on three agents: one big Job, single-pod Jobs one at a time, a thousand at once.
// It must not know how clusters are started.

import ClusterIO
import ClusterProto
import Glibc

/// Real Jobs on a real cluster of this machine.
enum JobBench {
  private static let patience: Int64 = 600_000_000_000

  @Sendable static func run(_ bench: BenchContext) throws -> [BenchFigure] {
    bench.progress("Jobs on three agents")
    let cluster = try BenchCluster(bench, name: "jobs", agents: 3)
    defer { cluster.stop() }
    return try latency(bench, cluster) + throughput(bench, cluster) + burst(bench, cluster)
  }

  /// Submits by one connection and hears of completion by another, both in this thread. `more` is asked at the start
  /// and after each completion; returns when `count` Jobs are over.
  static func watch(
    _ cluster: BenchCluster, count: Int, start: @escaping () throws -> Void, over: (String) throws -> Void
  ) throws {
    let watcher = cluster.makeClient()
    let version = try watcher.list(.jobs, "default")[path: ["metadata", "resourceVersion"]]?.stringValue
    var request = APIRequest(verb: .watch, kind: .jobs, namespace: "default")
    request.options.resourceVersion = version
    var left = count
    var hasStarted = false
    var problem: (any Error)?
    var seen: Set<String> = []
    let isDone = try watcher.watch(
      request, deadline: Clocks.boot() + patience,
      tick: {
        if hasStarted { return .more }
        hasStarted = true
        do { try start() } catch { problem = error }
        return problem == nil ? .more : .enough
      },
      relist: { throw CommandError("error: the watch fell behind the coordinator's history") }
    ) { _, object in
      guard let (name, complete) = BenchManifest.finished(object), seen.insert(name).inserted else { return .more }
      guard complete else { throw CommandError("error: Job \(name) failed") }
      left -= 1
      try over(name)
      return left == 0 ? .enough : .more
    }
    if let problem { throw problem }
    guard isDone, left == 0 else { throw CommandError("error: \(left) Jobs of the bench did not complete") }
  }

  private static func throughput(_ bench: BenchContext, _ cluster: BenchCluster) throws -> [BenchFigure] {
    let pods = bench.size(5_000, quick: 1_000)
    bench.progress("one Job of \(pods) pods")
    guard let before = SpawnRate.plain(bench) else { throw CommandError("error: /bin/true cannot be started") }
    let client = cluster.makeClient()
    let cpuBefore = cluster.cpuSeconds()
    let shareBefore = cluster.usage()
    let start = Clocks.boot()
    try watch(
      cluster, count: 1,
      start: {
        _ = try client.send(
          BenchManifest.create(BenchManifest.job("big", completions: pods, parallelism: 128)))
      }, over: { _ in })
    let seconds = Double(Clocks.boot() - start) / 1e9
    let cpu = (cluster.cpuSeconds() - cpuBefore) * 1_000 / Double(pods)
    let shareAfter = cluster.usage()
    guard let after = SpawnRate.plain(bench) else { throw CommandError("error: /bin/true cannot be started") }
    let raw = (before.perSecond + after.perSecond) / 2
    let wrapped = SpawnRate.bubblewrap(bench)
    let rate = Double(pods) / seconds
    let text = BenchCommand.text
    let parts = parts(shareBefore, shareAfter, pods)
    // An agent without root starts pods by bubblewrap: that is its limit then.
    let (limit, share) = geteuid() == 0 ? (raw, 0.5) : (wrapped?.perSecond ?? raw, 0.7)
    return [
      BenchFigure(
        name: "posix_spawn + wait of /bin/true, one thread",
        value: "\(text(raw, 0))/s, \(text((before.cpuMilliseconds + after.cpuMilliseconds) / 2, 2)) ms CPU each"),
      BenchFigure(
        name: "the same under bubblewrap",
        value: wrapped.map { "\(text($0.perSecond, 0))/s, \(text($0.cpuMilliseconds, 2)) ms CPU each" }
          ?? "not usable"),
      BenchFigure(
        name: "one Job of \(pods) x /bin/true, parallelism 128",
        value: "\(text(rate, 0)) pods/s, \(text(rate / limit * 100, 0)) % of the limit",
        reach: ">= \(text(share * 100, 0)) %", isMet: rate >= limit * share),
      BenchFigure(
        name: "CPU a pod, everything counted", value: "\(text(cpu, 2)) ms (\(parts))", reach: "about 2.7 ms",
        isMet: cpu <= 2.8),
    ]
  }

  static func parts(_ before: [ProcessUsage], _ after: [ProcessUsage], _ pods: Int) -> String {
    guard before.count == after.count, before.count % 2 == 1 else { return "processes changed" }
    func used(_ positions: [Int], _ time: (ProcessUsage) -> Double) -> String {
      let sum = positions.reduce(0.0) { $0 + time(after[$1]) - time(before[$1]) }
      return BenchCommand.text(sum * 1_000 / Double(pods), 2)
    }
    let agents = Array(stride(from: 1, to: before.count, by: 2))
    let keepers = agents.map { $0 + 1 }
    return "coordinator \(used([0], \.cpuSeconds)), agents \(used(agents, \.cpuSeconds)), "
      + "keepers \(used(keepers, \.cpuSeconds)), pods \(used(keepers, \.childrenSeconds))"
  }

  private static func latency(_ bench: BenchContext, _ cluster: BenchCluster) throws -> [BenchFigure] {
    let jobs = bench.size(200, quick: 50)
    bench.progress("\(jobs) single-pod Jobs, one at a time")
    let client = cluster.makeClient()
    var times: [Double] = []
    var begun: Int64 = 0
    func submit() throws {
      begun = Clocks.boot()
      _ = try client.send(BenchManifest.create(BenchManifest.job("single-\(times.count)")))
    }
    try watch(cluster, count: jobs, start: submit) { _ in
      times.append(Double(Clocks.boot() - begun) / 1e6)
      if times.count < jobs { try submit() }
    }
    times.sort()
    let half = times[times.count / 2]
    let most = times[min(times.count - 1, times.count * 99 / 100)]
    return [
      BenchFigure(
        name: "submit -> Complete, single-pod Job, p50 of \(jobs)", value: "\(BenchCommand.text(half)) ms",
        reach: "<= 10 ms", isMet: half <= 10),
      BenchFigure(
        name: "submit -> Complete, single-pod Job, p99 of \(jobs)", value: "\(BenchCommand.text(most)) ms",
        reach: "<= 40 ms", isMet: most <= 40),
    ]
  }

  private static func burst(_ bench: BenchContext, _ cluster: BenchCluster) throws -> [BenchFigure] {
    let jobs = bench.size(1_000, quick: 200)
    bench.progress("\(jobs) single-pod Jobs at once")
    let client = cluster.makeClient()
    let requests = (0..<jobs).map { BenchManifest.create(BenchManifest.job("burst-\($0)")) }
    let start = Clocks.boot()
    try watch(
      cluster, count: jobs,
      start: {
        _ = try client.stream(Exchange(requests: requests)) { _, reply in
          if case .done(let code, let object, _) = reply, code >= 400 { throw StatusError(object, code: code) }
          return .more
        }
      }, over: { _ in })
    let seconds = Double(Clocks.boot() - start) / 1e9
    return [
      BenchFigure(
        name: "\(jobs) single-pod Jobs submitted at once",
        value: "\(BenchCommand.text(seconds, 2)) s, \(BenchCommand.text(Double(jobs) / seconds, 0)) Jobs/s")
    ]
  }
}

/// What an idle cluster holds.
enum IdleBench {
  @Sendable static func run(_ bench: BenchContext) throws -> [BenchFigure] {
    bench.progress("an idle cluster")
    let cluster = try BenchCluster(bench, name: "idle", agents: 1)
    defer { cluster.stop() }
    // A few heartbeats, so that what only the start needs has gone.
    let until = Clocks.boot() + 3_000_000_000
    while Clocks.boot() < until { try cluster.loop.runOnce(timeoutMilliseconds: 200) }
    let coordinator = ProcessUsage(cluster.coordinator)
    let node = ProcessUsage.memory(of: cluster.agents.flatMap { $0 })
    let limit: Int64 = 15 << 20
    return [
      BenchFigure(
        name: "memory of an idle coordinator", value: coordinator.memoryText, reach: "<= 15 MB",
        isMet: coordinator.resident <= limit),
      BenchFigure(
        name: "memory of an idle agent and its keeper", value: node.memoryText, reach: "<= 15 MB",
        isMet: node.resident <= limit),
    ]
  }
}
