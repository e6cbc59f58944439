// Owns: SHA-256, the identity of content, and the digests of sets that are built on it. The one file of this module
// that calls a library: OpenSSL's one-shot, a pure function. It must not know what is hashed, nor any key.

import COpenSSL

/// SHA-256, and no other use of OpenSSL.
package enum SHA256 {
  /// Fetched once: a look-up by name costs more than hashing a short text (0.10 against 0.27 µs for 17 bytes).
  private nonisolated(unsafe) static let method = EVP_MD_fetch(nil, "SHA256", nil)

  /// 32 bytes.
  package static func of(_ bytes: [UInt8]) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: 32) { digest, count in
      digest.initialize(repeating: 0)
      hash(bytes, into: UnsafeMutableRawBufferPointer(digest))
      count = 32
    }
  }

  /// 64 hexadecimal digits.
  package static func hex(of bytes: [UInt8]) -> String { Hexadecimal.text(of(bytes)) }

  fileprivate static func hash(_ bytes: [UInt8], into digest: UnsafeMutableRawBufferPointer) {
    let result = EVP_Digest(
      bytes, bytes.count, digest.baseAddress?.assumingMemoryBound(to: UInt8.self), nil, method, nil)
    precondition(result == 1, "OpenSSL has no SHA-256: install its default provider")
  }
}

/// Bytes as hexadecimal text and back.
package enum Hexadecimal {
  private static let digits = Array("0123456789abcdef".utf8)

  /// Lower-case hexadecimal text.
  package static func text(_ bytes: [UInt8]) -> String {
    var text: [UInt8] = []
    text.reserveCapacity(bytes.count * 2)
    for byte in bytes {
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// The bytes of hexadecimal text in either case; nil for anything else.
  package static func bytes(_ text: String) -> [UInt8]? {
    let digits = Array(text.utf8)
    guard digits.count % 2 == 0 else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(digits.count / 2)
    for index in stride(from: 0, to: digits.count, by: 2) {
      guard let high = value(digits[index]), let low = value(digits[index + 1]) else { return nil }
      bytes.append(high << 4 | low)
    }
    return bytes
  }

  private static func value(_ digit: UInt8) -> UInt8? {
    switch digit {
    case 0x30...0x39: digit - 0x30
    case 0x61...0x66: digit - 0x61 + 10
    case 0x41...0x46: digit - 0x41 + 10
    default: nil
    }
  }
}

/// The digest of a set: the sum of its members' SHA-256 as numbers of 256 bits, so that adding or removing one costs
/// one hash, whatever the set's size. The caller sees to it that a member is in it once.
///
/// A sum, not an exclusive or: with 256 chosen members linear algebra makes an exclusive or what one likes. For a sum
/// the best known way is Wagner's tree over lists of chosen members, which needs thousands of members of one set that
/// an attacker chooses freely, each out of hundreds of thousands of forms. In a desired set or an inventory nobody
/// chooses members: numbers and revisions count up, and of what a user sets only a grace is in them.
package struct SetDigest: Equatable, Sendable {
  /// Least significant first.
  private var words: InlineArray<4, UInt64>

  package static func == (left: SetDigest, right: SetDigest) -> Bool {
    left.words[0] == right.words[0] && left.words[1] == right.words[1] && left.words[2] == right.words[2]
      && left.words[3] == right.words[3]
  }

  /// Of the empty set, or of one whose sum is this small number: for tests that need any other.
  package init(_ low: UInt64 = 0) { words = [low, 0, 0, 0] }

  /// The digest with this text; nil: it is none.
  package init?(hex: String) {
    guard let bytes = Hexadecimal.bytes(hex), bytes.count == 32 else { return nil }
    words = bytes.withUnsafeBytes { Self.words(of: $0) }
  }

  /// 64 hexadecimal digits.
  package var hex: String {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(32)
    for index in [3, 2, 1, 0] {
      for shift in stride(from: UInt64(56), through: 0, by: -8) {
        bytes.append(UInt8(truncatingIfNeeded: words[index] >> shift))
      }
    }
    return Hexadecimal.text(bytes)
  }

  /// Takes a member in, named by its canonical bytes.
  package mutating func insert(_ member: [UInt8]) { add(Self.hashed(member)) }

  /// Takes a member out again.
  package mutating func remove(_ member: [UInt8]) { subtract(Self.hashed(member)) }

  /// Takes a member in whose SHA-256 is at hand; what is no SHA-256 counts as the empty text's.
  package mutating func insert(hash: [UInt8]) { add(Self.number(hash)) }

  /// Takes a member out whose SHA-256 is at hand.
  package mutating func remove(hash: [UInt8]) { subtract(Self.number(hash)) }

  private mutating func add(_ other: InlineArray<4, UInt64>) {
    var carry: UInt64 = 0
    for index in 0..<4 {
      let (sum, first) = words[index].addingReportingOverflow(other[index])
      let (total, second) = sum.addingReportingOverflow(carry)
      words[index] = total
      carry = first || second ? 1 : 0
    }
  }

  private mutating func subtract(_ other: InlineArray<4, UInt64>) {
    var borrow: UInt64 = 0
    for index in 0..<4 {
      let (difference, first) = words[index].subtractingReportingOverflow(other[index])
      let (total, second) = difference.subtractingReportingOverflow(borrow)
      words[index] = total
      borrow = first || second ? 1 : 0
    }
  }

  private static func number(_ hash: [UInt8]) -> InlineArray<4, UInt64> {
    hash.count == 32 ? hash.withUnsafeBytes { words(of: $0) } : hashed([])
  }

  private static func hashed(_ member: [UInt8]) -> InlineArray<4, UInt64> {
    withUnsafeTemporaryAllocation(byteCount: 32, alignment: 8) { digest in
      SHA256.hash(member, into: digest)
      return words(of: UnsafeRawBufferPointer(digest))
    }
  }

  /// 32 bytes as one number, most significant byte first.
  private static func words(of bytes: UnsafeRawBufferPointer) -> InlineArray<4, UInt64> {
    InlineArray { index in UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 24 - 8 * index, as: UInt64.self)) }
  }
}
