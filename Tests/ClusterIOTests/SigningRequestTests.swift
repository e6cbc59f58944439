// Signing requests: what counts of them, and what is refused.

import ClusterIO
import ClusterProto
import Testing

@Suite("Signing requests") struct SigningRequestTests {
  private let day = 86_400

  private func authority() throws -> PEMIdentity {
    try Certificates.make(name: "stint", .authority, issuer: nil, seconds: 10 * day)
  }

  /// The encoded bytes of a PEM text.
  private func encoded(_ pem: [UInt8]) -> [UInt8] {
    let lines = String(decoding: pem, as: UTF8.self).split(separator: "\n").filter { !$0.hasPrefix("-----") }
    return Base64.decode(lines.joined()) ?? []
  }

  private func contains(_ pem: [UInt8], _ text: String) -> Bool {
    String(decoding: encoded(pem), as: UTF8.self).contains(text)
  }

  @Test("of a request only the key counts: the name is the coordinator's word, the group is system:nodes")
  func onlyTheKey() throws {
    let authority = try authority()
    let key = try SigningRequests.makeKey()
    let request = try SigningRequests.make(name: "system:masters", key: key)
    let made = try SigningRequests.sign(request: request, node: "b", authority: authority, seconds: 90 * day)
    #expect(contains(request, "system:masters") && !contains(made, "system:masters"))
    #expect(contains(made, "system:node:b") && contains(made, "system:nodes"))
    let identity = PEMIdentity(certificate: made, key: key)
    #expect(Certificates.isUsable(identity, authority: authority.certificate, inSeconds: 89 * day))
    #expect(!Certificates.isUsable(identity, authority: authority.certificate, inSeconds: 91 * day))
    let other = try self.authority()
    #expect(!Certificates.isUsable(identity, authority: other.certificate, inSeconds: 0))
  }

  @Test("a key has one digest, in its request and in its certificate, and another key another")
  func digests() throws {
    let authority = try authority()
    let key = try SigningRequests.makeKey()
    let request = try SigningRequests.make(name: "b", key: key)
    let made = try SigningRequests.sign(request: request, node: "b", authority: authority, seconds: day)
    let digest = try SigningRequests.keyDigest(ofRequest: request)
    #expect(digest.utf8.count == 64)
    #expect(try SigningRequests.keyDigest(ofCertificate: made) == digest)
    #expect(try SigningRequests.keyDigest(ofRequest: SigningRequests.make(name: "c", key: key)) == digest)
    #expect(try SigningRequests.keyDigest(ofCertificate: authority.certificate) != digest)
  }

  @Test("a node name of 253 bytes has a certificate")
  func longName() throws {
    let name = Array(repeating: String(repeating: "n", count: 62), count: 4).joined(separator: ".")
    let key = try SigningRequests.makeKey()
    let request = try SigningRequests.make(name: name, key: key)
    let made = try SigningRequests.sign(request: request, node: name, authority: authority(), seconds: day)
    #expect(contains(made, "system:node:\(name)"))
  }

  @Test("a request that its key has not signed is refused, and so is each other text")
  func refused() throws {
    let request = try SigningRequests.make(name: "b", key: SigningRequests.makeKey())
    var bytes = encoded(request)
    // The last byte is the signature's.
    bytes[bytes.count - 1] ^= 1
    let forged =
      "-----BEGIN CERTIFICATE REQUEST-----\n\(Base64.encode(bytes))\n-----END CERTIFICATE REQUEST-----\n"
    #expect(throws: IOError.self) { try SigningRequests.keyDigest(ofRequest: Array(forged.utf8)) }
    #expect(throws: IOError.self) { try SigningRequests.keyDigest(ofRequest: []) }
    let long = request + [UInt8](repeating: 0x0A, count: JoinRequest.requestLimit)
    #expect(throws: IOError.self) { try SigningRequests.keyDigest(ofRequest: long) }
    let certificate = try authority().certificate
    #expect(throws: IOError.self) { try SigningRequests.keyDigest(ofRequest: certificate) }
  }

  @Test("mutated requests are refused or are of the same key")
  func mutated() throws {
    let request = try SigningRequests.make(name: "b", key: SigningRequests.makeKey())
    let digest = try SigningRequests.keyDigest(ofRequest: request)
    var random = SplitMix64(seed: 3)
    for _ in 0..<2_000 {
      var bytes = request
      for _ in 0...random.below(3) {
        bytes[Int(random.below(UInt64(bytes.count)))] = UInt8(truncatingIfNeeded: random.next())
      }
      guard let found = try? SigningRequests.keyDigest(ofRequest: bytes) else { continue }
      #expect(found == digest)
    }
  }
}
