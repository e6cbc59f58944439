// The page of fields is what the schema says, and what it says is what happens.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import Coordinator
@testable import CoordinatorCore

@Suite("The page of fields")
struct FieldTableTests {
  private static let root = #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined()
  private static let page = "\(root)/docs/kubernetes-fields.md"
  private static let command = "STINT_WRITE_DOCS=1 swift test --filter FieldTableTests"

  /// Resources and verbs as discovery tells them.
  private static func served() throws -> String {
    var lines = ["| resource | group | verbs | subresources |", "|---|---|---|---|"]
    let index = try JSON(parsing: try discovery("/apis"))
    let groups = (index["groups"]?.arrayValue ?? []).compactMap { $0["name"]?.stringValue }
    for group in [""] + groups {
      let versions = try JSON(parsing: try discovery(group.isEmpty ? "/api" : "/apis/\(group)"))["versions"]
      for version in versions?.arrayValue ?? [] {
        let name = version.stringValue ?? version["groupVersion"]?.stringValue ?? ""
        let list = try JSON(parsing: try discovery(group.isEmpty ? "/api/\(name)" : "/apis/\(name)"))
        lines += rows(list["resources"]?.arrayValue ?? [], name)
      }
    }
    return lines.joined(separator: "\n")
  }

  private static func rows(_ resources: [JSON], _ version: String) -> [String] {
    func verbs(_ resource: JSON) -> [String] { (resource["verbs"]?.arrayValue ?? []).compactMap(\.stringValue) }
    let all = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
    return resources.compactMap { resource in
      guard let name = resource["name"]?.stringValue, !name.contains("/") else { return nil }
      let inner = resources.compactMap { other -> String? in
        guard let path = other["name"]?.stringValue, path.hasPrefix("\(name)/") else { return nil }
        return "`\(path.dropFirst(name.count + 1))` (\(verbs(other).joined(separator: ", ")))"
      }
      let own = verbs(resource)
      let missing = all.filter { !own.contains($0) }
      let text =
        missing.isEmpty
        ? "all" : missing.count < 3 ? "all but \(missing.joined(separator: ", "))" : own.joined(separator: ", ")
      return "| `\(name)` | \(version) | \(text) | \(inner.joined(separator: ", ")) |"
    }
  }

  private static func discovery(_ path: String) throws -> [UInt8] {
    let request = HTTPRequest(method: "GET", target: path, headers: [], body: [])
    return try #require(HTTPFacts.closed(try HTTPTarget(path), request), "\(path)").bytes
  }

  @Test("docs/kubernetes-fields.md is what the schema and discovery say")
  func isCurrent() throws {
    let text = FieldTable.document(served: try Self.served())
    if getenv("STINT_WRITE_DOCS") != nil { try Files.writeAtomically(Self.page, Array(text.utf8), mode: 0o644) }
    let stored = String(decoding: try Files.read(Self.page), as: UTF8.self)
    #expect(stored == text, "the page is out of date: \(Self.command)")
  }

  private static let container: JSON = ["name": "main", "image": "none", "command": ["true"]]

  /// `value` laid over what every pod needs.
  private static func merged(_ base: JSON, _ value: JSON) -> JSON {
    guard var result = base.objectValue, let members = value.objectValue else {
      guard let items = value.arrayValue, let first = items.first, let old = base[0] else { return value }
      return .array([merged(old, first)] + items.dropFirst())
    }
    for (name, member) in members { result[name] = result[name].map { merged($0, member) } ?? member }
    return .object(result)
  }

  private static func pod(_ spec: JSON) -> JSON {
    var base: JSON = ["restartPolicy": "Never", "containers": [container]]
    if spec["initContainers"] != nil {
      base["initContainers"] = [["name": "init", "image": "none", "command": ["true"]]]
    }
    return ["metadata": ["name": "p"], "spec": merged(base, spec)]
  }

  private static func job(_ change: JSON) -> JSON {
    merged(
      [
        "metadata": ["name": "j"],
        "spec": ["template": ["spec": ["restartPolicy": "Never", "containers": [container]]]],
      ], change)
  }

  @Test("of a Job and a CronJob no field is refused, and of their statuses each is written")
  func nothingRefused() {
    let templates = Set(FieldTable.podSections.map(\.type))
    for section in FieldTable.jobSections + FieldTable.cronJobSections where !templates.contains(section.type) {
      for row in section.rows { #expect(row.word != .no && row.word != .unset, "\(section.type).\(row.name)") }
    }
  }

  @Test("every field that the page calls kept or refused is warned about or refused by its name")
  func flags() throws {
    var tried = 0
    for section in FieldTable.podSections + FieldTable.jobSections {
      for row in section.rows where row.word == .kept || row.word == .no {
        let place = try #require(section.places.first)
        let isJob = place.hasPrefix("Job.")
        if isJob, place.hasPrefix("Job.spec.template") { continue }
        let path = "\(place).\(row.name)".split(separator: ".").dropFirst(isJob ? 1 : 2)
        let value = FieldTable.wrap(FieldTable.sample(row.type), path)
        let kind: Kind = isJob ? .jobs : .pods
        let tree = try SchemaDecoder.decode(isJob ? Self.job(value) : Self.pod(value), as: kind)
        let honesty = Honesty.inspect(tree, kind: kind, final: tree.json, images: ImageNodes())
        let named = (isJob ? "" : "spec.") + path.joined(separator: ".").replacing("[]", with: "[0]")
        if row.word == .no {
          #expect(tree.refused.contains(named) && !honesty.errors.isEmpty, "\(section.type).\(row.name)")
        } else {
          let isWarned = honesty.warnings.contains { $0.hasPrefix("\(named): not honoured") }
          #expect(isWarned, "\(section.type).\(row.name): \(honesty.warnings)")
        }
        tried += 1
      }
    }
    #expect(tried > 50, "tried \(tried)")
  }

  @Test("every field that the page calls honoured is neither warned about nor refused for being there")
  func honoured() throws {
    for section in FieldTable.podSections where section.places[0].hasPrefix("Pod.spec") {
      for row in section.rows where row.word == .yes && row.note.isEmpty {
        let path = "\(section.places[0]).\(row.name)".split(separator: ".").dropFirst(2)
        let value = Self.pod(FieldTable.wrap(FieldTable.sample(row.type), path))
        let tree = try SchemaDecoder.decode(value, as: .pods)
        let honesty = Honesty.inspect(tree, kind: .pods, final: tree.json, images: ImageNodes())
        let named = "spec." + path.joined(separator: ".").replacing("[]", with: "[0]")
        #expect(!tree.refused.contains(named) && !tree.ignored.contains(named) && tree.unknown.isEmpty, "\(named)")
        #expect(!honesty.warnings.contains { $0.hasPrefix("\(named):") }, "\(honesty.warnings)")
      }
    }
  }

  @Test("each rule of the page that depends on a value holds", arguments: FieldTable.rules.indices)
  func rule(_ index: Int) throws {
    let rule = FieldTable.rules[index]
    let isJob = rule.path.hasPrefix("job.")
    var steps = rule.path.replacing("[0]", with: "[]").split(separator: ".")[...]
    if isJob { steps = steps.dropFirst() }
    let value = FieldTable.wrap(rule.probe, steps)
    let kind: Kind = isJob ? .jobs : .pods
    let tree = try SchemaDecoder.decode(isJob ? Self.job(value) : Self.pod(value), as: kind)
    let honesty = Honesty.inspect(tree, kind: kind, final: tree.json, images: ImageNodes())
    let named = isJob ? String(rule.path.dropFirst(4)) : "spec.\(rule.path)"
    let texts = rule.effect == .warned ? honesty.warnings : honesty.errors.all.map(\.field)
    #expect(texts.contains { $0.hasPrefix(named) }, "\(texts)")
    #expect(honesty.errors.isEmpty == (rule.effect == .warned), "\(honesty.errors)")
    #expect(Schema.structs[String(rule.field.prefix { $0 != "." })] != nil)
  }

  @Test("every rule that the code has about a value is on the page")
  func rulesAreComplete() throws {
    let source = String(
      decoding: try Files.read("\(Self.root)/Sources/Coordinator/Core/API/Honesty.swift"), as: UTF8.self)
    var found = 0
    for piece in source.split(separator: "\\(path).").dropFirst() {
      let name = piece.prefix { $0.isLetter || $0 == "." }.split(separator: ".").last.map(String.init) ?? ""
      guard !name.isEmpty, !["containers", "initContainers", "volumes"].contains(name) else { continue }
      found += 1
      let isKnown =
        FieldTable.rules.contains { $0.field.hasSuffix(".\(name)") || $0.path.contains(".\(name)") }
        || FieldTable.moot.keys.contains { $0.hasSuffix(".\(name)") }
        || FieldTable.notes.keys.contains { $0.hasSuffix(".\(name)") }
      #expect(isKnown, "the page has no rule about \(name)")
    }
    #expect(found > 10)
  }

  @Test("what has nothing to act on is a field of the schema")
  func mootIsKnown() {
    for key in FieldTable.moot.keys {
      let parts = key.split(separator: ".").map(String.init)
      #expect(Schema.structs[parts[0]]?[parts[1]]?.honour == .honoured, "\(key)")
    }
  }
}
