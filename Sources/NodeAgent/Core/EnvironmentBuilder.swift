// A container's environment: envFrom, then env in order with $(VAR) expansion, fieldRef, configMapKeyRef and
// resourceFieldRef. kubelet's rules and error messages; nothing of the agent's own environment is inherited.

import ClusterProto

/// Builds the environments of one attempt's containers.
struct EnvironmentBuilder {
  let assignment: Assignment
  let place: PodPlace
  let hostname: String

  /// C8: the attempt's number, which a pod's manifest cannot overwrite.
  static let fencingToken = "STINT_FENCING_TOKEN"
  static let defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

  /// The variables, sorted by name.
  func variables(of container: ContainerSpec) throws(PlanningError) -> StringMap {
    var result: StringMap = ["PATH": Self.defaultPath, "HOSTNAME": hostname]
    result[Self.fencingToken] = String(assignment.attempt)
    for entry in container.environmentImports { try take(entry, container.name, &result) }
    for variable in container.environment {
      let known = result
      switch variable.source {
      case .value(let text):
        result[variable.name] = VariableExpansion.expand(text) { known[$0] }
      case .field(let path):
        result[variable.name] = try field(path, container.name)
      case .configMapKey(let name, let key, let optional):
        guard let value = try value("ConfigMap", name, key, optional, container.name) else { continue }
        result[variable.name] = value
      case .secretKey(let name, let key, let optional):
        guard let value = try value("Secret", name, key, optional, container.name) else { continue }
        result[variable.name] = value
      case .resource(let other, let resource, let divisor):
        result[variable.name] = try self.resource(resource, of: other ?? container.name, divisor, container.name)
      }
    }
    result[Self.fencingToken] = String(assignment.attempt)
    return result
  }

  private func failure(_ container: String, _ message: String) -> PlanningError {
    PlanningError(container: container, reason: PodPlanner.configError, message: message)
  }

  /// The `data` of a ConfigMap or Secret; nil: it is missing and may be.
  private func data(_ kind: String, _ name: String, _ optional: Bool, _ container: String) throws(PlanningError)
    -> JSONObject?
  {
    let reference = kind == "Secret" ? "secrets/\(name)" : "configmaps/\(name)"
    guard let object = assignment.references[reference] else {
      if optional { return nil }
      throw failure(container, "\(kind.lowercased()) \"\(name)\" not found")
    }
    return object["data"]?.objectValue ?? JSONObject()
  }

  private func value(
    _ kind: String, _ name: String, _ key: String, _ optional: Bool, _ container: String
  ) throws(PlanningError) -> String? {
    guard let data = try data(kind, name, optional, container) else { return nil }
    guard let value = data[key]?.stringValue else {
      if optional { return nil }
      throw failure(container, "couldn't find key \(key) in \(kind) \(assignment.namespace)/\(name)")
    }
    return value
  }

  /// Names that no environment can hold are left out, as kubelet does (with an event there).
  private func take(
    _ entry: ContainerSpec.EnvironmentImport, _ container: String, _ result: inout StringMap
  ) throws(PlanningError) {
    let found: JSONObject?
    if let map = entry.configMap {
      found = try data("ConfigMap", map, entry.optional, container)
    } else if let secret = entry.secret {
      found = try data("Secret", secret, entry.optional, container)
    } else {
      found = nil
    }
    for (key, value) in found ?? JSONObject() {
      let name = entry.prefix + key
      let isName = !name.isEmpty && name.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "=") }
      if isName, let text = value.stringValue { result[name] = text }
    }
  }

  /// The downward API's fields of the pod.
  private func field(_ path: String, _ container: String) throws(PlanningError) -> String {
    switch path {
    case "metadata.name": return assignment.podName
    case "metadata.namespace": return assignment.namespace
    case "metadata.uid": return assignment.podUID
    case "spec.nodeName": return place.node
    case "spec.serviceAccountName": return assignment.spec.serviceAccountName
    case "status.hostIP", "status.podIP", "status.hostIPs", "status.podIPs": return place.address
    default: break
    }
    if let key = subscriptKey(path, "metadata.labels") { return assignment.labels[key] ?? "" }
    if let key = subscriptKey(path, "metadata.annotations") { return assignment.annotations[key] ?? "" }
    throw failure(container, "unsupported fieldPath: \(path)")
  }

  /// `metadata.labels['a']` → `a`.
  private func subscriptKey(_ path: String, _ field: String) -> String? {
    let (opening, closing) = ("\(field)['", "']")
    guard path.hasPrefix(opening), path.hasSuffix(closing), path.utf8.count > opening.utf8.count + closing.utf8.count
    else { return nil }
    return String(path.dropFirst(opening.count).dropLast(closing.count))
  }

  /// `limits.cpu` and the like in whole units of the divisor, rounded up. A missing limit means what the node has; a
  /// missing request, 0.
  private func resource(
    _ path: String, of target: String, _ divisor: String?, _ container: String
  ) throws(PlanningError) -> String {
    let parts = path.split(separator: ".", maxSplits: 1).map(String.init)
    guard parts.count == 2, parts[0] == "limits" || parts[0] == "requests", let found = tree(of: target) else {
      throw failure(container, "unsupported container resource : \(path)")
    }
    let given = found[path: ["resources", parts[0], parts[1]]]
    let text = given.map { $0.stringValue ?? $0.text }
    let isLimit = parts[0] == "limits"
    let amount: Int64
    let unit: Int64
    switch parts[1] {
    case "cpu":
      amount = text.flatMap { Quantity.parseMillis($0) } ?? (isLimit ? place.capacity.cpuMillicores : 0)
      unit = divisor.flatMap { Quantity.parseMillis($0) } ?? 1000
    case "memory":
      amount = text.flatMap { Quantity.parseBytes($0) } ?? (isLimit ? place.capacity.memoryBytes : 0)
      unit = divisor.flatMap { Quantity.parseBytes($0) } ?? 1
    case "ephemeral-storage":
      amount = text.flatMap { Quantity.parseBytes($0) } ?? 0
      unit = divisor.flatMap { Quantity.parseBytes($0) } ?? 1
    default: throw failure(container, "unsupported container resource : \(path)")
    }
    let step = max(1, unit == 0 ? (parts[1] == "cpu" ? 1000 : 1) : unit)
    let whole = max(0, amount)
    return String(whole / step + (whole % step == 0 ? 0 : 1))
  }

  private func tree(of container: String) -> JSON? {
    for member in ["containers", "initContainers"] {
      let all = assignment.spec.json[member]?.arrayValue ?? []
      if let found = all.first(where: { $0["name"]?.stringValue == container }) { return found }
    }
    return nil
  }
}
