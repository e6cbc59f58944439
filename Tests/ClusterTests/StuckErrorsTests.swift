// A coordinator and an agent whose standard error takes nothing more: a terminal that is stopped, a log collector that
// hangs. What they say there is lost; nothing else is.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite("Standard error that nobody reads") struct StuckErrorsTests {
  /// Bash that makes its standard error a full pipe. Opened for both ways it needs no reader, and never has one.
  private static func fill(_ fifo: String) -> String {
    "mkfifo \(fifo); exec 2<>\(fifo); head -c 65536 /dev/zero >&2"
  }

  @Test("a coordinator and its agent with full pipes for their errors serve, run Jobs, see a loss, and stop politely")
  func stuck() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 0) { cluster in
        try cluster.killCoordinator()
        try cluster.startCoordinator(shell: Self.fill("\(cluster.directory)/coordinator.errors"))
        try cluster.issue("node-1")
        let script = "\(Self.fill("\(cluster.directory)/agent.errors")); exec \"$0\" \"$@\""
        try cluster.startAgent("node-1", as: ["/bin/bash", "-c", script, Processes.program])
        try cluster.startAgent("node-2")
        try cluster.waitForNodes(2)
        try Self.use(cluster)
        for name in ["coordinator", "agent"] {
          try check(try Self.isFull("\(cluster.directory)/\(name).errors"), "the pipe of \(name) has room")
        }
        let coordinator = try found(cluster.coordinator, "coordinator")
        coordinator.child.signal(SIGTERM)
        try checkEqual(coordinator.end(within: 20), 0, "the coordinator's exit status")
        let agent = try found(cluster.agents["node-1"], "agent")
        agent.child.signal(SIGTERM)
        try checkEqual(agent.end(within: 20), 0, "the agent's exit status")
      }
    }
  }

  /// Jobs run, refusals and a lost node are told to the log, and what was lost runs elsewhere.
  private static func use(_ cluster: TestCluster) throws {
    try cluster.apply(cluster.manifest("works", completions: 20, parallelism: 10, .brief("0")))
    try cluster.must("wait", "job/works", "--for=complete", "--timeout", "60s", "-q")
    try cluster.apply(cluster.manifest("lost", completions: 4, parallelism: 4, .untilTold))
    try eventually("four pods sign") { cluster.ledger.attempts.count == 24 }
    kill(try cluster.keeper(of: "node-2").pid, SIGKILL)
    try cluster.killAgent("node-2")
    try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
    try cluster.must("wait", "job/lost", "--for=complete", "--timeout", "60s", "-q")
    try cluster.ledger.checkNothingRanTwice(parallelism: 14)
  }

  /// Whether the pipe takes nothing more.
  private static func isFull(_ fifo: String) throws -> Bool {
    let descriptor = open(fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else { throw IOError.last("open", fifo) }
    defer { close(descriptor) }
    return write(descriptor, "x", 1) < 0 && errno == EAGAIN
  }
}
