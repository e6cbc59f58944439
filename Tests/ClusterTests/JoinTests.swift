// Machines that join by one line, with real processes: Ready soon, at work, and every way in which a token does not
// serve.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite("Joining by a token")
struct JoinTests {
  /// Whether any file below `path` holds `secret`, and which.
  private func files(below path: String, holding secret: String) -> [String] {
    let wanted = Array(secret.utf8)
    return ((try? Files.list(path)) ?? []).flatMap { name -> [String] in
      let file = "\(path)/\(name)"
      var info = stat()
      guard lstat(file, &info) == 0 else { return [] }
      if info.st_mode & S_IFMT == S_IFDIR { return files(below: file, holding: secret) }
      guard info.st_mode & S_IFMT == S_IFREG, let bytes = try? Files.read(file), bytes.count >= wanted.count else {
        return []
      }
      let isThere = bytes.indices.contains { bytes[$0] == wanted[0] && bytes[$0...].starts(with: wanted) }
      return isThere ? [file] : []
    }
  }

  private func refusal(
    _ cluster: TestCluster, _ node: String, _ token: String, _ wanted: String, line: UInt = #line
  ) throws {
    let program = try cluster.join(node, token, data: "\(cluster.directory)/agents/stranger")
    let status = try program.end(within: 60, line: line)
    try check(status == 1 && program.text.contains(wanted), "\(status): \(program.text)", line: line)
  }

  @Test(
    "an agent finds its coordinator by a name: once it stands for an address that answers, and only a name that it has",
    .enabled(if: geteuid() == 0, "a file of hosts is mounted for the agent alone"))
  func byName() async throws {
    try await Blocking.run {
      let cluster = try TestCluster(timing: TestCluster.quick)
      defer { cluster.end() }
      try cluster.startCoordinator(["--advertise", "stint.example"])
      try eventually("the kubeconfig is there") { Files.exists(cluster.kubeconfig) }
      let (hosts, port) = ("\(cluster.directory)/hosts", cluster.server.split(separator: ":").last ?? "")
      // In place: the file is mounted.
      func know(_ lines: String) throws {
        let file = open(hosts, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        defer { close(file) }
        try Files.writeAll(file, Array(lines.utf8), path: hosts)
      }
      try know("127.0.0.9 stint.example\n")
      let token = try cluster.token()
      func coordinator(_ name: String) -> [String] { ["--coordinator", "\(name):\(port)"] }
      let agent = try cluster.join("node-1", token, more: coordinator("stint.example"), hosts: hosts)
      try eventually("nobody answers there", seen: { agent.text }) { agent.text.contains("no coordinator yet") }
      try know("127.0.0.9 stint.example\n127.0.0.1 stint.example\n127.0.0.1 other.example\n")
      try eventually("node-1 is Ready", seconds: 60, seen: { agent.text }) { try cluster.isReady("node-1") }
      try eventually("it says so once its heartbeat is answered", seen: { agent.text }) {
        agent.text.contains("connected to the coordinator at stint.example:\(port)")
      }
      let other = try cluster.join("node-2", token, more: coordinator("other.example"), hosts: hosts)
      try eventually("a name that the certificate has not is refused", seen: { other.text }) {
        other.text.contains(
          "the server's certificate does not name other.example: start the coordinator with --advertise")
      }
    }
  }

  @Test("from the paste to Ready in 3 s; the node runs a Job; the secret is in no log, row, event, argv or environment")
  func joins() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 0) { cluster in
        try eventually("the kubeconfig is there") { Files.exists(cluster.kubeconfig) }
        let token = try cluster.token()
        let secret = try JoinToken(parsing: token).secret
        // On a machine that others keep busy the quickest of a few tells.
        var quickest = Double.infinity
        for number in 1...4 where quickest > 3 {
          let start = uptime()
          let program = try cluster.join(
            "node-\(number)", token, environment: number == 2 ? ["STINT_JOIN=\(token)"] : [])
          try eventually("node-\(number) is Ready", every: 20, seen: { program.text }) {
            try cluster.isReady("node-\(number)")
          }
          quickest = min(quickest, uptime() - start)
          for name in ["cmdline", "environ"] {
            let shown = String(decoding: try Files.read("/proc/\(program.pid)/\(name)"), as: UTF8.self)
            try check(!shown.contains(secret), "\(name) shows the secret")
          }
        }
        try check(quickest < 3, "Ready after \(quickest) s at best")
        try cluster.apply(cluster.manifest("first", completions: 2, parallelism: 2, .brief("0.1")))
        try cluster.must("wait", "job/first", "--for=complete", "--timeout", "60s", "-q")
        let events = try cluster.stint("get", "events", "-A", "-o", "yaml").text
        try check(!events.contains(secret), "an event shows the secret")
        try checkEqual(files(below: cluster.directory, holding: secret), [], "files that hold the secret")
        let log = try found(cluster.coordinator?.text, "log")
        try check(log.contains("level=audit msg=\"node node-1 joined by join token "), "no audit of the join: \(log)")
        try check(log.contains("stint token create --kubeconfig"), "the next machine's command is not said")
        let identity = "\(cluster.dataDirectory("node-1"))/identity"
        for file in try Files.list(identity) {
          var info = stat()
          try check(stat("\(identity)/\(file)", &info) == 0 && info.st_mode & 0o077 == 0, "\(file) is open to others")
        }
        // It has joined: it needs no token now, and finds its coordinator and its name by itself.
        let first = try found(cluster.agents.first { $0.key.hasPrefix("node-1-") }, "agent")
        try first.value.killAndReap(SIGTERM)
        let again = try Program(
          ["agent", "--data", cluster.dataDirectory("node-1"), "--join", token],
          output: "\(cluster.directory)/logs/again")
        try eventually("it is connected again", seen: { again.text }) { again.text.contains("connected to the coord") }
        try check(again.text.contains("the join token is not needed"), again.text)
        try again.killAndReap(SIGTERM)
      }
    }
  }

  @Test("an agent that is started again and again with the flags of its unit is the node that it is, token file or not")
  func keptFlags() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 0) { cluster in
        try eventually("the kubeconfig is there") { Files.exists(cluster.kubeconfig) }
        let (file, data) = ("\(cluster.directory)/join", cluster.dataDirectory("node-1"))
        try Files.writeAtomically(file, Array(try cluster.token("--uses", "1").utf8))
        let flags = ["--coordinator", cluster.server, "--join-file", file]
        let first = try cluster.join("node-1", "", more: flags)
        try eventually("node-1 is Ready", seen: { first.text }) { try cluster.isReady("node-1") }
        let identity = try Files.read("\(data)/identity/identity.pem")
        try cluster.apply(cluster.manifest("work", .untilTold))
        try eventually("it works", seconds: 60) { cluster.ledger.attempts.count == 1 }
        var last = first
        // As the unit's Restart= does it; the second time the coordinator was started anew too, the third time somebody
        // has deleted the file that nobody needs any more.
        for round in 1...3 {
          try last.killAndReap()
          if round == 2 {
            try cluster.killCoordinator(SIGTERM)
            try cluster.startCoordinator()
          }
          if round == 3 { unlink(file) }
          let next = try cluster.join("node-1", "", more: flags)
          last = next
          try eventually("it is connected again", seen: { next.text }) { next.text.contains("connected to the coord") }
          try eventually("node-1 is Ready", seen: { next.text }) { try cluster.isReady("node-1") }
          let saysSo = next.text.contains("this machine is node node-1 already: the join token is not needed")
          try check(saysSo == (round < 3), next.text)
          try checkEqual(try Files.read("\(data)/identity/identity.pem"), identity, "the identity")
        }
        let joins = try found(cluster.coordinator?.text, "log").split(separator: "\n").filter {
          $0.contains("joined by")
        }
        try checkEqual(joins.count, 1, "joins")
        let now = cluster.ledger.attempts.map(\.last).max() ?? 0
        try eventually("its pod goes on") { (cluster.ledger.attempts.map(\.last).max() ?? 0) > now }
        try checkEqual(cluster.ledger.attempts.count, 1, "attempts")
        try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
        try cluster.must("wait", "job/work", "--for=complete", "--timeout", "60s", "-q")
      }
    }
  }

  @Test("a token that is used, expired, deleted, for another or of another authority: each refused in its own words")
  func refusals() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 1) { cluster in
        let once = try cluster.token("--uses", "1")
        try cluster.join("node-2", once)
        try eventually("node-2 is Ready") { try cluster.isReady("node-2") }
        try refusal(cluster, "node-3", once, "is used up: node node-2 joined by it at ")
        let brief = try cluster.token("--ttl", "1s")
        try eventually("it expired") { try cluster.stint("token", "list").text.contains("Expired") }
        try refusal(cluster, "node-3", brief, " expired at ")
        let deleted = try cluster.token()
        try cluster.must("token", "delete", deleted)
        try refusal(cluster, "node-3", deleted, " was deleted at ")
        let other = try cluster.token("--node", "node-9")
        try refusal(cluster, "node-3", other, " is for node node-9 and not for node node-3")

        let good = try cluster.token()
        var token = try JoinToken(parsing: good)
        let secret = token.secret
        token.secret = String(secret.reversed())
        try refusal(cluster, "node-3", token.text, "the secret of join token \(token.id) is wrong")
        token.secret = secret
        token.id = "nosuchtoken1"
        try refusal(cluster, "node-3", token.text, "join token nosuchtoken1 is not known here")
        token = try JoinToken(parsing: good)
        token.authority = String(token.authority.reversed())
        try refusal(cluster, "node-3", token.text, "the server is of another authority: ")
        try refusal(cluster, "node-1", good, "belongs to another machine's key: if that machine is gone or was")
        try refusal(cluster, "node-1", good, "kubectl delete node node-1")
        try refusalOfName(cluster, good)

        let log = try found(cluster.coordinator?.text, "log")
        for words in ["is used up", "expired at", "was deleted at", "is wrong", "not known here", "another machine's"] {
          let isAudited = log.split(separator: "\n").contains {
            $0.contains("level=audit") && $0.contains("deed=refusal") && $0.contains(words)
          }
          try check(isAudited, "no audit of \(words): \(log)")
        }
        // Nobody else noticed.
        let connects = try found(cluster.agents["node-1"], "agent").text.split(separator: "\n").filter {
          $0.contains("connected to the coordinator")
        }
        try checkEqual(connects.count, 1, "connections of node-1")
        try check(try cluster.isReady("node-1"), "node-1 is not Ready")
      }
    }
  }

  /// Told before anybody is asked.
  private func refusalOfName(_ cluster: TestCluster, _ token: String) throws {
    let program = try cluster.join("node/1", token, data: "\(cluster.directory)/agents/stranger")
    let status = try program.end(within: 60)
    try check(status == 2 && program.text.contains("\"node/1\" is no node name"), "\(status): \(program.text)")
  }

  @Test("of two machines that race for a token's one use one joins, and the other is told who did")
  func race() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 0) { cluster in
        try eventually("the kubeconfig is there") { Files.exists(cluster.kubeconfig) }
        let token = try cluster.token("--uses", "1")
        let racers = try ["left", "right"].map { try cluster.join($0, token) }
        try eventually("one has lost") { racers.contains { !$0.isRunning } }
        let lost = try found(racers.firstIndex { !$0.isRunning }, "loser")
        let winner = lost == 0 ? "right" : "left"
        try eventually("\(winner) is Ready") { try cluster.isReady(winner) }
        try check(racers[lost].text.contains("is used up: node \(winner) joined"), racers[lost].text)
        try checkEqual(try cluster.nodes().count, 1, "nodes")
      }
    }
  }

  @Test("a machine that was installed anew gets its name back by a token for it, once its pods' leases are over")
  func reinstalled() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 0) { cluster in
        try eventually("the kubeconfig is there") { Files.exists(cluster.kubeconfig) }
        let token = try cluster.token()
        let first = try cluster.join("node-1", token)
        try eventually("node-1 is Ready") { try cluster.isReady("node-1") }
        try first.killAndReap()
        kill(try cluster.keeper(of: "node-1").pid, SIGKILL)
        try refusalOnAnotherDisk(cluster, token)
        let own = try cluster.token("--node", "node-1")
        let second = try cluster.join("node-1", own, data: "\(cluster.directory)/agents/new")
        try eventually("it is the node now", seen: { second.text }) {
          second.text.contains("this machine is node node-1")
        }
        try eventually("node-1 is Ready") { try cluster.isReady("node-1") }
        try check(second.text.contains("agent: not yet: node name "), second.text)
      }
    }
  }

  private func refusalOnAnotherDisk(_ cluster: TestCluster, _ token: String) throws {
    let program = try cluster.join("node-1", token, data: "\(cluster.directory)/agents/new")
    try checkEqual(try program.end(within: 60), 1, "status")
    try check(program.text.contains("kubectl delete node node-1"), program.text)
  }
}
