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
  static let preservedWarning =
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set "
    + "propagationPolicy=Orphan to suppress this warning"

  /// Whether this is a deletion of Jobs that names no propagation: the legacy default keeps the pods and says so.
  func preservesByDefault(_ request: APIRequest) -> Bool {
    guard request.kind == .jobs, request.verb == .delete || request.verb == .deletecollection else { return false }
    let body = request.body ?? .null
    return request.options.propagationPolicy == nil && body["propagationPolicy"]?.stringValue == nil
      && body["orphanDependents"]?.boolValue == nil
  }

  mutating func delete(_ request: APIRequest, _ id: RequestID) throws(APIFailure) {
    let options = try DeleteOptions(request)
    let object = try existing(request)
    try checkPreconditions(options, object, request)
    if request.kind == .namespaces, Self.systemNamespaces.contains(request.name) {
      throw .forbidden(.namespaces, request.name, "this namespace may not be deleted")
    }
    let warnings = preservesByDefault(request) ? [Self.preservedWarning] : []
    reply(id, .done(code: 200, object: performDelete(object, options), warnings: warnings))
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
    return object.kind == .jobs ? .orphan : .background
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
    if [.pods, .services, .serviceaccounts].contains(object.kind) { return object.json }
    var details = APIFailure.details(object.kind, object.meta.name)
    details["uid"] = .string(object.meta.uid)
    return [
      "kind": "Status", "apiVersion": "v1", "metadata": .object(JSONObject()), "status": "Success", "details": details,
    ]
  }

  mutating func deleteCollection(_ request: APIRequest, _ id: RequestID) throws(APIFailure) {
    if request.kind == .namespaces {
      throw .methodNotAllowed("the server does not allow this method on the requested resource")
    }
    _ = try DeleteOptions(request)
    let (labels, fields) = try selectors(request)
    api.streams[id] = APIStream(
      purpose: .deleteCollection, request: request, labels: labels, fields: fields,
      keys: state.keys(of: request.kind, in: request.namespace), room: nil, resourceVersion: state.resourceVersion,
      warnings: preservesByDefault(request) ? [Self.preservedWarning] : [])
    beginAnswer(id)
  }

  /// One object of a collection; the stream's request was checked at its start.
  mutating func deleteOne(_ object: APIObject, _ stream: inout APIStream) -> JSON {
    guard let options = try? DeleteOptions(stream.request) else { return object.json }
    let shown = performDelete(object, options)
    return shown["kind"]?.stringValue == "Status" ? object.json : shown
  }
}
