// Namespaces: what the API does for them alone. It must not know what lies in a namespace, nor how it is emptied.

import ClusterProto

extension KindDescriptor {
  static let namespaces = KindDescriptor(
    served: ServedRules(
      verbs: ["create", "delete", "get", "list", "patch", "update", "watch"],
      subresources: [ServedSubresource(name: "finalize", verbs: ["update"]), .status], tier: .visible),
    table: .simple([.name, TableColumn("Status", "The status of the namespace"), .age]) { namespace, name, age in
      [name, namespace.body["status"]?["phase"] ?? "", age]
    },
    selection: SelectionRules(fields: [SelectableField(path: "status.phase")]),
    writes: WriteRules(
      skeleton: ["metadata": [:], "spec": [:], "status": [:]], nameProblems: { Names.labelErrors($0) },
      newDefaults: { json in
        if json["spec"] == nil { json["spec"] = .object(JSONObject()) }
        // Others may hold a namespace beside the cluster itself.
        Defaults.within(&json, "spec") { spec in
          let own = JSON.string(CoordinatorCore.namespaceFinalizer)
          let given = spec["finalizers"]?.arrayValue ?? []
          if !given.contains(own) { spec["finalizers"] = .array(given + [own]) }
        }
        json["status"] = ["phase": "Active"]
        json[path: ["metadata", "labels", "kubernetes.io/metadata.name"]] =
          .string(json[path: ["metadata", "name"]]?.stringValue ?? "")
      },
      settle: { json, before, _, warnings in
        let old = before.json
        if let given = json[path: ["spec", "finalizers"]], given != old[path: ["spec", "finalizers"]] {
          warnings.append("spec.finalizers: only written by namespaces/finalize, ignored")
        }
        json["spec"] = old["spec"]
        json["status"] = old["status"]
      }, validateNew: namespace, validateUpdate: { json, _, errors in namespace(json, into: &errors) }),
    status: StatusRules { json, before throws(APIFailure) in
      guard case .other(let namespace) = before else { return before }
      try namespaceStatus(json, namespace)
      var tree = namespace.json
      tree["status"] = json
      return .other(GenericObject(kind: .namespaces, json: tree))
    },
    deletion: DeletionRules(keeps: ["default", "kube-public", "kube-system"]))

  private static func namespace(_ json: JSON, into errors: inout FieldErrors) {
    for problem in PodSecurityPolicy.problems(StringMap(json: json[path: ["metadata", "labels"]])) {
      errors.invalid("metadata.labels[\(problem.label)]", problem.value, problem.problem)
    }
    MetaValidation.finalizers(json[path: ["spec", "finalizers"]], "spec.finalizers", into: &errors)
  }

  /// ValidateNamespaceStatusUpdate: the phase follows from the deletion, nobody may end a namespace by its status.
  private static func namespaceStatus(_ status: JSON?, _ object: GenericObject) throws(APIFailure) {
    let isEnding = object.meta.deletionTimestamp != nil
    let (phase, expected) = (status?["phase"]?.stringValue ?? "", isEnding ? "Terminating" : "Active")
    if phase == expected { return }
    var errors = FieldErrors()
    errors.invalid(
      "status.Phase", phase,
      isEnding
        ? "may only be 'Terminating' if `deletionTimestamp` is not empty"
        : "may only be 'Active' if `deletionTimestamp` is empty")
    throw .invalid(.namespaces, object.meta.name, errors.all)
  }
}
