// Owns: the priority of a pod, as Kubernetes' admission has it: its class's, else that of the class for all, else 0;
// and which classes there may be. It must not know what priorities do: that is the scheduler's.

import ClusterProto

/// What a pod gets from its class.
struct PodPriority: Equatable, Sendable {
  /// Empty: none.
  var className = ""
  var value: Int64 = 0
  var preemptionPolicy = "PreemptLowerPriority"

  init() {}

  init(_ object: GenericObject) {
    className = object.meta.name
    value = object.body["value"]?.intValue ?? 0
    preemptionPolicy = object.body["preemptionPolicy"]?.stringValue ?? preemptionPolicy
  }

  /// Whether a spec that was admitted has it.
  func isHeld(by spec: PodSpec) -> Bool {
    spec.priority == value && spec.scheduling.neverPreempts == (preemptionPolicy == "Never")
      && spec.json["priorityClassName"]?.stringValue ?? "" == className
  }
}

/// One of Kubernetes' own classes: for what a cluster cannot do without.
struct SystemPriority: Sendable {
  var name: String
  var value: Int64
  var description: String

  static let prefix = "system-"
  static let all = [
    SystemPriority(
      name: "system-cluster-critical", value: 2_000_000_000,
      description: "For pods that the cluster needs, on whichever node."),
    SystemPriority(
      name: "system-node-critical", value: 2_000_001_000,
      description: "For pods that a node needs, and that must stay on it."),
  ]

  /// What is wrong with a class whose name is kept for these.
  static func problem(_ name: String, _ value: Int64, isDefault: Bool) -> String? {
    guard let found = all.first(where: { $0.name == name }) else {
      return "\(name) is not a known system priority class"
    }
    if value != found.value { return "value of \(name) PriorityClass must be \(found.value)" }
    return isDefault ? "globalDefault of \(name) PriorityClass must be false" : nil
  }
}

extension CoordinatorCore {
  /// The classes that every cluster has.
  mutating func beginPriorities() {
    for system in SystemPriority.all {
      guard state.other(.priorityclasses, ObjectKey(namespace: "", name: system.name)) == nil else { continue }
      var meta = ObjectMeta()
      meta.name = system.name
      insert(
        .other(
          GenericObject(
            kind: .priorityclasses, meta: meta,
            body: [
              "value": .int(system.value), "description": .string(system.description),
              "preemptionPolicy": "PreemptLowerPriority",
            ])))
    }
  }

  /// Keeps the class for all at hand: of several that with the least value counts.
  mutating func observePriorityClass(_ change: ObjectChange) {
    guard case .other(let object)? = change.subject, object.kind == .priorityclasses else { return }
    if change.before == nil {
      // What waits for a class may go on.
      for namespace in workloads.refused.keys.sorted() { refusalMayBeOver(in: namespace) }
    }
    let isDefault: (APIObject?) -> Bool = { found in
      guard case .other(let object)? = found else { return false }
      return object.body["globalDefault"]?.boolValue ?? false
    }
    guard isDefault(change.before) || isDefault(change.after) else { return }
    var least: PodPriority?
    for key in state.keys(of: .priorityclasses) {
      guard let object = state.other(.priorityclasses, key), object.body["globalDefault"]?.boolValue == true else {
        continue
      }
      let found = PodPriority(object)
      if found.value < least?.value ?? Int64.max { least = found }
    }
    workloads.defaultPriority = least ?? PodPriority()
  }

  /// The priority of a new pod with that spec, or why there may be no such pod, in Kubernetes' words.
  func podPriority(_ spec: JSON) -> (priority: PodPriority, problem: String?) {
    var priority = workloads.defaultPriority
    if let name = spec["priorityClassName"]?.stringValue, !name.isEmpty {
      guard let object = state.other(.priorityclasses, ObjectKey(namespace: "", name: name)) else {
        return (priority, "no PriorityClass with name \(name) was found")
      }
      priority = PodPriority(object)
    }
    let rest = "must not be provided in pod spec; priority admission controller computed"
    if let given = spec["priority"]?.intValue, given != priority.value {
      return (
        priority,
        "the integer value of priority (\(given)) \(rest) \(priority.value) from the given PriorityClass name"
      )
    }
    if let given = spec["preemptionPolicy"]?.stringValue, given != priority.preemptionPolicy {
      return (
        priority,
        "the string value of PreemptionPolicy (\(given)) \(rest) \(priority.preemptionPolicy) from the given "
          + "PriorityClass name"
      )
    }
    return (priority, nil)
  }

  /// Writes the priority into the spec.
  static func admit(_ priority: PodPriority, into spec: inout JSON) {
    if !priority.className.isEmpty { spec["priorityClassName"] = .string(priority.className) }
    spec["priority"] = .int(priority.value)
    spec["preemptionPolicy"] = .string(priority.preemptionPolicy)
  }

  /// The admission of a new pod that a client creates.
  func admitPriority(_ json: inout JSON) throws(APIFailure) {
    guard var spec = json["spec"] else { return }
    let (priority, problem) = podPriority(spec)
    if let problem { throw .forbidden(.pods, json[path: ["metadata", "name"]]?.stringValue ?? "", problem) }
    Self.admit(priority, into: &spec)
    json["spec"] = spec
  }

  /// One class at most is for all.
  func admitPriorityClass(_ json: JSON) throws(APIFailure) {
    let (name, known) = (json[path: ["metadata", "name"]]?.stringValue ?? "", workloads.defaultPriority.className)
    guard json["globalDefault"]?.boolValue == true, !known.isEmpty, known != name else { return }
    throw .forbidden(
      .priorityclasses, name,
      "PriorityClass \(known) is already marked as default. Only one default can exist")
  }
}
