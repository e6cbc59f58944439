// The pages name a test for each attack and each rule: every one of them is there.

import Testing

@Suite("The page on security") struct SecurityPageTests {
  @Test("each test that the table of attacks names is one")
  func tests() throws {
    let page = try #require(TidyTests.files(under: "docs", ending: "md").first { $0.path == "docs/security.md" })
    let start = try #require(page.lines.firstIndex(of: "| attack | answer | test |"))
    let rows = page.lines[(start + 2)...].prefix { $0.hasPrefix("|") }
    #expect(rows.count > 15)
    Self.check(rows, cells: 3)
  }

  @Test("each test that the page on the API names for a rule is one")
  func rules() throws {
    let page = try #require(TidyTests.files(under: "docs", ending: "md").first { $0.path == "docs/kubernetes.md" })
    let starts = page.lines.indices.filter { page.lines[$0] == "| rule | test |" }
    #expect(!starts.isEmpty)
    for start in starts { Self.check(page.lines[(start + 2)...].prefix { $0.hasPrefix("|") }, cells: 2) }
  }

  private static func check(_ rows: ArraySlice<Substring>, cells count: Int) {
    for row in rows {
      let cells = row.split(separator: "|")
      #expect(cells.count == count, "\(row)")
      // `Suite` function, function; `Suite` …; a remark in parentheses.
      var suite: SourceFile?
      var remark = false
      for word in (cells.last ?? "").split(whereSeparator: { " ,;".contains($0) }) {
        if word.hasPrefix("(") { remark = true }
        if remark {
          remark = !word.hasSuffix(")")
        } else if word.hasPrefix("`") {
          let name = word.dropFirst().dropLast()
          suite = TidyTests.tests.first { $0.path.hasSuffix("/\(name).swift") }
          #expect(suite != nil, "there is no \(name).swift: \(row)")
        } else if word != "…" {
          #expect(suite?.lines.contains { $0.contains("func \(word)(") } == true, "no func \(word): \(row)")
        }
      }
      #expect(suite != nil, "no test: \(row)")
    }
  }
}
