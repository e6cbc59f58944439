// Clients that mean harm, or are broken: slow, greedy, silent, many. Others must not feel them; memory stays bounded.

import ClusterIO
import ClusterProto
import HTTPTestSupport
import Testing

@testable import Coordinator
@testable import CoordinatorCore

@Suite("Attacks on the HTTPS door")
struct HTTPAttackTests {
  private static let maps = APIFixture.collection(.configmaps)
  private static let merge = PatchKind.merge.rawValue

  /// What this process uses; the server is in it.
  private static func residentBytes() throws -> Int {
    let text = String(decoding: try Files.read("/proc/self/statm"), as: UTF8.self)
    return (text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 4_096
  }

  /// A request beside the attack is answered soon; how soon says more of what else a machine does.
  private func expectQuick(_ api: LiveAPI, at location: SourceLocation = #_sourceLocation) throws {
    let begin = Clocks.boot()
    #expect(try api.ask("GET", "/readyz").code == 200, sourceLocation: location)
    #expect(try api.ask("GET", "\(Self.maps)?limit=1").code == 200, sourceLocation: location)
    let milliseconds = (Clocks.boot() - begin) / 1_000_000
    #expect(milliseconds < 20_000, "answered after \(milliseconds) ms", sourceLocation: location)
  }

  @Test("200 clients that send a byte at a time hold nobody up")
  func slowLoris() throws {
    try LiveAPI.with { api in
      let head = Array("POST \(Self.maps) HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n".utf8)
      let clients = try (0..<200).map { _ in try api.connect() }
      for (index, client) in clients.enumerated() { client.connection.send(Array(head.prefix(index % head.count))) }
      for round in 0..<20 {
        for client in clients { client.connection.send([head[round]]) }
        try expectQuick(api)
      }
      #expect(api.live.server.connectionCount <= 201)
      for client in clients { client.connection.close() }
      try api.live.wait("all places are free again") { api.live.server.connectionCount <= 1 }
    }
  }

  @Test("1,000 pipelined requests are answered in their order, also when the client reads late")
  func pipelining() throws {
    try LiveAPI.with { api in
      for isLate in [false, true] {
        let client = try api.connect()
        client.connection.setReading(!isLate)
        let count = 1_000
        var bytes: [UInt8] = []
        for index in 0..<count {
          let target = index % 2 == 0 ? "\(Self.maps)/none-\(index)" : "/readyz"
          bytes += HTTPTestClient.request("GET", target)
        }
        client.connection.send(bytes)
        if isLate { for _ in 0..<20 { try expectQuick(api) } }
        client.connection.setReading(true)
        var answers: [HTTPTestAnswer] = []
        try api.live.wait("all are answered", seconds: 60) {
          while let answer = client.takeAnswer() { answers.append(answer) }
          return answers.count == count
        }
        for (index, answer) in answers.enumerated() {
          let isRight = index % 2 == 0 ? answer.text.contains("\\\"none-\(index)\\\"") : answer.text == "ok"
          #expect(isRight, "\(index): \(answer.text)")
        }
        client.connection.close()
      }
    }
  }

  @Test("lists that nobody reads are not kept: memory stays, others go on")
  func unreadLists() throws {
    try LiveAPI.with { api in
      let text = String(repeating: "x", count: 100_000)
      for index in 0..<40 {
        let body: JSON = ["metadata": ["name": .string("big-\(index)")], "data": ["a": .string(text)]]
        #expect(try api.ask("POST", Self.maps, body: body).code == 201)
      }
      let before = try Self.residentBytes()
      let clients = try (0..<20).map { _ in try api.connect() }
      let request = HTTPTestClient.request("GET", Self.maps)
      for client in clients {
        client.connection.setReading(false)
        // 30 lists of 4 MB each: 2.4 GB if all were written.
        client.connection.send((0..<30).flatMap { _ in request })
      }
      for _ in 0..<50 { try expectQuick(api) }
      let grown = (try Self.residentBytes() - before) >> 20
      #expect(grown < 300, "grew by \(grown) MiB")
      for client in clients { client.connection.close() }
      try api.live.wait("all places are free again") { api.live.server.connectionCount <= 1 }
    }
  }

  @Test(
    "answers that nobody takes have a bound over both doors: who took nothing for longest is closed, readers are not")
  func unreadAnswers() throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory) { $0.answerBacklogLimit = 8 << 20 }
    let text = String(repeating: "x", count: 100_000)
    for index in 0..<20 {
      let body: JSON = ["metadata": ["name": .string("big-\(index)")], "data": ["a": .string(text)]]
      #expect(try api.ask("POST", Self.maps, body: body).code == 201)
    }
    let clients = try (0..<20).map { _ in try api.connect() }
    let native = try (0..<4).map { _ in try api.live.open(.client) }
    for client in native {
      client.connection.setReading(false)
      for id in 0..<40 {
        let list = APIRequest(verb: .list, kind: .configmaps, namespace: "default")
        client.send(ClientMessage.request(id: Int64(id), list).json)
      }
    }
    for client in clients {
      client.connection.setReading(false)
      client.connection.send(HTTPTestClient.request("GET", Self.maps))
    }
    var most = 0
    for _ in 0..<30 {
      try expectQuick(api)
      most = max(most, api.live.server.waitingAnswerBytes)
      #expect((try api.ask("GET", Self.maps).json["items"]?.arrayValue?.count ?? 0) >= 20)
    }
    #expect(most <= 8 << 20)
    #expect(api.live.server.connectionCount < 20)
    for client in clients { client.connection.close() }
    for client in native { client.connection.close() }
    try api.live.wait("nothing waits any more") { api.live.server.waitingAnswerBytes == 0 }
    try api.live.stop()
  }

  /// A second later it would be too late: by then the connection is closed.
  @Test("a native client whose answers nobody takes is closed for others' room, and reads why if it reads at once")
  func closedForRoom() throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory) { $0.answerBacklogLimit = 4 << 20 }
    let text = String(repeating: "x", count: 100_000)
    for index in 0..<20 {
      let body: JSON = ["metadata": ["name": .string("big-\(index)")], "data": ["a": .string(text)]]
      #expect(try api.ask("POST", Self.maps, body: body).code == 201)
    }
    let native = try (0..<6).map { _ in try api.live.open(.client) }
    for client in native {
      client.connection.setReading(false)
      for id in 0..<8 {
        let list = APIRequest(verb: .list, kind: .configmaps, namespace: "default")
        client.send(ClientMessage.request(id: Int64(id), list).json)
      }
    }
    try api.live.wait("one is closed for room") { api.live.server.door.peers.values.contains(where: \.isRefused) }
    for client in native { client.connection.setReading(true) }
    try api.live.wait("it reads why") { native.contains { $0.error?.code == .busy } }
    #expect(native.contains { $0.error?.message.contains("bytes of answers wait for you") == true })
    for client in native { client.connection.close() }
    try api.live.wait("nothing waits any more") { api.live.server.waitingAnswerBytes == 0 }
    try api.live.stop()
  }

  @Test("clients that leave in the middle of a head, a body or an answer leave nothing behind")
  func leaving() throws {
    try LiveAPI.with { api in
      let body: JSON = ["metadata": ["name": "never"], "data": ["a": .string(String(repeating: "x", count: 5_000))]]
      let whole = HTTPTestClient.request("POST", Self.maps, body: body.bytes)
      for share in 1..<100 {
        let client = try api.connect()
        client.connection.send(Array(whole.prefix(whole.count * share / 100)))
        if share % 3 == 0 { for _ in 0..<3 { try api.live.turn() } }
        client.connection.close(afterFlush: share % 2 == 0)
      }
      for target in ["\(Self.maps)?watch=1", Self.maps, "/openapi/v3/api/v1"] {
        let client = try api.connect()
        client.connection.send(HTTPTestClient.request("GET", target))
        try api.live.wait("the answer begins") { client.hasBytes }
        client.connection.close()
      }
      try api.live.wait("all places are free again") { api.live.server.connectionCount <= 1 }
      expectStatus(try api.ask("GET", "\(Self.maps)/never"), 404, "NotFound")
      try expectQuick(api)
    }
  }

  @Test(
    "300 watchers that never read, while objects change: memory bounded, a reader loses nothing, the others list again")
  func unreadWatches() throws {
    try LiveAPI.with { api in
      #expect(try api.ask("POST", Self.maps, body: APIFixture.object(.configmaps, "m")).code == 201)
      let version = try api.ask("GET", Self.maps).json.resourceVersion
      let watch = HTTPTestClient.request("GET", "\(Self.maps)?watch=1&resourceVersion=\(version)")
      let reader = try api.connect()
      reader.connection.send(watch)
      let silent = try (0..<300).map { _ in try api.connect() }
      for client in silent { client.connection.send(watch) }
      try api.live.wait("all watch", seconds: 60) { silent.allSatisfy(\.hasBytes) }
      for client in silent { client.connection.setReading(false) }
      let before = try Self.residentBytes()
      let writer = try api.connect()
      let text = String(repeating: "x", count: 20_000)
      let count = 1_500
      var answers = 0
      var events: [JSON] = []
      var sent = 0
      // 30 MB of events for each: 9 GB if they were kept for all.
      try api.live.wait("all changes are made and told", seconds: 120) {
        while sent < count, sent - answers < 16 {
          let body: JSON = ["data": ["n": .string("\(sent)"), "a": .string(text)]]
          let target = "\(Self.maps)/m"
          writer.connection.send(HTTPTestClient.request("PATCH", target, type: Self.merge, body: body.bytes))
          sent += 1
        }
        while let answer = writer.takeAnswer() { answers += answer.code == 200 ? 1 : 0 }
        events += reader.takeEvents()
        return answers == count && events.count == count
      }
      let grown = (try Self.residentBytes() - before) >> 20
      #expect(grown < 400, "grew by \(grown) MiB")
      #expect(events.last?[path: ["object", "data", "n"]]?.stringValue == "\(count - 1)")
      try expectQuick(api)
      try expectTheirEnd(api, silent)
      reader.connection.close()
    }
  }

  /// Those that read again at last: they are told to list again, or were cut off, or get everything.
  private func expectTheirEnd(_ api: LiveAPI, _ silent: [HTTPTestClient]) throws {
    for client in silent.dropFirst(5) { client.connection.close() }
    for client in silent.prefix(5) {
      client.connection.setReading(true)
      var last = 0
      try api.live.wait("it gets the rest or an end", seconds: 60) {
        for event in client.takeEvents() {
          if event["type"] == "ERROR" {
            #expect(event["object"]?["code"] == 410)
            last = .max
          } else {
            last = Int(event[path: ["object", "data", "n"]]?.stringValue ?? "") ?? 0
          }
        }
        return client.isClosed || client.isStreamOver || last >= 1_499
      }
      client.connection.close()
    }
    try api.live.wait("all places are free again") { api.live.server.connectionCount <= 3 }
  }

  @Test("300 clients without a certificate that send bodies are refused unread; memory stays, and comes back")
  func unprovenBodies() throws {
    try LiveAPI.with { api in
      try expectQuick(api)
      let before = try Self.residentBytes()
      let head = "POST \(Self.maps) HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000000\r\n\r\n"
      let clients = try (0..<300).map { _ in try api.connect(api.stranger) }
      for client in clients { client.connection.send(Array(head.utf8)) }
      let piece = [UInt8](repeating: 0x61, count: 32 * 1024)
      var sent = 0
      var largest = 0
      // 240 MB, if all of it were kept.
      try api.live.wait("all are refused", seconds: 120) {
        for client in clients where !client.isClosed && client.connection.pendingOutput == 0 && sent < 240 << 20 {
          client.connection.send(piece)
          sent += piece.count
        }
        largest = max(largest, (try? Self.residentBytes()) ?? .max)
        return clients.allSatisfy(\.isClosed)
      }
      #expect((largest - before) >> 20 < 160, "grew by \((largest - before) >> 20) MiB")
      #expect(clients.allSatisfy { $0.takeAnswer()?.code == 401 })
      try expectQuick(api)
    }
  }

  @Test("more silent connections than there are places keep a client with a certificate out for seconds, no longer")
  func silentCrowd() throws {
    try LiveAPI.with { api in
      let address = try #require(api.live.server.apiAddress)
      let silent = try (0..<HTTPDoor.unprovenLimit + 100).map { _ in try HTTPTestClient(api.live.loop, address, nil) }
      try api.live.wait("all places are taken") { api.live.server.connectionCount >= HTTPDoor.unprovenLimit }
      for _ in 0..<20 { try api.live.turn() }
      #expect(api.live.server.connectionCount == HTTPDoor.unprovenLimit)
      #expect(try api.ask("GET", "\(Self.maps)?limit=1").code == 200)
      for client in silent { client.connection.close() }
      try api.live.wait("all places are free again") { api.live.server.connectionCount <= 1 }
    }
  }

  @Test("bodies beyond the bound of all get 429 and when to come again, and fit when others have been served")
  func bodiesInFlight() throws {
    try LiveAPI.with { api in
      let size = HTTPParser.bodyLimit
      let count = BodyLedger.subjectLimit / size
      let head = "POST \(Self.maps) HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(size)\r\n\r\n"
      let clients = try (0..<count).map { _ in try api.connect() }
      for client in clients { client.connection.send(Array("\(head){".utf8)) }
      for _ in 0..<50 { try api.live.turn() }
      let body = APIFixture.object(.configmaps, "m")
      let late = try api.ask("POST", Self.maps, body: body)
      expectStatus(late, 429, "TooManyRequests")
      #expect(late.header("retry-after") == "1" && late.header("connection") == "close")
      #expect(try api.ask("GET", "\(Self.maps)?limit=1").code == 200)
      clients[0].connection.close()
      try api.live.wait("its room is free") { api.live.server.connectionCount <= count }
      #expect(try api.ask("POST", Self.maps, body: body).code == 201)
      for client in clients { client.connection.close() }
    }
  }

  @Test("one that pipelines small requests and reads no answers is not answered without bound")
  func unreadSmallAnswers() throws {
    try LiveAPI.with { api in
      let request = HTTPTestClient.request("GET", "/version")
      let clients = try (0..<10).map { _ in try api.connect() }
      let count = 10_000
      for client in clients {
        client.connection.send(request)
        try api.live.wait("its handshake is over") { client.takeAnswer() != nil }
        client.connection.setReading(false)
        client.connection.send((0..<count).flatMap { _ in request })
      }
      var last = -1
      // 4 MB of answers each: what the sockets take goes, then all stands still.
      try api.live.wait("the server waits for its clients") {
        defer { last = clients[0].connection.pendingOutput }
        for _ in 0..<20 { try? api.live.turn() }
        return last == clients[0].connection.pendingOutput
      }
      #expect(api.live.server.unsentBytes < clients.count * 2 * HTTPOutput.outputMark)
      clients[0].connection.setReading(true)
      var answers = 0
      try api.live.wait("who reads again gets all") {
        answers += clients[0].countTaken("Content-Type: application/json")
        return answers == count || clients[0].isClosed
      }
      #expect(answers == count)
      for client in clients { client.connection.close() }
    }
  }
}
