// Each lint fires on what it is against, and only there.

import Testing

@Suite("Lints fire") struct LintTests {
  @Test("an upward import is found, an allowed one is not")
  func importTable() {
    let core = SourceFile(
      path: "Sources/Coordinator/Core/A.swift", text: "// a\nimport ClusterProto\nimport ClusterIO\n")
    #expect(Lints.imports(core).map(\.rule) == ["CoordinatorCore may not import ClusterIO"])
  }

  @Test("Foundation in the agent is found, with an attribute or an access level before it too")
  func foundation() {
    let text = "import Foundation\n@preconcurrency import Foundation\npackage import Foundation.NSDate\n"
    let file = SourceFile(path: "Sources/NodeAgent/Host/A.swift", text: text)
    #expect(Lints.imports(file).map(\.line) == [1, 2, 3])
  }

  @Test("a function of 71 lines is found, one of 70 is not")
  func functionLength() {
    func text(_ lines: Int) -> String {
      "  func f() {\n" + String(repeating: "    work()\n", count: lines - 2) + "  }\n"
    }
    #expect(Lints.functionLengths(SourceFile(path: "a", text: text(70))).isEmpty)
    #expect(Lints.functionLengths(SourceFile(path: "a", text: text(71))).count == 1)
  }

  @Test("a line of 121 columns and a file of 501 lines are found")
  func lengths() {
    let wide = String(repeating: "x", count: 121)
    #expect(Lints.lengths(SourceFile(path: "a", text: wide)).count == 1)
    #expect(Lints.lengths(SourceFile(path: "a", text: String(repeating: "x\n", count: 501))).count == 1)
    #expect(Lints.lengths(SourceFile(path: "a", text: String(repeating: "x\n", count: 500))).isEmpty)
  }

  @Test("every banned text is found", arguments: Lints.banned.map(\.text))
  func bans(text: String) {
    #expect(Lints.bans(SourceFile(path: "a", text: "let a = \(text)")).count == 1)
  }

  @Test("a sleeping test is found")
  func sleeps() {
    #expect(Lints.sleeps(SourceFile(path: "a", text: "usle" + "ep(10)")).count == 1)
  }

  @Test("an exit test is found")
  func exitTests() {
    let text = "await #expect(processExits" + "With: .success) {"
    #expect(Lints.exitTests(SourceFile(path: "a", text: text)).count == 1)
  }

  @Test("one part's state in another part's folder is found; its own, a comment and other names are not")
  func coreParts() {
    let text = "fleet.nodes\nx = self.api.room // workloads.a\nsomefleet.nodes\n// fleet.\nworkloads.tallies\n"
    let file = SourceFile(path: "Sources/Coordinator/Core/Workloads/A.swift", text: text)
    #expect(Lints.coreParts(file).map(\.line) == [1, 2])
    #expect(Lints.coreParts(SourceFile(path: "Sources/Coordinator/Core/A.swift", text: text)).isEmpty)
  }

  @Test("a file without an opening comment is found")
  func opening() {
    #expect(Lints.opening(SourceFile(path: "a", text: "import Testing\n")).count == 1)
    #expect(Lints.opening(SourceFile(path: "a", text: "// What it owns.\nimport Testing\n")).isEmpty)
  }

  @Test("an undocumented package type or member is found, a documented one with an attribute and a witness are not")
  func docstrings() {
    let member = "struct A {\n  package var a: Int\n  package static func == (a: A, b: A) -> Bool { true }\n}\n"
    #expect(Lints.docstrings(SourceFile(path: "a", text: member)).map(\.line) == [2])
    #expect(Lints.docstrings(SourceFile(path: "a", text: "package struct A {}\n")).count == 1)
    #expect(Lints.docstrings(SourceFile(path: "a", text: "/// A.\n@frozen\npackage struct A {}\n")).isEmpty)
  }

  @Test("iterating a dictionary is found, iterating it sorted is not")
  func unorderedIteration() {
    let text =
      "// a\nvar rows: [String: Int] = [:]\nfor row in rows {\nfor row in rows.sorted() {\nfor row in other {\n"
    #expect(UnorderedIteration.lint(SourceFile(path: "a", text: text)).map(\.line) == [3])
  }

  @Test(
    "a switch over kinds is found, and a list of them",
    arguments: [
      "switch kind {\ncase .jobs: 1\ndefault: 2\n}", "  switch object.kind {\n  case .pods where a: 1\n  }",
      "let a = switch x {\ncase .jobs: 1\ncase Kind.pods: 2\n}", "switch x {\ncase .a where b,\n  .jobs, .pods: 1\n}",
      "if [.jobs, .pods].contains(kind) {", "let all = [Kind.pods, .jobs]", "if kind == .jobs || kind == .pods {",
      "if kind != .jobs, kind != .pods {", "  .jobs: a, .pods: b,", "  .jobs, .pods,",
    ])
  func kindSwitch(text: String) {
    #expect(KindSwitches.lint(SourceFile(path: "a", text: text), ["jobs", "pods"]).map(\.line) == [1], "\(text)")
  }

  @Test(
    "other switches and lists, and one kind alone, are not found",
    arguments: [
      "switch timer {\ncase .jobs: 1\ncase .other: 2\n}", "switch kind {\ncase \"Pod\": 1\n}",
      "switch operand {\ncase .job: .jobs\ncase .pod: .pods\n}", "if kind == .jobs {", "let a = [.jobs: 1]",
      "f([jobs, pods])", "// [.jobs, .pods]", "let a: [Kind] = [.jobs]", "f(a[.jobs], b[.pods])",
      "switch object {\ncase .pod: 1\n}\nswitch x {\ncase .a: kind == .jobs\n}",
    ])
  func noKindSwitch(text: String) {
    #expect(KindSwitches.lint(SourceFile(path: "a", text: text), ["jobs", "pods"]).isEmpty, "\(text)")
  }

  @Test("the lint about kinds reads them from their table")
  func kindNames() {
    let text = "enum Kind {\n  case namespaces, pods,\n    jobs\n  case nodes\n  var a: A {\n    case .events: b\n"
    #expect(KindSwitches.kinds(SourceFile(path: "a", text: text)) == ["namespaces", "pods", "jobs", "nodes"])
  }
}
