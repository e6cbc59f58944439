// Owns: a cluster to measure: this program's own `up` or `coordinator` as children in a directory of their own.
// It must not know what is measured.

import ClusterIO
import ClusterProto
import Coordinator
import Glibc
import NodeAgent

/// A running coordinator, with agents or without.
final class BenchCluster {
  let server: String
  let loop: EventLoop
  let kubeconfig: String
  /// The coordinator's data directory.
  let coordinatorData: String
  private let data: String
  private let agentCount: Int
  private let words: [String]
  private let program: String
  private let isForeign: Bool
  private var child: Child?
  private let bench: BenchContext

  /// Starts it and waits until it answers and all its nodes are Ready. No agents: a coordinator alone.
  ///
  /// `isForeign`: the program is another build, whose native protocol may be another; it is asked by HTTPS alone.
  init(
    _ bench: BenchContext, name: String, agents: Int, flags: [String] = [], program: String? = nil,
    isForeign: Bool = false
  ) throws {
    self.program = program ?? bench.program
    self.isForeign = isForeign
    self.bench = bench
    loop = try EventLoop()
    data = "\(bench.directory)/\(name)"
    agentCount = agents
    let probe = try Listener(loop: loop, at: .tcp(host: "127.0.0.1", port: 0)) { _ in }
    server = probe.address.description
    probe.close()
    coordinatorData = agents > 0 ? "\(data)/coordinator" : data
    kubeconfig = "\(coordinatorData)/admin.kubeconfig"
    words =
      (agents > 0 ? ["up", "--agents", String(agents), "--overcommit"] : ["coordinator"]) + [
        "--data", data, "--listen", server,
      ] + flags
    try Files.makeDirectory(data)
    do {
      try start()
    } catch {
      // It must not run on over data that goes with the bench's directory.
      stop()
      throw error
    }
  }

  /// Starts it (again); returns once the first request was answered and every node is Ready.
  func start() throws {
    let log = open("\(data)/log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard log >= 0 else { throw IOError.last("open", "\(data)/log") }
    defer { close(log) }
    var options = Child.Options(
      path: program, arguments: ["stint"] + words,
      environment: bench.environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" })
    options.descriptors = [1: log, 2: log]
    // In our session, so that Ctrl-C reaches it too.
    options.newSession = false
    child = try Child(options)
    let limit = Clocks.boot() + 60_000_000_000
    while !Files.exists(isForeign ? "\(coordinatorData)/coordinator.json" : kubeconfig) {
      guard Clocks.boot() < limit, child?.reap() == nil else { throw failure("does not start") }
      poll(nil, 0, 2)
    }
    if isForeign {
      // Its requests wait in the listener's queue until it serves.
      _ = try APIAccess(self).connect(1, loop)
      return
    }
    let client = makeClient()
    while true {
      guard child?.reap() == nil else { throw failure("ended") }
      let items = try client.list(.nodes, "", connectBy: limit)["items"]?.arrayValue ?? []
      if items.count(where: BenchCluster.isReady) >= agentCount { return }
      guard Clocks.boot() < limit else { throw failure("has no Ready nodes") }
      poll(nil, 0, 20)
    }
  }

  static func isReady(_ node: JSON) -> Bool {
    (node[path: ["status", "conditions"]]?.arrayValue ?? []).contains {
      $0["type"]?.stringValue == "Ready" && $0["status"]?.stringValue == "True"
    }
  }

  /// What went wrong, with the end of each log of the cluster: the directory is deleted when the bench ends.
  private func failure(_ what: String) -> CommandError {
    let logs = ((try? Files.list("\(data)/logs")) ?? []).sorted().map { "\(data)/logs/\($0)" }
    let ends = (["\(data)/log"] + logs).map { path in
      let lines = String(decoding: Files.readEnd(path, limit: 2_000) ?? [], as: UTF8.self).split(separator: "\n")
      let name = path.split(separator: "/").last ?? ""
      return "\(name): " + (lines.isEmpty ? "nothing was written" : "\n  " + lines.suffix(8).joined(separator: "\n  "))
    }
    return CommandError("error: the measured cluster \(what)\n" + ends.joined(separator: "\n"))
  }

  /// A client of its own connection, on the cluster's one loop.
  func makeClient() -> Cluster { NativeClient.makeCluster(endpoint, quiet, loop: loop) }

  /// The way into pods of the default namespace, over a control connection of its own.
  func makePodEntry() -> PodEntry { PodEntry(endpoint, quiet, namespace: "default", loop: loop) }

  private var endpoint: Endpoint { Endpoint(server: server, kubeconfig: kubeconfig) }
  private var quiet: Console { Console(out: { _ in }, err: { _ in }) }

  /// The coordinator's process.
  var coordinator: Int32 {
    if agentCount == 0 { return child?.pid ?? 0 }
    return AgentStop.holder(of: "\(data)/coordinator/lock") ?? 0
  }

  /// The data directory of each agent.
  var agentData: [String] { agentCount > 0 ? (1...agentCount).map { "\(data)/agents/node-\($0)" } : [] }

  /// Agent and keeper of each node.
  var agents: [[Int32]] {
    agentData.map { data in
      let paths = NodePaths(data: data)
      return [paths.agentLock, paths.keeperLock].compactMap { AgentStop.holder(of: $0) }
    }
  }

  /// What its processes have used so far: the coordinator, then agent and keeper of each node.
  func usage() -> [ProcessUsage] { ([coordinator] + agents.flatMap { $0 }).map { ProcessUsage($0) } }

  /// Processor seconds of coordinator, agents, keepers and ended pods so far.
  func cpuSeconds() -> Double {
    usage().reduce(0) { $0 + $1.totalSeconds }
  }

  /// The coordinator's database file.
  var database: String { "\(coordinatorData)/stint.db" }

  /// Ends it as Ctrl-C would and waits for that; again it does nothing.
  func stop() {
    guard let child else { return }
    var waits = pollfd(fd: child.descriptor, events: Int16(POLLIN), revents: 0)
    // The second asks `up` to end its programs at once: one that is killed leaves them running.
    for (number, milliseconds) in [(SIGTERM, Int32(60_000)), (SIGTERM, 15_000), (SIGKILL, -1)] {
      child.signal(number)
      if poll(&waits, 1, milliseconds) > 0 { break }
    }
    _ = child.reap()
    self.child = nil
  }
}

/// The manifests that are measured.
enum BenchManifest {
  /// A Job of `/bin/true` (or another command), of the host or an image; its pods get the usual token, or `token` says
  /// that they do not.
  static func job(
    _ name: String, completions: Int = 1, parallelism: Int = 1, command: [String] = ["/bin/true"], token: Bool = true,
    image: String = "host"
  ) -> JSON {
    var pod: JSON = [
      "restartPolicy": "Never",
      "containers": [
        ["name": "main", "image": .string(image), "command": .array(command.map { .string($0) })]
      ],
    ]
    if !token { pod["automountServiceAccountToken"] = false }
    return [
      "apiVersion": "batch/v1", "kind": "Job", "metadata": ["name": .string(name)],
      "spec": [
        "completions": .int(Int64(completions)), "parallelism": .int(Int64(parallelism)),
        "template": ["spec": pod],
      ],
    ]
  }

  static func create(_ job: JSON) -> APIRequest {
    APIRequest(verb: .create, kind: .jobs, namespace: "default", body: job)
  }

  /// The name of a Job object that is over, with whether it is Complete.
  static func finished(_ object: JSON) -> (name: String, complete: Bool)? {
    guard let name = object[path: ["metadata", "name"]]?.stringValue else { return nil }
    for condition in object[path: ["status", "conditions"]]?.arrayValue ?? []
    where condition["status"]?.stringValue == "True" {
      switch condition["type"]?.stringValue {
      case "Complete": return (name, true)
      case "Failed": return (name, false)
      default: break
      }
    }
    return nil
  }
}
