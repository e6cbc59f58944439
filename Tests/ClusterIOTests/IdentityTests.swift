// An agent's identity on disk: given by an authority that is at hand, for the key that it has, to its owner alone.

import ClusterProto
import Testing

@testable import ClusterIO

@Suite("Identities on disk")
struct IdentityTests {
  private func authority(_ directory: String) throws -> PEMIdentity {
    let made = try Certificates.make(name: "stint", .authority, issuer: nil, seconds: 3600 * 24 * 100)
    try Files.makeDirectory("\(directory)/pki")
    try Files.writeAtomically("\(directory)/pki/authority.pem", made.file, mode: 0o600)
    return made
  }

  private func digest(_ identity: Identity) throws -> KeyDigest {
    try SigningRequests.keyDigest(ofCertificate: identity.own.certificate)
  }

  @Test("it is made once, for its owner alone, and used again")
  func once() throws {
    let scratch = try Scratch()
    _ = try authority(scratch.path)
    let place = "\(scratch.path)/identity"
    let made = try Identity.local(directory: place, node: "a", coordinator: scratch.path)
    #expect(try Identity.local(directory: place, node: "a", coordinator: scratch.path) == made)
    #expect(try Identity(directory: place) == made)
    #expect(try Files.status(place).mode & 0o777 == 0o700)
    for name in ["identity.pem", "authority.pem"] {
      #expect(try Files.status("\(place)/\(name)").mode & 0o777 == 0o600, "\(name)")
    }
    #expect(Certificates.isUsable(made.own, authority: made.authority, inSeconds: 89 * 24 * 3600))
  }

  @Test("a certificate that ends soon is made anew for the same key; another authority's is left as it is")
  func renewed() throws {
    let scratch = try Scratch()
    let first = try authority(scratch.path)
    let place = "\(scratch.path)/identity"
    let key = try SigningRequests.makeKey()
    let request = try SigningRequests.make(name: "x", key: key)
    let short = try SigningRequests.sign(request: request, node: "a", authority: first, seconds: 3600)
    let old = Identity(own: PEMIdentity(certificate: short, key: key), authority: first.certificate)
    try old.write(directory: place)
    let renewed = try Identity.local(directory: place, node: "a", coordinator: scratch.path)
    #expect(renewed != old)
    #expect(try digest(renewed) == digest(old))
    _ = try authority(scratch.path)
    #expect(try Identity.local(directory: place, node: "a", coordinator: scratch.path) == renewed)
    #expect(try Identity(directory: place) == renewed)
    // Also one that ends: that is the coordinator's that gave it.
    try old.write(directory: place)
    #expect(try Identity.local(directory: place, node: "a", coordinator: scratch.path) == old)
    // And without any authority at hand.
    try Files.removeTree("\(scratch.path)/pki")
    #expect(try Identity.local(directory: place, node: "a", coordinator: scratch.path) == old)
  }

  @Test("what is missing is told from what is damaged, and that with its path and what to do")
  func damaged() throws {
    let scratch = try Scratch()
    let place = "\(scratch.path)/identity"
    #expect(throws: IOError.self) { try Identity(directory: place) }
    #expect(throws: IOError.self) { try Identity.local(directory: place, node: "a", coordinator: scratch.path) }
    #expect(try Identity.found(in: place) == nil)
    _ = try authority(scratch.path)
    let whole = try Identity.local(directory: place, node: "a", coordinator: scratch.path)
    let (file, other) = (whole.own.file, try Certificates.make(name: "o", .authority, issuer: nil, seconds: 60))
    // Cut in the certificate, cut in the key, nothing, another's key beside it.
    let damages = [Array(file.prefix(100)), Array(file.dropLast(100)), [], whole.own.certificate + other.key]
    for damage in damages {
      try Files.writeAtomically("\(place)/identity.pem", damage)
      let error = #expect(throws: IOError.self) { try Identity.found(in: place) }
      #expect(error?.subject == "\(place)/identity.pem")
      #expect(error?.message.contains("delete \(place) and start the agent with a token") == true)
      // The name is the key's: another one is not made behind anybody's back.
      #expect(throws: IOError.self) { try Identity.local(directory: place, node: "a", coordinator: scratch.path) }
    }
    try whole.write(directory: place)
    try Files.writeAtomically("\(place)/authority.pem", [])
    #expect(throws: IOError.self) { try Identity.found(in: place) }
    #expect(try digest(Identity.local(directory: place, node: "a", coordinator: scratch.path)) == digest(whole))
  }
}
