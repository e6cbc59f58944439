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
    let starts = page.lines.indices.filter { page.lines[$0].hasPrefix("| ") && page.lines[$0].hasSuffix(" | test |") }
    #expect(starts.count > 7)
    for start in starts {
      let columns = page.lines[start].split(separator: "|").count
      Self.check(page.lines[(start + 2)...].prefix { $0.hasPrefix("|") }, cells: columns)
    }
  }

  private static func check(_ rows: ArraySlice<Substring>, cells count: Int) {
    for row in rows {
      let cells = row.split(separator: "|")
      #expect(cells.count == count, "\(row)")
      // What no test shows says so.
      if row.hasSuffix("| – |") { continue }
      if (cells.last ?? "").contains("\"") {
        checkTitles(cells.last ?? "")
        continue
      }
      // `Suite` function, function; `Suite` …; a remark in parentheses.
      // Two suites may have one name.
      var suites: [SourceFile] = []
      var remark = false
      for word in (cells.last ?? "").split(whereSeparator: { " ,;".contains($0) }) {
        if word.hasPrefix("(") { remark = true }
        if remark {
          remark = !word.hasSuffix(")")
        } else if word.hasPrefix("`") {
          let name = word.dropFirst().dropLast()
          suites = TidyTests.tests.filter { $0.path.hasSuffix("/\(name).swift") }
          #expect(!suites.isEmpty, "there is no \(name).swift: \(row)")
        } else if word != "…" {
          let isThere = suites.contains { $0.lines.contains { $0.contains("func \(word)(") } }
          #expect(isThere, "no func \(word): \(row)")
        }
      }
      #expect(!suites.isEmpty, "no test: \(row)")
    }
  }

  /// A cell that names its tests, or their suite, by title.
  private static func checkTitles(_ cell: Substring) {
    let parts = cell.split(separator: "\"", omittingEmptySubsequences: false)
    for index in parts.indices where index % 2 == 1 {
      let title = "\"\(parts[index])\""
      let isThere = TidyTests.tests.contains { $0.lines.contains { $0.contains(title) } }
      #expect(isThere, "there is no test \(title)")
    }
  }
}
