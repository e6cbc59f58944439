// A machine on which no pod can be started, with real processes: its agent runs without root, and bubblewrap fails.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import stint

@Suite(
  "A machine that can start no pod",
  .enabled(
    if: geteuid() == 0 && Files.exists("/usr/bin/setpriv") && Files.exists("/usr/bin/bwrap"),
    "needs root, to become somebody else and to take bubblewrap from him"))
struct SandboxTests {
  private static func ready(_ cluster: TestCluster) throws -> String {
    let node = try cluster.nodes().first { $0[path: ["metadata", "name"]]?.stringValue == "node-1" }
    let condition = (node?[path: ["status", "conditions"]]?.arrayValue ?? []).first {
      $0["type"]?.stringValue == "Ready"
    }
    return ["status", "reason", "message"].map { condition?[$0]?.stringValue ?? "" }.joined(separator: " ")
  }

  /// A bubblewrap that fails while `file` is not there, in place of the machine's for whatever the front of a command
  /// that is returned runs.
  private static func breakable(_ cluster: TestCluster, _ file: String) throws -> [String] {
    let real = "\(cluster.directory)/bwrap.real"
    let copy = try Program(["/usr/bin/bwrap", real], path: "/bin/cp", output: "\(cluster.directory)/logs/copy-bwrap")
    try checkEqual(copy.end(within: 60), 0, "the exit status of cp")
    let script = "\(cluster.directory)/bwrap"
    try Files.writeAtomically(
      script,
      Array(
        """
        #!/bin/sh
        [ -e \(file) ] && exec \(real) "$@"
        echo "bwrap: Can't mount proc on /newroot/proc: Operation not permitted" >&2
        exit 1

        """.utf8))
    chmod(script, 0o755)
    let hidden = "mount --bind \(script) /usr/bin/bwrap; exec \"$@\""
    return ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", hidden, "sh"]
  }

  @Test("it is NotReady with the reason and gets no pods; when they can be started it is Ready, by itself, and works")
  func heals() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 0) { cluster in
        let works = "\(cluster.directory)/works"
        let user = try cluster.giveAway("node-1", to: 65_534)
        try cluster.startAgent("node-1", as: try Self.breakable(cluster, works) + user)
        try eventually("its node says why", seen: { (try? Self.ready(cluster)) ?? "" }) {
          let text = try Self.ready(cluster)
          return text.hasPrefix("False KubeletNotReady container runtime is down: pods cannot start on this machine: ")
            && text.contains("bubblewrap: bwrap: Can't mount proc on /newroot/proc: Operation not permitted")
        }
        try check(cluster.agents["node-1"]?.text.contains("pods cannot start on this machine") == true, "agent's log")
        try cluster.apply(cluster.manifest("job", .script("sign end\n")))
        try eventually("its pod says what it waits for") {
          try cluster.events("FailedScheduling").contains { $0.contains("node.kubernetes.io/not-ready") }
        }
        try Files.writeAtomically(works, [], mode: 0o644)
        try cluster.must("wait", "job/job", "--for=complete", "--timeout", "60s", "-q")
        try check(try cluster.isReady("node-1"), "not Ready")
        try checkEqual(try cluster.status("job", "failed"), 0, "failed pods")
      }
    }
  }

  @Test("a pod that runs when the machine breaks runs on: its node is NotReady, is not lost, and nothing is replaced")
  func runsOn() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 0) { cluster in
        let works = "\(cluster.directory)/works"
        try Files.writeAtomically(works, [], mode: 0o644)
        let user = try cluster.giveAway("node-1", to: 65_534)
        try cluster.startAgent("node-1", as: try Self.breakable(cluster, works) + user)
        try cluster.waitForNodes(1)
        try cluster.apply(cluster.manifest("old", .untilTold))
        try eventually("it works") { cluster.ledger.attempts.count == 1 }
        unlink(works)
        // The first that cannot be started tells.
        try cluster.apply(cluster.manifest("new", .script("sign end\n")))
        try eventually("its node says why") { try Self.ready(cluster).hasPrefix("False KubeletNotReady container") }
        // Between the start that failed and the pod's end its container shows `StartError`.
        try eventually("the pod says why", seen: { (try? cluster.stint("get", "pods").text) ?? "" }) {
          let shown = try cluster.stint("get", "pods").text
          return shown.contains("FailedCreatePodSandBox") && !shown.contains("ContainerCreating")
        }
        let now = uptime()
        // Longer than a lease, the toleration and the time after which a lost node's work runs elsewhere.
        try eventually("the pod signs on, long after") { cluster.ledger.attempts.contains { $0.last > now + 8 } }
        try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
        try cluster.must("wait", "job/old", "--for=complete", "--timeout", "60s", "-q")
        try checkEqual(try cluster.status("old", "failed"), 0, "failed pods")
        try check(!(try Self.ready(cluster)).hasPrefix("True"), "Ready")
      }
    }
  }
}
