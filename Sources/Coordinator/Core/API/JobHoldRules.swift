// What may stand in the annotations by which a Job waits before it has pods, and which changes of them are refused.
// Circles of Jobs are found here, where they would close. It must not know when a wait ends.

import ClusterProto

enum JobHoldRules {
  /// Jobs that are looked at for a circle.
  private static let walkLimit = 10_000
  /// Pods that are placed in one step.
  private static let gangLimit: Int64 = 1_000

  static func values(_ annotations: StringMap, _ spec: JSON, _ at: String, into errors: inout FieldErrors) {
    if let text = annotations[JobAnnotation.dependsOn] {
      let path = JobAnnotationRules.path(at, JobAnnotation.dependsOn)
      do throws(JobDependency.Problem) {
        let all = try JobDependency.list(text)
        if all.contains(where: \.isOfIndexes), spec["completionMode"]?.stringValue != "Indexed" {
          errors.invalid(path, text, "[*] requires indexed completion mode")
        }
      } catch {
        errors.invalid(path, text, error.text)
      }
    }
    if let text = annotations[JobAnnotation.gang] {
      let path = JobAnnotationRules.path(at, JobAnnotation.gang)
      let most = min(spec["parallelism"]?.intValue ?? 1, spec["completions"]?.intValue ?? Int64.max)
      if text != "true", text != "false" {
        errors.invalid(path, text, "must be \"true\" or \"false\"")
      } else if text == "true", most > gangLimit {
        errors.invalid(path, text, "a gang has no more than \(gangLimit) pods, and the Job may run \(most) at once")
      }
    }
    if let name = annotations[JobAnnotation.queue] {
      for problem in Names.subdomainErrors(name) {
        errors.invalid(JobAnnotationRules.path(at, JobAnnotation.queue), name, problem)
      }
    }
  }

  /// What a Job waits for may change until it has come.
  static func update(_ json: JSON, _ job: Job, into errors: inout FieldErrors) {
    let annotations = StringMap(json: json[path: ["metadata", "annotations"]])
    let name = JobAnnotation.dependsOn
    let isOver = job.status.startTime != nil || (job.admission != nil && job.isPastDependencies)
    let hasBegun = job.status.startTime != nil || job.admission?.isTrue == true
    if annotations[JobAnnotation.queue] != job.queueName, hasBegun {
      errors.invalid(
        JobAnnotationRules.path("metadata.annotations", JobAnnotation.queue), annotations[JobAnnotation.queue] ?? "",
        "may not change any more: the Job has begun")
    }
    if annotations[JobAnnotation.gang] != job.meta.annotations[JobAnnotation.gang] {
      errors.invalid(
        JobAnnotationRules.path("metadata.annotations", JobAnnotation.gang), annotations[JobAnnotation.gang] ?? "",
        "field is immutable")
    }
    if annotations[name] != job.meta.annotations[name], isOver {
      errors.invalid(
        JobAnnotationRules.path("metadata.annotations", name), annotations[name] ?? "",
        "may not change any more: the Job has begun, or what it waited for has come")
    }
  }

  /// A Job that would wait for itself through others, new or changed.
  static func admit(_ json: JSON, _ core: CoordinatorCore) throws(APIFailure) {
    guard let text = json[path: ["metadata", "annotations", JobAnnotation.dependsOn]]?.stringValue,
      let dependencies = try? JobDependency.list(text)
    else { return }
    let meta = ObjectMeta(json: json["metadata"])
    guard let why = circle(closedBy: meta.key, dependencies, core) else { return }
    var errors = FieldErrors()
    errors.invalid(JobAnnotationRules.path("metadata.annotations", JobAnnotation.dependsOn), text, why)
    throw .invalid(.jobs, meta.name, errors.all)
  }

  /// Walks from the Jobs that it waits for to those that they wait for. Only a Job that somebody waits for can close a
  /// circle, so that a chain costs nothing as it grows.
  private static func circle(closedBy key: ObjectKey, _ dependencies: [JobDependency], _ core: CoordinatorCore)
    -> String?
  {
    var parents: [String: String] = [:]
    var open: [String] = []
    func follow(_ next: [JobDependency], from name: String) -> Bool {
      for one in next {
        if one.job == key.name { return true }
        if parents[one.job] != nil { continue }
        parents[one.job] = name
        open.append(one.job)
      }
      return false
    }
    func named(_ last: String) -> String {
      var path = [last]
      while let next = parents[path[path.count - 1]], next != key.name { path.append(next) }
      let between = last == key.name ? [] : Array(path.reversed())
      let shown = between.count > 20 ? between.prefix(10) + ["…"] + between.suffix(9) : between[...]
      return "makes a circle: " + ([key.name] + shown + [key.name]).joined(separator: " waits for ")
    }
    if follow(dependencies, from: key.name) { return named(key.name) }
    guard core.workloads.waiters.isAwaited(key) else { return nil }
    var looked = 0
    while let name = open.popLast() {
      looked += 1
      if looked > walkLimit { return "more than \(walkLimit) Jobs wait for each other" }
      guard let job = core.state.jobs[ObjectKey(namespace: key.namespace, name: name)] else { continue }
      if follow(job.openDependencies, from: name) { return named(name) }
    }
    return nil
  }

  /// Whether a Job is admitted is the coordinator's alone to write.
  static func keepAdmission(_ status: inout JobStatus, of job: Job) {
    if job.spec.otherManager != nil || status.condition(JobAdmission.condition) == job.admission { return }
    status.conditions.removeAll { $0.type == JobAdmission.condition }
    if let own = job.admission { status.conditions.append(own) }
  }
}
