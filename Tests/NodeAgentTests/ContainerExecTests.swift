// Owns: tests of processes that are started in running containers, on a real keeper, with the agent's own end of them:
// each looks from inside, and those of what may not be left count processes.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import NodeAgent

/// One process with what it said.
final class Running {
  let exec: ContainerExec
  private let keeper: TestKeeper
  var isStarted = false
  var output = ""
  var errors = ""
  var end: ExecEnd?

  init(
    _ keeper: TestKeeper, _ arguments: [String], attempt: AttemptNumber = 1, container: String = "main",
    terminal: TerminalSize? = nil, streams: ContainerExec.Streams = .init()
  ) throws {
    self.keeper = keeper
    let request = ExecRequest(attempt: attempt, container: container, arguments: arguments, terminal: terminal)
    exec = try ContainerExec(loop: keeper.loop, paths: keeper.paths, request: request, streams: streams)
    exec.onStarted = { [unowned self] in isStarted = true }
    exec.onBytes = { [unowned self] stream, bytes in
      let text = String(decoding: bytes, as: UTF8.self)
      if stream == .output { output += text } else { errors += text }
    }
    exec.onEnd = { [unowned self] in end = $0 }
  }

  deinit { exec.close() }

  func wait(_ condition: () -> Bool) -> Bool { keeper.wait(until: condition) }

  func finish() -> ExecEnd? {
    _ = wait { end != nil }
    return end
  }
}

private func script(_ text: String) -> [String] { ["/bin/sh", "-c", text] }

@Suite("processes in containers", .enabled(if: isRoot, "needs root")) struct ContainerExecTests {
  /// A keeper with a pod whose container `main` runs until it is told not to.
  private func node(_ more: JSON = [:], setting: KeeperSetting = KeeperSetting()) throws -> TestKeeper {
    let keeper = try TestKeeper(setting)
    let container = shell("main", "echo up; exec sleep 1000", more: more)
    try keeper.start(keeper.assignment(1, ["restartPolicy": "Never", "containers": [container]]))
    #expect(keeper.wait { keeper.status(1)?.containers.first?.state.isRunning == true })
    return keeper
  }

  @Test("streams are apart, the exit code is the command's, a signal's is 128 and its number") func ends() throws {
    let keeper = try node()
    let first = try Running(keeper, script("echo out; echo err >&2; exit 7"))
    #expect(first.finish() == .exited(code: 7))
    #expect(first.isStarted && first.output == "out\n" && first.errors == "err\n")
    #expect(try Running(keeper, script("kill -9 $$")).finish() == .exited(code: 137))
  }

  @Test(
    "whose client goes ends with all that its session has started, and nothing else does", arguments: [false, true])
  func session(isTerminal: Bool) throws {
    let keeper = try node()
    let mark = "3\(getpid())"
    let text = "sleep \(mark)1 & (sleep \(mark)2; true) & setsid sleep \(mark)3 & sleep \(mark)4; true"
    let process = try Running(
      keeper, script(text), terminal: isTerminal ? TerminalSize(columns: 80, rows: 24) : nil)
    func living() -> [Int] { (1...4).filter { !processes(with: "sleep\0\(mark)\($0)").isEmpty } }
    #expect(process.wait { living() == [1, 2, 3, 4] }, "\(process.output)")
    process.exec.close()
    #expect(keeper.wait { living() == [3] }, "\(living())")
    #expect(keeper.status(1)?.phase == .running)
  }

  @Test("it has the container's environment, working directory, mounts, namespaces and control group")
  func surroundings() throws {
    let keeper = try node(["env": [["name": "NAME", "value": "a b"]], "workingDir": "/made/here"])
    let inside =
      "echo \"$NAME\"; pwd; for n in mnt pid ipc uts; do readlink /proc/self/ns/$n; done; cat /proc/self/cgroup"
    let process = try Running(keeper, script(inside))
    #expect(process.finish() == .exited(code: 0), "\(process.errors)")
    let lines = process.output.split(separator: "\n").map(String.init)
    #expect(lines.prefix(2) == ["a b", "/made/here"])
    let mount = try Running(keeper, script("readlink /proc/1/ns/mnt; readlink /proc/$(pgrep -o -x sleep)/ns/mnt"))
    #expect(mount.finish() == .exited(code: 0))
    #expect(lines.dropFirst(2).first == mount.output.split(separator: "\n").last.map(String.init))
  }

  @Test("standard input is read to its end, whatever its size, and none is /dev/null") func input() throws {
    let keeper = try node()
    let process = try Running(keeper, script("wc -c; cat"), streams: .init(input: true))
    let piece = [UInt8](repeating: 120, count: 50_000)
    var sent = 0
    while sent < 5_000_000 {
      if process.exec.write(piece) { sent += piece.count } else { _ = process.wait { process.exec.pendingInput == 0 } }
    }
    process.exec.closeInput()
    #expect(process.finish() == .exited(code: 0))
    #expect(process.output == "\(sent)\n")
    let none = try Running(keeper, ["/bin/cat"])
    #expect(none.finish() == .exited(code: 0) && none.output.isEmpty)
  }

  @Test("a reader that stops holds the process up, and loses nothing") func slowReader() throws {
    let keeper = try node()
    let process = try Running(keeper, script("head -c 3000000 /dev/zero | tr '\\0' x; echo end >&2"))
    process.exec.setReading(false)
    #expect(process.wait { process.isStarted })
    let before = process.output.utf8.count
    for _ in 0..<20 { try keeper.loop.runOnce(timeoutMilliseconds: 5) }
    #expect(process.output.utf8.count == before && process.end == nil)
    process.exec.setReading(true)
    #expect(process.finish() == .exited(code: 0))
    #expect(process.output.utf8.count == 3_000_000 && process.errors == "end\n")
  }

  @Test("a terminal is one inside the container, with its size, a new size, and signals by its keys") func terminal()
    throws
  {
    let keeper = try node()
    let process = try Running(
      keeper, script("tty; stty size; read line; echo \"got $line\"; stty size; exec sleep 1000"),
      terminal: TerminalSize(columns: 97, rows: 31), streams: .init(input: true))
    #expect(process.wait { process.output.contains("31 97") }, "\(process.output) \(process.end.debugDescription)")
    #expect(process.output.hasPrefix("/dev/pts/"))
    process.exec.resize(TerminalSize(columns: 40, rows: 10))
    #expect(process.exec.write(Array("hello\n".utf8)))
    #expect(process.wait { process.output.contains("10 40") }, "\(process.output)")
    #expect(process.output.contains("got hello"))
    #expect(process.exec.write([3]))
    #expect(process.finish() == .exited(code: 130))
  }

  @Test("a command that is not there, or may not run, is told as a runtime tells it") func failures() throws {
    let keeper = try node()
    guard case .failed(127, let missing)? = try Running(keeper, ["no-such"]).finish() else {
      Issue.record("not refused")
      return
    }
    #expect(missing.contains("exec: \"no-such\": executable file not found in $PATH"))
    guard case .failed(126, let denied)? = try Running(keeper, ["/etc/passwd"]).finish() else {
      Issue.record("not refused")
      return
    }
    #expect(denied.contains("exec: \"/etc/passwd\": permission denied"))
    #expect(
      try Running(keeper, ["true"], container: "other").finish()
        == .refused(.notFound, message: "container not found (\"other\")"))
    #expect(throws: IOError.self) { try Running(keeper, ["echo", String(repeating: "x", count: 200_000)]) }
  }

  @Test("a client that goes kills its process, and nothing else") func closed() throws {
    let keeper = try node()
    let mark = "\(5_000_000 + Int(getpid()))"
    let process = try Running(keeper, ["sleep", mark])
    #expect(process.wait { process.isStarted })
    #expect(processes(with: mark).count == 1)
    process.exec.close()
    #expect(keeper.wait { processes(with: mark).isEmpty })
    #expect(keeper.status(1)?.containers.first?.state.isRunning == true)
    #expect(try Running(keeper, ["true"]).finish() == .exited(code: 0))
  }

  @Test("with its container it ends, what it has started too, and the container's end is told after")
  func containerEnds() throws {
    let keeper = try TestKeeper()
    try keeper.start(1, script: "while [ ! -e \(keeper.scratch.path)/stop ]; do sleep 0.02; done; exit 5")
    #expect(keeper.wait { keeper.status(1)?.containers.first?.state.isRunning == true })
    let mark = "\(6_000_000 + Int(getpid()))"
    let process = try Running(keeper, script("setsid sleep \(mark) & exec sleep \(mark)"))
    #expect(process.wait { processes(with: mark).count >= 2 })
    try Files.writeAtomically("\(keeper.scratch.path)/stop", [], mode: 0o644)
    #expect(keeper.waitForEnd(1)?.containers.first?.state.termination?.exitCode == 5)
    #expect(processes(with: mark).isEmpty)
    let end = process.finish()
    #expect(end == .exited(code: 137) || end == .gone)
    #expect(
      try Running(keeper, ["true"]).finish() == .refused(.notFound, message: "container not found (\"main\")"))
  }

  @Test("what stays behind after it ends with the container, not before") func leftBehind() throws {
    let keeper = try node()
    let mark = "\(7_000_000 + Int(getpid()))"
    let process = try Running(keeper, script("sleep \(mark) & echo started"))
    #expect(process.finish() == .exited(code: 0))
    #expect(process.output == "started\n")
    // On its way from the shell's program to its own it shows no command line.
    #expect(keeper.wait { processes(with: mark).count == 1 })
    keeper.send(.stop(1, graceMilliseconds: 0))
    #expect(keeper.waitForEnd(1) != nil)
    #expect(processes(with: mark).isEmpty)
  }

  @Test("a frozen pod's processes stand still with it, and it takes no more; a dead keeper leaves none")
  func frozen() throws {
    let keeper = try TestKeeper(KeeperSetting(arguments: ["--no-cgroups"]))
    try keeper.start(1, script: "exec sleep 1000", leaseMilliseconds: 1_500, tolerationMilliseconds: 500)
    #expect(keeper.wait { keeper.status(1)?.containers.first?.state.isRunning == true })
    let process = try Running(keeper, script("while :; do echo x; sleep 0.01; done"))
    #expect(process.wait { !process.output.isEmpty })
    #expect(keeper.wait { keeper.reports[1]?.frozen == true })
    guard case .refused(.frozen, _)? = try Running(keeper, ["true"]).finish() else {
      Issue.record("not refused")
      return
    }
    keeper.child.signal(SIGKILL)
    #expect(process.finish() == .gone)
  }

  @Test("in an image's container it is one of the container's own: root, processes, user, capabilities, filter")
  func imageContainer() throws {
    let node = try ImageKeeper()
    let container: JSON = [
      "name": "main", "image": "box", "command": ["/bin/sh", "-c", "echo $$$$ >/tmp/pid; exec sleep 1000"],
      "securityContext": ["runAsUser": 1000, "runAsGroup": 2000, "seccompProfile": ["type": "RuntimeDefault"]],
    ]
    try node.start(node.assignment(container))
    #expect(node.keeper.wait { node.keeper.status(1)?.containers.first?.state.isRunning == true })
    func say(_ text: String) throws -> String {
      let process = try Running(node.keeper, script(text))
      #expect(process.finish() == .exited(code: 0), "\(process.errors)")
      return process.output
    }
    #expect(
      try say("while [ ! -s /tmp/pid ]; do sleep 0.01; done; cat /etc/motd /tmp/pid; id -u; id -g; echo $FROM")
        == "high\n1\n1000\n2000\nimage\n")
    let facts = "grep -e ^Cap -e ^NoNewPrivs -e ^Seccomp: -e ^Groups"
    #expect(try say("\(facts) /proc/self/status") == say("\(facts) /proc/1/status"))
    #expect(try say("for n in mnt pid ipc uts; do readlink /proc/self/ns/$n; done; hostname").contains("pod-1"))
    #expect(try say("echo x >/dev/stdout") == "x\n")
    let terminal = try Running(
      node.keeper, script("id -u; echo y >$(readlink /proc/self/fd/0)"), terminal: TerminalSize(columns: 80, rows: 24))
    #expect(terminal.finish() == .exited(code: 0))
    #expect(terminal.output == "1000\r\ny\r\n")
    node.keeper.send(.stop(1, graceMilliseconds: 0))
    #expect(node.keeper.waitForEnd(1) != nil)
  }

  @Test("200 of them beside the ends of their containers leave no process behind") func many() throws {
    let keeper = try TestKeeper()
    let mark = "\(8_000_000 + Int(getpid()))"
    for attempt in 1...10 as ClosedRange<AttemptNumber> {
      try keeper.start(attempt, script: "sleep 0.3")
      #expect(keeper.wait { keeper.status(attempt)?.containers.first?.state.isRunning == true })
      let processes = try (0..<20).map { _ in try Running(keeper, ["sleep", mark], attempt: attempt) }
      #expect(keeper.waitForEnd(attempt) != nil)
      for process in processes { #expect(process.finish() != nil) }
    }
    #expect(NodeAgentTests.processes(with: mark).isEmpty)
  }
}

@Suite("processes in containers of an agent without root", .enabled(if: isRoot, "changes its user"))
struct RootlessExecTests {
  @Test("bubblewrap's containers take them too, with a terminal and without") func rootless() throws {
    let keeper = try TestKeeper(KeeperSetting(asNobody: true))
    guard keeper.fencesFully else { return }
    try keeper.start(1, script: "exec sleep 1000")
    #expect(keeper.wait { keeper.status(1)?.containers.first?.state.isRunning == true })
    let process = try Running(keeper, script("id -u; pgrep -c -x sleep"))
    #expect(process.finish() == .exited(code: 0), "\(process.end.debugDescription) \(process.errors)")
    #expect(process.output == "65534\n1\n", "it sees the pod's processes, and no others")
    let terminal = try Running(keeper, ["tty"], terminal: TerminalSize(columns: 80, rows: 24))
    #expect(terminal.finish() == .exited(code: 0) && terminal.output.hasPrefix("/dev/pts/"))
  }
}
