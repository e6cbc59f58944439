// The proof of a number that this cluster's coordinator gave out (C4): an HMAC with a key that is a row of the store,
// so that each copy of the store has it and no node. Agents keep the proofs as they come and tell them back. What
// follows from a number, proven or not, is SeenNumbers'.

import ClusterProto

/// Makes and checks proofs. Without a key there are none, and nothing is proven.
package struct NumberProofs: Equatable, Sendable {
  /// The row of the key.
  static let fact = "proofkey"
  private static let blockBytes = 64
  /// Half of a digest: 128 bits.
  private static let proofBytes = 16
  private static let separator: Character = "."

  private var inner: [UInt8] = []
  private var outer: [UInt8] = []

  /// None.
  package init() {}

  /// `key`: text of at least 128 random bits; empty: none. A proof of one cluster is none of another.
  package init(key: String, cluster: String) {
    guard !key.isEmpty else { return }
    var block = SHA256.of(Array("\(cluster) \(key)".utf8))
    block += Array(repeating: 0, count: Self.blockBytes - block.count)
    inner = block.map { $0 ^ 0x36 }
    outer = block.map { $0 ^ 0x5c }
  }

  /// What a start is told by: its random text and the proof that it had this incarnation. Empty for no text.
  package func mark(of incarnation: Int64, random: String) -> String {
    let proof = proof(of: "start \(incarnation) \(random)")
    return random.isEmpty || proof.isEmpty ? random : "\(random)\(Self.separator)\(proof)"
  }

  /// Whether a start of this cluster with that incarnation had this mark.
  func proves(mark: String, of incarnation: Int64) -> Bool {
    guard let end = mark.lastIndex(of: Self.separator) else { return false }
    return Self.isSame(mark, self.mark(of: incarnation, random: String(mark[..<end])))
  }

  /// For who gets the attempt.
  package func proof(ofAttempt number: AttemptNumber) -> String { proof(of: "attempt \(number)") }

  /// Whether this cluster gave that attempt out.
  func proves(_ proven: ProvenAttempt) -> Bool {
    !proven.proof.isEmpty && Self.isSame(proven.proof, proof(ofAttempt: proven.attempt))
  }

  private func proof(of text: String) -> String {
    guard !inner.isEmpty else { return "" }
    let digest = SHA256.of(outer + SHA256.of(inner + Array(text.utf8)))
    return Hexadecimal.text(Array(digest.prefix(Self.proofBytes)))
  }

  /// In a time that does not tell how much of it is right.
  private static func isSame(_ left: String, _ right: String) -> Bool {
    let (left, right) = (Array(left.utf8), Array(right.utf8))
    guard left.count == right.count else { return false }
    return zip(left, right).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
  }
}
