// A million mutated bytes before, in and after the handshake, from a seed: whatever comes, a server's session throws or
// waits, believes nobody that has not proven it, and hands on nothing that was not sent.

import ClusterProto
import Testing

@testable import ClusterIO

@Suite("Mutated TLS records")
struct HandshakeFuzzTests {
  private let server: TLSContext
  private let client: TLSContext

  init() throws {
    let authority = try Certificates.make(name: "stint", .authority, issuer: nil, seconds: 86_400)
    let own = try Certificates.make(name: "s", .server(hosts: ["127.0.0.1"]), issuer: authority, seconds: 3600)
    let admin = try Certificates.make(name: "admin", .client(group: "system:masters"), issuer: authority, seconds: 3600)
    server = try TLSContext(server: own, authority: authority.certificate, newest: true)
    client = try TLSContext(native: Identity(own: admin, authority: authority.certificate))
  }

  /// One side, and what it has for the network.
  private final class Side {
    let records = ByteQueue()
    let session: TLSSession
    private(set) var heard: [UInt8] = []

    init(_ context: TLSContext) throws { session = try TLSSession(context, records: records) }

    func take() -> [UInt8] {
      var bytes: [UInt8] = []
      _ = records.take {
        bytes = Array($0)
        return $0.count
      }
      return bytes
    }

    /// nil: it was taken; else why not.
    func receive(_ bytes: [UInt8]) -> (any Error)? {
      do {
        try bytes.withUnsafeBytes { try session.receive($0) { heard += $0 } }
        return nil
      } catch {
        return error
      }
    }
  }

  private static func mutated(_ bytes: [UInt8], _ random: inout SplitMix64) -> [UInt8] {
    var result = bytes
    for _ in 0...(random.next() % 3) {
      let place = Int(random.next() % UInt64(max(result.count, 1)))
      switch random.next() % 6 {
      case 0,
        1 where place < result.count:
        result[min(place, result.count - 1)] = UInt8(truncatingIfNeeded: random.next())
      case 2 where place < result.count: result[place] ^= 1 << UInt8(random.next() % 8)
      case 3: result.insert(contentsOf: result[place...].prefix(Int(random.next() % 40)), at: place)
      case 4: result.removeSubrange(place..<min(result.count, place + Int(random.next() % 40)))
      default: result.insert(UInt8(truncatingIfNeeded: random.next()), at: place)
      }
      if result.isEmpty { result = [0x16] }
    }
    return result
  }

  /// A client that has heard the server's flight, and not sent its own second one.
  private func greeted() throws -> (sender: Side, side: Side) {
    let (sender, side) = (try Side(client), try Side(server))
    try sender.session.advance()
    #expect(side.receive(sender.take()) == nil)
    #expect(sender.receive(side.take()) == nil)
    return (sender, side)
  }

  /// In pieces, as a network may bring it.
  private static func feed(_ side: Side, _ bytes: [UInt8], _ random: inout SplitMix64) -> (any Error)? {
    var rest = bytes[...]
    while !rest.isEmpty {
      let piece = rest.prefix(1 + Int(random.next() % 700))
      rest = rest.dropFirst(piece.count)
      if let error = side.receive(Array(piece)) { return error }
    }
    return nil
  }

  @Test("a third of a million mutated bytes of first flights: no session is established, most are refused at once")
  func firstFlight() throws {
    var random = SplitMix64(seed: 0x7151)
    let sender = try Side(client)
    try sender.session.advance()
    let hello = sender.take()
    #expect(hello.count > 100)
    var (total, refused, sessions) = (0, 0, 0)
    while total < 340_000 {
      let bytes = Self.mutated(hello, &random)
      let side = try Side(server)
      if Self.feed(side, bytes, &random) != nil { refused += 1 }
      #expect(!side.session.isEstablished && side.session.peer == nil && side.heard.isEmpty)
      total += bytes.count
      sessions += 1
    }
    #expect(refused > sessions / 4, "\(refused) of \(sessions)")
  }

  @Test("a third of a million mutated bytes of second flights: whoever is believed is who holds the key")
  func secondFlight() throws {
    var random = SplitMix64(seed: 0x7152)
    var (total, refused, sessions) = (0, 0, 0)
    while total < 340_000 {
      let (sender, side) = try greeted()
      let flight = sender.take()
      let bytes = Self.mutated(flight, &random)
      if Self.feed(side, bytes, &random) != nil { refused += 1 }
      // Two bytes of each record's head mean nothing in TLS 1.3.
      if side.session.isEstablished {
        #expect(side.session.peer?.commonName == "admin" && side.session.peer?.organizations == ["system:masters"])
      }
      total += bytes.count
      sessions += 1
    }
    #expect(refused > sessions / 2, "\(refused) of \(sessions)")
  }

  @Test(
    "a third of a million mutated bytes behind the handshake: what is handed on is what was sent, as far as it goes")
  func afterwards() throws {
    var random = SplitMix64(seed: 0x7153)
    var (total, refused, sessions) = (0, 0, 0)
    while total < 340_000 {
      let (sender, side) = try greeted()
      #expect(side.receive(sender.take()) == nil)
      #expect(side.session.isEstablished && sender.session.isEstablished)
      var sent: [UInt8] = []
      for _ in 0..<6 {
        let piece = (0..<Int(1 + random.next() % 600)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        try sender.session.send(piece)
        sent += piece
      }
      let bytes = Self.mutated(sender.take(), &random)
      if Self.feed(side, bytes, &random) != nil { refused += 1 }
      #expect(sent.starts(with: side.heard))
      total += bytes.count
      sessions += 1
    }
    #expect(refused > sessions / 2, "\(refused) of \(sessions)")
  }
}
