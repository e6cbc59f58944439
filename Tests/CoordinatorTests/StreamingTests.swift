// Long answers with no other traffic: nothing that waits may wait for somebody else to wake the coordinator.

import ClusterIO
import ClusterProto
import CoordinatorCore
import HTTPTestSupport
import Testing

@testable import Coordinator

@Suite("Long answers without other traffic")
struct StreamingTests {
  private static let maps = APIFixture.collection(.configmaps)
  private static let log = "\(APIFixture.path(.pods, "p"))/log"
  /// Longer than a turn is away for, shorter than the coordinator's own timers.
  private static let longWait: Int32 = 400

  /// Turns until `condition` holds. The client takes all that there is before the coordinator may wait, so it never
  /// has a reason to; returns how often it waited all the same.
  private func countStalls(_ api: LiveAPI, until condition: () -> Bool) throws -> Int {
    var stalls = 0
    let deadline = Clocks.boot() + 120_000_000_000
    while !condition() {
      try #require(Clocks.boot() < deadline, "the answer never ends")
      // Some turns of the client for each of its connections: what it reads is at most 64 KiB a turn.
      for _ in 0..<64 { try api.live.loop.runOnce(timeoutMilliseconds: 0) }
      if condition() { break }
      let begin = Clocks.boot()
      _ = try api.live.server.serveOnce(timeoutMilliseconds: Self.longWait)
      if Clocks.boot() - begin >= Int64(Self.longWait) * 1_000_000 { stalls += 1 }
    }
    return stalls
  }

  private static func lines(_ bytes: Int) -> [UInt8] {
    var text: [UInt8] = []
    var number = 0
    while text.count < bytes {
      number += 1
      text += Array("line \(number) of the log\n".utf8)
    }
    return text
  }

  private func send(_ text: [UInt8], on source: TestClient, pieces: Int = LogFrame.largestPiece) {
    for start in stride(from: 0, to: text.count, by: pieces) {
      let piece = LogFrame.bytes(Array(text[start..<min(start + pieces, text.count)]))
      if let frame = try? Frame.encode(piece.payload) { source.connection.send(frame) }
    }
    if let end = try? Frame.encode(LogFrame.end(code: 200, message: "").payload) { source.connection.send(end) }
  }

  @Test(
    "a log of 5 MB flows without a wait, every byte of it, over HTTPS and by the native protocol",
    arguments: [true, false], [700, 29_000, LogFrame.largestPiece])
  func logs(isHTTPS: Bool, pieces: Int) throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory)
    let node = try FakeNode(api.live)
    let native = try api.live.open(.client)
    try node.createPod(native)
    let text = Self.lines(5_000_000)
    let client = try api.connect()
    var got: [UInt8] = []
    var isOver = false
    let source: TestClient
    if isHTTPS {
      client.connection.send(HTTPTestClient.request("GET", Self.log))
      source = try node.openStream()
    } else {
      source = try node.openLog(of: native, 7)
    }
    // Several pieces come at once, so that there is more to send when the first has gone: nobody brings it.
    send(text, on: source, pieces: pieces)
    let stalls = try countStalls(api) {
      if isHTTPS {
        got += client.takeBody()
        isOver = client.isStreamOver
      } else {
        for message in native.takeMessages() {
          got += Array((message["text"]?.stringValue ?? "").utf8)
          isOver = isOver || message["type"] == "done"
        }
      }
      return isOver
    }
    #expect(stalls <= 2, "the coordinator waited \(stalls) times with output left")
    #expect(got == text)
    try api.live.stop()
  }

  @Test(
    "a log that comes whole with its connection's end reaches its reader whole, one without an end breaks off there",
    arguments: [900, 24_000, 44_000, 300_000], [true, false])
  func logAtOnce(bytes: Int, hasEnd: Bool) throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory)
    let node = try FakeNode(api.live)
    try node.createPod(try api.live.open(.client))
    let text = Self.lines(bytes)
    let client = try api.connect()
    client.connection.send(HTTPTestClient.request("GET", Self.log))
    let source = try node.openStream()
    for start in stride(from: 0, to: text.count, by: 8_000) {
      let piece = LogFrame.bytes(Array(text[start..<min(start + 8_000, text.count)]))
      source.connection.send(try Frame.encode(piece.payload))
    }
    if hasEnd { source.connection.send(try Frame.encode(LogFrame.end(code: 200, message: "").payload)) }
    source.connection.close(afterFlush: true)
    var got: [UInt8] = []
    try api.live.wait("the answer ends") {
      got += client.takeBody()
      return client.isStreamOver || client.isClosed
    }
    let isWhole = got == text
    #expect(isWhole, "\(got.count) of \(text.count) bytes")
    #expect(client.isStreamOver == hasEnd)
    try api.live.stop()
  }

  @Test("a reader that takes a log slowly holds the node's stream back, gets every byte, and nobody else waits")
  func slowLog() throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory)
    let node = try FakeNode(api.live)
    try node.createPod(try api.live.open(.client))
    let text = Self.lines(24_000_000)
    let slow = try api.connect()
    slow.connection.send(HTTPTestClient.request("GET", "\(Self.log)?follow=true"))
    let source = try node.openStream()
    send(text, on: source)
    try api.live.wait("it begins") { slow.hasBytes }
    slow.connection.setReading(false)
    var last = -1
    // What the sockets' buffers take goes; then all stands still, in the node and not in the coordinator.
    try api.live.wait("the node's stream is held back") {
      defer { last = source.connection.pendingOutput }
      for _ in 0..<20 { try? api.live.turn() }
      return last == source.connection.pendingOutput
    }
    #expect(source.connection.pendingOutput > 5_000_000)
    #expect(api.live.server.waitingBytes.answers < 1 << 20)
    for _ in 0..<20 { #expect(try api.ask("GET", "\(Self.maps)?limit=1").code == 200) }
    slow.connection.setReading(true)
    var got: [UInt8] = []
    let stalls = try countStalls(api) {
      got += slow.takeBody()
      return slow.isStreamOver
    }
    #expect(stalls <= 2, "the coordinator waited \(stalls) times with output left")
    #expect(got == text)
    try api.live.stop()
  }

  @Test("a list and a watch of 6 MB flow without a wait, plain and as gzip", arguments: [false, true])
  func lists(isGzip: Bool) throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory)
    let filler = try api.connect()
    let count = 600
    var random = SplitMix64(seed: 1)
    for number in 0..<count {
      let text = (0..<600).map { _ in String(random.next(), radix: 36) }.joined()
      let body: JSON = ["metadata": ["name": .string("m\(number)")], "data": ["a": .string(text)]]
      filler.connection.send(HTTPTestClient.request("POST", Self.maps, body: body.bytes))
    }
    var created = 0
    try api.live.wait("all are created") {
      while let answer = filler.takeAnswer() { created += answer.code == 201 ? 1 : 0 }
      return created == count
    }
    let plain = try api.ask("GET", Self.maps)
    #expect(plain.body.count > 4_000_000)
    let list = try api.connect()
    let watch = try api.connect()
    let headers = isGzip ? ["Accept-Encoding: gzip"] : []
    list.connection.send(HTTPTestClient.request("GET", Self.maps, headers: headers))
    watch.connection.send(HTTPTestClient.request("GET", "\(Self.maps)?watch=1", headers: headers))
    var body: [UInt8] = []
    var events = 0
    let stalls = try countStalls(api) {
      body += list.takeBody()
      events += watch.takeEvents().count
      return list.isStreamOver && events >= count
    }
    #expect(stalls <= 2, "the coordinator waited \(stalls) times with output left")
    #expect(isGzip ? body.count < plain.body.count && body.count > 1_000_000 : body == plain.body)
    try api.live.stop()
  }
}
