// Doubles of a node, with real processes: a data directory moved or copied, two machines of one image. The first one's
// pods may run as long as their leases do; no second copy starts before, and nobody living is thrown out.

import ClusterIO
import ClusterProto
import Glibc
import NodeAgent
import Testing

private let isRoot = geteuid() == 0

@Suite("Doubles of a node prove nothing", .enabled(if: isRoot, "mounts need root"))
struct DoubleTests {
  /// Three pods run on node-1; then `body`; at the end all replacements complete and nothing has run twice at once.
  private func with(_ body: @escaping @Sendable (TestCluster, _ elsewhere: String) throws -> Void) async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 2) { cluster in
        let elsewhere = "\(cluster.directory)/elsewhere"
        try Files.makeDirectory(elsewhere)
        try check(mount("none", elsewhere, "tmpfs", 0, nil) == 0, "mount: \(errno)")
        // Whoever is still there when the cluster ends goes with its processes; the mount is detached at once.
        defer { umount2(elsewhere, Int32(MNT_DETACH)) }
        try cluster.must("cordon", "node-2")
        try cluster.apply(cluster.manifest("doubled", completions: 3, parallelism: 3, .untilTold))
        try eventually("three pods sign on node-1") { cluster.ledger.attempts.count == 3 }
        try body(cluster, elsewhere)
      }
    }
  }

  private func finish(_ cluster: TestCluster, attempts: Int) throws {
    try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
    try cluster.must("wait", "job/doubled", "--for=complete", "--timeout", "60s", "-q")
    try cluster.ledger.checkNothingRanTwice(parallelism: 3)
    try checkEqual(cluster.ledger.attempts.count, attempts, "attempts")
    try checkEqual(cluster.status("doubled", "failed"), 0, "failed")
  }

  private func copy(_ from: String, _ to: String, isMove: Bool) throws {
    let child = try Child(
      Child.Options(
        path: isMove ? "/bin/mv" : "/bin/cp", arguments: isMove ? ["mv", from, to] : ["cp", "-a", from, to],
        environment: ["PATH=/usr/bin:/bin"]))
    try eventually("\(from) is at \(to)") { child.reap() != nil }
    try checkEqual(child.status, .exited(code: 0), "its copying")
  }

  @Test(
    "a data directory moved or copied to another file system while the agent is stopped: the new agent waits for R",
    arguments: [true, false])
  func movedDirectory(isMove: Bool) async throws {
    try await with { cluster, elsewhere in
      try cluster.killAgent("node-1", SIGTERM)
      try copy(cluster.dataDirectory("node-1"), "\(elsewhere)/data", isMove: isMove)
      try cluster.startDouble(of: "node-1", data: "\(elsewhere)/data")
      try eventually("the new agent is told why it waits", seconds: 30) {
        cluster.agents["node-1-double"]?.text.contains("another data directory") == true
      }
      try eventually("three replacements sign", seconds: 60, every: 100) { cluster.ledger.attempts.count == 6 }
      try eventually("the moved node is Ready", seconds: 60, every: 100) { try cluster.isReady("node-1") }
      try finish(cluster, attempts: 6)
    }
  }

  @Test("a second agent on a copy of a running agent's directory is refused, and the first one's pods go on")
  func copiedWhileRunning() async throws {
    try await with { cluster, elsewhere in
      try copy(cluster.dataDirectory("node-1"), "\(elsewhere)/data", isMove: false)
      try cluster.startDouble(of: "node-1", data: "\(elsewhere)/data")
      try standsByTheFirst(cluster, because: "another data directory")
    }
  }

  @Test(
    "a second machine of one image is refused with the reason: attempts stay put, nobody is thrown out",
    arguments: [true, false])
  func twoMachinesOfOneImage(isKeyCopied: Bool) async throws {
    try await with { cluster, elsewhere in
      if isKeyCopied {
        let first = NodePaths(data: cluster.dataDirectory("node-1")).identity
        try Identity(directory: first).write(directory: NodePaths(data: "\(elsewhere)/data").identity)
      }
      try Files.writeAtomically("\(elsewhere)/boot_id", Array("11111111-2222-3333-4444-555555555555\n".utf8))
      let script = "mount --bind \(elsewhere)/boot_id /proc/sys/kernel/random/boot_id && exec \"$@\""
      let wrapper = ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", script, "sh"]
      try cluster.startDouble(of: "node-1", data: "\(elsewhere)/data", wrapper: wrapper)
      try standsByTheFirst(cluster, because: isKeyCopied ? "another data directory" : "belongs to another key")
    }
  }

  /// The double is refused time and again, for longer than a lease and a toleration, while the first one works on.
  private func standsByTheFirst(_ cluster: TestCluster, because reason: String) throws {
    try eventually("the double is refused twice", seconds: 60, every: 100) {
      let text = cluster.agents["node-1-double"]?.text ?? ""
      let tries = cluster.coordinator?.text.components(of: "deed=refusal").count ?? 0
      return text.contains("refuses this agent") && tries > 2 && text.contains(reason)
    }
    let now = uptime()
    try eventually("the first one's pods sign on", seconds: 30, every: 100) {
      cluster.ledger.attempts.allSatisfy { $0.last > now + 1 }
    }
    try check(try cluster.isReady("node-1"), "node-1 is not Ready")
    try finish(cluster, attempts: 3)
  }
}

extension String {
  /// Its parts between occurrences of `separator`.
  fileprivate func components(of separator: String) -> [Substring] {
    split(separator: separator, omittingEmptySubsequences: false)
  }
}
