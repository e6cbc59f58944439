// create, update and the end of patch: decode against the schema, defaults, validation, honesty, then one change of
// the state.
// How patches are laid over an object is in the patch files.

import ClusterProto

extension CoordinatorCore {
  /// Bytes of one object as JSON: what a body may have. A ConfigMap with all of its 1 MiB of data has twice that as
  /// JSON when each byte is escaped, and goes in several frames.
  static let objectBytesLimit = MessageLimits.body

  /// Members that only the server writes.
  private static let serverOwned = [
    "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation",
    "selfLink", "managedFields",
  ]

  /// A decoded body and the warnings that its unknown fields earned.
  func decode(_ request: APIRequest) throws(APIFailure) -> (tree: DecodedTree, warnings: [String]) {
    guard let body = request.body, body.objectValue != nil else {
      throw .badRequest(
        "the object provided is unrecognized (must be of type \(request.kind.name)): couldn't get version/kind; "
          + "json parse "
          + "error: " + (request.body == nil ? "unexpected end of JSON input (<empty>)" : "the body is not an object"))
    }
    let kind = body["kind"]?.stringValue ?? request.kind.name
    let version = body["apiVersion"]?.stringValue ?? request.kind.apiVersion
    if kind.isEmpty || version.isEmpty {
      throw .badRequest(
        "Object '\(kind.isEmpty ? "Kind" : "apiVersion")' is missing in the object provided (must be of type "
          + "\(request.kind.name))")
    }
    if version != request.kind.apiVersion {
      throw .badRequest(
        "the API version in the data (\(version)) does not match the expected API version (\(request.kind.apiVersion))")
    }
    if kind != request.kind.name {
      throw .badRequest(
        "\(kind) in version \"v1\" cannot be handled as a \(request.kind.name): no kind \"\(kind)\" is "
          + "registered for version "
          + "\"\(version)\" here")
    }
    try Self.checkExtent(body)
    let tree = try SchemaDecoder.decode(body, as: request.kind)
    return (tree, try unknownFields(tree, request))
  }

  /// fieldValidation: Strict refuses, Warn (the default) warns, Ignore says nothing.
  func unknownFields(_ tree: DecodedTree, _ request: APIRequest) throws(APIFailure) -> [String] {
    let mode = request.options.fieldValidation ?? ""
    guard ["", "Strict", "Warn", "Ignore"].contains(mode) else {
      var errors = FieldErrors()
      errors.unsupported("fieldValidation", mode, ["Ignore", "Strict", "Warn"])
      let options: [APIVerb: String] = [.create: "CreateOptions", .update: "UpdateOptions"]
      throw .invalid(options: options[request.verb] ?? "PatchOptions", errors)
    }
    let texts = StrictErrors.texts(request.options.strictErrors, unknown: tree.unknown)
    if mode == "Strict", !texts.isEmpty {
      throw .badRequest(
        "\(request.kind.name) in version \"v1\" cannot be handled as a \(request.kind.name): strict decoding error: "
          + StrictErrors.joined(texts))
    }
    return mode == "Ignore" ? [] : texts
  }

  private func checkNamespace(_ request: APIRequest) throws(APIFailure) {
    guard request.kind.isNamespaced else { return }
    if request.namespace.isEmpty {
      throw .badRequest("an empty namespace may not be set during creation")
    }
    guard let namespace = state.other(.namespaces, ObjectKey(namespace: "", name: request.namespace)) else {
      throw .notFound(.namespaces, request.namespace)
    }
    let isEnding =
      namespace.meta.deletionTimestamp != nil || namespace.body["status"]?["phase"]?.stringValue == "Terminating"
    if isEnding {
      var failure = APIFailure.forbidden(
        request.kind, request.name,
        "unable to create new content in namespace \(request.namespace) because it is being terminated")
      failure.details?["causes"] = [
        [
          "reason": "NamespaceTerminating", "message": .string("namespace \(request.namespace) is being terminated"),
          "field": "metadata.namespace",
        ]
      ]
      throw failure
    }
  }

  mutating func create(_ request: APIRequest, _ id: RequestID) throws(APIFailure) {
    if !request.name.isEmpty {
      throw .methodNotAllowed("the server does not allow this method on the requested resource")
    }
    try checkManager(request, "CreateOptions")
    let (tree, unknown) = try decode(request)
    try create(tree, .update(given: request.body?[path: ["metadata", "managedFields"]]), request, id, unknown)
  }

  /// Creates the object that a decoded tree describes: the common end of create and of an apply to what is not there.
  mutating func create(
    _ tree: DecodedTree, _ record: OwnershipRecord, _ original: APIRequest, _ id: RequestID, _ unknown: [String]
  ) throws(APIFailure) {
    var request = original
    var warnings = unknown
    var json = tree.json
    try settleNamespace(&json, request)
    for member in Self.serverOwned {
      if member == "resourceVersion", let version = json[path: ["metadata", member]]?.stringValue, !version.isEmpty {
        throw .badRequest("resourceVersion should not be set on objects to be created")
      }
      json[path: ["metadata", member]] = nil
    }
    nameNew(&json, &request)
    let name = json[path: ["metadata", "name"]]?.stringValue ?? ""
    request.name = name
    try checkNamespace(request)
    let rules = KindDescriptor.of(request.kind)
    if let why = rules.status?.dropsNew, let status = json["status"], status.objectValue?.isEmpty == false {
      warnings.append("status: \(DroppedFields.text): \(why)")
    }
    json["status"] = nil
    if json[path: ["metadata", "annotations", JobAnnotation.failures]] != nil {
      json[path: ["metadata", "annotations", JobAnnotation.failures]] = nil
    }
    json["apiVersion"] = .string(request.kind.apiVersion)
    json["kind"] = .string(request.kind.name)
    json[path: ["metadata", "uid"]] = .string(newUID())
    let made = try admitted(json, tree, request.kind)
    var object = made.object
    try checkGrant(object, over: nil, request)
    if let problem = admissionProblem(object) { throw .forbidden(request.kind, name, problem) }
    if let warning = podSecurityWarning(object) { warnings.append(warning) }
    object.meta.creationTimestamp = now.wall
    object.meta.managedFields = ownershipOfNew(made.given, record, request)
    if request.options.dryRun {
      if rules.writes.raisesGeneration != nil { object.meta.generation = 1 }
    } else {
      object = insert(object)
    }
    reply(id, .done(code: 201, object: shown(object, request), warnings: warnings + made.warnings))
  }

  /// An object as admission makes it of a named tree: completed, held against the rules, free of its name. Not in the
  /// state yet. `given`: with defaults, before what the server adds.
  func admitted(_ json: JSON, _ tree: DecodedTree, _ kind: Kind) throws(APIFailure) -> (
    object: APIObject, given: JSON, warnings: [String]
  ) {
    let rules = KindDescriptor.of(kind).writes
    var json = json
    let meta = ObjectMeta(json: json["metadata"])
    rules.defaults(&json)
    rules.newDefaults(&json)
    let given = json
    rules.complete(&json, configuration)
    try rules.admit(&json, self)
    var errors = FieldErrors()
    MetaValidation.object(json, kind: kind, into: &errors)
    rules.validateNew(json, &errors)
    rules.validateWith(json, nil, configuration, &errors)
    if !errors.isEmpty { throw .invalid(kind, meta.name, errors.all) }
    let honesty = Honesty.inspect(tree, kind: kind, final: json, images: imageNodes, limits: limitNodes)
    if !honesty.errors.isEmpty { throw .invalid(kind, meta.name, honesty.errors.all) }
    rules.inherit(&json)
    try checkSize(json)
    if state[ObjectReference(kind: kind, key: meta.key)] != nil { throw .alreadyExists(kind, meta.name) }
    return (APIObject(kind: kind, json: json), given, honesty.warnings)
  }

  /// metadata.namespace is the request's: a different one in the body is an error, none is filled in.
  private func settleNamespace(_ json: inout JSON, _ request: APIRequest) throws(APIFailure) {
    let given = json[path: ["metadata", "namespace"]]?.stringValue ?? ""
    if given != request.namespace, !given.isEmpty {
      throw .badRequest("the namespace of the provided object does not match the namespace sent on the request")
    }
    json[path: ["metadata", "namespace"]] = request.namespace.isEmpty ? nil : .string(request.namespace)
  }

  /// generateName: five random characters behind the prefix, tried again while the name is taken.
  private mutating func nameNew(_ json: inout JSON, _ request: inout APIRequest) {
    guard (json[path: ["metadata", "name"]]?.stringValue ?? "").isEmpty,
      let prefix = json[path: ["metadata", "generateName"]]?.stringValue, !prefix.isEmpty
    else { return }
    // Kubernetes cuts the prefix so that the whole stays a label.
    let base = String(decoding: prefix.utf8.prefix(58), as: UTF8.self)
    for _ in 0..<8 {
      request.name = base + Names.suffix(from: random.next())
      if state[reference(request)] == nil { break }
    }
    json[path: ["metadata", "name"]] = .string(request.name)
  }

  private func checkSize(_ json: JSON) throws(APIFailure) {
    if json.bytes.count > Self.objectBytesLimit { throw Self.tooLarge }
  }

  /// Values of one object, its owners of fields aside. Kubernetes' store bounds them by an object's bytes, at several
  /// times as many. Each costs far more than its text: to decode, to compare, to find its owner, all in one step.
  static let objectValuesLimit = 16_384

  /// Before anything is made of a tree that came from outside.
  static func checkExtent(_ json: JSON) throws(APIFailure) {
    var tree = json
    if let meta = tree["metadata"]?.objectValue, meta.contains("managedFields") {
      tree[path: ["metadata", "managedFields"]] = nil
    }
    let extent = tree.extent(upTo: objectBytesLimit)
    if extent.bytes > objectBytesLimit { throw tooLarge }
    guard extent.values > objectValuesLimit else { return }
    throw APIFailure(
      code: 413, reason: "RequestEntityTooLarge",
      message: "Request entity too large: limit is \(objectValuesLimit) values in one object",
      details: .object(JSONObject()))
  }

  static let tooLarge = APIFailure(
    code: 413, reason: "RequestEntityTooLarge", message: "Request entity too large: limit is \(objectBytesLimit)",
    details: .object(JSONObject()))

  mutating func replace(_ request: APIRequest, _ id: RequestID) throws(APIFailure) {
    try checkManager(request, "UpdateOptions")
    let (tree, unknown) = try decode(request)
    if let name = tree.json[path: ["metadata", "name"]]?.stringValue, !name.isEmpty, name != request.name {
      throw .badRequest("the name of the object (\(name)) does not match the name on the URL (\(request.name))")
    }
    var json = tree.json
    try settleNamespace(&json, request)
    json[path: ["metadata", "name"]] = .string(request.name)
    let before = try existing(request)
    try write(
      DecodedTree(json: json, ignored: tree.ignored, refused: tree.refused), over: before,
      .update(given: request.body?[path: ["metadata", "managedFields"]]), request, id, unknown)
  }

  /// Writes a decoded tree over an existing object: the common end of update, patch and apply.
  mutating func write(
    _ tree: DecodedTree, over before: APIObject, _ record: OwnershipRecord, _ request: APIRequest, _ id: RequestID,
    _ unknown: [String]
  ) throws(APIFailure) {
    let meta = ObjectMeta(json: tree.json["metadata"])
    let version = tree.json[path: ["metadata", "resourceVersion"]]?.stringValue ?? ""
    if !version.isEmpty, UInt64(version) == nil {
      throw .badRequest(
        "metadata.resourceVersion: Invalid value: \"\(version)\": strconv.ParseUint: parsing \"\(version)\": "
          + "invalid syntax")
    }
    if meta.resourceVersion != 0, meta.resourceVersion != before.meta.resourceVersion {
      throw .conflict(request.kind, request.name, APIFailure.modified)
    }
    if !meta.uid.isEmpty, meta.uid != before.meta.uid {
      throw .conflict(
        request.kind, request.name,
        "Precondition failed: UID in precondition: \(meta.uid), UID in object meta: \(before.meta.uid)")
    }
    let rules = KindDescriptor.of(request.kind)
    var warnings = unknown
    var after: APIObject
    switch request.subresource {
    case "status":
      guard let status = rules.status else { throw .noSuchResource }
      after = try status.write(tree.json["status"], before)
      warnings += Self.dropped(tree.json["status"], after)
    case "finalize": after = try finalize(tree.json, over: before)
    case Self.ephemeralContainers: after = try writeEphemeral(tree, over: before, request, &warnings)
    default: after = try specWrite(tree, over: before, request, &warnings)
    }
    // Of a pod that gets a container nothing else changes, whatever the body has.
    let given = request.subresource == Self.ephemeralContainers ? before.meta : meta
    after.meta = Self.keepingServerOwned(given, before.meta)
    KeptAnnotations.settle(&after.meta, before.meta)
    if request.subresource == "status" {
      KeptAnnotations.settleStatus(&after.meta, before.meta, request.kind, &warnings)
    }
    if request.subresource == "status", rules.status?.writesOwners == false,
      meta.ownerReferences != before.meta.ownerReferences
    {
      after.meta.ownerReferences = before.meta.ownerReferences
      warnings.append("metadata.ownerReferences: not written by \(request.kind.plural)/status")
    }
    if rules.writes.raisesGeneration?(before, after) == true {
      after.meta.generation = after.meta.generation.addingSaturated(1)
    }
    var errors = FieldErrors()
    MetaValidation.update(after.meta, before.meta, into: &errors)
    MetaValidation.times(given, before.meta, into: &errors)
    if !errors.isEmpty { throw .invalid(request.kind, request.name, errors.all) }
    try checkGrant(after, over: before, request)
    if request.subresource.isEmpty { warnings += podSecurityWarnings(before, after) }
    after.meta.managedFields = ownershipAfter(after, before, record, request)
    let written = after.json
    try checkSize(written)
    // Memory knows parts of seconds. Who writes back what was read knows whole ones, and changes nothing.
    if written == before.json { after = before }
    var stored = after
    if !request.options.dryRun {
      stored = update(before.reference) { $0 = after } ?? after
      if request.kind == .nodes, request.subresource == "status" { statusWasWritten(ofNode: request.name) }
    }
    reply(id, .done(code: 200, object: shown(stored, request), warnings: warnings))
  }

  /// What the client may not set is the stored object's.
  private static func keepingServerOwned(_ new: ObjectMeta, _ old: ObjectMeta) -> ObjectMeta {
    var meta = new
    meta.name = old.name
    meta.namespace = old.namespace
    meta.uid = old.uid
    meta.resourceVersion = old.resourceVersion
    meta.generation = old.generation
    meta.creationTimestamp = old.creationTimestamp
    meta.deletionTimestamp = old.deletionTimestamp
    meta.deletionGracePeriodSeconds = old.deletionGracePeriodSeconds
    meta.managedFields = old.managedFields
    meta.others = old.others
    return meta
  }

  /// The object with the tree's spec (or data) and the stored status, validated as an update.
  private func specWrite(
    _ tree: DecodedTree, over before: APIObject, _ request: APIRequest, _ warnings: inout [String]
  ) throws(APIFailure) -> APIObject {
    let rules = KindDescriptor.of(request.kind).writes
    var json = tree.json
    rules.defaults(&json)
    rules.settle(&json, before, configuration, &warnings)
    var errors = FieldErrors()
    rules.validateUpdate(json, before, &errors)
    rules.validateWith(json, before, configuration, &errors)
    if !errors.isEmpty { throw .invalid(request.kind, request.name, errors.all) }
    try rules.admitUpdate(json, before, self)
    if rules.isHonestAtUpdates {
      let honesty = Honesty.inspect(
        tree, kind: request.kind, final: json, images: imageNodes, limits: limitNodes)
      if !honesty.errors.isEmpty { throw .invalid(request.kind, request.name, honesty.errors.all) }
      warnings.append(contentsOf: honesty.warnings)
    }
    var after = APIObject(kind: request.kind, json: json, sharing: before)
    // A typed status is kept as it is in memory: its JSON knows whole seconds only.
    switch (before, after) {
    case (.job(let old), .job(var new)):
      new.status = old.status
      after = .job(new)
    case (.pod(let old), .pod(var new)):
      new.status = old.status
      after = .pod(new)
    default: break
    }
    return after
  }

  /// What of a status the client gave and this version's typed statuses do not keep, each named in a Warning.
  private static func dropped(_ given: JSON?, _ after: APIObject) -> [String] {
    guard let given, let type = Schema.structs[after.kind.name]?["status"]?.type else { return [] }
    return DroppedFields.paths(given, after.json["status"], type, "status").map { "\($0): \(DroppedFields.text)" }
  }
}
