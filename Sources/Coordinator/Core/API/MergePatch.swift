// RFC 7386 merge patches and RFC 6902 JSON patches on trees. Knows nothing of kinds.

import ClusterProto

enum MergePatch {
  /// null removes, objects merge, everything else replaces.
  static func apply(_ patch: JSON, to target: JSON) -> JSON {
    guard case .object(let members) = patch else { return patch }
    var result = target.objectValue ?? JSONObject()
    for (key, value) in members {
      if value.isNull { result[key] = nil } else { result[key] = apply(value, to: result[key] ?? .null) }
    }
    return .object(result)
  }
}

enum JSONPatch {
  /// Operations in one patch, as in Kubernetes.
  static let operationLimit = 10_000

  private static let rejected = APIFailure.invalidPatch(
    "the server rejected our request due to an error in our request")

  static func apply(_ patch: JSON, to target: JSON) throws(APIFailure) -> JSON {
    guard let operations = patch.arrayValue else {
      throw .badRequest(
        "error decoding patch: json: cannot unmarshal \(patch.typeName) into Go value of type jsonpatch.Patch")
    }
    if operations.count > operationLimit {
      throw APIFailure(
        code: 413, reason: "RequestEntityTooLarge",
        message: "The allowed maximum operations in a JSON patch is \(operationLimit), got \(operations.count)")
    }
    var result = target
    for operation in operations { result = try step(operation, result) }
    return result
  }

  private static func step(_ operation: JSON, _ target: JSON) throws(APIFailure) -> JSON {
    guard let name = operation["op"]?.stringValue, let text = operation["path"]?.stringValue,
      let path = pointer(text)
    else { throw rejected }
    switch name {
    case "add":
      guard let value = operation["value"] else { throw rejected }
      return try change(target, path[...], .add(value))
    case "replace":
      guard let value = operation["value"] else { throw rejected }
      return try change(target, path[...], .replace(value))
    case "remove": return try change(target, path[...], .remove)
    case "test":
      guard read(target, path) == (operation["value"] ?? .null) else { throw rejected }
      return target
    case "move", "copy":
      guard let fromText = operation["from"]?.stringValue, let from = pointer(fromText), let value = read(target, from)
      else { throw rejected }
      // Moving a value into itself has no meaning.
      if name == "move", path.count > from.count, Array(path.prefix(from.count)) == from { throw rejected }
      let source = name == "move" ? try change(target, from[...], .remove) : target
      return try change(source, path[...], .add(value))
    default: throw rejected
    }
  }

  private enum Change {
    case add(JSON)
    case replace(JSON)
    case remove
  }

  /// The tokens of a JSON pointer; nil for a text that is none.
  private static func pointer(_ text: String) -> [String]? {
    if text.isEmpty { return [] }
    guard text.hasPrefix("/") else { return nil }
    return text.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map { token in
      var result = ""
      var isEscaped = false
      for character in token {
        if isEscaped {
          result.append(character == "1" ? "/" : character == "0" ? "~" : "~\(character)")
          isEscaped = false
        } else if character == "~" {
          isEscaped = true
        } else {
          result.append(character)
        }
      }
      return isEscaped ? result + "~" : result
    }
  }

  private static func position(_ token: String, _ count: Int) -> Int? {
    guard let number = Int(token), number >= 0, number < count, String(number) == token else { return nil }
    return number
  }

  private static func read(_ target: JSON, _ path: [String]) -> JSON? {
    var value = target
    for token in path {
      switch value {
      case .object(let members):
        guard let member = members[token] else { return nil }
        value = member
      case .array(let values):
        guard let index = position(token, values.count) else { return nil }
        value = values[index]
      default: return nil
      }
    }
    return value
  }

  private static func change(_ target: JSON, _ path: ArraySlice<String>, _ change: Change) throws(APIFailure) -> JSON {
    guard let token = path.first else {
      switch change {
      case .add(let value), .replace(let value): return value
      case .remove: throw rejected
      }
    }
    let rest = path.dropFirst()
    switch target {
    case .object(var members):
      if !rest.isEmpty {
        guard let inner = members[token] else { throw rejected }
        members[token] = try self.change(inner, rest, change)
        return .object(members)
      }
      switch change {
      case .add(let value): members[token] = value
      case .replace(let value):
        guard members[token] != nil else { throw rejected }
        members[token] = value
      case .remove:
        guard members.removeValue(forKey: token) != nil else { throw rejected }
      }
      return .object(members)
    case .array(var values):
      if rest.isEmpty, case .add(let value) = change {
        let index = token == "-" ? values.count : position(token, values.count + 1)
        guard let index else { throw rejected }
        values.insert(value, at: index)
        return .array(values)
      }
      guard let index = position(token, values.count) else { throw rejected }
      if !rest.isEmpty {
        values[index] = try self.change(values[index], rest, change)
      } else if case .replace(let value) = change {
        values[index] = value
      } else {
        values.remove(at: index)
      }
      return .array(values)
    default: throw rejected
    }
  }
}
