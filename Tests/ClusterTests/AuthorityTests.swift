// The exchange of the cluster's authority with real processes: work goes on, who moves by itself and who cannot, and
// what is refused afterwards.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite("stint ca")
struct AuthorityTests {
  private static let kubectl = "/usr/bin/kubectl"

  private func with(_ nodes: [String], _ body: (TestCluster) throws -> Void) throws {
    let cluster = try TestCluster(timing: TestCluster.quick)
    defer { cluster.end() }
    do {
      try cluster.startCoordinator()
      try eventually("the kubeconfig is there") { Files.exists(cluster.kubeconfig) }
      let token = try cluster.token()
      for node in nodes { try cluster.join(node, token) }
      for node in nodes { try eventually("\(node) is Ready") { try cluster.isReady(node) } }
      try body(cluster)
    } catch {
      throw Failure("\(error)\n\(cluster.story())")
    }
  }

  /// A kubeconfig that is made now.
  private func user(_ cluster: TestCluster, _ name: String, file: String, _ words: String...) throws -> String {
    let made = try cluster.stint(["user", "create", name] + words)
    try check(made.status == 0, made.text)
    let path = "\(cluster.directory)/\(file)"
    try Files.writeAtomically(path, Array(made.text.utf8), mode: 0o600)
    return path
  }

  /// Whether kubectl, where there is one, and `stint` are served with that kubeconfig.
  private func checkServed(
    _ cluster: TestCluster, _ file: String, _ isServed: Bool, _ what: String, line: UInt = #line
  ) throws {
    let own = try cluster.stint("get", "jobs", "--kubeconfig", file)
    try check((own.status == 0) == isServed, "\(what): stint: \(own)", line: line)
    if !isServed { try check(own.text.contains("authority was exchanged (stint ca rotate)"), own.text, line: line) }
    guard access(Self.kubectl, X_OK) == 0 else { return }
    let other = try Program(
      ["--kubeconfig", file, "get", "jobs"], path: Self.kubectl, output: "\(cluster.directory)/logs/kubectl")
    let status = try other.end(within: 60)
    try check((status == 0) == isServed, "\(what): kubectl: \(status): \(other.text)", line: line)
  }

  @Test(
    "work goes on while it lasts: agents move by themselves, old kubeconfigs serve until the last has moved, none after"
  )
  func whole() async throws {
    try await Blocking.run {
      try with(["node-1", "node-2"]) { cluster in
        try cluster.startAgent("node-3")
        try eventually("node-3 is Ready") { try cluster.isReady("node-3") }
        let alice = try user(cluster, "alice", file: "alice-1", "--role", "view")
        let copy = "\(cluster.directory)/admin-copy"
        try Files.writeAtomically(copy, try Files.read(cluster.kubeconfig), mode: 0o600)
        try cluster.apply(cluster.manifest("long", completions: 6, parallelism: 6, .untilTold))
        try eventually("the pods sign") { cluster.ledger.attempts.count == 6 }
        // What a pod is told to believe, as it sees it while it runs.
        let told = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
        let script =
          "until [ -e /ledger/go ]; do sign ca-$(grep -c BEGIN \(told)); sleep 0.2; done; sign end"
        try cluster.apply(cluster.manifest("told", .script(script)))
        // The usual place is made by root.
        func isTold(_ word: String) -> Bool {
          geteuid() != 0 || cluster.ledger.signs.last { $0.word.hasPrefix("ca-") }?.word == word
        }
        try eventually("a pod is told of one authority") { isTold("ca-1") }

        try cluster.must("ca", "rotate", "--wait=false")
        for (name, file) in [("alice", alice), ("a copy", copy), ("its own", cluster.kubeconfig)] {
          try checkServed(cluster, file, true, name)
        }
        // In the middle of it.
        try cluster.killCoordinator()
        try cluster.startCoordinator()
        try eventually("the agents have moved", seconds: 60) {
          try cluster.stint("ca", "status").text.contains("3/3 nodes, 1 user left")
        }
        try eventually("the pod is told of both", seen: { "\(cluster.ledger.signs.suffix(3))" }) { isTold("ca-2") }
        let status = try cluster.stint("ca", "status").text
        try check(status.contains("user   alice   needs a new kubeconfig"), status)
        for file in [alice, copy, cluster.kubeconfig] { try checkServed(cluster, file, true, "once all have moved") }

        let next = try user(cluster, "alice", file: "alice-2")
        let end = try cluster.stint("ca", "status", "--watch", "--timeout", "30s")
        try check(end.status == 0 && end.text.contains("the former authority is dropped"), "\(end)")
        try check(!Files.exists("\(cluster.directory)/coordinator/pki/former.pem"), "former.pem is there")
        for (name, file) in [("alice", alice), ("a copy", copy)] { try checkServed(cluster, file, false, name) }
        for file in [next, cluster.kubeconfig] { try checkServed(cluster, file, true, "the new one") }
        for node in ["node-1", "node-2"] {
          try eventually("\(node) believes the new authority alone", seconds: 30) {
            let identity = try Identity(directory: "\(cluster.dataDirectory(node))/identity")
            return Certificates.keyDigests(ofBundle: identity.authority) == [identity.signer]
          }
        }
        try eventually("the pod is told of the new one alone") { isTold("ca-1") }
        try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
        for job in ["job/long", "job/told"] {
          try cluster.must("wait", job, "--for=complete", "--timeout", "60s", "-q")
        }
        try checkEqual(cluster.ledger.attempts.map(\.starts), Array(repeating: 1, count: 7), "starts of each attempt")
        try checkEqual(try cluster.status("long", "failed"), 0, "failed pods")
        for (node, agent) in cluster.agents {
          // They closed their sessions themselves.
          try check(!agent.text.contains("closed here"), "\(node): \(agent.text)")
        }
      }
    }
  }

  @Test(
    "a coordinator that is killed as the authority is exchanged goes on with it or from before it, and locks nobody out"
  )
  func killed() async throws {
    try await Blocking.run {
      try with(["node-1", "node-2"]) { cluster in
        let pki = "\(cluster.directory)/coordinator/pki"
        try cluster.apply(cluster.manifest("long", completions: 2, parallelism: 2, .untilTold))
        try eventually("the pods sign") { cluster.ledger.attempts.count == 2 }
        // Pods begin and end all the while.
        try cluster.apply(cluster.manifest("brief", completions: 60, parallelism: 3, .brief("0.2")))
        for file in ["former.pem.new", "former.pem", "authority.pem.new", "server.pem.new", "admin.pem.new"] {
          let rotating = try Program(
            ["ca", "rotate", "--wait=false"],
            environment: ["STINT_SERVER=\(cluster.server)", "KUBECONFIG=\(cluster.kubeconfig)"],
            output: "\(cluster.directory)/logs/rotate-\(file)")
          // The moment of each file, or a little later: whatever it meets has to do.
          try eventually("\(file) or the end", every: 0) { Files.exists("\(pki)/\(file)") || !rotating.isRunning }
          try cluster.killCoordinator()
          try cluster.startCoordinator()
          _ = try rotating.end(within: 60)
          try eventually("it serves") { try cluster.stint("ca", "status").status == 0 }
          let end = try cluster.stint("ca", "status", "--watch", "--timeout", "60s", within: 90)
          try check(end.status == 0, "after \(file): \(end)")
          for node in ["node-1", "node-2"] {
            try eventually("\(node) is Ready after \(file)") { try cluster.isReady(node) }
          }
        }
        try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
        for job in ["job/long", "job/brief"] {
          try cluster.must("wait", job, "--for=complete", "--timeout", "60s", "-q", within: 90)
        }
        try checkEqual(
          cluster.ledger.attempts.map(\.starts), Array(repeating: 1, count: 62), "starts of each attempt")
        try checkEqual(cluster.ledger.ended, 62, "attempts that came to their end")
        try checkEqual(try cluster.status("brief", "failed"), 0, "failed pods")
      }
    }
  }

  @Test("a machine that is off is named; by force it is left behind, and told what to do when it is back: a new token")
  func away() async throws {
    try await Blocking.run {
      try with(["node-1", "node-2"]) { cluster in
        let old = try cluster.token()
        let off = try found(cluster.agents.first { $0.key.hasPrefix("node-2") }?.value, "agent")
        try off.killAndReap()
        let rotated = try cluster.stint("ca", "rotate", "--timeout", "6s")
        try checkEqual(rotated.status, 124, "status")
        try check(rotated.text.contains("timed out; the exchange goes on. Moved: 1/2 nodes"), rotated.text)
        try check(rotated.text.contains("node   node-2   away"), rotated.text)
        let second = try cluster.stint("ca", "rotate")
        try check(
          second.status == 1 && second.text.contains("1 node and 0 users still hold certificates"), "\(second)")
        let forced = try cluster.stint("ca", "rotate", "--force")
        try check(
          forced.status == 0
            && forced.text.contains("locked out: node node-2: stint token create --node node-2 lets it join again"),
          "\(forced)")
        try check(try cluster.isReady("node-1"), "node-1 is not Ready")

        let back = try cluster.join("node-2", "")
        try eventually("it says what to do", seen: { back.text }) {
          back.text.contains("authority was exchanged (stint ca rotate) meanwhile. Then make a token where")
        }
        try back.killAndReap(SIGTERM)
        // A token of the old authority is none.
        let late = try cluster.join("node-9", old)
        try checkEqual(try late.end(within: 60), 1, "status")
        try check(late.text.contains("of another authority") && late.text.contains("stint ca rotate"), late.text)
        let again = try cluster.join("node-2", try cluster.token("--node", "node-2"))
        try eventually("node-2 is back", seen: { again.text }) { try cluster.isReady("node-2") }
        try check(again.text.contains("with the key that it has"), again.text)
        // Nothing but what it is about to do, and that it is done.
        try check(again.text.contains("the join token is of another authority than its certificate"), again.text)
        try check(!again.text.contains("level=error"), again.text)
        // Its unit may name a token for good: one that is outdated keeps it from nothing.
        try again.killAndReap(SIGTERM)
        let last = try cluster.join("node-2", old)
        try eventually("it works with what it has", seen: { last.text }) {
          last.text.contains("connected to the coord")
        }
        try check(last.text.contains("the join token is of another authority than its certificate"), last.text)
        let log = try found(cluster.coordinator?.text, "log")
        for deed in ["exchange of the authority begun", "dropped with 1 that were left: node-2"] {
          try check(log.split(separator: "\n").contains { $0.contains(deed) && $0.contains("deed=authority") }, log)
        }
      }
    }
  }
}
