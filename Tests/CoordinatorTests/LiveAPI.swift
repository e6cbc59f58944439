// A live coordinator with the Kubernetes API, turned by the test, and requests to it over HTTPS.

import ClusterIO
import ClusterProto
import HTTPTestSupport
import Testing

@testable import Coordinator

/// A live server with the Kubernetes API, and clients of it.
final class LiveAPI {
  let live: LiveServer
  let pki: PKI
  let admin: TLSContext
  let stranger: TLSContext
  private var client: HTTPTestClient?

  init(_ directory: TemporaryDirectory, change: (inout ServerOptions) -> Void = { _ in }) throws {
    live = try LiveServer(directory) { options in
      options.api = .tcp(host: "127.0.0.1", port: 0)
      change(&options)
    }
    pki = try PKI(directory: directory.path, host: "127.0.0.1")
    admin = try TLSContext(client: pki.administrator, authority: pki.authority.certificate)
    stranger = try TLSContext(client: nil, authority: pki.authority.certificate)
  }

  /// Runs `body` with a server on a fresh directory, and stops it.
  static func with(_ body: (LiveAPI) throws -> Void) throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory)
    try body(api)
    try api.live.stop()
  }

  func connect(_ context: TLSContext? = nil) throws -> HTTPTestClient {
    guard let address = live.server.apiAddress else { throw IOError(operation: "connect", subject: "", message: "") }
    return try HTTPTestClient(live.loop, address, context ?? admin)
  }

  /// The next `ask` makes a connection of its own.
  func dropClient() { client = nil }

  /// One request on the kept connection and its whole answer.
  func ask(
    _ method: String, _ target: String, headers: [String] = [], type: String = "application/json",
    body: JSON? = nil, host: String = "127.0.0.1"
  ) throws -> HTTPTestAnswer {
    try send(
      HTTPTestClient.request(method, target, headers: headers, type: type, body: body?.bytes ?? [], host: host))
  }

  func send(_ bytes: [UInt8]) throws -> HTTPTestAnswer {
    let used = if let client, !client.isClosed { client } else { try connect() }
    client = used
    used.connection.send(bytes)
    var answer: HTTPTestAnswer?
    try live.wait("an answer comes to \(String(decoding: bytes.prefix(200), as: UTF8.self))") {
      answer = used.takeAnswer()
      return answer != nil || used.isClosed
    }
    if answer?.header("connection") == "close" {
      client = nil
      try live.wait("the server closes") { used.isClosed }
    }
    guard let answer else {
      throw IOError(operation: "ask", subject: "", message: "closed: \(used.closeReason as Any)")
    }
    return answer
  }
}

extension LiveServer {
  /// A user as `stint user create` makes one; without rights until a role is bound to the name or a group.
  func user(_ name: String, groups: [String] = [], seconds: Int64 = 600) throws -> Identity {
    let admin = try open(.client)
    defer { admin.connection.close() }
    let key = try SigningRequests.makeKey()
    // What it asks for by itself is not looked at.
    let request = String(decoding: try SigningRequests.make(name: "system:node:a", key: key), as: UTF8.self)
    let create = UserRequest.create(name: name, groups: groups, ttlSeconds: seconds, request: request)
    admin.send(ClientMessage.users(id: 7, create).json)
    try wait("the user is made") { admin.messages.contains { $0["type"] == "done" } }
    let certificate = try #require(admin.messages.last?["object"]?["certificate"]?.stringValue, "\(admin.messages)")
    return Identity(
      own: PEMIdentity(certificate: Array(certificate.utf8), key: key), authority: authority.authority.certificate)
  }
}
