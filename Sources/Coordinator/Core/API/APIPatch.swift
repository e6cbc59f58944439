// patch: lays a JSON, merge or strategic merge patch over the stored object and hands the result to the update path.
// Server-side apply is in APIApply.swift.

import ClusterProto

extension CoordinatorCore {
  mutating func patch(_ request: APIRequest, _ id: RequestID) throws(APIFailure) {
    guard let patchKind = request.options.patchKind else {
      throw .unsupportedMediaType("415: Unsupported Media Type")
    }
    try checkManager(request, "PatchOptions")
    if patchKind == .apply { return try apply(request, id) }
    let before = try existing(request)
    guard let body = request.body else { throw .badRequest("the patch is empty") }
    let original = before.json
    var patched: JSON
    switch patchKind {
    case .json: patched = try JSONPatch.apply(body, to: original)
    case .merge:
      guard body.objectValue != nil else { throw .badRequest("error decoding patch: \(GoText.notMap(body))") }
      patched = MergePatch.apply(body, to: original)
    case .strategic, .apply:
      guard body.objectValue != nil else { throw .badRequest(GoText.notMap(body)) }
      patched = try StrategicMergePatch.apply(body, to: original, Schema.root(request.kind))
    }
    guard patched.objectValue != nil else { throw .badRequest("the patch makes the object something else") }
    // Before anything is made of it.
    try Self.checkExtent(patched)
    if let name = patched[path: ["metadata", "name"]]?.stringValue, name != request.name {
      throw .badRequest("the name of the object (\(name)) does not match the name on the URL (\(request.name))")
    }
    if patched["kind"]?.stringValue != request.kind.name
      || patched["apiVersion"]?.stringValue != request.kind.apiVersion
    {
      throw .badRequest("a patch may not change kind or apiVersion")
    }
    let tree: DecodedTree
    let unknown: [String]
    do {
      tree = try SchemaDecoder.decode(patched, as: request.kind)
      unknown = try unknownFields(tree, request)
    } catch {
      // Kubernetes shows the whole object as patched, and with it what is stored of a Secret.
      let isSecret = KindDescriptor.of(request.kind).served.tier == .sensitive
      throw Self.undecodable(error, patchKind == .strategic || isSecret ? body : patched, patchKind, request)
    }
    var json = tree.json
    if json[path: ["metadata", "resourceVersion"]]?.stringValue == String(before.meta.resourceVersion) {
      json[path: ["metadata", "resourceVersion"]] = nil
    }
    if let namespace = json[path: ["metadata", "namespace"]]?.stringValue, namespace != request.namespace {
      throw .badRequest("the namespace of the provided object does not match the namespace sent on the request")
    }
    try write(
      DecodedTree(json: json, ignored: tree.ignored, refused: tree.refused), over: before,
      .update(given: patched[path: ["metadata", "managedFields"]]), request, id, unknown)
  }

  /// A patched object that does not fit its type: Kubernetes blames the patch.
  private static func undecodable(
    _ failure: APIFailure, _ shown: JSON, _ patchKind: PatchKind, _ request: APIRequest
  ) -> APIFailure {
    let prefix = "\(request.kind.name) in version \"v1\" cannot be handled as a \(request.kind.name): "
    guard failure.message.hasPrefix(prefix) else { return failure }
    var detail = String(failure.message.dropFirst(prefix.count))
    let value: String
    if patchKind == .strategic {
      value = GoText.shortMap(shown)
      if detail.hasPrefix("json: cannot unmarshal"), let type = detail.split(separator: " ").last {
        detail = "unrecognized type: \(type)"
      }
    } else {
      value = Excerpt.of(shown)
    }
    let message = "Invalid value: \(JSON.string(value).text): \(detail)"
    return APIFailure(
      code: 422, reason: "Invalid", message: " \"\" is invalid: patch: \(message)",
      details: [
        "causes": [["reason": "FieldValueInvalid", "message": .string(message), "field": "patch"]]
      ])
  }
}

/// How Go prints values, which some of Kubernetes' messages carry: `%+v` of decoded JSON, `%#v` of strings.
enum GoText {
  static func strings(_ texts: [String]) -> String {
    "[]string{" + texts.map { JSON.string($0).text }.joined(separator: ", ") + "}"
  }

  /// What Go's decoder says of a value that should be an object.
  static func notMap(_ json: JSON) -> String {
    let type =
      switch json {
      case .string: "string"
      case .bool: "bool"
      case .array: "array"
      case .null: "null"
      default: "number"
      }
    return "json: cannot unmarshal \(type) into Go value of type map[string]interface {}"
  }

  /// The same, cut as any value in a message.
  static func shortMap(_ json: JSON) -> String { Excerpt.of(map(json)) }

  static func map(_ json: JSON) -> String {
    switch json {
    case .null: "<nil>"
    case .object(let members): "map[" + members.map { "\($0.key):\(map($0.value))" }.joined(separator: " ") + "]"
    case .array(let values): "[" + values.map(map).joined(separator: " ") + "]"
    case .string(let text): text
    default: json.text
    }
  }
}
