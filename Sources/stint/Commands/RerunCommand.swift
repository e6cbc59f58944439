// Owns: `rerun`: a copy of a Job that has ended, whole or only for the indexes that have not succeeded, without what
// would end it before it begins or hold it for ever; and `retry`, which follows the copy. It must not know how it runs.

import ClusterProto

/// `stint rerun JOB`.
enum RerunCommand {
  /// Names that are tried, one after another.
  private static let attempts = 100

  @Sendable static func run(_ context: Context) throws -> Int32 { try run(context) { _ in } }

  /// `stint retry`: the same, followed to its end where nobody asked otherwise.
  @Sendable static func retry(_ context: Context) throws -> Int32 {
    let arguments = context.arguments
    if arguments.isOn("detach") || arguments.has("output") || arguments.value("dry-run") ?? "none" != "none" {
      return try run(context)
    }
    let interrupts = Interrupts()
    var made: JSON?
    let status = try run(context) { made = $0 }
    guard status == 0, let made else { return status }
    return try JobSession(made, try context.cluster(), context, interrupts).run()
  }

  private static func run(_ context: Context, then: (JSON) throws -> Void) throws -> Int32 {
    let names = try Target.names(context.arguments.words, of: .jobs)
    guard names.count == 1, let name = names.first else { throw context.arguments.problem("name one Job") }
    let job = try context.cluster().get(.jobs, context.namespace, name)
    guard let end = WaitGoal.end(of: job) else {
      throw CommandError(
        "error: job \"\(name)\" has not ended: wait for it with `stint wait job/\(name) --for=finished`")
    }
    var copy = Self.copy(of: job, named: name)
    if context.arguments.has("failed-indexes") {
      let indexes = try failedIndexes(of: job, succeeded: end.succeeded, name)
      copy[path: ["metadata", "annotations", JobAnnotation.indexes]] = .string(indexes)
      context.console.note("runs again: indexes \(indexes)")
      if leaveOutPolicy(of: job, indexes: indexes, &copy) {
        context.console.note(
          "left out: successPolicy, which the indexes that do not run again meet: the Job would end before it begins")
      }
    }
    let met = try leaveOutDependencies(of: job, context, &copy)
    if !met.isEmpty {
      context.console.note(
        "left out: \(JobAnnotation.dependsOn) \(met.joined(separator: ",")), which the Job has waited for")
    }
    let isReal = context.arguments.value("dry-run") ?? "none" == "none"
    let make: (JSON) throws -> Void = { made in
      if isReal { try shareConfigMaps(of: job, with: made, context) }
      try then(made)
    }
    return try ApplyCommand.make(.jobs, context, then: make) { attempt in
      guard attempt <= attempts else { return nil }
      var named = copy
      named[path: ["metadata", "name"]] = .string(newName(of: name, attempt, job))
      return named
    }
  }

  /// What is the Job's own, without what the server and the controllers added.
  private static func copy(of job: JSON, named name: String) -> JSON {
    var spec = job["spec"] ?? .object(JSONObject())
    var labels = StringMap(json: job[path: ["metadata", "labels"]])
    if spec["manualSelector"]?.boolValue != true {
      let path = ["template", "metadata", "labels"]
      var ofPods = StringMap(json: spec[path: path])
      for label in generatedLabels {
        labels[label] = nil
        ofPods[label] = nil
      }
      spec["selector"] = nil
      spec[path: path] = ofPods.isEmpty ? nil : ofPods.json
    }
    var annotations = StringMap(json: job[path: ["metadata", "annotations"]])
    for name in [ThreeWayMerge.annotation, JobAnnotation.failures, "batch.kubernetes.io/cronjob-scheduled-timestamp"] {
      annotations[name] = nil
    }
    annotations[JobAnnotation.rerunOf] = name
    var metadata: JSON = ["annotations": annotations.json]
    if !labels.isEmpty { metadata["labels"] = labels.json }
    var copy: JSON = [
      "apiVersion": .string(Kind.jobs.apiVersion), "kind": .string(Kind.jobs.name), "metadata": metadata, "spec": spec,
    ]
    StopMark.undo(&copy)
    return copy
  }

  /// What `stint run` made for the Job goes with it: the copy becomes an owner too, and so outlives the Job.
  private static func shareConfigMaps(of job: JSON, with copy: JSON, _ context: Context) throws {
    let owner = job[path: ["metadata", "uid"]]
    for volume in job[path: ["spec", "template", "spec", "volumes"]]?.arrayValue ?? [] {
      guard let name = volume[path: ["configMap", "name"]]?.stringValue else { continue }
      for attempt in 1... {
        guard let map = try context.cluster().find(.configmaps, context.namespace, name),
          let owners = map[path: ["metadata", "ownerReferences"]]?.arrayValue,
          owners.contains(where: { $0["uid"] == owner })
        else { break }
        let body: JSON = [
          "metadata": [
            "resourceVersion": map[path: ["metadata", "resourceVersion"]] ?? "",
            "ownerReferences": .array(owners + [JobOwner.reference(to: copy)]),
          ]
        ]
        do {
          _ = try context.cluster().patch(.configmaps, context.namespace, name, body)
          break
        } catch let error as StatusError where error.isConflict && attempt < conflicts {
          continue
        }
      }
    }
  }

  /// Answers in a row that somebody else wrote the object meanwhile.
  private static let conflicts = 5

  /// The indexes that do not run count as succeeded: true where they alone meet the policy, which is gone then.
  private static func leaveOutPolicy(of job: JSON, indexes: String, _ copy: inout JSON) -> Bool {
    let spec = JobSpec(json: job["spec"] ?? .null)
    let counted = IndexIntervals(text: indexes).inverted(below: spec.completions ?? 0)
    guard spec.successRules.contains(where: { $0.isMet(by: counted) }) else { return false }
    copy[path: ["spec", "successPolicy"]] = nil
    return true
  }

  /// What the Job had waited for when it began has come, and may be gone: nobody waits for it again. What single
  /// indexes waited for is looked at anew, as long as it is there. Returns what is left out.
  private static func leaveOutDependencies(
    of job: JSON, _ context: Context, _ copy: inout JSON
  ) throws -> [String] {
    let path = ["metadata", "annotations", JobAnnotation.dependsOn]
    guard let text = job[path: path]?.stringValue, hasBegun(JobStatus(json: job["status"])),
      let all = try? JobDependency.list(text)
    else { return [] }
    var kept: [String] = []
    for one in all where one.isOfIndexes {
      if try context.cluster().find(.jobs, context.namespace, one.job) != nil { kept.append(one.text) }
    }
    copy[path: path] = kept.isEmpty ? nil : .string(kept.joined(separator: ","))
    return all.map(\.text).filter { !kept.contains($0) }
  }

  private static func hasBegun(_ status: JobStatus) -> Bool {
    status.startTime != nil || status.condition(JobAdmission.condition)?.isTrue == true || status.succeeded > 0
      || status.failed > 0
  }

  private static let generatedLabels = [
    "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "controller-uid", "job-name",
  ]

  /// Of a Job that failed all that have not succeeded; of one that succeeded those that failed by the way.
  private static func failedIndexes(of job: JSON, succeeded: Bool, _ name: String) throws -> String {
    guard job[path: ["spec", "completionMode"]]?.stringValue == "Indexed",
      let completions = job[path: ["spec", "completions"]]?.intValue
    else { throw CommandError("error: job \"\(name)\" has no indexes: leave out --failed-indexes") }
    let status = job["status"]
    let done = IndexIntervals(text: status?["completedIndexes"]?.stringValue ?? "")
    let failed = IndexIntervals(text: status?["failedIndexes"]?.stringValue ?? "")
    let indexes = succeeded ? failed : done.inverted(below: completions)
    if indexes.isEmpty { throw CommandError("error: job \"\(name)\" has no failed index") }
    return indexes.text
  }

  /// `JOB-rerun-N`; a rerun's own rerun goes on counting. Short enough for the pods' labels and host names.
  static func newName(of name: String, _ number: Int, _ job: JSON) -> String {
    var base = name[...]
    if let mark = name.ranges(of: "-rerun-").last, mark.lowerBound > name.startIndex,
      name[mark.upperBound...].allSatisfy({ ("0"..."9").contains($0) })
    {
      base = name[..<mark.lowerBound]
    }
    let suffix = "-rerun-\(number)"
    let last = (job[path: ["spec", "completions"]]?.intValue ?? 1) - 1
    let isIndexed = job[path: ["spec", "completionMode"]]?.stringValue == "Indexed"
    base = base.prefix(63 - suffix.count - (isIndexed ? "-\(last)".count : 0))
    while base.last == "-" || base.last == "." { base.removeLast() }
    return base + suffix
  }
}
