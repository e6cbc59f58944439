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
  /// The old member says that dependents go too: then an object that stays for now is answered with 202.
  var isCascading = false

  init(_ request: APIRequest) throws(APIFailure) {
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
    // Beside a body the query counts for nothing, as in Kubernetes. But whoever says dryRun anywhere deletes nothing.
    let query = body.isNull ? request.options : APIOptions()
    graceSeconds = body["gracePeriodSeconds"]?.intValue ?? query.gracePeriodSeconds
    // Kubernetes: a negative grace means one second.
    if let grace = graceSeconds, grace < 0 { graceSeconds = 1 }
    uid = body[path: ["preconditions", "uid"]]?.stringValue ?? query.preconditionUID
    resourceVersion =
      body[path: ["preconditions", "resourceVersion"]]?.stringValue ?? query.preconditionResourceVersion
    let runs = body["dryRun"]?.arrayValue ?? []
    dryRun = request.options.dryRun || !runs.isEmpty
    var errors = FieldErrors()
    choosePropagation(
      body["propagationPolicy"]?.stringValue ?? query.propagationPolicy, body["orphanDependents"]?.boolValue, &errors)
    if runs.contains(where: { $0.stringValue != "All" }) {
      errors.unsupported("dryRun", shown: GoText.strings(runs.map { $0.stringValue ?? "" }), ["All"])
    }
    if !errors.isEmpty { throw .invalid(options: "DeleteOptions", errors) }
  }

  /// `text`: propagationPolicy; `orphan`: what came before it, orphanDependents.
  private mutating func choosePropagation(_ text: String?, _ orphan: Bool?, _ errors: inout FieldErrors) {
    let field = "propagationPolicy"
    isCascading = orphan == false
    guard let text else {
      propagation = orphan.map { $0 ? .orphan : .background }
      return
    }
    if orphan != nil { errors.invalid(field, text, "orphanDependents and deletionPropagation cannot be both set") }
    propagation = Propagation(rawValue: text)
    if propagation == nil { errors.unsupported(field, text, ["Foreground", "Background", "Orphan", "nil"]) }
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
}

extension CoordinatorCore {
  /// What a client hears that deletes and names no propagation, where the kind's default may surprise.
  func deletionWarnings(_ request: APIRequest) -> [String] {
    guard request.verb == .delete || request.verb == .deletecollection,
      let warning = KindDescriptor.of(request.kind).deletion.warning
    else { return [] }
    // Beside a body the query counts for nothing.
    let isNamed =
      request.body.map { $0["propagationPolicy"]?.stringValue != nil || $0["orphanDependents"]?.boolValue != nil }
      ?? (request.options.propagationPolicy != nil)
    return isNamed ? [] : [warning]
  }

  mutating func delete(_ request: APIRequest, _ id: RequestID) throws(APIFailure) {
    let options = try DeleteOptions(request)
    let object = try existing(request)
    try Self.checkPreconditions(options, object)
    let rules = KindDescriptor.of(request.kind).deletion
    if rules.keeps.contains(request.name) {
      let reason = rules.keepsBecause ?? "this \(request.kind.singular) may not be deleted"
      throw .forbidden(request.kind, request.name, reason)
    }
    let shown = performDelete(object, options)
    let stays = options.isCascading && !options.dryRun && state[object.reference]?.meta.uid == object.meta.uid
    reply(id, .done(code: stays ? 202 : 200, object: shown, warnings: deletionWarnings(request)))
  }

  /// Kubernetes names the kind here, where it names the resource elsewhere.
  static func checkPreconditions(_ options: DeleteOptions, _ object: APIObject) throws(APIFailure) {
    func conflict(_ why: String) -> APIFailure {
      let kind = object.kind
      var details: JSON = ["name": .string(object.meta.name), "kind": .string(kind.name)]
      if !kind.group.isEmpty { details["group"] = .string(kind.group) }
      let qualified = kind.group.isEmpty ? kind.name : "\(kind.name).\(kind.group)"
      return APIFailure(
        code: 409, reason: "Conflict",
        message: "Operation cannot be fulfilled on \(qualified) \"\(object.meta.name)\": \(why)", details: details)
    }
    if let uid = options.uid, uid != object.meta.uid {
      throw conflict(
        "the UID in the precondition (\(uid)) does not match the UID in record (\(object.meta.uid)). The object might "
          + "have been deleted and then recreated")
    }
    if let version = options.resourceVersion, version != String(object.meta.resourceVersion) {
      throw conflict(
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
  /// always, else a Status with its uid. A dry run is told the same.
  mutating func performDelete(_ object: APIObject, _ options: DeleteOptions) -> JSON {
    let reference = object.reference
    let way = propagation(options, object)
    if options.dryRun {
      if let left = deletion(of: object, propagation: way, graceSeconds: options.graceSeconds).after {
        return left.json
      }
    } else {
      if options.graceSeconds == 0, case .pod(let pod) = object { assertPodDeadIfAway(pod) }
      deleteObject(reference, propagation: way, graceSeconds: options.graceSeconds)
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
    let options = try DeleteOptions(request)
    let (labels, fields) = try selectors(request)
    if options.uid != nil || options.resourceVersion != nil {
      // Kubernetes fails at the first object that the preconditions do not fit; here before anything is deleted.
      for key in state.keys(of: request.kind, in: request.namespace) {
        guard let object = state[ObjectReference(kind: request.kind, key: key)], labels.matches(object.meta.labels),
          fields.matches({ SelectableFields.value($0, of: object) })
        else { continue }
        try Self.checkPreconditions(options, object)
      }
    }
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
