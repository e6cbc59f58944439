// Trees as YAML text: the layout, which strings are quoted, and that long text costs no more than its JSON does.

import ClusterProto
import Glibc
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

  private func cost(_ work: () -> Void) -> Double {
    var best = Double.infinity
    for _ in 0..<3 {
      var begin = timespec()
      var end = timespec()
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin)
      work()
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end)
      best = min(best, Double(end.tv_sec - begin.tv_sec) + Double(end.tv_nsec - begin.tv_nsec) / 1e9)
    }
    return best
  }

  @Test("a long text, of one line or of many, costs not much more than its JSON, and twice the text twice as much")
  func linear() {
    // In a debug build some 20 to 40 times; character by character it was thousands.
    for piece in ["0123456789abcdef", "a line of text: with more\n"] {
      func text(_ bytes: Int) -> JSON {
        ["data": ["x": .string(String(repeating: piece, count: bytes / piece.utf8.count))]]
      }
      let (half, whole) = (text(1 << 19), text(1 << 20))
      let yaml = cost { _ = whole.yamlBytes }
      #expect(yaml < 100 * cost { _ = whole.bytes } + 0.01, "\(piece)")
      #expect(yaml < 4 * cost { _ = half.yamlBytes } + 0.01, "\(piece)")
    }
  }
}
