// Nodes: what the API does for them alone. Their status is their agents' to report. It must not know sessions or
// leases.

import ClusterProto

extension KindDescriptor {
  static let nodes = KindDescriptor(
    served: ServedRules(
      subresources: [.status], unserved: ["proxy": "an agent serves nothing but its coordinator"],
      tier: .cluster),
    table: TableRules(
      columns: [
        .name, TableColumn("Status", "The status of the node"), TableColumn("Roles", "The roles of the node"), .age,
        TableColumn("Version", "Version of the agent on the node."),
        TableColumn("Internal-IP", "Address of the node in its network.", isWide: true),
        TableColumn("External-IP", "Address of the node from outside.", isWide: true),
        TableColumn("OS-Image", "Operating system of the node.", isWide: true),
        TableColumn("Kernel-Version", "Kernel of the node.", isWide: true),
        TableColumn("Container-Runtime", "What runs containers on the node.", isWide: true),
      ]
    ) { object, now in
      guard case .node(let node) = object else { return [] }
      return nodeCells(node, now)
    },
    selection: SelectionRules(fields: [
      SelectableField(name: "spec.unschedulable") { object in
        guard case .node(let node) = object else { return "" }
        return String(node.unschedulable)
      }
    ]),
    writes: WriteRules(
      skeleton: ["metadata": [:], "spec": [:], "status": [:]],
      settle: { json, before, _, _ in json["status"] = before.json["status"] }, validateNew: nodeProblems,
      validateUpdate: { json, _, errors in nodeProblems(json, into: &errors) },
      honesty: { honesty, _, final in outOfService(final, &honesty) }),
    status: StatusRules(
      write: { json, before throws(APIFailure) in
        var tree = before.json
        tree["status"] = json ?? .object(JSONObject())
        var errors = FieldErrors()
        nodeProblems(tree, into: &errors)
        if !errors.isEmpty { throw .invalid(.nodes, before.meta.name, errors.all) }
        return .node(Node(json: tree))
      },
      // A Kubernetes Node keeps the status that it is created with.
      dropsNew: "the node's agent reports it"))

  /// A person's word that a machine is off counts only once its agent has fallen silent.
  private static func outOfService(_ node: JSON, _ honesty: inout Honesty) {
    let isReady = (node[path: ["status", "conditions"]]?.arrayValue ?? []).contains {
      $0["type"]?.stringValue == "Ready" && $0["status"]?.stringValue == "True"
    }
    let taints = node[path: ["spec", "taints"]]?.arrayValue ?? []
    guard isReady, let index = taints.firstIndex(where: { $0["key"]?.stringValue == Taint.outOfService }) else {
      return
    }
    honesty.warn(
      "spec.taints[\(index)]",
      "the node is Ready, so this ends nothing now; once its agent falls silent, its pods count as dead at once, "
        + "without a proof. To empty a node that is Ready, drain it")
  }

  private static func nodeCells(_ node: Node, _ now: WallTime) -> [JSON] {
    let ready = node.conditions.first { $0.type == "Ready" }
    var status = ready.map { $0.isTrue ? "Ready" : "NotReady" } ?? "Unknown"
    if node.unschedulable { status += ",SchedulingDisabled" }
    let prefix = "node-role.kubernetes.io/"
    var roles: Set<String> = []
    for label in node.meta.labels {
      if label.key.hasPrefix(prefix), label.key.utf8.count > prefix.utf8.count {
        roles.insert(String(label.key.dropFirst(prefix.count)))
      } else if label.key == "kubernetes.io/role", !label.value.isEmpty {
        roles.insert(label.value)
      }
    }
    let info = node.info
    return [
      .string(node.meta.name), .string(status), Tables.orNone(roles.sorted().joined(separator: ",")),
      .string(Tables.age(node.meta.creationTimestamp, now)), .string(info["kubeletVersion"]?.stringValue ?? ""),
      Tables.orNone(node.address), "<none>", unknown(info["osImage"]), unknown(info["kernelVersion"]),
      unknown(info["containerRuntimeVersion"]),
    ]
  }

  private static func unknown(_ json: JSON?) -> JSON {
    .string(json?.stringValue.flatMap { $0.isEmpty ? nil : $0 } ?? "<unknown>")
  }

  /// ValidateNode's rules for amounts; those of pods and of extended resources are whole.
  private static func amounts(_ json: JSON, _ group: String, into errors: inout FieldErrors) {
    for (name, value) in json[path: ["status", group]]?.objectValue ?? JSONObject() {
      let text = value.stringValue ?? value.text
      let at = "status.\(group).\(name)"
      guard let millis = Quantity.thousandths(text) else {
        errors.invalid(at, text, Quantity.formatMessage)
        continue
      }
      if millis < 0 { errors.invalid(at, text, JobValidation.notNegative) }
      let isWhole = name == "pods" || ResourceAmount.isExtended(name)
      if isWhole, millis % 1000 != 0 { errors.invalid(at, text, "must be an integer") }
    }
  }

  private static func nodeProblems(_ json: JSON, into errors: inout FieldErrors) {
    amounts(json, "capacity", into: &errors)
    amounts(json, "allocatable", into: &errors)
    var seen: Set<String> = []
    for (index, taint) in (json[path: ["spec", "taints"]]?.arrayValue ?? []).enumerated() {
      let at = "spec.taints[\(index)]"
      let key = taint["key"]?.stringValue ?? ""
      let effect = taint["effect"]?.stringValue ?? ""
      for problem in Names.labelKeyErrors(key) { errors.invalid("\(at).key", key, problem) }
      for problem in Names.labelValueErrors(taint["value"]?.stringValue ?? "") {
        errors.invalid("\(at).value", taint["value"] ?? "", problem)
      }
      if effect.isEmpty {
        errors.required("\(at).effect")
      } else if !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(effect) {
        errors.unsupported("\(at).effect", effect, ["NoSchedule", "PreferNoSchedule", "NoExecute"])
      }
      if !seen.insert("\(effect)/\(key)").inserted { errors.duplicate(at, "\(key):\(effect)") }
    }
  }
}
