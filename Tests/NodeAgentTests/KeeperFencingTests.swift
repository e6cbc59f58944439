// Owns: tests of K1, K3 and K4 on real keeper processes: what a lost lease, a lost agent and a lost keeper do to pods.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import NodeAgent

/// Both ways of freezing.
private let freezers: [[String]] = [[], ["--no-cgroups"]]

@Suite(.enabled(if: isRoot, "needs root")) struct KeeperFencingTests {
  /// A script that counts into a file for ever, quickly.
  private func counting(_ file: String) -> String { "while :; do echo x >>\(file); sleep 0.02; done" }

  private func grows(_ file: String) -> Bool {
    let before = text(file).utf8.count
    return eventually { text(file).utf8.count > before }
  }

  /// Whether the file stays as it is for 200 ms.
  private func stands(_ file: String) -> Bool {
    let before = text(file)
    let end = Clocks.boot() + 200_000_000
    _ = eventually { Clocks.boot() > end || text(file) != before }
    return text(file) == before
  }

  @Test("a pod is not started when its lease is over, and never under another keeper's name")
  func notStarted() throws {
    let keeper = try TestKeeper()
    let file = "\(keeper.scratch.path)/ran"
    try keeper.start(1, script: "touch \(file)", leaseMilliseconds: -1)
    var foreign = keeper.assignment(2, ["restartPolicy": "Never", "containers": [shell("main", "touch \(file)")]])
    foreign.keeper = "somebody else"
    try keeper.start(foreign)
    for attempt: AttemptNumber in [1, 2] { keeper.send(.stop(attempt, graceMilliseconds: 0)) }
    #expect(keeper.waitForEnd(1)?.phase == .failed)
    #expect(keeper.waitForEnd(2)?.phase == .failed)
    // Ended without a run: a start that comes late changes nothing.
    try keeper.start(1, script: "touch \(file)")
    try keeper.start(3, script: "true")
    #expect(keeper.waitForEnd(3)?.phase == .succeeded)
    #expect(!Files.exists(file))
  }

  @Test("at its deadline a pod is frozen, and goes on at the coordinator's word", arguments: freezers)
  func thaw(freezer: [String]) throws {
    let keeper = try TestKeeper(KeeperSetting(arguments: freezer))
    let file = "\(keeper.scratch.path)/count"
    try keeper.start(1, script: counting(file), leaseMilliseconds: 400, tolerationMilliseconds: 300)
    #expect(grows(file))
    #expect(keeper.wait { keeper.reports[1]?.frozen == true })
    #expect(stands(file))
    #expect(keeper.status(1)?.phase == .running)
    keeper.send(.renew(leaseEnd: keeper.leaseEnd(in: 60_000), attempts: [1]))
    keeper.send(.thaw(1))
    #expect(keeper.wait { keeper.reports[1]?.frozen == false })
    #expect(grows(file))
    keeper.send(.stop(1, graceMilliseconds: 0))
    #expect(keeper.waitForEnd(1)?.phase == .failed)
    #expect(stands(file))
  }

  @Test("a frozen pod dies at the coordinator's word, and by itself after the frozen time", arguments: freezers)
  func killFrozen(freezer: [String]) throws {
    let keeper = try TestKeeper(KeeperSetting(arguments: freezer + ["--frozen-kill", "500"]))
    for attempt: AttemptNumber in [1, 2] {
      let file = "\(keeper.scratch.path)/count\(attempt)"
      try keeper.start(attempt, script: counting(file), leaseMilliseconds: 400, tolerationMilliseconds: 200)
    }
    #expect(keeper.wait { keeper.reports[1]?.frozen == true && keeper.reports[2]?.frozen == true })
    keeper.send(.stop(1, graceMilliseconds: 30_000))
    #expect(keeper.waitForEnd(1)?.containers.first?.state.termination?.exitCode == 137)
    #expect(keeper.waitForEnd(2)?.reason == "NodeLost")
    #expect(processes(with: "\(keeper.scratch.path)/count") == [])
  }

  @Test("a pod that prefers death hears SIGTERM before its deadline and is dead at it")
  func prefersDeath() throws {
    let keeper = try TestKeeper()
    try keeper.start(
      1, script: "trap 'echo told' TERM; while :; do sleep 0.02; done", leaseMilliseconds: 400,
      tolerationMilliseconds: 300, annotations: ["stint.dev/on-lease-end": "kill"])
    let status = keeper.waitForEnd(1)
    #expect(status?.reason == "NodeLost")
    #expect(keeper.log(1) == "told\n")
  }

  @Test("a killed keeper takes its pods along, double forks too, and its successor proves it and restarts nothing")
  func successor() throws {
    let keeper = try TestKeeper()
    let file = "\(keeper.scratch.path)/count"
    let script = "(setsid sh -c '\(counting(file + ".fork"))' &); \(counting(file))"
    try keeper.start(1, script: script)
    try keeper.start(2, script: "exit 3")
    #expect(keeper.waitForEnd(2)?.phase == .failed)
    #expect(grows(file + ".fork") && grows(file))
    let inits = try PodSweep.inits(of: keeper.data)
    #expect(inits.count == 1)
    let old = keeper.identity
    var again = keeper.assignment(1, ["restartPolicy": "Never", "containers": [shell("main", script)]])
    try keeper.replace()
    #expect(inits.allSatisfy { !$0.isAlive })
    #expect(processes(with: file) == [])
    #expect(keeper.identity != old)
    #expect(keeper.sweptKeepers == [old])
    // What was not acknowledged is told again; what had no end is left to the sweep.
    #expect(keeper.status(2)?.containers.first?.state.termination?.exitCode == 3)
    #expect(keeper.reports[1] == nil)
    try keeper.start(again)
    again.attempt = 4
    keeper.send(.stop(4, graceMilliseconds: 0))
    #expect(keeper.waitForEnd(4)?.phase == .failed)
    #expect(stands(file))
  }

  @Test("a stopped keeper is killed by its own timer at the first deadline, and its pods with it")
  func deathTimer() throws {
    let keeper = try TestKeeper()
    let file = "\(keeper.scratch.path)/count"
    try keeper.start(1, script: counting(file), leaseMilliseconds: 700, tolerationMilliseconds: 500)
    #expect(grows(file))
    keeper.child.signal(SIGSTOP)
    #expect(eventually { keeper.child.reap() != nil })
    #expect(keeper.child.status == .signaled(signal: SIGKILL))
    #expect(eventually { processes(with: file).isEmpty })
    #expect(stands(file))
  }

  @Test("pods go on, and may write as much as they like, while no agent is there")
  func withoutAgent() throws {
    let keeper = try TestKeeper()
    let done = "\(keeper.scratch.path)/done"
    try keeper.start(
      1, script: "yes 'a line of some length, of which there are many' | head -c 30000000; touch \(done)")
    #expect(keeper.wait { keeper.status(1)?.phase == .running })
    keeper.disconnect()
    #expect(eventually(seconds: 60) { Files.exists(done) })
    try keeper.connect()
    #expect(keeper.waitForEnd(1)?.phase == .succeeded)
    // The cap: two files, each at most half of it, the end of a line and one queue more.
    let directory = keeper.paths.logs(1, container: "main")
    let sizes = try Files.list(directory).map { try Files.status("\(directory)/\($0)").size }
    #expect(sizes.count == 2)
    #expect(sizes.allSatisfy { $0 <= LogFile.usualLimit / 2 + 2 << 20 })
  }

  @Test("an end is told again to a new agent until it is acknowledged")
  func acknowledged() throws {
    let keeper = try TestKeeper()
    try keeper.start(1, script: "true")
    #expect(keeper.waitForEnd(1)?.phase == .succeeded)
    for isKnown in [true, false] {
      keeper.disconnect()
      keeper.reports = [:]
      try keeper.connect()
      #expect((keeper.reports[1] != nil) == isKnown)
      keeper.send(.acknowledge([1]))
    }
  }

  @Test("a second keeper of a data directory is refused; an idle one leaves, and leaves nothing")
  func idle() throws {
    let keeper = try TestKeeper(KeeperSetting(arguments: ["--idle-exit", "200"]))
    let program = "\(Files.split(CommandLine.arguments[0]).parent)/NodeHarness"
    #expect(try !run(program, "keeper", "--data", keeper.data))
    #expect(keeper.child.reap() == nil)
    keeper.disconnect()
    #expect(eventually { keeper.child.reap() != nil })
    #expect(keeper.child.status == .exited(code: 0))
  }

  @Test("a shutdown ends every pod with its grace, then the keeper")
  func shutDown() throws {
    let keeper = try TestKeeper()
    let file = "\(keeper.scratch.path)/count"
    try keeper.start(1, script: "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.02; done")
    try keeper.start(2, script: "trap '' TERM; \(counting(file))")
    #expect(grows(file))
    #expect(keeper.wait { keeper.log(1) == "ready\n" }, "its trap is set")
    keeper.send(.shutDown(graceMilliseconds: 500))
    #expect(keeper.waitForEnd(1)?.containers.first?.state.termination?.exitCode == 0)
    #expect(keeper.waitForEnd(2)?.containers.first?.state.termination?.exitCode == 137)
    keeper.send(.acknowledge([1, 2]))
    #expect(keeper.wait { keeper.child.reap() != nil })
    #expect(keeper.child.status == .exited(code: 0))
    #expect(keeper.log(1) == "ready\nbye\n")
  }

  @Test("where neither root nor bubblewrap can make namespaces a pod fails with the reason, and the hello says so")
  func neither() throws {
    let hidden = "mount --bind /dev/null /usr/bin/bwrap; exec \"$@\""
    let wrapper = ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", hidden, "sh"]
    let keeper = try TestKeeper(KeeperSetting(asNobody: true, wrapper: wrapper))
    #expect(!keeper.fencesFully)
    let assignment = keeper.assignment(1, ["restartPolicy": "Never", "containers": [shell("main", "true")]])
    try keeper.start(assignment)
    let status = keeper.waitForEnd(1)
    #expect(status?.reason == "FailedCreatePodSandBox")
    #expect(status?.message.contains("bubblewrap is not installed") == true)
    #expect(status?.containers.isEmpty == true)
  }

  @Test("`ps` shows a pod's init as a pod of its directory, not as another keeper", .enabled(if: isRoot, "needs root"))
  func title() throws {
    let keeper = try TestKeeper()
    try keeper.start(1, script: "while :; do sleep 0.02; done")
    #expect(keeper.wait { keeper.reports[1]?.status.phase == .running })
    let words = processes(with: keeper.data).map { pid in
      text("/proc/\(pid)/cmdline").split(separator: "\0").dropFirst().prefix(3).joined(separator: " ")
    }
    #expect(words.sorted() == ["keeper --data \(keeper.data)", "pod --data \(keeper.data)"])
  }

  @Test("a keeper whose bubblewrap fails says so, tries again, and says when pods start again; and the other way round")
  func heals() throws {
    let place = try Scratch()
    let script = "\(place.path)/bwrap"
    try Files.writeAtomically(
      script,
      Array(
        """
        #!/bin/sh
        [ -e \(place.path)/works ] && exec \(place.path)/bwrap.real "$@"
        echo "bwrap: Can't mount proc on /newroot/proc: Operation not permitted" >&2
        exit 1

        """.utf8))
    chmod(script, 0o755)
    try #require(try run("/bin/cp", "/usr/bin/bwrap", "\(place.path)/bwrap.real"))
    let hidden = "mount --bind \(script) /usr/bin/bwrap; exec \"$@\""
    let wrapper = ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", hidden, "sh"]
    let keeper = try TestKeeper(KeeperSetting(asNobody: true, wrapper: wrapper))
    #expect(!keeper.fencesFully)
    #expect(keeper.detail.contains("bubblewrap: bwrap: Can't mount proc on /newroot/proc: Operation not permitted"))
    #expect(keeper.detail.contains("let its user make namespaces"))
    try Files.writeAtomically("\(place.path)/works", [])
    #expect(keeper.wait { !keeper.isConnected }, "the next hello says it")
    try keeper.connect()
    #expect(keeper.fencesFully)
    try keeper.start(1, script: "echo works")
    #expect(keeper.waitForEnd(1)?.phase == .succeeded)
    unlink("\(place.path)/works")
    try keeper.start(2, script: "true")
    #expect(keeper.waitForEnd(2)?.phase == .failed)
    #expect(keeper.wait { !keeper.isConnected })
    try keeper.connect()
    #expect(!keeper.fencesFully)
  }
}
