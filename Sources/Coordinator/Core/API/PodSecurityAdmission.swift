// Pod Security at admission: which standards a namespace's labels ask for, whether a pod may be there, and what is said
// of templates that would make pods that may not. What a standard forbids is PodSecurity's.

import ClusterProto

/// What the labels of a namespace ask for.
struct PodSecurityPolicy: Equatable, Sendable {
  var enforce = PodSecurityStandard()
  var warn = PodSecurityStandard()

  private static let prefix = "pod-security.kubernetes.io/"

  /// What is wrong with labels, as Kubernetes says it: a label and a sentence each.
  static func problems(_ labels: StringMap) -> [(label: String, value: String, problem: String)] {
    var result: [(String, String, String)] = []
    for mode in ["enforce", "audit", "warn"] {
      if let level = labels[prefix + mode], PodSecurityLevel(rawValue: level) == nil {
        let words = PodSecurityLevel.all.map(\.rawValue).joined(separator: ", ")
        result.append((prefix + mode, level, "must be one of \(words)"))
      }
      if let version = labels["\(prefix)\(mode)-version"], Self.version(version) == nil {
        result.append(("\(prefix)\(mode)-version", version, "must be \"latest\" or \"v1.x\""))
      }
    }
    return result
  }

  /// Nil: the latest; outer nil: no version.
  private static func version(_ text: String) -> Int?? {
    if text == "latest" { return .some(nil) }
    let digits = text.dropFirst(3)
    guard text.hasPrefix("v1."), !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
      digits == "0" || !digits.hasPrefix("0")
    else { return nil }
    return Int(digits).map { .some($0) }
  }

  /// Labels that cannot be read forbid everything that enforcing could, and warn of nothing.
  init(_ labels: StringMap) {
    func standard(_ mode: String, broken: PodSecurityLevel) -> PodSecurityStandard? {
      guard let level = labels[Self.prefix + mode] else { return nil }
      var standard = PodSecurityStandard(level: PodSecurityLevel(rawValue: level) ?? broken)
      if let text = labels["\(Self.prefix)\(mode)-version"], let version = Self.version(text) {
        standard.minor = version
      }
      return standard
    }
    enforce = standard("enforce", broken: .restricted) ?? PodSecurityStandard()
    if let own = standard("warn", broken: .privileged) {
      warn = own
    } else {
      warn = enforce
      if let text = labels["\(Self.prefix)warn-version"], let version = Self.version(text) { warn.minor = version }
    }
  }
}

extension CoordinatorCore {
  func podSecurity(in namespace: String) -> PodSecurityPolicy {
    let labels = state.other(.namespaces, ObjectKey(namespace: "", name: namespace))?.meta.labels ?? StringMap()
    return labels.isEmpty ? PodSecurityPolicy(StringMap()) : PodSecurityPolicy(labels)
  }

  /// Why there may be no such pod in its namespace; nil: there may.
  func podSecurityProblem(_ spec: JSON, namespace: String) -> String? {
    let standard = podSecurity(in: namespace).enforce
    return standard.violation(spec).map { "violates PodSecurity \(JSON.string(standard.text).text): \($0)" }
  }

  /// What is said of an object that was written: of a pod, or of what will make pods.
  func podSecurityWarning(_ object: APIObject) -> String? {
    guard let spec = Self.podSpec(of: object) else { return nil }
    let standard = podSecurity(in: object.meta.namespace).warn
    return standard.violation(spec).map { "would violate PodSecurity \(JSON.string(standard.text).text): \($0)" }
  }

  /// Why an object may not come that is valid in itself; nil: it may. Kubernetes' validating admission, in its order.
  func admissionProblem(_ object: APIObject) -> String? {
    if case .pod(let pod) = object, let found = standingProblem(pod.spec.json, namespace: pod.meta.namespace) {
      return found
    }
    if let found = limitProblem(ofClaim: object) { return found }
    return quotaProblem(object)
  }

  /// What is said of an object that was changed.
  mutating func podSecurityWarnings(_ before: APIObject, _ after: APIObject) -> [String] {
    if after.kind == .namespaces {
      return podSecurityWarnings(before.meta.labels, after.meta.labels, namespace: after.meta.name)
    }
    // Of a pod that is there nothing changes that matters.
    if case .pod = after { return [] }
    return podSecurityWarning(after).map { [$0] } ?? []
  }

  /// Other labels may let pods be that were refused.
  mutating func observePodSecurity(_ change: ObjectChange) {
    guard let before = change.before?.meta, let after = change.after?.meta,
      PodSecurityPolicy(before.labels) != PodSecurityPolicy(after.labels)
    else { return }
    refusalMayBeOver(in: after.name)
  }

  private static func podSpec(of object: APIObject) -> JSON? {
    switch object {
    case .pod(let pod): pod.spec.json
    case .job(let job): job.spec.podSpec.json
    case .other(let other) where other.kind == .cronjobs:
      other.body["spec"]?[path: ["jobTemplate", "spec", "template", "spec"]]
    default: nil
    }
  }

  /// So many pods are held against a new standard; of more it is said that they were not.
  private static let lookedAt = 3_000

  /// What is said to who asks more of a namespace that has pods: those that could not be made any more.
  private mutating func podSecurityWarnings(_ before: StringMap, _ after: StringMap, namespace: String) -> [String] {
    let (old, new) = (PodSecurityPolicy(before).enforce, PodSecurityPolicy(after).enforce)
    guard new != old, new.level > .privileged, new.level >= old.level else { return [] }
    var groups: [String: [String]] = [:]
    var digests: [String: String] = [:]
    let keys = state.keys(of: .pods, in: namespace)
    for key in keys.prefix(Self.lookedAt) {
      guard let pod = state.pods[key] else { continue }
      let reasons = digests[pod.spec.digest] ?? new.reasons(pod.spec.json)
      digests[pod.spec.digest] = reasons
      if !reasons.isEmpty { groups[reasons, default: []].append(key.name) }
    }
    guard !groups.isEmpty else { return [] }
    var result = [
      "existing pods in namespace \(JSON.string(namespace).text) violate the new PodSecurity enforce level "
        + JSON.string(new.text).text
    ]
    if keys.count > Self.lookedAt {
      result.append(
        "new PodSecurity enforce level only checked against the first \(Self.lookedAt) of \(keys.count) existing pods")
    }
    for (reasons, names) in groups.map({ ($0.key, $0.value.sorted()) }).sorted(by: { $0.1[0] < $1.1[0] }) {
      let more = names.count - 1
      let others = more == 0 ? "" : more == 1 ? " (and 1 other pod)" : " (and \(more) other pods)"
      result.append("\(names[0])\(others): \(reasons)")
    }
    return result
  }
}
