// Pod Security Standards: what of a pod `baseline` and `restricted` forbid, in the order and the words of Kubernetes'
// admission (pod-security-admission). Pure; which namespace asks for what is PodSecurityAdmission's.

import ClusterProto

/// How much of Pod Security a namespace asks for.
enum PodSecurityLevel: String, Comparable, Sendable {
  case privileged, baseline, restricted

  static let all = [Self.privileged, .baseline, .restricted]

  private var rank: Int { Self.all.firstIndex(of: self) ?? 0 }
  static func < (left: PodSecurityLevel, right: PodSecurityLevel) -> Bool { left.rank < right.rank }
}

/// A level as it was in one version of Kubernetes.
struct PodSecurityStandard: Equatable, Sendable {
  var level = PodSecurityLevel.privileged
  /// v1.MINOR; nil: the latest.
  var minor: Int?

  var text: String { "\(level.rawValue):\(minor.map { "v1.\($0)" } ?? "latest")" }

  /// What the pod violates; nil: nothing.
  func violation(_ spec: JSON) -> String? {
    let found = PodSecurityCheck.of(self).compactMap { check in
      check.detail(PodSecuritySubject(spec)).map { detail in
        detail.isEmpty ? check.reason : "\(check.reason) (\(detail))"
      }
    }
    return found.isEmpty ? nil : found.joined(separator: ", ")
  }

  /// The same without details.
  func reasons(_ spec: JSON) -> String {
    PodSecurityCheck.of(self).filter { $0.detail(PodSecuritySubject(spec)) != nil }.map(\.reason)
      .joined(separator: ", ")
  }
}

/// A pod spec as the checks look at it.
struct PodSecuritySubject: Sendable {
  let spec: JSON
  /// Init containers first, those that were added last, as Kubernetes visits them.
  let containers: [JSON]

  init(_ spec: JSON) {
    self.spec = spec
    containers = ["initContainers", "containers", "ephemeralContainers"].flatMap { spec[$0]?.arrayValue ?? [] }
  }

  /// Names of the containers for which something holds of their security context, quoted.
  func names(_ isSo: (JSON) -> Bool) -> [String] {
    containers.filter { isSo($0["securityContext"] ?? .null) }.map { $0["name"]?.stringValue ?? "" }
  }

  static func quoted(_ names: [String]) -> String { names.map { JSON.string($0).text }.joined(separator: ", ") }

  static func plural(_ one: String, _ count: Int) -> String { count == 1 ? one : one + "s" }

  /// `container "a"`, `containers "a", "b"`.
  static func shown(_ names: [String], _ what: String = "container") -> String {
    "\(plural(what, names.count)) \(quoted(names))"
  }

  /// The pod and containers whose `member` is none of `allowed`, and what they have; a container that does not have it
  /// is told by `lacks`.
  func setters(_ member: [String], allowed: Set<String>) -> (bad: [String], values: [String], lacking: [String]) {
    var bad: [String] = []
    var values: Set<String> = []
    var isSet = false
    if let value = spec[path: ["securityContext"] + member]?.stringValue {
      isSet = allowed.contains(value)
      if !isSet {
        bad.append("pod")
        values.insert(value)
      }
    }
    var lacking: [String] = []
    let own = names { context in
      guard let value = context[path: member]?.stringValue else { return false }
      if !allowed.contains(value) { values.insert(value) }
      return !allowed.contains(value)
    }
    if !isSet { lacking = names { $0[path: member] == nil } }
    if !own.isEmpty { bad.append(Self.shown(own)) }
    return (bad, values.sorted(), lacking)
  }
}

/// One control.
struct PodSecurityCheck: Sendable {
  var reason: String
  /// The first v1.MINOR that has it, and the first that has it no more.
  var since = 0
  var until = Int.max
  /// Nil: the pod does not violate it.
  var detail: @Sendable (PodSecuritySubject) -> String?

  static func of(_ standard: PodSecurityStandard) -> [PodSecurityCheck] {
    let minor = standard.minor ?? Int.max - 1
    let checks: [PodSecurityCheck] =
      switch standard.level {
      case .privileged: []
      case .baseline: baseline
      case .restricted: restricted
      }
    return checks.filter { minor >= $0.since && minor < $0.until }
  }

  private static let baseline =
    [
      appArmor, defaultCapabilities, hostNamespaces, hostPaths, hostPorts, hostPrograms, privileged, procMount,
      seccomp,
    ]
  /// What is stricter takes the place of what it includes.
  private static let restricted =
    [
      appArmor, older(defaultCapabilities, 22), hostNamespaces, hostPorts, hostPrograms, privileged, procMount,
      escalation,
      capabilities, volumes, nonRoot, rootUser, ownSeccomp,
    ]

  private static func older(_ check: PodSecurityCheck, _ until: Int) -> PodSecurityCheck {
    var check = check
    check.until = until
    return check
  }

  private static let appArmor = PodSecurityCheck(reason: "forbidden AppArmor profile") { subject in
    let found = subject.setters(["appArmorProfile", "type"], allowed: ["RuntimeDefault", "Localhost"])
    guard !found.bad.isEmpty else { return nil }
    return "\(found.bad.joined(separator: " and ")) must not set AppArmor profile type to "
      + PodSecuritySubject.quoted(found.values)
  }

  private static let usual: Set<String> = [
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
  ]

  /// Who adds others than these, and which.
  private static func added(_ subject: PodSecuritySubject, beyond allowed: Set<String>) -> String? {
    var others: Set<String> = []
    let names = subject.names { context in
      let own = (context[path: ["capabilities", "add"]]?.arrayValue ?? []).compactMap(\.stringValue)
        .filter { !allowed.contains($0) }
      others.formUnion(own)
      return !own.isEmpty
    }
    guard !names.isEmpty else { return nil }
    return "\(PodSecuritySubject.shown(names)) must not include \(PodSecuritySubject.quoted(others.sorted())) in "
      + "securityContext.capabilities.add"
  }

  private static let defaultCapabilities = PodSecurityCheck(reason: "non-default capabilities") { subject in
    added(subject, beyond: usual)
  }

  private static let hostNamespaces = PodSecurityCheck(reason: "host namespaces") { subject in
    let found = ["hostNetwork", "hostPID", "hostIPC"].filter { subject.spec[$0]?.boolValue == true }
    return found.isEmpty ? nil : found.map { "\($0)=true" }.joined(separator: ", ")
  }

  private static let hostPaths = PodSecurityCheck(reason: "hostPath volumes") { subject in
    let names = (subject.spec["volumes"]?.arrayValue ?? []).filter { $0["hostPath"] != nil }
      .map { $0["name"]?.stringValue ?? "" }
    return names.isEmpty ? nil : PodSecuritySubject.shown(names, "volume")
  }

  /// Kubernetes has none: a program of the host has the host's files, and the rights of whoever runs pods there.
  private static let hostPrograms = PodSecurityCheck(reason: "programs of the host") { subject in
    let names = subject.containers.filter { ImageReference.isHost($0["image"]?.stringValue ?? "") }
      .map { $0["name"]?.stringValue ?? "" }
    return names.isEmpty ? nil : "\(PodSecuritySubject.shown(names)) must not set image to \"host\""
  }

  private static let hostPorts = PodSecurityCheck(reason: "hostPort") { subject in
    var ports: Set<String> = []
    var names: [String] = []
    for container in subject.containers {
      let own = (container["ports"]?.arrayValue ?? []).compactMap { $0["hostPort"]?.intValue }.filter { $0 != 0 }
      if own.isEmpty { continue }
      names.append(container["name"]?.stringValue ?? "")
      ports.formUnion(own.map { String($0) })
    }
    guard !names.isEmpty else { return nil }
    return "\(PodSecuritySubject.shown(names)) \(names.count == 1 ? "uses" : "use") "
      + "\(PodSecuritySubject.plural("hostPort", ports.count)) \(ports.sorted().joined(separator: ", "))"
  }

  private static let privileged = PodSecurityCheck(reason: "privileged") { subject in
    let names = subject.names { $0["privileged"]?.boolValue == true }
    return names.isEmpty ? nil : "\(PodSecuritySubject.shown(names)) must not set securityContext.privileged=true"
  }

  private static let procMount = PodSecurityCheck(reason: "procMount") { subject in
    let names = subject.names { ($0["procMount"]?.stringValue ?? "Default") != "Default" }
    guard !names.isEmpty else { return nil }
    return "\(PodSecuritySubject.shown(names)) must not set securityContext.procMount to \"Unmasked\""
  }

  private static let profile = ["seccompProfile", "type"]
  private static let filters: Set<String> = ["RuntimeDefault", "Localhost"]

  private static func badFilter(_ found: (bad: [String], values: [String], lacking: [String])) -> String? {
    guard !found.bad.isEmpty else { return nil }
    return "\(found.bad.joined(separator: " and ")) must not set securityContext.seccompProfile.type to "
      + PodSecuritySubject.quoted(found.values)
  }

  private static let seccomp = PodSecurityCheck(reason: "seccompProfile", since: 19) { subject in
    badFilter(subject.setters(profile, allowed: filters))
  }

  private static let escalation = PodSecurityCheck(reason: "allowPrivilegeEscalation != false", since: 8) { subject in
    let names = subject.names { $0["allowPrivilegeEscalation"]?.boolValue != false }
    guard !names.isEmpty else { return nil }
    return "\(PodSecuritySubject.shown(names)) must set securityContext.allowPrivilegeEscalation=false"
  }

  private static let capabilities = PodSecurityCheck(reason: "unrestricted capabilities", since: 22) { subject in
    let keeping = subject.names { context in
      !(context[path: ["capabilities", "drop"]]?.arrayValue ?? []).contains("ALL")
    }
    var details: [String] = []
    if !keeping.isEmpty {
      details.append("\(PodSecuritySubject.shown(keeping)) must set securityContext.capabilities.drop=[\"ALL\"]")
    }
    if let added = added(subject, beyond: ["NET_BIND_SERVICE"]) { details.append(added) }
    return details.isEmpty ? nil : details.joined(separator: "; ")
  }

  private static let usualVolumes: Set<String> = [
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret",
  ]

  private static let volumes = PodSecurityCheck(reason: "restricted volume types") { subject in
    var names: [String] = []
    var types: Set<String> = []
    for volume in subject.spec["volumes"]?.arrayValue ?? [] {
      let own = (volume.objectValue ?? JSONObject()).map(\.key).filter { $0 != "name" && !usualVolumes.contains($0) }
      if own.isEmpty { continue }
      names.append(volume["name"]?.stringValue ?? "")
      types.formUnion(own)
    }
    guard !names.isEmpty else { return nil }
    return "\(PodSecuritySubject.shown(names, "volume")) \(names.count == 1 ? "uses" : "use") "
      + "\(PodSecuritySubject.plural("restricted volume type", types.count)) "
      + PodSecuritySubject.quoted(types.sorted())
  }

  private static let nonRoot = PodSecurityCheck(reason: "runAsNonRoot != true") { subject in
    let ofPod = subject.spec[path: ["securityContext", "runAsNonRoot"]]?.boolValue
    var bad = ofPod == false ? ["pod"] : []
    let own = subject.names { $0["runAsNonRoot"]?.boolValue == false }
    if !own.isEmpty { bad.append(PodSecuritySubject.shown(own)) }
    if !bad.isEmpty { return "\(bad.joined(separator: " and ")) must not set securityContext.runAsNonRoot=false" }
    let silent = ofPod == true ? [] : subject.names { $0["runAsNonRoot"] == nil }
    guard !silent.isEmpty else { return nil }
    return "pod or \(PodSecuritySubject.shown(silent)) must set securityContext.runAsNonRoot=true"
  }

  private static let rootUser = PodSecurityCheck(reason: "runAsUser=0", since: 23) { subject in
    var bad = subject.spec[path: ["securityContext", "runAsUser"]]?.intValue == 0 ? ["pod"] : []
    let own = subject.names { $0["runAsUser"]?.intValue == 0 }
    if !own.isEmpty { bad.append(PodSecuritySubject.shown(own)) }
    return bad.isEmpty ? nil : "\(bad.joined(separator: " and ")) must not set runAsUser=0"
  }

  private static let ownSeccomp = PodSecurityCheck(reason: "seccompProfile", since: 19) { subject in
    let found = subject.setters(profile, allowed: filters)
    if let bad = badFilter(found) { return bad }
    guard !found.lacking.isEmpty else { return nil }
    return "pod or \(PodSecuritySubject.shown(found.lacking)) must set securityContext.seccompProfile.type to "
      + "\"RuntimeDefault\" or \"Localhost\""
  }
}
