// Ways into a pod on real sockets: exec and port-forward as the oldest and the newest kubectl ask for them, the native
// protocol's streams, who may not, and that no side can make the coordinator keep much for another.

import ClusterIO
import ClusterProto
import CoordinatorCore
import HTTPTestSupport
import Testing

@testable import Coordinator

@Suite("Streams into pods")
struct PodStreamTests {
  private typealias Client = EnteringClient

  /// A server, a node and its running pod `p`.
  private func withPod(_ body: (LiveAPI, FakeNode, TestClient) throws -> Void) throws {
    try LiveAPI.with { api in
      let node = try FakeNode(api.live)
      let native = try api.live.open(.client)
      try node.createPod(native)
      try body(api, node, native)
    }
  }

  private static let exec = Client.path(
    "exec", "command=sh&command=-c&command=exit+7&stdin=true&stdout=true&stderr=true&container=c")

  @Test(
    "exec over WebSocket: bytes go both ways, then the exit code and a close",
    arguments: ["v5.channel.k8s.io", "v4.channel.k8s.io"])
  func webSocketExec(_ version: String) throws {
    try withPod { api, node, _ in
      let client = try Client(api, "GET", Self.exec, Client.webSocket(version))
      let (source, asked) = try node.openPodStream()
      #expect(asked.purpose == .exec && asked.attempt == 1)
      var options = PodStreamOptions()
      (options.container, options.command) = ("c", ["sh", "-c", "exit 7"])
      (options.stdin, options.stdout, options.stderr) = (true, true, true)
      #expect(asked.options == options)
      #expect(!client.http.hasBytes, "nothing is promised before the agent has found the container")
      source.send(.started)
      let head = try client.switched()
      #expect(head.hasPrefix("HTTP/1.1 101 Switching Protocols\r\n"))
      #expect(head.contains("Sec-WebSocket-Protocol: \(version)"))
      client.tell([0] + Array("in".utf8))
      client.tell([4] + Array("{\"Width\":100,\"Height\":30}".utf8))
      client.tell([4] + Array("nonsense".utf8))
      client.tell([255, 0])
      client.tell([1, 2], code: 9)
      source.send(.output(Array("out\n".utf8)))
      source.send(.errors(Array("err\n".utf8)))
      var expected: [PodStreamFrame] = [.input(Array("in".utf8)), .resize(columns: 100, rows: 30)]
      // v4 has no word for the end of the input.
      if version.hasPrefix("v5") { expected.append(.inputEnd) }
      try api.live.wait("the agent has it all") { source.frames.count >= expected.count }
      try api.live.wait("the client has it all") { client.messages().count >= 3 }
      #expect(source.takeFrames() == expected)
      source.send(.end(PodStreamEnd(code: 200, exitCode: 7)))
      try api.live.wait("the end comes") { client.messages().count == 5 }
      let messages = client.messages()
      #expect(messages.contains { $0.code == 10 && $0.payload == [1, 2] })
      #expect(messages.contains { $0.code == 2 && $0.payload == [1] + Array("out\n".utf8) })
      #expect(messages.contains { $0.code == 2 && $0.payload == [2] + Array("err\n".utf8) })
      let status = try JSON(parsing: Array(messages[3].payload.dropFirst()))
      #expect(messages[3].payload.first == 3)
      #expect(status["status"] == "Failure" && status["reason"] == "NonZeroExitCode")
      #expect(status[path: ["details", "causes"]]?[0] == ["reason": "ExitCode", "message": "7"])
      #expect(messages[4].code == 8 && messages[4].payload == [3, 0xE8])
      try api.live.wait("the agent's connection closes") { source.isClosed }
      client.http.connection.close()
    }
  }

  @Test("exec over SPDY: nothing flows before all streams are open, and each has its end")
  func spdyExec() throws {
    try withPod { api, node, _ in
      let client = try Client(api, "POST", Self.exec, Client.spdyCommand)
      let (source, _) = try node.openPodStream()
      source.send(.started)
      source.send(.output(Array("early".utf8)))
      #expect(try client.switched().contains("X-Stream-Protocol-Version: v4.channel.k8s.io"))
      let streams = ["error", "stdin", "stdout", "stderr"].map { client.open([("streamType", $0)]) }
      var texts = StreamTexts()
      try api.live.wait("what was said early comes") {
        texts.add((try? client.takeSPDY()) ?? [])
        return texts.text(streams[2]) == "early"
      }
      client.say(.data(stream: streams[1], bytes: Array("in".utf8), isLast: false))
      client.say(.data(stream: streams[1], bytes: [], isLast: true))
      try api.live.wait("the agent has it all") { source.frames.count == 2 }
      #expect(source.takeFrames() == [.input(Array("in".utf8)), .inputEnd])
      source.send(.errors(Array("no".utf8)))
      source.send(.end(PodStreamEnd(code: 200, exitCode: 0)))
      try api.live.wait("each stream ends") {
        texts.add((try? client.takeSPDY()) ?? [])
        return texts.finished == Set(streams)
      }
      #expect(texts.text(streams[3]) == "no")
      #expect(try JSON(parsing: texts.text(streams[0])) == ["metadata": [:], "status": "Success"])
      client.http.connection.close()
    }
  }

  @Test("what cannot be entered is refused in Kubernetes' words, before any protocol changes")
  func refusals() throws {
    try withPod { api, node, native in
      let pending: JSON = [
        "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "q"],
        "spec": [
          "nodeSelector": ["no": "where"], "containers": [["name": "c", "image": "i"]],
        ],
      ]
      let create = APIRequest(verb: .create, kind: .pods, namespace: "default", body: pending)
      native.send(ClientMessage.request(id: 5, create).json)
      try api.live.wait("it is created") { native.takeMessages().contains { $0["code"] == 201 } }
      let cases: [(String, String, Int, String)] = [
        ("POST", Client.path("exec", "command=true&stdout=true", pod: "none"), 404, "pods \"none\" not found"),
        ("POST", Client.path("exec", "command=true&stdout=true", pod: "q"), 400, "pod q does not have a host assigned"),
        (
          "POST", Client.path("exec", "command=true&stdout=true&container=x"), 400, "container x is not valid for pod p"
        ),
        ("POST", Client.path("exec", "command=true"), 400, "you must specify at least 1 of stdin, stdout, stderr"),
        ("POST", Client.path("exec", "stdout=true"), 400, "you must specify a command"),
        ("PUT", Client.path("exec", "command=true&stdout=true"), 405, "does not allow this method"),
        ("DELETE", Client.path("attach", "stdout=true"), 405, "does not allow this method"),
      ]
      for (method, target, code, words) in cases {
        let answer = try api.ask(method, target, headers: Client.spdyCommand)
        #expect(answer.code == code, "\(method) \(target): \(answer.text)")
        #expect(answer.json["message"]?.stringValue?.contains(words) == true, "\(answer.text)")
      }
      let plain = try api.ask("POST", Client.path("exec", "command=true&stdout=true"))
      #expect(plain.code == 400 && plain.text.contains("Upgrade request required"))
      // What the agent says is told as a kubelet's words are.
      let client = try Client(api, "POST", Self.exec, Client.spdyCommand)
      let (source, _) = try node.openPodStream()
      source.send(.end(PodStreamEnd(code: 500, message: "container not found (\"c\")")))
      var answer: HTTPTestAnswer?
      try api.live.wait("it is refused") {
        answer = client.http.takeAnswer()
        return answer != nil
      }
      #expect(answer?.code == 500 && answer?.text == "container not found (\"c\")")
      // The connection goes on.
      client.http.connection.send(HTTPTestClient.request("GET", "/readyz"))
      try api.live.wait("it is asked again") { client.http.takeAnswer()?.code == 200 }
    }
  }

  @Test("with the right to read pods alone nobody enters one, by whatever method; with edit one does")
  func rights() throws {
    try withPod { api, node, native in
      func may(_ role: String, _ verb: String, _ part: String) throws -> Bool {
        let user = "u-\(role)"
        let binding: JSON = [
          "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": ["name": .string(role)],
          "roleRef": ["apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": .string(role)],
          "subjects": [["kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": .string(user)]],
        ]
        _ = try api.ask(
          "POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", body: binding)
        let review: JSON = [
          "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
          "spec": [
            "user": .string(user),
            "resourceAttributes": [
              "namespace": "default", "verb": .string(verb), "resource": "pods", "subresource": .string(part),
            ],
          ],
        ]
        let answer = try api.ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body: review)
        return answer.json[path: ["status", "allowed"]] == true
      }
      for part in ["exec", "attach", "portforward"] {
        let seen = [try may("view", "create", part), try may("view", "get", part), try may("edit", "create", part)]
        #expect(seen == [false, false, true], "\(part)")
      }
      let readsLogs = try may("view", "get", "log")
      #expect(readsLogs)
    }
  }

  @Test("port-forward over SPDY: several connections side by side, each with its own end")
  func spdyPorts() throws {
    try withPod { api, node, _ in
      let client = try Client(api, "POST", Client.path("portforward"), Client.spdyPorts)
      _ = try client.switched()
      var pairs: [(errors: UInt32, data: UInt32, source: TestClient)] = []
      for number in 0..<2 {
        let name = [("port", "8080"), ("requestID", "\(number)")]
        let errors = client.open([("streamType", "error")] + name)
        let data = client.open([("streamType", "data")] + name)
        client.say(.data(stream: data, bytes: Array("hello \(number)".utf8), isLast: number == 1))
        let (source, asked) = try node.openPodStream()
        #expect(asked.purpose == .portforward && asked.options.port == 8_080)
        source.send(.started)
        pairs.append((errors, data, source))
      }
      for (number, pair) in pairs.enumerated() {
        let expected = [PodStreamFrame.input(Array("hello \(number)".utf8))] + (number == 1 ? [.inputEnd] : [])
        try api.live.wait("the agent has it") { pair.source.frames.count == expected.count }
        #expect(pair.source.takeFrames() == expected)
        pair.source.send(.output(Array("answer \(number)".utf8)))
      }
      pairs[0].source.send(.end(PodStreamEnd(code: 200)))
      pairs[1].source.send(.end(PodStreamEnd(code: 500, message: "failed to connect to localhost:8080")))
      var texts = StreamTexts()
      try api.live.wait("all ends") {
        texts.add((try? client.takeSPDY()) ?? [])
        return texts.finished.count == 4
      }
      for (number, pair) in pairs.enumerated() { #expect(texts.text(pair.data) == "answer \(number)") }
      #expect(texts.text(pairs[0].errors) == "")
      #expect(
        texts.text(pairs[1].errors) == "error forwarding port 8080 to pod p: failed to connect to localhost:8080")
      // A client that gives up a connection ends the agent's.
      let name = [("port", "80"), ("requestID", "9")]
      _ = client.open([("streamType", "error")] + name)
      let data = client.open([("streamType", "data")] + name)
      let (source, _) = try node.openPodStream()
      source.send(.started)
      client.say(.reset(stream: data, status: SPDYFrame.ResetStatus.cancel))
      try api.live.wait("the agent's connection closes") { source.isClosed }
      client.http.connection.close()
    }
  }

  @Test("port-forward inside WebSocket messages, a frame split over several of them")
  func tunnelledPorts() throws {
    try withPod { api, node, _ in
      let client = try Client(
        api, "GET", Client.path("portforward"), Client.webSocket("SPDY/3.1+portforward.k8s.io"))
      _ = try client.switched()
      let name = [("port", "80"), ("requestID", "0")]
      let (_, first) = client.opening([("streamType", "error")] + name)
      let (data, second) = client.opening([("streamType", "data")] + name)
      let bytes = first + second + SPDYFrame.data(stream: data, bytes: [7, 8, 9], isLast: false).bytes
      for start in stride(from: 0, to: bytes.count, by: 3) {
        client.tell(Array(bytes[start..<min(start + 3, bytes.count)]))
      }
      let (source, _) = try node.openPodStream()
      source.send(.started)
      try api.live.wait("the agent has it") { source.frames.count == 1 }
      #expect(source.takeFrames() == [.input([7, 8, 9])])
      source.send(.output([1, 2, 3]))
      source.send(.end(PodStreamEnd(code: 200)))
      var texts = StreamTexts()
      var seen = 0
      try api.live.wait("it ends") {
        let messages = client.messages()
        for message in messages[seen...] { texts.add((try? client.takeSPDY(message.payload)) ?? []) }
        seen = messages.count
        return texts.finished.count == 2
      }
      #expect(texts.texts[data] == [1, 2, 3])
      client.tell([3, 0xE8], code: 8)
      try api.live.wait("the close is answered") { client.messages().last?.code == 8 }
      client.http.connection.close()
    }
  }

  @Test("a port that is none, and a half without its other half, are refused; the rest goes on")
  func oddPorts() throws {
    try withPod { api, node, _ in
      let client = try Client(api, "POST", Client.path("portforward"), Client.spdyPorts)
      _ = try client.switched()
      let bad = [
        client.open([("streamType", "data"), ("port", "80"), ("requestID", "1")]),
        client.open([("streamType", "error"), ("port", "0"), ("requestID", "2")]),
        client.open([("streamType", "error"), ("port", "70000"), ("requestID", "3")]), client.open([("port", "80")]),
        client.open([("streamType", "shell"), ("port", "80"), ("requestID", "4")]),
      ]
      var resets: [UInt32] = []
      try api.live.wait("they are refused") {
        for case .reset(let id, _) in (try? client.takeSPDY()) ?? [] { resets.append(id) }
        return resets.count == bad.count
      }
      #expect(resets == bad)
      client.http.connection.send([0x80, 2, 0, 0, 0, 0, 0, 0])
      try api.live.wait("what is no frame ends it") {
        ((try? client.takeSPDY()) ?? []).contains { if case .goAway = $0 { true } else { false } }
      }
      client.http.connection.close()
    }
  }

  @Test("a client that does not read holds the agent back, an agent that does not read holds the client back")
  func backPressure() throws {
    try withPod { api, node, _ in
      let client = try Client(api, "GET", Self.exec, Client.webSocket("v5.channel.k8s.io"))
      let (source, _) = try node.openPodStream()
      source.send(.started)
      _ = try client.switched()
      client.http.connection.setReading(false)
      let piece = [UInt8](repeating: 1, count: PodStreamFrame.largestPiece)
      let count = 400
      for _ in 0..<count { source.send(.output(piece)) }
      for _ in 0..<300 { try api.live.turn() }
      // What two sockets and the marks hold, and no more.
      #expect(source.connection.pendingOutput > piece.count * count / 2)
      client.http.connection.setReading(true)
      try api.live.wait("all of it comes") { client.byteCount >= piece.count * count }
      source.connection.setReading(false)
      for _ in 0..<count * 4 { client.tell([0] + [UInt8](repeating: 2, count: 16_000)) }
      for _ in 0..<300 { try api.live.turn() }
      #expect(client.http.connection.pendingOutput > 16_000 * count * 2)
      source.connection.setReading(true)
      var bytes = 0
      try api.live.wait("all of it comes") {
        for case .input(let piece) in source.takeFrames() { bytes += piece.count }
        return bytes == 16_000 * count * 4
      }
      // One that goes while it is held back is seen to go.
      source.connection.setReading(false)
      for _ in 0..<count { client.tell([0] + [UInt8](repeating: 2, count: 16_000)) }
      for _ in 0..<300 { try api.live.turn() }
      client.http.connection.close()
      source.connection.setReading(true)
      try api.live.wait("the agent's connection closes") { source.isClosed }
    }
  }

  @Test("whoever goes ends the stream for the other: the client is told, the agent's connection closes")
  func gone() throws {
    try withPod { api, node, _ in
      var client = try Client(api, "GET", Self.exec, Client.webSocket("v5.channel.k8s.io"))
      var source = try node.openPodStream().0
      source.send(.started)
      _ = try client.switched()
      source.connection.close()
      try api.live.wait("the client is told") { client.messages().last?.code == 8 }
      #expect(
        String(decoding: client.messages()[0].payload, as: UTF8.self).contains(
          "the connection to the node ended before the stream did"))
      client.http.connection.close()
      client = try Client(api, "GET", Self.exec, Client.webSocket("v5.channel.k8s.io"))
      source = try node.openPodStream().0
      source.send(.started)
      _ = try client.switched()
      client.http.connection.close()
      try api.live.wait("the agent's connection closes") { source.isClosed }
    }
  }

  @Test("the native protocol's stream is a connection of its own, whose frames go as they are")
  func native() throws {
    try withPod { api, node, native in
      var options = PodStreamOptions()
      (options.command, options.stdin, options.stdout) = (["cat"], true, true)
      let request = APIRequest(
        verb: .connect, kind: .pods, namespace: "default", name: "p", subresource: "exec", body: options.json)
      native.send(ClientMessage.request(id: 9, request).json)
      let (source, asked) = try node.openPodStream()
      source.send(.started)
      source.send(.output([1]))
      try api.live.wait("the client is told") { !native.messages.isEmpty }
      let answer = try #require(native.takeMessages().first)
      #expect(answer["code"] == 200 && answer["object"] == ["stream": .string(asked.stream)])
      // Neither another node nor another name can take it.
      let stranger = try TestClient(
        api.live.loop, api.live.server.address, role: .stream, tls: try api.live.authority.context(node: "other"),
        stream: asked.stream)
      try api.live.wait("the stranger is refused") { stranger.isRefusedOrClosed }
      let stream = try TestClient(
        api.live.loop, api.live.server.address, role: .stream, tls: try api.live.authority.context(),
        stream: asked.stream)
      try api.live.wait("it is open") { stream.result != nil }
      let second = try TestClient(
        api.live.loop, api.live.server.address, role: .stream, tls: try api.live.authority.context(),
        stream: asked.stream)
      try api.live.wait("what was held back comes") { stream.frames.contains(.output([1])) }
      try api.live.wait("a second one is refused") { second.isRefusedOrClosed }
      stream.send(.input([2, 3]))
      stream.send(.inputEnd)
      try api.live.wait("the input comes") { source.frames == [.input([2, 3]), .inputEnd] }
      source.send(.end(PodStreamEnd(code: 200, exitCode: 3)))
      try api.live.wait("the end comes") { stream.frames.last == .end(PodStreamEnd(code: 200, exitCode: 3)) }
      stream.connection.close()
      try api.live.wait("the agent's connection closes") { source.isClosed }
    }
  }

  @Test("frames of the wrong side, before the start, or of no kind end their connection")
  func wrongFrames() throws {
    try withPod { api, node, _ in
      for frame in [PodStreamFrame.input([1]).payload, PodStreamFrame.output([1]).payload, [0x7A], []] {
        let client = try Client(api, "GET", Self.exec, Client.webSocket("v5.channel.k8s.io"))
        let (source, _) = try node.openPodStream()
        source.connection.send(frame.isEmpty ? [0, 0, 0, 0] : try Frame.encode(frame))
        try api.live.wait("the agent is refused") { source.isRefusedOrClosed }
        try api.live.wait("the client is told") { client.http.takeAnswer()?.code == 500 }
      }
      let stranger = try node.openPodStream("nobody")
      try api.live.wait("a stream that nobody waits for is refused") { stranger.isRefusedOrClosed }
    }
  }
}
