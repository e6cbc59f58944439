// The model of the fencing protocol speaks of the code: its names are found there, and its rules on the page.

import Testing

@Suite("The model of the fencing") struct ModelNamesTests {
  static let model = TidyTests.files(under: "Tests/Model", ending: "pml")

  @Test("names of the model that its opening calls the code's are in the cores")
  func names() throws {
    let text = try #require(Self.model.first).lines.joined(separator: " ")
    let sentence = try #require(text.split(separator: "Names are the code's: ").dropFirst().first)
    let names = (sentence.split(separator: ". ").first ?? "").split(whereSeparator: { " ,()/*:".contains($0) })
      .filter { $0.first?.isLowercase == true }
    #expect(names.count > 5)
    let cores = TidyTests.sources.filter { $0.path.contains("/Core/") }
    for name in names {
      #expect(cores.contains { $0.lines.contains { $0.contains(name) } }, "no \(name) in a core")
    }
  }

  @Test("each rule that can be taken out of the model is a row of the page's table, and no other is")
  func rules() throws {
    let lines = try #require(Self.model.first).lines
    var inModel: Set<Substring> = []
    for line in lines {
      for word in line.split(whereSeparator: { " ()".contains($0) }) where word.hasPrefix("WITHOUT_") {
        inModel.insert(word.dropFirst("WITHOUT_".count))
      }
    }
    let page = try #require(TidyTests.files(under: "docs", ending: "md").first { $0.path == "docs/failure-model.md" })
    let header = "| taken out | in the model | what follows, in how many steps |"
    let start = try #require(page.lines.firstIndex(of: Substring(header)))
    let rows = page.lines[(start + 2)...].prefix { $0.hasPrefix("|") }
    let onPage = Set(rows.map { ($0.split(separator: "|").first ?? "").filter { !" `".contains($0) } })
    #expect(onPage == Set(inModel.map(String.init)))
  }
}
