// Owns: a person, or a pipe, that follows a Job: what Ctrl-C means there, and the exit status at the end. It must not
// know how a Job is followed.

import ClusterIO
import ClusterProto
import Glibc

/// Signals that end a session and not the Job, taken when somebody looks.
struct Interrupts {
  private let set: sigset_t

  /// From now on they wait to be taken. Before any other thread starts.
  init() {
    var set = sigset_t()
    sigemptyset(&set)
    for number in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&set, number) }
    pthread_sigmask(SIG_BLOCK, &set, nil)
    self.set = set
  }

  /// The next one that has come; nil: none.
  func take() -> Int32? {
    var set = set
    var none = timespec()
    let number = sigtimedwait(&set, nil, &none)
    return number > 0 ? number : nil
  }
}

/// Follows a Job for who asked for it.
struct JobSession {
  private enum Wish { case stop, detach, goOn }

  private let job: JSON
  private let cluster: Cluster
  private let context: Context
  private let interrupts: Interrupts
  private let name: String
  private var console: Console { context.console }

  init(_ job: JSON, _ cluster: Cluster, _ context: Context, _ interrupts: Interrupts) {
    self.job = job
    self.cluster = cluster
    self.context = context
    self.interrupts = interrupts
    name = job[path: ["metadata", "name"]]?.stringValue ?? ""
  }

  func run() throws -> Int32 {
    var style = FollowStyle()
    style.tellsChanges = !context.arguments.isOn("quiet")
    let isAlone = job[path: ["spec", "completions"]]?.intValue == 1
    style.prefix = context.arguments.isOn("prefix", byDefault: !isAlone) ? .ofPod : .none
    let follower = JobFollower(job, cluster, console, style)
    while true {
      var signal: Int32?
      let end = try follower.follow(tick: {
        signal = signal ?? interrupts.take()
        return signal == nil ? .more : .enough
      })
      switch end {
      case .ended(let job): return report(job, follower.story)
      case .deleted:
        console.note("error: job.batch/\(name) was deleted")
        return 1
      case .timedOut, .left:
        let number = signal ?? SIGINT
        guard number == SIGINT, isatty(0) == 1, isatty(2) == 1 else { return detached(128 + number) }
        switch ask() {
        case .goOn: continue
        case .detach: return detached(0)
        case .stop:
          do {
            console.note(try StopCommand.stop(name, context.namespace, cluster))
          } catch let refusal as PatchCommand.Refusal {
            console.note(refusal.message)
          }
        }
      }
    }
  }

  private func detached(_ status: Int32) -> Int32 {
    console.note(
      "job.batch/\(name) goes on without you. Come back: stint logs -f job/\(name)   End it: stint stop \(name)")
    return status
  }

  private func report(_ job: JSON, _ story: PodStory) -> Int32 {
    let status = story.exitStatus(of: job)
    let counts = Progress.of(job)?.counts.replacing(", 0 active", with: "") ?? ""
    guard let end = WaitGoal.end(of: job) else { return status }
    if end.succeeded {
      if !context.arguments.isOn("quiet") { console.note("job.batch/\(name) complete: \(counts)") }
    } else {
      let how = StopMark.isOn(job) ? "was stopped" : "failed"
      console.note("error: job.batch/\(name) \(how): \(counts). Why: stint why job/\(name)")
    }
    return status
  }

  /// What Ctrl-C means. A second one means to leave.
  private func ask() -> Wish {
    console.err(
      "\njob.batch/\(name) is still running. s: stop it   d: detach, it goes on without you   Enter: go on watching: ")
    while true {
      if interrupts.take() != nil {
        console.err("\n")
        return .detach
      }
      var descriptor = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
      guard poll(&descriptor, 1, 100) > 0 else { continue }
      var bytes = [UInt8](repeating: 0, count: 256)
      let count = read(0, &bytes, bytes.count)
      if count <= 0 { return .detach }
      let answer = String(decoding: bytes.prefix(count), as: UTF8.self).split { $0.isWhitespace }.first?.lowercased()
      switch answer {
      case nil: return .goOn
      case "s", "stop": return .stop
      case "d", "detach": return .detach
      default: console.err("s, d or Enter: ")
      }
    }
  }
}
