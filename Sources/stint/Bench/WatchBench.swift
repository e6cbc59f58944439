// Owns: figures of watches: how long until a change is told, idle and beside a busy Job; five hundred watchers of one
// namespace; what one costs while nothing happens. It must not know how requests travel.

import ClusterIO
import ClusterProto
import Coordinator
import Glibc

/// Watches of the Kubernetes API.
enum WatchBench {
  private static let text = BenchCommand.text
  private static let maps = "/api/v1/namespaces/bench/configmaps"
  private static let jobs = "/apis/batch/v1/namespaces/default/jobs"
  private static let watchers = 500

  static func run(_ bench: BenchContext) throws -> [BenchFigure] {
    let idle = try idleCost(bench)
    bench.progress("the Kubernetes API: watches beside Jobs")
    let cluster = try BenchCluster(bench, name: "watches", agents: 3)
    defer { cluster.stop() }
    let access = try APIAccess(cluster)
    let teller = try Teller(cluster.loop, access)
    let latencies = try latency(bench, cluster, teller)
    return latencies + (try crowd(bench, cluster, access, teller)) + idle
  }

  /// A connection that creates, and one that watches what it creates.
  private final class Teller {
    let loop: EventLoop
    let writer: APIClient
    let watcher: APIClient
    private var created = 0
    private var base = 0

    init(_ loop: EventLoop, _ access: APIAccess) throws {
      self.loop = loop
      let clients = try access.connect(2, loop)
      (writer, watcher) = (clients[0], clients[1])
      try ask("POST", "/api/v1/namespaces", ["metadata": ["name": "bench"]])
      let watched = "\(maps)?watch=true&fieldSelector=metadata.name!=kube-root-ca.crt"
      watcher.send(APIClient.request("GET", watched))
      // The first event shows that the watch has begun.
      try create()
      try APIAccess.turn(loop, "a watch tells what is created") { watcher.counter.lines > 0 }
      base = watcher.counter.lines
      created = 0
    }

    func ask(_ method: String, _ path: String, _ body: JSON) throws {
      let before = writer.counter.answers
      writer.send(APIClient.request(method, path, body: body.bytes))
      try APIAccess.turn(loop, "\(method) \(path) is answered") {
        writer.counter.answers > before || writer.closeReason != nil
      }
      guard (200..<300).contains(writer.counter.code) else {
        throw CommandError("error: \(method) \(path) was answered \(writer.counter.code)")
      }
    }

    private func create() throws {
      try ask("POST", maps, ["metadata": ["generateName": "told-"], "data": ["key": "value"]])
    }

    /// Milliseconds from sending a create to its watch event, again and again until `isOver`.
    func latencies(until isOver: (Int) -> Bool) throws -> [Double] {
      var times: [Double] = []
      while !isOver(times.count) {
        created += 1
        let wanted = base + created
        let start = Clocks.boot()
        var told: Int64 = 0
        watcher.onProgress = { [unowned self] in
          if told == 0, watcher.counter.lines >= wanted { told = Clocks.boot() }
        }
        defer { watcher.onProgress = nil }
        try create()
        try APIAccess.turn(loop, "a watch tells what is created") { told > 0 || watcher.closeReason != nil }
        guard told > 0 else { throw CommandError("error: the watch ended") }
        times.append(Double(told - start) / 1e6)
      }
      return times.sorted()
    }
  }

  private static func percentiles(_ times: [Double]) -> (half: Double, most: Double, text: String) {
    let half = times.isEmpty ? .infinity : times[times.count / 2]
    let most = times.isEmpty ? .infinity : times[min(times.count - 1, times.count * 99 / 100)]
    return (half, most, "p50 \(text(half, 2)) ms, p99 \(text(most, 2)) ms of \(times.count)")
  }

  private static func latency(
    _ bench: BenchContext, _ cluster: BenchCluster, _ teller: Teller
  ) throws -> [BenchFigure] {
    let quiet = percentiles(try teller.latencies { $0 >= bench.size(500, quick: 100) })
    let size = bench.size(5_000, quick: 1_000)
    let job = try BusyJob(cluster, name: "busy-0", pods: size)
    let busy = percentiles(try teller.latencies { _ in job.isOver })
    return [
      BenchFigure(name: "create -> watch event, idle", value: quiet.text),
      BenchFigure(
        name: "create -> watch event beside a Job of \(size) pods", value: busy.text, reach: "p50 <= 5 ms",
        isMet: busy.half <= 5),
      BenchFigure(
        name: "that Job meanwhile", value: "\(text(job.seconds, 1)) s, \(text(Double(size) / job.seconds, 0)) pods/s"),
    ]
  }

  /// A Job under way, whose end a watch of it tells.
  private final class BusyJob {
    private let start = Clocks.boot()
    private var end: Int64 = 0
    private let watcher: APIClient
    private var line: [UInt8] = []

    var isOver: Bool { end > 0 || watcher.closeReason != nil }
    var seconds: Double { Double((end > 0 ? end : Clocks.boot()) - start) / 1e9 }

    init(_ cluster: BenchCluster, name: String, pods: Int) throws {
      watcher = try APIAccess(cluster).connect(1, cluster.loop)[0]
      watcher.onBytes = { [unowned self] bytes in take(bytes) }
      watcher.send(APIClient.request("GET", "\(jobs)?watch=true&fieldSelector=metadata.name=\(name)"))
      _ = try cluster.makeClient().send(
        BenchManifest.create(BenchManifest.job(name, completions: pods, parallelism: 128)))
    }

    /// Only a Job that is over has this in its status.
    private static let mark = Array("\"completionTime\"".utf8)

    private func take(_ bytes: [UInt8]) {
      line += bytes
      let found = line.indices.contains { line[$0] == Self.mark[0] && line[$0...].starts(with: Self.mark) }
      if found, end == 0 { end = Clocks.boot() }
      line.removeFirst(max(0, line.count - Self.mark.count))
    }
  }

  /// Five hundred watchers of the Jobs of one namespace, then of its pods, while a Job runs in it.
  private static func crowd(
    _ bench: BenchContext, _ cluster: BenchCluster, _ access: APIAccess, _ teller: Teller
  ) throws -> [BenchFigure] {
    let size = bench.size(5_000, quick: 1_000)
    var figures: [BenchFigure] = []
    // Every pod's every change to each of them is more than this machine can carry for long: a shorter Job.
    let pods = "/api/v1/namespaces/default/pods"
    for (number, what, size) in [(1, "nothing", size), (2, jobs, size), (3, pods, bench.size(1_000, quick: 500))] {
      let isWatched = number > 1
      bench.progress("a Job of \(size) pods, \(isWatched ? "\(watchers) watchers of \(what)" : "nobody watching")")
      let clients = isWatched ? try access.connect(watchers, cluster.loop) : []
      let version = try cluster.makeClient().list(.jobs, "bench")[path: ["metadata", "resourceVersion"]]
      let watch = APIClient.request("GET", "\(what)?watch=true&resourceVersion=\(version?.stringValue ?? "")")
      for client in clients { client.send(watch) }
      try APIAccess.turn(cluster.loop, "watches begin") { clients.allSatisfy { $0.counter.code == 200 } }
      func events() -> Int { clients.reduce(0) { $0 + $1.counter.lines } }
      let (before, cpu, begun) = (events(), ProcessUsage(cluster.coordinator).cpuSeconds, Clocks.boot())
      let job = try BusyJob(cluster, name: "busy-\(number)", pods: size)
      let limit = Clocks.boot() + 300_000_000_000
      while !job.isOver, Clocks.boot() < limit { try cluster.loop.runOnce(timeoutMilliseconds: 20) }
      let used = ProcessUsage(cluster.coordinator).cpuSeconds - cpu
      // What was on its way when the Job ended.
      let expected = try settle(cluster.loop, events)
      let time = Double(Clocks.boot() - begun) / 1e9 - 0.5
      let told = expected - before
      let cut = clients.count { $0.closeReason != nil || $0.counter.answers > 1 }
      let rate = "\(text(Double(size) / job.seconds, 0)) pods/s, coordinator \(text(used, 1)) s of CPU"
      guard isWatched else {
        figures.append(BenchFigure(name: "a Job of \(size) pods, nobody watching", value: rate))
        continue
      }
      figures.append(
        BenchFigure(
          name: "a Job of \(size) pods, \(watchers) watchers of the namespace's \(number == 2 ? "Jobs" : "pods")",
          value: "\(rate); \(told) events told, \(text(Double(told) / time, 0))/s, \(cut) cut off"))
    }
    return figures
  }

  /// Turns until no event has come for half a second.
  private static func settle(_ loop: EventLoop, _ events: () -> Int) throws -> Int {
    var last = events()
    while true {
      try APIRate.turn(loop, seconds: 0.5)
      let now = events()
      if now == last { return now }
      last = now
    }
  }

  /// Memory and processor time of a coordinator with five hundred watchers that have nothing to hear.
  private static func idleCost(_ bench: BenchContext) throws -> [BenchFigure] {
    bench.progress("\(watchers) idle watchers")
    let cluster = try BenchCluster(bench, name: "watchers", agents: 0)
    defer { cluster.stop() }
    let access = try APIAccess(cluster)
    let seconds = bench.size(10, quick: 4)
    try FleetBench.pause(cluster, seconds: 3)
    func use() throws -> Double {
      let before = ProcessUsage(cluster.coordinator).cpuSeconds
      try FleetBench.pause(cluster, seconds: seconds)
      return (ProcessUsage(cluster.coordinator).cpuSeconds - before) * 100 / Double(seconds)
    }
    let quiet = try use()
    let empty = ProcessUsage(cluster.coordinator)
    let clients = try access.connect(watchers, cluster.loop)
    for client in clients { client.send(APIClient.request("GET", "/api/v1/namespaces/default/pods?watch=true")) }
    try APIAccess.turn(cluster.loop, "watches begin") { clients.allSatisfy { $0.counter.code == 200 } }
    // What the handshakes left behind is given back.
    try FleetBench.pause(cluster, seconds: 4)
    let share = try use()
    let full = ProcessUsage(cluster.coordinator)
    return [
      BenchFigure(
        name: "memory of an idle watcher, \(watchers) connected",
        value: "\(text(Double(full.resident - empty.resident) / Double(watchers) / 1024, 1)) KB"),
      BenchFigure(
        name: "processor time of a coordinator with \(watchers) idle watchers",
        value: "\(text(share, 2)) % of a core (\(text(quiet, 2)) % without)", reach: "nothing",
        isMet: share - quiet <= 0.3),
    ]
  }
}
