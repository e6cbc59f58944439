// What somebody who knows only the README types: wrong settings, commands of kubectl, and answers that must tell why.

import ClusterIO
import ClusterProto
import Coordinator
import Glibc
import Testing

@testable import stint

@Suite("A newcomer's commands are answered with what to do")
struct CommandLineNewcomerTests {
  private func run(_ line: [String]) -> (status: Int32, err: String) {
    var err = ""
    let console = Console(out: { _ in }, err: { err += $0 })
    return (Stint.run(line, environment: [:], console: console), err)
  }

  @Test("settings that a coordinator or keeper would refuse are refused before anything starts")
  func settings() {
    var (status, err) = run(["up", "--data", "/tmp/stint-never-\(getpid())", "--lease-duration", "1"])
    #expect(status == 2)
    #expect(err.hasPrefix("stint: up: --lease-duration must be at least twice the heartbeat interval"), "\(err)")
    (status, err) = run([
      "agent", "--data", "/tmp/stint-never-\(getpid())", "--name", "n", "--pod-user", "no-such-user",
    ])
    #expect(status == 2)
    #expect(err.hasPrefix("stint: agent: --pod-user: there is no user \"no-such-user\" on this machine"), "\(err)")
    #expect(!Files.exists("/tmp/stint-never-\(getpid())"))
  }

  @Test("--version is this program's own, and help names every command that is not hidden, bench too")
  func overview() {
    var out = ""
    let console = Console(out: { out += $0 }, err: { _ in })
    #expect(Stint.run(["--version"], environment: [:], console: console) == 0)
    #expect(out.hasPrefix("stint \(Version.current)") && !out.contains("Client Version"), "\(out)")
    out = ""
    #expect(Stint.run(["--help"], environment: [:], console: console) == 0)
    for command in CommandTable.all where !command.hidden {
      #expect(out.contains("\n  \(command.name) "), "\(command.name)")
    }
    #expect(out.contains("\n  bench "))
  }

  @Test("make says where Swift comes from when there is none")
  func noSwift() throws {
    let root = Files.split(Files.split(Files.split(#filePath).parent).parent).parent
    let output = "/tmp/stint-make-\(getpid())"
    defer { unlink(output) }
    let program = try Program(
      ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "/usr/bin/make", "-C", root, "release"], path: "/usr/bin/env",
      output: output)
    let status = try program.end(within: 60)
    if Files.exists("/usr/bin/swift") { return }
    #expect(status != 0)
    #expect(program.text.contains("There is no Swift here") && program.text.contains("swift.org"), "\(program.text)")
  }

  @Test("flags that would have no effect, and values that match nothing, are refused")
  func flags() {
    #expect(run(["get", "jobs", "--timeout", "5s"]).err.hasPrefix("stint: get: --timeout says when --watch stops"))
    #expect(run(["events", "--types", "Foo"]).err.hasPrefix("stint: events: --types: \"Foo\": valid types are"))
    #expect(run(["node", "kill", "n"]).err.hasPrefix("stint: node: \"kill\" is neither declare-dead nor"))
  }

  @Test("an address that names no coordinator, or another program, is told at once and not as one that is away")
  func strangers() throws {
    let directory = "/tmp/stint-stranger-\(getpid())"
    defer { try? Files.removeTree(directory) }
    let kubeconfig = "\(directory)/admin.kubeconfig"
    _ = try PKI(directory: directory, host: "localhost")
    try Files.writeAtomically(
      kubeconfig, Array(try PKI.kubeconfig(directory: directory, cluster: "c", server: "", native: "127.0.0.1:1").utf8))
    // Longer than any name is: no resolver has to be asked.
    let name = "\(String(repeating: "a", count: 64)).example"
    let (status, err) = run(["get", "jobs", "--server", "\(name):1", "--kubeconfig", kubeconfig])
    #expect(status == 1)
    #expect(err.contains("the name \(name) of the coordinator") && !err.contains("away"), "\(err)")
    #expect(Stranger.name(firstBytes: Array("HTTP/1.1 400 Bad Request\r\n".utf8)) == "it speaks HTTP")
    #expect(Stranger.name(firstBytes: Array(MessageWriter.frames(["type": "welcome"]).prefix(16))) == nil)

    // A program that answers a hello as a web server does.
    let loop = try EventLoop()
    var accepted: [Connection] = []
    let listener = try Listener(loop: loop, at: .tcp(host: "127.0.0.1", port: 0)) { connection in
      accepted.append(connection)
      connection.onBytes = { _ in connection.send(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8)) }
    }
    defer { listener.close() }
    let quiet = Console(out: { _ in }, err: { _ in })
    let cluster = NativeClient.makeCluster(
      Endpoint(server: listener.address.description, kubeconfig: kubeconfig), quiet, loop: loop)
    do {
      _ = try cluster.list(.jobs, "default", connectBy: Int64.max)
      Issue.record("a web server was taken for a coordinator")
    } catch let error as CommandError {
      #expect(error.message.contains("is no coordinator: it does not speak TLS"), "\(error.message)")
    }
  }

  @Test("what apply remembers of a manifest is written as Go writes it, so that kubectl finds its own text")
  func goText() throws {
    let manifest: JSON = ["metadata": ["name": "a"], "data": ["x": "<a> & \u{2028}b"]]
    let text = try #require(
      ThreeWayMerge.annotated(manifest)[path: ["metadata", "annotations", ThreeWayMerge.annotation]]?.stringValue)
    let escaped = "\"\\u003ca\\u003e \\u0026 \\u2028b\""
    #expect(text == "{\"data\":{\"x\":\(escaped)},\"metadata\":{\"annotations\":{},\"name\":\"a\"}}\n")
    #expect(try JSON(parsing: text)["data"] == manifest["data"])
  }

  @Test("objects are shown without their managed fields unless they are asked for")
  func managedFields() {
    let job: JSON = [
      "kind": "Job", "metadata": ["name": "x", "managedFields": [["manager": "m"]], "resourceVersion": "1"],
    ]
    for (flags, isShown) in [([String](), false), (["--show-managed-fields"], true)] {
      for words in [["job", "x"], ["jobs"]] {
        let fake = FakeCluster()
        let status = fake.run(["get", "-o", "yaml"] + words + flags) { request in
          let done = request.verb == .get ? job : ["metadata": ["resourceVersion": "1"]]
          return (request.verb == .get ? [] : [.items([job])]) + [.done(code: 200, object: done, warnings: [])]
        }
        #expect(status == 0 && fake.out.contains("name: x"))
        #expect(fake.out.contains("managedFields") == isShown, "\(words) \(flags)")
      }
    }
  }

  @Test("logs of a Job that makes no pods say why at once, and logs of a pod without a node say what it waits for")
  func logs() {
    var job: JSON = [
      "kind": "Job", "metadata": ["name": "q", "namespace": "default"],
      "spec": ["suspend": true, "selector": ["matchLabels": ["job-name": "q"]]], "status": [:],
    ]
    var pods: [JSON] = []
    func logs() -> FakeCluster {
      let fake = FakeCluster()
      _ = fake.run(["logs", "-f", "job/q"]) { request in
        switch (request.verb, request.kind) {
        case (.get, _): [.done(code: 200, object: job, warnings: [])]
        case (.list, _): [.items(pods), .done(code: 200, object: ["metadata": [:]], warnings: [])]
        case (.watch, _): []
        default: [.done(code: 200, object: .null, warnings: [])]
        }
      }
      return fake
    }
    var fake = logs()
    #expect(fake.err == "error: job/q has no pods: it is suspended\n")
    #expect(!fake.asked.contains { $0.verb == .watch }, "it waited for a pod")
    job[path: ["spec", "suspend"]] = false
    let condition: JSON = ["type": "PodScheduled", "status": "False", "message": "0/3 nodes: 3 Insufficient cpu."]
    pods = [
      [
        "kind": "Pod", "metadata": ["name": "q-1"], "spec": ["containers": [["name": "main"]]],
        "status": ["phase": "Pending", "conditions": [condition]],
      ]
    ]
    fake = logs()
    #expect(fake.err.hasPrefix("pod/q-1: it has no node yet: 0/3 nodes: 3 Insufficient cpu.; waiting\n"), "\(fake.err)")
  }

  @Test("a node is declared dead only when it is not Ready, and keeps its other taints")
  func declareDead() throws {
    for ready in ["True", "Unknown"] {
      let fake = FakeCluster()
      let node: JSON = [
        "kind": "Node", "metadata": ["name": "n", "resourceVersion": "7"],
        "spec": ["taints": [["key": "mine", "effect": "NoSchedule"]]],
        "status": ["conditions": [["type": "Ready", "status": .string(ready)]]],
      ]
      let status = fake.run(["node", "declare-dead", "n"]) { _ in [.done(code: 200, object: node, warnings: [])] }
      let patches = fake.asked.filter { $0.verb == .patch }
      if ready == "True" {
        #expect(status == 1 && patches.isEmpty)
        #expect(fake.err.hasPrefix("error: node/n is Ready: its agent answers"), "\(fake.err)")
      } else {
        #expect(status == 0 && fake.out.hasPrefix("node/n declared dead"))
        let body = try #require(patches.first?.body)
        #expect(body[path: ["metadata", "resourceVersion"]] == "7")
        let keys = (body[path: ["spec", "taints"]]?.arrayValue ?? []).map { $0["key"]?.stringValue }
        #expect(keys == ["mine", "node.kubernetes.io/out-of-service"])
      }
    }
  }

  @Test("events of one second are told in the order in which they were written")
  func eventOrder() {
    func event(_ name: String, _ version: String, second: Int) -> JSON {
      [
        "metadata": ["name": .string(name), "resourceVersion": .string(version)],
        "lastTimestamp": .string("2026-01-01T00:00:0\(second)Z"),
      ]
    }
    let events = [event("c", "12", second: 1), event("b", "9", second: 1), event("a", "99", second: 0)]
    #expect(EventText.sorted(events).map { $0[path: ["metadata", "name"]]?.stringValue } == ["a", "b", "c"])
  }

  @Test("describe shows a termination message whole, and a refused patch says which operation failed")
  func wholeMessages() {
    for (message, expected) in [("done\n", "Message:      done\n"), ("one\ntwo", "Message:      one\n")] {
      let state: JSON = ["terminated": ["exitCode": 0, "reason": "Completed", "message": .string(message)]]
      let pod: JSON = [
        "kind": "Pod", "metadata": ["name": "p", "namespace": "default"], "spec": ["containers": [["name": "m"]]],
        "status": ["phase": "Succeeded", "containerStatuses": [["name": "m", "state": state]]],
      ]
      let fake = FakeCluster()
      _ = fake.run(["describe", "pod", "p"]) { request in
        if request.verb == .get { return [.done(code: 200, object: pod, warnings: [])] }
        return [.items([]), .done(code: 200, object: ["metadata": [:]], warnings: [])]
      }
      #expect(fake.out.contains(expected), "\(fake.out)")
      #expect(fake.out.contains("two") == message.contains("two"))
    }
    let status: JSON = [
      "kind": "Status", "reason": "Invalid", "message": "rejected",
      "details": ["explanation": "operation 0: test /a: the value is another"],
    ]
    let text = StatusError(status, code: 422).text()
    #expect(text == "The request is invalid: rejected (operation 0: test /a: the value is another)")
  }

  @Test("a measured cluster that does not come up says what it wrote")
  func bench() throws {
    let directory = "/tmp/stint-bench-test-\(getpid())"
    try Files.makeDirectory(directory)
    defer { try? Files.removeTree(directory) }
    let bench = BenchContext(
      console: Console(out: { _ in }, err: { _ in }), environment: [:], isQuick: true, directory: directory)
    do {
      _ = try BenchCluster(bench, name: "c", agents: 1, flags: ["--no-such-flag"], program: Processes.program)
      Issue.record("it came up")
    } catch let error as CommandError {
      #expect(error.message.contains("does not start\nlog: \n  stint: up: unknown flag --no-such-flag"), "\(error)")
    }
  }

  @Test("completion offers what wait --for takes")
  func completion() throws {
    for shell in Completion.shells {
      let script = try #require(Completion.script(shell, CommandTable.all))
      #expect(script.contains("complete failed finished suspended delete condition="), "\(shell)")
    }
  }
}
