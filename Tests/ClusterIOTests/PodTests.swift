// Owns: tests of one pod's life as its keeper sees it: starts, exits, signals, stragglers, freezing. Real processes.

import CLinux
import ClusterIO
import Glibc
import Testing

@Suite(.enabled(if: isRoot, "namespaces by clone need root")) struct PodTests {
  @Test("exit codes and signals are reported, and a slot is used again")
  func exits() throws {
    let pod = try TestPod()
    #expect(try pod.run("echo out; echo err >&2; exit 42").0 == .exited(code: 42))
    #expect(pod.output() == "out\nerr\n")
    #expect(try pod.run("kill -9 $$").0 == .signaled(signal: SIGKILL))
    try pod.start("trap 'exit 7' TERM; echo ready; while :; do sleep 1000 & wait; done")
    #expect(try pod.waitFor("ready"))
    pod.pod.signal(slot: 0, SIGTERM)
    #expect(try turn(pod.loop) { pod.exits[0] == .exited(code: 7) })
    pod.pod.finish()
    #expect(try turn(pod.loop) { pod.gone != nil })
    #expect(pod.gone?.exit == .exited(code: 0))
  }

  @Test("a container's surroundings are exactly the plan's")
  func surroundings() throws {
    let pod = try TestPod()
    var plan = ContainerPlan(
      arguments: [
        "sh", "-c",
        "env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= | sort; pwd; id -u; id -g; id -G; umask; "
          + "ls /proc/self/fd | wc -l; cat /proc/$$/oom_score_adj; cat; "
          + "grep -e SigBlk -e SigIgn /proc/self/status; [ $(cut -d' ' -f6 /proc/$$/stat) = $$ ] && echo leads",
      ], environment: ["PATH=/usr/bin:/bin", "NAME=a b"])
    plan.directory = "/usr"
    plan.userID = 65534
    plan.groupID = 65533
    plan.groups = [7]
    plan.oomScoreAdjust = 500
    try pod.start(plan)
    #expect(try turn(pod.loop) { pod.exits[0] != nil })
    // ls itself holds the directory: 0, 1, 2 and that.
    #expect(
      pod.output() == """
        NAME=a b
        PATH=/usr/bin:/bin
        /usr
        65534
        65533
        65533 7
        0022
        4
        500
        SigBlk:\t0000000000000000
        SigIgn:\t0000000000000000
        leads

        """)
  }

  @Test("a pod's init has nothing of its keeper's heap, also where that has grown since the pod before")
  func heap() throws {
    func heap(_ process: String) throws -> String? {
      let text = String(decoding: try Files.read("/proc/\(process)/maps"), as: UTF8.self)
      return text.split(separator: "\n").map(String.init).first { $0.hasSuffix("[heap]") }
    }
    _ = try #require(try heap("self"))
    var grown: [[UInt8]] = []
    for _ in 0..<3 {
      let pod = try TestPod()
      let identity = try #require(pod.pod.identity)
      #expect(try heap("\(identity.pid)") == nil, "after \(grown.count) blocks")
      #expect(try pod.run("exit 3").0 == .exited(code: 3))
      try pod.end()
      grown += (0..<32).map { _ in [UInt8](repeating: 1, count: 100_000) }
    }
  }

  @Test("a start failure names its stage, its subject and the system's reason")
  func startFailures() throws {
    let pod = try TestPod()
    var plan = ContainerPlan(arguments: ["no-such-command"], environment: ["PATH=/bin:/usr/bin"])
    try pod.start(plan, slot: 0)
    plan.arguments = ["/etc/passwd"]
    try pod.start(plan, slot: 1)
    plan.arguments = ["true"]
    plan.directory = "/no/such"
    try pod.start(plan, slot: 2)
    plan.directory = "/"
    plan.mounts = [.bind(source: "/no/volume", destination: "/mnt")]
    try pod.start(plan, slot: 3)
    #expect(try turn(pod.loop) { pod.failures.count == 4 })
    #expect(pod.failures[0]?.description == "exec: no-such-command: No such file or directory")
    #expect(pod.failures[1]?.description == "exec: /etc/passwd: Permission denied")
    #expect(pod.failures[2]?.description == "workingDir: /no/such: No such file or directory")
    #expect(pod.failures[3]?.description == "mount: bind /no/volume on /mnt: No such file or directory")
    #expect(throws: IOError.self) { try pod.start(ContainerPlan(arguments: ["a\0b"])) }
    #expect(throws: IOError.self) { try pod.start(ContainerPlan(arguments: [])) }
  }

  @Test("an order that the kernel refuses is not lost in silence: its pod ends, and that is told")
  func refusedOrder() throws {
    let pod = try TestPod()
    let identity = try #require(pod.pod.identity)
    let plan = ContainerPlan(arguments: ["true"], environment: ["PATH=/bin:/usr/bin"])
    // No descriptor has such a number: the kernel takes the message with none of them, and not for want of room.
    try pod.pod.startContainer(slot: 0, plan, output: 1_000_000, errors: 1_000_001)
    #expect(try turn(pod.loop) { pod.gone != nil })
    #expect(!identity.isAlive)
    #expect(pod.started.isEmpty)
  }

  @Test("an environment of a megabyte arrives whole")
  func bigPlan() throws {
    let pod = try TestPod()
    let value = String(repeating: "x", count: 100_000)
    let environment = (0..<10).map { "V\($0)=\(value)" } + ["PATH=/usr/bin:/bin"]
    try pod.start(ContainerPlan(arguments: ["sh", "-c", "echo ${#V0} ${#V9}"], environment: environment))
    #expect(try turn(pod.loop) { pod.exits[0] != nil || !pod.failures.isEmpty })
    #expect(pod.output() == "100000 100000\n")
  }

  @Test("what a container leaves behind is dead before its exit is told")
  func stragglers() throws {
    let pod = try TestPod()
    // The grandchild escapes by double fork and session; a pipe of ours tells when it is dead.
    var ends: [Int32] = [-1, -1]
    #expect(pipe(&ends) == 0)
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
    let script = "(setsid sh -c 'trap \"\" TERM HUP; sleep 1000 & sleep 1000' &) ; exit 5"
    try pod.pod.startContainer(
      slot: 0, ContainerPlan(arguments: ["sh", "-c", script], environment: ["PATH=/usr/bin:/bin"]), output: ends[1],
      errors: open("/dev/null", O_WRONLY | O_CLOEXEC))
    #expect(try turn(pod.loop) { pod.exits[0] == .exited(code: 5) })
    var byte: UInt8 = 0
    #expect(read(ends[0], &byte, 1) == 0)
    close(ends[0])
  }

  @Test("a container that starts while another ends is not killed as what the other left")
  func startsWhileAnotherEnds() throws {
    let pod = try TestPod()
    let plan = ContainerPlan(arguments: ["/bin/true"], environment: [])
    // The kernel may give the new container the number of the mount namespace that just went.
    for _ in 0..<300 {
      pod.exits = [:]
      for slot in 0..<3 { try pod.start(plan, slot: slot) }
      #expect(try turn(pod.loop) { pod.exits.count == 3 })
      try #require(pod.exits.values.allSatisfy { $0 == .exited(code: 0) })
    }
  }

  @Test("of two containers one is killed with its stragglers and the other lives on")
  func twoContainers() throws {
    let pod = try TestPod()
    let script = "(setsid sleep 1000 &); echo up; exec sleep 1001"
    try pod.start(script, slot: 0)
    try pod.start(script, slot: 1)
    #expect(try pod.waitFor("up", slot: 0) && pod.waitFor("up", slot: 1))
    let count = "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; echo; done 2>/dev/null | grep -c '^sleep 100'"
    try pod.start(count, slot: 2)
    #expect(try turn(pod.loop) { pod.exits[2] != nil })
    #expect(pod.output(slot: 2) == "4\n")
    pod.pod.killContainer(slot: 0)
    #expect(try turn(pod.loop) { pod.exits[0] == .signaled(signal: SIGKILL) })
    try pod.start(count, slot: 3)
    #expect(try turn(pod.loop) { pod.exits[3] != nil })
    #expect(pod.output(slot: 3) == "2\n")
    #expect(pod.exits[1] == nil)
    pod.pod.killContainer(slot: 1)
    #expect(try turn(pod.loop) { pod.exits[1] == .signaled(signal: SIGKILL) })
  }

  /// A script that writes a line every few milliseconds, from two processes.
  private let ticking = "(while :; do echo tick; sleep 0.01; done) & while :; do echo tock; sleep 0.01; done"

  private func checkFreeze(_ pod: TestPod) throws {
    try pod.start(ticking)
    #expect(try pod.waitFor("tick") && pod.waitFor("tock"))
    pod.pod.freeze()
    #expect(try turn(pod.loop) { pod.frozen == true })
    let size = pod.output().utf8.count
    #expect(try !turn(pod.loop, seconds: 1) { pod.output().utf8.count != size })
    pod.pod.thaw()
    #expect(try turn(pod.loop) { pod.output().utf8.count > size })
    pod.frozen = nil
    pod.pod.freeze()
    #expect(try turn(pod.loop) { pod.frozen == true })
    // Still frozen: the kill must reach it all the same.
    try pod.end()
    #expect(pod.gone?.exit == .signaled(signal: SIGKILL))
  }

  @Test("without a cgroup a pod is frozen by SIGSTOP, thawed, and killed while frozen")
  func freezeByStop() throws { try checkFreeze(try TestPod()) }

  @Test("by its cgroup a pod is frozen, thawed, and killed while frozen, and the cgroup is used again")
  func freezeByCgroup() throws {
    let pool: CgroupPool
    do {
      pool = try CgroupPool(name: "stint-test-\(getpid())")
    } catch {
      try Test.cancel("no cgroup v2 to write to: \(error)")
    }
    defer { pool.remove() }
    let cgroup = try pool.take()
    try checkFreeze(try TestPod(cgroup: cgroup))
    pool.giveBack(cgroup)
    let again = try pool.take()
    #expect(again === cgroup)
    #expect(!again.isPopulated)
    #expect(!again.isFrozen)
  }

  @Test("a successor finds the pods of its directory, no others, and proves them dead")
  func sweep() throws {
    let mine = try Scratch()
    let other = try Scratch()
    let keeper = try HarnessKeeper(marker: mine.path, command: ["sleep", "1000"])
    let stranger = try HarnessKeeper(marker: other.path, command: ["sleep", "1000"])
    #expect(keeper.says("ready") && stranger.says("ready"))
    let found = try PodSweep.inits(of: mine.path)
    #expect(found.map { "ready \($0.pid)\n" } == [keeper.text])
    // The old keeper hangs: its pod is alive and must be proven dead without it.
    keeper.child.signal(SIGSTOP)
    #expect(try PodSweep.run(directory: mine.path, timeoutMilliseconds: 10_000) == .init(killed: found))
    #expect(found.allSatisfy { !$0.isAlive })
    #expect(try PodSweep.run(directory: mine.path, timeoutMilliseconds: 10_000) == .init())
    #expect(try PodSweep.inits(of: other.path).count == 1)
  }
}

/// Rule K4: no pod outlives its keeper.
@Suite(.enabled(if: isRoot, "namespaces by clone need root")) struct KeeperDeathTests {
  private let escaping = ["sh", "-c", "(setsid sh -c 'trap \"\" HUP TERM; sleep 1000' &); sleep 1000"]

  @Test("a killed keeper takes its pods along, double forks included")
  func killed() throws {
    let scratch = try Scratch()
    let keeper = try HarnessKeeper(marker: scratch.path, command: escaping)
    #expect(keeper.says("ready"))
    #expect(!keeper.ended())
    keeper.child.signal(SIGKILL)
    #expect(eventually { keeper.ended() })
  }

  @Test("a killed keeper takes along a pod whose init cannot act: the kernel does it")
  func killedWithStoppedInit() throws {
    let scratch = try Scratch()
    let keeper = try HarnessKeeper(marker: scratch.path, command: escaping)
    #expect(keeper.says("ready"))
    let pod = try #require(try PodSweep.inits(of: scratch.path).first)
    #expect(kill(pod.pid, SIGSTOP) == 0)
    defer { kill(pod.pid, SIGKILL) }
    keeper.child.signal(SIGKILL)
    #expect(eventually { keeper.ended() })
  }

  @Test("a set-uid program, which loses its own parent-death signal, dies with the keeper too")
  func setUserID() throws {
    let scratch = try Scratch()
    let program = "\(scratch.path)/sleep"
    try Files.writeAtomically(program, try Files.read("/bin/sleep"), mode: 0o755)
    #expect(chown(program, 65534, 65534) == 0 && chmod(program, 0o4755) == 0)
    let keeper = try HarnessKeeper(marker: scratch.path, command: ["sh", "-c", "id -u; exec \(program) 1000"])
    #expect(keeper.says("ready") && keeper.says("0\n"))
    let pod = try #require(try PodSweep.inits(of: scratch.path).first)
    let children = "/proc/\(pod.pid)/task/\(pod.pid)/children"
    #expect(
      eventually {
        guard let main = try? Files.readLine(children), let status = try? Files.status("/proc/\(main)") else {
          return false
        }
        return status.userID != 0 || (try? Files.readLine("/proc/\(main)/status"))?.contains("\t65534\t") == true
      })
    keeper.child.signal(SIGKILL)
    #expect(eventually { keeper.ended() })
  }

  @Test("a stopped keeper is killed by its timer at the armed time, and its pods with it")
  func stopped() throws {
    let scratch = try Scratch()
    let begin = Clocks.boot()
    let keeper = try HarnessKeeper(marker: scratch.path, deathMilliseconds: 1500, command: escaping)
    #expect(keeper.says("ready"))
    keeper.child.signal(SIGSTOP)
    #expect(eventually { keeper.ended() })
    #expect(Clocks.boot() - begin >= 1_500_000_000)
    #expect(eventually { keeper.child.reap() != nil })
    #expect(keeper.child.status == .signaled(signal: SIGKILL))
  }

  @Test("without root a keeper starts pods by bubblewrap and takes them along when killed", .enabled(if: hasRootless))
  func killedUnderBubblewrap() throws {
    let scratch = try Scratch()
    let keeper = try HarnessKeeper(
      isolation: "bwrap", marker: scratch.path, asNobody: true,
      command: ["sh", "-c", "id -u; (setsid sh -c 'trap \"\" HUP TERM; sleep 1000' &); sleep 1000"])
    #expect(keeper.says("65534\n") && keeper.says("ready"))
    #expect(!keeper.ended())
    keeper.child.signal(SIGKILL)
    #expect(eventually { keeper.ended() })
  }

  @Test("without root a successor finds and ends the pods of a stopped keeper", .enabled(if: hasRootless))
  func sweepUnderBubblewrap() throws {
    let scratch = try Scratch()
    let keeper = try HarnessKeeper(
      isolation: "bwrap", marker: scratch.path, asNobody: true, command: ["sleep", "1000"])
    #expect(keeper.says("ready"))
    let pods = try PodSweep.inits(of: scratch.path, user: 65_534)
    #expect(pods.count == 1)
    keeper.child.signal(SIGSTOP)
    let successor = try HarnessKeeper(scratch: scratch.path, asNobody: true, arguments: ["sweep", scratch.path])
    #expect(successor.says("swept \(pods.map(\.pid))\n"))
    #expect(pods.allSatisfy { !$0.isAlive })
  }
}
