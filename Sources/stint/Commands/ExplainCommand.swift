// Owns: `explain`: what a field means, from the schema that this binary serves, laid out as kubectl lays it out. It
// must not know any kind.

import ClusterProto
import CoordinatorCore

/// Texts of one API group's document.
struct ExplainText {
  private let schemas: JSON
  private let kind: Kind
  private static let width = 76

  init(_ kind: Kind) {
    self.kind = kind
    schemas = OpenAPI.document(group: kind.group)[path: ["components", "schemas"]] ?? .null
  }

  /// What stands above every answer, also above an error.
  var header: String {
    (kind.group.isEmpty ? "" : "GROUP:      \(kind.group)\n") + "KIND:       \(kind.name)\nVERSION:    v1\n\n"
  }

  /// The kind, or the field at the path.
  func text(_ path: [String], recursive: Bool = false) throws(CommandError) -> String {
    var schema = root
    var text = header
    var words: [String] = []
    for (position, name) in path.enumerated() {
      guard let property = fields(of: schema)?[name] else {
        throw CommandError("error: field \"\(name)\" does not exist")
      }
      if position == path.count - 1 {
        text += "FIELD: \(name) <\(typeName(property))>\n\n\n"
        if let own = property["description"]?.stringValue { words.append(own) }
      }
      schema = target(of: property)
    }
    if let own = schema["description"]?.stringValue, words.last != own { words.append(own) }
    text += "DESCRIPTION:\n"
    for line in words.isEmpty ? ["<empty>"] : words { text += Self.indented(line) }
    text += "    \n"
    if let fields = fields(of: schema) {
      text += "FIELDS:\n"
      if recursive { tree(schema, 1, &text) } else { list(fields, of: schema, &text) }
    }
    return text + "\n"
  }

  private func list(_ fields: JSONObject, of schema: JSON, _ text: inout String) {
    for (name, property) in fields {
      text += line(name, property, of: schema, 1)
      text += Self.indented(property["description"]?.stringValue ?? "<no description>") + "\n"
    }
  }

  private func tree(_ schema: JSON, _ depth: Int, _ text: inout String) {
    for (name, property) in fields(of: schema) ?? JSONObject() {
      text += line(name, property, of: schema, depth)
      // No type of Kubernetes holds itself as deep.
      if depth < 30 { tree(target(of: property), depth + 1, &text) }
    }
  }

  private func line(_ name: String, _ property: JSON, of schema: JSON, _ depth: Int) -> String {
    let required = isRequired(name, in: schema) ? " -required-" : ""
    return String(repeating: "  ", count: depth) + "\(name)\t<\(typeName(property))>\(required)\n"
  }

  // The document.

  private var root: JSON {
    for (_, schema) in schemas.objectValue ?? JSONObject() {
      for one in schema["x-kubernetes-group-version-kind"]?.arrayValue ?? []
      where one["kind"]?.stringValue == kind.name && one["group"]?.stringValue == kind.group {
        return schema
      }
    }
    return .null
  }

  private func fields(of schema: JSON) -> JSONObject? {
    schema["properties"]?.objectValue.flatMap { $0.isEmpty ? nil : $0 }
  }

  private func isRequired(_ name: String, in schema: JSON) -> Bool {
    schema["required"]?.arrayValue?.contains(.string(name)) ?? false
  }

  private func reference(_ property: JSON) -> String? {
    (property["$ref"] ?? property["allOf"]?[0]?["$ref"])?.stringValue?.split(separator: "/").last.map(String.init)
  }

  /// What the fields of a property are looked up in: its type, of a list its elements'.
  private func target(of property: JSON) -> JSON {
    if let name = reference(property) { return schemas[name] ?? .null }
    if let items = property["items"] { return target(of: items) }
    if let values = property["additionalProperties"] { return target(of: values) }
    return .null
  }

  private func typeName(_ property: JSON) -> String {
    if let name = reference(property) {
      // A quantity is a text.
      if let plain = schemas[name]?["type"]?.stringValue, plain != "object" { return plain }
      return name.split(separator: ".").last.map(String.init) ?? name
    }
    if let items = property["items"] { return "[]" + typeName(items) }
    if let values = property["additionalProperties"] { return "map[string]" + typeName(values) }
    let type = property["type"]?.stringValue ?? "Object"
    return type == "object" ? "Object" : type
  }

  private static func indented(_ text: String) -> String {
    Why.wrapped([text], width: width).split(separator: "\n").map { "    \($0)\n" }.joined()
  }
}

/// `stint explain`.
enum ExplainCommand {
  @Sendable static func run(_ context: Context) throws -> Int32 {
    let parts = context.arguments.words[0].split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    let text = ExplainText(try Target.kind(parts[0]))
    do {
      context.console.out(try text.text(Array(parts.dropFirst()), recursive: context.arguments.isOn("recursive")))
      return 0
    } catch {
      context.console.out(text.header)
      throw error
    }
  }
}
