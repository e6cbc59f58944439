// The certificates of nodes with real processes: renewed while a Job runs, ended while a machine was off, revoked.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite("Nodes' certificates")
struct CertificateLifeTests {
  private func certificate(_ cluster: TestCluster, _ node: String) throws -> [UInt8] {
    try Identity(directory: "\(cluster.dataDirectory(node))/identity").own.certificate
  }

  private func with(life: String, _ body: (TestCluster) throws -> Void) throws {
    let cluster = try TestCluster(timing: TestCluster.quick)
    defer { cluster.end() }
    do {
      try cluster.startCoordinator(["--node-certificate-lifetime", life])
      try eventually("the kubeconfig is there") { Files.exists(cluster.kubeconfig) }
      try body(cluster)
    } catch {
      throw Failure("\(error)\n\(cluster.story())")
    }
  }

  @Test("a certificate is renewed over the session again and again while a pod runs on: no restart, no second attempt")
  func renewal() async throws {
    try await Blocking.run {
      try with(life: "12s") { cluster in
        let agent = try cluster.join("node-1", try cluster.token())
        try eventually("node-1 is Ready") { try cluster.isReady("node-1") }
        try cluster.apply(cluster.manifest("long", completions: 1, parallelism: 1, .untilTold))
        try eventually("the pod signs") { !cluster.ledger.signs.isEmpty }
        var seen = [try certificate(cluster, "node-1")]
        let first = try found(Certificates.end(seen[0]), "end")
        // Past the end of the first one, by the third.
        try eventually("it is renewed twice", seconds: 60) {
          let now = try certificate(cluster, "node-1")
          if now != seen.last { seen.append(now) }
          return seen.count > 2 && Clocks.now().wall / 1_000_000_000 > first
        }
        try checkEqual(
          agent.text.split(separator: "\n").filter { $0.contains("connected to the coord") }.count, 1, "sessions")
        // The new one serves: for the logs at once, for a session after the next start.
        let pod = try found(cluster.ledger.attempts.first?.pod, "pod")
        try cluster.must("logs", pod)
        try agent.killAndReap(SIGTERM)
        try cluster.join("node-1", "", data: nil)
        try eventually("node-1 is Ready again") { try cluster.isReady("node-1") }
        try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
        try cluster.must("wait", "job/long", "--for=complete", "--timeout", "60s", "-q")
        try checkEqual(cluster.ledger.attempts.count, 1, "attempts")
      }
    }
  }

  @Test("a certificate that ended while the machine was off is made again by its key alone")
  func rejoin() async throws {
    try await Blocking.run {
      try with(life: "10s") { cluster in
        let token = try cluster.token("--uses", "1")
        let agent = try cluster.join("node-1", token)
        try eventually("node-1 is Ready") { try cluster.isReady("node-1") }
        try agent.killAndReap(SIGKILL)
        let end = try found(Certificates.end(try certificate(cluster, "node-1")), "end")
        try eventually("it ends", seconds: 60) { Clocks.now().wall / 1_000_000_000 > end }
        let again = try cluster.join("node-1", "")
        try eventually("node-1 works again", seen: { again.text }) { again.text.contains("connected to the coord") }
        try check(again.text.contains("has ended: asking for the next one by its key"), again.text)
        try eventually("node-1 is Ready") { try cluster.isReady("node-1") }
      }
    }
  }

  @Test(
    "a revoked node's session ends at once, its key is refused for good, and others stay; the restart changes nothing")
  func revoked() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 1) { cluster in
        let token = try cluster.token()
        let agent = try cluster.join("node-2", token)
        try eventually("node-2 is Ready") { try cluster.isReady("node-2") }
        try cluster.must("node", "revoke", "node-2")
        let words = "the key of node node-2 was revoked"
        try eventually("the agent is told", seconds: 10, seen: { agent.text }) {
          agent.text.contains("was revoked at ")
        }
        try eventually("node-2 is not Ready") { try !cluster.isReady("node-2") }
        let log = try found(cluster.coordinator?.text, "log")
        try check(log.contains("level=audit") && log.contains("key of node node-2 revoked"), "no audit: \(log)")
        try check(log.contains(words), log)
        try cluster.killCoordinator()
        try cluster.startCoordinator()
        try eventually("node-1 is Ready again") { try cluster.isReady("node-1") }
        try agent.killAndReap(SIGTERM)
        let again = try cluster.join("node-2", token)
        try eventually("it is refused after the restart", seen: { again.text }) {
          again.text.contains("was revoked at ")
        }
        try check(try !cluster.isReady("node-2"), "node-2 is Ready")
        // By two addresses in turn: rarely, and without a line for each try.
        try again.killAndReap(SIGTERM)
        let port = cluster.server.split(separator: ":").last ?? ""
        try Files.writeAtomically(
          "\(cluster.dataDirectory("node-2"))/identity/coordinators",
          Array("127.0.0.1:\(port)\nlocalhost:\(port)\n".utf8))
        func refusals() -> Int {
          let lines = cluster.coordinator?.text.split(separator: "\n") ?? []
          return lines.count { $0.contains("deed=refusal") && $0.contains("node-2") }
        }
        let before = refusals()
        let last = try cluster.join("node-2", "")
        try eventually("it is refused again and again", seconds: 90, every: 500) { refusals() >= before + 3 }
        let told = last.text.split(separator: "\n").filter { $0.contains("was revoked at") }
        try check(told.count <= 2, last.text)
        for words in ["stint token create --node node-2", "data directory is \(cluster.dataDirectory("node-2"))"] {
          try check(last.text.contains(words), last.text)
        }
        let nobody = try cluster.stint("node", "revoke", "node-9")
        try check(nobody.status == 1 && nobody.text.contains("there is no node \"node-9\""), nobody.text)
      }
    }
  }
}
