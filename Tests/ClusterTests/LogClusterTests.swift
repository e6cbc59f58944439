// Logs through the real client: of restarts in place, and followed while coordinator and agent are killed.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite("Logs reach the client whole")
struct LogClusterTests {
  @Test("a container that fails is restarted in its pod, and both its logs can be read")
  func restartInPlace() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 1) { cluster in
        let script = """
          if [ -e /ledger/second ]; then echo the second run; else touch /ledger/second; echo the first run; exit 3; fi
          sign end

          """
        let job = cluster.manifest("again", .script(script)) { job in
          job[path: ["spec", "template", "spec", "restartPolicy"]] = "OnFailure"
        }
        try cluster.apply(job)
        try cluster.must("wait", "job/again", "--for=complete", "--timeout", "60s", "-q")
        let pods = try cluster.pods(of: "again")
        try checkEqual(pods.count, 1, "pods")
        let status = pods.first?[path: ["status", "containerStatuses"]]?[0]
        try checkEqual(status?["restartCount"]?.intValue, 1, "restartCount")
        try checkEqual(cluster.ledger.attempts.map(\.starts), [2], "starts of the one attempt")
        try checkEqual(cluster.stint("logs", "job/again").text, "the second run\n", "the log")
        let pod = try found(cluster.ledger.attempts.first?.pod, "pod")
        try checkEqual(cluster.stint("logs", pod, "--previous").text, "the first run\n", "the log before")
      }
    }
  }

  @Test("a line of 5 MB that does not end comes back byte for byte")
  func longLine() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 1) { cluster in
        let script = "head -c 5000000 /dev/zero | tr '\\0' x; sign end\n"
        try cluster.apply(cluster.manifest("long", .script(script)))
        try cluster.must("wait", "job/long", "--for=complete", "--timeout", "60s", "-q")
        let native = try cluster.stint("logs", "job/long").text
        try checkEqual(native.utf8.count, 5_000_000, "bytes by the native client")
        try check(native.utf8.allSatisfy { $0 == UInt8(ascii: "x") }, "all x")
      }
    }
  }

  @Test("a followed log has each line once, while coordinator and agent are killed under it")
  func followed() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 1, timing: []) { cluster in
        let script =
          "n=0; until [ -e /ledger/go ]; do n=$((n + 1)); echo line $n; sleep 0.1; done\necho over\nsign end\n"
        try cluster.apply(cluster.manifest("talker", .script(script)))
        try eventually("the pod signs") { cluster.ledger.attempts.count == 1 }
        let reader = try Program(
          ["logs", "-f", "job/talker", "--timeout", "60s"],
          environment: ["STINT_SERVER=\(cluster.server)", "KUBECONFIG=\(cluster.kubeconfig)"],
          output: "\(cluster.directory)/reader")
        func lines() -> [String] {
          reader.text.split(separator: "\n").map(String.init).filter { $0.hasPrefix("line ") || $0 == "over" }
        }
        func grows(_ after: String) throws {
          let before = lines().count
          try eventually("the log goes on after \(after)", seen: { reader.text }) { lines().count > before + 5 }
        }
        try grows("its start")
        try cluster.killCoordinator()
        try cluster.startCoordinator()
        try grows("the coordinator's kill")
        try cluster.killAgent("node-1")
        try cluster.startAgent("node-1")
        try grows("the agent's kill")
        try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
        try checkEqual(reader.end(within: 60), 0, "the reader's exit status; it printed \(reader.text.suffix(500))")
        try check(!reader.text.contains(":10250"), "no address that nobody listens on: \(reader.text.suffix(500))")
        let seen = lines()
        try checkEqual(seen, (1..<seen.count).map { "line \($0)" } + ["over"], "the lines")
        try cluster.must("wait", "job/talker", "--for=complete", "--timeout", "60s", "-q")
      }
    }
  }
}
