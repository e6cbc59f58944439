// Finds out, by trying, how this machine can isolate pods: clone (root), bubblewrap (user namespaces), or not at all.

import ClusterIO
import Glibc

/// How pods will be isolated and whether that fences fully (K4).
struct FencingProbe {
  var isolation: PodProcess.Isolation
  var fencesFully: Bool
  var detail: String

  /// Starts and ends an empty pod each way until one works.
  static func run(loop: EventLoop, deadlines: DeadlineTable) -> FencingProbe {
    var problems: [String] = []
    if geteuid() == 0 {
      if let problem = attempt(.namespaces, loop, deadlines) {
        problems.append("clone: \(problem)")
      } else {
        return FencingProbe(isolation: .namespaces, fencesFully: true, detail: "PID and mount namespaces by clone")
      }
    }
    let programs: [String] = ["/usr/bin/bwrap", "/usr/local/bin/bwrap"]
    if let program = programs.first(where: { (path: String) in access(path, X_OK) == 0 }) {
      let isolation = PodProcess.Isolation.bubblewrap(program: program)
      if let problem = attempt(isolation, loop, deadlines) {
        problems.append("bubblewrap: \(problem)")
      } else {
        return FencingProbe(isolation: isolation, fencesFully: true, detail: "PID and mount namespaces by bubblewrap")
      }
    } else {
      problems.append("bubblewrap is not installed (Debian package bubblewrap)")
    }
    return FencingProbe(
      isolation: .namespaces, fencesFully: false,
      detail: "no PID namespaces on this machine, pods cannot start: " + problems.joined(separator: "; "))
  }

  /// What went wrong; nil when a pod could be started and ended.
  private static func attempt(
    _ isolation: PodProcess.Isolation, _ loop: EventLoop, _ deadlines: DeadlineTable
  ) -> String? {
    do throws(IOError) {
      let options = PodProcess.Options(isolation: isolation, deadline: try deadlines.take(until: Int64.max))
      let pod = try PodProcess(loop: loop, options: options)
      var end: PodProcess.Gone?
      pod.onGone = { end = $0 }
      pod.finish()
      let deadline = Clocks.boot() + 5_000_000_000
      while end == nil, Clocks.boot() < deadline { try loop.runOnce(timeoutMilliseconds: 100) }
      guard let end else { return "an empty pod does not end" }
      return end.exit == .exited(code: 0) ? nil : (end.message.isEmpty ? end.exit.description : end.message)
    } catch {
      return error.description
    }
  }
}
