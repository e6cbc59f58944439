// By how much the next attempt asks for more memory after one that was OOMKilled, as a value that is read from text:
// `x2:16Gi`. Must not know who was killed, nor when.

/// A rule for the memory of attempts that follow an OOMKilled one.
package struct MemoryRaise: Equatable, Sendable {
  /// Why a text is no rule.
  package struct Problem: Error, Equatable {
    /// What is wrong, as validation says it.
    package var text: String
  }

  /// What each raise multiplies by, in thousandths; more than 1,000.
  package var factorThousandths: Int64
  /// No container asks for more than that because of it, in bytes.
  package var bound: Int64

  /// A pod is told apart by that many raises at the most; a factor of 1.001 has reached most bounds by then.
  package static let most: Int64 = 10_000

  /// Reads `xFACTOR:BOUND`.
  package init(text: String) throws(Problem) {
    let form = Problem(text: "must be xFACTOR:BOUND, as in x2:16Gi")
    let sides = text.split(separator: ":", omittingEmptySubsequences: false)
    guard sides.count == 2, sides[0].first == "x", sides[0].utf8.count <= 20, sides[1].utf8.count <= 32 else {
      throw form
    }
    let number = sides[0].dropFirst()
    guard number.allSatisfy({ ("0"..."9").contains($0) || $0 == "." }),
      let factor = DurationText.scaled(number, by: 1_000), factor > 1_000, factor <= 100_000
    else { throw Problem(text: "the factor must be a number above 1 and up to 100, as in x2 or x1.5") }
    guard let bound = Quantity.parseBytes(String(sides[1])), bound > 0 else {
      throw Problem(text: "the bound must be a quantity of bytes, as in 16Gi")
    }
    factorThousandths = factor
    self.bound = bound
  }

  /// `bytes` after so many raises: no more than the bound, and never less than it was.
  package func raised(_ bytes: Int64, times: Int64) -> Int64 {
    guard bytes > 0, bytes < bound else { return bytes }
    var amount = bytes
    for _ in 0..<min(max(0, times), Self.most) where amount < bound {
      let next = Int128(amount) * Int128(factorThousandths) / 1_000
      amount = Int64(clamping: min(max(next, Int128(amount) + 1), Int128(bound)))
    }
    return amount
  }

  /// How many raises lead from `bytes` to the bound.
  package func raises(from bytes: Int64) -> Int64 {
    guard bytes > 0 else { return 0 }
    var (amount, count) = (bytes, Int64(0))
    while amount < bound, count < Self.most {
      amount = raised(amount, times: 1)
      count += 1
    }
    return count
  }

  /// A pod's spec with the memory of its containers raised so often: of those that have a limit, limit and request.
  package func raised(_ spec: JSON, times: Int64) -> JSON {
    guard times > 0 else { return spec }
    var spec = spec
    for list in ["initContainers", "containers"] {
      guard var containers = spec[list]?.arrayValue else { continue }
      for position in containers.indices {
        guard Self.bytes(containers[position], "limits") != nil else { continue }
        for part in ["limits", "requests"] {
          guard let before = Self.bytes(containers[position], part) else { continue }
          let after = raised(before, times: times)
          if after == before { continue }
          containers[position][path: ["resources", part, "memory"]] = .string(Quantity.formatBytes(after))
        }
      }
      spec[list] = .array(containers)
    }
    return spec
  }

  private static func bytes(_ container: JSON, _ part: String) -> Int64? {
    let value = container[path: ["resources", part, "memory"]]
    guard let bytes = (value?.stringValue ?? value?.text).flatMap({ Quantity.parseBytes($0) }), bytes > 0 else {
      return nil
    }
    return bytes
  }
}
