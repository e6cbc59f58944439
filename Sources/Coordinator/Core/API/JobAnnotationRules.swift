// What may stand in the annotations under `stint.dev/` of Jobs and pods, and what is said of those that mean nothing.
// It must not know what they come to.

import ClusterProto

enum JobAnnotationRules {
  /// A Job as it is written. `before`: its annotations until now; nil: it is new.
  static func job(_ job: JSON, before: StringMap?, into errors: inout FieldErrors) {
    let annotations = StringMap(json: job[path: ["metadata", "annotations"]])
    jobs(annotations, job["spec"] ?? .null, "metadata.annotations", into: &errors)
    if let before, annotations[JobAnnotation.indexes] != before[JobAnnotation.indexes] {
      errors.invalid(
        path("metadata.annotations", JobAnnotation.indexes), annotations[JobAnnotation.indexes] ?? "",
        "field is immutable")
    }
    pods(StringMap(json: job[path: templatePath]), "spec.template.annotations", into: &errors)
  }

  /// A CronJob's template of Jobs.
  static func cronJob(_ cron: JSON, into errors: inout FieldErrors) {
    let template = cron[path: ["spec", "jobTemplate"]] ?? .null
    jobs(
      StringMap(json: template[path: ["metadata", "annotations"]]), template["spec"] ?? .null,
      "spec.jobTemplate.metadata.annotations", into: &errors)
    pods(StringMap(json: template[path: templatePath]), "spec.jobTemplate.spec.template.annotations", into: &errors)
  }

  static func pods(_ annotations: StringMap, _ path: String, into errors: inout FieldErrors) {
    seconds(annotations, JobAnnotation.startDeadline, atLeast: 1, path, into: &errors)
  }

  private static let templatePath = ["spec", "template", "metadata", "annotations"]

  static func path(_ path: String, _ name: String) -> String { "\(path)[\(name)]" }

  private static func jobs(_ annotations: StringMap, _ spec: JSON, _ at: String, into errors: inout FieldErrors) {
    if annotations.isEmpty { return }
    seconds(annotations, JobAnnotation.startDeadline, atLeast: 1, at, into: &errors)
    seconds(annotations, JobAnnotation.ttlAfterFailure, atLeast: 0, at, into: &errors)
    if let text = annotations[JobAnnotation.backoff] {
      do throws(BackoffRule.Problem) {
        _ = try BackoffRule(text: text)
      } catch {
        errors.invalid(path(at, JobAnnotation.backoff), text, error.text)
      }
    }
    if let text = annotations[JobAnnotation.oomMemory] {
      memory(text, spec, path(at, JobAnnotation.oomMemory), &errors)
    }
    if let name = annotations[JobAnnotation.rerunOf] {
      for problem in Names.subdomainErrors(name) { errors.invalid(path(at, JobAnnotation.rerunOf), name, problem) }
    }
    JobHoldRules.values(annotations, spec, at, into: &errors)
    if let text = annotations[JobAnnotation.indexes] {
      indexes(text, spec, path(at, JobAnnotation.indexes), into: &errors)
    }
  }

  private static func memory(_ text: String, _ spec: JSON, _ at: String, _ errors: inout FieldErrors) {
    do throws(MemoryRaise.Problem) {
      _ = try MemoryRaise(text: text)
    } catch {
      return errors.invalid(at, text, error.text)
    }
    if spec[path: ["template", "spec", "restartPolicy"]]?.stringValue == RestartPolicy.onFailure.rawValue {
      errors.invalid(
        at, text, "requires restartPolicy: Never: a container that is restarted in its pod keeps its limit")
    }
  }

  private static func indexes(_ text: String, _ spec: JSON, _ at: String, into errors: inout FieldErrors) {
    guard spec["completionMode"]?.stringValue == "Indexed", let completions = spec["completions"]?.intValue else {
      return errors.invalid(at, text, "requires indexed completion mode")
    }
    let indexes = IndexIntervals(text: text)
    // What is written in another way, or was read in part only.
    if indexes.isEmpty || indexes.text != text {
      errors.invalid(at, text, "must be a rising list of indexes and intervals, as in 1,3,5-7")
    } else if indexes.last ?? 0 >= completions {
      errors.invalid(at, text, "must be below completions, which is \(completions)")
    }
  }

  private static func seconds(
    _ annotations: StringMap, _ name: String, atLeast least: Int64, _ at: String, into errors: inout FieldErrors
  ) {
    guard let text = annotations[name] else { return }
    guard let number = Int64(text), text.utf8.allSatisfy({ (48...57).contains($0) }),
      (least...Int64(Int32.max)).contains(number)
    else {
      return errors.invalid(
        path(at, name), text, "must be a whole number of seconds from \(least) to \(Int32.max)")
    }
  }

  // MARK: Warnings

  /// Names under `stint.dev/` that have no meaning there; a typing error says nothing else.
  static func unknown(_ annotations: JSON?, _ at: String, known: [String]) -> [(path: String, text: String)] {
    StringMap(json: annotations).compactMap { entry in
      guard entry.key.hasPrefix(JobAnnotation.prefix), !known.contains(entry.key) else { return nil }
      let place =
        JobAnnotation.ofJobs.contains(entry.key)
        ? "belongs to the Job's own annotations"
        : JobAnnotation.ofPods.contains(entry.key)
          ? "belongs to the pod template's annotations" : "there is no such annotation"
      return (path(at, entry.key), "has no effect: \(place)")
    }
  }
}

extension Honesty {
  /// `path`: where the Job lies in the object.
  mutating func jobAnnotations(_ job: JSON, _ path: String = "") {
    let found =
      JobAnnotationRules.unknown(
        job[path: ["metadata", "annotations"]], path + "metadata.annotations", known: JobAnnotation.ofJobs)
      + JobAnnotationRules.unknown(
        job[path: ["spec", "template", "metadata", "annotations"]], path + "spec.template.metadata.annotations",
        known: JobAnnotation.ofPods)
    for one in found { warn(one.path, one.text) }
  }

  mutating func podAnnotations(_ pod: JSON) {
    let found = JobAnnotationRules.unknown(
      pod[path: ["metadata", "annotations"]], "metadata.annotations", known: JobAnnotation.ofPods)
    for one in found { warn(one.path, one.text) }
  }
}

/// What a write leaves of the annotations that are not its to change.
enum KeptAnnotations {
  /// The coordinator's own record stays, whatever a client writes.
  static func settle(_ meta: inout ObjectMeta, _ before: ObjectMeta) {
    let record = before.annotations[JobAnnotation.failures]
    if meta.annotations[JobAnnotation.failures] != record { meta.annotations[JobAnnotation.failures] = record }
  }

  /// A write of a status is not validated as one of the object is: it leaves all of them as they were.
  static func settleStatus(_ meta: inout ObjectMeta, _ before: ObjectMeta, _ kind: Kind, _ warnings: inout [String]) {
    for entry in meta.annotations.merging(before.annotations) where entry.key.hasPrefix(JobAnnotation.prefix) {
      let kept = before.annotations[entry.key]
      if meta.annotations[entry.key] == kept { continue }
      meta.annotations[entry.key] = kept
      warnings.append("metadata.annotations[\(entry.key)]: not written by \(kind.plural)/status")
    }
  }
}
