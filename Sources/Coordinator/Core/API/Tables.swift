// Tables as kubectl asks for them (meta.k8s.io/v1 Table): columns of every kind and their rows. Cell rules of Jobs
// and pods are in
// their own files.

import ClusterProto

struct TableColumn: Equatable, Sendable {
  var name: String
  var type = "string"
  var format = ""
  var description: String
  /// 1: shown with `-o wide` only.
  var priority: Int64 = 0

  var json: JSON {
    [
      "name": .string(name), "type": .string(type), "format": .string(format), "description": .string(description),
      "priority": .int(priority),
    ]
  }
}

enum Tables {
  private static let name = TableColumn(
    name: "Name", format: "name",
    description:
      "Name must be unique within a namespace. Is required when creating resources, although some resources may "
      + "allow a client "
      + "to request the generation of an appropriate name automatically. Name is primarily intended for creation "
      + "idempotence "
      + "and configuration definition. Cannot be updated. More info: "
      + "https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names")
  private static let age = TableColumn(
    name: "Age",
    description:
      "CreationTimestamp is a timestamp representing the server time when this object was created. It is not "
      + "guaranteed to be "
      + "set in happens-before order across separate operations. Clients may not set this value. It is represented "
      + "in RFC3339 "
      + "form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: "
      + "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata")

  private static func column(_ name: String, _ description: String, type: String = "string", wide: Bool = false)
    -> TableColumn
  {
    TableColumn(name: name, type: type, description: description, priority: wide ? 1 : 0)
  }

  static func columns(of kind: Kind) -> [TableColumn] {
    switch kind {
    case .jobs: job
    case .pods: pod
    case .nodes: node
    case .events: event
    case .configmaps: [name, column("Data", "Number of keys in data and binaryData.", type: "string"), age]
    case .secrets:
      [name, column("Type", "Type of the secret."), column("Data", "Number of keys in data."), age]
    case .namespaces: [name, column("Status", "The status of the namespace"), age]
    case .leases: [name, column("Holder", "Holder of the lease."), age]
    case .priorityclasses:
      [
        name, column("Value", "Value of the priority class.", type: "integer"),
        column("Global-Default", "Whether this is the default of pods without a class.", type: "boolean"), age,
        column("PreemptionPolicy", "The policy for preempting pods with lower priority."),
      ]
    case .services:
      [
        name, column("Type", "Type of the service."), column("Cluster-IP", "Address inside the cluster."),
        column("External-IP", "Address outside the cluster."), column("Port(s)", "Ports of the service."), age,
        column("Selector", "Pods of the service.", wide: true),
      ]
    case .serviceaccounts: [name, column("Secrets", "Number of secrets."), age]
    }
  }

  private static let job: [TableColumn] = [
    name, column("Status", "Status of the job."),
    column(
      "Completions",
      "The number of pods which reached phase Succeeded. The value increases monotonically for a given spec. "
        + "However, it may "
        + "decrease in reaction to scale down of elastic indexed jobs."),
    column("Duration", "Time required to complete the job."), age,
    column("Containers", "Names of each container in the template.", wide: true),
    column("Images", "Images referenced by each container in the template.", wide: true),
    column(
      "Selector",
      "A label query over pods that should match the pod count. Normally, the system sets this field for you. "
        + "More info: "
        + "https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors", wide: true),
  ]
  private static let pod: [TableColumn] = [
    name, column("Ready", "The aggregate readiness state of this pod for accepting traffic."),
    column("Status", "The aggregate status of the containers in this pod."),
    column(
      "Restarts",
      "The number of times the containers in this pod have been restarted and when the last container in this pod has "
        + "restarted."), age,
    column("IP", "Address of the pod.", wide: true), column("Node", "Node that the pod is bound to.", wide: true),
    column("Nominated Node", "Node that pods are being evicted from for this pod.", wide: true),
    column("Readiness Gates", "Conditions that the pod's readiness waits for.", wide: true),
  ]
  private static let node: [TableColumn] = [
    name, column("Status", "The status of the node"), column("Roles", "The roles of the node"), age,
    column("Version", "Version of the agent on the node."),
    column("Internal-IP", "Address of the node in its network.", wide: true),
    column("External-IP", "Address of the node from outside.", wide: true),
    column("OS-Image", "Operating system of the node.", wide: true),
    column("Kernel-Version", "Kernel of the node.", wide: true),
    column("Container-Runtime", "What runs containers on the node.", wide: true),
  ]
  private static let event: [TableColumn] = [
    column("Last Seen", "Time since the event was seen last."), column("Type", "Type of the event."),
    column("Reason", "Why the event happened."), column("Object", "What the event is about."),
    column("Subobject", "Part of the object that the event is about.", wide: true),
    column("Source", "Component that reports the event.", wide: true), column("Message", "What happened."),
    column("First Seen", "Time since the event was seen first.", wide: true),
    column("Count", "How often the event was seen.", wide: true),
    TableColumn(name: "Name", format: "name", description: name.description, priority: 1),
  ]

  /// A Table without rows; `meta` is a list's.
  static func frame(of kind: Kind, meta: JSON) -> JSON {
    [
      "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": meta,
      "columnDefinitions": .array(columns(of: kind).map(\.json)),
    ]
  }

  static func table(rows: [JSON], of kind: Kind, resourceVersion: Int64, withColumns: Bool = true) -> JSON {
    var table = frame(of: kind, meta: ["resourceVersion": .string(String(resourceVersion))])
    if !withColumns { table["columnDefinitions"] = .null }
    table["rows"] = .array(rows)
    return table
  }

  /// One row; `include`: `None`, `Metadata` (also nil; without managedFields, which no table shows) or `Object`.
  static func row(_ object: APIObject, include: String?, now: WallTime) -> JSON {
    var meta = object.meta
    meta.managedFields = []
    let shown: JSON =
      switch include {
      case "None": .null
      case "Object": object.json
      default: CoordinatorCore.partialMetadata(meta)
      }
    return ["cells": .array(cells(object, now)), "object": shown]
  }

  static func cells(_ object: APIObject, _ now: WallTime) -> [JSON] {
    switch object {
    case .job(let job): JobCells.cells(job, now)
    case .pod(let pod): PodCells.cells(pod, now)
    case .node(let node): nodeCells(node, now)
    case .other(let other): otherCells(other, now)
    }
  }

  static func age(_ time: WallTime?, _ now: WallTime) -> String {
    guard let time, time.nanoseconds != 0 else { return "<unknown>" }
    // Stamps hold whole seconds for whoever reads them, a Job's start among them: no AGE below its DURATION.
    return humanDuration(milliseconds: now.milliseconds - time.seconds * 1_000)
  }

  static func orNone(_ text: String?) -> JSON { .string(text.flatMap { $0.isEmpty ? nil : $0 } ?? "<none>") }

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
      .string(node.meta.name), .string(status), orNone(roles.sorted().joined(separator: ",")),
      .string(age(node.meta.creationTimestamp, now)), .string(info["kubeletVersion"]?.stringValue ?? ""),
      orNone(node.address), "<none>", unknown(info["osImage"]), unknown(info["kernelVersion"]),
      unknown(info["containerRuntimeVersion"]),
    ]
  }

  private static func unknown(_ json: JSON?) -> JSON {
    .string(json?.stringValue.flatMap { $0.isEmpty ? nil : $0 } ?? "<unknown>")
  }

  private static func otherCells(_ object: GenericObject, _ now: WallTime) -> [JSON] {
    let body = object.body
    let name = JSON.string(object.meta.name)
    let age = JSON.string(age(object.meta.creationTimestamp, now))
    func count(_ members: String...) -> JSON {
      .string(String(members.reduce(0) { $0 + (body[$1]?.objectValue?.count ?? body[$1]?.arrayValue?.count ?? 0) }))
    }
    switch object.kind {
    case .events: return eventCells(object, now)
    case .configmaps: return [name, count("data", "binaryData"), age]
    case .secrets: return [name, body["type"] ?? "", count("data"), age]
    case .namespaces: return [name, body["status"]?["phase"] ?? "", age]
    case .leases: return [name, body["spec"]?["holderIdentity"] ?? "", age]
    case .priorityclasses:
      return [name, body["value"] ?? 0, body["globalDefault"] ?? false, age, body["preemptionPolicy"] ?? ""]
    case .services:
      let spec = body["spec"] ?? .null
      return [
        name, spec["type"] ?? "ClusterIP", orNone(spec["clusterIP"]?.stringValue), "<none>", .string(ports(spec)), age,
        orNone(LabelSelector(json: ["matchLabels": spec["selector"] ?? .object(JSONObject())]).description),
      ]
    case .serviceaccounts: return [name, count("secrets"), age]
    case .jobs, .pods, .nodes: return [name, age]
    }
  }

  private static func ports(_ spec: JSON) -> String {
    let texts = (spec["ports"]?.arrayValue ?? []).map { port in
      "\(port["port"]?.intValue ?? 0)/\(port["protocol"]?.stringValue ?? "TCP")"
    }
    return texts.isEmpty ? "<none>" : texts.joined(separator: ",")
  }

  private static func eventCells(_ event: GenericObject, _ now: WallTime) -> [JSON] {
    let body = event.body
    func time(_ json: JSON?) -> WallTime? { json?.stringValue.flatMap { WallTime(rfc3339: $0) } }
    let micro = time(body["eventTime"])
    let first = time(body["firstTimestamp"]) ?? micro
    let last = time(body["series"]?["lastObservedTime"]) ?? time(body["lastTimestamp"]) ?? first
    let count = body["series"]?["count"]?.intValue ?? body["count"]?.intValue ?? 1
    let involved = body["involvedObject"] ?? .null
    let kind = (involved["kind"]?.stringValue ?? "").lowercased()
    let component = body["source"]?["component"]?.stringValue ?? ""
    let host = body["source"]?["host"]?.stringValue ?? ""
    let source = component.isEmpty ? body["reportingComponent"]?.stringValue ?? "" : component
    return [
      .string(age(last, now)), body["type"] ?? "", body["reason"] ?? "",
      .string("\(kind)/\(involved["name"]?.stringValue ?? "")"), involved["fieldPath"] ?? "",
      .string(host.isEmpty ? source : "\(source), \(host)"), .string(trimmed(body["message"]?.stringValue ?? "")),
      .string(age(first, now)), .int(count), .string(event.meta.name),
    ]
  }

  private static func trimmed(_ text: String) -> String {
    let isSpace: (Character) -> Bool = { $0 == " " || $0 == "\n" || $0 == "\t" || $0 == "\r" }
    let front = text.drop(while: isSpace)
    guard let end = front.lastIndex(where: { !isSpace($0) }) else { return "" }
    return String(front[...end])
  }
}
