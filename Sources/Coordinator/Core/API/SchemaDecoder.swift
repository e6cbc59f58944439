// Reads an untyped tree against the schema as Kubernetes' decoder does: the first wrong type ends it, unknown fields
// are dropped and listed, nulls, empty lists and maps, and zeros that mean absence vanish. What the version does not
// honour is collected on the way. Knows no rule beyond types.

import ClusterProto

/// A tree that fits its schema, and what was noticed on the way.
struct DecodedTree: Sendable {
  var json: JSON
  /// Paths of unknown fields, in order.
  var unknown: [String] = []
  /// Paths of fields that are kept without effect.
  var ignored: [String] = []
  /// Paths of fields that this version refuses.
  var refused: [String] = []
}

struct SchemaDecoder {
  /// Nesting that no object of the API needs.
  static let depthLimit = 64

  private(set) var tree: DecodedTree
  private var unknown: [String] = []
  private var ignored: [String] = []
  private var refused: [String] = []

  /// Decodes a whole object of `kind`. The error's message is Go's unmarshalling error.
  static func decode(_ json: JSON, as kind: Kind) throws(APIFailure) -> DecodedTree {
    try decode(json, as: kind.name)
  }

  /// Decodes an object of a type of the schema; `shown`: its kind where that is another name.
  static func decode(
    _ json: JSON, as type: String, shown kind: String? = nil
  ) throws(APIFailure) -> DecodedTree {
    var decoder = SchemaDecoder(tree: DecodedTree(json: .null))
    let value = try decoder.value(
      json, .named(type), Position(kind: kind ?? type, path: "", goPath: "", owner: "", depth: 0))
    return DecodedTree(
      json: value, unknown: decoder.unknown, ignored: decoder.ignored, refused: decoder.refused)
  }

  private init(tree: DecodedTree) { self.tree = tree }

  private struct Position {
    var kind: String
    /// `spec.template.spec.containers[0].env`
    var path: String
    /// The same without indexes, as Go prints it.
    var goPath: String
    /// The struct that holds the field.
    var owner: String
    var depth: Int

    func member(_ name: String, of owner: String) -> Position {
      Position(
        kind: kind, path: path.isEmpty ? name : "\(path).\(name)", goPath: goPath.isEmpty ? name : "\(goPath).\(name)",
        owner: owner, depth: depth + 1)
    }

    func element(_ index: Int) -> Position {
      Position(kind: kind, path: "\(path)[\(index)]", goPath: goPath, owner: owner, depth: depth + 1)
    }
  }

  private func failure(_ message: String, _ position: Position) -> APIFailure {
    .badRequest("\(position.kind) in version \"v1\" cannot be handled as a \(position.kind): \(message)")
  }

  private func mismatch(_ value: JSON, _ type: SchemaType, _ position: Position) -> APIFailure {
    var shown = value.typeName
    // Go shows the number itself only where a number of another kind was wanted.
    if type == .int32 || type == .int64, value.doubleValue != nil { shown = "number \(Self.literal(value))" }
    let field = position.goPath.isEmpty ? "value" : "struct field \(position.owner).\(position.goPath)"
    return failure("json: cannot unmarshal \(shown) into Go \(field) of type \(type.goName)", position)
  }

  /// A number as it was written, as far as that is known: what is whole and no integer had a point.
  private static func literal(_ number: JSON) -> String {
    guard case .double(let value) = number, Int64(exactly: value) != nil else { return number.text }
    return number.text + ".0"
  }

  private mutating func value(_ json: JSON, _ type: SchemaType, _ position: Position) throws(APIFailure) -> JSON {
    if position.depth > Self.depthLimit { throw failure("exceeded max depth", position) }
    switch type {
    case .any: return json
    case .string, .bytes:
      guard case .string(let text) = json else { throw mismatch(json, type == .bytes ? .bytes : .string, position) }
      if type == .bytes, !Base64.isValid(text) {
        throw failure("illegal base64 data at input byte \(Base64.firstIllegal(text))", position)
      }
      return json
    case .bool:
      guard case .bool = json else { throw mismatch(json, type, position) }
      return json
    case .int32, .int64:
      guard case .int(let number) = json, type == .int64 || Int32(exactly: number) != nil else {
        throw mismatch(json, type, position)
      }
      return json
    case .quantity: return try quantity(json, position)
    case .time:
      guard case .string(let text) = json else { throw mismatch(json, .string, position) }
      guard WallTime(rfc3339: text) != nil else {
        throw failure(
          "parsing time \"\(text)\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"\(text)\" as \"2006\"", position)
      }
      return json
    case .intOrString:
      if case .string = json { return json }
      guard case .int(let number) = json, Int32(exactly: number) != nil else { throw mismatch(json, .int32, position) }
      return json
    case .list(let element): return try list(json, element, type, position)
    case .map(let element): return try map(json, element, type, position)
    case .named(let name): return try object(json, name, type, position)
    }
  }

  private func quantity(_ json: JSON, _ position: Position) throws(APIFailure) -> JSON {
    let text: String
    switch json {
    case .string(let value): text = value
    case .int, .double: text = json.text
    default: throw mismatch(json, .string, position)
    }
    guard Quantity.thousandths(text) != nil else {
      throw failure(
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'", position)
    }
    return .string(text)
  }

  private mutating func list(
    _ json: JSON, _ element: SchemaType, _ type: SchemaType, _ position: Position
  ) throws(APIFailure) -> JSON {
    guard case .array(let values) = json else { throw mismatch(json, type, position) }
    var result: [JSON] = []
    result.reserveCapacity(values.count)
    for (index, item) in values.enumerated() {
      // Go leaves the zero value where a list holds null.
      result.append(item.isNull ? Self.zero(element) : try value(item, element, position.element(index)))
    }
    return .array(result)
  }

  private mutating func map(
    _ json: JSON, _ element: SchemaType, _ type: SchemaType, _ position: Position
  ) throws(APIFailure) -> JSON {
    guard case .object(let members) = json else { throw mismatch(json, type, position) }
    var result: [(String, JSON)] = []
    for (key, item) in members {
      var inner = position
      inner.depth += 1
      inner.path = "\(position.path).\(key)"
      result.append((key, item.isNull ? Self.zero(element) : try value(item, element, inner)))
    }
    return .object(JSONObject(entries: result))
  }

  private mutating func object(
    _ json: JSON, _ name: String, _ type: SchemaType, _ position: Position
  ) throws(APIFailure) -> JSON {
    guard case .object(let members) = json else { throw mismatch(json, type, position) }
    guard let schema = Schema.structs[name] else { return json }
    var result: [(String, JSON)] = []
    for (key, item) in members {
      let inner = position.member(key, of: name)
      guard let field = schema[key] else {
        unknown.append(inner.path)
        continue
      }
      if item.isNull { continue }
      let decoded = try value(item, field.type, inner)
      if Self.isEmptyCollection(decoded, field.type), !Self.keptEmpty.contains(key) { continue }
      if Protobuf.isZero(decoded), Protobuf.omitsZero[name]?.contains(key) == true { continue }
      if field.honour != .honoured, !Self.isEmpty(decoded) {
        if field.honour == .ignored { ignored.append(inner.path) } else { refused.append(inner.path) }
      }
      result.append((key, decoded))
    }
    return .object(JSONObject(entries: result))
  }

  /// Lists that their types require: empty is not absent.
  private static let keptEmpty: Set<String> = ["containers", "nodeSelectorTerms", "rules", "values"]

  /// Lists and maps without members are as good as absent, and Kubernetes does not keep them.
  private static func isEmptyCollection(_ json: JSON, _ type: SchemaType) -> Bool {
    switch type {
    case .list: json.arrayValue?.isEmpty ?? false
    case .map: json.objectValue?.isEmpty ?? false
    default: false
    }
  }

  /// Values that say nothing: an absent field would mean the same.
  private static func isEmpty(_ json: JSON) -> Bool {
    switch json {
    case .null, .bool(false), .string(""): true
    case .array(let values): values.isEmpty
    case .object(let members): members.isEmpty
    default: false
    }
  }

  private static func zero(_ type: SchemaType) -> JSON {
    switch type {
    case .string, .bytes: ""
    case .int32, .int64, .intOrString: 0
    case .bool: false
    case .quantity: "0"
    case .list: .array([])
    case .map, .named: .object(JSONObject())
    case .time, .any: .null
    }
  }
}
