// Trees as YAML text: the layout, and which strings are quoted.

import ClusterProto
import Testing

@Suite("YAML text")
struct YAMLTextTests {
  @Test("members are sorted, list items stand under their key, several lines are a block")
  func layout() {
    let tree: JSON = [
      "b": [["y": 1, "x": [["deep"], []]], "plain", [1, 2]], "a": ["empty": [:], "none": .null],
      "text": "one\n two\n\nthree\n", "end": "no newline\nhere", "kept": "a\n\n", "first": "  in\nout", "tab": "\tx\ny",
    ]
    #expect(
      tree.yaml == """
        a:
          empty: {}
          none: null
        b:
        - x:
          - - deep
          - []
          "y": 1
        - plain
        - - 1
          - 2
        end: |-
          no newline
          here
        first: |2-
            in
          out
        kept: |+
          a

        tab: |2-
          \tx
          y
        text: |
          one
           two

          three

        """)
    #expect(JSON.string("x").yaml == "x\n" && JSON.array([]).yaml == "[]\n" && ([1] as JSON).yaml == "- 1\n")
  }

  @Test(
    "a string is quoted where it would read back as something else",
    arguments: [
      ("plain text", "plain text"), ("", "\"\""), ("true", "\"true\""), ("No", "\"No\""), ("12", "\"12\""),
      ("1_000", "\"1_000\""), ("0x1F", "\"0x1F\""), ("1:30", "\"1:30\""), ("2026-11-23", "\"2026-11-23\""),
      ("1.2.3", "1.2.3"), ("a: b", "'a: b'"), ("a:b", "a:b"), ("a #b", "'a #b'"), ("it's", "it's"), ("'q'", "'''q'''"),
      ("- x", "'- x'"), ("-x", "-x"), (" x", "' x'"), ("x:", "'x:'"), ("*x", "'*x'"), ("---", "'---'"),
      ("\u{1}", "\"\\u0001\""), ("a\u{85}", "\"a\u{85}\""), ("\u{2028}", "\"\\u2028\""), ("ä€", "ä€"),
      ("\n\n", "\"\\n\\n\""),
      ("a\r\nb", "\"a\\r\\nb\""), (String(repeating: "1", count: 600), "\"\(String(repeating: "1", count: 600))\""),
    ])
  func quoting(string: String, expected: String) { #expect(YAMLText.plain(string) == expected) }
}
