// Validation of metadata, labels and label selectors, the same for every kind, with Kubernetes' messages.

import ClusterProto

enum MetaValidation {
  /// Total bytes of annotations that Kubernetes allows.
  static let annotationBytes = 256 * 1024

  static func object(_ json: JSON, kind: Kind, into errors: inout FieldErrors) {
    let meta = json["metadata"] ?? .object(JSONObject())
    let name = meta["name"]?.stringValue ?? ""
    let nameProblems = KindDescriptor.of(kind).writes.nameProblems
    if let prefix = meta["generateName"]?.stringValue, !prefix.isEmpty {
      // A prefix may end in a dash that the random part follows.
      let trimmed = prefix.last == "-" ? String(prefix.dropLast()) + "a" : prefix
      for problem in nameProblems(trimmed) { errors.invalid("metadata.generateName", prefix, problem) }
    }
    if name.isEmpty {
      errors.required("metadata.name", "name or generateName is required")
    } else {
      for problem in nameProblems(name) { errors.invalid("metadata.name", name, problem) }
    }
    contents(meta, into: &errors)
  }

  /// What a create and every later write may put into metadata.
  private static func contents(_ meta: JSON, into errors: inout FieldErrors) {
    labels(meta["labels"], "metadata.labels", into: &errors)
    annotations(meta["annotations"], "metadata.annotations", into: &errors)
    owners(meta["ownerReferences"], into: &errors)
    finalizers(meta["finalizers"], "metadata.finalizers", into: &errors)
    let names = (meta["finalizers"]?.arrayValue ?? []).compactMap(\.stringValue)
    if names.contains(CoordinatorCore.orphanFinalizer), names.contains(CoordinatorCore.foregroundFinalizer) {
      errors.invalid(
        "metadata.finalizers", shown: GoText.strings(names),
        "finalizer \(CoordinatorCore.orphanFinalizer) and \(CoordinatorCore.foregroundFinalizer) cannot be both set")
    }
  }

  /// Finalizers or owners of one object. Kubernetes has no such bound; each of them is looked at again and again.
  static let listLimit = 1_000

  static func finalizers(_ json: JSON?, _ path: String, into errors: inout FieldErrors) {
    let count = json?.arrayValue?.count ?? 0
    if count > listLimit { return errors.tooMany(path, count, limit: listLimit) }
    for (index, finalizer) in (json?.arrayValue ?? []).enumerated() {
      let text = finalizer.stringValue ?? ""
      let standard = ["orphan", "foregroundDeletion", "kubernetes"].contains(text)
      for problem in Names.labelKeyErrors(text) { errors.invalid(path, text, problem) }
      if !text.contains("/"), !standard, Names.labelKeyErrors(text).isEmpty {
        errors.invalid(
          "\(path)[\(index)]", text, "name is neither a standard finalizer name nor is it fully qualified")
      }
    }
  }

  static func labels(_ json: JSON?, _ path: String, into errors: inout FieldErrors) {
    for (key, value) in json?.objectValue ?? JSONObject() {
      for problem in Names.labelKeyErrors(key) { errors.invalid(path, key, problem) }
      let text = value.stringValue ?? ""
      for problem in Names.labelValueErrors(text) { errors.invalid(path, text, problem) }
    }
  }

  static func annotations(_ json: JSON?, _ path: String, into errors: inout FieldErrors) {
    var bytes = 0
    for (key, value) in json?.objectValue ?? JSONObject() {
      for problem in Names.labelKeyErrors(key.lowercased()) { errors.invalid(path, key, problem) }
      bytes += key.utf8.count + (value.stringValue?.utf8.count ?? 0)
    }
    if bytes > annotationBytes { errors.tooLong(path, bytes: annotationBytes) }
  }

  private static func owners(_ json: JSON?, into errors: inout FieldErrors) {
    let count = json?.arrayValue?.count ?? 0
    if count > listLimit { return errors.tooMany("metadata.ownerReferences", count, limit: listLimit) }
    let path = "metadata.ownerReferences"
    var controller: String?
    // Kubernetes does not say which of them it is.
    for owner in json?.arrayValue ?? [] {
      func text(_ member: String) -> String { owner[member]?.stringValue ?? "" }
      let version = text("apiVersion").split(separator: "/", omittingEmptySubsequences: false)
      if version.count > 2 || version.last?.isEmpty ?? true {
        errors.invalid("\(path).apiVersion", text("apiVersion"), "version must not be empty")
      }
      for member in ["kind", "name", "uid"] where text(member).isEmpty {
        errors.invalid("\(path).\(member)", "", "must not be empty")
      }
      if text("apiVersion") == Kind.events.apiVersion, text("kind") == Kind.events.name {
        errors.invalid(path, owner, "/v1, Kind=Event is disallowed from being an owner")
      }
      guard owner["controller"]?.boolValue == true else { continue }
      let name = "\(text("kind"))/\(text("name"))"
      if let controller {
        errors.invalid(
          path, json ?? .null,
          "Only one reference can have Controller set to true. Found \"true\" in references for \(controller) and "
            + name)
      } else {
        controller = name
      }
    }
  }

  /// A LabelSelector of a spec.
  static func selector(_ json: JSON, _ path: String, into errors: inout FieldErrors) {
    labels(json["matchLabels"], "\(path).matchLabels", into: &errors)
    for (index, rule) in (json["matchExpressions"]?.arrayValue ?? []).enumerated() {
      labelRule(rule, "\(path).matchExpressions[\(index)]", into: &errors)
    }
  }

  /// One rule on a label. `comparesNumbers`: a node's labels may be greater or less as well.
  static func labelRule(_ rule: JSON, _ path: String, comparesNumbers: Bool = false, into errors: inout FieldErrors) {
    let values = rule["values"]?.arrayValue ?? []
    switch rule["operator"]?.stringValue ?? "" {
    case "In", "NotIn":
      if values.isEmpty { errors.required("\(path).values", "must be specified when `operator` is 'In' or 'NotIn'") }
    case "Exists", "DoesNotExist":
      if !values.isEmpty {
        errors.forbidden("\(path).values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
      }
    case "Gt" where comparesNumbers, "Lt" where comparesNumbers:
      if values.count != 1 {
        errors.required("\(path).values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
      }
    case let other: errors.invalid("\(path).operator", other, "not a valid selector operator")
    }
    let key = rule["key"]?.stringValue ?? ""
    for problem in Names.labelKeyErrors(key) { errors.invalid("\(path).key", key, problem) }
    for (index, value) in values.enumerated() {
      for problem in Names.labelValueErrors(value.stringValue ?? "") {
        errors.invalid("\(path).values[\(index)]", value, problem)
      }
    }
  }

  /// metadata of an update against what is stored; ValidateObjectMetaUpdate's order.
  static func update(_ new: ObjectMeta, _ old: ObjectMeta, into errors: inout FieldErrors) {
    func immutable(_ field: String, _ value: String, _ before: String) {
      if value != before { errors.invalid("metadata.\(field)", value, "field is immutable") }
    }
    immutable("name", new.name, old.name)
    immutable("namespace", new.namespace, old.namespace)
    if old.deletionTimestamp != nil {
      let before = Set(old.finalizers)
      let added = new.finalizers.filter { !before.contains($0) }
      if !added.isEmpty {
        errors.forbidden(
          "metadata.finalizers",
          "no new finalizers can be added if the object is being deleted, found new finalizers "
            + Excerpt.of(GoText.strings(Set(added).sorted())))
      }
    }
    // What was let in once is not looked at again: an unrelated change of an old object must stay possible.
    contents(
      [
        "labels": new.labels.json, "annotations": new.annotations.json,
        "ownerReferences": new.ownerReferences == old.ownerReferences
          ? .null : .array(new.ownerReferences.map(\.json)),
        "finalizers": new.finalizers == old.finalizers ? .null : .array(new.finalizers.map { .string($0) }),
      ], into: &errors)
  }

  /// Times that only the server sets: `given` may leave them out, and deletion's only repeat what is stored.
  static func times(_ given: ObjectMeta, _ old: ObjectMeta, into errors: inout FieldErrors) {
    func immutable(_ field: String, _ value: WallTime?, _ before: WallTime?) {
      guard let value, value.nanoseconds != 0, value.seconds != before?.seconds else { return }
      errors.invalid("metadata.\(field)", value.rfc3339, "field is immutable")
    }
    immutable("creationTimestamp", given.creationTimestamp, old.creationTimestamp)
    if old.deletionTimestamp != nil { return }
    immutable("deletionTimestamp", given.deletionTimestamp, nil)
    if let grace = given.deletionGracePeriodSeconds {
      errors.invalid("metadata.deletionGracePeriodSeconds", .int(grace), "field is immutable")
    }
  }
}
