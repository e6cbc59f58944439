// Owns: the measure of a keeper's pods a second: attempts of /bin/true over the unix socket, as an agent asks for them,
// a number of them at once, each acknowledged when its end is told.

import ClusterIO
import ClusterProto
import Glibc
import NodeAgent

/// A client of one keeper process that counts.
final class Rate {
  private let loop: EventLoop
  private let data: String
  private let total: Int64
  private let atOnce: Int64
  private let spec: PodSpec
  private var connection: Connection?
  private var stream = MessageStream(messageLimit: MessageLimits.fromCoordinator)
  private var keeper = ""
  private var started: Int64 = 0
  private var ended: Int64 = 0
  private var failed = 0
  private var began: Int64 = 0

  init(data: String, total: Int64, atOnce: Int64) throws {
    loop = try EventLoop()
    self.data = data
    self.total = total
    self.atOnce = atOnce
    spec = PodSpec(json: [
      "restartPolicy": "Never", "terminationGracePeriodSeconds": 30,
      "containers": [["name": "main", "image": "busybox", "command": ["/bin/true"]]],
    ])
  }

  /// Starts a keeper, measures, ends it, prints.
  func run() throws {
    try Files.makeDirectory(data)
    let child = try Child(
      Child.Options(
        path: "/proc/self/exe", arguments: ["stint", "keeper", "--data", data], environment: ["PATH=/usr/bin:/bin"]))
    let socket = NodePaths(data: data).keeperSocket
    while !Files.exists(socket) { poll(nil, 0, 2) }
    let connection = try Connection.connect(loop: loop, to: .unix(path: socket), outputLimit: 64 << 20)
    self.connection = connection
    connection.onOpen = { [self] in send(.hello(agentVersion: "rate")) }
    connection.onBytes = { [self] in receive($0) }
    try loop.run { ended == total }
    let seconds = Double(Clocks.boot() - began) / 1e9
    let keeperTicks = Self.ticks(child.pid)
    var isOver = false
    try child.watch(loop: loop) { _ in isOver = true }
    send(.shutDown(graceMilliseconds: 0))
    try loop.run { isOver }
    var usage = rusage()
    getrusage(RUSAGE_SELF.rawValue, &usage)
    let microseconds = { (time: timeval) -> Double in Double(time.tv_sec) * 1e6 + Double(time.tv_usec) }
    let own = microseconds(usage.ru_utime) + microseconds(usage.ru_stime)
    let count = Double(total)
    func each(_ ticks: Double) -> Int { Int(ticks * 10_000 / count) }
    let text = """
      \(total) pods, \(atOnce) at once: \(Int(count / seconds)) pods/s; \
      CPU us a pod: keeper \(each(keeperTicks.user)) user + \(each(keeperTicks.system)) system, \
      pods \(each(keeperTicks.children)), this client \(Int(own / count)); \
      \(failed) failed\n
      """
    try Files.writeAll(1, Array(text.utf8), path: "stdout")
  }

  /// Clock ticks (10 ms) of a process and of its reaped children, by proc(5).
  private static func ticks(_ pid: Int32) -> (user: Double, system: Double, children: Double) {
    let text = (try? Files.readLine("/proc/\(pid)/stat")) ?? ""
    let fields = text.split(separator: " ").compactMap { Double($0) }
    // The name and the state are no numbers: utime, field 14, is the twelfth number.
    guard fields.count > 14 else { return (0, 0, 0) }
    return (fields[11], fields[12], fields[13] + fields[14])
  }

  private func send(_ request: KeeperRequest) { connection?.send(MessageWriter.frames(request.json)) }

  private func receive(_ bytes: [UInt8]) {
    stream.append(bytes)
    var over: [AttemptNumber] = []
    while let message = try? stream.next() {
      switch try? KeeperReply(json: message) {
      case .hello(let identity, _, _, _, _, _):
        keeper = identity
        began = Clocks.boot()
      case .reports(let reports):
        for report in reports where report.isTerminal {
          over.append(report.attempt)
          if report.status.phase != .succeeded { failed += 1 }
        }
      case .shortened, .concern, .proven, .limits, .devices, .usage, .events, .relief, nil: break
      }
    }
    ended += Int64(over.count)
    if !over.isEmpty { send(.acknowledge(over)) }
    while !keeper.isEmpty, started < total, started - ended < atOnce { start() }
  }

  private func start() {
    started += 1
    let name = "rate-\(started)"
    let assignment = Assignment(
      attempt: started, keeper: keeper, session: "rate", namespace: "default", podName: name, podUID: name,
      labels: [:], annotations: [:], spec: spec, references: JSONObject(), tolerationMilliseconds: 300_000)
    let container = PodPlan.Container(
      name: "main", image: "busybox", arguments: ["/bin/true"],
      environment: ["HOSTNAME=\(name)", "PATH=/usr/bin:/bin", "STINT_FENCING_TOKEN=\(started)"], workingDirectory: "/",
      mounts: [], isSidecar: false, terminationMessagePath: "/dev/termination-log")
    let plan = PodPlan(
      initContainers: [], containers: [container], restartPolicy: .never, terminationGraceMilliseconds: 30_000,
      activeDeadlineMilliseconds: nil, hostname: name, podDirectory: NodePaths(data: data).pod(started))
    let leaseEnd = BootTime(milliseconds: Clocks.boot() / 1_000_000 + 600_000)
    send(.start(assignment, plan: plan, leaseEnd: leaseEnd))
  }
}
