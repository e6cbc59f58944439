// The schema of what is served: per type its fields, their types, and which of them this version does not honour or
// refuses.
// A compact table (SchemaTypes.swift) read once; validation, patches, `explain` and the OpenAPI document use the same
// one.

import ClusterProto

/// The type of a field.
indirect enum SchemaType: Equatable, Sendable {
  case string, int32, int64, bool, quantity, time, intOrString, bytes, any
  case list(SchemaType)
  /// String keys.
  case map(SchemaType)
  /// A named type of the table.
  case named(String)

  /// How Go names the type in an unmarshalling error.
  var goName: String {
    switch self {
    case .string: "string"
    case .int32: "int32"
    case .int64: "int64"
    case .bool: "bool"
    case .quantity: "resource.Quantity"
    case .time: "v1.Time"
    case .intOrString: "intstr.IntOrString"
    case .bytes: "[]uint8"
    case .any: "interface {}"
    case .list(let element): "[]\(element.goName)"
    case .map(let value): "map[string]\(value.goName)"
    case .named(let name): "v1.\(name)"
    }
  }
}

/// What becomes of a known field.
enum FieldHonour: Equatable, Sendable {
  case honoured
  /// Kept and shown, without effect: a Warning names it.
  case ignored
  /// Refused by name, since running without it would be wrong or give more rights.
  case refused
}

struct SchemaField: Equatable, Sendable {
  var name: String
  var type: SchemaType
  var honour: FieldHonour
}

/// A struct of the API: its Go name and fields, sorted by name.
struct SchemaStruct: Equatable, Sendable {
  var name: String
  private var fields: [String: SchemaField]
  var fieldNames: [String] { fields.keys.sorted() }

  subscript(field: String) -> SchemaField? { fields[field] }

  /// Reads `Name = field:type field:type~ …`; a type is a word, `[]T` or `{}T`; `~` ignored, `!` refused; `+Name`
  /// stands for all fields of that one of `known`.
  init?(line: Substring, known: [String: SchemaStruct] = [:]) {
    let halves = line.split(separator: "=", maxSplits: 1)
    guard halves.count == 2, let name = halves[0].split(separator: " ").first else { return nil }
    self.name = String(name)
    fields = [:]
    for word in halves[1].split(separator: " ") {
      if word.first == "+" {
        guard let base = known[String(word.dropFirst())] else { return nil }
        fields.merge(base.fields) { $1 }
        continue
      }
      let parts = word.split(separator: ":", maxSplits: 1)
      guard parts.count == 2 else { return nil }
      var text = parts[1]
      var honour = FieldHonour.honoured
      if text.last == "~" { honour = .ignored } else if text.last == "!" { honour = .refused }
      if honour != .honoured { text.removeLast() }
      let field = SchemaField(name: String(parts[0]), type: Self.type(text), honour: honour)
      fields[field.name] = field
    }
  }

  private static func type(_ text: Substring) -> SchemaType {
    if text.hasPrefix("[]") { return .list(type(text.dropFirst(2))) }
    if text.hasPrefix("{}") { return .map(type(text.dropFirst(2))) }
    switch text {
    case "string": return .string
    case "int32": return .int32
    case "int64": return .int64
    case "bool": return .bool
    case "quantity": return .quantity
    case "time": return .time
    case "intOrString": return .intOrString
    case "bytes": return .bytes
    case "any": return .any
    default: return .named(String(text))
    }
  }
}

enum Schema {
  /// Every struct by name.
  static let structs: [String: SchemaStruct] = {
    var result: [String: SchemaStruct] = [:]
    let tables = [
      metaTypes, jobTypes, podTypes, volumeTypes, storageTypes, statusTypes, otherTypes, accessTypes,
    ]
    for line in lines(tables) {
      if let type = SchemaStruct(line: line[...], known: result) { result[type.name] = type }
    }
    return result
  }()

  /// The lines of tables, one a type: a line that begins with spaces goes on with the type of the line before.
  static func lines(_ tables: [String]) -> [String] {
    var result: [String] = []
    for line in tables.flatMap({ $0.split(separator: "\n") }) {
      if line.first == " ", !result.isEmpty {
        result[result.count - 1] += line
      } else {
        result.append(String(line))
      }
    }
    return result
  }

  static func root(_ kind: Kind) -> SchemaType { .named(kind.name) }
}
