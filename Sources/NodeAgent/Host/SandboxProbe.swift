// Finds out, by trying, how this machine can isolate pods: clone (root), bubblewrap (user namespaces), or not at all.
// Knows nothing of when it is asked, or of what follows: that is the keeper core's.

import ClusterIO
import Glibc

/// Starts and ends an empty pod each way until one works.
final class SandboxProbe {
  /// How pods will be isolated, and whether any can be started so: every pod that can be is fenced fully (K4).
  struct Answer {
    var isolation: PodProcess.Isolation
    var works: Bool
    var detail: String
  }

  private static let patienceNanoseconds: Int64 = 5_000_000_000
  private static let programs: [String] = ["/usr/bin/bwrap", "/usr/local/bin/bwrap"]
  /// What a container of the empty pod runs; that it is there is not asked.
  private static let command = "/bin/true"
  private static let advice =
    "run the agent as root, or let its user make namespaces (Debian package bubblewrap, sysctl "
    + "user.max_user_namespaces, in a container /proc unmasked)"

  private let loop: EventLoop
  private let deadlines: DeadlineTable
  private let user: PodUser?
  private var timer: LoopTimer?
  private var ways: [(name: String, isolation: PodProcess.Isolation)] = []
  private var problems: [String] = []
  private var done: ((Answer) -> Void)?

  init(loop: EventLoop, deadlines: DeadlineTable, user: PodUser?) {
    self.loop = loop
    self.deadlines = deadlines
    self.user = user
  }

  /// Before anything else is on the loop.
  func run() throws(IOError) -> Answer {
    var answer: Answer?
    begin { answer = $0 }
    while true {
      if let answer { return answer }
      try loop.runOnce(timeoutMilliseconds: 100)
    }
  }

  /// `done` is called once, from the loop or at once. Not to be begun again before.
  func begin(_ done: @escaping (Answer) -> Void) {
    self.done = done
    problems = []
    ways = geteuid() == 0 ? [("clone", .namespaces)] : []
    if let program = Self.programs.first(where: { (path: String) in access(path, X_OK) == 0 }) {
      ways.append(("bubblewrap", .bubblewrap(program: program)))
    }
    tryNext()
  }

  private func tryNext() {
    guard let way = ways.first else {
      if !problems.contains(where: { $0.hasPrefix("bubblewrap: ") }) {
        problems.append("bubblewrap is not installed (Debian package bubblewrap)")
      }
      return finish(
        Answer(
          isolation: .namespaces, works: false,
          detail: "pods cannot start on this machine: \(problems.joined(separator: "; ")): \(Self.advice)"))
    }
    ways.removeFirst()
    attempt(way.isolation) { [self] problem in
      guard let problem else {
        return finish(
          Answer(isolation: way.isolation, works: true, detail: "PID and mount namespaces by \(way.name)"))
      }
      problems.append("\(way.name): \(problem)")
      tryNext()
    }
  }

  private func finish(_ answer: Answer) {
    let handler = done
    done = nil
    handler?(answer)
  }

  /// What went wrong; nil when a pod and a container in it could be started and ended.
  private func attempt(_ isolation: PodProcess.Isolation, _ done: @escaping (String?) -> Void) {
    do throws(IOError) {
      let options = PodProcess.Options(isolation: isolation, deadline: try deadlines.take(until: Int64.max))
      let streams = (open("/dev/null", O_RDWR | O_CLOEXEC), open("/dev/null", O_RDWR | O_CLOEXEC))
      let pod = try PodProcess(loop: loop, options: options)
      var problem: String?
      var isLate = false
      pod.onStartFailed = { [unowned pod] _, failure in
        if !["exec", "interpreter"].contains(failure.stage) { problem = failure.description }
        pod.finish()
      }
      pod.onExited = { [unowned pod] _, _ in pod.finish() }
      pod.onGone = { [self] end in
        timer?.arm(at: nil)
        if isLate { return done("an empty pod does not end") }
        let said = end.message.split(separator: "\n").joined(separator: ", ")
        if end.exit != .exited(code: 0) { problem = problem ?? (said.isEmpty ? end.exit.description : said) }
        done(problem)
      }
      timer = loop.makeTimer { [unowned pod] in
        isLate = true
        pod.kill()
      }
      timer?.arm(at: Clocks.boot() + Self.patienceNanoseconds)
      try pod.startContainer(slot: 0, plan, output: streams.0, errors: streams.1)
    } catch {
      done(error.description)
    }
  }

  private var plan: ContainerPlan {
    var plan = ContainerPlan(arguments: [Self.command])
    plan.userID = user?.userID
    plan.groupID = user?.groupID
    plan.groups = user?.groups ?? []
    return plan
  }
}
