// Names, made-up names, stable hashes, seeded numbers and variable expansion.

import ClusterProto
import Testing

@Suite("Names and small texts")
struct NamesTests {
  @Test("valid names have no errors and invalid ones have Kubernetes' words")
  func validators() {
    let long = String(repeating: "a", count: 64)
    let subdomain =
      "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
      + "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
      + #"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"#
    for name in ["a", "a.b", "0-9.x", long] { #expect(Names.subdomainErrors(name) == [], "\(name)") }
    for name in ["", "A", "a.", ".a", "a..b", "-a", "a_b", "é"] { #expect(Names.subdomainErrors(name) == [subdomain]) }
    #expect(Names.labelErrors("my-name") == [])
    #expect(Names.labelErrors(long) == ["must be no more than 63 bytes"])
    #expect(Names.labelErrors("a.b").count == 1)
    #expect(Names.subdomainErrors(String(repeating: "a", count: 254)) == ["must be no more than 253 bytes"])
    for key in ["app", "example.com/App_1.x", "A"] { #expect(Names.labelKeyErrors(key) == [], "\(key)") }
    for key in ["", "/a", "a/", "a/b/c", "-a", "A.com/x", "a b", long] { #expect(!Names.labelKeyErrors(key).isEmpty) }
    for value in ["", "a", "A-b_c.9"] { #expect(Names.labelValueErrors(value) == []) }
    for value in ["-", "a-", "a b", "é", long] { #expect(Names.labelValueErrors(value).count == 1, "\(value)") }
    for key in ["a", ".b", "KEY_NAME", "x..y"] { #expect(Names.configKeyErrors(key) == [], "\(key)") }
    #expect(Names.configKeyErrors(".") == ["must not be '.'"])
    #expect(Names.configKeyErrors("..a") == ["must not start with '..'"])
    for name in ["PATH", "a.b-c", "1x", "with space"] { #expect(Names.environmentNameErrors(name) == [], "\(name)") }
    for name in ["", "a=b", "é", "a\n"] { #expect(!Names.environmentNameErrors(name).isEmpty, "\(name)") }
  }

  @Test("suffixes are five characters of the safe alphabet and differ by seed")
  func suffixes() {
    var random = SplitMix64(seed: 1)
    var seen: Set<String> = []
    for _ in 0..<1000 {
      let suffix = Names.suffix(from: random.next())
      #expect(suffix.utf8.count == 5)
      #expect(suffix.utf8.allSatisfy { "bcdfghjklmnpqrstvwxz2456789".utf8.contains($0) })
      seen.insert(suffix)
    }
    #expect(seen.count > 990)
  }

  @Test("a UUID is of version 4 and variant 1, and keeps the other bits")
  func uuids() {
    #expect(Names.uuid(0x0123_4567_89AB_CDEF, 0x0123_4567_89AB_CDEF) == "01234567-89ab-4def-8123-456789abcdef")
    #expect(Names.uuid(0, 0) == "00000000-0000-4000-8000-000000000000")
    #expect(Names.uuid(.max, .max) == "ffffffff-ffff-4fff-bfff-ffffffffffff")
  }

  @Test("the seeded generator gives the published numbers and keeps its bounds")
  func generator() {
    var random = SplitMix64(seed: 1_234_567)
    let published: [UInt64] = [
      6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
    ]
    for number in published { #expect(random.next() == number) }
    for bound in [1, 2, 7, 1000, .max] as [UInt64] {
      for _ in 0..<200 { #expect(random.below(bound) < bound) }
    }
    #expect(random.below(0) == 0)
    for _ in 0..<200 { #expect((0..<1).contains(random.unitInterval())) }
  }

  @Test("a stable hash depends on every byte and not on how they were fed")
  func hashes() {
    var pieces = StableHash()
    pieces.combine("ab")
    pieces.combine([0x63] as [UInt8])
    #expect(pieces.hex == StableHash.hex(of: Array("abc".utf8)))
    #expect(pieces.hex.utf8.count == 16)
    #expect(StableHash.hex(0xAB) == "00000000000000ab")
    let seen = Set((0..<2000).map { StableHash.hex(of: Array("pod-\($0)".utf8)) })
    #expect(seen.count == 2000)
  }

  @Test(
    "variables are expanded, escaped and left alone as Kubernetes does it",
    arguments: [
      ("plain", "plain"), ("$(A)", "1"), ("x$(A)y$(B)", "x1y$(A)"), ("$$(A)", "$(A)"), ("$$$(A)", "$1"),
      ("$(C)", "$(C)"),
      ("$(A", "$(A"), ("$A", "$A"), ("cost $5", "cost $5"), ("$", "$"), ("$$", "$"), ("$()", "$()"), ("é$(A)é", "é1é"),
      ("$$$$(A)", "$$(A)"),
    ])
  func expansion(text: String, expected: String) throws {
    let values = ["A": "1", "B": "$(A)"]
    #expect(try VariableExpansion.expand(text, limit: 100) { values[$0] } == expected)
  }

  @Test("an expansion ends at its limit, and one of many opened names takes no square of its length")
  func expansionLimit() throws {
    let value = String(repeating: "x", count: 1_000)
    #expect(try VariableExpansion.expand("$(A)$(A)", limit: 2_000) { _ in value }.utf8.count == 2_000)
    var asked = 0
    let many = String(repeating: "$(A)", count: 100_000)
    #expect(throws: ExpansionOverflow.self) {
      try VariableExpansion.expand(many, limit: 1_999) { _ in
        asked += 1
        return value
      }
    }
    #expect(asked == 2)
    #expect(throws: ExpansionOverflow.self) { try VariableExpansion.expand(value, limit: 999) { _ in nil } }
    let open = String(repeating: "$(", count: 500_000)
    #expect(try VariableExpansion.expand(open, limit: 1_000_000) { _ in nil } == open)
  }

  @Test(
    "a container's path loses . and .. by its text, never above the root",
    arguments: [
      ("/tmp/../../../dev/termination-log", "/dev/termination-log"), ("rel/../x", "/x"), ("a/../../b", "/b"),
      ("/a/./b/", "/a/b"), ("/a/b", "/a/b"), ("", "/"), ("/..", "/"), ("/a/..b", "/a/..b"),
    ])
  func withinRoot(path: String, expected: String) {
    #expect(PathText.withinRoot(path) == expected)
    #expect(PathText.mountProblem("/tmp/../proc/x") != nil)
    #expect(PathText.mountProblem("/tmp/..") != nil)
  }

  @Test("a path is bytes between slashes, also where Swift sees a slash and an accent as one character")
  func paths() {
    let trick = "../\u{301}x"
    #expect(PathText.climbs(trick))
    #expect(PathText.names("a//\u{301}b/") == ["a", "\u{301}b"])
    #expect(!PathText.climbs("a/..b/c.."))
    #expect(PathText.isAbsolute("/\u{301}"))
    #expect(PathText.isBelow("/a/\u{301}", "/a"))
    #expect(!PathText.isBelow("/ab", "/a"))
    #expect(PathText.split("/a/\u{301}b/") == ("/a", "\u{301}b"))
    #expect(PathText.split("b") == (".", "b"))
    #expect(PathText.split("/b") == ("/", "b"))
    #expect(PathText.split("/") == ("/", ""))
  }
}
