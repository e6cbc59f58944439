// `stint up` from start to Ctrl-C, and again on the same data.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite("A whole cluster from one command")
struct UpTests {
  @Test("Ctrl-C ends everything with status 0 and leaves no process; a second start still has the Jobs")
  func upAndAgain() async throws {
    try await Blocking.run {
      let cluster = try TestCluster(timing: [])
      defer { cluster.end() }
      var program = try up(cluster, 1)
      try cluster.apply(cluster.manifest("done", .brief("0.1")))
      try cluster.must("wait", "job/done", "--for=complete", "--timeout", "60s", "-q")
      try cluster.apply(cluster.manifest("long", completions: 3, parallelism: 3, .untilTold))
      try eventually("three pods sign") { cluster.ledger.attempts.count == 4 }
      try interrupt(program, cluster)
      let stopped = cluster.ledger.signs.count

      program = try up(cluster, 2)
      try checkEqual(cluster.status("done", "succeeded"), 1, "succeeded of the Job that was done")
      try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
      try cluster.must("wait", "job/long", "--for=complete", "--timeout", "90s", "-q", within: 100)
      try checkEqual(cluster.status("long", "succeeded"), 3, "succeeded of the Job that ran at the stop")
      // Its pods ended with their nodes, not by their own doing: no failure, no pause before the next ones.
      try checkEqual(cluster.status("long", "failed"), 0, "failed of the Job that ran at the stop")
      try check(cluster.ledger.signs.count > stopped, "nobody ran after the second start")
      try cluster.ledger.checkNothingRanTwice(parallelism: 4)
      try interrupt(program, cluster)
    }
  }

  @Test("after a kill -9 a second start takes over: the same pods run on, and Ctrl-C leaves nothing")
  func killed() async throws {
    try await Blocking.run {
      let cluster = try TestCluster(timing: [])
      defer { cluster.end() }
      var program = try up(cluster, 1)
      try cluster.apply(cluster.manifest("kept", completions: 4, parallelism: 4, .untilTold))
      try eventually("four pods sign") { cluster.ledger.attempts.count == 4 }
      let shells = Processes.shells(with: cluster.mark)
      try program.killAndReap()
      program = try up(cluster, 2)
      try check(program.text.contains("taking over what a cluster"), program.text)
      try checkEqual(Processes.shells(with: cluster.mark), shells, "pods after the second start")
      try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
      try cluster.must("wait", "job/kept", "--for=complete", "--timeout", "60s", "-q")
      try checkEqual(cluster.ledger.attempts.count, 4, "attempts")
      try interrupt(program, cluster)
    }
  }

  @Test("a coordinator and an agent that are killed come back by themselves, and their pods have not noticed")
  func restarted() async throws {
    try await Blocking.run {
      let cluster = try TestCluster(timing: [])
      defer { cluster.end() }
      let program = try up(cluster, 1)
      try cluster.apply(cluster.manifest("kept", completions: 4, parallelism: 4, .untilTold))
      try eventually("four pods sign") { cluster.ledger.attempts.count == 4 }
      let shells = Processes.shells(with: cluster.mark)
      try kill(holderOf: "\(cluster.directory)/coordinator/lock")
      try kill(holderOf: "\(cluster.dataDirectory("node-1"))/agent.lock")
      try eventually("it tells that both are back", seconds: 60) {
        ["coordinator is started again", "node-1 is started again"].allSatisfy(program.text.contains)
      }
      try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
      try cluster.must("wait", "job/kept", "--for=complete", "--timeout", "60s", "-q")
      try checkEqual(cluster.ledger.attempts.count, 4, "attempts")
      try check(!shells.isEmpty, "no pod was seen")
      try interrupt(program, cluster)
    }
  }

  @Test("what was killed and started again by hand ends with Ctrl-C too, and so does an agentless keeper")
  func restartedByHand() async throws {
    try await Blocking.run {
      let cluster = try TestCluster(timing: [])
      defer { cluster.end() }
      let program = try up(cluster, 1, "--restart=false")
      try cluster.apply(cluster.manifest("kept", completions: 4, parallelism: 4, .untilTold))
      try eventually("four pods sign") { cluster.ledger.attempts.count == 4 }
      try kill(holderOf: "\(cluster.directory)/coordinator/lock")
      try kill(holderOf: "\(cluster.dataDirectory("node-1"))/agent.lock")
      try eventually("it tells of both") {
        ["coordinator ended (signal 9)", "node-1 ended (signal 9)"].allSatisfy(program.text.contains)
      }
      try check(!program.text.contains("out of reach"), "a line of the start as the cause of a kill: \(program.text)")
      try cluster.startCoordinator()
      try eventually("the coordinator serves") { try cluster.stint("get", "jobs").status == 0 }
      try interrupt(program, cluster)
      try checkEqual(found(cluster.coordinator, "coordinator").end(within: 5), 0, "the coordinator's exit status")
    }
  }

  @Test("an address that somebody else listens on is named before anything starts; so is one that others could reach")
  func takenAddress() async throws {
    try await Blocking.run {
      let cluster = try TestCluster(timing: [])
      defer { cluster.end() }
      let loop = try EventLoop()
      let other = try Listener(loop: loop, at: .tcp(host: "127.0.0.1", port: 0)) { $0.close() }
      defer { other.close() }
      let taken = try Program(
        ["up", "--data", "\(cluster.directory)/new/data", "--listen", other.address.description],
        output: "\(cluster.directory)/taken")
      try checkEqual(taken.end(within: 20), 1, "the exit status with a taken address")
      try check(taken.text.hasPrefix("error: listen on \(other.address)"), taken.text)
      try check(taken.text.contains("give another --listen"), taken.text)
      try check(!Files.exists("\(cluster.directory)/new"), "a refused start left directories")
      let open = try Program(
        ["up", "--data", cluster.directory, "--listen", "0.0.0.0:1"], output: "\(cluster.directory)/open")
      try checkEqual(open.end(within: 20), 2, "the exit status with an open address")
      try check(open.text.contains("only loopback addresses"), open.text)
    }
  }

  @Test("a second Ctrl-C and a new start: a lost pod has no running container, is not ready, and tells why")
  func forcedStop() async throws {
    try await Blocking.run {
      let cluster = try TestCluster(timing: [])
      defer { cluster.end() }
      var program = try up(cluster, 1)
      try cluster.apply(cluster.manifest("lost", .untilTold))
      try eventually("the pod signs") { cluster.ledger.attempts.count == 1 }
      let name = try cluster.stint("get", "pods", "-l", "job-name=lost", "-o", "name").text.split(separator: "\n")[0]
      for member in ["node-1", "node-2"] {
        try kill(holderOf: "\(cluster.dataDirectory(member))/agent.lock")
        try kill(holderOf: "\(cluster.dataDirectory(member))/keeper.lock")
      }
      try program.killAndReap()
      program = try up(cluster, 2)
      try eventually("the pod is told as lost", seconds: 90) {
        try cluster.stint("get", String(name), "-o", "yaml").text.contains("reason: ContainerStatusUnknown")
      }
      let row = try cluster.stint("get", String(name), "--no-headers").text
      try check(row.contains("0/1"), row)
      let pod = try cluster.stint("get", String(name), "-o", "yaml").text
      try check(!pod.contains("running:"), pod)
      try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
      try interrupt(program, cluster)
    }
  }

  private func kill(holderOf lock: String) throws {
    let pid = try found(Int32(Files.readLine(lock)), "pid in \(lock)")
    guard Glibc.kill(pid, SIGKILL) == 0 else { throw IOError.last("kill", lock) }
  }

  private func up(_ cluster: TestCluster, _ number: Int, _ more: String...) throws -> Program {
    let program = try Program(
      ["up", "--agents", "2", "--data", cluster.directory, "--listen", cluster.server, "--images", "off"]
        + more,
      output: "\(cluster.directory)/up-\(number)")
    try eventually("the cluster is up", seconds: 60, seen: { program.text }) {
      try check(program.isRunning, "it ended: \(program.text)")
      return program.text.contains("The cluster is up")
    }
    return program
  }

  @Test("one Ctrl-C ends a cluster whose agent is stopped: it is told, and killed with its pods")
  func stoppedAgent() async throws {
    try await Blocking.run {
      let cluster = try TestCluster(timing: [])
      defer { cluster.end() }
      let program = try up(cluster, 1)
      try cluster.apply(cluster.manifest("kept", completions: 2, parallelism: 2, .untilTold))
      try eventually("two pods sign") { cluster.ledger.attempts.count == 2 }
      let agent = try Files.readLine("\(cluster.dataDirectory("node-1"))/agent.lock")
      try checkEqual(Glibc.kill(found(Int32(agent), "its process"), SIGSTOP), 0, "stopping the agent")
      try interrupt(program, cluster, within: 120)
      try check(program.text.contains("node-1 does not end by itself; killing it"), program.text)
    }
  }

  private func interrupt(_ program: Program, _ cluster: TestCluster, within seconds: Int64 = 60) throws {
    let start = uptime()
    program.child.signal(SIGINT)
    try checkEqual(program.end(within: seconds), 0, "the exit status after Ctrl-C")
    let left = Processes.mentioning(cluster.directory)
    try check(left.isEmpty, "still running: \(left); it printed \(program.text)")
    print("stint up: gone \(uptime() - start) s after Ctrl-C")
  }
}
