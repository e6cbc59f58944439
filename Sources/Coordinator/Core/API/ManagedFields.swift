// Keeping managedFields with client writes: who a request's manager is, what a create or an update makes its own, and
// the pool that lets objects of one shape share one set. The coordinator's own writes (controllers, kubelet's status)
// are not entered: an object without owners stays without until somebody applies to it, so a Job's pods cost nothing.

import ClusterProto

/// Sets of fields that objects share. Forgetting them costs memory only.
struct FieldSetPool: Sendable {
  static let limit = 512
  private var sets: [FieldsV1: FieldsV1] = [:]

  /// The instance that equal sets share.
  mutating func shared(_ fields: FieldsV1) -> FieldsV1 {
    if let known = sets[fields] { return known }
    if sets.count >= Self.limit { sets.removeAll(keepingCapacity: true) }
    sets[fields] = fields
    return fields
  }
}

/// How a write is entered in managedFields.
enum OwnershipRecord: Sendable {
  /// A create, update or patch; `given`: managedFields of the body, nil when it names none.
  case update(given: JSON?)
  case apply(FieldOwnership)
}

extension CoordinatorCore {
  /// fieldManager and force, checked as Kubernetes checks the options object of the verb.
  func checkManager(_ request: APIRequest, _ optionsName: String) throws(APIFailure) {
    var errors = FieldErrors()
    let manager = request.options.fieldManager ?? ""
    if request.options.patchKind == .apply, request.verb == .patch {
      if manager.isEmpty { errors.required("fieldManager", "is required for apply patch") }
    } else if request.options.force != nil, request.verb == .patch {
      errors.forbidden("force", "may not be specified for non-apply patch")
    }
    if manager.utf8.count > ManagedFieldsEntry.managerLimit {
      errors.tooLong("fieldManager", bytes: ManagedFieldsEntry.managerLimit)
    }
    var position = 0
    for scalar in manager.unicodeScalars {
      if !ManagedFieldsEntry.isPrintable(scalar) {
        let code = String(scalar.value, radix: 16, uppercase: true)
        let padded = String(repeating: "0", count: max(0, 4 - code.count)) + code
        errors.invalid("fieldManager", manager, "invalid character U+\(padded) (at position \(position))")
      }
      position += UTF8.width(scalar)
    }
    if errors.isEmpty { return }
    let texts = errors.all.map(\.text)
    throw APIFailure(
      code: 422, reason: "Invalid",
      message: "\(optionsName).meta.k8s.io \"\" is invalid: "
        + (texts.count == 1 ? texts[0] : "[\(texts.joined(separator: ", "))]"),
      details: [
        "group": "meta.k8s.io", "kind": .string(optionsName), "causes": .array(errors.all.map(\.cause)),
      ])
  }

  /// Now, in the whole seconds that the API shows, so that a restart changes nothing.
  var managedTime: WallTime {
    WallTime(nanoseconds: now.wall.nanoseconds / 1_000_000_000 * 1_000_000_000)
  }

  func manager(_ request: APIRequest, _ operation: String) -> FieldOwnership.Identity {
    let name = request.options.fieldManager ?? ""
    return FieldOwnership.Identity(
      manager: name.isEmpty ? "unknown" : name, operation: operation, apiVersion: request.kind.apiVersion,
      subresource: request.subresource)
  }

  /// The part of a set that a request may own: the status subresource writes all but the spec (and a pod's owners),
  /// the others all but the status.
  static func visible(_ request: APIRequest) -> (FieldSet) -> FieldSet {
    let status = KindDescriptor.of(request.kind).status
    if request.subresource == "status" {
      let hidesOwners = status?.writesOwners == false
      return { set in
        var seen = set.dropping("f:spec")
        if hidesOwners { seen["f:metadata"] = seen["f:metadata"]?.dropping("f:ownerReferences") }
        return seen
      }
    }
    return status == nil ? { $0 } : { $0.dropping("f:status") }
  }

  /// managedFields of a new object whose fields `tracked` shows, before the server generates anything.
  mutating func ownershipOfNew(_ tracked: JSON, _ record: OwnershipRecord, _ request: APIRequest)
    -> [ManagedFieldsEntry]
  {
    var ownership = FieldOwnership()
    switch record {
    case .apply(let applied): ownership = applied
    case .update(let given):
      if let entries = ManagedFieldsEntry.list(json: given) { ownership = FieldOwnership(entries: entries) }
      var tracked = tracked
      tracked[path: ["metadata", "managedFields"]] = nil
      let comparison = FieldComparison(
        KindDescriptor.of(request.kind).writes.skeleton, tracked, FieldForm.root(request.kind))
      ownership.update(
        comparison, by: manager(request, ManagedFieldsEntry.update), at: managedTime, visible: Self.visible(request))
    }
    return ownership.entries(sharing: &api.fieldSets)
  }

  /// managedFields of an object that a client has changed. Where only times would change, nothing does.
  mutating func ownershipAfter(
    _ after: APIObject, _ before: APIObject, _ record: OwnershipRecord, _ request: APIRequest
  ) -> [ManagedFieldsEntry] {
    let old = before.meta.managedFields
    var ownership: FieldOwnership
    switch record {
    case .apply(let applied): ownership = applied
    case .update(let given):
      if request.subresource.isEmpty, Self.isReset(given) { return [] }
      let entries = request.subresource.isEmpty ? ManagedFieldsEntry.list(json: given) ?? [] : []
      if entries.isEmpty, old.isEmpty { return [] }
      ownership = FieldOwnership(entries: entries.isEmpty ? old : entries)
      let comparison = FieldComparison(
        Self.withoutOwners(before), Self.withoutOwners(after), FieldForm.root(request.kind))
      ownership.update(
        comparison, by: manager(request, ManagedFieldsEntry.update), at: managedTime, visible: Self.visible(request))
    }
    let new = ownership.entries(sharing: &api.fieldSets)
    var unchanged = after
    unchanged.meta.managedFields = old
    return unchanged == before && Self.isSame(new, old) ? old : new
  }

  /// `[]` and `[{}]` take all owners away.
  private static func isReset(_ given: JSON?) -> Bool {
    guard let list = given?.arrayValue else { return false }
    return list.isEmpty || list.count == 1 && list[0].objectValue?.isEmpty == true
  }

  static func withoutOwners(_ object: APIObject) -> JSON {
    var object = object
    object.meta.managedFields = []
    return object.json
  }

  private static func isSame(_ left: [ManagedFieldsEntry], _ right: [ManagedFieldsEntry]) -> Bool {
    func timeless(_ entries: [ManagedFieldsEntry]) -> FieldOwnership {
      FieldOwnership(
        entries: entries.map { entry in
          var entry = entry
          entry.time = nil
          return entry
        }.sorted { ($0.operation, $0.manager, $0.subresource) < ($1.operation, $1.manager, $1.subresource) })
    }
    return left.count == right.count && timeless(left) == timeless(right)
  }

  /// Lets a restored object hold the sets that others hold already.
  mutating func shareFieldSets(_ object: inout APIObject) {
    if object.meta.managedFields.isEmpty { return }
    var entries = object.meta.managedFields
    for index in entries.indices { entries[index].fields = api.fieldSets.shared(entries[index].fields) }
    object.meta.managedFields = entries
  }
}
