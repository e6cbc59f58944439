// SHA-256 against published vectors, and the digest of a set: order, removal, what an exclusive or would not notice.

import ClusterProto
import Testing

@Suite("Digests")
struct DigestTests {
  @Test("SHA-256 matches the published vectors")
  func vectors() {
    #expect(SHA256.hex(of: []) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    #expect(
      SHA256.hex(of: Array("abc".utf8)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    #expect(
      SHA256.hex(of: Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8))
        == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
  }

  @Test("hexadecimal text comes back as its bytes, anything else as nothing")
  func hexadecimal() {
    #expect(Hexadecimal.text([0, 0x0F, 0xA0, 0xFF]) == "000fa0ff")
    #expect(Hexadecimal.bytes("000Fa0fF") == [0, 0x0F, 0xA0, 0xFF])
    for text in ["0", "0g", "é", "0x10"] { #expect(Hexadecimal.bytes(text) == nil, "\(text)") }
  }

  @Test("a set's digest does not depend on order, and what is taken out again leaves nothing behind")
  func sets() {
    var random = SplitMix64(seed: 5)
    let members = (0..<100).map { _ in (0..<9).map { _ in UInt8(truncatingIfNeeded: random.next()) } }
    var forward = SetDigest()
    var backward = SetDigest()
    for member in members { forward.insert(member) }
    for member in members.reversed() { backward.insert(member) }
    #expect(forward == backward)
    for member in members {
      #expect(forward != SetDigest())
      forward.remove(member)
    }
    #expect(forward == SetDigest())
    // Below nothing and back: borrow and carry run through all four words.
    forward.remove([1])
    #expect(forward != SetDigest())
    forward.insert([1])
    #expect(forward == SetDigest())
  }

  @Test("a member that is there twice does not cancel itself out")
  func twice() {
    var digest = SetDigest()
    digest.insert([7])
    digest.insert([7])
    #expect(digest != SetDigest())
  }

  @Test("the text of a digest is 64 digits and reads back; a shorter one is none")
  func text() {
    var digest = SetDigest()
    #expect(digest.hex == String(repeating: "0", count: 64))
    digest.insert(Array("abc".utf8))
    // One member: its hash.
    #expect(digest.hex == SHA256.hex(of: Array("abc".utf8)))
    #expect(SetDigest(hex: digest.hex) == digest)
    #expect(SetDigest(hex: "0") == nil)
    #expect(SetDigest(hex: String(repeating: "g", count: 64)) == nil)
  }

  @Test("desired lines and inventory lines that differ in one thing have different digests")
  func lines() {
    let lines: [SetDigest] = [
      SetDigest([DesiredAttempt(attempt: 1, action: .run)]), SetDigest([DesiredAttempt(attempt: 2, action: .run)]),
      SetDigest([DesiredAttempt(attempt: 1, action: .stop(graceMilliseconds: 0))]),
      SetDigest([DesiredAttempt(attempt: 1, action: .stop(graceMilliseconds: 1))]),
      SetDigest([InventoryEntry(attempt: 1, revision: 0, terminal: false, frozen: false)]),
      SetDigest([InventoryEntry(attempt: 1, revision: 0, terminal: true, frozen: false)]),
      SetDigest([InventoryEntry(attempt: 1, revision: 0, terminal: false, frozen: true)]),
      SetDigest([InventoryEntry(attempt: 0, revision: 1, terminal: false, frozen: false)]),
    ]
    #expect(Set(lines.map(\.hex)).count == lines.count)
  }
}
