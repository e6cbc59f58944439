// The body of a server-side apply, read against the schema: a field that the schema lacks, a wrong type, a list's
// element without its key is an error in structured-merge-diff's words. Nulls stay: a configuration may own a field by
// null.

import ClusterProto

struct AppliedConfiguration {
  /// Numbers and quantities as the stored object has them.
  private(set) var json: JSON
  private(set) var errors: [String] = []

  private var omitted = 0

  /// The one text of all errors; nil when there is none.
  var failure: String? {
    switch errors.count {
    case 0: nil
    case 1: errors[0]
    default:
      "errors:\n" + errors.map { "  \($0)" }.joined(separator: "\n")
        + (omitted > 0 ? "\n  and \(omitted) more" : "")
    }
  }

  init(_ body: JSON, kind: Kind) {
    json = .null
    json = value(body, FieldForm.root(kind), "", 0)
  }

  private mutating func report(_ path: String, _ message: String) {
    if errors.count >= StrictErrors.limit {
      omitted += 1
      return
    }
    errors.append((path.isEmpty ? "" : "\(Excerpt.of(path)): ") + Excerpt.of(message))
  }

  private mutating func value(_ json: JSON, _ form: FieldForm, _ path: String, _ depth: Int) -> JSON {
    if depth > SchemaDecoder.depthLimit {
      report(path, "exceeded max depth")
      return json
    }
    if json.isNull { return json }
    switch form {
    case .untyped: return json
    case .scalar(let type): return scalar(json, type, path)
    case .atomic(let type): return atomic(json, type, path, depth)
    case .fields, .map:
      guard let members = json.objectValue else {
        report(path, "expected map, got \(Self.plain(json))")
        return json
      }
      return object(members, form, path, depth)
    case .set(let element), .list(let element, _):
      guard let values = json.arrayValue else {
        report(path, "expected list, got \(Self.plain(json))")
        return json
      }
      return elements(values, form, element, path, depth)
    }
  }

  private mutating func object(_ members: JSONObject, _ form: FieldForm, _ path: String, _ depth: Int) -> JSON {
    var result: [(String, JSON)] = []
    for (key, item) in members {
      let (inner, isNamed) = form.member(key)
      if case .fields = form, !isNamed {
        report("\(path).\(key)", "field not declared in schema")
        continue
      }
      result.append((key, value(item, inner, "\(path).\(key)", depth + 1)))
    }
    return .object(JSONObject(entries: result))
  }

  private mutating func elements(
    _ values: [JSON], _ form: FieldForm, _ element: FieldForm, _ path: String, _ depth: Int
  ) -> JSON {
    var seen: Set<String> = []
    var result: [JSON] = []
    for (index, item) in values.enumerated() {
      if let problem = Self.problem(of: item, in: form) {
        report(path, "element \(index): \(problem)")
        continue
      }
      let settled = value(item, element, "", depth + 1, within: path, form)
      guard let key = form.elementKey(settled) else { continue }
      if !seen.insert(key).inserted { report(path, "duplicate entries for key \(FieldSet.text(key))") }
      result.append(settled)
    }
    return .array(result)
  }

  /// An element's path needs its key, which stands in the element.
  private mutating func value(
    _ item: JSON, _ element: FieldForm, _ suffix: String, _ depth: Int, within path: String, _ form: FieldForm
  ) -> JSON {
    value(item, element, path + (form.elementKey(item).map { FieldSet.text($0) } ?? "") + suffix, depth)
  }

  /// Why an element cannot be told from others.
  private static func problem(of item: JSON, in form: FieldForm) -> String? {
    switch form {
    case .set:
      if item.isNull { return "associative list without keys has an element that's an explicit null" }
      if item.objectValue != nil { return "associative list without keys has an element that's a map type" }
      return item.arrayValue != nil ? "not supported: associative list with lists as elements" : nil
    case .list(_, let keys):
      if item.isNull { return "associative list with keys may not have a null element" }
      if item.objectValue == nil { return "associative list with keys may not have non-map elements" }
      guard let missing = keys.first(where: { item[$0] == nil && MergeRules.keyDefaults[$0] == nil }) else {
        return nil
      }
      return "associative list with keys has an element that omits key field \"\(missing)\" (and doesn't have default "
        + "value)"
    default: return nil
    }
  }

  /// What is owned whole is checked inside all the same.
  private mutating func atomic(_ json: JSON, _ type: SchemaType, _ path: String, _ depth: Int) -> JSON {
    switch type {
    case .list(let element):
      guard let values = json.arrayValue else {
        report(path, "expected list, got \(Self.plain(json))")
        return json
      }
      var result: [JSON] = []
      for (index, item) in values.enumerated() {
        result.append(value(item, FieldForm(element), "\(path)[\(index)]", depth + 1))
      }
      return .array(result)
    case .map, .named:
      guard let members = json.objectValue else {
        report(path, "expected map, got \(Self.plain(json))")
        return json
      }
      if case .named(let name) = type { return object(members, .fields(name), path, depth) }
      if case .map(let element) = type { return object(members, .map(FieldForm(element)), path, depth) }
      return json
    default: return json
    }
  }

  private mutating func scalar(_ json: JSON, _ type: SchemaType, _ path: String) -> JSON {
    switch type {
    case .int32, .int64:
      guard json.doubleValue != nil else {
        report(path, "expected numeric (int or float), got \(Self.goType(json))")
        return json
      }
      return json.intValue.map { .int($0) } ?? json
    case .bool:
      if json.boolValue == nil { report(path, "expected boolean, got \(Self.plain(json))") }
      return json
    case .string, .bytes:
      if json.stringValue == nil { report(path, "expected string, got \(Self.syntax(json))") }
      return json
    case .quantity, .intOrString, .time:
      if json.objectValue != nil || json.arrayValue != nil {
        report(path, "expected any scalar, got \(Self.plain(json))")
        return json
      }
      // A quantity is stored as text.
      return type == .quantity && json.doubleValue != nil ? .string(json.text) : json
    default: return json
    }
  }

  /// Go's `%v`, `%#v` and `%T` of a value in structured-merge-diff.
  private static func plain(_ json: JSON) -> String { "&{\(GoText.shortMap(json))}" }

  private static func syntax(_ json: JSON) -> String {
    let text =
      switch json {
      case .object, .array: "\(goType(json)){\(GoText.shortMap(json))}"
      default: Excerpt.of(json)
      }
    return "&value.valueUnstructured{Value:\(text)}"
  }

  private static func goType(_ json: JSON) -> String {
    switch json {
    case .null: "<nil>"
    case .bool: "bool"
    case .int: "int64"
    case .double: "float64"
    case .string: "string"
    case .array: "[]interface {}"
    case .object: "map[string]interface {}"
    }
  }
}
