// Kubernetes' strategic merge patches: objects merge, lists of objects merge by their key where the schema has one,
// directives
// `$patch`, `$deleteFromPrimitiveList`, `$setElementOrder`, `$retainKeys`. Which lists merge by what: MergeRules.swift.

import ClusterProto

enum StrategicMergePatch {
  static let depthLimit = SchemaDecoder.depthLimit

  static func apply(_ patch: JSON, to target: JSON, _ type: SchemaType) throws(APIFailure) -> JSON {
    try merge(patch, target, type, 0)
  }

  private static func isDirective(_ key: String) -> Bool { key.hasPrefix("$") }

  private static func merge(_ patch: JSON, _ target: JSON, _ type: SchemaType, _ depth: Int) throws(APIFailure) -> JSON
  {
    if depth > depthLimit { throw .badRequest("the patch is nested too deeply") }
    guard case .object(let members) = patch else { return patch }
    var result = target.objectValue ?? JSONObject()
    switch members["$patch"]?.stringValue {
    case "replace":
      var whole = members
      whole["$patch"] = nil
      return try cleaned(.object(whole), depth)
    case "delete": return .object(JSONObject())
    case nil, "merge": break
    case let other?:
      throw .badRequest("Unknown patch type found: \(other)")
    }
    if let kept = members["$retainKeys"]?.arrayValue {
      let names = Set(kept.filter { $0.stringValue != nil })
      result = result.keeping { names.contains(.string($0)) }
    }
    for (key, value) in members {
      if key.hasPrefix("$deleteFromPrimitiveList/") {
        let field = String(key.dropFirst("$deleteFromPrimitiveList/".count))
        let gone = Set(value.arrayValue ?? [])
        if let values = result[field]?.arrayValue { result[field] = .array(values.filter { !gone.contains($0) }) }
      }
    }
    result = try result.merging(members.keeping { !isDirective($0) }) { (key, old, value) throws(APIFailure) in
      if value.isNull { return nil }
      let (owner, fieldType) = field(key, of: type)
      guard case .array(let patches) = value else { return try merge(value, old ?? .null, fieldType, depth + 1) }
      return try list(patches, old?.arrayValue, "\(owner).\(key)", fieldType, depth + 1)
    }
    try reorder(&result, members, type)
    return .object(result)
  }

  private static func field(_ key: String, of type: SchemaType) -> (owner: String, type: SchemaType) {
    switch type {
    case .named(let name): (name, Schema.structs[name]?[key]?.type ?? .any)
    case .map(let element): ("", element)
    default: ("", .any)
    }
  }

  /// Values that come in whole lose their directives.
  private static func cleaned(_ json: JSON, _ depth: Int) throws(APIFailure) -> JSON {
    if depth > depthLimit { throw .badRequest("the patch is nested too deeply") }
    switch json {
    case .object(let members):
      var result = JSONObject()
      for (key, value) in members where !isDirective(key) && !value.isNull {
        result[key] = try cleaned(value, depth + 1)
      }
      return .object(result)
    case .array(let values):
      var result: [JSON] = []
      for value in values where value["$patch"] == nil { result.append(try cleaned(value, depth + 1)) }
      return .array(result)
    default: return json
    }
  }

  private static func list(
    _ patches: [JSON], _ target: [JSON]?, _ name: String, _ type: SchemaType, _ depth: Int
  ) throws(APIFailure) -> JSON {
    let rule = MergeRules.lists[name]
    if rule?.isPatchedSet == true {
      var values = target ?? []
      var known = Set(values)
      for value in patches where known.insert(value).inserted { values.append(value) }
      return .array(values)
    }
    guard let mergeKey = rule?.patchKey, case .list(let element) = type else {
      return try cleaned(.array(patches), depth)
    }
    let isReplaced = patches.contains { $0["$patch"]?.stringValue == "replace" }
    // Deleted elements leave holes, so that the places of the others stay true.
    var values: [JSON?] = isReplaced ? [] : target ?? []
    var places: [JSON: [Int]] = [:]
    for (place, value) in values.enumerated() {
      if let key = value?[mergeKey] { places[key, default: []].append(place) }
    }
    for patch in patches {
      guard patch.objectValue != nil else {
        throw .badRequest("map: \(GoText.shortMap(patch)) does not contain declared merge key: \(mergeKey)")
      }
      let directive = patch["$patch"]?.stringValue
      if directive == "replace", patch.objectValue?.count == 1 { continue }
      guard let key = patch[mergeKey], !key.isNull else {
        throw .badRequest("map: \(GoText.shortMap(patch)) does not contain declared merge key: \(mergeKey)")
      }
      if directive == "delete" {
        for place in places.removeValue(forKey: key) ?? [] { values[place] = nil }
      } else if let place = places[key]?.first, directive != "replace" {
        values[place] = try merge(patch, values[place] ?? .null, element, depth + 1)
      } else {
        places[key, default: []].append(values.count)
        values.append(try merge(try cleaned(patch, depth), .null, element, depth + 1))
      }
    }
    return .array(values.compactMap { $0 })
  }

  /// `$setElementOrder/field`: the listed elements in that order; others keep their place behind the one they
  /// followed.
  private static func reorder(_ result: inout JSONObject, _ members: JSONObject, _ type: SchemaType) throws(APIFailure)
  {
    for (key, value) in members where key.hasPrefix("$setElementOrder/") {
      let name = String(key.dropFirst("$setElementOrder/".count))
      guard let order = value.arrayValue, let values = result[name]?.arrayValue else { continue }
      let mergeKey = MergeRules.lists["\(field(name, of: type).owner).\(name)"]?.patchKey
      func identity(_ json: JSON) -> JSON { mergeKey.flatMap { json[$0] } ?? json }
      var rank: [JSON: Int] = [:]
      for (position, entry) in order.enumerated() { rank[identity(entry)] = position }
      var last = -1
      var ranked: [(rank: Int, position: Int, value: JSON)] = []
      for (position, element) in values.enumerated() {
        if let own = rank[identity(element)] { last = own }
        ranked.append((rank[identity(element)] ?? last, position, element))
      }
      ranked.sort { $0.rank == $1.rank ? $0.position < $1.position : $0.rank < $1.rank }
      result[name] = .array(ranked.map(\.value))
    }
  }
}
