// Validation of security contexts with Kubernetes' messages (validatePodSpecSecurityContext, ValidateSecurityContext).
// Runs on trees whose types are right. What this version refuses, and where it holds, is Honesty's.

import ClusterProto

struct SecurityValidation {
  var errors = FieldErrors()

  private static let numbers = "must be between 0 and 2147483647, inclusive"

  /// The pod's own; `path` is the spec's.
  mutating func pod(_ spec: JSON, _ path: String) {
    users(spec, path)
    guard let context = spec["securityContext"] else { return }
    let at = "\(path).securityContext"
    number(context, "fsGroup", at)
    number(context, "runAsUser", at)
    number(context, "runAsGroup", at)
    for (index, group) in (context["supplementalGroups"]?.arrayValue ?? []).enumerated() {
      number(group, "\(at).supplementalGroups[\(index)]")
    }
    member(context, "supplementalGroupsPolicy", ["Merge", "Strict"], at)
    if spec["shareProcessNamespace"]?.boolValue == true, spec["hostPID"]?.boolValue == true {
      errors.invalid(
        "\(path).shareProcessNamespace", true, "ShareProcessNamespace and HostPID cannot both be enabled")
    }
    member(context, "fsGroupChangePolicy", ["Always", "OnRootMismatch"], at)
    profiles(context, at)
  }

  /// validateHostUsers, with the names as it spells them.
  private mutating func users(_ spec: JSON, _ path: String) {
    guard spec["hostUsers"]?.boolValue == false else { return }
    for (field, name) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")]
    where spec[field]?.boolValue == true {
      errors.forbidden("\(path).\(name)", "when `hostUsers` is false")
    }
  }

  /// A container's. `hostUsers`: the pod has no user namespace of its own.
  mutating func container(_ container: JSON, hostUsers: Bool, _ at: String) {
    guard let context = container["securityContext"] else { return }
    let path = "\(at).securityContext"
    number(context, "runAsUser", path)
    number(context, "runAsGroup", path)
    member(context, "procMount", ["Default", "Unmasked"], path)
    if hostUsers, context["procMount"]?.stringValue == "Unmasked" {
      errors.invalid("\(path).procMount", "Unmasked", "`hostUsers` must be false to use `Unmasked`")
    }
    profiles(context, path)
    guard context["allowPrivilegeEscalation"]?.boolValue == false else { return }
    if context["privileged"]?.boolValue == true {
      errors.invalid(path, context, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true")
    }
    for name in context[path: ["capabilities", "add"]]?.arrayValue ?? [] where name == "CAP_SYS_ADMIN" {
      errors.invalid(
        path, context, "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN")
    }
  }

  private mutating func profiles(_ context: JSON, _ at: String) {
    for name in ["seccompProfile", "appArmorProfile"] {
      guard let profile = context[name] else { continue }
      self.profile(profile, "\(at).\(name)", name)
    }
  }

  private mutating func profile(_ profile: JSON, _ at: String, _ name: String) {
    let kinds = name == "seccompProfile" ? "seccomp" : "AppArmor"
    let type = profile["type"]?.stringValue ?? ""
    if type.isEmpty {
      errors.required("\(at).type", "type is required when \(name) is set")
    } else if !["Localhost", "RuntimeDefault", "Unconfined"].contains(type) {
      errors.unsupported("\(at).type", type, ["Localhost", "RuntimeDefault", "Unconfined"])
    }
    let local = profile["localhostProfile"]?.stringValue
    guard type == "Localhost" else {
      if local != nil {
        errors.invalid("\(at).localhostProfile", profile, "can only be set when \(kinds) type is Localhost")
      }
      return
    }
    guard let local else {
      return errors.required("\(at).localhostProfile", "must be set when \(kinds) type is Localhost")
    }
    VolumeValidation.relative(local, "\(at).localhostProfile", into: &errors)
  }

  private mutating func number(_ context: JSON, _ name: String, _ at: String) {
    if let value = context[name] { number(value, "\(at).\(name)") }
  }

  private mutating func number(_ value: JSON, _ at: String) {
    if let number = value.intValue, !(0...Int64(Int32.max)).contains(number) {
      errors.invalid(at, .int(number), Self.numbers)
    }
  }

  private mutating func member(_ json: JSON, _ name: String, _ supported: [String], _ at: String) {
    guard let value = json[name]?.stringValue, !supported.contains(value) else { return }
    errors.unsupported("\(at).\(name)", value, supported)
  }
}
