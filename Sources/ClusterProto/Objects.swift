// The typed API objects: Pod, Job, Node and the generic rest. Each reads a validated tree and writes the tree that the
// API shows. No behaviour beyond that: controllers, scheduler and validation live in the coordinator's core.

/// v1 Pod. `spec` is shared among the pods of a Job; `nodeName` and `hostname` are the pod's own.
package struct Pod: Equatable, Sendable {
  /// Its metadata.
  package var meta: ObjectMeta
  /// Its spec.
  package var spec: PodSpec
  /// The node that it is assigned to, or asks for.
  package var nodeName: String?
  /// The host name where the pods of its Job differ in it; nil: what the spec says.
  package var hostname: String?
  /// Its status.
  package var status: PodStatus

  /// Takes each value as it stands; from JSON, what is missing has its default.
  package init(
    meta: ObjectMeta, spec: PodSpec, nodeName: String? = nil, hostname: String? = nil, status: PodStatus = PodStatus()
  ) {
    self.meta = meta
    self.spec = spec
    self.nodeName = nodeName
    self.hostname = hostname
    self.status = status
  }

  /// As the API shows it.
  package var json: JSON {
    var specification = spec.json
    if let nodeName { specification["nodeName"] = .string(nodeName) }
    if let hostname { specification["hostname"] = .string(hostname) }
    return [
      "apiVersion": "v1", "kind": "Pod", "metadata": meta.json, "spec": specification, "status": status.json,
    ]
  }
}

/// Typed part of a Job's spec; `json` is the whole with defaults.
package struct JobSpec: Equatable, Sendable {
  /// As the API shows it.
  package var json: JSON
  /// How many pods must succeed; nil: a work queue.
  package var completions: Int64?
  /// How many pods may run at once.
  package var parallelism: Int64
  /// How many failures are borne.
  package var backoffLimit: Int64
  /// The Job fails after so many seconds of activity; nil: never.
  package var activeDeadlineSeconds: Int64?
  /// It is deleted so many seconds after its end; nil: never.
  package var ttlSecondsAfterFinished: Int64?
  /// Whether it shall have no pods.
  package var suspend: Bool
  /// Whether the user chose the selector.
  package var manualSelector: Bool
  /// Which pods are its own.
  package var selector: JSON?
  /// `TerminatingOrFailed` or `Failed`.
  package var podReplacementPolicy: String
  /// Labels of its pods.
  package var templateLabels: StringMap
  /// Annotations of its pods.
  package var templateAnnotations: StringMap
  /// Finalizers of its pods.
  package var templateFinalizers: [String]
  /// Spec of its pods, before admission.
  package var podSpec: PodSpec
  /// Each index succeeds once, instead of any pods so often.
  package var isIndexed: Bool
  /// How many failures of one index are borne; nil: only the Job's own limit counts.
  package var backoffLimitPerIndex: Int64?
  /// How many indexes may fail before the Job does; nil: all.
  package var maxFailedIndexes: Int64?
  /// What the ends of pods come to; nil: no policy.
  package var failureRules: [PodFailureRule]?
  /// When the Job succeeds before all of its indexes have.
  package var successRules: [JobSuccessRule]
  /// The name of another controller that runs the Job; nil: it is ours.
  package var otherManager: String?
  /// spec.nodeName of its pods; nil: the scheduler chooses.
  package var nodeName: String?

  /// Reads a defaulted, validated spec. `sharing`: the spec instance before an update, kept when the template is the
  /// same.
  package init(json: JSON, sharing previous: PodSpec? = nil) {
    self.json = json
    completions = json["completions"]?.intValue
    parallelism = json["parallelism"]?.intValue ?? 1
    backoffLimit = json["backoffLimit"]?.intValue ?? 6
    activeDeadlineSeconds = json["activeDeadlineSeconds"]?.intValue
    ttlSecondsAfterFinished = json["ttlSecondsAfterFinished"]?.intValue
    suspend = json["suspend"]?.boolValue ?? false
    manualSelector = json["manualSelector"]?.boolValue ?? false
    selector = json["selector"]
    podReplacementPolicy = json["podReplacementPolicy"]?.stringValue ?? "TerminatingOrFailed"
    templateLabels = StringMap(json: json[path: ["template", "metadata", "labels"]])
    templateAnnotations = StringMap(json: json[path: ["template", "metadata", "annotations"]])
    templateFinalizers =
      (json[path: ["template", "metadata", "finalizers"]]?.arrayValue ?? []).compactMap(\.stringValue)
    var specification = json[path: ["template", "spec"]] ?? .object(JSONObject())
    nodeName = specification["nodeName"]?.stringValue.flatMap { $0.isEmpty ? nil : $0 }
    specification["nodeName"] = nil
    if let previous, previous.json == specification {
      podSpec = previous
    } else {
      podSpec = PodSpec(json: specification)
    }
    isIndexed = json["completionMode"]?.stringValue == "Indexed" && completions != nil
    backoffLimitPerIndex = isIndexed ? json["backoffLimitPerIndex"]?.intValue : nil
    maxFailedIndexes = json["maxFailedIndexes"]?.intValue
    failureRules = json["podFailurePolicy"].map { policy in
      (policy["rules"]?.arrayValue ?? []).map { PodFailureRule(json: $0) }
    }
    let successes = isIndexed ? json[path: ["successPolicy", "rules"]]?.arrayValue ?? [] : []
    successRules = successes.map { [completions] in JobSuccessRule(json: $0, completions: completions ?? 0) }
    otherManager = json["managedBy"]?.stringValue.flatMap { $0 == Self.ownManager ? nil : $0 }
  }

  /// The managedBy that names this controller, as no name does.
  package static let ownManager = "kubernetes.io/job-controller"
}

/// status of a Job (batch/v1 JobStatus).
package struct JobStatus: Equatable, Sendable {
  /// Conditions, in the order of their first appearance.
  package var conditions: [Condition] = []
  /// When it became active; nil while it is suspended.
  package var startTime: WallTime?
  /// When it completed; nil for others.
  package var completionTime: WallTime?
  /// Pods that have neither ended nor are being deleted.
  package var active: Int64 = 0
  /// Active pods that are ready.
  package var ready: Int64 = 0
  /// Pods that are being deleted and have not ended.
  package var terminating: Int64 = 0
  /// Pods that succeeded.
  package var succeeded: Int64 = 0
  /// Pods that failed and are charged.
  package var failed: Int64 = 0
  /// Indexes of an Indexed Job that have succeeded.
  package var completedIndexes = IndexIntervals()
  /// Indexes that have failed for good; nil: the Job has no limit for each index.
  package var failedIndexes: IndexIntervals?
  /// What another controller keeps there; this one counts in one step and leaves it empty.
  package var uncounted: JSON = .object(JSONObject())

  /// Takes each value as it stands; from JSON, what is missing has its default.
  package init() {}

  /// Takes each value as it stands; from JSON, what is missing has its default.
  package init(json: JSON?) {
    guard let json else { return }
    conditions = (json["conditions"]?.arrayValue ?? []).map { Condition(json: $0) }
    startTime = json["startTime"]?.stringValue.flatMap { WallTime(rfc3339: $0) }
    completionTime = json["completionTime"]?.stringValue.flatMap { WallTime(rfc3339: $0) }
    active = json["active"]?.intValue ?? 0
    ready = json["ready"]?.intValue ?? 0
    terminating = json["terminating"]?.intValue ?? 0
    succeeded = json["succeeded"]?.intValue ?? 0
    failed = json["failed"]?.intValue ?? 0
    completedIndexes = IndexIntervals(text: json["completedIndexes"]?.stringValue ?? "")
    failedIndexes = json["failedIndexes"]?.stringValue.map { IndexIntervals(text: $0) }
    if let given = json["uncountedTerminatedPods"], given.objectValue != nil { uncounted = given }
  }

  /// As the API shows it.
  package var json: JSON {
    var result: JSON = .object(JSONObject())
    // A Job that no controller has looked at yet.
    if self == JobStatus() { return result }
    if !conditions.isEmpty { result["conditions"] = .array(conditions.map { $0.jobJSON }) }
    if let startTime { result["startTime"] = .string(startTime.rfc3339) }
    if let completionTime { result["completionTime"] = .string(completionTime.rfc3339) }
    if active != 0 { result["active"] = .int(active) }
    if succeeded != 0 { result["succeeded"] = .int(succeeded) }
    if failed != 0 { result["failed"] = .int(failed) }
    if !completedIndexes.isEmpty { result["completedIndexes"] = .string(completedIndexes.text) }
    if let failedIndexes { result["failedIndexes"] = .string(failedIndexes.text) }
    result["ready"] = .int(ready)
    result["terminating"] = .int(terminating)
    result["uncountedTerminatedPods"] = uncounted
    return result
  }

  /// The condition of that type.
  package func condition(_ type: String) -> Condition? { conditions.first { $0.type == type } }
  /// Complete or Failed is True.
  package var isFinished: Bool { finishedCondition != nil }
  /// The condition that ended the Job; nil while it goes on.
  package var finishedCondition: Condition? {
    conditions.first { ($0.type == "Complete" || $0.type == "Failed") && $0.isTrue }
  }
}

extension Condition {
  /// Jobs write lastProbeTime always, as the moment of the transition.
  fileprivate var jobJSON: JSON {
    var result = json()
    if lastProbe == nil { result["lastProbeTime"] = .string(lastTransition.rfc3339) }
    return result
  }
}

/// batch/v1 Job.
package struct Job: Equatable, Sendable {
  /// Its metadata.
  package var meta: ObjectMeta
  /// Its spec.
  package var spec: JobSpec
  /// Its status.
  package var status: JobStatus

  /// Takes each value as it stands; from JSON, what is missing has its default.
  package init(meta: ObjectMeta, spec: JobSpec, status: JobStatus = JobStatus()) {
    self.meta = meta
    self.spec = spec
    self.status = status
  }

  /// As the API shows it.
  package var json: JSON {
    ["apiVersion": "batch/v1", "kind": "Job", "metadata": meta.json, "spec": spec.json, "status": status.json]
  }

  /// The reference that its pods carry: controller and blockOwnerDeletion set.
  package var controllerReference: OwnerReference {
    OwnerReference(
      apiVersion: "batch/v1", kind: "Job", name: meta.name, uid: meta.uid, controller: true, blockOwnerDeletion: true)
  }
}

/// spec.taints of a node.
package struct Taint: Equatable, Sendable {
  /// The taint of a node that is not heard.
  package static let unreachable = "node.kubernetes.io/unreachable"
  /// The taint of a node that is not Ready.
  package static let notReady = "node.kubernetes.io/not-ready"
  /// Whether it is cordoned.
  package static let unschedulable = "node.kubernetes.io/unschedulable"
  /// A person's word that a node is off for good.
  package static let outOfService = "node.kubernetes.io/out-of-service"
  /// The node's disk has too little room.
  package static let diskPressure = "node.kubernetes.io/disk-pressure"
  /// Ours: the node's disk does not answer.
  package static let diskStalled = "stint.dev/disk-stalled"
  /// The effect that also evicts.
  package static let noExecute = "NoExecute"
  /// The effect that only keeps new pods away.
  package static let noSchedule = "NoSchedule"
  /// The effect that keeps new pods away where there is another node.
  package static let preferNoSchedule = "PreferNoSchedule"

  /// The taint's key.
  package var key: String
  /// The taint's value; empty for none.
  package var value: String
  /// What it does to pods that do not tolerate it.
  package var effect: String
  /// When a NoExecute taint was set.
  package var timeAdded: WallTime?

  /// Takes each value as it stands; from JSON, what is missing has its default.
  package init(key: String, value: String = "", effect: String, timeAdded: WallTime? = nil) {
    self.key = key
    self.value = value
    self.effect = effect
    self.timeAdded = timeAdded
  }

  /// Takes each value as it stands; from JSON, what is missing has its default.
  package init(json: JSON) {
    key = json["key"]?.stringValue ?? ""
    value = json["value"]?.stringValue ?? ""
    effect = json["effect"]?.stringValue ?? ""
    timeAdded = json["timeAdded"]?.stringValue.flatMap { WallTime(rfc3339: $0) }
  }

  /// As the API shows it.
  package var json: JSON {
    var result: JSON = ["key": .string(key), "effect": .string(effect)]
    if !value.isEmpty { result["value"] = .string(value) }
    if let timeAdded { result["timeAdded"] = .string(timeAdded.rfc3339) }
    return result
  }
}

/// What a node can hold: millicores, bytes of memory and disk, pods, devices.
package struct NodeCapacity: Equatable, Sendable {
  /// In thousandths of a processor.
  package var cpuMillicores: Int64
  /// In bytes.
  package var memoryBytes: Int64
  /// On the disk of the agent's data directory, in bytes; nil: an agent of a version before does not say, and whatever
  /// is asked for is there.
  package var storageBytes: Int64?
  /// How many pods at once.
  package var pods: Int64
  /// Extended resources, sorted by name.
  package var extended: [ResourceAmount]

  /// Takes each value as it stands; from JSON, what is missing has its default.
  package init(
    cpuMillicores: Int64, memoryBytes: Int64, pods: Int64, extended: [ResourceAmount] = [], storageBytes: Int64? = nil
  ) {
    self.cpuMillicores = cpuMillicores
    self.memoryBytes = memoryBytes
    self.storageBytes = storageBytes
    self.pods = pods
    self.extended = extended
  }

  /// How much there is of an extended resource, or of the disk.
  package func amount(of resource: String) -> Int64 {
    if resource == ResourceAmount.storage { return storageBytes ?? .max }
    return HostPort.capacity(resource) ?? extended.first { $0.name == resource }?.amount ?? 0
  }

  /// Takes each value as it stands; from JSON, what is missing has its default.
  package init(json: JSON?) {
    func amount(_ resource: String, _ parse: (String) -> Int64?) -> Int64 {
      guard let value = json?[resource] else { return 0 }
      return max(0, parse(value.stringValue ?? value.text) ?? 0)
    }
    cpuMillicores = amount("cpu", Quantity.parseMillis)
    memoryBytes = amount("memory", Quantity.parseBytes)
    storageBytes =
      json?[ResourceAmount.storage] == nil ? nil : amount(ResourceAmount.storage, Quantity.parseBytes)
    pods = amount("pods", Quantity.parseBytes)
    extended = ResourceAmount.list(json)
  }

  /// As the API shows it.
  package var json: JSON {
    var result: JSON = ["cpu": .string(Quantity.formatMillis(cpuMillicores))]
    if let storageBytes { result[ResourceAmount.storage] = .string(Quantity.formatBytes(storageBytes)) }
    result["memory"] = .string(Quantity.formatBytes(memoryBytes))
    result["pods"] = .string(String(pods))
    for resource in extended { result[resource.name] = .string(String(resource.amount)) }
    return result
  }
}

/// What of a node's processors, memory and disk is kept from pods, for the system and for its agent.
package struct NodeReserve: Equatable, Sendable {
  /// In thousandths of a processor.
  package var cpuMillicores: Int64
  /// In bytes.
  package var memoryBytes: Int64
  /// On the disk, in bytes.
  package var storageBytes: Int64

  /// Takes each value as it stands.
  package init(cpuMillicores: Int64, memoryBytes: Int64, storageBytes: Int64 = 0) {
    self.cpuMillicores = cpuMillicores
    self.memoryBytes = memoryBytes
    self.storageBytes = storageBytes
  }
}

/// v1 Node.
package struct Node: Equatable, Sendable {
  /// Its metadata.
  package var meta: ObjectMeta
  /// Whether it is cordoned.
  package var unschedulable: Bool
  /// Its taints.
  package var taints: [Taint]
  /// What it offers to pods: status.allocatable.
  package var capacity: NodeCapacity
  /// What status.capacity has beside that; nil: nothing.
  package var reserved: NodeReserve?
  /// Conditions, in the order of their first appearance.
  package var conditions: [Condition]
  /// Address of the agent, shown as InternalIP.
  package var address: String
  /// status.nodeInfo as registered (machineID, bootID, kernelVersion, osImage, …).
  package var info: JSON
  /// status.images, of a node that runs images.
  package var images: [NodeImage]
  /// Members of spec that the coordinator does not read.
  package var otherSpec: JSONObject

  /// Takes each value as it stands; from JSON, what is missing has its default.
  package init(meta: ObjectMeta, capacity: NodeCapacity) {
    self.meta = meta
    unschedulable = false
    taints = []
    self.capacity = capacity
    conditions = []
    address = ""
    info = .object(JSONObject())
    images = []
    otherSpec = JSONObject()
  }

  /// Takes each value as it stands; from JSON, what is missing has its default.
  package init(json: JSON) {
    meta = ObjectMeta(json: json["metadata"])
    unschedulable = json[path: ["spec", "unschedulable"]]?.boolValue ?? false
    taints = (json[path: ["spec", "taints"]]?.arrayValue ?? []).map { Taint(json: $0) }
    var capacity = NodeCapacity(json: json[path: ["status", "capacity"]])
    if let json = json[path: ["status", "allocatable"]] {
      let allocatable = NodeCapacity(json: json)
      let reserve = NodeReserve(
        cpuMillicores: max(0, capacity.cpuMillicores - allocatable.cpuMillicores),
        memoryBytes: max(0, capacity.memoryBytes - allocatable.memoryBytes),
        storageBytes: max(0, (capacity.storageBytes ?? 0) - (allocatable.storageBytes ?? capacity.storageBytes ?? 0)))
      if reserve != NodeReserve(cpuMillicores: 0, memoryBytes: 0) {
        reserved = reserve
        capacity.cpuMillicores -= reserve.cpuMillicores
        capacity.memoryBytes -= reserve.memoryBytes
        capacity.storageBytes = capacity.storageBytes.map { $0 - reserve.storageBytes }
      }
    }
    self.capacity = capacity
    conditions = (json[path: ["status", "conditions"]]?.arrayValue ?? []).map {
      Condition(json: $0, probeMember: "lastHeartbeatTime")
    }
    let addresses = json[path: ["status", "addresses"]]?.arrayValue ?? []
    address = addresses.first { $0["type"]?.stringValue == "InternalIP" }?["address"]?.stringValue ?? ""
    info = json[path: ["status", "nodeInfo"]] ?? .object(JSONObject())
    let images = json[path: ["status", "images"]]?.arrayValue ?? []
    self.images = NodeImage.shown(images.compactMap { try? NodeImage(json: $0, "image") })
    otherSpec = json["spec"]?.objectValue ?? JSONObject()
    otherSpec["unschedulable"] = nil
    otherSpec["taints"] = nil
  }

  /// As the API shows it.
  package var json: JSON {
    var spec = otherSpec
    if unschedulable { spec["unschedulable"] = true }
    if !taints.isEmpty { spec["taints"] = .array(taints.map(\.json)) }
    var whole = capacity
    if let reserved {
      whole.cpuMillicores = whole.cpuMillicores.addingSaturated(reserved.cpuMillicores)
      whole.memoryBytes = whole.memoryBytes.addingSaturated(reserved.memoryBytes)
      whole.storageBytes = whole.storageBytes.map { $0.addingSaturated(reserved.storageBytes) }
    }
    var status: JSON = [
      "capacity": whole.json, "allocatable": capacity.json,
      "conditions": .array(conditions.map { $0.json(probeMember: "lastHeartbeatTime") }), "nodeInfo": info,
    ]
    if !images.isEmpty { status["images"] = .array(images.map(\.json)) }
    if !address.isEmpty {
      status["addresses"] = [
        ["type": "InternalIP", "address": .string(address)], ["type": "Hostname", "address": .string(meta.name)],
      ]
    }
    return ["apiVersion": "v1", "kind": "Node", "metadata": meta.json, "spec": .object(spec), "status": status]
  }

  /// Whether the condition Ready is True.
  package var isReady: Bool { conditions.first { $0.type == "Ready" }?.isTrue ?? false }
}

/// Any other kind (Namespace, ConfigMap, Event, …): metadata typed, the rest as its tree.
package struct GenericObject: Equatable, Sendable {
  /// Its kind.
  package var kind: Kind
  /// Its metadata.
  package var meta: ObjectMeta
  /// The object without `apiVersion`, `kind` and `metadata`.
  package var body: JSONObject

  /// Takes each value as it stands; from JSON, what is missing has its default.
  package init(kind: Kind, meta: ObjectMeta, body: JSONObject = JSONObject()) {
    self.kind = kind
    self.meta = meta
    self.body = body
  }

  /// Takes each value as it stands; from JSON, what is missing has its default.
  package init(kind: Kind, json: JSON) {
    self.kind = kind
    meta = ObjectMeta(json: json["metadata"])
    body = json.objectValue ?? JSONObject()
    for member in ["apiVersion", "kind", "metadata"] { body[member] = nil }
  }

  /// As the API shows it.
  package var json: JSON {
    var object = body
    object["apiVersion"] = .string(kind.apiVersion)
    object["kind"] = .string(kind.name)
    object["metadata"] = meta.json
    return .object(object)
  }
}
