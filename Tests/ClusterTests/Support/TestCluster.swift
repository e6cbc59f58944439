// Owns: a cluster of real processes in a temporary directory: coordinator, agents with their keepers, a client.
// Whatever a test does to them, `end` leaves no process, control group or file of it.

import ClusterIO
import ClusterProto
import Glibc
import NodeAgent
import Synchronization

@testable import stint

final class TestCluster {
  /// Short leases: for tests that need no defaults. A lost node is replaced after about 1.05 × 4 + 2 s.
  static let quick = [
    "--heartbeat-interval", "200ms", "--lease-duration", "1500ms", "--default-unreachable-toleration", "2s",
  ]

  let directory: String
  let server: String
  private let port: HeldPort
  private let timing: [String]
  private(set) var coordinator: Program?
  private(set) var agents: [String: Program] = [:]
  private let loop: EventLoop
  private let client: Cluster
  private var runs = 0

  var kubeconfig: String { "\(directory)/coordinator/admin.kubeconfig" }
  var ledgerPath: String { "\(directory)/ledger/signs" }
  var ledger: Ledger { Ledger(path: ledgerPath) }
  /// In the environment of each pod.
  var mark: String { "STINT_TEST_DIRECTORY=\(directory)" }

  /// Runs `body` with a cluster of Ready nodes node-1 … node-N, and ends it.
  static func with(
    agents: Int = 2, timing: [String] = TestCluster.quick, _ body: (TestCluster) throws -> Void
  ) throws {
    let cluster = try TestCluster(timing: timing)
    defer { cluster.end() }
    do {
      try cluster.startCoordinator()
      for number in 1...max(1, agents) where agents > 0 { try cluster.startAgent("node-\(number)") }
      try cluster.waitForNodes(agents)
      try body(cluster)
    } catch {
      throw Failure("\(error)\n\(cluster.story())")
    }
  }

  init(timing: [String]) throws {
    directory = "/tmp/stint-cluster-\(getpid())-\(Hexadecimal.text(try Crypto.randomBytes(5)))"
    self.timing = timing
    for name in ["ledger", "logs"] { try Files.makeDirectory("\(directory)/\(name)") }
    port = try HeldPort()
    server = "127.0.0.1:\(port.number)"
    loop = try EventLoop()
    client = NativeClient.makeCluster(
      Endpoint(server: server, kubeconfig: "\(directory)/coordinator/admin.kubeconfig"),
      Console(out: { _ in }, err: { _ in }), loop: loop, awaitsKubeconfig: true)
  }

  // Programs.

  /// `shell`: what a shell does before it becomes the coordinator, such as setting limits.
  func startCoordinator(_ more: [String] = [], shell: String? = nil) throws {
    let words = ["coordinator", "--data", "\(directory)/coordinator", "--listen", server] + timing + more
    let output = "\(directory)/logs/coordinator"
    if let shell {
      coordinator = try Program(
        ["-c", "\(shell); exec \"$0\" \"$@\"", Processes.program] + words, path: "/bin/bash", output: output)
    } else {
      coordinator = try Program(words, output: output)
    }
  }

  func killCoordinator(_ signal: Int32 = SIGKILL) throws { try coordinator?.killAndReap(signal) }

  func dataDirectory(_ node: String) -> String { "\(directory)/agents/\(node)" }

  /// `user`: a command that runs the program as somebody else, who has an identity in the data directory (`issue`).
  func startAgent(_ node: String, _ more: [String] = [], as user: [String] = []) throws {
    let data = dataDirectory(node)
    let authority = user.isEmpty ? ["--authority", "\(directory)/coordinator"] : []
    agents[node] = try agent(node, data: data, authority + more, wrapper: user, log: node)
  }

  /// Gives `node`'s agent the identity that it has no authority at hand for.
  func issue(_ node: String) throws {
    try eventually("the authority is there") { Files.exists(kubeconfig) }
    try Identity.issue(node: node, coordinator: "\(directory)/coordinator")
      .write(directory: NodePaths(data: dataDirectory(node)).identity)
  }

  /// An agent that bears `node`'s name on another directory. `wrapper`: a command that ends by executing its arguments.
  func startDouble(of node: String, data: String, wrapper: [String] = []) throws {
    let log = "\(node)-double"
    agents[log] = try agent(
      node, data: data, ["--authority", "\(directory)/coordinator"], wrapper: wrapper + [Processes.program], log: log)
  }

  /// `wrapper`: what is executed, and words before the program's own; empty: the program itself.
  private func agent(
    _ node: String, data: String, _ more: [String], wrapper: [String], log: String
  ) throws -> Program {
    // Most tests name images that need not be there.
    let images = more.contains("--images") ? [] : ["--images", "off"]
    return try Program(
      wrapper.dropFirst() + [
        "agent", "--coordinator", server, "--name", node, "--data", data, "--cpu", "64", "--memory", "64Gi",
      ] + images + more, path: wrapper.first ?? Processes.program, output: "\(directory)/logs/\(log)")
  }

  /// Makes a join token; what no log of the test shows.
  func token(_ words: String..., line: UInt = #line) throws -> String {
    let result = try stint(["token", "create", "-o", "json"] + words)
    let log = "\(directory)/logs/client-\(runs)"
    defer { unlink(log) }
    try check(result.status == 0, "token create: \(result.text)", line: line)
    let json = result.text.drop { $0 != "{" }
    return try found(try JSON(parsing: Array(json.utf8))["token"]?.stringValue, "token", line: line)
  }

  /// Starts the agent of a machine that has no other way in than a token; empty: it has joined.
  /// `hosts`: a file by which its machine knows names instead of its own, as root only.
  @discardableResult
  func join(
    _ node: String, _ token: String, data: String? = nil, environment: [String] = [], more: [String] = [],
    hosts: String? = nil
  ) throws -> Program {
    runs += 1
    let log = "\(Files.split(node).name)-\(runs)"
    var words =
      ["agent", "--name", node, "--data", data ?? dataDirectory(node), "--cpu", "64", "--memory", "64Gi"]
      + (token.isEmpty ? [] : ["--join", token]) + more
    if let hosts {
      let script = "mount --bind \"$1\" /etc/hosts && shift && exec \"$@\""
      words = ["-m", "sh", "-c", script, "sh", hosts, Processes.program] + words
    }
    let program = try Program(
      words, path: hosts == nil ? Processes.program : "/usr/bin/unshare", environment: environment,
      output: "\(directory)/logs/\(log)")
    agents[log] = program
    return program
  }

  func killAgent(_ node: String, _ signal: Int32 = SIGKILL) throws { try agents[node]?.killAndReap(signal) }

  func keeper(of node: String) throws -> ProcessIdentity {
    guard let pid = Int32((try? Files.readLine("\(dataDirectory(node))/keeper.lock")) ?? ""),
      let process = Processes.identity(pid)
    else { throw Failure("no keeper of \(node)") }
    return process
  }

  // The client.

  /// Runs the real client; its exit status and all that it printed.
  @discardableResult
  func stint(_ words: String..., within seconds: Int64 = 60) throws -> (status: Int32, text: String) {
    try stint(words, within: seconds)
  }

  func stint(
    _ words: [String], within seconds: Int64 = 60, in folder: String? = nil
  ) throws -> (status: Int32, text: String) {
    runs += 1
    let program = try Program(
      words, environment: ["STINT_SERVER=\(server)", "KUBECONFIG=\(kubeconfig)"],
      output: "\(directory)/logs/client-\(runs)", directory: folder)
    let status = try program.end(within: seconds)
    return (status, program.text)
  }

  /// Starts the real client and does not wait for it.
  func begin(_ words: String...) throws -> Program {
    runs += 1
    return try Program(
      words, environment: ["STINT_SERVER=\(server)", "KUBECONFIG=\(kubeconfig)"],
      output: "\(directory)/logs/client-\(runs)")
  }

  /// The same, which must succeed.
  func must(_ words: String..., within seconds: Int64 = 60, line: UInt = #line) throws {
    let result = try stint(words, within: seconds)
    try check(result.status == 0, "stint \(words.joined(separator: " ")): \(result)", line: line)
  }

  func apply(_ objects: JSON..., line: UInt = #line) throws {
    runs += 1
    let path = "\(directory)/manifest-\(runs).yaml"
    try Files.writeAtomically(path, Array(objects.map(\.text).joined(separator: "\n---\n").utf8))
    let result = try stint("apply", "-f", path)
    try check(result.status == 0, "apply: \(result)", line: line)
  }

  func job(_ name: String) throws -> JSON { try client.get(.jobs, "default", name) }

  func status(_ name: String, _ field: String) throws -> Int64 {
    try job(name)[path: ["status", field]]?.intValue ?? 0
  }

  func isComplete(_ name: String) throws -> Bool {
    (try job(name)[path: ["status", "conditions"]]?.arrayValue ?? []).contains {
      $0["type"]?.stringValue == "Complete" && $0["status"]?.stringValue == "True"
    }
  }

  func pods(of job: String? = nil) throws -> [JSON] {
    try client.list(.pods, "default", labels: job.map { "job-name=\($0)" })["items"]?.arrayValue ?? []
  }

  func nodes() throws -> [JSON] { try client.list(.nodes, "")["items"]?.arrayValue ?? [] }

  func events(_ reason: String) throws -> [String] {
    (try client.list(.events, "default")["items"]?.arrayValue ?? []).filter { $0["reason"]?.stringValue == reason }
      .map { $0["message"]?.stringValue ?? "" }
  }

  func pod(_ name: String) throws -> JSON { try client.get(.pods, "default", name) }

  /// Adds a container to a pod that is there.
  func add(_ container: JSON, to pod: String) throws {
    var options = APIOptions()
    options.patchKind = .strategic
    _ = try client.send(
      APIRequest(
        verb: .patch, kind: .pods, namespace: "default", name: pod, subresource: "ephemeralcontainers",
        options: options, body: ["spec": ["ephemeralContainers": [container]]]))
  }

  func isReady(_ node: String) throws -> Bool {
    try nodes().contains { item in
      item[path: ["metadata", "name"]]?.stringValue == node
        && (item[path: ["status", "conditions"]]?.arrayValue ?? []).contains {
          $0["type"]?.stringValue == "Ready" && $0["status"]?.stringValue == "True"
        }
    }
  }

  func waitForNodes(_ count: Int) throws {
    try eventually("the kubeconfig is there", seconds: 30) { Files.exists(kubeconfig) }
    try eventually("\(count) nodes are Ready", seconds: 60, every: 100) {
      try (1...max(1, count)).allSatisfy { count == 0 ? true : try isReady("node-\($0)") }
    }
  }

  // The end.

  /// What logs say, for a failure's message.
  func story() -> String {
    let names = ((try? Files.list("\(directory)/logs")) ?? []).filter { !$0.hasPrefix("client") }
    let logs = names.map { "\(directory)/logs/\($0)" } + agents.keys.sorted().map { "\(dataDirectory($0))/keeper.log" }
    return logs.map { path in
      let text = String(decoding: (try? Files.read(path)) ?? [], as: UTF8.self)
      return "-- \(path)\n" + text.split(separator: "\n").suffix(12).joined(separator: "\n")
    }.joined(separator: "\n")
  }

  func end() {
    var left = Processes.mentioning(directory)
    let limit = Clocks.boot() + 20_000_000_000
    while !left.isEmpty, Clocks.boot() < limit {
      for process in left { kill(process.pid, SIGKILL) }
      poll(nil, 0, 10)
      _ = coordinator?.isRunning
      for agent in agents.values { _ = agent.isRunning }
      left = Processes.mentioning(directory)
    }
    removeControlGroups()
    try? Files.removeTree(directory)
  }

  /// Control groups of all keepers that the nodes have had, as far as they exist.
  func controlGroups() -> [String] {
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].flatMap { controlGroups(in: $0) }
  }

  /// The same in one hierarchy.
  func controlGroups(in parent: String) -> [String] {
    let keepers = ((try? Files.list("\(directory)/agents")) ?? []).flatMap { node in
      let register = (try? Files.read("\(dataDirectory(node))/keepers")).flatMap { try? JSON(parsing: $0) }
      return (register?["keepers"]?.arrayValue ?? []).compactMap { $0["keeper"]?.stringValue?.prefix(12) }
    }
    return ((try? Files.list(parent)) ?? []).filter { name in
      keepers.contains { name.hasPrefix("stint-\($0).") }
    }.map { "\(parent)/\($0)" }
  }

  /// What killed keepers leave: nobody succeeds them any more.
  private func removeControlGroups() {
    for path in controlGroups() {
      for inner in (try? Files.list(path)) ?? [] { rmdir("\(path)/\(inner)") }
      rmdir(path)
    }
  }
}
