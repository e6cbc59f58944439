// Owns: tests of containers' own inputs and terminals, on a real keeper, with the agent's end of who is attached: each
// looks from inside the container, and at its log.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import NodeAgent

/// One client that is attached, with what it was told.
private final class Attached {
  private let keeper: TestKeeper
  private let logs: LogStreams
  private(set) var endpoint: AttachEndpoint?
  var isStarted = false
  var bytes = 0
  var output = ""
  var end: PodStreamEnd?

  init(_ keeper: TestKeeper, stdin: Bool = true, tty: Bool = false, attempt: AttemptNumber = 1) throws {
    self.keeper = keeper
    logs = try LogStreams(loop: keeper.loop, paths: keeper.paths)
    keeper.held.append(logs)
    // As the agent does: a container may end while it is written to.
    Signals.ignoreBrokenPipes()
    var options = PodStreamOptions()
    (options.container, options.stdin, options.stdout, options.tty) = ("main", stdin, true, tty)
    endpoint = try AttachEndpoint(
      loop: keeper.loop, paths: keeper.paths, logs: logs,
      request: PodStreamRequest(stream: "s", attempt: attempt, purpose: .attach, options: options),
      isLive: { [unowned keeper] _ in keeper.status(attempt)?.containers.first?.state.isRunning == true },
      PodStreamEvents(
        frame: { [unowned self] in take($0) }, inputDrained: {}))
    #expect(wait { isStarted || end != nil })
  }

  deinit { endpoint?.cancel() }

  private func take(_ frame: PodStreamFrame) {
    switch frame {
    case .started: isStarted = true
    case .output(let piece):
      bytes += piece.count
      if output.utf8.count < 1_000_000 { output += String(decoding: piece, as: UTF8.self) }
    case .end(let said):
      end = said
      endpoint = nil
    default: Issue.record("\(frame)")
    }
  }

  func wait(_ condition: () -> Bool) -> Bool { keeper.wait(until: condition) }

  func type(_ text: String) { endpoint?.take(.input(Array(text.utf8))) }

  func says(_ text: String) -> Bool { wait { output.contains(text) } }

  func finish() -> PodStreamEnd? {
    _ = wait { end != nil }
    return end
  }

  func leave() {
    endpoint?.cancel()
    endpoint = nil
  }
}

/// Starts a pod whose container `main` runs the script and has more members.
private func start(
  _ keeper: TestKeeper, _ script: String, _ more: JSON, lease: Int64 = 60_000, toleration: Int64? = nil
)
  throws
{
  let spec: JSON = ["restartPolicy": "Never", "containers": [shell("main", script, more: more)]]
  try keeper.start(keeper.assignment(1, spec, tolerationMilliseconds: toleration), leaseMilliseconds: lease)
  #expect(keeper.wait { keeper.status(1)?.containers.first?.state.isRunning == true })
}

private func node(_ script: String, _ more: JSON) throws -> TestKeeper {
  let keeper = try TestKeeper()
  try start(keeper, script, more)
  return keeper
}

@Suite("inputs and terminals of containers", .enabled(if: isRoot, "needs root")) struct ContainerAttachTests {
  @Test("an input waits for whoever is attached, stays open for the next one, and ends with the container alone")
  func input() throws {
    let keeper = try node("echo up; exec cat", ["stdin": true])
    #expect(keeper.wait { keeper.log(1) == "up\n" })
    let first = try Attached(keeper)
    first.type("one\n")
    #expect(first.says("one\n") && first.output == "one\n", "what was written before is not shown")
    first.leave()
    let second = try Attached(keeper)
    second.type("tw")
    second.type("o\n")
    #expect(second.says("two\n") && second.output == "two\n")
    second.endpoint?.take(.inputEnd)
    #expect(second.finish() == PodStreamEnd(code: 200), "it has been fed, and that was it")
    #expect(keeper.status(1)?.phase == .running)
    let third = try Attached(keeper, stdin: false)
    keeper.send(.stop(1, graceMilliseconds: 0))
    #expect(third.finish()?.code == 200)
    #expect(keeper.log(1) == "up\none\ntwo\n")
  }

  @Test("with stdinOnce it ends where the first client's input ends, whose answer comes whole", arguments: [2_000])
  func once(_ lines: Int) throws {
    let keeper = try node("wc -c; echo end", ["stdin": true, "stdinOnce": true])
    let client = try Attached(keeper)
    let line = String(repeating: "x", count: 999) + "\n"
    var sent = 0
    while sent < lines {
      if client.endpoint?.isInputBehind == true { _ = client.wait { client.endpoint?.isInputBehind != true } }
      client.type(line)
      sent += 1
    }
    client.endpoint?.take(.inputEnd)
    #expect(client.finish()?.code == 200)
    #expect(client.output == "\(lines * 1_000)\nend\n")
    #expect(keeper.waitForEnd(1)?.phase == .succeeded)
  }

  @Test("with stdinOnce it ends where the first client goes; the next one sees the output alone") func onceLeft() throws
  {
    let keeper = try node("cat; echo end; exec sleep 1000", ["stdin": true, "stdinOnce": true])
    let watcher = try Attached(keeper, stdin: false)
    let client = try Attached(keeper)
    let late = try Attached(keeper)
    client.type("word\n")
    #expect(watcher.says("word\n"))
    late.type("lost\n")
    watcher.leave()
    #expect(!client.output.contains("end"))
    client.leave()
    #expect(late.says("end\n") && late.output == "word\nend\n")
    late.endpoint?.take(.inputEnd)
    #expect(late.end == nil)
  }

  @Test("without one it is /dev/null, and what is typed goes nowhere") func none() throws {
    let keeper = try node("cat; readlink /proc/self/fd/0; while :; do echo tick; sleep 0.05; done", [:])
    let client = try Attached(keeper, tty: true)
    client.type("x\n")
    client.endpoint?.take(.resize(columns: 1, rows: 1))
    client.endpoint?.take(.inputEnd)
    #expect(client.says("tick\n") && client.end == nil && !client.output.contains("x"))
    #expect(keeper.log(1).hasPrefix("/dev/null\n"))
  }

  @Test("a container that reads nothing is killed by nobody's input, of which a bounded part waits") func full() throws
  {
    let keeper = try node("exec sleep 1000", ["stdin": true])
    let client = try Attached(keeper)
    let piece = [UInt8](repeating: 120, count: 60_000)
    for _ in 0..<40 { client.endpoint?.take(.input(piece)) }
    #expect(client.endpoint?.isInputBehind == true)
    client.leave()
    let next = try Attached(keeper)
    next.type("y")
    keeper.send(.stop(1, graceMilliseconds: 0))
    #expect(keeper.waitForEnd(1) != nil)
    #expect(next.finish()?.code == 200)
  }

  @Test("a terminal is the three streams and the session's, has a name, a type and a size, and is logged as it is")
  func terminal() throws {
    let script = """
      tty; echo err >&2; stty size; echo "$TERM"; for n in 0 1 2; do test -t $n && echo $n; done
      trap 'stty size' WINCH; trap 'echo int' INT; until read line </dev/tty; do :; done
      echo "got $line"; exec sleep 1000
      """
    let keeper = try node(script, ["stdin": true, "tty": true])
    #expect(keeper.wait { keeper.log(1).contains("2\r\n") })
    let lines = keeper.log(1).split(separator: "\r\n").map(String.init)
    #expect(lines.first?.hasPrefix("/dev/pts/") == true)
    #expect(lines.dropFirst() == ["err", "24 80", "xterm", "0", "1", "2"])
    let client = try Attached(keeper, tty: true)
    client.endpoint?.take(.resize(columns: 97, rows: 31))
    #expect(client.says("31 97\r\n"))
    client.type("\u{3}")
    #expect(client.says("int\r\n"))
    client.leave()
    let second = try Attached(keeper, tty: true)
    second.type("hello\r")
    #expect(second.says("hello\r\ngot hello\r\n"))
    second.endpoint?.take(.inputEnd)
    #expect(second.finish() == PodStreamEnd(code: 200))
    #expect(keeper.status(1)?.phase == .running)
    keeper.send(.stop(1, graceMilliseconds: 0))
    #expect(keeper.waitForEnd(1) != nil)
  }

  @Test("stdinOnce does not end a terminal, and its own TERM stands") func terminalOnce() throws {
    let keeper = try node(
      "read line; echo \"$line $TERM\"; exec sleep 1000",
      ["stdin": true, "stdinOnce": true, "tty": true, "env": [["name": "TERM", "value": "vt100"]]])
    try Attached(keeper, tty: true).leave()
    let second = try Attached(keeper, tty: true)
    second.type("again\r")
    #expect(second.says("again vt100\r\n"))
  }

  @Test("a terminal without stdin takes sizes and no words") func outputOnly() throws {
    let keeper = try node(
      "trap 'stty size' WINCH; while :; do sleep 0.05; done", ["tty": true])
    let client = try Attached(keeper, tty: true)
    client.type("nothing\r")
    client.endpoint?.take(.resize(columns: 50, rows: 20))
    #expect(client.says("20 50\r\n") && !client.output.contains("nothing"))
  }

  @Test("all of a fast terminal's output is in the log, a prompt without an end too, and what it leaves at its end")
  func fast() throws {
    let keeper = try node(
      "printf 'ready> '; read line; seq 1 200000; printf last", ["stdin": true, "tty": true])
    let client = try Attached(keeper, tty: true)
    client.endpoint?.setReading(false)
    client.type("go\r")
    #expect(keeper.waitForEnd(1)?.phase == .succeeded)
    #expect(client.end == nil && client.bytes < 300_000)
    client.endpoint?.setReading(true)
    #expect(client.finish()?.code == 200)
    let numbers = (1...200_000).reduce(into: 0) { $0 += "\($1)\r\n".utf8.count }
    #expect(client.bytes == "go\r\n".utf8.count + numbers + "last".utf8.count)
    #expect(keeper.log(1).hasPrefix("ready> go\r\n1\r\n2\r\n") && keeper.log(1).hasSuffix("200000\r\nlast"))
  }

  @Test("terminals whose containers end at once lose nothing, and leave no descriptor in the keeper") func short()
    throws
  {
    // Its pool of cgroups would keep some open.
    let keeper = try TestKeeper(KeeperSetting(arguments: ["--no-cgroups"]))
    func descriptors() -> Int { (try? Files.list("/proc/\(keeper.child.pid)/fd"))?.count ?? -1 }
    let before = descriptors()
    let container = shell("main", "echo one; printf two", more: ["stdin": true, "tty": true])
    for attempt in 1...30 as ClosedRange<AttemptNumber> {
      try keeper.start(keeper.assignment(attempt, ["restartPolicy": "Never", "containers": [container]]))
    }
    for attempt in 1...30 as ClosedRange<AttemptNumber> {
      #expect(keeper.waitForEnd(attempt)?.phase == .succeeded)
      #expect(keeper.log(attempt) == "one\r\ntwo")
    }
    #expect(keeper.wait { descriptors() <= before }, "\(descriptors()) after \(before)")
  }

  @Test("a terminal that all its processes have closed for a moment is still there") func closedStreams() throws {
    let script = """
      t=$(tty); echo one; exec <&- >&- 2>&-; sleep 0.2; exec <$t >$t 2>&1; echo two; read x; echo "got $x"
      """
    let keeper = try node(script, ["stdin": true, "tty": true])
    #expect(keeper.wait { keeper.log(1).contains("two\r\n") })
    let client = try Attached(keeper, tty: true)
    client.type("on\r")
    #expect(client.says("got on\r\n"))
    #expect(keeper.waitForEnd(1)?.phase == .succeeded)
  }

  @Test("an agent that is away costs nothing: what is written then is in the log, and the next agent attaches")
  func agentAway() throws {
    let script = "echo up; read a; sleep 0.2; echo \"a $a\"; read b; echo \"b $b\""
    let keeper = try node(script, ["stdin": true, "tty": true])
    do {
      let client = try Attached(keeper, tty: true)
      client.type("x\r")
      #expect(client.says("x\r\n"))
    }
    keeper.disconnect()
    #expect(keeper.wait { keeper.log(1).contains("a x\r\n") })
    try keeper.connect()
    let client = try Attached(keeper, tty: true)
    client.type("y\r")
    #expect(client.finish()?.code == 200)
    #expect(client.output == "y\r\nb y\r\n")
  }

  @Test("a pod that stands still takes nobody, and its keeper's death leaves none of it", arguments: [false, true])
  func frozen(isTerminal: Bool) throws {
    let keeper = try TestKeeper(KeeperSetting(arguments: ["--no-cgroups"]))
    let mark = "\(9_000_000 + Int(getpid()))"
    try start(
      keeper, "sleep \(mark) & exec cat", ["stdin": true, "tty": .bool(isTerminal)], lease: 1_500, toleration: 500)
    let client = try Attached(keeper)
    #expect(keeper.wait { keeper.reports[1]?.frozen == true })
    client.type("waits\n")
    let late = try Attached(keeper)
    #expect(late.end?.code == 500 && late.end?.message.contains("stands still") == true)
    keeper.child.signal(SIGKILL)
    #expect(keeper.wait { processes(with: mark).isEmpty })
  }

  @Test("in an image's container they are its user's, by their names too", arguments: [false, true])
  func image(isTerminal: Bool) throws {
    let node = try ImageKeeper()
    let script = "read line </dev/stdin; echo \"$line $(id -u) $TERM\" >/dev/stdout"
    let container: JSON = [
      "name": "main", "image": "box", "command": ["/bin/sh", "-c", .string(script)], "stdin": true,
      "tty": .bool(isTerminal), "securityContext": ["runAsUser": 1000],
    ]
    try node.start(node.assignment(container))
    #expect(node.keeper.wait { node.keeper.status(1)?.containers.first?.state.isRunning == true })
    let client = try Attached(node.keeper, tty: isTerminal)
    client.type("me\n")
    #expect(client.finish()?.code == 200)
    #expect(client.output == (isTerminal ? "me\r\nme 1000 xterm\r\n" : "me 1000 \n"))
    #expect(node.keeper.waitForEnd(1)?.phase == .succeeded, "\(client.output)")
  }
}

@Suite("inputs and terminals of an agent without root", .enabled(if: isRoot, "changes its user"))
struct RootlessAttachTests {
  @Test("bubblewrap's containers have them too", arguments: [false, true]) func rootless(isTerminal: Bool) throws {
    let keeper = try TestKeeper(KeeperSetting(asNobody: true))
    guard keeper.fencesFully else { return }
    try start(keeper, "tty; read line; echo \"got $line\"", ["stdin": true, "tty": .bool(isTerminal)])
    let client = try Attached(keeper, tty: isTerminal)
    client.type("it\n")
    #expect(client.finish()?.code == 200)
    #expect(client.output.hasSuffix(isTerminal ? "got it\r\n" : "got it\n"))
    #expect(keeper.log(1).hasPrefix(isTerminal ? "/dev/pts/" : "not a tty"))
  }
}
