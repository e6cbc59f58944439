// What of a value that a client gave is not in the value that was kept: the paths that a Warning names, so that nothing
// is accepted and lost in silence. Knows nothing of kinds or verbs.

import ClusterProto

enum DroppedFields {
  static let text = "not kept by this version"

  /// The paths at which `kept` says something else than `given`. Times in whole seconds and quantities in another
  /// notation are the same; what says nothing (null, false, 0, "", without members) is not missed.
  static func paths(_ given: JSON, _ kept: JSON?, _ type: SchemaType, _ path: String) -> [String] {
    if saysNothing(given) { return [] }
    guard let kept else { return [path] }
    switch (given, type) {
    case (.object(let members), .named(let name)):
      let schema = Schema.structs[name]
      return members.flatMap { key, value in
        paths(value, kept[key], schema?[key]?.type ?? .any, "\(path).\(key)")
      }
    case (.object(let members), .map(let element)):
      return members.flatMap { key, value in paths(value, kept[key], element, "\(path).\(key)") }
    case (.array(let values), .list(let element)):
      guard let list = kept.arrayValue, list.count == values.count else { return [path] }
      return zip(values, list).enumerated().flatMap { index, pair in
        paths(pair.0, pair.1, element, "\(path)[\(index)]")
      }
    case (.string(let text), .time):
      return WallTime(rfc3339: text)?.seconds == kept.stringValue.flatMap { WallTime(rfc3339: $0) }?.seconds
        ? [] : [path]
    case (.string(let text), .quantity):
      let amount = Quantity.thousandths(text)
      return amount != nil && amount == kept.stringValue.flatMap { Quantity.thousandths($0) } ? [] : [path]
    default: return given == kept ? [] : [path]
    }
  }

  private static func saysNothing(_ json: JSON) -> Bool {
    switch json {
    case .null, .bool(false), .string(""), .int(0): true
    case .array(let values): values.isEmpty
    case .object(let members): members.allSatisfy { saysNothing($0.value) }
    default: false
    }
  }
}
