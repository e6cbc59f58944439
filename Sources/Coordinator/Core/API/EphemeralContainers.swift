// pods/ephemeralcontainers: containers that are added to a pod that is there, as `kubectl debug` does; Kubernetes'
// rules and words. Nothing else of the pod changes by it. It must not know how nodes hear of them (Additions) or
// start them.

import ClusterProto

extension PodValidation {
  /// What such a container may not have, in the order of Kubernetes' type.
  private static let notOfEphemeral = [
    "ports", "resources", "resizePolicy", "restartPolicy", "restartPolicyRules", "livenessProbe", "readinessProbe",
    "startupProbe", "lifecycle",
  ]
  private static let notOfEphemeralText = "cannot be set for an Ephemeral Container"
  /// Containers of one pod: as many as its init can hold at once. Kubernetes has no such bound.
  static let mostContainers = 128

  /// validateEphemeralContainers. The names of the pod's volumes are known.
  mutating func ephemeralContainers(_ spec: JSON, _ path: String) {
    let added = spec["ephemeralContainers"]?.arrayValue ?? []
    if added.isEmpty { return }
    let others = ["containers", "initContainers"].flatMap { spec[$0]?.arrayValue ?? [] }
    let places = Set(others.compactMap { $0["name"]?.stringValue })
    var names = places
    let room = max(0, Self.mostContainers - others.count)
    if added.count > room { errors.tooMany("\(path).ephemeralContainers", added.count, limit: room) }
    for (index, container) in added.enumerated() {
      let at = "\(path).ephemeralContainers[\(index)]"
      self.container(container, spec["hostUsers"]?.boolValue ?? true, at)
      unique(container, at, &names)
      if let target = container["targetContainerName"]?.stringValue, !target.isEmpty, !places.contains(target) {
        errors.notFound("\(at).targetContainerName", target)
      }
      for member in Self.notOfEphemeral {
        // Every container has resources, if empty ones.
        guard let value = container[member], member != "resources" || value.objectValue?.isEmpty == false else {
          continue
        }
        errors.forbidden("\(at).\(member)", Self.notOfEphemeralText)
      }
      for (place, mount) in (container["volumeMounts"]?.arrayValue ?? []).enumerated() {
        for member in ["subPath", "subPathExpr"] where mount[member]?.stringValue?.isEmpty == false {
          errors.forbidden("\(at).volumeMounts[\(place)].\(member)", Self.notOfEphemeralText)
        }
      }
    }
  }

  /// ValidatePodEphemeralContainersUpdate: those that are there stay as they are.
  mutating func ephemeralUpdate(_ spec: JSON, _ before: JSON) {
    volumeNames = Set((spec["volumes"]?.arrayValue ?? []).compactMap { $0["name"]?.stringValue })
    ephemeralContainers(spec, "spec")
    let path = "spec.ephemeralContainers"
    let added = spec["ephemeralContainers"]?.arrayValue ?? []
    for old in before["ephemeralContainers"]?.arrayValue ?? [] {
      let name = JSON.string(old["name"]?.stringValue ?? "").text
      guard let new = added.last(where: { $0["name"] == old["name"] }) else {
        errors.forbidden(path, "existing ephemeral containers \(name) may not be removed\n")
        continue
      }
      // Kubernetes shows the difference of its own structs behind it.
      if new != old { errors.forbidden(path, "existing ephemeral containers \(name) may not be changed\n") }
    }
  }
}

extension CoordinatorCore {
  /// The part of a pod that takes them.
  static let ephemeralContainers = "ephemeralcontainers"

  /// The stored pod with the tree's containers of that kind.
  func writeEphemeral(
    _ tree: DecodedTree, over before: APIObject, _ request: APIRequest, _ warnings: inout [String]
  ) throws(APIFailure) -> APIObject {
    guard case .pod(var pod) = before else { throw .noSuchResource }
    let member = "ephemeralContainers"
    let old = pod.spec.json
    var spec = old
    spec[member] = tree.json[path: ["spec", member]]
    Defaults.podSpec(&spec)
    var validation = PodValidation()
    validation.ephemeralUpdate(spec, old)
    if !validation.errors.isEmpty { throw .invalid(.pods, request.name, validation.errors.all) }
    if spec == old { return before }
    let known = Set((old[member]?.arrayValue ?? []).compactMap { $0["name"]?.stringValue })
    let all = spec[member]?.arrayValue ?? []
    let fresh = all.indices.filter { !known.contains(all[$0]["name"]?.stringValue ?? "") }
    warnings += try honestEphemeral(tree, spec, fresh, request)
    if let problem = podSecurityProblem(spec, namespace: request.namespace) {
      throw .forbidden(.pods, request.name, problem)
    }
    pod.spec = PodSpec(json: spec)
    if let warning = podSecurityWarning(.pod(pod)) { warnings.append(warning) }
    return .pod(pod)
  }

  /// What is said of those that are new.
  private func honestEphemeral(
    _ tree: DecodedTree, _ spec: JSON, _ fresh: [Int], _ request: APIRequest
  ) throws(APIFailure) -> [String] {
    func isOfThem(_ path: String) -> Bool {
      fresh.contains { path.hasPrefix("spec.ephemeralContainers[\($0)].") }
    }
    var honesty = Honesty(images: imageNodes, limits: limitNodes)
    for path in tree.refused where isOfThem(path) { honesty.refuse(path) }
    for path in tree.ignored where isOfThem(path) { honesty.warn(path) }
    honesty.ephemeralContainers(spec, fresh, "spec")
    if !honesty.errors.isEmpty { throw .invalid(.pods, request.name, honesty.errors.all) }
    return honesty.warnings
  }
}
