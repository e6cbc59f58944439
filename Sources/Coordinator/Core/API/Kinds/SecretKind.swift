// Secrets: what the API does for them alone. It must not know who reads them.

import ClusterProto

extension KindDescriptor {
  static let secrets = KindDescriptor(
    served: ServedRules(tier: .sensitive),
    table: .simple([
      .name, TableColumn("Type", "Type of the secret."), TableColumn("Data", "Number of keys in data."), .age,
    ]) { secret, name, age in [name, secret.body["type"] ?? "", secret.count("data"), age] },
    selection: SelectionRules(fields: [SelectableField(path: "type")]),
    writes: WriteRules(
      defaults: { json in
        foldStringData(&json)
        Defaults.set(&json, "type", "Opaque")
      }, validateNew: secret,
      validateUpdate: { json, before, errors in
        immutableData(json, before, into: &errors)
        if json["type"] != before.json["type"] {
          errors.invalid("type", json["type"] ?? .null, "field is immutable")
        }
        secret(json, into: &errors)
      }))

  /// A Secret's stringData is written as data and never shown.
  private static func foldStringData(_ json: inout JSON) {
    guard let texts = json["stringData"]?.objectValue else { return }
    let data = (json["data"]?.objectValue ?? JSONObject()).merging(texts) { _, _, value in
      .string(Base64.encode(Array((value.stringValue ?? "").utf8)))
    }
    json["data"] = .object(data)
    json["stringData"] = nil
  }

  private static func secret(_ json: JSON, into errors: inout FieldErrors) {
    var bytes = 0
    for (key, value) in json["data"]?.objectValue ?? JSONObject() {
      for problem in Names.configKeyErrors(key) { errors.invalid("data[\(key)]", key, problem) }
      bytes += Base64.decodedCount(value.stringValue ?? "")
    }
    if bytes > dataBytes { errors.tooLong("data", bytes: dataBytes) }
  }
}
