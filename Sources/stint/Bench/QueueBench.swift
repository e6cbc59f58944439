// Owns: what Jobs that wait in a queue cost the coordinator: whether one of many costs more than one of few. It must
// not know how queues are kept.

import ClusterIO
import ClusterProto
import Glibc

/// Single-pod Jobs in a Queue, with one simulated agent and with many, whose pods succeed at once.
enum QueueBench {
  private static let text = BenchCommand.text
  private static let rounds = 3
  /// Jobs that the queue lets run at once.
  private static let running = 50
  private static let queue = "bench"

  @Sendable static func run(_ bench: BenchContext) throws -> [BenchFigure] {
    try [1, 100].map { try sizes(bench, agents: $0) }
  }

  /// As many Jobs at once as ten times a tenth of them, in turn.
  private static func sizes(_ bench: BenchContext, agents: Int) throws -> BenchFigure {
    let few = bench.size(1_000, quick: 100)
    let many = few * 10
    bench.progress("\(few) and \(many) Jobs in a queue, \(agents) agents, \(rounds) rounds")
    let cluster = try BenchCluster(
      bench, name: "queues-\(agents)", agents: 0, flags: ["--terminated-pod-gc-threshold", "1000000"])
    defer { cluster.stop() }
    let fleet = try SimulatedFleet(cluster, count: agents, pods: 110, work: .succeedsAtOnce)
    defer { fleet.close() }
    let object: JSON = [
      "apiVersion": "stint.dev/v1", "kind": "Queue", "metadata": ["name": .string(queue)],
      "spec": ["limits": ["jobs": "0"]],
    ]
    _ = try cluster.makeClient().send(APIRequest(verb: .create, kind: .queues, body: object))
    // What only a first Job costs is neither's.
    _ = try cost(few, times: 1, cluster, fleet)
    var costs: (few: [Double], many: [Double]) = ([], [])
    for round in 0..<rounds {
      for isMany in round % 2 == 0 ? [false, true] : [true, false] {
        let cost = try cost(isMany ? many : few, times: isMany ? 1 : 10, cluster, fleet)
        if isMany { costs.many.append(cost) } else { costs.few.append(cost) }
      }
    }
    guard fleet.closed == 0 else { throw CommandError("error: \(fleet.closed) simulated agents lost their session") }
    let ratio = Spread(of: costs.many, over: costs.few)
    return BenchFigure(
      name: "a Job of \(many) that wait in a queue beside one of \(few), \(agents) agent\(agents == 1 ? "" : "s")",
      value:
        "\(text(Spread(costs.many).median, 3)) and \(text(Spread(costs.few).median, 3)) ms of the coordinator's "
        + "CPU: ratio \(text(ratio.median, 2)) (\(text(ratio.least, 2))-\(text(ratio.most, 2)))",
      reach: "<= 1.2", isMet: ratio.median <= 1.2)
  }

  /// Milliseconds of the coordinator's CPU for a Job, of so many that wait at once, so often; then they are deleted.
  private static func cost(
    _ jobs: Int, times: Int, _ cluster: BenchCluster, _ fleet: SimulatedFleet
  ) throws -> Double {
    let client = cluster.makeClient()
    let before = ProcessUsage.exactSeconds(cluster.coordinator)
    for time in 0..<times {
      // All wait before the first may run, however fast they come.
      try admit(0, client)
      for number in 0..<jobs {
        var job = BenchManifest.job("job-\(time)-\(number)", token: false)
        job[path: ["metadata", "annotations"]] = ["stint.dev/queue": .string(queue)]
        _ = try client.send(BenchManifest.create(job))
      }
      guard try counts(client).waiting == jobs else { throw CommandError("error: not all Jobs wait in the queue") }
      try admit(running, client)
      try end(cluster, client, fleet)
    }
    let cost = (ProcessUsage.exactSeconds(cluster.coordinator) - before) * 1_000 / Double(jobs * times)
    try clear(cluster, client, jobs: jobs * times)
    return cost
  }

  private static func admit(_ jobs: Int, _ client: Cluster) throws {
    var request = APIRequest(
      verb: .patch, kind: .queues, name: queue, body: ["spec": ["limits": ["jobs": .string(String(jobs))]]])
    request.options.patchKind = .merge
    _ = try client.send(request)
  }

  private static func counts(_ client: Cluster) throws -> (waiting: Int, running: Int) {
    let status = try client.send(APIRequest(verb: .get, kind: .queues, name: queue)).object["status"]
    return (Int(clamping: status?["waiting"]?.intValue ?? -1), Int(clamping: status?["running"]?.intValue ?? -1))
  }

  /// Waits until the queue is empty. It is asked for its counts: a list of all Jobs would be most of what is measured.
  private static func end(_ cluster: BenchCluster, _ client: Cluster, _ fleet: SimulatedFleet) throws {
    let limit = Clocks.boot() + 600_000_000_000
    while true {
      let left = try counts(client)
      if left == (0, 0) { return }
      guard fleet.closed == 0 else { throw CommandError("error: \(fleet.closed) simulated agents lost their session") }
      guard Clocks.boot() < limit else {
        throw CommandError("error: \(left.waiting) Jobs wait in the queue and \(left.running) run, after ten minutes")
      }
      try FleetBench.pause(cluster, milliseconds: 50)
    }
  }

  /// Sees that all Jobs are Complete, deletes them and waits until they and their pods are gone.
  private static func clear(_ cluster: BenchCluster, _ client: Cluster, jobs: Int) throws {
    var page = APIRequest(verb: .list, kind: .jobs, namespace: "default")
    // Agents live in this thread: while it reads many Jobs at once, they are silent and lose their session.
    page.options.limit = 250
    var complete = 0
    repeat {
      let list = try client.send(page).object
      complete += (list["items"]?.arrayValue ?? []).count { BenchManifest.finished($0)?.complete == true }
      page.options.continueToken = list[path: ["metadata", "continue"]]?.stringValue
      try FleetBench.pause(cluster, milliseconds: 10)
    } while page.options.continueToken?.isEmpty == false
    guard complete == jobs else { throw CommandError("error: \(complete) of \(jobs) Jobs are Complete") }
    var request = APIRequest(verb: .deletecollection, kind: .jobs, namespace: "default")
    request.options.propagationPolicy = "Background"
    _ = try client.send(request)
    let limit = Clocks.boot() + 600_000_000_000
    func isLeft(_ kind: Kind) throws -> Bool {
      var list = APIRequest(verb: .list, kind: kind, namespace: "default")
      list.options.limit = 1
      return try client.send(list).object["items"]?.arrayValue?.isEmpty == false
    }
    while try isLeft(.jobs) || isLeft(.pods) {
      guard Clocks.boot() < limit else { throw CommandError("error: ended Jobs are not deleted") }
      try FleetBench.pause(cluster, milliseconds: 200)
    }
    // What the deletion left to do is not the next round's.
    try FleetBench.pause(cluster, seconds: 1)
  }
}
