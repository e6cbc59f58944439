// Pods: what the API does for them alone. Cells, defaults and validation, which are long, are in files of their own
// (PodCells, Defaults, PodValidation). It must not know what becomes of a pod.

import ClusterProto

extension KindDescriptor {
  static let pods = KindDescriptor(
    served: ServedRules(
      subresources: [
        entrance("attach", "PodAttachOptions"),
        // As in Kubernetes: whose policies know containers of other kinds alone may not want it.
        ServedSubresource(
          name: CoordinatorCore.ephemeralContainers, verbs: ["get", "patch", "update"], isInRoles: false),
        ServedSubresource(name: "eviction", verbs: ["create"], type: ("policy", "Eviction")),
        entrance("exec", "PodExecOptions"), ServedSubresource(name: "log", verbs: ["get"]),
        entrance("portforward", "PodPortForwardOptions"), .status,
      ],
      unserved: [
        "proxy": portsAreTheNodes,
        "resize": "a pod keeps the resources that it was created with",
        "binding": "the coordinator alone assigns pods to nodes; choose them with nodeSelector",
      ], isInAll: true),
    table: TableRules(columns: podColumns) { object, now in
      guard case .pod(let pod) = object else { return [] }
      return PodCells.cells(pod, now)
    },
    selection: SelectionRules(fields: podFields), writes: podWrites,
    status: StatusRules(
      write: { json, before in
        guard case .pod(var pod) = before else { return before }
        var status = PodStatus(json: json)
        status.phase = phase(json, of: pod)
        // The fencing token is the coordinator's, not a client's.
        status.fencingToken = pod.status.fencingToken
        pod.status = status
        return .pod(pod)
      },
      // As in Kubernetes, where old kubelets damaged them.
      writesOwners: false),
    deletion: DeletionRules(returnsObject: true))

  /// The phase that a client writes. Kubernetes takes any word, and its kubelet puts right what is wrong: here a word
  /// that is no phase is not kept, and a phase that the pod has left does not come back.
  private static func phase(_ status: JSON?, of pod: Pod) -> PodPhase {
    let old = pod.status.phase
    guard let new = status?["phase"]?.stringValue.flatMap({ PodPhase(rawValue: $0) }) else { return old }
    func rank(_ phase: PodPhase) -> Int { phase.isTerminal ? 2 : phase == .pending ? 0 : 1 }
    return rank(new) < rank(old) || old.isTerminal ? old : new
  }

  /// GET is what WebSockets begin with.
  private static func entrance(_ name: String, _ kind: String) -> ServedSubresource {
    ServedSubresource(name: name, verbs: ["create", "get"], type: ("", kind), isEntrance: true)
  }

  static let portsAreTheNodes = "a pod's ports are its node's: connect to them there"

  private static let podWrites = WriteRules(
    skeleton: ["metadata": [:], "spec": ["containers": .null], "status": [:]],
    defaults: { json in
      if json["spec"] == nil { json["spec"] = .object(JSONObject()) }
      Defaults.within(&json, "spec") { spec in
        Defaults.podSpec(&spec)
        Defaults.pod(&spec)
      }
    },
    complete: { json, configuration in
      let spec = json["spec"] ?? .object(JSONObject())
      json["spec"] = Defaults.admit(podSpec: spec, tolerationSeconds: configuration.defaultTolerationSeconds)
      json["status"] = ["phase": "Pending", "qosClass": .string(QualityOfService.of(PodSpec(json: spec)).rawValue)]
    },
    admit: { (json, core) throws(APIFailure) in
      core.admitLimits(&json)
      try core.admitAccount(&json)
      try core.admitPriority(&json)
    },
    settle: { json, before, configuration, _ in
      // A manifest applied again does not carry the tolerations, the volume and the Secrets that admission added.
      guard let spec = json["spec"], case .pod(let pod) = before else { return }
      var admitted = Defaults.admit(podSpec: spec, tolerationSeconds: configuration.defaultTolerationSeconds)
      if TokenMount.isMounted(in: pod.spec.json) { TokenMount.add(to: &admitted) }
      if (admitted["imagePullSecrets"]?.arrayValue ?? []).isEmpty {
        admitted["imagePullSecrets"] = pod.spec.json["imagePullSecrets"]
      }
      for member in ["priorityClassName", "priority", "preemptionPolicy"] where admitted[member] == nil {
        admitted[member] = pod.spec.json[member]
      }
      json["spec"] = admitted
    },
    validateNew: { json, errors in
      var validation = PodValidation()
      validation.podSpec(json["spec"] ?? .null, "spec")
      if json[path: ["spec", "ephemeralContainers"]] != nil {
        validation.errors.forbidden("spec.ephemeralContainers", "cannot be set on create")
      }
      errors.append(validation.errors)
      JobAnnotationRules.pods(
        StringMap(json: json[path: ["metadata", "annotations"]]), "metadata.annotations", into: &errors)
      if let node = json[path: ["spec", "nodeName"]]?.stringValue, !node.isEmpty,
        !(json[path: ["spec", "schedulingGates"]]?.arrayValue ?? []).isEmpty
      {
        errors.forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared")
      }
    },
    validateUpdate: { json, before, errors in
      guard case .pod(let pod) = before else { return }
      podUpdate(json, pod, into: &errors)
      JobAnnotationRules.pods(
        StringMap(json: json[path: ["metadata", "annotations"]]), "metadata.annotations", into: &errors)
    },
    honesty: { honesty, tree, final in
      honesty.podAnnotations(final)
      honesty.podSpec(tree.json["spec"] ?? .null, "spec")
      honesty.unlimitedToleration(final["spec"] ?? .null, "spec")
    },
    // Next to nothing of a pod's spec can change.
    isHonestAtUpdates: false,
    raisesGeneration: { before, after in
      guard case .pod(let old) = before, case .pod(let new) = after else { return false }
      return new.spec != old.spec
    })

  private static let podColumns: [TableColumn] = [
    .name, TableColumn("Ready", "The aggregate readiness state of this pod for accepting traffic."),
    TableColumn("Status", "The aggregate status of the containers in this pod."),
    TableColumn(
      "Restarts",
      "The number of times the containers in this pod have been restarted and when the last container in this pod has "
        + "restarted."), .age, TableColumn("IP", "Address of the pod.", isWide: true),
    TableColumn("Node", "Node that the pod is bound to.", isWide: true),
    TableColumn("Nominated Node", "Node that pods are being evicted from for this pod.", isWide: true),
    TableColumn("Readiness Gates", "Conditions that the pod's readiness waits for.", isWide: true),
  ]

  private static let podFields = [
    podField("spec.nodeName") { $0.nodeName ?? "" }, podField("spec.restartPolicy") { $0.spec.restartPolicy.rawValue },
    podField("spec.schedulerName") { $0.spec.json["schedulerName"]?.stringValue ?? "" },
    podField("spec.serviceAccountName") { $0.spec.json["serviceAccountName"]?.stringValue ?? "" },
    podField("spec.hostNetwork") { String($0.spec.json["hostNetwork"]?.boolValue ?? false) },
    podField("status.phase") { $0.status.phase.rawValue }, podField("status.podIP") { $0.status.podIP },
    // Known, and of no value: so it is in Kubernetes, too.
    podField("status.podIPs") { _ in "" }, podField("status.nominatedNodeName") { $0.status.nominatedNodeName },
  ]

  private static func podField(_ name: String, _ value: @escaping @Sendable (Pod) -> String) -> SelectableField {
    SelectableField(name: name) { object in
      guard case .pod(let pod) = object else { return "" }
      return value(pod)
    }
  }

  /// ValidatePodUpdate: only images, deadlines, additions to tolerations and a shorter grace of −1 may change.
  private static func podUpdate(_ new: JSON, _ old: Pod, into errors: inout FieldErrors) {
    var frozenNew = new["spec"] ?? .null
    var frozenOld = old.json["spec"] ?? .null
    let kept = Set(withoutSeconds(frozenNew["tolerations"]))
    if !withoutSeconds(frozenOld["tolerations"]).allSatisfy({ kept.contains($0) }) {
      errors.forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")
    } else {
      var validation = PodValidation()
      validation.tolerations(frozenNew, "spec")
      errors.append(validation.errors)
    }
    GatedPod.update(&frozenNew, &frozenOld, into: &errors)
    for name in ["activeDeadlineSeconds", "tolerations"] {
      frozenNew[name] = nil
      frozenOld[name] = nil
    }
    let grace = "terminationGracePeriodSeconds"
    if (old.json[path: ["spec", grace]]?.intValue ?? 0) < 0, frozenNew[grace] == 1 { frozenOld[grace] = 1 }
    for list in ["containers", "initContainers"] {
      frozenNew[list] = withoutImages(frozenNew[list])
      frozenOld[list] = withoutImages(frozenOld[list])
    }
    if frozenNew != frozenOld {
      errors.forbidden(
        "spec",
        "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
          + "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
          + "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)")
    }
  }

  private static func withoutSeconds(_ tolerations: JSON?) -> [JSON] {
    (tolerations?.arrayValue ?? []).map { toleration in
      var toleration = toleration
      toleration["tolerationSeconds"] = nil
      return toleration
    }
  }

  private static func withoutImages(_ list: JSON?) -> JSON? {
    guard var containers = list?.arrayValue else { return list }
    for index in containers.indices { containers[index]["image"] = nil }
    return .array(containers)
  }
}
