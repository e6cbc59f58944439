// The JSON tree, its parser and its writer.

import ClusterProto
import Testing

@Suite("JSON")
struct JSONTests {
  @Test("whole numbers of 64 bits are kept exactly where that is asked for")
  func largeNumbers() throws {
    var limits = JSONLimits.standard
    limits.keepsLargeNumbers = true
    let text = "[9223372036854775807, 9223372036854775808, 18446744073709551615, 18446744073709551616, 1.5]"
    let kept = try JSON(parsing: text, limits: limits).arrayValue ?? []
    #expect(kept.prefix(3) == [9_223_372_036_854_775_807, "9223372036854775808", "18446744073709551615"])
    #expect(kept.suffix(2) == [.double(18_446_744_073_709_551_616), 1.5])
    #expect(try JSON(parsing: text)[1] == .double(9_223_372_036_854_775_808))
  }

  @Test("a set member makes an object of null and nil removes it again")
  func subscripts() {
    var tree = JSON.null
    tree["b"] = 1
    tree["a"] = "x"
    #expect(tree.text == #"{"a":"x","b":1}"#)
    tree["b"] = nil
    #expect(tree["b"] == nil)
    #expect(tree.text == #"{"a":"x"}"#)
    tree["a"] = .null
    #expect(tree["a"] == JSON.null)
    #expect(tree.objectValue?.contains("a") == true)
    var number: JSON = 3
    number["x"] = nil
    #expect(number == 3)
  }

  @Test("a path reads and creates nested objects, and removing along an absent path creates nothing")
  func paths() {
    var tree: JSON = [:]
    tree[path: ["metadata", "labels", "app"]] = "x"
    tree[path: ["metadata", "name"]] = "n"
    #expect(tree.text == #"{"metadata":{"labels":{"app":"x"},"name":"n"}}"#)
    #expect(tree[path: ["metadata", "labels", "app"]]?.stringValue == "x")
    #expect(tree[path: ["metadata", "name", "deeper"]] == nil)
    tree[path: ["status", "phase"]] = nil
    #expect(tree["status"] == nil)
    tree[path: ["metadata", "labels"]] = nil
    #expect(tree.text == #"{"metadata":{"name":"n"}}"#)
    let list: JSON = [1, "two", [3.5]]
    #expect(list[1]?.stringValue == "two")
    #expect(list[3] == nil)
    #expect(list[-1] == nil)
  }

  @Test("numbers are read as whole where they fit, else as doubles, and are written as Go writes them")
  func numbers() throws {
    let cases: [(String, JSON, String)] = [
      ("0", 0, "0"), ("-0", 0, "0"), ("9223372036854775807", .int(.max), "9223372036854775807"),
      ("-9223372036854775808", .int(.min), "-9223372036854775808"),
      ("9223372036854775808", .double(9.223372036854775808e18), "9223372036854776000"),
      ("1.5", 1.5, "1.5"), ("1.0", .double(1), "1"), ("1e3", .double(1000), "1000"), ("0.000001", 0.000001, "0.000001"),
      ("1e-7", .double(1e-7), "1e-7"), ("1.25E21", .double(1.25e21), "1.25e+21"),
      ("-2.5e-9", .double(-2.5e-9), "-2.5e-9"),
      ("123456789012345678901", .double(123456789012345683968), "123456789012345680000"), ("-0.0", .double(-0.0), "-0"),
    ]
    for (text, value, written) in cases {
      let parsed = try JSON(parsing: text)
      #expect(parsed == value, "\(text)")
      #expect(parsed.text == written, "\(text)")
    }
    #expect(JSON.double(3).intValue == 3)
    #expect(JSON.double(3.5).intValue == nil)
    #expect(JSON.double(1e300).intValue == nil)
    #expect(try JSON(parsing: "9223372036854775808").intValue == nil)
    #expect(try JSON(parsing: "-9223372036854775809").intValue == nil)
    #expect(JSON.double(-9_007_199_254_740_992).intValue == -9_007_199_254_740_992)
    #expect(JSON.double(9_007_199_254_740_994).intValue == nil)
    #expect(JSON.double(.infinity).text == "null")
  }

  @Test("what RFC 8259 does not allow is refused with Go's words and the place")
  func refusals() {
    let cases: [(String, String, Int)] = [
      ("", "unexpected end of JSON input", 0), ("{", "unexpected end of JSON input", 1),
      ("[1", "unexpected end of JSON input", 2), (#""a"#, "unexpected end of JSON input", 2),
      ("{}x", "invalid character 'x' after top-level value", 2),
      ("01", "invalid character '1' after top-level value", 1),
      ("[1,]", "invalid character ']' looking for beginning of value", 3),
      (#"{"a":1,}"#, "invalid character '}' looking for beginning of object key string", 7),
      (#"{"a" 1}"#, "invalid character '1' after object key", 5),
      (#"{"a":1 "b"}"#, "invalid character '\"' after object key:value pair", 7),
      ("[1 2]", "invalid character '2' after array element", 3), ("nul", "unexpected end of JSON input", 3),
      ("nulx", "invalid character 'x' in literal null (expecting 'l')", 3),
      ("-x", "invalid character 'x' in numeric literal", 1),
      ("1.x", "invalid character 'x' after decimal point in numeric literal", 2),
      ("1ex", "invalid character 'x' in exponent of numeric literal", 2),
      ("\"\n\"", "invalid character '\\n' in string literal", 1),
      (#""\x""#, "invalid character 'x' in string escape code", 2),
      (#""\u12g4""#, "invalid character 'g' in \\u hexadecimal character escape", 5),
      (#""\ud800""#, "lone surrogate in \\u escape", 1), (#""\udc00\ud800""#, "lone surrogate in \\u escape", 1),
      (#""\ud800\u0041""#, "lone surrogate in \\u escape", 1), ("1e999", "number 1e999 is out of range", 0),
      ("NaN", "invalid character 'N' looking for beginning of value", 0),
      ("'a'", "invalid character '\\'' looking for beginning of value", 0),
      ("\u{FEFF}1", "invalid character 'ï' looking for beginning of value", 0),
    ]
    for (text, message, offset) in cases {
      #expect(throws: JSONError(message: message, offset: offset), "\(text)") { try JSON(parsing: text) }
    }
    #expect(throws: JSONError(message: "invalid UTF-8 in string literal", offset: 1)) {
      try JSON(parsing: [0x22, 0xC3, 0x28, 0x22])
    }
    #expect(throws: JSONError(message: "invalid UTF-8 in string literal", offset: 1)) {
      try JSON(parsing: [0x22, 0x5C, 0x6E, 0xED, 0xA0, 0x80, 0x22])
    }
  }

  @Test("the rough size of a value without escapes is near that of its text")
  func roughSize() {
    let values: [JSON] = [
      .null, "text", ["a": 1, "b": [true, 2.5, "ü"]], .object(JSONObject()),
      ["data": ["ca.crt": .string(String(repeating: "MIIB", count: 400)), "b": ""]],
    ]
    for value in values {
      let size = value.bytes.count
      #expect((size...size + 8 * (1 + size / 4)).contains(value.roughBytes), "\(value.text): \(value.roughBytes)")
    }
  }

  @Test("what needs an escape gets it wherever it stands, and what needs none stays, whatever is around it")
  func escapesEverywhere() throws {
    let kinds: [(String, String)] =
      (0..<0x20).map { code in
        let short = [8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r"][code]
        let digits = String(code, radix: 16)
        return (String(UnicodeScalar(UInt8(code))), short ?? "\\u00\(code < 16 ? "0" : "")\(digits)")
      } + [
        ("\"", "\\\""), ("\\", "\\\\"), ("\u{2028}", "\\u2028"), ("\u{2029}", "\\u2029"), ("\u{2027}", "\u{2027}"),
        ("\u{202A}", "\u{202A}"), ("\u{E2}", "\u{E2}"), ("\u{7F}", "\u{7F}"), ("!", "!"), ("#", "#"), ("[", "["),
        ("]", "]"),
        ("\u{1F600}", "\u{1F600}"), (" ", " "),
      ]
    for (text, written) in kinds {
      for before in 0..<18 {
        for after in [0, 1, 7, 8, 9] {
          let (left, right) = (String(repeating: "a", count: before), String(repeating: "~", count: after))
          #expect(JSON.string(left + text + right).text == "\"\(left)\(written)\(right)\"")
        }
      }
    }
    // Longer than any room that is made at first, with nothing but escapes.
    let long = String(repeating: "\u{1}", count: 10_000)
    #expect(JSON.string(long).text == "\"" + String(repeating: "\\u0001", count: 10_000) + "\"")
  }

  @Test("escapes are read and written")
  func escapes() throws {
    let text = #""\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\ude00\u2028<&>\u001f""#
    let value = try JSON(parsing: text)
    #expect(value.stringValue == "\"\\/\u{8}\u{c}\n\r\tA\u{e9}\u{1F600}\u{2028}<&>\u{1f}")
    #expect(value.text == #""\"\\/\b\f\n\r\tAé😀\u2028<&>\u001f""#)
  }

  @Test("of duplicate keys the last wins, and the report names each once with its path")
  func duplicates() throws {
    let text = #"{"a":1,"spec":{"c":[{"n":1},{"n":2,"m":0,"n":3,"n":4}],"t":1,"t":2},"a":2}"#
    let (value, duplicates) = try JSON.parseReportingDuplicates(Array(text.utf8))
    #expect(value.text == #"{"a":2,"spec":{"c":[{"n":1},{"m":0,"n":4}],"t":2}}"#)
    #expect(duplicates == ["spec.c[1].n", "spec.t", "a"])
    #expect(try JSON(parsing: text) == value)
    let many = (0..<100).map { "\"k\($0 % 40)\":\($0)" }.joined(separator: ",")
    let object = try JSON(parsing: "{\(many)}")
    #expect(object.objectValue?.count == 40)
    #expect(object["k7"] == 87)
    #expect(object["k39"] == 79)
  }

  @Test("keys are in byte order, and canonically equivalent strings stay different")
  func byteOrder() throws {
    let object: JSONObject = ["é": 1, "z": 2, "a": 3, "e\u{301}": 4, "": 5]
    #expect(object.keys == ["", "a", "e\u{301}", "z", "é"])
    #expect(object.count == 5)
    #expect(JSON.string("é") != JSON.string("e\u{301}"))
  }

  @Test("nesting and size have bounds that are errors, not traps")
  func limits() throws {
    let deep = String(repeating: "[", count: 100_000)
    #expect(throws: JSONError(message: "JSON is nested deeper than 64 levels", offset: 64)) {
      try JSON(parsing: deep)
    }
    let fits = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
    #expect(try JSON(parsing: fits).text == fits)
    #expect(throws: JSONError.self) { try JSON(parsing: "[\(fits)]") }
    let limits = JSONLimits(depth: 64, nodes: 4)
    #expect(try JSON(parsing: "[1,2,3]", limits: limits) == [1, 2, 3])
    #expect(throws: JSONError(message: "JSON has more than 4 values", offset: 7)) {
      try JSON(parsing: "[1,2,3,4]", limits: limits)
    }
  }

  @Test("the indented text is laid out as kubectl prints it")
  func pretty() {
    let tree: JSON = ["kind": "Job", "items": [], "spec": [:], "list": [1, ["a": .null]]]
    #expect(
      tree.pretty() == """
        {
            "items": [],
            "kind": "Job",
            "list": [
                1,
                {
                    "a": null
                }
            ],
            "spec": {}
        }
        """)
  }
}
