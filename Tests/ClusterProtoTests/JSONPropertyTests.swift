// Properties of the JSON parser and writer over seeded random trees and damaged texts.

import ClusterProto
import Testing

@Suite("JSON properties")
struct JSONPropertyTests {
  @Test("every random tree reads back as itself, compact and indented", arguments: 1...40 as ClosedRange<UInt64>)
  func roundTrip(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    for _ in 0..<25 {
      let tree = Self.tree(&random, depth: 5)
      #expect(try JSON(parsing: tree.text) == tree, "\(tree.text)")
      #expect(try JSON(parsing: tree.pretty()) == tree, "\(tree.text)")
      #expect(try JSON.parseReportingDuplicates(Array(tree.text.utf8)).duplicates == [])
    }
  }

  @Test("damaged texts never trap, and what is still accepted is written as something that reads back the same")
  func damage() throws {
    var random = SplitMix64(seed: 7)
    var accepted = 0
    var refused = 0
    for _ in 0..<4000 {
      var bytes = Array(Self.tree(&random, depth: 4).text.utf8)
      for _ in 0...Int(random.below(3)) {
        let index = Int(random.below(UInt64(bytes.count)))
        switch random.below(3) {
        case 0: bytes[index] = UInt8(random.below(256))
        case 1: bytes.insert(UInt8(random.below(256)), at: index)
        default: bytes.removeLast(bytes.count - index)
        }
        if bytes.isEmpty { bytes = [0x22] }
      }
      do throws(JSONError) {
        let value = try JSON(parsing: bytes)
        accepted += 1
        // A whole double (1.0) is written as Go writes it (1), so the second text is the fixed point.
        let again = try JSON(parsing: value.text)
        #expect(again.text == value.text)
      } catch {
        refused += 1
        #expect((0...bytes.count).contains(error.offset))
      }
    }
    #expect(accepted > 100)
    #expect(refused > 100)
  }

  @Test("a slice of bytes reads as the whole array of them does")
  func slices() throws {
    let bytes = Array("xx{\"a\":[1,2]}yy".utf8)
    #expect(try JSON(parsing: bytes[2..<13]) == ["a": [1, 2]])
    #expect(throws: JSONError(message: "unexpected end of JSON input", offset: 0)) { try JSON(parsing: bytes[2..<2]) }
    let raw = try bytes[2..<13].withUnsafeBytes { try JSON(parsing: $0) }
    #expect(raw == ["a": [1, 2]])
  }

  private static func tree(_ random: inout SplitMix64, depth: Int) -> JSON {
    switch random.below(depth == 0 ? 5 : 7) {
    case 0: return .null
    case 1: return .bool(random.below(2) == 0)
    case 2: return .int(Int64(truncatingIfNeeded: random.next() >> random.below(64)))
    case 3:
      // Not whole: Go's layout of a whole double reads back as an integer.
      return .double(Double(random.below(1000)) + 0.5 + random.unitInterval() / 4)
    case 4: return .string(text(&random))
    case 5: return .array((0..<random.below(5)).map { _ in tree(&random, depth: depth - 1) })
    default:
      let members = (0..<random.below(25)).map { _ in
        (text(&random), tree(&random, depth: random.below(3) == 0 ? depth - 1 : 0))
      }
      return .object(JSONObject(entries: members))
    }
  }

  private static func text(_ random: inout SplitMix64) -> String {
    let scalars: [Unicode.Scalar] = [
      "a", "b", "z", "\"", "\\", "/", "\n", "\u{0}", "\u{1F}", "\u{7F}", "é", "e", "\u{301}", "\u{2028}", "\u{2029}",
      "\u{20AC}", "\u{1F600}", "\u{FFFD}", "\u{FFFF}",
    ]
    var result = String.UnicodeScalarView()
    for _ in 0..<random.below(20) { result.append(scalars[Int(random.below(UInt64(scalars.count)))]) }
    return String(result)
  }
}
