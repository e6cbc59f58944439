// What a local user without rights gets of a cluster on the same machine: nothing.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import stint

@Suite("A local user without rights")
struct LocalUserTests {
  private static let canTry = geteuid() == 0 && Files.exists("/usr/bin/setpriv")

  /// Runs shell commands as nobody; all that they printed.
  private static func asNobody(_ script: String, _ cluster: TestCluster) throws -> String {
    let output = "/tmp/stint-nobody-\(Hexadecimal.text(try Crypto.randomBytes(5)))"
    defer { unlink(output) }
    let program = try Program(
      ["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", "/bin/sh", "-c", script],
      path: "/usr/bin/setpriv", output: output)
    _ = try program.end(within: 60)
    return program.text
  }

  @Test(
    "data directories, sockets, /proc and abstract names give nothing, and the ports ask who it is",
    .enabled(if: canTry, "needs root, to become somebody else"))
  func nothing() throws {
    try TestCluster.with(agents: 1) { cluster in
      try cluster.apply(Work.untilTold.job("work", ledger: "\(cluster.directory)/ledger", mark: cluster.mark))
      try eventually("it works", seconds: 60) { Files.exists(cluster.ledgerPath) }
      let data = ["\(cluster.directory)/coordinator", "\(cluster.directory)/agents/node-1"]
      // That the script can tell at all: what is for everybody is found by it.
      let open = "\(cluster.directory)/open"
      try Files.makeDirectory(open, mode: 0o755)
      try Files.writeAtomically("\(open)/file", Array("x".utf8), mode: 0o644)
      chmod(cluster.directory, 0o755)
      func look(_ places: [String]) throws -> String {
        try Self.asNobody(
          "for d in \(places.joined(separator: " ")); do find $d -mindepth 1 \\( -type f -o -type s \\) 2> /dev/null; "
            + "ls $d/* 2> /dev/null; cat $d/*.json $d/*.kubeconfig $d/*.db 2> /dev/null; done; true", cluster)
      }
      #expect(try look([open]).contains("/open/file"))
      let seen = try look(data)
      #expect(seen.isEmpty, "\(seen.prefix(1_000))")
      for path in data.flatMap({ AuditTests.files($0) }) {
        var status = stat()
        guard lstat(path, &status) == 0 else { continue }
        let isOwned = ["/pki/", "/identity/", ".kubeconfig", ".db", ".sock", "coordinator.json"].contains {
          path.contains($0)
        }
        // Behind a closed directory already; a copy that keeps modes must not open them either.
        if isOwned {
          #expect(status.st_mode & 0o077 == 0, "\(path) has mode \(String(status.st_mode & 0o777, radix: 8))")
        }
      }

      try lookAtProcesses(cluster)

      // Sockets with an abstract name have no owner: there are none. Those with a path are where nobody comes.
      let names = String(decoding: try Files.read("/proc/net/unix"), as: UTF8.self).split(separator: "\n")
      #expect(!names.contains { $0.contains("@") && $0.contains("stint") })
      let sockets = names.compactMap { $0.split(separator: " ").last }.filter { $0.hasPrefix(cluster.directory) }
      #expect(!sockets.isEmpty)
      for socket in sockets {
        let answer = try Self.asNobody(
          "test -e \(socket) && echo seen; test -w \(socket) && echo writable; true", cluster)
        #expect(answer.isEmpty, "\(socket): \(answer)")
      }

      // Without a certificate: refused by both doors, in words.
      let asked = try Self.asNobody(
        "HOME=/nonexistent \(Processes.program) get nodes --server \(cluster.server); "
          + "HOME=/nonexistent \(Processes.program) get nodes --kubeconfig \(cluster.kubeconfig); true", cluster)
      #expect(asked.contains("there is no kubeconfig"), "\(asked)")
      #expect(asked.contains("Permission denied"), "\(asked)")
      try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
    }
  }

  /// What /proc shows of the cluster's processes, and of agents that were just given join tokens.
  private func lookAtProcesses(_ cluster: TestCluster) throws {
    // One that was given its token in the environment, and one in its words.
    try eventually("the kubeconfig is there") { Files.exists(cluster.kubeconfig) }
    let tokens = [try cluster.token("--uses", "1"), try cluster.token("--uses", "1")]
    try cluster.join("node-2", tokens[0])
    try cluster.join("node-3", "", environment: ["STINT_JOIN=\(tokens[1])"])
    try eventually("they have joined", seconds: 60) { try cluster.isReady("node-2") && cluster.isReady("node-3") }
    let own = Processes.mentioning(cluster.directory)
    #expect(own.count > 5)
    let files = own.flatMap { process in
      ["environ", "maps", "mem", "fd/0", "root/etc/hostname", "cwd/x", "auxv", "stack"].map {
        "/proc/\(process.pid)/\($0)"
      }
    }
    let read = try Self.asNobody("cat \(files.joined(separator: " ")) 2> /dev/null; true", cluster)
    #expect(read.isEmpty, "\(read.prefix(1_000))")

    // What everybody may read of a process says nothing: its words above all.
    let shown = own.flatMap { process in
      ["cmdline", "comm", "status", "stat", "task/\(process.pid)/cmdline", "mountinfo", "net/unix"].map {
        "/proc/\(process.pid)/\($0)"
      }
    }
    let said = try Self.asNobody("cat \(shown.joined(separator: " ")) 2> /dev/null; true", cluster)
    #expect(said.contains("--join") && said.contains("coordinator"), "\(said.prefix(1_000))")
    for token in tokens {
      let secret = try JoinToken(parsing: token).secret
      #expect(!said.contains(secret) && secret.utf8.count > 16)
    }
  }
}
