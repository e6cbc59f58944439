// Server-side apply: reads a configuration, lets the field ownership merge it, answers conflicts as Kubernetes words
// them, and hands the result to the create or the update path. How ownership is computed is FieldOwnership's.

import ClusterProto

extension CoordinatorCore {
  private static let lastAppliedPath = ["metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"]
  /// Bytes of all annotations of an object; above it the last applied configuration is not kept.
  private static let annotationsLimit = 256 * 1024
  /// Conflicts that are told one by one.
  private static let conflictLimit = 1_000
  /// The manager that takes over from client-side apply.
  private static let kubectl = "kubectl"

  mutating func apply(_ request: APIRequest, _ id: RequestID) throws(APIFailure) {
    let strict = try strictErrors(request)
    guard let body = request.body, body.objectValue != nil else {
      throw .badRequest(
        "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal "
          + "\((request.body ?? .null).typeName) into Go value of type map[string]interface {}")
    }
    try Self.checkExtent(body)
    let before = state[reference(request)]
    if before == nil, !request.subresource.isEmpty { throw .notFound(request.kind, request.name) }
    let config = Self.part(of: try Self.configuration(body, request), request)
    let start = owners(of: before, request)
    let (merged, ownership) = try merge(config, over: before, start, request)
    try Self.checkExtent(merged)
    var new = merged
    if request.options.fieldManager == Self.kubectl { Self.renewLastApplied(&new, body) }
    let name = new[path: ["metadata", "name"]]?.stringValue ?? ""
    if name.isEmpty {
      throw .badRequest("the name of the object (based on URL) was undeterminable: name must be provided")
    }
    if name != request.name {
      throw .badRequest("the name of the object (\(name)) does not match the name on the URL (\(request.name))")
    }
    if let namespace = new[path: ["metadata", "namespace"]]?.stringValue, namespace != request.namespace {
      throw .badRequest("the namespace of the provided object does not match the namespace sent on the request")
    }
    var tree = try SchemaDecoder.decode(new, as: request.kind)
    tree.unknown = []
    guard let before else {
      try Self.checkPreconditionsOfNew(new, request)
      return try create(tree, .apply(ownership), request, id, strict)
    }
    try write(tree, over: before, .apply(ownership), request, id, strict)
  }

  /// Keys that stand twice, as fieldValidation has it: an error, warnings, or nothing. What the schema does not know
  /// fails whatever the mode.
  private func strictErrors(_ request: APIRequest) throws(APIFailure) -> [String] {
    var plain = request
    plain.options.strictErrors = []
    _ = try unknownFields(DecodedTree(json: .null), plain)
    let texts = request.options.strictErrors.map { "error converting YAML to JSON: \($0)" }
    if request.options.fieldValidation == "Strict", !texts.isEmpty {
      throw .badRequest("error strict decoding YAML: \(StrictErrors.joined(texts))")
    }
    return request.options.fieldValidation == "Ignore" ? [] : texts
  }

  /// The body as a configuration of the request's kind.
  private static func configuration(_ body: JSON, _ request: APIRequest) throws(APIFailure) -> JSON {
    let (version, kind) = (body["apiVersion"]?.stringValue ?? "", body["kind"]?.stringValue ?? "")
    if version != request.kind.apiVersion || kind != request.kind.name {
      throw .badRequest("invalid object type: \(goKind(version, kind))")
    }
    if let fields = body[path: ["metadata", "managedFields"]], !fields.isNull {
      throw .badRequest("metadata.managedFields must be nil")
    }
    let configuration = AppliedConfiguration(body, kind: request.kind)
    if let failure = configuration.failure {
      let namespace = body[path: ["metadata", "namespace"]]?.stringValue ?? ""
      let name = body[path: ["metadata", "name"]]?.stringValue ?? ""
      throw APIFailure(
        code: 500, reason: "",
        message: "failed to create typed patch object (\(namespace)/\(name); \(goKind(version, kind))): \(failure)")
    }
    return configuration.json
  }

  /// Go's text of a group, version and kind.
  private static func goKind(_ version: String, _ kind: String) -> String {
    version.contains("/") ? "\(version), Kind=\(kind)" : "/\(version), Kind=\(kind)"
  }

  /// What of a configuration the request's resource takes: the status subresource all but the spec, the others all
  /// but the status.
  private static func part(of config: JSON, _ request: APIRequest) -> JSON {
    var result = config
    if request.subresource == "status" {
      result["spec"] = nil
    } else if KindDescriptor.of(request.kind).status != nil {
      result["status"] = nil
    }
    return result
  }

  /// The owners that the applier meets. What nobody owns belongs to a first manager, so that it is not taken unseen.
  private func owners(of before: APIObject?, _ request: APIRequest) -> FieldOwnership {
    var ownership = FieldOwnership(entries: before?.meta.managedFields ?? [])
    if let before, ownership.isEmpty {
      let everything = FieldComparison(
        KindDescriptor.of(request.kind).writes.skeleton, Self.withoutOwners(before), FieldForm.root(request.kind))
      ownership.enterFirstManager(
        everything, apiVersion: request.kind.apiVersion, at: managedTime, visible: Self.visible(request))
    }
    return ownership
  }

  private func merge(
    _ config: JSON, over before: APIObject?, _ start: FieldOwnership, _ request: APIRequest
  ) throws(APIFailure) -> (JSON, FieldOwnership) {
    let live = before.map { Self.withoutOwners($0) } ?? KindDescriptor.of(request.kind).writes.skeleton
    let form = FieldForm.root(request.kind)
    let applier = manager(request, ManagedFieldsEntry.apply)
    func attempt(force: Bool) -> (FieldOwnership.Outcome, FieldOwnership) {
      var ownership = start
      let outcome = ownership.apply(
        config, to: live, form, by: applier, at: managedTime, force: force, visible: Self.visible(request))
      return (outcome, ownership)
    }
    let (first, ownership) = attempt(force: request.options.force ?? false)
    guard case .conflicts(var conflicts) = first else {
      guard case .applied(let new) = first else { return (live, start) }
      return (new, ownership)
    }
    // What client-side apply set and nobody has changed since is kubectl's to take over.
    if applier.manager == Self.kubectl, let allowed = Self.lastApplied(in: live, request.kind) {
      let paths = Set(allowed.paths)
      conflicts.removeAll { paths.contains($0.path) }
      if conflicts.isEmpty, case (.applied(let new), let forced) = attempt(force: true) { return (new, forced) }
    }
    throw Self.failure(conflicts)
  }

  /// The fields of the last configuration of a client-side apply that still have its values.
  private static func lastApplied(in live: JSON, _ kind: Kind) -> FieldSet? {
    guard let text = live[path: lastAppliedPath]?.stringValue, let last = try? JSON(parsing: Array(text.utf8)),
      last["apiVersion"]?.stringValue == kind.apiVersion
    else { return nil }
    let configuration = AppliedConfiguration(last, kind: kind)
    if configuration.failure != nil { return nil }
    let form = FieldForm.root(kind)
    let comparison = FieldComparison(configuration.json, live, form)
    return FieldMerge.fieldSet(configuration.json, form).subtracting(comparison.taken).subtracting(comparison.removed)
  }

  /// kubectl's annotation is kept in step, so that a client-side apply can follow.
  private static func renewLastApplied(_ object: inout JSON, _ body: JSON) {
    guard let before = object[path: lastAppliedPath]?.stringValue, !before.isEmpty else { return }
    var applied = body
    applied[path: lastAppliedPath] = nil
    object[path: lastAppliedPath] = .string(applied.text + "\n")
    var bytes = 0
    for (key, value) in object[path: ["metadata", "annotations"]]?.objectValue ?? JSONObject() {
      bytes += key.utf8.count + (value.stringValue ?? "").utf8.count
    }
    if bytes > annotationsLimit { object[path: lastAppliedPath] = nil }
  }

  private static func checkPreconditionsOfNew(_ object: JSON, _ request: APIRequest) throws(APIFailure) {
    if let uid = object[path: ["metadata", "uid"]]?.stringValue, !uid.isEmpty {
      throw .conflict(
        request.kind, request.name,
        "uid mismatch: the provided object specified uid \(uid), and no existing object was found")
    }
    if let version = object[path: ["metadata", "resourceVersion"]]?.stringValue, !version.isEmpty {
      throw .conflict(request.kind, request.name, APIFailure.modified)
    }
  }

  private static func failure(_ conflicts: [FieldConflict]) -> APIFailure {
    var message: String
    if conflicts.count == 1, let only = conflicts.first {
      message = "Apply failed with 1 conflict: conflict with \(only.manager): \(only.path)"
    } else {
      message = "Apply failed with \(conflicts.count) conflicts:"
      var last: String?
      for conflict in conflicts {
        if conflict.manager != last {
          message += last == nil ? " " : "\n"
          message += "conflicts with \(conflict.manager):"
        }
        last = conflict.manager
        if message.utf8.count > APIFailure.messageLimit { break }
        message += "\n- \(conflict.path)"
      }
    }
    let causes = conflicts.prefix(conflictLimit).map { conflict -> JSON in
      [
        "reason": "FieldManagerConflict", "message": .string("conflict with \(conflict.manager)"),
        "field": .string(conflict.path),
      ]
    }
    return APIFailure(code: 409, reason: "Conflict", message: message, details: ["causes": .array(causes)])
  }
}
