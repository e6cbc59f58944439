// delete and deletecollection: options and preconditions, the propagation each kind has by default, the answer that
// Kubernetes gives.
// What deletion does to the object and to what depends on it is the workload controllers'.

import ClusterProto

/// DeleteOptions, from the query and the body together (the body wins, as in Kubernetes).
struct DeleteOptions: Equatable, Sendable {
  var graceSeconds: Int64?
  var propagation: Propagation?
  var uid: String?
  var resourceVersion: String?
  var dryRun = false

  init(_ request: APIRequest) throws(APIFailure) {
    let options = request.options
    let body = request.body ?? .null
    if !body.isNull, body.objectValue == nil {
      throw .badRequest("the object provided is unrecognized (must be of type DeleteOptions)")
    }
    if let kind = body["kind"]?.stringValue, !kind.isEmpty, kind != "DeleteOptions" {
      throw .badRequest("decoded object cannot be converted to DeleteOptions")
    }
    for member in ["gracePeriodSeconds", "orphanDependents", "propagationPolicy", "preconditions", "dryRun"] {
      try Self.check(body[member], member)
    }
    graceSeconds = body["gracePeriodSeconds"]?.intValue ?? options.gracePeriodSeconds
    // Kubernetes: a negative grace means one second.
    if let grace = graceSeconds, grace < 0 { graceSeconds = 1 }
    let orphan = body["orphanDependents"]?.boolValue
    let text = body["propagationPolicy"]?.stringValue ?? options.propagationPolicy
    if orphan != nil, text != nil {
      throw Self.invalid(
        "propagationPolicy",
        "Invalid value: \"\(text ?? "")\": orphanDependents and deletionPropagation cannot be both set")
    }
    if let orphan { propagation = orphan ? .orphan : .background }
    switch text {
    case nil, "": break
    case "Background": propagation = .background
    case "Foreground": propagation = .foreground
    case "Orphan": propagation = .orphan
    case let other?:
      throw Self.invalid(
        "propagationPolicy",
        "Invalid value: \"\(other)\": DeletionPropagation need to be one of \"Foreground\", \"Background\", "
          + "\"Orphan\" or nil"
      )
    }
    uid = body[path: ["preconditions", "uid"]]?.stringValue ?? options.preconditionUID
    resourceVersion =
      body[path: ["preconditions", "resourceVersion"]]?.stringValue ?? options.preconditionResourceVersion
    dryRun = options.dryRun || !(body["dryRun"]?.arrayValue ?? []).isEmpty
  }

  private static func check(_ value: JSON?, _ member: String) throws(APIFailure) {
    guard let value, !value.isNull else { return }
    let fits =
      switch member {
      case "gracePeriodSeconds": value.intValue != nil
      case "orphanDependents": value.boolValue != nil
      case "propagationPolicy": value.stringValue != nil
      case "preconditions": value.objectValue != nil
      default: value.arrayValue != nil
      }
    if !fits {
      throw .badRequest(
        "json: cannot unmarshal \(value.typeName) into Go struct field DeleteOptions.\(member)")
    }
  }

  private static func invalid(_ field: String, _ message: String) -> APIFailure {
    APIFailure(
      code: 422, reason: "Invalid", message: "DeleteOptions.meta.k8s.io \"\" is invalid: \(field): \(message)",
      details: [
        "group": "meta.k8s.io", "kind": "DeleteOptions",
        "causes": [["reason": "FieldValueInvalid", "message": .string(message), "field": .string(field)]],
      ])
  }
}

extension CoordinatorCore {
  /// What a client hears that deletes and names no propagation, where the kind's default may surprise.
  func deletionWarnings(_ request: APIRequest) -> [String] {
    guard request.verb == .delete || request.verb == .deletecollection,
      let warning = KindDescriptor.of(request.kind).deletion.warning
    else { return [] }
    let body = request.body ?? .null
    let isNamed =
      request.options.propagationPolicy != nil || body["propagationPolicy"]?.stringValue != nil
      || body["orphanDependents"]?.boolValue != nil
    return isNamed ? [] : [warning]
  }

  mutating func delete(_ request: APIRequest, _ id: RequestID) throws(APIFailure) {
    let options = try DeleteOptions(request)
    let object = try existing(request)
    try checkPreconditions(options, object, request)
    if KindDescriptor.of(request.kind).deletion.keeps.contains(request.name) {
      throw .forbidden(request.kind, request.name, "this \(request.kind.singular) may not be deleted")
    }
    reply(id, .done(code: 200, object: performDelete(object, options), warnings: deletionWarnings(request)))
  }

  func checkPreconditions(
    _ options: DeleteOptions, _ object: APIObject, _ request: APIRequest
  ) throws(APIFailure) {
    if let uid = options.uid, uid != object.meta.uid {
      throw .conflict(
        request.kind, request.name,
        "the UID in the precondition (\(uid)) does not match the UID in record (\(object.meta.uid)). The object "
          + "might have "
          + "been deleted and then recreated")
    }
    if let version = options.resourceVersion, version != String(object.meta.resourceVersion) {
      throw .conflict(
        request.kind, request.name,
        "the ResourceVersion in the precondition (\(version)) does not match the ResourceVersion in record "
          + "(\(object.meta.resourceVersion)). The object might have been modified")
    }
  }

  private func propagation(_ options: DeleteOptions, _ object: APIObject) -> Propagation {
    if let given = options.propagation { return given }
    // An explicit option counts before a finalizer, that before the kind's default.
    if object.meta.finalizers.contains("orphan") { return .orphan }
    if object.meta.finalizers.contains("foregroundDeletion") { return .foreground }
    return KindDescriptor.of(object.kind).deletion.propagation
  }

  /// Deletes and returns what the client is told: the object while it is there, or where Kubernetes returns it
  /// always,
  /// else a Status with its uid.
  mutating func performDelete(_ object: APIObject, _ options: DeleteOptions) -> JSON {
    let reference = object.reference
    if !options.dryRun {
      if options.graceSeconds == 0, case .pod(let pod) = object { assertPodDeadIfAway(pod) }
      deleteObject(reference, propagation: propagation(options, object), graceSeconds: options.graceSeconds)
      if let left = state[reference], left.meta.uid == object.meta.uid { return left.json }
    }
    if KindDescriptor.of(object.kind).deletion.returnsObject { return object.json }
    var details = APIFailure.details(object.kind, object.meta.name)
    details["uid"] = .string(object.meta.uid)
    return [
      "kind": "Status", "apiVersion": "v1", "metadata": .object(JSONObject()), "status": "Success", "details": details,
    ]
  }

  mutating func deleteCollection(_ request: APIRequest, _ id: RequestID) throws(APIFailure) {
    if !KindDescriptor.of(request.kind).served.verbs.contains(APIVerb.deletecollection.rawValue) {
      throw .methodNotAllowed("the server does not allow this method on the requested resource")
    }
    _ = try DeleteOptions(request)
    let (labels, fields) = try selectors(request)
    api.streams[id] = APIStream(
      purpose: .deleteCollection, request: request, labels: labels, fields: fields,
      keys: state.keys(of: request.kind, in: request.namespace), room: nil, resourceVersion: state.resourceVersion,
      warnings: deletionWarnings(request))
    beginAnswer(id)
  }

  /// One object of a collection; the stream's request was checked at its start.
  mutating func deleteOne(_ object: APIObject, _ stream: inout APIStream) -> JSON {
    guard let options = try? DeleteOptions(stream.request) else { return object.json }
    let shown = performDelete(object, options)
    return shown["kind"]?.stringValue == "Status" ? object.json : shown
  }
}
