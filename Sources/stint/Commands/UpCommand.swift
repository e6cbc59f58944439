// Owns: `up`: a coordinator and agents as children of this process, from start to an end that leaves nothing behind.
// It must not know what they do: they are this program with other words, and their cluster is asked as any client asks.

import CLinux
import ClusterIO
import ClusterProto
import CoordinatorCore
import Glibc
import NodeAgent

/// `stint up`.
final class UpCommand {
  private struct Member {
    let name: String
    let arguments: [String]
    /// The agent's data directory; nil for the coordinator.
    let data: String?
    var child: Child?
    /// What nobody else holds while it runs.
    let lock: String
    /// Where in its log this start's lines begin.
    var logStart = 0
    var pacer = RestartPacer(startedAt: 0)
    /// Starts it again.
    var timer: LoopTimer?
  }

  private enum Stage { case starting, running, stopping, forced }

  private let console: Console
  private let environment: [String: String]
  private let loop: EventLoop
  private let data: String
  private let server: String
  private let count: Int
  private let overcommit: Bool
  private let restarts: Bool
  /// Nobody sees what it prints but in its log.
  private var isDetached = false
  /// Of every agent.
  private var agentSettings: [String] = []
  private var members: [Member] = []
  private var stage = Stage.starting
  private var failed = false
  private var kubeconfig: String { "\(data)/coordinator/admin.kubeconfig" }
  private static let readyPatience: Int64 = 60_000_000_000
  private static let coordinatorPatience: Int64 = 15_000_000_000
  /// The grace that an agent gives its pods when it ends, and some more.
  private static let agentPatience: Int64 = 45_000_000_000
  /// Until a process that was killed is gone. One that waits for a disk may never be.
  private static let killPatience: Int64 = 5_000_000_000
  /// Nodes of an earlier start with more agents.
  private var leftNodes: Set<String> = []

  @Sendable static func run(_ context: Context) throws -> Int32 {
    let arguments = context.arguments
    let count = arguments.integer("agents") ?? 3
    let listen = arguments.value("listen") ?? Endpoint.defaultServer
    guard let address = SocketAddress(parsing: listen) else {
      throw arguments.problem("--listen: \"\(listen)\" is not HOST:PORT")
    }
    if case .tcp(_, 0) = address { throw arguments.problem("--listen: give a port other than 0") }
    guard address.isLoopback else {
      throw arguments.problem("--listen: \"\(listen)\": only loopback addresses until connections are encrypted")
    }
    // What the coordinator would refuse is refused here, before anything starts.
    var timing = CoordinatorConfiguration()
    try ServeCommand.setTiming(&timing, arguments)
    if let api = arguments.value("api"), SocketAddress(parsing: api) == nil {
      throw arguments.problem("--api: \"\(api)\" is not HOST:PORT")
    }
    let data = ServeCommand.absolute(arguments.value("data") ?? Endpoint.dataDirectory(context.environment))
    let passed = CommandTable.timing.map(\.name) + ["api"]
    let settings = passed.flatMap { name in arguments.value(name).map { ["--\(name)", $0] } ?? [] }
    if arguments.isOn(DetachCommand.flag) {
      var words = arguments.command.flags.filter { ![DetachCommand.flag, "data"].contains($0.name) }.flatMap { flag in
        arguments.values(flag.name).map { "--\(flag.name)=\($0)" }
      }
      words.append("--data=\(data)")
      return try DetachCommand.run(data: data, words: words, context: context)
    }
    let console = Console.standard(environment: context.environment, survivesBrokenPipe: true)
    var environment = context.environment
    let isDetached = environment.removeValue(forKey: DetachCommand.variable) != nil
    let command = UpCommand(
      console: console, environment: environment, loop: try EventLoop(), data: data, server: listen,
      count: Int(count), overcommit: arguments.isOn("overcommit"), restarts: arguments.isOn("restart", byDefault: true))
    command.isDetached = isDetached
    if let limit = arguments.value("log-limit") { command.agentSettings = ["--log-limit", limit] }
    if let images = arguments.value("images") { command.agentSettings += ["--images", images] }
    return try command.run(settings, address)
  }

  private init(
    console: Console, environment: [String: String], loop: EventLoop, data: String, server: String, count: Int,
    overcommit: Bool, restarts: Bool
  ) {
    self.console = console
    self.environment = environment
    self.loop = loop
    self.data = data
    self.server = server
    self.count = count
    self.overcommit = overcommit
    self.restarts = restarts
  }

  /// What is told to people stays right when the coordinator writes its own anew.
  private func linkKubeconfig() throws(IOError) {
    let (path, temporary) = ("\(data)/kubeconfig", "\(data)/kubeconfig.new")
    unlink(temporary)
    guard symlink("coordinator/admin.kubeconfig", temporary) == 0 else { throw IOError.last("symlink", temporary) }
    guard rename(temporary, path) == 0 else { throw IOError.last("rename", path) }
  }

  private func run(_ settings: [String], _ address: SocketAddress) throws -> Int32 {
    let lock = try claim(address)
    defer { lock.release() }
    // Of one that was killed.
    unlink(UpRecord.file(data))
    // What loses its parent below us becomes our child: a keeper whose agent was killed does not escape.
    stint_become_subreaper()
    let signals = try Signals(loop: loop, [SIGINT, SIGTERM, SIGHUP]) { [unowned self] _ in stopAsked() }
    defer { withExtendedLifetime(signals) {} }
    console.line("starting a coordinator and \(count) agent\(count == 1 ? "" : "s"); state and logs in \(data)")
    do {
      try start(
        Member(
          name: "coordinator",
          arguments: ["coordinator", "--data", "\(data)/coordinator", "--listen", server] + settings, data: nil,
          lock: coordinatorLock))
      let share = UpShare.flags(
        agents: count, overcommit: overcommit, try MachineFacts.read(fallbackMachineID: ""))
      for number in 1...count {
        let directory = "\(data)/agents/node-\(number)"
        try start(
          Member(
            name: "node-\(number)",
            arguments: [
              "agent", "--coordinator", server, "--name", "node-\(number)", "--data", directory, "--authority",
              "\(data)/coordinator",
            ] + share + agentSettings, data: directory, lock: NodePaths(data: directory).agentLock))
      }
      if try waitUntilReady() {
        try linkKubeconfig()
        let nodes = members.filter { $0.data != nil }.map(\.name)
        try UpRecord.own(server: server, nodes: nodes, isDetached: isDetached).write(data)
        greet(nodes)
      }
      try loop.run(until: { [unowned self] in stage != .running && stage != .starting })
    } catch {
      _ = Stint.report(error, console)
      failed = true
    }
    try stop()
    unlink(UpRecord.file(data))
    return failed ? 1 : 0
  }

  // Starting.

  /// Holds the data directory and knows that the address is free; a refusal leaves nothing behind.
  private func claim(_ address: SocketAddress) throws -> FileLock {
    let directories = UpDirectories(data: data)
    var held: FileLock?
    do {
      try Files.makeDirectory("\(data)/logs")
      do throws(IOError) {
        held = try FileLock(path: "\(data)/up.lock")
      } catch {
        throw CommandError(
          "error: a cluster runs on \(data) already (\(error.message)); stop it, or give another --data")
      }
      try takeOver()
      try checkFree(address)
      guard let held else { throw CommandError("error: \(data)/up.lock is not held") }
      return held
    } catch {
      directories.undo()
      held?.release()
      throw error
    }
  }

  private var coordinatorLock: String { "\(data)/coordinator/lock" }

  /// An `up` that was killed left its programs running: coordinator and agents make room for ours. Keepers and pods go
  /// on, and our agents adopt them; those of nodes that we do not have end.
  private func takeOver() throws {
    let nodes = (try? Files.list("\(data)/agents")) ?? []
    let locks = [coordinatorLock] + nodes.map { NodePaths(data: "\(data)/agents/\($0)").agentLock }
    let left = locks.filter { AgentStop.end($0, by: SIGTERM) }
    if !left.isEmpty { console.note("taking over what a cluster on \(data) left when it was killed") }
    for path in left where !AgentStop.waitUntilFree(path) {
      throw CommandError("error: the program that holds \(path) does not end; see \(data)/logs")
    }
    let quiet = Console(out: { _ in }, err: { _ in })
    let wanted = Set((1...count).map { "node-\($0)" })
    for node in nodes where !wanted.contains(node) {
      _ = try AgentStop.run(data: "\(data)/agents/\(node)", console: quiet)
    }
  }

  /// Says it before anything is started: the coordinator would only log it, and our agents would meet a stranger.
  private func checkFree(_ address: SocketAddress) throws {
    do {
      try Listener(loop: loop, at: address) { $0.close() }.close()
    } catch {
      throw CommandError(
        "error: \(error); if another cluster or program has that address, stop it, or give another --listen")
    }
  }

  private func start(_ member: Member) throws {
    members.append(member)
    try launch(members.count - 1)
  }

  private func launch(_ position: Int) throws {
    let member = members[position]
    if let directory = member.data { try Files.makeDirectory(directory) }
    let path = logPath(member.name)
    let log = try Files.openToWrite(path, O_WRONLY | O_CREAT | O_APPEND)
    defer { close(log) }
    members[position].logStart = Int(lseek(log, 0, SEEK_END))
    var options = Child.Options(
      path: "/proc/self/exe", arguments: ["stint"] + member.arguments,
      environment: environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" })
    options.descriptors = [1: log, 2: log]
    let child = try Child(options)
    members[position].child = child
    members[position].pacer.started(at: Clocks.boot())
    try child.watch(loop: loop) { [unowned self] status in ended(position, status) }
  }

  private func logPath(_ name: String) -> String { "\(data)/logs/\(name).log" }

  private func ended(_ position: Int, _ status: ProcessExit) {
    members[position].child = nil
    let member = members[position]
    guard stage == .starting || stage == .running else { return }
    console.note("\(member.name) ended (\(status)); its log: \(logPath(member.name))")
    for line in lastWords(member, status) { console.note("  \(line)") }
    if stage == .starting {
      failed = true
      stage = .stopping
      return
    }
    if restarts, let pause = members[position].pacer.ended(at: Clocks.boot()) {
      console.note("starting \(member.name) again in \(pause / 1_000_000_000) s")
      let timer = loop.makeTimer { [unowned self] in restart(position) }
      timer.arm(at: Clocks.boot() + pause)
      members[position].timer = timer
      return
    }
    let command = (["stint"] + member.arguments).joined(separator: " ")
    console.note(
      member.data == nil
        ? "Pods go on running. Start it again in another terminal: \(command)"
        : "Its pods go on under their keeper, or elsewhere once they are proven dead. Start it again: \(command)")
  }

  private func restart(_ position: Int) {
    members[position].timer = nil
    let member = members[position]
    guard stage == .running, member.child == nil else { return }
    if AgentStop.holder(of: member.lock) != nil {
      return console.note("\(member.name) runs already: somebody started it")
    }
    do {
      try launch(position)
      console.note("\(member.name) is started again")
    } catch {
      console.note("\(member.name) cannot be started again: \(error)")
    }
  }

  /// Why it ended, as it wrote in its log since this start; one that a signal ended did not get to say it.
  private func lastWords(_ member: Member, _ status: ProcessExit) -> [Substring] {
    guard case .exited = status, let bytes = try? Files.read(logPath(member.name)) else { return [] }
    return String(decoding: bytes.dropFirst(member.logStart), as: UTF8.self).split(separator: "\n").suffix(3)
  }

  /// True when every node is Ready; false when it was stopped before.
  private func waitUntilReady() throws -> Bool {
    let quiet = Console(out: { _ in }, err: { _ in })
    let cluster = NativeClient.makeCluster(
      Endpoint(server: server, kubeconfig: kubeconfig), quiet, loop: loop, awaitsKubeconfig: true)
    let deadline = Clocks.boot() + UpCommand.readyPatience
    var ready: Set<String> = []
    var request = APIRequest(verb: .watch, kind: .nodes)
    request.options.resourceVersion = "0"
    let wanted = Set(members.filter { $0.data != nil }.map(\.name))
    // Tells, too, that whoever answers is of our authority: another program on the port would not.
    _ = try cluster.watch(
      request, deadline: deadline, tick: { [unowned self] in stage == .starting ? .more : .enough }, relist: { "0" }
    ) { _, node in
      let name = node[path: ["metadata", "name"]]?.stringValue ?? ""
      let isReady = (node[path: ["status", "conditions"]]?.arrayValue ?? []).contains {
        $0["type"]?.stringValue == "Ready" && $0["status"]?.stringValue == "True"
      }
      if isReady, wanted.contains(name) { ready.insert(name) } else { ready.remove(name) }
      return ready == wanted ? .enough : .more
    }
    guard stage == .starting else { return false }
    if ready != wanted {
      guard Files.exists("\(data)/coordinator/coordinator.json") else {
        throw CommandError(
          "error: the coordinator did not begin to serve within a minute; see \(logPath("coordinator"))")
      }
      let missing = wanted.subtracting(ready).sorted().joined(separator: ", ")
      console.note("not Ready after a minute: \(missing); see \(data)/logs. Going on without.")
    }
    for node in try cluster.list(.nodes, "")["items"]?.arrayValue ?? [] {
      let name = node[path: ["metadata", "name"]]?.stringValue ?? ""
      if !wanted.contains(name), Files.exists("\(data)/agents/\(name)") { leftNodes.insert(name) }
    }
    stage = .running
    return true
  }

  private func greet(_ nodes: [String]) {
    func bold(_ text: String) -> String { console.colours ? Colour.bold(text) : text }
    console.line(
      """
      \(bold("The cluster is up:")) coordinator at \(server), nodes \(nodes.joined(separator: ", ")).
      To talk to it from another terminal:

        export KUBECONFIG=\(data)/kubeconfig
        stint get nodes        # or: kubectl get nodes

      \(isDetached ? "`stint down`" : "Ctrl-C") stops everything.
      """)
    for node in leftNodes.sorted() {
      console.note("\(node) is of an earlier start with more agents. To forget it: stint delete node \(node)")
    }
  }

  // Stopping.

  private func stopAsked() {
    switch stage {
    case .starting, .running:
      stage = .stopping
      console.line("stopping: pods, agents, coordinator (Ctrl-C again: at once)")
    case .stopping:
      stage = .forced
      console.line("stopping at once")
    case .forced: break
    }
    loop.requestTurn()
  }

  private func stop() throws {
    // Agents with their keepers and pods first: the coordinator still takes their last reports.
    var stoppers: [Child] = []
    var pending = 0
    for member in members {
      guard let directory = member.data, stage != .forced else { continue }
      let options = Child.Options(
        path: "/proc/self/exe", arguments: ["stint", "agent", "--stop", "--data", directory], environment: [])
      guard let stopper = try? Child(options) else { continue }
      pending += 1
      try stopper.watch(loop: loop) { _ in pending -= 1 }
      stoppers.append(stopper)
    }
    let agentsRun = { [unowned self] in members.contains { $0.data != nil && $0.child != nil } }
    let patience = loop.makeTimer { [unowned self] in endSlowAgents(stoppers) }
    patience.arm(at: Clocks.boot() + UpCommand.agentPatience)
    try loop.run(until: { [unowned self] in stage == .forced || (pending == 0 && !agentsRun()) })
    patience.arm(at: nil)
    if let coordinator = members.first(where: { $0.data == nil })?.child {
      coordinator.signal(SIGTERM)
    } else {
      // One that was started again by hand.
      _ = AgentStop.end(coordinatorLock, by: SIGTERM)
    }
    let limit = loop.makeTimer { [unowned self] in
      console.note("the coordinator does not end by itself; ending it")
      stage = .forced
    }
    limit.arm(at: Clocks.boot() + UpCommand.coordinatorPatience)
    try loop.run(until: { [unowned self] in stage == .forced || members.allSatisfy { $0.child == nil } })
    limit.arm(at: nil)
    for member in members { member.child?.signal(SIGKILL) }
    var isOver = false
    let killed = loop.makeTimer { isOver = true }
    killed.arm(at: Clocks.boot() + UpCommand.killPatience)
    try loop.run(until: { [unowned self] in isOver || members.allSatisfy { $0.child == nil } })
    killed.arm(at: nil)
    for member in members {
      guard let child = member.child else { continue }
      console.note(
        "\(member.name) (process \(child.pid)) is killed, but waits in the kernel, for a disk perhaps; leaving it")
      failed = true
    }
    if stage != .forced, !AgentStop.waitUntilFree(coordinatorLock) { failed = true }
    for stopper in stoppers { stopper.signal(SIGKILL) }
    UpCommand.endOrphans(until: Clocks.boot() + UpCommand.killPatience)
    console.line("stopped; Jobs and history stay in \(data)")
  }

  /// Agents that do not end: one is stopped, or waits for a disk. What holds their pods is killed, which ends those.
  private func endSlowAgents(_ stoppers: [Child]) {
    for member in members {
      guard let directory = member.data else { continue }
      let keeperLock = NodePaths(data: directory).keeperLock
      guard member.child != nil || AgentStop.holder(of: keeperLock) != nil else { continue }
      console.note("\(member.name) does not end by itself; killing it, with its pods; its log: \(logPath(member.name))")
      member.child?.signal(SIGKILL)
      _ = AgentStop.end(keeperLock, by: SIGKILL)
    }
    for stopper in stoppers { stopper.signal(SIGKILL) }
  }

  /// Ends what is left below this process: a keeper whose agent was killed, and with it its pods (K4).
  private static func endOrphans(until limit: Int64) {
    while Clocks.boot() < limit {
      let text = (try? Files.readLine("/proc/self/task/\(getpid())/children")) ?? ""
      let children = text.split(separator: " ").compactMap { Int32($0) }
      if children.isEmpty { return }
      for pid in children { kill(pid, SIGKILL) }
      // Not waiting for one alone: it may wait for a disk.
      while waitpid(-1, nil, WNOHANG) > 0 {}
      poll(nil, 0, 10)
    }
  }
}
