// Owns: a cluster on several machines: the coordinator on one, an agent on each node, the client on one of its own.
// It must not know what tests do to the machines.

import ClusterIO
import ClusterProto

final class MachineCluster {
  static let nodes = ["alpha", "beta", "gamma"]
  static let head = "alpha"
  static let client = "laptop"

  let machines: Machines
  private let isIPv6: Bool
  private let timing: [String]
  private let images: ImageMode
  private var runs = 0

  var ledger: Ledger { Ledger(path: "\(machines.shared)/ledger/signs") }

  /// Runs `body` with a cluster whose nodes are all Ready, and ends it.
  /// `images`: whether nodes run them. `prepare`: what the machines need before it begins.
  static func with(
    isIPv6: Bool = false, timing: [String] = TestCluster.quick, images: ImageMode = .off,
    prepare: (MachineCluster) throws -> Void = { _ in }, _ body: (MachineCluster) throws -> Void
  ) throws {
    let cluster = MachineCluster(try Machines(nodes + [client]), isIPv6: isIPv6, timing: timing, images: images)
    defer { cluster.machines.end() }
    do {
      try prepare(cluster)
      try cluster.startCoordinator()
      for node in nodes { try cluster.startAgent(node) }
      for node in nodes { try cluster.waitForReady(node) }
      try body(cluster)
    } catch {
      throw Failure("\(error)\n\(cluster.machines.story())")
    }
  }

  private init(_ machines: Machines, isIPv6: Bool, timing: [String], images: ImageMode) {
    self.images = images
    self.machines = machines
    self.isIPv6 = isIPv6
    self.timing = timing
  }

  /// By which the machines speak.
  func address(_ name: String) -> String { isIPv6 ? machines.address6(name) : machines.address(name) }

  func startCoordinator() throws {
    try Files.makeDirectory("\(machines.shared)/ledger")
    _ = try machines.start(
      on: Self.head, ["stint", "coordinator", "--data", "/var/lib/stint", "--listen", address(Self.head)] + timing,
      log: "coordinator")
    let directory = machines.path(Self.head, "/var/lib/stint")
    try eventually("the coordinator serves") { Files.exists("\(directory)/coordinator.json") }
    try eventually("its kubeconfig is there") { Files.exists("\(directory)/admin.kubeconfig") }
    // Stands for carrying an identity to each machine.
    for name in ["pki/authority.pem", "admin.kubeconfig"] {
      try Files.makeDirectory(Files.split("\(machines.shared)/coordinator/\(name)").parent)
      try Files.writeAtomically("\(machines.shared)/coordinator/\(name)", Files.read("\(directory)/\(name)"))
    }
  }

  /// Starts the agent of a machine, which takes its name from the machine.
  func startAgent(_ node: String) throws {
    let coordinator = SocketAddress.tcp(host: address(Self.head), port: 7420).description
    _ = try machines.start(
      on: node,
      [
        "stint", "agent", "--coordinator", coordinator, "--data", "/var/lib/stint-agent", "--authority",
        "/mnt/shared/coordinator", "--cpu", "64", "--memory", "64Gi", "--images", images.rawValue,
      ], log: "agent-\(node)")
  }

  // The client.

  /// Runs the client on its own machine.
  func stint(_ words: [String], line: UInt = #line) throws -> (status: Int32, text: String) {
    runs += 1
    let program = try machines.start(
      on: Self.client, ["stint"] + words + ["--kubeconfig", "/mnt/shared/coordinator/admin.kubeconfig"],
      log: "client-\(runs)")
    return (try program.end(within: 90, line: line), program.text)
  }

  @discardableResult
  func must(_ words: String..., line: UInt = #line) throws -> String {
    let result = try stint(words, line: line)
    try check(result.status == 0, "stint \(words.joined(separator: " ")): \(result.text)", line: line)
    return result.text
  }

  func apply(_ name: String, pods: Int64, _ work: Work) throws {
    let job = work.job(
      name, completions: pods, parallelism: pods, ledger: "/mnt/shared/ledger",
      mark: "STINT_TEST_DIRECTORY=\(machines.directory)")
    try Files.writeAtomically("\(machines.shared)/\(name).json", job.bytes)
    try must("apply", "-f", "/mnt/shared/\(name).json")
  }

  func object(_ kind: String, _ name: String) throws -> JSON {
    try JSON(parsing: Array(try must("get", kind, name, "-o", "json").utf8))
  }

  /// The pods of a Job.
  func pods(of job: String) throws -> [JSON] {
    try JSON(parsing: Array(try must("get", "pods", "-l", "job-name=\(job)", "-o", "json").utf8))["items"]?.arrayValue
      ?? []
  }

  /// Whether the client is told so; false, too, while it gets no answer.
  func isReady(_ node: String) throws -> Bool {
    let list = try stint(["get", "nodes", "--no-headers"])
    let lines = list.text.split(separator: "\n").map { $0.split(separator: " ") }
    return list.status == 0 && lines.contains { $0.count > 1 && $0[0] == node && $0[1] == "Ready" }
  }

  func waitForReady(_ node: String) throws {
    try eventually("\(node) is Ready", seconds: 60, every: 200) { try isReady(node) }
  }
}
