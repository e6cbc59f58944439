// Owns: what the tests of this target share: a keeper process with its data directory, spoken to as an agent does, and
// waiting for conditions with a deadline.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import NodeAgent

let isRoot = geteuid() == 0

/// The front of a command that runs as another user than root.
let nobody = ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]

/// Asks again every few milliseconds; whether `condition` held before `seconds` were over.
func eventually(seconds: Int64 = 15, _ condition: () -> Bool) -> Bool {
  let end = Clocks.boot() + seconds * 1_000_000_000
  while !condition() {
    if Clocks.boot() > end { return false }
    poll(nil, 0, 5)
  }
  return true
}

/// Runs a program to its end; whether it succeeded.
@discardableResult
func run(_ arguments: String...) throws -> Bool { try run(arguments) }

/// The same, for a list.
func run(_ arguments: [String]) throws -> Bool {
  let child = try Child(Child.Options(path: arguments[0], arguments: arguments, environment: ["PATH=/usr/bin:/bin"]))
  _ = eventually(seconds: 60) { child.reap() != nil }
  return child.status == .exited(code: 0)
}

/// Host ids of the living processes whose command line holds `text`.
func processes(with text: String) -> [Int32] {
  let names = (try? Files.list("/proc")) ?? []
  return names.compactMap { Int32($0) }.filter { pid in
    guard let line = try? Files.read("/proc/\(pid)/cmdline") else { return false }
    return pid != getpid() && String(decoding: line, as: UTF8.self).contains(text)
  }
}

func text(_ path: String) -> String { String(decoding: (try? Files.read(path)) ?? [], as: UTF8.self) }

/// A directory that goes away with its owner.
final class Scratch {
  let path: String

  init(below parent: String = "/tmp") throws {
    path = "\(parent)/stint-node-\(Hexadecimal.text(try Crypto.randomBytes(6)))"
    try Files.makeDirectory(path, mode: 0o755)
    chmod(path, 0o755)
  }

  deinit { try? Files.removeTree(path) }
}

/// How a test's keeper is run.
struct KeeperSetting {
  var arguments: [String] = []
  /// Who pods run as (`--pod-user`).
  var podUser: String?
  var asNobody = false
  var environment = ["PATH=/usr/bin:/bin"]
  /// Before the keeper's own command, for example to take bubblewrap away.
  var wrapper: [String] = []
}

/// A keeper process and this test's connection to it.
final class TestKeeper {
  let scratch: Scratch
  let data: String
  let paths: NodePaths
  let loop: EventLoop
  private let setting: KeeperSetting
  private(set) var child: Child
  private var connection: Connection?
  private var stream = MessageStream(messageLimit: MessageLimits.fromCoordinator)
  private(set) var identity = ""
  private(set) var directory = ""
  private(set) var sweptKeepers: [String] = []
  private(set) var fencesFully = false
  private(set) var detail = ""
  private(set) var concern = ""
  private(set) var limits: LimitAbilities?
  /// What it said of containers, for people.
  private(set) var facts: [PodFact] = []
  /// The latest word of what pods use.
  var usage: [AttemptUsage]?
  private(set) var isInventoryComplete = false
  var reports: [AttemptNumber: AttemptReport] = [:]
  /// What lives as long as the loop.
  var held: [AnyObject] = []

  /// `original`: it begins on a copy of that keeper's directory.
  init(_ setting: KeeperSetting = KeeperSetting(), copyOf original: TestKeeper? = nil) throws {
    scratch = try Scratch()
    self.setting = setting
    data = "\(scratch.path)/data"
    paths = NodePaths(data: data)
    if let original {
      guard try run("/bin/cp", "-a", original.data, data) else {
        throw IOError(operation: "cp -a", subject: original.data, message: "failed")
      }
    } else {
      try Files.makeDirectory(data)
    }
    if setting.asNobody, isRoot { chown(data, 65534, 65534) }
    loop = try EventLoop()
    child = try Self.launch(data, scratch.path, setting)
    try connect()
  }

  deinit {
    connection?.close()
    child.signal(SIGCONT)
    child.signal(SIGKILL)
    _ = eventually { child.reap() != nil }
    _ = try? PodSweep.run(directory: data, timeoutMilliseconds: 10_000)
  }

  private static func launch(_ data: String, _ scratch: String, _ setting: KeeperSetting) throws -> Child {
    // Beside the test bundle, which is what runs. Another user may not reach it there: it gets a copy.
    var program = "\(Files.split(CommandLine.arguments[0]).parent)/NodeHarness"
    if setting.asNobody {
      let copy = "\(scratch)/NodeHarness"
      // Not written by this process: a child that another test has just forked would hold the descriptor (ETXTBSY).
      if !Files.exists(copy) { try run("/bin/cp", "--preserve=mode", program, copy) }
      program = copy
    }
    let user = setting.asNobody && isRoot ? nobody : []
    let line =
      setting.wrapper + user + [program, "keeper", "--data", data] + setting.arguments
      + (setting.podUser.map { ["--pod-user", $0] } ?? [])
    var options = Child.Options(path: line[0], arguments: line, environment: setting.environment)
    let log = open("\(scratch)/keeper.log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    defer { close(log) }
    options.descriptors = [2: log]
    return try Child(options)
  }

  /// Kills the keeper if it still runs, and starts its successor on the same data directory.
  func replace() throws {
    child.signal(SIGKILL)
    #expect(eventually { child.reap() != nil })
    disconnect()
    reports = [:]
    child = try Self.launch(data, scratch.path, setting)
    try connect()
  }

  var isConnected: Bool { connection != nil }

  func disconnect() {
    connection?.onBytes = nil
    connection?.onClose = nil
    connection?.close()
    connection = nil
    _ = try? loop.runOnce(timeoutMilliseconds: 0)
  }

  /// Connects and says hello; waits for the whole inventory.
  func connect() throws {
    isInventoryComplete = false
    stream = MessageStream(messageLimit: MessageLimits.fromCoordinator)
    var isOpen = false
    let end = Clocks.boot() + 20_000_000_000
    while !isOpen, Clocks.boot() < end, child.reap() == nil {
      var isClosed = false
      guard let next = try? Connection.connect(loop: loop, to: .unix(path: paths.keeperSocket), outputLimit: 64 << 20)
      else {
        poll(nil, 0, 5)
        continue
      }
      next.onOpen = { isOpen = true }
      next.onClose = { [unowned self] _ in
        isClosed = true
        connection = nil
      }
      next.onBytes = { [unowned self] in receive($0) }
      _ = wait { isOpen || isClosed }
      if isOpen { connection = next } else { poll(nil, 0, 5) }
    }
    send(.hello(agentVersion: "test"))
    guard wait(until: { isInventoryComplete }) else {
      throw IOError(operation: "connect", subject: data, message: "no keeper: \(text("\(scratch.path)/keeper.log"))")
    }
  }

  private func receive(_ bytes: [UInt8]) {
    stream.append(bytes)
    while let message = try? stream.next() {
      switch try? KeeperReply(json: message) {
      case .hello(let keeper, let mark, let swept, _, let fences, let why):
        identity = keeper
        directory = mark
        sweptKeepers = swept
        fencesFully = fences
        detail = why
      case .reports(let list):
        if list.isEmpty { isInventoryComplete = true }
        for report in list { reports[report.attempt] = report }
      case .concern(let text): concern = text
      case .limits(let abilities): limits = abilities
      case .usage(let pods): usage = pods
      case .events(let words): facts += words
      case .shortened, .proven, .devices, .relief: break
      case nil: Issue.record("not a reply: \(message.text)")
      }
    }
  }

  func send(_ request: KeeperRequest) {
    connection?.send(MessageWriter.frames(request.json))
    _ = try? loop.runOnce(timeoutMilliseconds: 0)
    _ = wait { connection?.pendingOutput ?? 0 == 0 }
  }

  /// Turns the loop until `condition` holds; whether it did before `seconds` were over.
  func wait(seconds: Int64 = 15, until condition: () -> Bool) -> Bool {
    let end = Clocks.boot() + seconds * 1_000_000_000
    while !condition() {
      if Clocks.boot() > end { return false }
      try? loop.runOnce(timeoutMilliseconds: 5)
    }
    return true
  }

  func leaseEnd(in milliseconds: Int64) -> BootTime {
    BootTime(milliseconds: Clocks.boot() / 1_000_000 + milliseconds)
  }

  /// An attempt of this keeper; `tolerationMilliseconds` nil: without limit.
  func assignment(
    _ attempt: AttemptNumber, _ spec: JSON, references: JSONObject = JSONObject(), annotations: StringMap = [:],
    tolerationMilliseconds: Int64? = nil
  ) -> Assignment {
    Assignment(
      attempt: attempt, keeper: identity, session: "s", namespace: "default", podName: "pod-\(attempt)",
      podUID: "uid-\(attempt)", labels: [:], annotations: annotations, spec: PodSpec(json: spec),
      references: references, tolerationMilliseconds: tolerationMilliseconds)
  }

  /// Makes the volumes and the plan as the agent's worker does, and asks for the start. `meanwhile`: what happens
  /// between the two.
  func start(
    _ assignment: Assignment, leaseMilliseconds: Int64 = 60_000, images: [String: PlacedImage] = [:],
    meanwhile: () -> Void = {}
  ) throws {
    var place = testPlace(assignment, paths)
    place.images = images
    if !images.isEmpty { try NetworkFileWriter.write(assignment, address: place.address, paths: paths) }
    place.volumes = try Volumes.make(assignment, paths: paths, place: place, user: try PodUser.named(setting.podUser))
    meanwhile()
    if setting.asNobody, isRoot { try run("/bin/chown", "-R", "65534:65534", paths.pods) }
    send(
      .start(
        assignment.lean, plan: try PodPlanner.plan(assignment, place: place), leaseEnd: leaseEnd(in: leaseMilliseconds))
    )
  }

  /// Starts a pod of one container `main` with a shell script.
  func start(
    _ attempt: AttemptNumber, script: String, leaseMilliseconds: Int64 = 60_000, tolerationMilliseconds: Int64? = nil,
    annotations: StringMap = [:]
  ) throws {
    let spec: JSON = ["restartPolicy": "Never", "containers": [shell("main", script)]]
    try start(
      assignment(attempt, spec, annotations: annotations, tolerationMilliseconds: tolerationMilliseconds),
      leaseMilliseconds: leaseMilliseconds)
  }

  func status(_ attempt: AttemptNumber) -> PodStatus? { reports[attempt]?.status }

  func waitForEnd(_ attempt: AttemptNumber, seconds: Int64 = 20) -> PodStatus? {
    _ = wait(seconds: seconds) { status(attempt)?.phase.isTerminal == true }
    return status(attempt).flatMap { $0.phase.isTerminal ? $0 : nil }
  }

  /// Runs a pod to its end; its status and what its container `main` said.
  func finish(_ assignment: Assignment) throws -> (PodStatus?, String) {
    try start(assignment)
    let status = waitForEnd(assignment.attempt)
    return (status, log(assignment.attempt))
  }

  func log(_ attempt: AttemptNumber, _ container: String = "main", previous: Bool = false) -> String {
    let request = LogRequest(stream: "", attempt: attempt, container: container, previous: previous)
    guard let reader = try? LogReader(request, paths: paths, now: WallTime(nanoseconds: Clocks.now().wall)) else {
      return ""
    }
    return readAll(reader)
  }
}

/// The facts of a node of four processors, without volumes yet.
func testPlace(_ assignment: Assignment, _ paths: NodePaths) -> PodPlace {
  PodPlace(
    node: "node", address: "127.0.0.1", capacity: NodeCapacity(cpuMillicores: 4000, memoryBytes: 8 << 30, pods: 110),
    podDirectory: paths.pod(assignment.attempt), volumes: [:])
}

/// All that a reader has now.
func readAll(_ reader: LogReader) -> String { String(decoding: readBytes(reader), as: UTF8.self) }

func readBytes(_ reader: LogReader) -> [UInt8] {
  var bytes: [UInt8] = []
  while true {
    let next = reader.next()
    bytes += next
    if next.isEmpty || reader.isLimited { return bytes }
  }
}

/// A pod's spec that runs one container once.
func pod(_ container: JSON, volumes: JSON = [], initContainers: JSON = []) -> JSON {
  ["restartPolicy": "Never", "containers": [container], "initContainers": initContainers, "volumes": volumes]
}

/// A container's JSON that runs a shell script.
func shell(_ name: String, _ script: String, mounts: JSON = [], more: JSON = [:]) -> JSON {
  var result: JSON = [
    "name": .string(name), "image": "none", "command": ["/bin/sh", "-c", .string(script)], "volumeMounts": mounts,
  ]
  for (key, value) in more.objectValue ?? JSONObject() { result[key] = value }
  return result
}
