// Owns: what the word of roles costs a GET: a user with one binding among a thousand beside the administrator, and
// beside a build that may not know roles. It must not know how roles are looked at.

import ClusterIO
import ClusterProto
import Coordinator
import Glibc

/// Processor time of the coordinator for an authorised GET.
enum AccessBench {
  private static let text = BenchCommand.text
  private static let job = "/apis/batch/v1/namespaces/default/jobs/read"
  private static let connections = 16
  private static let user = "reader"

  /// Who asks whom, with what that cost each time.
  private final class Asker {
    let cluster: BenchCluster
    let clients: [APIClient]
    private(set) var microseconds: [Double] = []

    init(_ cluster: BenchCluster, _ context: TLSContext, _ address: SocketAddress) throws {
      self.cluster = cluster
      clients = try (0..<connections).map { _ in try APIClient(cluster.loop, address, context) }
      let clients = clients
      for client in clients { client.send(APIClient.request("GET", "/readyz")) }
      try APIAccess.turn(cluster.loop, "connections are answered") { clients.allSatisfy { $0.counter.answers > 0 } }
    }

    func measure(seconds: Double) throws {
      let rate = try APIRate(
        cluster.loop, clients, request: APIClient.request("GET", job), seconds: seconds,
        cpu: { ProcessUsage.exactSeconds(cluster.coordinator) })
      microseconds.append(rate.cpuSeconds * 1e6)
      // The last round's requests are answered, so that they are not part of the next asker's.
      try APIRate.turn(cluster.loop, seconds: 0.05)
    }
  }

  @Sendable static func run(_ bench: BenchContext) throws -> [BenchFigure] {
    let bindings = bench.size(1_000, quick: 100)
    bench.progress("GETs with \(bindings) bindings")
    FleetBench.raiseDescriptorLimit()
    let cluster = try BenchCluster(bench, name: "access", agents: 0)
    defer { cluster.stop() }
    let access = try APIAccess(cluster)
    try fill(cluster, access, bindings: bindings)
    // Whom nobody has made is refused, whoever has signed for him.
    let identity = try UserCommand.make(user, cluster.makeClient()).identity
    let reader = try Asker(
      cluster, try TLSContext(client: identity, authority: access.pki.authority.certificate), access.address)
    let administrator = try Asker(cluster, access.context, access.address)
    var askers = [reader, administrator]
    var foreign: BenchCluster?
    defer { foreign?.stop() }
    if let program = bench.beside {
      let other = try BenchCluster(bench, name: "other", agents: 0, program: program, isForeign: true)
      foreign = other
      let access = try APIAccess(other)
      try fill(other, access, bindings: 0)
      askers.append(try Asker(other, access.context, access.address))
    }
    for round in 0..<bench.rounds * 2 {
      for asker in round % 2 == 0 ? askers : askers.reversed() { try asker.measure(seconds: bench.isQuick ? 0.5 : 1) }
    }
    return [("the administrator's", administrator)].map {
      figure(bindings, reader, $0, $1, most: nil)
    }
      + askers.dropFirst(2).map { figure(bindings, reader, "the other build's", $0, most: 1.05) }
  }

  private static func figure(
    _ bindings: Int, _ reader: Asker, _ whose: String, _ other: Asker, most: Double?
  ) -> BenchFigure {
    let ratio = Spread(of: reader.microseconds, over: other.microseconds)
    return BenchFigure(
      name: "GET of one Job by a user's role, \(bindings) bindings, beside \(whose)",
      value:
        "\(text(Spread(reader.microseconds).median, 1)) and \(text(Spread(other.microseconds).median, 1)) us of CPU: "
        + "\(text(ratio.median * 100, 1)) % "
        + "(\(text(ratio.least * 100, 1))-\(text(ratio.most * 100, 1)), \(ratio.count) rounds)",
      reach: most.map { "<= \(text($0 * 100, 0)) %" } ?? "", isMet: most.map { ratio.median <= $0 })
  }

  /// The Job that is read, and bindings, half of the namespace and half of the cluster; the reader's is one of them.
  private static func fill(_ cluster: BenchCluster, _ access: APIAccess, bindings: Int) throws {
    let client = try access.connect(1, cluster.loop)[0]
    func create(_ path: String, _ object: JSON) throws {
      let before = client.counter.answers
      client.send(APIClient.request("POST", path, body: object.bytes))
      try APIAccess.turn(cluster.loop, "POST \(path) is answered") {
        client.counter.answers > before || client.closeReason != nil
      }
      guard client.counter.code == 201 else {
        throw CommandError("error: POST \(path) was answered \(client.counter.code)")
      }
    }
    try create("/apis/batch/v1/namespaces/default/jobs", BenchManifest.job("read"))
    let group = "/apis/rbac.authorization.k8s.io/v1"
    for number in 0..<bindings {
      let isOfCluster = number % 2 == 1
      let kind = isOfCluster ? "ClusterRoleBinding" : "RoleBinding"
      let isReaders = number == bindings / 2
      try create(
        isOfCluster ? "\(group)/clusterrolebindings" : "\(group)/namespaces/default/rolebindings",
        [
          "apiVersion": "rbac.authorization.k8s.io/v1", "kind": .string(kind),
          "metadata": ["name": .string("bench-\(number)")],
          "roleRef": ["apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"],
          "subjects": [
            [
              "kind": "User", "apiGroup": "rbac.authorization.k8s.io",
              "name": .string(isReaders ? user : "user-\(number)"),
            ]
          ],
        ])
    }
  }
}
