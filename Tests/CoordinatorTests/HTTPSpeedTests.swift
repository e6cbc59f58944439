// What makes the Kubernetes API fast must not change what it says: reads while the disk is stuck, compressed bodies,
// events shared by many watchers, clients that do not take what they asked for.

import CZlib
import ClusterIO
import ClusterProto
import CoordinatorCore
import HTTPTestSupport
import Testing

@testable import Coordinator

@Suite("Speed of the Kubernetes API")
struct HTTPSpeedTests {
  private static let maps = "/api/v1/namespaces/default/configmaps"

  private static func map(_ name: String, bytes: Int = 1) -> JSON {
    [
      "metadata": ["name": .string(name)],
      "data": ["text": .string(String(repeating: "abcdefghij", count: bytes / 10))],
    ]
  }

  /// Makes ConfigMaps of so many bytes and waits until all are there.
  private func fill(_ api: LiveAPI, _ count: Int, bytes: Int) throws {
    let client = try api.connect()
    for number in 0..<count {
      let body = Self.map("m\(10_000 + number)", bytes: bytes)
      client.connection.send(HTTPTestClient.request("POST", Self.maps, body: body.bytes))
    }
    var created = 0
    try api.live.wait("all are created", seconds: 120) {
      while let answer = client.takeAnswer() { created += answer.code == 201 ? 1 : 0 }
      return created == count
    }
    client.connection.close()
  }

  @Test("while the disk is stuck an object is read at once, one that is not durable and a list wait for the disk")
  func stuckDisk() throws {
    let directory = try TemporaryDirectory()
    let gate = Gate()
    let api = try LiveAPI(directory) { $0.beforeCommit = { gate.pass() } }
    #expect(try api.ask("POST", Self.maps, body: Self.map("old")).code == 201)
    gate.shut()
    let clients = try (0..<4).map { _ in try api.connect() }
    clients[0].connection.send(HTTPTestClient.request("POST", Self.maps, body: Self.map("new").bytes))
    try api.live.wait("the disk is stuck") { gate.isHolding }
    clients[1].connection.send(HTTPTestClient.request("GET", "\(Self.maps)/new"))
    clients[2].connection.send(HTTPTestClient.request("GET", Self.maps))
    clients[3].connection.send(HTTPTestClient.request("GET", "\(Self.maps)/none"))
    for _ in 0..<20 { #expect(try api.ask("GET", "\(Self.maps)/old").code == 200) }
    #expect(try api.ask("GET", "/readyz").code == 200)
    #expect(clients.allSatisfy { !$0.hasBytes })
    gate.open()
    var codes: [Int?] = [nil, nil, nil, nil]
    try api.live.wait("the rest is answered") {
      for index in codes.indices { codes[index] = codes[index] ?? clients[index].takeAnswer()?.code }
      return codes.allSatisfy { $0 != nil }
    }
    #expect(codes == [201, 200, 200, 404])
    try api.live.stop()
  }

  @Test("bodies from 128 KiB on are compressed for who accepts gzip, and say the same", arguments: [20, 300])
  func gzip(count: Int) throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory)
    try fill(api, count, bytes: 10_000)
    let plain = try api.ask("GET", Self.maps)
    #expect(plain.header("content-encoding") == nil)
    for accepted in ["gzip", "deflate, gzip;q=0.5", "GZIP , br"] {
      let small = try api.ask("GET", Self.maps, headers: ["Accept-Encoding: \(accepted)"])
      #expect(small.header("content-encoding") == "gzip")
      #expect(small.header("vary") == "Accept-Encoding")
      #expect(small.body.count < plain.body.count / 4)
      #expect(try #require(gunzip(small.body)) == plain.body)
    }
    for refused in ["gzip;q=0", "identity", "br"] {
      let whole = try api.ask("GET", Self.maps, headers: ["Accept-Encoding: \(refused)"])
      #expect(whole.header("content-encoding") == nil && whole.body == plain.body)
    }
    let short = try api.ask("GET", "\(Self.maps)/m10000", headers: ["Accept-Encoding: gzip"])
    #expect(short.header("content-encoding") == nil)
    try api.live.stop()
  }

  @Test("many watchers are told the same events in the same order, each form by itself")
  func manyWatchers() throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory)
    let table = "Accept: application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    let plain = try (0..<20).map { _ in try api.connect() }
    let tables = try (0..<3).map { _ in try api.connect() }
    let version = try api.ask("GET", Self.maps).json[path: ["metadata", "resourceVersion"]]?.stringValue ?? ""
    let target = "\(Self.maps)?watch=1&resourceVersion=\(version)"
    for client in plain { client.connection.send(HTTPTestClient.request("GET", target)) }
    for client in tables { client.connection.send(HTTPTestClient.request("GET", target, headers: [table])) }
    try api.live.wait("all watches begin") { (plain + tables).allSatisfy { $0.peekAnswer() != nil } }
    let count = 50
    try fill(api, count, bytes: 100)
    func events(_ client: HTTPTestClient) -> [JSON] { client.peekAnswer()?.events ?? [] }
    try api.live.wait("all are told", seconds: 60) { (plain + tables).allSatisfy { events($0).count == count } }
    let first = events(plain[0])
    #expect(
      first.map { $0[path: ["object", "metadata", "name"]]?.stringValue } == (0..<count).map { "m\(10_000 + $0)" })
    #expect(plain.allSatisfy { events($0) == first })
    for client in tables {
      let told = events(client)
      #expect(told.allSatisfy { $0[path: ["object", "kind"]]?.stringValue == "Table" })
      #expect(told[0][path: ["object", "columnDefinitions"]]?.arrayValue?.isEmpty == false)
      #expect(told.dropFirst().allSatisfy { ($0[path: ["object", "columnDefinitions"]]?.arrayValue ?? []).isEmpty })
    }
    try api.live.stop()
  }

  @Test("a list whose client does not read is made no further than it is taken, and comes whole in the end")
  func heldList() throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory)
    let count = 1_200
    try fill(api, count, bytes: 7_000)
    let slow = try api.connect()
    slow.connection.send(HTTPTestClient.request("GET", Self.maps))
    try api.live.wait("it begins") { slow.hasBytes }
    slow.connection.setReading(false)
    // Others are served meanwhile, and what is made of the list stays far below its 8 MB.
    for _ in 0..<50 { #expect(try api.ask("GET", "\(Self.maps)/m10000").code == 200) }
    #expect(api.live.server.waitingBytes.answers < 4 << 20)
    slow.connection.setReading(true)
    var answer: HTTPTestAnswer?
    try api.live.wait("the list comes whole", seconds: 60) {
      if slow.tail(5) == "0\r\n\r\n" { answer = slow.takeAnswer() }
      return answer != nil
    }
    let names = (answer?.json["items"]?.arrayValue ?? []).compactMap { $0[path: ["metadata", "name"]]?.stringValue }
    #expect(names.filter { $0.hasPrefix("m") } == (0..<count).map { "m\(10_000 + $0)" })
    try api.live.stop()
  }

  @Test("watchers that do not read share what waits for them; beyond the bound the slowest is cut off by 410")
  func backlog() throws {
    let directory = try TemporaryDirectory()
    let limit = 2 << 20
    let api = try LiveAPI(directory) { $0.watchBacklogLimit = limit }
    let watchers = try (0..<10).map { _ in try api.connect() }
    for client in watchers { client.connection.send(HTTPTestClient.request("GET", "\(Self.maps)?watch=1")) }
    try api.live.wait("all watches begin") { watchers.allSatisfy { $0.peekAnswer() != nil } }
    for client in watchers.dropFirst() { client.connection.setReading(false) }
    // More than sockets hold, and less for all together than the bound: nobody is cut off for what is shared.
    var made = 0
    func make(_ count: Int) throws {
      for _ in 0..<count {
        made += 1
        let body = Self.map("w\(made)", bytes: 100_000)
        #expect(try api.ask("POST", Self.maps, body: body).code == 201)
      }
    }
    while api.live.server.waitingBytes.answers == 0 { try make(1) }
    try make(5)
    let waiting = api.live.server.waitingBytes
    #expect(waiting.events < limit && waiting.answers > 2 * waiting.events)
    try make(25)
    #expect(api.live.server.waitingBytes.events <= limit)
    for client in watchers { client.connection.setReading(true) }
    try api.live.wait("those that were cut off are closed", seconds: 60) {
      watchers.dropFirst().allSatisfy { $0.isClosed }
    }
    for client in watchers.dropFirst() {
      let end = client.tail(600)
      #expect(end.contains("\"type\":\"ERROR\"") && end.contains("\"code\":410") && end.hasSuffix("0\r\n\r\n"))
    }
    #expect(!watchers[0].isClosed)
    #expect(!watchers[0].tail(600).contains("\"type\":\"ERROR\""))
    try api.live.stop()
  }

  /// What a gzip stream says; nil when it is damaged or not whole.
  private func gunzip(_ bytes: [UInt8]) -> [UInt8]? {
    var stream = z_stream()
    guard inflateInit2_(&stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else { return nil }
    defer { inflateEnd(&stream) }
    var output = [UInt8](repeating: 0, count: 32 << 20)
    var input = bytes
    let result = input.withUnsafeMutableBufferPointer { source in
      output.withUnsafeMutableBufferPointer { target in
        stream.next_in = source.baseAddress
        stream.avail_in = UInt32(source.count)
        stream.next_out = target.baseAddress
        stream.avail_out = UInt32(target.count)
        return inflate(&stream, Z_FINISH)
      }
    }
    guard result == Z_STREAM_END, stream.avail_in == 0 else { return nil }
    return Array(output.prefix(Int(stream.total_out)))
  }
}
