// YAML text as kubectl reads it, and text that tries to hurt.

import ClusterProto
import Coordinator
import Testing

@Suite("YAML")
struct YAMLTests {
  private func read(_ text: String) throws -> [JSON] { try YAML.documents(Array(text.utf8)) }

  @Test(
    "plain scalars mean what they mean to kubectl",
    arguments: [
      ("y", true), ("Yes", true), ("on", true), ("TRUE", true), ("true", true),
      ("n", false), ("no", false), ("OFF", false), ("False", false),
      ("~", .null), ("null", .null), ("", .null), ("Null", .null), ("nULL", "nULL"), ("yEs", "yEs"),
      ("0", 0), ("-0", 0), ("12", 12), ("+12", 12), ("-12", -12), ("1_000", 1000), ("0x1F", 31), ("0o14", 12),
      ("014", 12),
      ("0b101", 5), ("-0b11", -3), ("08", 8.0), ("0_8", 8.0), ("9223372036854775807", 9_223_372_036_854_775_807),
      ("9223372036854775808", 9223372036854775808.0),
      ("1.5", 1.5), ("1.", 1.0), (".5", 0.5), ("-.5", -0.5), ("1e3", 1000.0), ("1E-2", 0.01), ("+1.5e+2", 150.0),
      ("1.5.2", "1.5.2"), (".", "."), ("-", .null), ("1e", "1e"), ("--1", "--1"), ("+-1", "+-1"), ("0x", "0x"),
      ("0xg", "0xg"),
      ("1a", "1a"), ("1２", "1２"), ("100m", "100m"), ("8Gi", "8Gi"),
      ("2001-12-14", "2001-12-14"), ("2001-12-14t21:59:43.10-05:00", "2001-12-14t21:59:43.10-05:00"),
      ("12:30:45", "12:30:45"),
      ("\"yes\"", "yes"), ("'12'", "12"), ("\"\"", ""), ("!!str 12", "12"), ("!!str yes", "yes"), ("!!int \"12\"", 12),
      ("!!float 3", 3.0), ("!!bool \"yes\"", true), ("!!null \"\"", .null), ("!custom x", "x"), ("!!binary aGk=", "hi"),
      ("a b", "a b"), ("\"\\u00e9\\n\"", "é\n"), ("|-\n  a\n  b", "a\nb"), (">-\n  a\n  b", "a b"),
    ] as [(String, JSON)])
  func scalars(text: String, expected: JSON) throws {
    if text == "-" {
      #expect(try read("k:\n  -") == [["k": [.null]]])
    } else {
      #expect(try read("k: \(text)") == [["k": expected]])
    }
  }

  @Test("several documents, empty ones left out, JSON among them")
  func documents() throws {
    #expect(
      try read("a: 1\n---\n# nothing\n---\nb: [x, {c: d}]\n...\n---\n{\"e\": \"f\"}\n") == [
        ["a": 1], ["b": ["x", ["c": "d"]]], ["e": "f"],
      ])
    #expect(try read("") == [])
    #expect(try read("# only a comment\n") == [])
    #expect(try read("\u{FEFF}a: 1") == [["a": 1]])
  }

  @Test("JSON with what YAML cannot read: tabs and surrogate pairs")
  func json() throws {
    #expect(try read("{\n\t\"a\":\t\"\\ud83d\\ude00\"}") == [["a": "😀"]])
    #expect(try read("{a: b, c: [1, 2]}") == [["a": "b", "c": [1, 2]]])
  }

  @Test("keys of other types become text")
  func keys() throws {
    #expect(try read("1: a\ntrue: b\n1.5: c\n\"x y\": d") == [["1": "a", "true": "b", "1.5": "c", "x y": "d"]])
  }

  @Test("anchors, aliases and merge keys")
  func merging() throws {
    #expect(
      try read("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}\nc: *x")
        == [["a": ["p": 1, "q": 2], "b": ["p": 1, "q": 3], "c": ["p": 1, "q": 2]]])
    #expect(
      try read("- &x {p: 1}\n- &y {p: 2, q: 2}\n- {<<: [*x, *y], r: 3}")
        == [[["p": 1], ["p": 2, "q": 2], ["p": 1, "q": 2, "r": 3]]])
    #expect(try read("a: {\"<<\": 1}") == [["a": ["<<": 1]]])
  }

  @Test("of a key that stands twice the last wins, and the caller learns it")
  func duplicates() throws {
    var heard: [String] = []
    let result = try YAML.documents(Array("a: 1\nb: 2\na: 3\n".utf8)) { heard.append($0) }
    #expect(result == [["a": 3, "b": 2]])
    #expect(heard == ["line 3: key \"a\" already set in map"])
    heard = []
    #expect(try YAML.documents(Array("{\"a\":1,\"a\":2}".utf8)) { heard.append($0) } == [["a": 2]])
    #expect(heard == ["line 1: key \"a\" already set in map"])
  }

  @Test(
    "what cannot be read is refused with its line",
    arguments: [
      ("a: b: c", "mapping values are not allowed in this context"),
      ("x: 1\na: b: c", "line 2: mapping values are not allowed in this context"),
      ("a: [1, 2", "line 1: did not find expected ',' or ']'"),
      ("a:\n\t- b", "line 2: found character that cannot start any token"),
      ("a: \"b", "found unexpected end of stream"),
      ("a: *nobody", "line 1: unknown anchor 'nobody' referenced"),
      ("a: &x [*x]", "line 1: anchor 'x' value contains itself"),
      ("<<: 3", "line 1: map merge requires map or sequence of maps as the value"),
      ("? [a]\n: b", "line 1: unsupported map key of type: array"),
      ("~: b", "line 1: unsupported map key of type: null"),
      ("a: .nan", "line 1: unsupported value: .nan"),
      ("a: !!int x", "line 1: cannot decode `x` as a !!int"),
      ("a: !!binary \"*\"", "line 1: !!binary value contains invalid base64 data"),
      ("a: \u{1}", "control characters are not allowed"),
    ])
  func errors(text: String, message: String) throws {
    let error = try #require(throws: YAMLError.self) { try read(text) }
    #expect(error.message == message)
    #expect(error.description == "error converting YAML to JSON: yaml: \(message)")
  }

  @Test("bytes that are no UTF-8 are refused")
  func notUTF8() {
    #expect(throws: YAMLError(message: "invalid leading UTF-8 octet")) { try YAML.documents([0x61, 0x3a, 0x20, 0xff]) }
  }

  @Test("a billion laughs, and a big text aliased a thousand times, are refused in no time")
  func billionLaughs() throws {
    var text = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n"
    for level in 1...9 {
      text += "a\(level): &a\(level) [\(Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", "))]\n"
    }
    let clock = ContinuousClock()
    let start = clock.now
    #expect(throws: YAMLError(message: "document contains excessive aliasing")) { try read(text) }
    let aliases = Array(repeating: "*a", count: 1_000).joined(separator: ", ")
    let big = "a: &a \(String(repeating: "x", count: 500_000))\nb: [\(aliases)]"
    #expect(throws: YAMLError(message: "document contains excessive aliasing")) { try read(big) }
    // Without the bound neither would end; a busy machine may take its time.
    #expect(clock.now - start < .seconds(60))
  }

  @Test("deep nesting and too many values are refused")
  func limits() {
    let deep = String(repeating: "[", count: 5_000) + String(repeating: "]", count: 5_000)
    #expect(throws: YAMLError(message: "exceeded max depth of 64")) { try read(deep) }
    let many = "[" + String(repeating: "1,", count: 300_000) + "1]"
    #expect(throws: YAMLError(message: "document has more than 200000 values")) { try read(many) }
  }

  @Test("random and mutated text never traps")
  func fuzz() throws {
    let seedText = Array("a: &x {p: 1, q: [2, 'y', \"z\\n\"]}\nb: {<<: *x}\n---\n- |\n  t\n- !!int 3\n? k\n: v\n".utf8)
    var random = SplitMix64(seed: 7)
    var refused = 0
    for _ in 0..<20_000 {
      var text = seedText
      for _ in 0..<Int(random.next() % 6 + 1) {
        let position = Int(random.next() % UInt64(text.count))
        switch random.next() % 3 {
        case 0: text[position] = UInt8(truncatingIfNeeded: random.next())
        case 1: text.remove(at: position)
        default: text.insert(contentsOf: text[position...].prefix(8), at: position)
        }
      }
      do { _ = try YAML.documents(text) } catch { refused += 1 }
    }
    #expect(refused > 1_000)
  }
}
