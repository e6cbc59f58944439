// RFC 6902 JSON patches on trees, with bounds on what one of them may make and cost while it is applied. Knows nothing
// of kinds.

import ClusterProto

struct JSONPatch {
  /// Operations in one patch, as in Kubernetes.
  static let operationLimit = 10_000
  /// Nesting of the tree between two operations.
  private static let depthLimit = 256
  /// Elements moved by all operations of a patch: 10,000 operations on a list or an object of 2,500. An eighth of a
  /// second, in which nobody else is served.
  private static let workLimit = 25_000_000

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
    var patch = JSONPatch()
    for (index, operation) in operations.enumerated() {
      do throws(APIFailure) {
        try patch.step(operation, &result)
      } catch {
        throw explained(error, operation, index, result)
      }
    }
    return result
  }

  /// Kubernetes' words do not tell which operation failed; a member of its own beside them does.
  private static func explained(
    _ failure: APIFailure, _ operation: JSON, _ index: Int, _ target: JSON
  ) -> APIFailure {
    guard failure.message == rejected.message else { return failure }
    let name = operation["op"]?.stringValue ?? "no op"
    let text = operation["path"]?.stringValue ?? ""
    // Never the value itself: whoever may patch a Secret need not be one who may read it.
    let value = pointer(text).flatMap { read(target, $0) }
    let found =
      value.map { name == "test" ? "the value is another" : "there is a value of type \($0.typeName)" }
      ?? "there is nothing"
    var result = failure
    if result.details == nil { result.details = .object(JSONObject()) }
    result.details?["explanation"] = .string("operation \(index): \(name.prefix(20)) \(text.prefix(200)): \(found)")
    return result
  }

  /// Bytes of all values that were copied.
  private var copied = 0
  /// Elements that were moved along in a list or an object, and values that were looked at.
  private var work = 0

  private mutating func step(_ operation: JSON, _ result: inout JSON) throws(APIFailure) {
    guard let name = operation["op"]?.stringValue, let text = operation["path"]?.stringValue,
      let path = Self.pointer(text)
    else { throw Self.rejected }
    switch name {
    case "add":
      guard let value = operation["value"] else { throw Self.rejected }
      try add(value, path, &result)
    case "replace":
      guard let value = operation["value"] else { throw Self.rejected }
      try room(for: value, path)
      try change(&result, path[...], .replace(value))
    case "remove": try change(&result, path[...], .remove)
    case "test":
      guard Self.read(result, path) == (operation["value"] ?? .null) else { throw Self.rejected }
    case "move", "copy":
      guard let fromText = operation["from"]?.stringValue, let from = Self.pointer(fromText),
        let value = Self.read(result, from)
      else { throw Self.rejected }
      if name == "copy" {
        try copy(value)
      } else {
        // Moving a value into itself has no meaning.
        if path.count > from.count, Array(path.prefix(from.count)) == from { throw Self.rejected }
        try change(&result, from[...], .remove)
      }
      try add(value, path, &result)
    default: throw Self.rejected
    }
  }

  private mutating func add(_ value: JSON, _ path: [String], _ result: inout JSON) throws(APIFailure) {
    try room(for: value, path)
    try change(&result, path[...], .add(value))
  }

  /// Each copy may double the tree, so their sum is bounded while they are made.
  private mutating func copy(_ value: JSON) throws(APIFailure) {
    copied += value.extent(upTo: CoordinatorCore.objectBytesLimit).bytes
    guard copied > CoordinatorCore.objectBytesLimit else { return }
    throw Self.tooLarge(
      "Unable to complete the copy, the accumulated size increase of copy is \(copied), exceeding the limit "
        + "\(CoordinatorCore.objectBytesLimit)")
  }

  /// A value may be put where the tree does not get deeper than anything that walks it can bear.
  private mutating func room(for value: JSON, _ path: [String]) throws(APIFailure) {
    let extent = value.extent(upTo: 4 * CoordinatorCore.objectBytesLimit)
    try spend(8 * extent.values)
    if path.count + extent.depth > Self.depthLimit { throw .badRequest("the patch nests values too deeply") }
  }

  private mutating func spend(_ steps: Int) throws(APIFailure) {
    work += steps
    guard work > Self.workLimit else { return }
    throw Self.tooLarge("the operations of the patch move too many values: send fewer operations at a time")
  }

  private static func tooLarge(_ message: String) -> APIFailure {
    APIFailure(code: 413, reason: "RequestEntityTooLarge", message: message, details: .object(JSONObject()))
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

  /// Changes in place: what holds the changed value is taken out of `target` meanwhile, and is lost with the patch
  /// if this fails.
  private mutating func change(
    _ target: inout JSON, _ path: ArraySlice<String>, _ change: Change
  ) throws(APIFailure) {
    guard let token = path.first else {
      switch change {
      case .add(let value), .replace(let value): target = value
      case .remove: throw Self.rejected
      }
      return
    }
    if case .object(var members) = target {
      target = .null
      try self.change(&members, token, path.dropFirst(), change)
      target = .object(members)
    } else if case .array(var values) = target {
      target = .null
      try self.change(&values, token, path.dropFirst(), change)
      target = .array(values)
    } else {
      throw Self.rejected
    }
  }

  private mutating func change(
    _ members: inout JSONObject, _ token: String, _ rest: ArraySlice<String>, _ change: Change
  ) throws(APIFailure) {
    if !rest.isEmpty {
      guard var inner = members[token] else { throw Self.rejected }
      members[token] = JSON.null
      try self.change(&inner, rest, change)
      members[token] = inner
      return
    }
    switch change {
    case .add(let value):
      if !members.contains(token) { try spend(members.count) }
      members[token] = value
    case .replace(let value):
      guard members.contains(token) else { throw Self.rejected }
      members[token] = value
    case .remove:
      try spend(members.count)
      guard members.removeValue(forKey: token) != nil else { throw Self.rejected }
    }
  }

  private mutating func change(
    _ values: inout [JSON], _ token: String, _ rest: ArraySlice<String>, _ change: Change
  ) throws(APIFailure) {
    if rest.isEmpty, case .add(let value) = change {
      let index = token == "-" ? values.count : Self.position(token, values.count + 1)
      guard let index else { throw Self.rejected }
      try spend(values.count - index)
      values.insert(value, at: index)
      return
    }
    guard let index = Self.position(token, values.count) else { throw Self.rejected }
    if !rest.isEmpty {
      var inner = values[index]
      values[index] = .null
      try self.change(&inner, rest, change)
      values[index] = inner
    } else if case .replace(let value) = change {
      values[index] = value
    } else {
      try spend(values.count - index)
      values.remove(at: index)
    }
  }
}
