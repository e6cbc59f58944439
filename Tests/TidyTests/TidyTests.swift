// Runs the lints over every file of the repository that we wrote.

import Foundation
import Testing

@Suite("The repository is tidy") struct TidyTests {
  static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  /// Every file under `folder` with that extension, by path from the root.
  static func files(under folder: String, ending: String) -> [SourceFile] {
    let base = root.appending(path: folder)
    guard let enumerator = FileManager.default.enumerator(at: base, includingPropertiesForKeys: nil) else { return [] }
    var result: [SourceFile] = []
    for case let url as URL in enumerator where url.pathExtension == ending {
      guard let text = try? String(contentsOf: url, encoding: .utf8) else { continue }
      let path = url.path(percentEncoded: false).dropFirst(root.path(percentEncoded: false).count)
      result.append(SourceFile(path: String(path), text: text))
    }
    return result.sorted { $0.path < $1.path }
  }

  static let sources = files(under: "Sources", ending: "swift")
  static let tests = files(under: "Tests", ending: "swift")

  private func check(_ files: [SourceFile], _ lint: (SourceFile) -> [Finding]) {
    let findings = files.flatMap(lint)
    #expect(findings.isEmpty, "\(findings.map(\.description).joined(separator: "\n"))")
  }

  @Test("the sources are found")
  func found() { #expect(Self.sources.count > 20) }

  @Test("each module imports what the layout table allows, and no Foundation")
  func imports() { check(Self.sources, Lints.imports) }

  @Test("every Swift source lies in a module of the table")
  func placed() { #expect(Self.sources.filter { $0.module == nil }.map(\.path) == []) }

  @Test("lines, files and functions keep their limits")
  func lengths() {
    check(Self.sources + Self.tests, Lints.lengths)
    check(Self.sources, Lints.functionLengths)
  }

  @Test("nothing is left over, and no input reaches a trap")
  func bans() { check(Self.sources, Lints.bans) }

  @Test("tests wait for conditions and never sleep")
  func sleeps() { check(Self.tests, Lints.sleeps) }

  @Test("no exit tests: this process has children of its own")
  func exitTests() { check(Self.tests, Lints.exitTests) }

  @Test("the parts of the coordinator's core keep their state to themselves")
  func coreParts() { check(Self.sources, Lints.coreParts) }

  @Test("what differs between kinds stands in their descriptors; each exception is still one")
  func kindSwitches() throws {
    let table = try #require(Self.sources.first { $0.path == "Sources/ClusterProto/Kind.swift" })
    let kinds = KindSwitches.kinds(table)
    #expect(kinds.count > 10)
    check(Self.sources) { file in
      let findings = KindSwitches.lint(file, kinds)
      guard KindSwitches.places.contains(where: { $0.path == file.path }) else { return findings }
      return findings.isEmpty
        ? [Finding(path: file.path, line: 1, rule: "tells no kinds apart: take it from KindSwitches.places")] : []
    }
  }

  @Test("each file says what it owns")
  func openings() { check(Self.sources + Self.tests, Lints.opening) }

  @Test("every package declaration is documented")
  func docstrings() { check(Self.sources, Lints.docstrings) }

  @Test("Package.swift names no package")
  func packages() throws {
    let manifest = try String(contentsOf: Self.root.appending(path: "Package.swift"), encoding: .utf8)
    #expect(!manifest.contains(".pack" + "age(url") && !manifest.contains(".pack" + "age(name"))
  }

  @Test("the cores iterate no Dictionary or Set that they declare as a stored property")
  func dictionaryOrder() {
    let cores = Self.sources.filter { ["CoordinatorCore", "AgentCore"].contains($0.module ?? "") }
    check(cores, UnorderedIteration.lint)
  }
}
