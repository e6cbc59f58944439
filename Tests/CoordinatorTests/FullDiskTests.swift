// A coordinator whose disk is full, hangs or has lost files: what it refuses, what it serves, how it stops and starts.

import ClusterIO
import ClusterProto
import Coordinator
import CoordinatorCore
import Glibc
import Testing

@Suite("A coordinator and its disk")
struct FullDiskTests {
  private static func configMap(_ name: String, size: Int) -> APIRequest {
    APIRequest(
      verb: .create, kind: .configmaps, namespace: "default",
      body: [
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name)],
        "data": ["text": .string(String(repeating: "x", count: size))],
      ])
  }

  /// The code of the answer.
  private func ask(_ live: LiveServer, _ client: TestClient, _ id: Int64, _ request: APIRequest) throws -> Int64? {
    let before = client.messages.count
    client.send(ClientMessage.request(id: id, request).json)
    try live.wait("request \(id) is answered") { client.messages.count > before }
    return client.messages.last?["code"]?.intValue
  }

  @Test(
    "when a disk is full all of a sudden the first commit sees it, and no write after that is taken",
    .enabled(if: Filesystem.canMount))
  func suddenlyFull() throws {
    let directory = try TemporaryDirectory()
    let mounted = try Filesystem(at: directory.path, size: "80m")
    defer { mounted.unmount() }
    let live = try LiveServer(directory)
    let client = try live.open(.client)
    #expect(try ask(live, client, 1, Self.configMap("before", size: 20_000)) == 201)
    try mounted.fill()
    var codes: [Int64?] = []
    for id in Int64(2)...60 { codes.append(try ask(live, client, id, Self.configMap("m\(id)", size: 20_000))) }
    #expect(codes.filter { $0 == 201 }.count <= 1)
    #expect(codes.dropFirst().allSatisfy { $0 == 507 })
    #expect(Files.exists("\(directory.path)/reserve"), "writes of clients have eaten the reserve")
    let delete = APIRequest(verb: .delete, kind: .configmaps, namespace: "default", name: "before")
    #expect(try ask(live, client, 99, delete) == 200)
    try live.stop()
  }

  @Test(
    "a store that was filled to its mark and emptied by deletes takes writes again, also after a start",
    .enabled(if: Filesystem.canMount))
  func emptied() throws {
    let directory = try TemporaryDirectory()
    let mounted = try Filesystem(at: directory.path, size: "32m")
    defer { mounted.unmount() }
    var live = try LiveServer(directory)
    var client = try live.open(.client)
    var id: Int64 = 1
    while try ask(live, client, id, Self.configMap("m\(id)", size: 200_000)) == 201 { id += 1 }
    let full = id
    #expect(full > 20)
    for name in 1..<full {
      id += 1
      let delete = APIRequest(verb: .delete, kind: .configmaps, namespace: "default", name: "m\(name)")
      #expect(try ask(live, client, id, delete) == 200)
    }
    #expect(try ask(live, client, id + 1, Self.configMap("again", size: 200_000)) == 201)
    try live.stop()
    live = try LiveServer(directory)
    client = try live.open(.client)
    for name in Int64(2)...10 {
      #expect(try ask(live, client, name, Self.configMap("after\(name)", size: 200_000)) == 201)
    }
    // The free pages are used up, and then it is full once more.
    for name in Int64(11)...200 {
      if try ask(live, client, name, Self.configMap("after\(name)", size: 200_000)) == 507 { return try live.stop() }
    }
    Issue.record("the disk is never full")
  }

  @Test(
    "killed on a full disk, and what that freed taken again, it starts and serves deletes, three times in a row",
    .enabled(if: Filesystem.canMount), arguments: ["16m", "80m"])
  func startsAgain(size: String) throws {
    let directory = try TemporaryDirectory()
    let mounted = try Filesystem(at: directory.path, size: size)
    defer { mounted.unmount() }
    var live: LiveServer? = try LiveServer(directory) { $0.freeSpaceMark = 0 }
    var client = try #require(try live?.open(.client))
    // Most of it in the log alone.
    for id in Int64(1)...40 {
      #expect(try live.map { try ask($0, client, id, Self.configMap("m\(id)", size: 20_000)) } == 201)
    }
    try mounted.fill()
    live = nil
    for round in Int64(0)..<3 {
      try mounted.fill("filler-\(round)")
      #expect(try Files.space(directory.path).available == 0)
      let again = try LiveServer(directory)
      client = try again.open(.client)
      for id in round * 10 + 1...round * 10 + 10 {
        let delete = APIRequest(verb: .delete, kind: .configmaps, namespace: "default", name: "m\(id)")
        #expect(try ask(again, client, id, delete) == 200)
      }
      // Taken while it serves, what the start gave up is not there for the next one.
      for name in ["reserve", "reserve.start"] { unlink("\(directory.path)/\(name)") }
      try mounted.fill("filler-\(round)-serving")
    }
    let last = try LiveServer(directory)
    client = try last.open(.client)
    for id in Int64(1)...40 {
      let get = APIRequest(verb: .get, kind: .configmaps, namespace: "default", name: "m\(id)")
      #expect(try ask(last, client, id, get) == (id <= 30 ? 404 : 200))
    }
    try last.stop()
  }

  /// A coordinator whose disk does not take the write that a client has sent.
  private func hung() throws -> (LiveServer, TestClient, Gate) {
    let gate = Gate()
    let live = try LiveServer(try TemporaryDirectory()) {
      $0.beforeCommit = { gate.pass() }
      $0.stopMilliseconds = 300
    }
    let client = try live.open(.client)
    gate.shut()
    client.send(ClientMessage.request(id: 1, Self.configMap("one", size: 10)).json)
    for _ in 0..<20 { try live.turn() }
    return (live, client, gate)
  }

  @Test("on a disk that does not answer a polite stop ends at its bound, and not as a clean one")
  func stopOnHungDisk() throws {
    let (live, client, gate) = try hung()
    let begin = Clocks.boot()
    live.server.requestStop()
    let error = #expect(throws: ServerError.self) { try live.wait("it stops") { false } }
    #expect(error?.description.contains("leases were not extended") == true)
    #expect(Clocks.boot() - begin < 5_000_000_000)
    #expect(client.messages.isEmpty)
    gate.open()
  }

  @Test("a second signal ends the stop at once, and not as a clean one, when the disk does not answer")
  func secondSignal() throws {
    let (live, _, gate) = try hung()
    live.server.requestStop()
    live.server.requestStop()
    let error = #expect(throws: ServerError.self) { try live.wait("it stops") { false } }
    #expect(error?.description.contains("did not answer") == true)
    gate.open()
  }

  @Test(
    "anything of a coordinator that is left in its directory keeps an empty cluster from beginning in silence",
    arguments: ["coordinator.json", "reserve", "reserve.start", "pki"])
  func remains(name: String) throws {
    let directory = try TemporaryDirectory()
    try LiveServer(directory) { $0.api = .tcp(host: "127.0.0.1", port: 0) }.stop()
    #expect(Files.exists("\(directory.path)/\(name)"))
    for other in try Files.list(directory.path) where other != name {
      try Files.removeTree("\(directory.path)/\(other)")
    }
    let error = try #require(throws: ServerError.self) { try LiveServer(directory) }
    #expect(error.description.contains("belongs to a cluster"))
    #expect(error.description.contains("--accept-loss"))
    #expect(!Files.exists("\(directory.path)/stint.db"))
    try LiveServer(directory) { $0.acceptsLoss = true }.stop()
  }
}
