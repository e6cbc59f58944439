// `stint run` and `logs -f` on a terminal: script(1) makes one and passes on what is typed, so that Ctrl-C is a real
// one.

import ClusterIO
import ClusterProto
import Glibc
import Testing

/// A client on a terminal of its own.
private final class Terminal {
  private let input: Int32
  private let output: String
  private let child: Child

  init(_ cluster: TestCluster, _ words: String, columns: Int = 80) throws {
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else { throw IOError.last("pipe") }
    input = ends[1]
    output = "\(cluster.directory)/logs/terminal-\(Hexadecimal.text(try Crypto.randomBytes(4)))"
    let file = open(output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard file >= 0 else { throw IOError.last("open", output) }
    defer {
      close(file)
      close(ends[0])
    }
    let line = "stty cols \(columns); exec \(Processes.program) \(words)"
    var options = Child.Options(
      path: "/usr/bin/script", arguments: ["script", "-qefc", line, "/dev/null"],
      environment: [
        "PATH=/usr/bin:/bin", "TERM=xterm", "STINT_SERVER=\(cluster.server)", "KUBECONFIG=\(cluster.kubeconfig)",
      ])
    options.descriptors = [0: ends[0], 1: file, 2: file]
    child = try Child(options)
  }

  deinit {
    if child.reap() == nil { kill(child.pid, SIGKILL) }
    close(input)
  }

  var text: String { ((try? Files.read(output)).map { String(decoding: $0, as: UTF8.self) }) ?? "" }

  func type(_ text: String) throws { try Files.writeAll(input, Array(text.utf8), path: "terminal") }

  func waits(for part: String, _ count: Int = 1) throws {
    try eventually("it says \(part)", seen: { text }) { text.ranges(of: part).count >= count }
  }

  func status() throws -> Int32 {
    var status: ProcessExit?
    try eventually("it ends", seen: { text }) {
      status = status ?? child.reap()
      return status != nil
    }
    return status?.shellCode ?? -1
  }
}

@Suite("A Job on a terminal", .enabled(if: access("/usr/bin/script", X_OK) == 0, "script(1) is not installed"))
struct RunTerminalTests {
  private static let question = "s: stop it   d: detach, it goes on without you   Enter: go on watching: "

  @Test("Ctrl-C asks: Enter goes on, s stops, d detaches; the logs have a colour for each index, in a pipe none")
  func interrupted() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 2) { cluster in
        let work = "sh -c 'echo hello from $STINT_ITEM; sleep 600'"
        let first = try Terminal(cluster, "run --name first --array 1-2 -- \(work)")
        for index in 0...1 { try first.waits(for: "hello from \(index + 1)\r\n") }
        try check(first.text.contains("\u{1b}[36m[0] \u{1b}[0mhello from 1\r\n"), "a colour: \(first.text)")
        try check(first.text.contains("\u{1b}[33m[1] \u{1b}[0mhello from 2\r\n"), "another colour: \(first.text)")
        try first.type("\u{3}")
        try first.waits(for: Self.question)
        try first.type("\n")
        try first.waits(for: "0/2 succeeded, 2 active")
        try first.type("\u{3}")
        try first.waits(for: Self.question, 2)
        try first.type("d\n")
        try checkEqual(first.status(), 0, "exit status after detaching; \(first.text)")
        try checkEqual(cluster.status("first", "active"), 2, "pods that go on")

        let logs = try Terminal(cluster, "logs -f job/first", columns: 200)
        try logs.waits(for: "\u{1b}[36m[0] \u{1b}[0mhello from 1\r\n")
        let pipe = try cluster.stint("logs", "-f", "job/first", "--prefix", "--timeout", "2s")
        let lines = pipe.text.split(separator: "\n").map { $0.replacing(/-[a-z0-9]{5}\//, with: "-POD/") }.sorted()
        try checkEqual(
          lines, ["[pod/first-0-POD/main] hello from 1", "[pod/first-1-POD/main] hello from 2"], "lines in a pipe")

        let second = try Terminal(cluster, "run --name second -- \(work)")
        try second.waits(for: "started on")
        try second.type("\u{3}")
        try second.waits(for: Self.question)
        try second.type("s\n")
        try checkEqual(second.status(), 130, "exit status after stopping; \(second.text)")
        try check(second.text.contains("error: job.batch/second was stopped"), "what it says: \(second.text)")
        try cluster.must("stop", "first")
        try checkEqual(logs.status(), 0, "the logs end with the Job; \(logs.text)")
      }
    }
  }
}
