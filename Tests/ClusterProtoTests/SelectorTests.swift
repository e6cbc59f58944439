// Label and field selectors: reading, refusing, matching and printing.

import ClusterProto
import Testing

@Suite("Selectors")
struct SelectorTests {
  private static let labels: StringMap = ["app": "web", "tier": "front", "n": "7", "empty": ""]

  @Test(
    "labels match as Kubernetes matches them",
    arguments: [
      ("", true), ("app=web", true), ("app==web", true), ("app=db", false), ("app!=db", true), ("app!=web", false),
      ("gone!=x", true), ("app in (db, web)", true), ("app in (db)", false), ("app notin (db)", true),
      ("gone notin (x)", true), ("app notin (web,x)", false), ("app", true), ("gone", false), ("!gone", true),
      ("!app", false), ("app=web,tier=front", true), ("app=web , tier=back", false), ("empty=", true),
      ("empty in ()", true), ("empty in (a,,b)", true), ("gone=", false), ("n>6", true), ("n>7", false), ("n<8", true),
      ("app>1", false), ("gone<1", false), ("in in (in)", false), (" app\t=\tweb ", true),
    ])
  func matching(text: String, expected: Bool) throws {
    #expect(try LabelSelector(parsing: text).matches(Self.labels) == expected)
  }

  @Test(
    "what cannot be read is refused in the API server's words",
    arguments: [
      ("a in", "unable to parse requirement: found '' expected: '('"),
      ("a in b", "unable to parse requirement: found 'b' expected: '('"),
      ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
      ("a in (=)", "unable to parse requirement: found '=', expected: ',', ')' or identifier"),
      ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
      ("a=(", "unable to parse requirement: found '(', expected: identifier"),
      ("!", "unable to parse requirement: found '', expected: identifier"),
      ("!a=b", "found '=', expected: ',' or 'end of string'"), ("a=b c", "found 'c', expected: ',' or 'end of string'"),
      ("a,", "found '', expected: identifier after ','"),
      ("=a", "found '=', expected: !, identifier, or 'end of string'"),
      (
        "n>x",
        "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, "
          + "the value must be an integer"
      ),
    ])
  func refusals(text: String, message: String) {
    #expect(throws: SelectorError(message: message)) { try LabelSelector(parsing: text) }
  }

  @Test("an invalid key or value is quoted with the rule that it breaks")
  func invalidParts() {
    let key = #expect(throws: SelectorError.self) { try LabelSelector(parsing: "-a=b") }
    let keyStart = "unable to parse requirement: <nil>: Invalid value: \"-a\": name part must consist of alphanumeric"
    #expect(key?.message.hasPrefix(keyStart) == true)
    let value = #expect(throws: SelectorError.self) { try LabelSelector(parsing: "a=-b") }
    let valueStart = "unable to parse requirement: values[0][a]: Invalid value: \"-b\": a valid label must be an empty"
    #expect(value?.message.hasPrefix(valueStart) == true)
    let two = #expect(throws: SelectorError.self) { try LabelSelector(parsing: "a in (-b,-c,d)") }
    #expect(two?.message.hasPrefix("unable to parse requirement: [values[0][a]: Invalid value") == true)
    #expect(two?.message.contains(", values[1][a]: Invalid value: \"-c\"") == true)
  }

  @Test("a selector prints sorted, and what it prints reads back as itself")
  func printing() throws {
    let selector = try LabelSelector(parsing: "z,c in (e,d,d),a=b,!f,b!=c,g notin (h),n>1,m<2")
    #expect(selector.description == "a=b,b!=c,c in (d,e),!f,g notin (h),m<2,n>1,z")
    let again = try LabelSelector(parsing: selector.description)
    #expect(again.description == selector.description)
    #expect(LabelSelector().description == "")
  }

  @Test("the object form means what its members say and keeps a set of one a set")
  func objects() throws {
    let selector = LabelSelector(json: [
      "matchLabels": ["app": "web"],
      "matchExpressions": [
        ["key": "tier", "operator": "In", "values": ["front"]], ["key": "gone", "operator": "DoesNotExist"],
        ["key": "n", "operator": "Exists"], ["key": "app", "operator": "NotIn", "values": ["b", "a"]],
      ],
    ])
    #expect(selector.matches(Self.labels))
    #expect(!selector.matches(["app": "web"]))
    #expect(selector.description == "app=web,app notin (a,b),!gone,n,tier in (front)")
    #expect(LabelSelector(json: nil).matches([:]))
  }

  @Test("fields match by equality, with escapes in values")
  func fields() throws {
    let fields = ["metadata.name": "x", "status.phase": "Running", "odd": "a,b=c\\"]
    let cases: [(String, Bool)] = [
      ("", true), ("metadata.name=x", true), ("metadata.name==x,status.phase!=Failed", true),
      ("status.phase!=Running", false),
      ("gone=", true), ("gone!=x", true), ("gone=x", false), (#"odd=a\,b\=c\\"#, true), (",metadata.name=x,", true),
    ]
    for (text, expected) in cases {
      #expect(try FieldSelector(parsing: text).matches { fields[$0] } == expected, "\(text)")
    }
    let refusals: [(String, String)] = [
      ("a=b,oops", "invalid selector: 'a=b,oops'; can't understand 'oops'"),
      (#"a=\x"#, #"invalid field selector: invalid escape sequence: \x"#),
      ("a=b=c", "invalid field selector: unescaped character in value: ="),
    ]
    for (text, message) in refusals {
      #expect(throws: SelectorError(message: message)) { try FieldSelector(parsing: text) }
    }
  }

  @Test("random text never traps")
  func noise() {
    var random = SplitMix64(seed: 5)
    let alphabet = Array("ab=!,()<> in\\-é".unicodeScalars)
    var read = 0
    for _ in 0..<20_000 {
      var text = String.UnicodeScalarView()
      for _ in 0..<random.below(12) { text.append(alphabet[Int(random.below(UInt64(alphabet.count)))]) }
      if (try? LabelSelector(parsing: String(text))) != nil { read += 1 }
      if let fields = try? FieldSelector(parsing: String(text)) { #expect(fields.terms.count <= 12) }
    }
    #expect(read > 100)
  }
}
