// A coordinator's data directory that an agent is told of and that is not its coordinator's, or no more, with real
// processes: whose identity the agent shows, and when another one takes its place.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite("An agent beside a coordinator's directory")
struct LeftBehindTests {
  private func with(_ body: (TestCluster) throws -> Void) throws {
    let cluster = try TestCluster(timing: TestCluster.quick)
    defer { cluster.end() }
    do {
      try cluster.startCoordinator()
      try eventually("the kubeconfig is there") { Files.exists(cluster.kubeconfig) }
      try body(cluster)
    } catch {
      throw Failure("\(error)\n\(cluster.story())")
    }
  }

  private func identity(_ cluster: TestCluster, _ node: String) throws -> Identity {
    try Identity(directory: "\(cluster.dataDirectory(node))/identity")
  }

  @Test(
    "a directory that was left behind when the coordinator moved holds up no exchange, and replaces nothing after it")
  func leftBehind() async throws {
    try await Blocking.run {
      try with { cluster in
        let old = "\(cluster.directory)/left-behind"
        let copy = try Program(
          ["-a", "\(cluster.directory)/coordinator", old], path: "/bin/cp", output: "\(cluster.directory)/logs/cp")
        try checkEqual(try copy.end(within: 30), 0, "status of cp")
        let flags = ["--authority", old, "--coordinator", cluster.server]
        let agent = try cluster.join("node-1", "", more: flags)
        try eventually("node-1 is Ready", seen: { agent.text }) { try cluster.isReady("node-1") }
        let before = try identity(cluster, "node-1")
        try cluster.must("ca", "rotate", "--timeout", "60s", within: 90)
        try eventually("it believes the new authority alone", seconds: 30) {
          let now = try identity(cluster, "node-1")
          return now.signer != before.signer && Certificates.keyDigests(ofBundle: now.authority) == [now.signer]
        }
        try agent.killAndReap(SIGTERM)
        // Once nobody writes there any more.
        let moved = try identity(cluster, "node-1")
        for more in [flags, [], flags] {
          let again = try cluster.join("node-1", "", more: more)
          try eventually("it is connected", seen: { again.text }) { again.text.contains("connected to the coord") }
          try checkEqual(
            again.text.contains("is not used: this node's identity is of authority"), !more.isEmpty, "said")
          try again.killAndReap(SIGTERM)
          try check(try identity(cluster, "node-1") == moved, "the identity is another one")
        }
      }
    }
  }

  @Test("on the coordinator's own machine an agent that was away during an exchange is given the new identity")
  func away() async throws {
    try await Blocking.run {
      try with { cluster in
        try cluster.startAgent("node-1")
        try eventually("node-1 is Ready") { try cluster.isReady("node-1") }
        let before = try identity(cluster, "node-1")
        try cluster.killAgent("node-1", SIGTERM)
        try checkEqual(try cluster.stint("ca", "rotate", "--timeout", "2s").status, 124, "status")
        try cluster.must("ca", "rotate", "--force")
        try cluster.startAgent("node-1")
        let agent = try found(cluster.agents["node-1"], "agent")
        try eventually("it is connected", seen: { agent.text }) { agent.text.contains("connected to the coord") }
        try eventually("the identity is the new one's") {
          let now = try identity(cluster, "node-1")
          return now.signer != before.signer && now.own.key == before.own.key
        }
        try eventually("node-1 is Ready") { try cluster.isReady("node-1") }
        try check(agent.text.contains("the coordinator is of the authority in --authority"), agent.text)
        try check(!agent.text.contains("make a token"), agent.text)
      }
    }
  }
}
