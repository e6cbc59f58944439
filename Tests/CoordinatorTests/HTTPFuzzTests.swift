// Thousands of mutated requests: whatever comes, the coordinator answers or closes, and goes on serving.

import ClusterIO
import ClusterProto
import HTTPTestSupport
import Testing

@testable import Coordinator

@Suite("Mutated HTTP requests")
struct HTTPFuzzTests {
  private static let jobs = "/apis/batch/v1/namespaces/default/jobs"
  private static let body = """
    {"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"a","labels":{"x":"y"}},"spec":{"suspend":true,"template":\
    {"spec":{"restartPolicy":"Never","containers":[{"name":"main","image":"none","command":["true"],"env":[{"name":"A",\
    "value":"1"}]}]}}}}
    """
  private static let chunked =
    "POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    + "Transfer-Encoding: chunked\r\n\r\n17\r\n{\"metadata\":{\"name\":\"c\"\r\n2\r\n}}\r\n0\r\n\r\n"

  /// Requests that are right.
  private static let seeds: [[UInt8]] = [
    HTTPTestClient.request("GET", "\(jobs)?limit=5&labelSelector=a%3Db,c%20in%20(d)"),
    HTTPTestClient.request("POST", "\(jobs)?fieldValidation=Strict", body: Array(body.utf8)),
    HTTPTestClient.request("PUT", "\(jobs)/a", body: Array(body.utf8)),
    HTTPTestClient.request(
      "PATCH", "\(jobs)/a", type: PatchKind.strategic.rawValue,
      body: Array(
        "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"main\",\"$patch\":\"delete\"}]}}}}".utf8)),
    HTTPTestClient.request(
      "PATCH", "\(jobs)/a", type: PatchKind.json.rawValue,
      body: Array("[{\"op\":\"move\",\"from\":\"/metadata/labels\",\"path\":\"/metadata/annotations\"}]".utf8)),
    HTTPTestClient.request("DELETE", "\(jobs)/a", body: Array("{\"propagationPolicy\":\"Foreground\"}".utf8)),
    HTTPTestClient.request("GET", "/api/v1/namespaces/default/pods?fieldSelector=status.phase!%3DRunning"),
    HTTPTestClient.request("GET", "/api/v1/namespaces/default/pods/p/log?tailLines=3&sinceTime=2026-01-01T00:00:00Z"),
    HTTPTestClient.request("GET", "\(jobs)?watch=true&timeoutSeconds=1&resourceVersion=1&allowWatchBookmarks=true"),
    HTTPTestClient.request(
      "GET", jobs, headers: ["Accept: application/json;as=Table;v=v1;g=meta.k8s.io,application/json"]),
    Array(chunked.utf8),
  ]

  private static let words: [[UInt8]] = [
    "-1", "9223372036854775808", "null", "\"\"", "{}", "[]", "\r\n", "\r\n\r\n", "%00", "%ff", ":",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n", "HTTP/1.0", "/../", "//", "?", "&", "1e400", "\\ud800", "\u{0}", "Host: a\r\n",
    "ffffffffffffffff\r\n", "$patch", "true",
  ].map { Array($0.utf8) }

  private static func mutate(_ seed: [UInt8], _ random: inout SplitMix64, within range: Range<Int>) -> [UInt8] {
    var bytes = seed
    func position() -> Int { range.lowerBound + Int(random.next() % UInt64(max(range.count, 1))) }
    for _ in 0...Int(random.next() % 3) {
      let place = min(position(), bytes.count)
      switch random.next() % 6 {
      case 0 where place < bytes.count: bytes[place] = UInt8(truncatingIfNeeded: random.next())
      case 1 where place < bytes.count: bytes.remove(at: place)
      case 2: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: place)
      case 3: bytes.insert(contentsOf: words[Int(random.next() % UInt64(words.count))], at: place)
      case 4 where place + 8 < bytes.count: bytes.removeSubrange(place..<place + 8)
      case 5 where place + 12 < bytes.count: bytes.insert(contentsOf: bytes[place..<place + 12], at: place)
      default: bytes.append(UInt8(truncatingIfNeeded: random.next()))
      }
    }
    return bytes
  }

  @Test("the parser takes 20,000 mutated requests, in one piece or byte by byte, to the same end")
  func parser() {
    var random = SplitMix64(seed: 7)
    for round in 0..<20_000 {
      let seed = Self.seeds[round % Self.seeds.count]
      let bytes = Self.mutate(seed, &random, within: 0..<seed.count)
      let whole = Self.parse([bytes])
      #expect(Self.parse(bytes.map { [$0] }) == whole)
      for case .request(let request) in whole.events {
        guard let target = try? HTTPTarget(request.target) else { continue }
        _ = HTTPResource.Path(target.parts).map { HTTPResource($0) }
        _ = try? target.options()
        _ = try? HTTPMedia.body(request)
        _ = HTTPForm(accept: request.header("accept"))
      }
    }
  }

  private struct Outcome: Equatable {
    var events: [HTTPEvent] = []
    var failure: HTTPFailure?
  }

  private static func parse(_ pieces: [[UInt8]]) -> Outcome {
    var parser = HTTPParser()
    var outcome = Outcome()
    for piece in pieces {
      parser.append(piece)
      do throws(HTTPFailure) {
        // Whether a client waits for `100 Continue` depends on what has come: no part of the outcome.
        while let event = try parser.next() {
          if case .body(let request, let most, _) = event {
            outcome.events.append(.body(of: request, most: most, isAwaited: false))
          } else {
            outcome.events.append(event)
          }
        }
      } catch {
        outcome.failure = error
        return outcome
      }
    }
    return outcome
  }

  /// Mutates target and body and frames them rightly, so that the request reaches the core.
  private static func framed(_ round: Int, _ random: inout SplitMix64) -> [UInt8] {
    let methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "POST", "PATCH", "OPTIONS", "pUT"]
    let types =
      ["application/json", "application/yaml", HTTPMedia.protobuf, "application/json; charset=utf-8", "a/b", "", ";"]
      + PatchKind.allTypes
    let headers = [
      "Accept: application/json;as=Table;v=v1;g=meta.k8s.io", "Accept: */*;q=0.1,,;", "Accept-Encoding: gzip, br;q=x",
      "Connection: keep-alive, x", "Expect: 100-continue", "Cookie: a=b", "Origin: https://example.com",
      "If-None-Match: *", "X-Forwarded-For: ::1", "Impersonate-User: root", "Upgrade: SPDY/3.1",
    ]
    let bodies = [
      body, "{\"kind\":\"DeleteOptions\",\"apiVersion\":\"v1\",\"preconditions\":{\"uid\":\"x\"}}",
      "[{\"op\":\"add\",\"path\":\"/metadata/labels/a~1b\",\"value\":\"c\"},{\"op\":\"test\",\"path\":\"/spec\"}]",
      "{\"metadata\":{\"labels\":{\"$patch\":\"replace\",\"a\":\"b\"}},\"$setElementOrder/spec\":[1]}",
      "a: &x [1, 2]\nmetadata: {name: y}\nb: *x\n", "k8s\u{0}\n\u{10}\n\u{8}batch/v1\u{12}\u{3}Job\u{12}\u{4}ab",
      "{\"metadata\":{\"name\":\"p\"},\"status\":{\"phase\":\"Failed\",\"conditions\":[{\"type\":\"Ready\"}]}}",
    ]
    let targets =
      [
        "\(jobs)/a?dryRun=All&fieldValidation=Warn", jobs, "/api/v1/namespaces/default/pods/p/log?container=main",
        "/api/v1/namespaces/default/configmaps?limit=2&continue=v1.1.default/a", "/openapi/v3/apis/batch/v1",
        "\(jobs)?watch=1&resourceVersion=99999999", "/apis/batch/v1", "\(jobs)/a/status",
        "/api/v1/namespaces/default/pods/p/eviction", "/api/v1/nodes?fieldSelector=spec.unschedulable%3Dtrue",
        "\(jobs)?labelSelector=a%20in%20(b,c)&propagationPolicy=Foreground&gracePeriodSeconds=1",
        "/api/v1/namespaces/default/secrets/s?fieldManager=m&force=true", "/apis?timeout=32s", "/version?x",
      ] + Kind.allCases.map { APIFixture.path($0, "a") } + Kind.allCases.map { APIFixture.collection($0) }
    func pick(_ list: [String]) -> String { list[Int(random.next() % UInt64(list.count))] }
    var target = Array(pick(targets).utf8)
    if random.next() % 2 == 0 { target = mutate(target, &random, within: 1..<target.count) }
    target = target.map { $0 > 0x20 && $0 < 0x7F ? $0 : UInt8(ascii: "%") }
    var content = Array(pick(bodies).utf8)
    if random.next() % 4 != 0 { content = mutate(content, &random, within: 0..<content.count) }
    var extra: [String] = []
    if random.next() % 3 == 0 {
      let bytes = Array(pick(headers).utf8)
      let mutated = random.next() % 2 == 0 ? mutate(bytes, &random, within: 1..<bytes.count) : bytes
      // A line of its own still; its length and the rest of the head stay true.
      let line = String(decoding: mutated.map { $0 > 0x1F && $0 < 0x7F ? $0 : UInt8(ascii: "_") }, as: UTF8.self)
      if !line.lowercased().hasPrefix("content-length") { extra.append(line) }
    }
    return HTTPTestClient.request(
      pick(methods), String(decoding: target, as: UTF8.self), headers: extra, type: pick(types), body: content)
  }

  private static func isStatus(_ answer: HTTPTestAnswer) -> Bool {
    let json = answer.json
    return json["kind"] == "Status" && json["status"] == "Failure" && json["code"]?.intValue == Int64(answer.code)
      && json["message"]?.stringValue?.isEmpty == false && json["reason"]?.stringValue?.isEmpty == false
  }

  @Test("10,000 mutated requests to a live coordinator: each is answered, refusals by a Status, and it serves on")
  func live() throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory)
    var random = SplitMix64(seed: 11)
    var clients = try (0..<16).map { _ in try api.connect() }
    var left = 10_000
    var answers = 0
    var wrong: [String] = []
    var open = Set<Int>()
    var isByteLevel = Set<Int>()
    try api.live.wait("all are over", seconds: 120) {
      for index in clients.indices {
        let client = clients[index]
        if open.contains(index) {
          if let answer = client.takeAnswer() {
            if answer.code < 100 || answer.code > 599 { return false }
            if answer.code >= 400, !Self.isStatus(answer) { wrong.append(answer.text) }
            answers += 1
            if answer.header("connection") == "close" { client.connection.close() }
            open.remove(index)
          } else if client.isClosed {
            open.remove(index)
          } else if client.peekAnswer() != nil {
            // It became a watch, whose answer has begun and may go on for ever.
            answers += 1
            client.connection.close()
          } else if isByteLevel.contains(index), left > 0, random.next() % 64 == 0 {
            // Half a request, perhaps: the client gives up.
            client.connection.close()
          }
        }
        guard !open.contains(index), left > 0 else { continue }
        // What follows a request that was damaged is not to be trusted.
        if isByteLevel.remove(index) != nil { client.connection.close() }
        if clients[index].isClosed || !clients[index].connection.isOpen {
          guard let fresh = try? api.connect() else { return false }
          clients[index] = fresh
        }
        left -= 1
        open.insert(index)
        if left % 16 == 0 {
          isByteLevel.insert(index)
          let seed = Self.seeds[(left / 16) % Self.seeds.count]
          clients[index].connection.send(Self.mutate(seed, &random, within: 0..<seed.count))
        } else {
          clients[index].connection.send(Self.framed(left, &random))
        }
      }
      // What a damaged length still waits for is given up.
      if left == 0 { for index in isByteLevel { clients[index].connection.close() } }
      return left == 0 && open.isEmpty
    }
    #expect(answers > 8_000)
    #expect(wrong.isEmpty, "\(wrong.count) refusals are no Status: \(wrong.first ?? "")")
    for client in clients { client.connection.close() }
    #expect(try api.ask("GET", "/readyz").code == 200)
    #expect(try api.ask("GET", Self.jobs).code == 200)
    try api.live.wait("nobody is left") { api.live.server.connectionCount <= 1 }
    try api.live.stop()
  }
}
