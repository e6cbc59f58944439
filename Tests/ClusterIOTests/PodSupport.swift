// Owns: what the pod tests share: one pod with its reports collected, and the harness process that plays keeper.

import ClusterIO
import Glibc
import Testing

let isRoot = geteuid() == 0
let bubblewrapPath = "/usr/bin/bwrap"

/// The front of a command that runs as another user than root.
let nobody = ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]

/// Whether bubblewrap can make a user namespace here without root.
let hasRootless: Bool = {
  let command = (isRoot ? nobody : []) + [bubblewrapPath, "--unshare-user", "--dev-bind", "/", "/", "/bin/true"]
  let child = try? Child(Child.Options(path: command[0], arguments: command, environment: []))
  return eventually { child?.reap() != nil } && child?.status == .exited(code: 0)
}()

/// Every way this user has to make a pod's namespaces.
let isolations: [PodProcess.Isolation] =
  (isRoot ? [.namespaces] : []) + (hasRootless ? [.bubblewrap(program: bubblewrapPath)] : [])

/// A copy that is executable, made by another process: one that this process wrote could not be executed while a child
/// that another test has just forked still holds the descriptor (ETXTBSY).
func copyProgram(_ program: String, to copy: String) throws {
  let words = ["cp", "--preserve=mode", program, copy]
  let child = try Child(Child.Options(path: "/bin/cp", arguments: words, environment: []))
  #expect(eventually { child.reap() != nil } && child.status == .exited(code: 0))
}

/// A pod whose reports are kept; it is killed with its owner.
final class TestPod {
  let loop: EventLoop
  let pod: PodProcess
  let scratch: Scratch
  var started: [Int: Int32] = [:]
  var exits: [Int: ProcessExit] = [:]
  var failures: [Int: PodProcess.StartFailure] = [:]
  var frozen: Bool?
  var gone: PodProcess.Gone?

  /// Its own deadline; far away unless said.
  let deadline: PodDeadline

  init(
    isolation: PodProcess.Isolation = .namespaces, cgroup: PodCgroup? = nil, marker: PodMarker? = nil,
    until: Int64 = Int64.max
  ) throws {
    scratch = try Scratch()
    loop = try EventLoop()
    deadline = try DeadlineTable().take(until: until)
    var options = PodProcess.Options(isolation: isolation, deadline: deadline)
    options.cgroup = cgroup
    options.marker = marker
    pod = try PodProcess(loop: loop, options: options)
    pod.onStarted = { [unowned self] in started[$0] = $1 }
    pod.onExited = { [unowned self] in exits[$0] = $1 }
    pod.onStartFailed = { [unowned self] in failures[$0] = $1 }
    pod.onFrozen = { [unowned self] in frozen = $0 }
    pod.onGone = { [unowned self] in gone = $0 }
  }

  deinit {
    guard gone == nil else { return }
    pod.onStarted = nil
    pod.onExited = nil
    pod.onStartFailed = nil
    pod.onFrozen = nil
    var isGone = false
    pod.onGone = { _ in isGone = true }
    pod.kill()
    _ = try? turn(loop) { isGone }
  }

  /// Kills the pod and waits for its end.
  func end() throws {
    pod.kill()
    _ = try turn(loop) { gone != nil }
  }

  /// Starts a shell script in a slot with both streams to the file `output`.
  func start(_ script: String, slot: Int = 0, mounts: [MountOperation] = [], user: UInt32? = nil) throws {
    var plan = ContainerPlan(arguments: ["/bin/sh", "-c", script], environment: ["PATH=/usr/bin:/bin"])
    plan.mounts = mounts
    plan.userID = user
    plan.groupID = user
    try start(plan, slot: slot)
  }

  func start(_ plan: ContainerPlan, slot: Int = 0) throws {
    let output = open("\(scratch.path)/out\(slot)", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o666)
    try pod.startContainer(slot: slot, plan, output: output, errors: fcntl(output, F_DUPFD_CLOEXEC, 3))
  }

  /// Runs a script to its end; its exit and its output.
  func run(_ script: String, mounts: [MountOperation] = [], user: UInt32? = nil) throws -> (ProcessExit?, String) {
    try start(script, mounts: mounts, user: user)
    _ = try turn(loop) { exits[0] != nil || failures[0] != nil || gone != nil }
    return (exits.removeValue(forKey: 0), output())
  }

  func output(slot: Int = 0) -> String {
    String(decoding: (try? Files.read("\(scratch.path)/out\(slot)")) ?? [], as: UTF8.self)
  }

  /// Waits until a script has written `text`.
  func waitFor(_ text: String, slot: Int = 0) throws -> Bool { try turn(loop) { output(slot: slot).contains(text) } }
}

/// The harness in another process, as keeper of one pod. The pod's processes hold the write end of a pipe: its end of
/// stream proves that the keeper and every one of them are dead.
final class HarnessKeeper {
  let child: Child
  private let pipe: Int32
  private(set) var text = ""

  convenience init(
    isolation: String = "clone", marker: String, deathMilliseconds: Int = 0, asNobody: Bool = false, command: [String]
  ) throws {
    try self.init(
      scratch: marker, asNobody: asNobody, arguments: ["hold", isolation, marker, "\(deathMilliseconds)"] + command)
  }

  /// Any command of the harness; another user gets a copy of it in `scratch`. `front`: a command that executes it.
  init(scratch: String, asNobody dropsRoot: Bool, arguments: [String], front: [String] = []) throws {
    var ends: [Int32] = [-1, -1]
    guard Glibc.pipe(&ends) == 0 else { throw IOError.last("pipe") }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    pipe = ends[0]
    _ = fcntl(pipe, F_SETFL, O_NONBLOCK)
    defer { close(ends[1]) }
    // Beside the test bundle, which is what runs. Another user may not reach it there: it gets a copy.
    var program = "\(Files.split(CommandLine.arguments[0]).parent)/PodHarness"
    if dropsRoot {
      let copy = "\(scratch)/PodHarness"
      if !Files.exists(copy) { try copyProgram(program, to: copy) }
      program = copy
    }
    let line = front + (dropsRoot && isRoot ? nobody : []) + [program] + arguments
    var options = Child.Options(
      path: line[0], arguments: line, environment: front.isEmpty ? [] : ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"])
    options.descriptors = [1: ends[1], 2: ends[1]]
    child = try Child(options)
  }

  deinit {
    child.signal(SIGKILL)
    _ = eventually { child.reap() != nil }
    close(pipe)
  }

  /// Reads what is there; whether the stream has ended.
  func ended() -> Bool {
    var bytes = [UInt8](repeating: 0, count: 4096)
    while true {
      let size = read(pipe, &bytes, bytes.count)
      if size <= 0 { return size == 0 }
      text += String(decoding: bytes.prefix(size), as: UTF8.self)
    }
  }

  func says(_ wanted: String) -> Bool { eventually { ended() || text.contains(wanted) } && text.contains(wanted) }
}
