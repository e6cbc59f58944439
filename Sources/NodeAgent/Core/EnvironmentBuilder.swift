// A container's environment: envFrom, then env in order with $(VAR) expansion, references to ConfigMaps, Secrets and
// the pod itself. kubelet's rules and error messages; nothing of the agent's own environment is inherited.

import ClusterProto

/// Variables that count their bytes while they grow.
private struct GrowingEnvironment {
  var values = StringMap()
  /// With `=` and the ending byte of each, as the kernel counts.
  private var bytes = 0

  /// Sets a variable; the kernel would start no program with more than this.
  mutating func set(_ name: String, _ value: String, _ container: String) throws(PlanningError) {
    let length = name.utf8.count + 1 + value.utf8.count
    if length > PlanLimits.text { throw Self.tooLong(name, container) }
    if let old = values[name] { bytes -= name.utf8.count + old.utf8.count + 2 }
    bytes += length + 1
    if bytes > PlanLimits.container {
      throw PlanningError(
        container: container, reason: PodPlanner.configError,
        message: "environment variable \"\(name)\" makes the environment longer than \(PlanLimits.container) bytes, "
          + "the most that a program can be started with")
    }
    values[name] = value
  }

  /// Sets a variable to a text with `$(NAME)` in it.
  mutating func expand(_ text: String, into name: String, _ container: String) throws(PlanningError) {
    let expanded: String
    do throws(ExpansionOverflow) {
      expanded = try VariableExpansion.expand(text, limit: PlanLimits.text) { values[$0] }
    } catch {
      throw Self.tooLong(name, container)
    }
    try set(name, expanded, container)
  }

  private static func tooLong(_ name: String, _ container: String) -> PlanningError {
    PlanningError(
      container: container, reason: PodPlanner.configError,
      message: "environment variable \"\(name)\" is longer than \(PlanLimits.text) bytes with its name, the most that "
        + "a program can be started with")
  }
}

/// Builds the environments of one attempt's containers.
struct EnvironmentBuilder {
  let assignment: Assignment
  let place: PodPlace
  let hostname: String

  /// C8: the attempt's number, which a pod's manifest cannot overwrite.
  static let fencingToken = "STINT_FENCING_TOKEN"
  /// Where `stint` itself finds the coordinator, on the API's host.
  static let nativePort = "STINT_SERVICE_PORT"
  static let defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

  /// As kubelet names the pod in messages.
  var podLabel: String { "\(assignment.podName)_\(assignment.namespace)(\(assignment.podUID))" }

  /// The variables, sorted by name. `inImage`: its PATH is the image's.
  func variables(of container: ContainerSpec, inImage: Bool = false) throws(PlanningError) -> StringMap {
    var result = GrowingEnvironment()
    if !inImage { try result.set("PATH", Self.defaultPath, container.name) }
    try result.set("HOSTNAME", hostname, container.name)
    try result.set(Self.fencingToken, String(assignment.attempt), container.name)
    if let api = assignment.api {
      try result.set("KUBERNETES_SERVICE_HOST", api.host, container.name)
      for name in ["KUBERNETES_SERVICE_PORT", "KUBERNETES_SERVICE_PORT_HTTPS"] {
        try result.set(name, String(api.port), container.name)
      }
      if let native = api.native { try result.set(Self.nativePort, String(native), container.name) }
    }
    for entry in container.environmentImports { try take(entry, container.name, &result) }
    for variable in container.environment {
      switch variable.source {
      case .value(let text):
        try result.expand(text, into: variable.name, container.name)
      case .pod(let value):
        let text: String
        do throws(DownwardError) {
          text = try DownwardAPI(assignment: assignment, place: place).text(of: value, askedBy: container.name)
        } catch {
          throw failure(container.name, error.message)
        }
        try result.set(variable.name, text, container.name)
      case .configMapKey(let name, let key, let optional):
        guard let value = try value("ConfigMap", name, key, optional, container.name) else { continue }
        try result.set(variable.name, value, container.name)
      case .secretKey(let name, let key, let optional):
        guard let value = try value("Secret", name, key, optional, container.name) else { continue }
        try result.set(variable.name, try decoded(value, of: name, variable.name, container.name), container.name)
      }
    }
    try result.set(Self.fencingToken, String(assignment.attempt), container.name)
    // The kernel would cut the value there, unsaid.
    if let bad = result.values.first(where: { $0.value.utf8.contains(0) }) {
      throw failure(container.name, "environment variable \"\(bad.key)\" contains a nul byte")
    }
    return result.values
  }

  private func failure(_ container: String, _ message: String) -> PlanningError {
    PlanningError(container: container, reason: PodPlanner.configError, message: message)
  }

  /// A Secret's value as the text that a variable must be: other bytes would not arrive as they are (in Kubernetes the
  /// container does not start either).
  private func decoded(_ value: String, of secret: String, _ variable: String, _ container: String)
    throws(PlanningError) -> String
  {
    guard let text = String(validating: Base64.decode(value) ?? [], as: UTF8.self) else {
      throw failure(
        container,
        "environment variable \"\(variable)\": the value in secret \"\(secret)\" is not valid UTF-8; mount it as a file"
      )
    }
    return text
  }

  /// The `data` of a ConfigMap or Secret, a Secret's still in base64; nil: it is missing and may be.
  private func data(_ kind: String, _ name: String, _ optional: Bool, _ container: String) throws(PlanningError)
    -> StringMap?
  {
    let reference = kind == "Secret" ? "secrets/\(name)" : "configmaps/\(name)"
    guard let object = assignment.references[reference] else {
      if optional { return nil }
      throw failure(container, "\(kind.lowercased()) \"\(name)\" not found")
    }
    return StringMap(json: object["data"])
  }

  private func value(
    _ kind: String, _ name: String, _ key: String, _ optional: Bool, _ container: String
  ) throws(PlanningError) -> String? {
    guard let data = try data(kind, name, optional, container) else { return nil }
    guard let value = data[key] else {
      if optional { return nil }
      throw failure(container, "couldn't find key \(key) in \(kind) \(assignment.namespace)/\(name)")
    }
    return value
  }

  /// Names that no environment can hold are left out, as kubelet does (with an event there).
  private func take(
    _ entry: ContainerSpec.EnvironmentImport, _ container: String, _ result: inout GrowingEnvironment
  ) throws(PlanningError) {
    let found: StringMap?
    if let map = entry.configMap {
      found = try data("ConfigMap", map, entry.optional, container)
    } else if let secret = entry.secret {
      found = try data("Secret", secret, entry.optional, container)
    } else {
      found = nil
    }
    for variable in found ?? StringMap() {
      let name = entry.prefix + variable.key
      let isName = !name.isEmpty && name.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "=") }
      guard isName else { continue }
      if let secret = entry.secret, entry.configMap == nil {
        try result.set(name, try decoded(variable.value, of: secret, name, container), container)
      } else {
        try result.set(name, variable.value, container)
      }
    }
  }
}
