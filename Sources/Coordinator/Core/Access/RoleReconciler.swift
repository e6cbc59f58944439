// Puts the roles and bindings that every cluster has into the state at a start, as Kubernetes does: what is missing of
// them is added, what somebody has added stays, and an annotation keeps them as they are. What they are is BuiltIn's.

import ClusterProto

extension CoordinatorCore {
  mutating func beginAccess() {
    for role in BuiltIn.roles { reconcile(role) }
    for binding in BuiltIn.bindings { reconcile(binding) }
  }

  private static func reference(_ kind: Kind, _ name: String) -> ObjectReference {
    ObjectReference(kind: kind, key: ObjectKey(namespace: "", name: name))
  }

  /// The metadata that is there, or a new one, with what a built-in object has.
  private static func meta(_ name: String, _ labels: StringMap, over before: ObjectMeta?) -> ObjectMeta {
    var meta = before ?? ObjectMeta()
    meta.name = name
    meta.labels = labels.merging([BuiltIn.label: BuiltIn.labelValue]).merging(meta.labels)
    let annotations: StringMap = [BuiltIn.annotation: "true"]
    meta.annotations = annotations.merging(meta.annotations)
    return meta
  }

  private mutating func put(_ object: GenericObject) {
    let reference = APIObject.other(object).reference
    if state[reference] == nil { insert(.other(object)) } else { update(reference) { $0 = .other(object) } }
  }

  private mutating func reconcile(_ role: BuiltInRole) {
    let before = state.other(.clusterroles, ObjectKey(namespace: "", name: role.name))
    if before?.meta.annotations[BuiltIn.annotation] == "false" { return }
    var after = before ?? GenericObject(kind: .clusterroles, meta: ObjectMeta())
    after.meta = Self.meta(role.name, role.labels, over: before?.meta)
    if let label = role.sumOf {
      let selector: JSON = ["matchLabels": .object(JSONObject(entries: [(label, "true")]))]
      var selectors = after.body["aggregationRule"]?["clusterRoleSelectors"]?.arrayValue ?? []
      if !selectors.contains(selector) { selectors.append(selector) }
      after.body["aggregationRule"] = ["clusterRoleSelectors": .array(selectors)]
      if after.body["rules"] == nil { after.body["rules"] = .null }
    } else {
      let held = PolicyRule.list(after.body["rules"])
      var comparison = RuleComparison(held: held)
      let missing = before == nil ? role.rules : comparison.missing(role.rules).map(PolicyRule.compacted) ?? []
      if !missing.isEmpty || before == nil { after.body["rules"] = .array((held + missing).map(\.json)) }
    }
    put(after)
  }

  private mutating func reconcile(_ binding: BuiltInBinding) {
    let group = JSON.string(Kind.accessGroup)
    let role: JSON = ["apiGroup": group, "kind": .string(Kind.clusterroles.name), "name": .string(binding.role)]
    var before = state.other(.clusterrolebindings, ObjectKey(namespace: "", name: binding.role))
    if before?.meta.annotations[BuiltIn.annotation] == "false" { return }
    // A binding's role never changes: another binding takes its place.
    if let found = before, found.body["roleRef"] != role {
      erase(Self.reference(.clusterrolebindings, binding.role))
      before = nil
    }
    var after = before ?? GenericObject(kind: .clusterrolebindings, meta: ObjectMeta())
    after.meta = Self.meta(binding.role, [:], over: before?.meta)
    after.body["roleRef"] = role
    var subjects = after.body["subjects"]?.arrayValue ?? []
    for name in binding.groups {
      let subject: JSON = ["apiGroup": group, "kind": "Group", "name": .string(name)]
      if !subjects.contains(subject) { subjects.append(subject) }
    }
    after.body["subjects"] = .array(subjects)
    put(after)
  }
}
