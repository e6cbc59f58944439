// Validation of pod specs with Kubernetes' messages (core/validation): containers, mounts, restart policies,
// scheduling fields.
// Runs on defaulted trees whose types are right. What this version refuses is Honesty's.

import ClusterProto

struct PodValidation {
  var errors = FieldErrors()
  var volumeNames: Set<String> = []

  /// Largest names list that a message repeats is bounded by the object's size; the number of containers is not.
  static let pullPolicies = ["Always", "IfNotPresent", "Never"]

  /// ValidatePodSpec's order.
  mutating func podSpec(_ spec: JSON, _ path: String) {
    var volumes = VolumeValidation()
    volumes.all(spec["volumes"]?.arrayValue ?? [], "\(path).volumes")
    errors.append(volumes.errors)
    volumeNames = volumes.names
    containers(spec, path)
    restartPolicy(spec, path)
    member(spec, "dnsPolicy", ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"], path)
    MetaValidation.labels(spec["nodeSelector"], "\(path).nodeSelector", into: &errors)
    var security = SecurityValidation()
    security.pod(spec, path)
    errors.append(security.errors)
    for name in ["serviceAccountName", "nodeName", "priorityClassName"] {
      guard let text = spec[name]?.stringValue, !text.isEmpty else { continue }
      for problem in Names.subdomainErrors(text) { errors.invalid("\(path).\(name)", text, problem) }
    }
    if let seconds = spec["activeDeadlineSeconds"]?.intValue, seconds < 1 || seconds > Int64(Int32.max) {
      errors.invalid("\(path).activeDeadlineSeconds", .int(seconds), "must be between 1 and 2147483647, inclusive")
    }
    for name in ["hostname", "subdomain"] {
      guard let text = spec[name]?.stringValue, !text.isEmpty else { continue }
      for problem in Names.labelErrors(text) { errors.invalid("\(path).\(name)", text, problem) }
    }
    var scheduling = SchedulingValidation()
    scheduling.podSpec(spec, path)
    errors.append(scheduling.errors)
    tolerations(spec, path)
  }

  mutating func tolerations(_ spec: JSON, _ path: String) {
    let tolerations = spec["tolerations"]?.arrayValue ?? []
    // Kubernetes has no such bound; each is held against each taint of each node.
    if tolerations.count > MetaValidation.listLimit {
      return errors.tooMany("\(path).tolerations", tolerations.count, limit: MetaValidation.listLimit)
    }
    for (index, toleration) in tolerations.enumerated() {
      self.toleration(toleration, "\(path).tolerations[\(index)]")
    }
  }

  private mutating func restartPolicy(_ spec: JSON, _ path: String) {
    let policy = spec["restartPolicy"]?.stringValue ?? ""
    if policy.isEmpty {
      errors.required("\(path).restartPolicy")
    } else if RestartPolicy(rawValue: policy) == nil {
      errors.unsupported("\(path).restartPolicy", policy, ["Always", "OnFailure", "Never"])
    }
  }

  private mutating func member(_ json: JSON, _ name: String, _ supported: [String], _ path: String) {
    let value = json[name]?.stringValue ?? ""
    if !supported.contains(value) { errors.unsupported("\(path).\(name)", value, supported) }
  }

  private mutating func containers(_ spec: JSON, _ path: String) {
    let regular = spec["containers"]?.arrayValue ?? []
    let initial = spec["initContainers"]?.arrayValue ?? []
    if regular.isEmpty { errors.required("\(path).containers") }
    var names: Set<String> = []
    let hostUsers = spec["hostUsers"]?.boolValue ?? true
    let grace = spec["terminationGracePeriodSeconds"]?.intValue
    for (index, container) in regular.enumerated() {
      let at = "\(path).containers[\(index)]"
      self.container(container, hostUsers, at)
      unique(container, at, &names)
      ownRestartPolicy(container, at)
      care(container, grace: grace, at)
    }
    for (index, container) in initial.enumerated() {
      let at = "\(path).initContainers[\(index)]"
      self.container(container, hostUsers, at)
      unique(container, at, &names)
      ownRestartPolicy(container, at)
      if container["restartPolicy"]?.stringValue == "Always" {
        care(container, grace: grace, at)
        continue
      }
      for forbidden in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"]
      where container[forbidden] != nil {
        errors.forbidden("\(at).\(forbidden)", "may not be set for init containers without restartPolicy=Always")
      }
    }
    ephemeralContainers(spec, path)
  }

  private mutating func care(_ container: JSON, grace: Int64?, _ at: String) {
    var probes = ProbeValidation(grace: grace)
    probes.container(container, at)
    errors.append(probes.errors)
  }

  private mutating func ownRestartPolicy(_ container: JSON, _ at: String) {
    let supported = ["Always", "Never", "OnFailure"]
    if let policy = container["restartPolicy"]?.stringValue, !supported.contains(policy) {
      errors.unsupported("\(at).restartPolicy", policy, supported)
    }
    let rules = container["restartPolicyRules"]?.arrayValue ?? []
    if rules.isEmpty { return }
    if container["restartPolicy"] == nil {
      errors.required("\(at).restartPolicy", "must specify restartPolicy when restart rules are used")
    }
    if rules.count > Self.mostRules {
      errors.tooMany("\(at).restartPolicyRules", rules.count, limit: Self.mostRules)
    }
    for (index, rule) in rules.enumerated() { restartRule(rule, "\(at).restartPolicyRules[\(index)]") }
  }

  private static let mostRules = 20
  private static let mostCodes = 255

  private mutating func restartRule(_ rule: JSON, _ at: String) {
    let action = rule["action"]?.stringValue ?? ""
    if action != "Restart" { errors.unsupported("\(at).action", action, ["Restart"]) }
    guard let exits = rule["exitCodes"] else { return errors.required("\(at).exitCodes", "must be specified") }
    let (word, operators) = (exits["operator"]?.stringValue ?? "", ["In", "NotIn"])
    if word.isEmpty {
      errors.required("\(at).exitCodes.operator", "must be specified")
    } else if !operators.contains(word) {
      errors.unsupported("\(at).exitCodes.operator", word, operators)
    }
    let count = exits["values"]?.arrayValue?.count ?? 0
    if count > Self.mostCodes { errors.tooMany("\(at).exitCodes.values", count, limit: Self.mostCodes) }
  }

  mutating func unique(_ container: JSON, _ at: String, _ names: inout Set<String>) {
    guard let name = container["name"]?.stringValue, !name.isEmpty else { return }
    if !names.insert(name).inserted { errors.duplicate("\(at).name", name) }
  }

  mutating func container(_ container: JSON, _ hostUsers: Bool, _ at: String) {
    let name = container["name"]?.stringValue ?? ""
    if name.isEmpty {
      errors.required("\(at).name")
    } else {
      for problem in Names.labelErrors(name) { errors.invalid("\(at).name", name, problem) }
    }
    let image = container["image"]?.stringValue ?? ""
    if image.isEmpty {
      errors.required("\(at).image")
    } else if image.utf8.first == 0x20 || image.utf8.last == 0x20 {
      errors.invalid("\(at).image", image, "must not have leading or trailing whitespace")
    }
    member(container, "terminationMessagePolicy", ["File", "FallbackToLogsOnError"], at)
    ports(container["ports"]?.arrayValue ?? [], "\(at).ports")
    for member in ["command", "args"] {
      for (index, word) in (container[member]?.arrayValue ?? []).enumerated() {
        VolumeValidation.whole(word.stringValue ?? "", "\(at).\(member)[\(index)]", into: &errors)
      }
    }
    VolumeValidation.whole(container["workingDir"]?.stringValue ?? "", "\(at).workingDir", into: &errors)
    environment(container["env"]?.arrayValue ?? [], "\(at).env")
    imports(container["envFrom"]?.arrayValue ?? [], "\(at).envFrom")
    mounts(container["volumeMounts"]?.arrayValue ?? [], "\(at).volumeMounts")
    member(container, "imagePullPolicy", Self.pullPolicies, at)
    resources(container["resources"] ?? .null, "\(at).resources")
    var security = SecurityValidation()
    security.container(container, hostUsers: hostUsers, at)
    errors.append(security.errors)
  }

  private mutating func ports(_ ports: [JSON], _ at: String) {
    var names: Set<String> = []
    for (index, port) in ports.enumerated() {
      let path = "\(at)[\(index)]"
      if let name = port["name"]?.stringValue, !name.isEmpty {
        if name.utf8.count > 15 { errors.invalid("\(path).name", name, "must be no more than 15 characters") }
        if !names.insert(name).inserted { errors.duplicate("\(path).name", name) }
      }
      for member in ["containerPort", "hostPort"] {
        let number = port[member]?.intValue ?? 0
        if number == 0 {
          if member == "containerPort" { errors.required("\(path).containerPort") }
        } else if number < 1 || number > 65535 {
          errors.invalid("\(path).\(member)", .int(number), "must be between 1 and 65535, inclusive")
        }
      }
      let transport = port["protocol"]?.stringValue ?? ""
      if transport.isEmpty {
        errors.required("\(path).protocol")
      } else if !["SCTP", "TCP", "UDP"].contains(transport) {
        errors.unsupported("\(path).protocol", transport, ["SCTP", "TCP", "UDP"])
      }
    }
  }

  private mutating func environment(_ variables: [JSON], _ at: String) {
    for (index, variable) in variables.enumerated() {
      let path = "\(at)[\(index)]"
      let name = variable["name"]?.stringValue ?? ""
      if name.isEmpty {
        errors.required("\(path).name")
      } else {
        for problem in Names.environmentNameErrors(name) { errors.invalid("\(path).name", name, problem) }
      }
      VolumeValidation.whole(variable["value"]?.stringValue ?? "", "\(path).value", into: &errors)
      if let source = variable["valueFrom"] { environmentSource(source, variable, "\(path).valueFrom") }
    }
  }

  private static let sources = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"]

  private mutating func environmentSource(_ source: JSON, _ variable: JSON, _ path: String) {
    let given = Self.sources.filter { source[$0] != nil }
    if given.isEmpty {
      errors.invalid(
        path, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`")
      return
    }
    if let value = variable["value"]?.stringValue, !value.isEmpty {
      errors.invalid(path, "", "may not be specified when `value` is not empty")
    }
    if given.count > 1 { errors.invalid(path, "", "may not have more than one field specified at a time") }
    var downward = DownwardValidation(.variable)
    if let reference = source["fieldRef"] { downward.field(reference, "\(path).fieldRef") }
    if let reference = source["resourceFieldRef"] { downward.resource(reference, "\(path).resourceFieldRef") }
    errors.append(downward.errors)
    for name in ["configMapKeyRef", "secretKeyRef"] {
      guard let reference = source[name] else { continue }
      if (reference["name"]?.stringValue ?? "").isEmpty { errors.required("\(path).\(name).name") }
      let key = reference["key"]?.stringValue ?? ""
      if key.isEmpty {
        errors.required("\(path).\(name).key")
      } else {
        for problem in Names.configKeyErrors(key) { errors.invalid("\(path).\(name).key", key, problem) }
      }
    }
  }

  private mutating func imports(_ imports: [JSON], _ at: String) {
    for (index, entry) in imports.enumerated() {
      let path = "\(at)[\(index)]"
      if let prefix = entry["prefix"]?.stringValue, !prefix.isEmpty {
        for problem in Names.environmentNameErrors(prefix) { errors.invalid("\(path).prefix", prefix, problem) }
      }
      let given = ["configMapRef", "secretRef"].filter { entry[$0] != nil }
      if given.isEmpty { errors.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`") }
      if given.count > 1 { errors.invalid(path, "", "may not have more than one field specified at a time") }
      for name in given where (entry[path: [name, "name"]]?.stringValue ?? "").isEmpty {
        errors.required("\(path).\(name).name")
      }
    }
  }

  private mutating func mounts(_ mounts: [JSON], _ at: String) {
    var paths: Set<String> = []
    for (index, mount) in mounts.enumerated() {
      let path = "\(at)[\(index)]"
      let name = mount["name"]?.stringValue ?? ""
      if name.isEmpty {
        errors.required("\(path).name")
      } else if !volumeNames.contains(name) {
        errors.notFound("\(path).name", name)
      }
      let target = mount["mountPath"]?.stringValue ?? ""
      if target.isEmpty {
        errors.required("\(path).mountPath")
      } else if !paths.insert(target).inserted {
        errors.invalid("\(path).mountPath", target, "must be unique")
      }
      VolumeValidation.whole(target, "\(path).mountPath", into: &errors)
      VolumeValidation.fits(target, "\(path).mountPath", into: &errors)
      if let sub = mount["subPath"]?.stringValue, !sub.isEmpty {
        VolumeValidation.relative(sub, "\(path).subPath", into: &errors)
        VolumeValidation.fits(sub, "\(path).subPath", into: &errors)
      }
      if let expression = mount["subPathExpr"]?.stringValue, !expression.isEmpty {
        if let sub = mount["subPath"]?.stringValue, !sub.isEmpty {
          errors.invalid("\(path).subPathExpr", expression, "subPathExpr and subPath are mutually exclusive")
        }
        VolumeValidation.relative(expression, "\(path).subPathExpr", into: &errors)
      }
    }
  }

  private mutating func resources(_ resources: JSON, _ at: String) {
    for group in ["limits", "requests"] {
      for (name, amount) in resources[group]?.objectValue ?? JSONObject() {
        let text = amount.stringValue ?? ""
        for problem in Names.labelKeyErrors(name) { errors.invalid("\(at).\(group)", name, problem) }
        guard let millis = Quantity.thousandths(text) else { continue }
        if millis < 0 { errors.invalid("\(at).\(group)[\(name)]", text, "must be greater than or equal to 0") }
        let limit = resources[path: ["limits", name]]?.stringValue
        if ResourceAmount.isExtended(name) {
          if millis % 1000 != 0 {
            errors.invalid("\(at).\(group)[\(name)]", text, "must be an integer")
          }
          if group == "requests" { device(name, text, limit, millis, at) }
          continue
        }
        if group == "requests", let limit, let bound = Quantity.thousandths(limit), millis > bound {
          errors.invalid("\(at).requests", text, "must be less than or equal to \(name) limit of \(limit)")
        }
      }
    }
  }

  /// A device is one's own: what is asked for is what is given.
  private mutating func device(_ name: String, _ text: String, _ limit: String?, _ millis: Int128, _ at: String) {
    guard let limit, let bound = Quantity.thousandths(limit) else {
      return errors.required("\(at).limits", "Limit must be set for non overcommitable resources")
    }
    if millis != bound { errors.invalid("\(at).requests", text, "must be equal to \(name) limit of \(limit)") }
  }

  private mutating func toleration(_ toleration: JSON, _ at: String) {
    let key = toleration["key"]?.stringValue ?? ""
    let comparison = toleration["operator"]?.stringValue ?? ""
    let effect = toleration["effect"]?.stringValue ?? ""
    if !key.isEmpty { for problem in Names.labelKeyErrors(key) { errors.invalid("\(at).key", key, problem) } }
    if key.isEmpty, comparison != "Exists" {
      errors.invalid(
        "\(at).operator", comparison,
        "operator must be Exists when `key` is empty, which means \"match all values and all keys\"")
    }
    if toleration["tolerationSeconds"] != nil, effect != "NoExecute" {
      errors.invalid("\(at).effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
    }
    switch comparison {
    case "Equal", "":
      for problem in Names.labelValueErrors(toleration["value"]?.stringValue ?? "") {
        errors.invalid("\(at).operator", toleration["value"] ?? "", problem)
      }
    case "Exists":
      if let value = toleration["value"]?.stringValue, !value.isEmpty {
        errors.invalid("\(at).operator", value, "value must be empty when `operator` is 'Exists'")
      }
    default: errors.unsupported("\(at).operator", comparison, ["Equal", "Exists"])
    }
    if !["", "NoSchedule", "PreferNoSchedule", "NoExecute"].contains(effect) {
      errors.unsupported("\(at).effect", effect, ["NoSchedule", "PreferNoSchedule", "NoExecute"])
    }
  }
}
