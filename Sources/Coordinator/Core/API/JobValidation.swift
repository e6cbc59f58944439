// The Job's own rules: labels and selector that the server sets, validation of create and update with Kubernetes'
// messages.
// Knows nothing of storage or of what becomes of the Job.

import ClusterProto

enum JobLabels {
  static let controllerUID = "batch.kubernetes.io/controller-uid"
  static let jobName = "batch.kubernetes.io/job-name"
  static let legacyControllerUID = "controller-uid"
  static let legacyJobName = "job-name"

  /// generateSelector: labels on the template and the selector, unless there already or `manualSelector`.
  static func generate(_ job: inout JSON, name: String, uid: String) {
    guard job[path: ["spec", "manualSelector"]]?.boolValue != true else { return }
    let own = [(legacyControllerUID, uid), (legacyJobName, name), (controllerUID, uid), (jobName, name)]
    var labels = job[path: ["spec", "template", "metadata", "labels"]]?.objectValue ?? JSONObject()
    for (key, value) in own where labels[key] == nil { labels[key] = .string(value) }
    job[path: ["spec", "template", "metadata", "labels"]] = .object(labels)
    if job[path: ["spec", "selector", "matchLabels", controllerUID]] == nil {
      job[path: ["spec", "selector", "matchLabels", controllerUID]] = .string(uid)
    }
  }

  /// SetDefaults_Job: a Job without labels of its own shows its template's.
  static func inherit(_ job: inout JSON) {
    guard (job[path: ["metadata", "labels"]]?.objectValue ?? JSONObject()).isEmpty,
      let labels = job[path: ["spec", "template", "metadata", "labels"]], labels.objectValue?.isEmpty == false
    else { return }
    job[path: ["metadata", "labels"]] = labels
  }
}

struct JobValidation {
  var errors = FieldErrors()
  static let notNegative = "must be greater than or equal to 0"

  /// ValidateJob, behind its metadata: the generated selector, the spec.
  mutating func create(_ job: JSON) {
    generatedSelector(
      job["spec"] ?? .null, uid: job[path: ["metadata", "uid"]]?.stringValue ?? "",
      name: job[path: ["metadata", "name"]]?.stringValue ?? "")
    spec(job["spec"] ?? .null)
    hostNames(job)
  }

  /// The pods' host names are the Job's name with their index.
  private mutating func hostNames(_ job: JSON) {
    guard job[path: ["spec", "completionMode"]]?.stringValue == "Indexed",
      let completions = job[path: ["spec", "completions"]]?.intValue, completions > 0
    else { return }
    let name = job[path: ["metadata", "name"]]?.stringValue ?? ""
    let longest = "\(name)-\(completions - 1)"
    if Names.labelErrors(longest).isEmpty { return }
    errors.invalid("metadata.name", name, "will not able to create pod with invalid DNS label: \(longest)")
  }

  private mutating func generatedSelector(_ spec: JSON, uid: String, name: String) {
    // That there is none is said below.
    if spec["manualSelector"]?.boolValue == true || spec["selector"] == nil { return }
    let labels = spec[path: ["template", "metadata", "labels"]] ?? .object(JSONObject())
    let expected = [
      (JobLabels.legacyControllerUID, uid), (JobLabels.legacyJobName, name), (JobLabels.controllerUID, uid),
      (JobLabels.jobName, name),
    ]
    for (key, value) in expected where labels[key]?.stringValue != value {
      let field = "spec.template.metadata.labels[\(key)]"
      if labels[key] == nil {
        errors.required(field, "must be '\(value)'")
      } else {
        errors.invalid(field, labels, "must be '\(value)'")
      }
    }
    let generated = StringMap(json: .object(JSONObject(entries: expected.map { ($0.0, .string($0.1)) })))
    if !LabelSelector(json: spec["selector"]).matches(generated) {
      errors.invalid("spec.selector", spec["selector"] ?? .null, "`selector` not auto-generated")
    }
  }

  mutating func notNegative(_ spec: JSON, _ name: String) {
    if let number = spec[name]?.intValue, number < 0 { errors.invalid("spec.\(name)", .int(number), Self.notNegative) }
  }

  /// ValidateJobSpec's order.
  mutating func spec(_ spec: JSON) {
    for name in ["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"] {
      notNegative(spec, name)
    }
    perIndex(spec)
    let mode = spec["completionMode"]?.stringValue ?? ""
    if !["NonIndexed", "Indexed"].contains(mode) {
      errors.unsupported("spec.completionMode", mode, ["NonIndexed", "Indexed"])
    }
    if mode == "Indexed" { indexed(spec) } else if mode == "NonIndexed" { notIndexed(spec) }
    podFailurePolicy(spec)
    successPolicy(spec)
    replacementPolicy(spec)
    template(spec)
    selector(spec)
  }

  private mutating func replacementPolicy(_ spec: JSON) {
    let policy = spec["podReplacementPolicy"]?.stringValue ?? ""
    let supported = spec["podFailurePolicy"] == nil ? ["Failed", "TerminatingOrFailed"] : ["Failed"]
    if !supported.contains(policy) { errors.unsupported("spec.podReplacementPolicy", policy, supported) }
  }

  private mutating func template(_ spec: JSON) {
    let template = spec["template"] ?? .null
    MetaValidation.labels(template[path: ["metadata", "labels"]], "spec.template.labels", into: &errors)
    MetaValidation.annotations(template[path: ["metadata", "annotations"]], "spec.template.annotations", into: &errors)
    MetaValidation.finalizers(
      template[path: ["metadata", "finalizers"]], "spec.template.metadata.finalizers", into: &errors)
    var pod = PodValidation()
    pod.podSpec(template["spec"] ?? .null, "spec.template.spec")
    if template[path: ["spec", "ephemeralContainers"]] != nil {
      pod.errors.forbidden(
        "spec.template.spec.ephemeralContainers", "ephemeral containers not allowed in pod template")
    }
    errors.append(pod.errors)
    let policy = template[path: ["spec", "restartPolicy"]]?.stringValue ?? ""
    if policy == "Always" || policy.isEmpty {
      errors.required("spec.template.spec.restartPolicy", "valid values: \"OnFailure\", \"Never\"")
    } else if policy != "OnFailure", policy != "Never" {
      errors.unsupported("spec.template.spec.restartPolicy", policy, ["OnFailure", "Never"])
    } else if policy != "Never", spec["podFailurePolicy"] != nil {
      errors.invalid(
        "spec.template.spec.restartPolicy", policy, "only \"Never\" is supported when podFailurePolicy is specified")
    }
  }

  private mutating func selector(_ spec: JSON) {
    let labels = spec[path: ["template", "metadata", "labels"]] ?? .null
    if let selector = spec["selector"] {
      MetaValidation.selector(selector, "spec.selector", into: &errors)
      if LabelSelector(json: selector).matches(StringMap(json: labels)) { return }
    } else {
      errors.required("spec.selector")
    }
    // No selector at all selects nothing.
    errors.invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
  }

  /// ValidateJobUpdate: the new object is validated whole, then what may not change.
  mutating func update(_ new: JSON, _ old: Job) {
    generatedSelector(new["spec"] ?? .null, uid: old.meta.uid, name: old.meta.name)
    spec(new["spec"] ?? .null)
    hostNames(new)
    let before = old.spec.json
    let spec = new["spec"] ?? .null
    let immutable = "field is immutable"
    completions(spec, before)
    if spec["selector"] != before["selector"] {
      errors.invalid("spec.selector", spec["selector"] ?? .null, immutable)
    }
    if Self.frozen(spec["template"], old) != Self.frozen(before["template"], old) {
      errors.invalid("spec.template", spec["template"] ?? .null, immutable)
    }
    for name in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"]
    where spec[name] != before[name] {
      errors.invalid("spec.\(name)", spec[name] ?? .null, immutable)
    }
  }

  /// Completions change only with an elastic Job's parallelism.
  private mutating func completions(_ spec: JSON, _ before: JSON) {
    let given = spec["completions"]
    let isIndexed = spec["completionMode"]?.stringValue == "Indexed"
    // That an Indexed Job has none is said elsewhere.
    if given == before["completions"] || (isIndexed && given == nil) { return }
    if !isIndexed {
      errors.invalid("spec.completions", given ?? .null, "field is immutable")
    } else if given != spec["parallelism"] {
      errors.invalid("spec.completions", given ?? .null, "can only be modified in tandem with spec.parallelism")
    }
  }

  /// The part of a template that may not change: all of it, or without the scheduling directives while the Job is
  /// suspended and has nothing running.
  private static func frozen(_ template: JSON?, _ old: Job) -> JSON? {
    let paused = old.status.startTime == nil || old.status.condition("Suspended")?.isTrue == true
    guard old.spec.suspend, paused, old.status.active == 0, var frozen = template else { return template }
    for name in ["labels", "annotations"] { frozen[path: ["metadata", name]] = nil }
    for name in ["nodeSelector", "tolerations", "schedulingGates"] { frozen[path: ["spec", name]] = nil }
    frozen[path: ["spec", "affinity", "nodeAffinity"]] = nil
    if frozen[path: ["spec", "affinity"]]?.objectValue?.isEmpty == true { frozen[path: ["spec", "affinity"]] = nil }
    for list in ["containers", "initContainers"] {
      guard var containers = frozen[path: ["spec", list]]?.arrayValue else { continue }
      for index in containers.indices { containers[index]["resources"] = nil }
      frozen[path: ["spec", list]] = .array(containers)
    }
    return frozen
  }
}
