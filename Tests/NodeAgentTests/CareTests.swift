// Owns: tests of probes and hooks on a real keeper: commands in its containers, and requests to a server that this test
// plays. What the keeper's core decides is KeeperProbeTests' and KeeperHookTests'.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import NodeAgent

/// A server of this test, on the keeper's loop, that says what it is told to.
private final class Server {
  let port: Int64
  private var listener: Listener?
  private(set) var requests: [String] = []
  private var connections: [Connection] = []
  /// How many connections it has, and which have gone.
  private(set) var accepted = 0
  private(set) var closed = 0
  /// By the path of the request's line; nil: it never answers.
  var answers: (String) -> String? = { _ in "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" }

  init(_ loop: EventLoop) throws {
    let chosen = try Listener(loop: loop, at: .tcp(host: "127.0.0.1", port: 0)) { _ in }
    defer { chosen.close() }
    guard case .tcp(_, let number) = chosen.address else {
      throw IOError(operation: "listen", subject: "", message: "no port")
    }
    port = Int64(number)
    chosen.close()
    listener = try Listener(loop: loop, at: chosen.address) { [unowned self] connection in accept(connection) }
  }

  deinit { close() }

  func close() {
    listener?.close()
    listener = nil
    for connection in connections {
      connection.onClose = nil
      connection.close()
    }
    connections = []
  }

  private func accept(_ connection: Connection) {
    accepted += 1
    connections.append(connection)
    var head = ""
    connection.onClose = { [unowned self] _ in closed += 1 }
    connection.onBytes = { [unowned self, unowned connection] bytes in
      head += String(decoding: bytes, as: UTF8.self)
      guard head.hasSuffix("\r\n\r\n") else { return }
      requests.append(head)
      let path = head.split(separator: " ", maxSplits: 2).dropFirst().first.map(String.init) ?? ""
      if let answer = answers(path) { connection.send(Array(answer.utf8)) }
    }
  }
}

@Suite("probes and hooks on a node", .enabled(if: isRoot, "needs root")) struct CareTests {
  private static let forever = "trap 'echo told; exit 0' TERM; while :; do sleep 0.02; done"

  private func start(
    _ keeper: TestKeeper, _ members: JSON, script: String = forever, policy: String = "OnFailure", grace: Int64 = 30
  ) throws {
    let spec: JSON = [
      "restartPolicy": .string(policy), "terminationGracePeriodSeconds": .int(grace),
      "containers": [shell("main", script, more: members)],
    ]
    try keeper.start(keeper.assignment(1, spec))
  }

  private func main(_ keeper: TestKeeper) -> ContainerStatus? { keeper.status(1)?.containers.first }

  private func probe(_ action: JSON, timeout: Int64 = 5, failure: Int64 = 1) -> JSON {
    var probe = action
    probe["periodSeconds"] = 1
    probe["timeoutSeconds"] = .int(timeout)
    probe["failureThreshold"] = .int(failure)
    return probe
  }

  private func get(_ server: Server, _ path: String = "/", more: JSON = [:]) -> JSON {
    var get: JSON = ["port": .int(server.port), "path": .string(path)]
    for (key, value) in more.objectValue ?? JSONObject() { get[key] = value }
    return ["httpGet": get]
  }

  private func has(_ keeper: TestKeeper, _ reason: String, _ text: String) -> Bool {
    keeper.facts.contains { $0.reason == reason && $0.message.contains(text) && $0.container == "main" }
  }

  @Test("a command in the container says whether it is ready; what it writes is in the event, and no more than may be")
  func execReadiness() throws {
    let keeper = try TestKeeper()
    let ask = "[ -e /tmp/$MARK ] || { head -c 300000 /dev/zero | tr '\\0' x; echo; echo not yet >&2; exit 3; }"
    let mark = "care-\(Clocks.boot())"
    try start(
      keeper,
      [
        "readinessProbe": probe(["exec": ["command": ["/bin/sh", "-c", .string(ask)]]]),
        "env": [["name": "MARK", "value": .string(mark)]],
      ])
    #expect(keeper.wait { has(keeper, "Unhealthy", "Readiness probe failed: xxxx") })
    #expect(keeper.facts.allSatisfy { $0.message.utf8.count <= 1_024 })
    #expect(main(keeper)?.ready == false)
    try Files.writeAtomically("/tmp/\(mark)", [], mode: 0o644)
    defer { unlink("/tmp/\(mark)") }
    #expect(keeper.wait { main(keeper)?.ready == true })
    #expect(keeper.status(1)?.isReady == true)
  }

  @Test("a container that does not live is told to end, and starts again") func liveness() throws {
    let keeper = try TestKeeper()
    try start(keeper, ["livenessProbe": probe(["exec": ["command": ["/bin/sh", "-c", "echo stuck; exit 1"]]])])
    #expect(keeper.wait { main(keeper)?.restartCount ?? 0 > 0 && main(keeper)?.state.isRunning == true })
    #expect(has(keeper, "Unhealthy", "Liveness probe failed: stuck\n"))
    #expect(has(keeper, "Killing", "Container main failed liveness probe, will be restarted"))
    #expect(keeper.log(1, previous: true) == "told\n")
  }

  @Test("a command that does not end is ended before the next one starts") func timeout() throws {
    let keeper = try TestKeeper()
    let mark = "\(keeper.scratch.path)/mark"
    let script = "echo >>\(mark); while :; do sleep 0.1; done"
    try start(
      keeper,
      ["livenessProbe": probe(["exec": ["command": ["/bin/sh", "-c", .string(script)]]], timeout: 1, failure: 4)])
    var most = 0
    let isRestarted = keeper.wait {
      most = max(most, processes(with: mark).count)
      return main(keeper)?.restartCount == 1
    }
    let begun = text(mark).count
    #expect(isRestarted && has(keeper, "Unhealthy", "timed out after 1s"))
    // Each try's process is gone before the next one's comes, but for the moment in which it dies.
    #expect((4...5).contains(begun) && most <= 2, "\(begun) begun, \(most) at once")
  }

  @Test("a probe's command that is not there is an error, and no failure") func noCommand() throws {
    let keeper = try TestKeeper()
    try start(keeper, ["livenessProbe": probe(["exec": ["command": ["no-such-thing"]]])])
    #expect(
      keeper.wait {
        has(keeper, "Unhealthy", "errored and resulted in unknown state")
          && has(keeper, "Unhealthy", "not found in $PATH")
      })
    #expect(main(keeper)?.restartCount == 0)
  }

  @Test("a GET says who asks, and what it is to say; 200 to 399 is good, the rest is not") func gets() throws {
    let keeper = try TestKeeper()
    let server = try Server(keeper.loop)
    let headers: JSON = ["httpHeaders": [["name": "X-Word", "value": "a b"], ["name": "Host", "value": "example"]]]
    try start(keeper, ["readinessProbe": probe(get(server, "/ready?x=1 2", more: headers))])
    #expect(keeper.wait { main(keeper)?.ready == true })
    let lines = Set((server.requests.first ?? "").split(separator: "\r\n").map(String.init))
    #expect(
      lines == [
        "GET /ready?x=1%202 HTTP/1.1", "Host: example", "User-Agent: kube-probe/1.31", "Accept: */*", "X-Word: a b",
        "Connection: close",
      ])
    server.answers = { _ in "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n" }
    #expect(keeper.wait { main(keeper)?.ready == false })
    #expect(has(keeper, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"))
    server.answers = { _ in "HTTP/1.1 302 There\r\nContent-Length: 0\r\n\r\n" }
    #expect(keeper.wait { main(keeper)?.ready == true })
    server.close()
    #expect(keeper.wait { main(keeper)?.ready == false })
    #expect(
      has(
        keeper, "Unhealthy", "Get \"http://127.0.0.1:\(server.port)/ready?x=1 2\": dial tcp 127.0.0.1:\(server.port): ")
        && has(keeper, "Unhealthy", "connect: connection refused"))
  }

  @Test("a redirect is followed on the same host; elsewhere it is good, with a warning; around for ever it is not")
  func redirects() throws {
    let keeper = try TestKeeper()
    let server = try Server(keeper.loop)
    var bad = "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
    server.answers = { path in
      path == "/end" ? bad : "HTTP/1.1 301 There\r\nLocation: /end\r\nContent-Length: 0\r\n\r\n"
    }
    try start(keeper, ["readinessProbe": probe(get(server))])
    #expect(keeper.wait { has(keeper, "Unhealthy", "statuscode: 500") })
    bad = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    #expect(keeper.wait { main(keeper)?.ready == true })
    server.answers = { _ in "HTTP/1.1 302 There\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n" }
    #expect(keeper.wait { has(keeper, "Unhealthy", "stopped after 10 redirects") && main(keeper)?.ready == false })
    server.answers = { _ in
      "HTTP/1.1 302 There\r\nLocation: http://elsewhere.invalid/\r\nContent-Length: 4\r\n\r\nthis"
    }
    let warning = "Readiness probe warning: Probe terminated redirects, Response body: this"
    #expect(keeper.wait { main(keeper)?.ready == true && has(keeper, "ProbeWarning", warning) })
  }

  @Test("a name stands for all of its addresses: a server on one of them is found") func names() throws {
    let keeper = try TestKeeper()
    let server = try Server(keeper.loop)
    try start(keeper, ["readinessProbe": probe(get(server, more: ["host": "localhost"]))])
    #expect(keeper.wait { main(keeper)?.ready == true }, "\(keeper.facts)")
    let nowhere = try TestKeeper()
    try start(nowhere, ["readinessProbe": probe(get(server, more: ["host": "no-such-name.invalid"]))])
    #expect(nowhere.wait { has(nowhere, "Unhealthy", "lookup no-such-name.invalid: no such host") })
  }

  @Test("what is no answer, never comes or never ends is a failure, and its connection is closed")
  func badAnswers() throws {
    let keeper = try TestKeeper()
    let server = try Server(keeper.loop)
    server.answers = { _ in "SSH-2.0-OpenSSH\r\n\r\n" }
    try start(keeper, ["readinessProbe": probe(get(server), timeout: 1)])
    #expect(keeper.wait { has(keeper, "Unhealthy", "malformed HTTP response \"SSH-2.0-OpenSSH\"") })
    server.answers = { _ in nil }
    #expect(keeper.wait { has(keeper, "Unhealthy", "context deadline exceeded") })
    server.answers = { _ in "HTTP/1.1 200 OK\r\nX: " + String(repeating: "y", count: 80_000) }
    #expect(keeper.wait { has(keeper, "Unhealthy", "server response headers exceeded") })
    server.answers = { _ in "HTTP/1.1 200 OK\r\n\r\n" + String(repeating: "y", count: 200_000) }
    #expect(keeper.wait { main(keeper)?.ready == true })
    #expect(keeper.wait { server.accepted - server.closed <= 1 })
  }

  @Test("a connection is enough for tcpSocket, and its refusal is not") func sockets() throws {
    let keeper = try TestKeeper()
    let server = try Server(keeper.loop)
    try start(keeper, ["readinessProbe": probe(["tcpSocket": ["port": .int(server.port)]])])
    #expect(keeper.wait { main(keeper)?.ready == true })
    server.close()
    #expect(keeper.wait { main(keeper)?.ready == false })
    #expect(has(keeper, "Unhealthy", "dial tcp 127.0.0.1:\(server.port): connect: connection refused"))
  }

  @Test("a container runs once its postStart is done, which is a process in it") func postStart() throws {
    let keeper = try TestKeeper()
    let mark = "\(keeper.scratch.path)/go"
    try start(
      keeper,
      [
        "lifecycle": [
          "postStart": [
            "exec": [
              "command": [
                "/bin/sh", "-c", .string("echo $FROM > /proc/1/fd/1; while [ ! -e \(mark) ]; do sleep 0.02; done"),
              ]
            ]
          ]
        ], "env": [["name": "FROM", "value": "hook"]],
      ])
    #expect(keeper.wait { !processes(with: mark).isEmpty })
    #expect(main(keeper)?.state.isRunning != true)
    try Files.writeAtomically(mark, [], mode: 0o644)
    #expect(keeper.wait { main(keeper)?.state.isRunning == true })
  }

  @Test("a postStart that fails ends the container") func postStartFails() throws {
    let keeper = try TestKeeper()
    try start(keeper, ["lifecycle": ["postStart": ["exec": ["command": ["/bin/false"]]]]], policy: "Never")
    #expect(keeper.waitForEnd(1)?.phase == .succeeded, "told by SIGTERM, it exits 0")
    #expect(has(keeper, "FailedPostStartHook", "PostStartHook failed"))
    #expect(has(keeper, "Killing", "FailedPostStartHook"))
  }

  @Test("a preStop has its say before SIGTERM; a server's is any answer") func preStop() throws {
    let keeper = try TestKeeper()
    let server = try Server(keeper.loop)
    server.answers = { _ in "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n" }
    try start(keeper, ["lifecycle": ["preStop": get(server, "/farewell")]])
    #expect(keeper.wait { main(keeper)?.state.isRunning == true })
    keeper.send(.stop(1, graceMilliseconds: -1))
    #expect(keeper.waitForEnd(1)?.containers.first?.state.termination?.exitCode == 0)
    #expect(server.requests.first?.hasPrefix("GET /farewell HTTP/1.1\r\n") == true)
    #expect(server.requests.first?.contains("User-Agent: kube-lifecycle/1.31\r\n") == true)
    #expect(keeper.log(1) == "told\n")
    #expect(keeper.facts.isEmpty)
  }

  @Test("a preStop that never ends is ended with the grace, and SIGTERM still comes") func preStopHangs() throws {
    let keeper = try TestKeeper()
    let mark = "\(keeper.scratch.path)/mark"
    let hang = "while :; do : \(mark); sleep 0.1; done"
    try start(keeper, ["lifecycle": ["preStop": ["exec": ["command": ["/bin/sh", "-c", .string(hang)]]]]], grace: 1)
    #expect(keeper.wait { main(keeper)?.state.isRunning == true })
    keeper.send(.stop(1, graceMilliseconds: -1))
    #expect(keeper.waitForEnd(1)?.containers.first?.state.termination?.exitCode == 0)
    #expect(keeper.log(1) == "told\n")
    #expect(processes(with: mark).isEmpty)
  }

  @Test("a fence waits for no hook and no probe: at the lease's end everything is dead") func fenced() throws {
    let keeper = try TestKeeper()
    let mark = "\(keeper.scratch.path)/mark"
    let hang: JSON = [
      "exec": ["command": ["/bin/sh", "-c", .string("trap '' TERM; while :; do : \(mark); sleep 0.1; done")]]
    ]
    let spec: JSON = [
      "restartPolicy": "Never", "terminationGracePeriodSeconds": 60,
      "containers": [
        shell(
          "main", "trap '' TERM; while :; do : \(mark); sleep 0.1; done",
          more: ["lifecycle": ["preStop": hang], "readinessProbe": probe(hang, timeout: 60)])
      ],
    ]
    try keeper.start(keeper.assignment(1, spec, tolerationMilliseconds: 0), leaseMilliseconds: 4_000)
    #expect(keeper.wait { main(keeper)?.state.isRunning == true })
    keeper.send(.stop(1, graceMilliseconds: 60_000))
    #expect(keeper.waitForEnd(1, seconds: 8)?.phase == .failed)
    #expect(processes(with: mark).isEmpty)
  }

  @Test("with the keeper all that it had asked is gone") func keeperDies() throws {
    let keeper = try TestKeeper()
    let mark = "\(keeper.scratch.path)/mark"
    let server = try Server(keeper.loop)
    server.answers = { _ in nil }
    let hang: JSON = ["exec": ["command": ["/bin/sh", "-c", .string("while :; do : \(mark); sleep 0.1; done")]]]
    try start(keeper, ["livenessProbe": probe(hang, timeout: 60), "readinessProbe": probe(get(server), timeout: 60)])
    #expect(keeper.wait { !processes(with: mark).isEmpty && server.accepted == 1 })
    try keeper.replace()
    #expect(keeper.wait { processes(with: mark).isEmpty && server.closed == 1 })
  }

  @Test("in a container of an image commands run in its root") func image() throws {
    let node = try ImageKeeper()
    let members: JSON = [
      "name": "main", "image": "box", "command": ["sleep", "1000"],
      "readinessProbe": probe(["exec": ["command": ["grep", "high", "/etc/motd"]]]),
      "lifecycle": ["postStart": ["exec": ["command": ["touch", "/tmp/began"]]]],
    ]
    let assignment = node.assignment(members)
    try node.keeper.start(assignment, images: ["box": node.image])
    #expect(node.keeper.wait { node.keeper.status(assignment.attempt)?.containers.first?.ready == true })
  }
}
