// Watches over HTTPS while the coordinator is killed and started again in the middle of a Job: each watcher goes on
// from the last event that it saw, and its copy of the cluster is the cluster.

import ClusterIO
import ClusterProto
import HTTPTestSupport
import Testing

@Suite("Watches go on when the coordinator was killed")
struct WatchResumptionTests {
  private static let namespace = "/api/v1/namespaces/default"
  private static let paths = [
    "\(namespace)/pods", "/api/v1/pods", "/apis/batch/v1/jobs", "\(namespace)/configmaps", "\(namespace)/secrets",
    "/api/v1/nodes", "/apis/batch/v1/namespaces/default/jobs?fieldSelector=metadata.name%3Dbusy",
    "\(namespace)/pods?labelSelector=job-name%3Dbusy", "\(namespace)/pods?fieldSelector=status.phase%3DRunning",
    "\(namespace)/events",
  ]
  /// Nothing of these is deleted, and no selector looks at what changes: they never begin anew.
  private static let steady = 7

  /// Turns the watchers' loop and keeps them going.
  private final class Audience {
    let loop: EventLoop
    let informers: [Informer]
    private let cluster: TestCluster
    private var api: KubernetesAPI?
    private var reader: (kills: Int, client: HTTPTestClient)?
    /// Lists of the pods that were read on the way: how many kills before, at which version, and what they say.
    private(set) var snapshots: [(kills: Int, version: Int64, pods: [String: Int64])] = []
    private(set) var kills = 0

    init(_ cluster: TestCluster) throws {
      self.cluster = cluster
      loop = try EventLoop()
      informers = WatchResumptionTests.paths.map { [loop] path in Informer(path, loop) }
      api = try KubernetesAPI(cluster)
    }

    /// Waits until all watch the coordinator of the moment.
    func gather() throws {
      try eventually("all watch", seconds: 60, every: 1) {
        try turn()
        return informers.allSatisfy { $0.isWatching(coordinator: kills) }
      }
    }

    /// Whether a list of pods was read from the coordinator of the moment whose version the watcher has passed.
    var hasSnapshot: Bool {
      let reached = informers.first?.reached[kills] ?? 0
      return snapshots.contains { $0.kills == kills && $0.version <= reached }
    }

    func kill() throws {
      api = nil
      try cluster.killCoordinator()
      kills += 1
      try cluster.startCoordinator()
    }

    func turn() throws {
      try loop.runOnce(timeoutMilliseconds: 5)
      if api == nil { api = try? KubernetesAPI(cluster) }
      for informer in informers { try informer.advance(api, coordinator: kills) }
      try look()
    }

    /// Reads lists beside the watches, one after the other.
    private func look() throws {
      if let (kills, client) = reader {
        if let answer = client.takeAnswer() {
          let version = answer.json[path: ["metadata", "resourceVersion"]]?.stringValue.flatMap { Int64($0) } ?? 0
          snapshots.append((kills, version, Informer.versions(answer.json)))
          client.connection.close()
        } else if !client.isClosed {
          return
        }
        reader = nil
      }
      guard let api, let client = try? HTTPTestClient(loop, api.address, api.context) else { return }
      client.connection.send(HTTPTestClient.request("GET", "\(WatchResumptionTests.namespace)/pods"))
      reader = (kills, client)
    }

    func fresh(_ path: String) throws -> [String: Int64] {
      let api = try KubernetesAPI(cluster)
      let client = try HTTPTestClient(loop, api.address, api.context)
      client.connection.send(HTTPTestClient.request("GET", path))
      var answer: HTTPTestAnswer?
      try eventually("a list comes", every: 1) {
        try turn()
        answer = client.takeAnswer()
        return answer != nil
      }
      client.connection.close()
      return Informer.versions(answer?.json ?? .null)
    }
  }

  @Test("kill -9 twice during a Job of 400 pods: no copy has a gap, nothing is told twice, quiet kinds never relist")
  func killed() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 2) { cluster in
        try eventually("the API is served") { (try? KubernetesAPI(cluster)) != nil }
        let audience = try Audience(cluster)
        // The Job stands still until all watch, however long that takes; then it is busy when the kill comes.
        let go = "\(cluster.directory)/ledger/go"
        let work = Work.script("until [ -e /ledger/go ]; do sleep 0.05; done\nsleep 0.2\nsign end\n")
        try cluster.apply(cluster.manifest("busy", completions: 400, parallelism: 30, work))
        for goal in [80, 200] {
          try audience.gather()
          try Files.writeAtomically(go, [])
          try eventually("\(goal) pods ended and were seen", seconds: 60, every: 1) {
            try audience.turn()
            return cluster.ledger.ended >= goal && audience.hasSnapshot
          }
          try check(cluster.ledger.ended < 400, "the Job was over before the kill")
          try audience.kill()
          try Files.removeTree(go)
        }
        try audience.gather()
        try Files.writeAtomically(go, [])
        try eventually("the Job is complete", seconds: 120, every: 1) {
          for _ in 0..<20 { try audience.turn() }
          return try cluster.status("busy", "succeeded") == 400
        }
        try Self.checkCopies(audience)
      }
    }
  }

  private static func checkCopies(_ audience: Audience) throws {
    for informer in audience.informers {
      var list: [String: Int64] = [:]
      // Nodes are still written to now and then.
      let difference = {
        "(\(informer.lists) lists, \(informer.resumptions) watches, \(informer.copy.count) objects of \(list.count))"
      }
      try eventually("the copy of \(informer.path) is the list", every: 1, seen: difference) {
        list = try audience.fresh(informer.path)
        for _ in 0..<10 { try audience.turn() }
        return informer.copy == list
      }
      try check(informer.resumptions >= 3, "\(informer.path) went on \(informer.resumptions) times")
    }
    for informer in audience.informers.prefix(steady) {
      try checkEqual(informer.lists, 1, "lists of \(informer.path)")
    }
    // What was read on the way is what the watcher had at that version, where no kill lies in between.
    let pods = try found(audience.informers.first, "informer")
    var compared = [0, 0, 0]
    for (kills, version, list) in audience.snapshots {
      if kills < audience.kills, version > pods.reached[kills] ?? 0 { continue }
      try checkEqual(pods.copy(at: version), list, "the pods at version \(version) after \(kills) kills")
      compared[min(kills, 2)] += 1
    }
    try check(compared.allSatisfy { $0 > 0 }, "compared \(compared) lists")
    let events = audience.informers.map { "\($0.path): \($0.lists) lists, \($0.events.count) events" }
    print("coordinator killed twice under watchers; compared \(compared) lists\n" + events.joined(separator: "\n"))
  }
}
