// Owns: a keeper in miniature. `hold` keeps one pod until it is killed, `sweep` ends such pods as a successor would;
// `rate` measures how fast pods start and end.
// It must not know the cluster: it stands on ClusterIO alone.

import CLinux
import ClusterIO
import Glibc

@main
struct Harness {
  static func main() {
    do {
      let arguments = Array(CommandLine.arguments.dropFirst())
      if let first = arguments.first, first.hasPrefix("hold"), arguments.count >= 5 {
        return try hold(Array(arguments.dropFirst()), isMirrored: first == "hold-mirrored")
      }
      if arguments.first == "rate", arguments.count == 4 { return try rate(Array(arguments.dropFirst())) }
      if arguments.first == "sweep", arguments.count == 2 {
        let dead = try PodSweep.run(directory: arguments[1], timeoutMilliseconds: 10_000)
        return try Files.writeAll(1, Array("swept \(dead.killed.map(\.pid))\n".utf8), path: "stdout")
      }
      complain(
        "usage: PodHarness hold|hold-mirrored clone|bwrap DIRECTORY DEATH-MS COMMAND... | sweep DIRECTORY"
          + " | rate clone|cgroup|bwrap|spawn PODS AT-ONCE")
    } catch {
      complain("\(error)")
    }
  }

  private static func complain(_ text: String) {
    try? Files.writeAll(2, Array("PodHarness: \(text)\n".utf8), path: "stderr")
    exit(1)
  }

  private static func isolation(_ name: String) -> PodProcess.Isolation {
    name == "bwrap" ? .bubblewrap(program: "/usr/bin/bwrap") : .namespaces
  }

  /// Runs a command in a pod (mirrored: in a root of its own) with our standard output, says `ready PID`
  /// there, and never ends by itself.
  private static func hold(_ arguments: [String], isMirrored: Bool) throws {
    let loop = try EventLoop()
    let deadline = try DeadlineTable().take(until: Int64.max)
    var options = PodProcess.Options(isolation: isolation(arguments[0]), deadline: deadline)
    options.marker = try PodMarker(directory: arguments[1])
    let pod = try PodProcess(loop: loop, options: options)
    pod.onStartFailed = { _, failure in complain(failure.description) }
    pod.onGone = { gone in complain("the pod is gone: \(gone)") }
    pod.onStarted = { _, _ in
      try? Files.writeAll(1, Array("ready \(pod.identity?.pid ?? 0)\n".utf8), path: "stdout")
    }
    var plan = ContainerPlan(arguments: Array(arguments[3...]), environment: ["PATH=/usr/bin:/bin"])
    if isMirrored {
      let root = "\(arguments[1])/root"
      try Files.makeDirectory(root)
      plan.mounts = [.mirror(source: "/", destination: root), .newRoot(path: root), .pivot]
    }
    try pod.startContainer(slot: 0, plan, output: fcntl(1, F_DUPFD_CLOEXEC, 3), errors: fcntl(2, F_DUPFD_CLOEXEC, 3))
    if let milliseconds = Int64(arguments[2]), milliseconds > 0 {
      guard stint_death_timer_arm(Clocks.boot() + milliseconds * 1_000_000) == 0 else {
        throw IOError.last("timer_create")
      }
    }
    try loop.run { false }
  }

  /// Starts pods with one container of /bin/true each, a number of them at once, and prints the rate.
  private static func rate(_ arguments: [String]) throws {
    let loop = try EventLoop()
    let table = try DeadlineTable()
    let pool = arguments[0] == "cgroup" ? try CgroupPool(name: "stint-rate-\(getpid())") : nil
    let total = Int(arguments[1]) ?? 1
    let atOnce = Int(arguments[2]) ?? 1
    var started = 0
    var gone = 0
    var failures = 0
    let null = open("/dev/null", O_RDWR | O_CLOEXEC)
    /// The yardstick: a bare posix_spawn and reap of the same program.
    func spawn() throws {
      let child = try Child(Child.Options(path: "/bin/true", arguments: ["true"], environment: []))
      try child.watch(loop: loop) { exit in
        gone += 1
        if exit != .exited(code: 0) { failures += 1 }
      }
    }
    func start() throws {
      started += 1
      if arguments[0] == "spawn" { return try spawn() }
      var options = PodProcess.Options(
        isolation: isolation(arguments[0]), deadline: try table.take(until: Int64.max))
      options.cgroup = try pool?.take()
      let pod = try PodProcess(loop: loop, options: options)
      pod.onExited = { [unowned pod] _, exit in
        if exit != .exited(code: 0) { failures += 1 }
        pod.finish()
      }
      pod.onStartFailed = { _, failure in complain(failure.description) }
      pod.onGone = { [cgroup = pod.cgroup] _ in
        gone += 1
        if let cgroup { pool?.giveBack(cgroup) }
      }
      try pod.startContainer(
        slot: 0, ContainerPlan(arguments: ["/bin/true"]), output: fcntl(null, F_DUPFD_CLOEXEC, 3),
        errors: fcntl(null, F_DUPFD_CLOEXEC, 3))
    }
    let begin = Clocks.boot()
    while gone < total {
      while started < total, started - gone < atOnce { try start() }
      try loop.runOnce(timeoutMilliseconds: -1)
    }
    let seconds = Double(Clocks.boot() - begin) / 1e9
    pool?.remove()
    var own = rusage()
    var children = rusage()
    getrusage(RUSAGE_SELF.rawValue, &own)
    getrusage(RUSAGE_CHILDREN.rawValue, &children)
    func cpu(_ usage: rusage) -> Double {
      Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec)
        / 1e6
    }
    let text = """
      \(arguments[0]): \(total) pods, \(atOnce) at once: \(Int(Double(total) / seconds)) pods/s, CPU a pod: \
      keeper \(Int(cpu(own) / Double(total) * 1e6)) us, pod \(Int(cpu(children) / Double(total) * 1e6)) us, \
      \(failures) failed\n
      """
    try Files.writeAll(1, Array(text.utf8), path: "stdout")
  }
}
