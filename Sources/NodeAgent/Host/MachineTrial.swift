// What a node could do on this machine, found out as an agent finds it out: by trying. For who looks at a machine
// before, or while, an agent runs there; all that it makes is gone when it answers. Decides nothing.

import ClusterIO
import ClusterProto
import Glibc

/// One trial of a machine.
package struct MachineTrial: Sendable {
  /// A pod can be started and ended.
  package var isolates: Bool
  /// By what, or why not.
  package var isolation: String
  /// What pods can be held to.
  package var limits: LimitAbilities
  /// Why pods cannot be frozen by a cgroup, so that SIGSTOP has to do; empty: they can.
  package var freezeProblem: String

  /// Takes each value as it stands.
  package init(isolates: Bool, isolation: String, limits: LimitAbilities, freezeProblem: String) {
    self.isolates = isolates
    self.isolation = isolation
    self.limits = limits
    self.freezeProblem = freezeProblem
  }

  /// Tries: an empty pod, and cgroups that are made and removed again. Takes seconds where a pod does not end.
  package static func run() throws(IOError) -> MachineTrial {
    let loop = try EventLoop()
    let answer = try SandboxProbe(loop: loop, deadlines: try DeadlineTable(), user: nil).run()
    var isClone = false
    if case .namespaces = answer.isolation { isClone = answer.works }
    let limits = LimitPool(name: "stint-trial", isUsed: isClone)
    limits.remove()
    var freezeProblem = ""
    do throws(IOError) {
      try CgroupPool(name: "stint-trial").remove()
    } catch {
      freezeProblem = error.description
    }
    return MachineTrial(
      isolates: answer.works, isolation: answer.detail, limits: limits.abilities, freezeProblem: freezeProblem)
  }
}
