// ConfigMaps, and what Secrets have in common with them: how much data they may hold, and when it may not change.

import ClusterProto

extension KindDescriptor {
  /// Bytes of all values together that Kubernetes allows.
  static let dataBytes = 1024 * 1024

  static let configMaps = KindDescriptor(
    table: .simple([.name, TableColumn("Data", "Number of keys in data and binaryData."), .age]) { map, name, age in
      [name, map.count("data", "binaryData"), age]
    },
    writes: WriteRules(
      validateNew: configMap,
      validateUpdate: { json, before, errors in
        immutableData(json, before, into: &errors)
        configMap(json, into: &errors)
      }))

  /// Data that says that it is immutable stays as it is, and stays immutable.
  static func immutableData(_ new: JSON, _ before: APIObject, into errors: inout FieldErrors) {
    let old = before.json
    guard old["immutable"]?.boolValue == true else { return }
    if new["immutable"]?.boolValue != true {
      errors.forbidden("immutable", "field is immutable when `immutable` is set")
    }
    for member in ["data", "binaryData"] where new[member] != old[member] {
      errors.forbidden(member, "field is immutable when `immutable` is set")
    }
  }

  private static func configMap(_ json: JSON, into errors: inout FieldErrors) {
    let binary = json["binaryData"]?.objectValue ?? JSONObject()
    var bytes = 0
    for (key, value) in json["data"]?.objectValue ?? JSONObject() {
      for problem in Names.configKeyErrors(key) { errors.invalid("data[\(key)]", key, problem) }
      if binary[key] != nil { errors.invalid("data[\(key)]", key, "duplicate of key present in binaryData") }
      bytes += value.stringValue?.utf8.count ?? 0
    }
    for (key, value) in binary {
      for problem in Names.configKeyErrors(key) { errors.invalid("binaryData[\(key)]", key, problem) }
      bytes += Base64.decodedCount(value.stringValue ?? "")
    }
    if bytes > dataBytes { errors.tooLong("[]", bytes: dataBytes) }
  }
}
