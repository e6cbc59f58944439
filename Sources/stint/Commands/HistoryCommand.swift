// Owns: `history`: Jobs that have ended, by their ends, and the attempts of one Job, from what the API still has. It
// must not know how Jobs end.

import ClusterIO
import ClusterProto

/// `stint history [JOB]`.
struct HistoryCommand {
  static let results = ["complete", "failed", "stopped"]

  private let context: Context
  private let now: WallTime

  @Sendable static func run(_ context: Context) throws -> Int32 {
    let command = HistoryCommand(context: context, now: WallTime(nanoseconds: Clocks.now().wall))
    let cluster = try context.cluster()
    guard let word = context.arguments.words.first else { return try command.jobs(cluster) }
    let name = try Target.names([word], of: .jobs)[0]
    return try command.attempts(of: name, cluster)
  }

  // Jobs.

  private func jobs(_ cluster: Cluster) throws -> Int32 {
    let arguments = context.arguments
    let list = try cluster.list(.jobs, context.listNamespace(.jobs), labels: arguments.value("selector"))
    let since = arguments.milliseconds("since").map { now.adding(milliseconds: -$0) }
    var ended = (list["items"]?.arrayValue ?? []).compactMap { EndedJob(GetCommand.typed($0, .jobs)) }
    if let since { ended.removeAll { $0.end < since } }
    if let state = arguments.value("state") { ended.removeAll { $0.result.lowercased() != state } }
    // The latest last, as in a shell's history; Jobs that end in one second by name.
    ended.sort { ($0.end, $0.namespace, $0.name) < ($1.end, $1.namespace, $1.name) }
    if let limit = arguments.integer("limit"), limit < ended.count { ended.removeFirst(ended.count - Int(limit)) }
    return show(ended)
  }

  private func show(_ ended: [EndedJob]) -> Int32 {
    let (arguments, console) = (context.arguments, context.console)
    switch arguments.value("output") {
    case "name": for job in ended { console.line("job.batch/\(job.name)") }
    case let format? where format != "wide":
      console.out(ObjectText.of(["apiVersion": "v1", "kind": "List", "items": .array(ended.map(\.object))], format))
    case let format:
      guard !ended.isEmpty else {
        let place = context.isAllNamespaces ? "" : " in namespace \(context.namespace)"
        console.note("No Job that has ended\(place) is there any more, or has ended so.")
        return 0
      }
      let isWide = format == "wide"
      var names = ["NAME", "RESULT", "SUCCEEDED", "FAILED", "ENDED", "DURATION", "BY", "REASON"]
      if isWide { names += ["STARTED", "FINISHED"] }
      if context.isAllNamespaces { names.insert("NAMESPACE", at: 0) }
      let rows = ended.map { job in
        (context.isAllNamespaces ? [job.namespace] : []) + job.cells(now: now, isWide: isWide, console.colours)
      }
      print(names, rows)
    }
    return 0
  }

  private func print(_ names: [String], _ rows: [[String]]) {
    let text = TabWriter.table(names, rows)
    guard context.arguments.isOn("no-headers") else { return context.console.out(text) }
    context.console.out(TabWriter.table(rows.first ?? [], Array(rows.dropFirst())))
  }

  // Attempts.

  private func attempts(of name: String, _ cluster: Cluster) throws -> Int32 {
    let job = try cluster.get(.jobs, context.namespace, name)
    let labels = LabelText.selector(job[path: ["spec", "selector"]])
    let pods = try cluster.list(.pods, context.namespace, labels: labels)["items"]?.arrayValue ?? []
    let attempts = Attempt.all(of: job, pods)
    if let format = context.arguments.value("output"), ["json", "yaml"].contains(format) {
      context.console.out(ObjectText.of(["attempts": .array(attempts.map(\.json))], format))
      return 0
    }
    guard !attempts.isEmpty else {
      context.console.note("Of job/\(name) there is no pod any more, and no record of one that failed.")
      return 0
    }
    let hasIndexes = attempts.contains { $0.index != nil }
    print(
      (hasIndexes ? ["INDEX"] : []) + ["POD", "NODE", "STARTED", "DURATION", "RESULT"],
      attempts.map { attempt in
        (hasIndexes ? [attempt.index.map { "\($0)" } ?? "<none>"] : []) + attempt.cells(now: now)
      })
    return 0
  }
}

/// A Job that has ended.
struct EndedJob {
  let object: JSON
  let name: String
  let namespace: String
  /// `Complete`, `Failed` or `Stopped`.
  let result: String
  let reason: String
  let start: WallTime?
  let end: WallTime

  /// nil: it has not ended.
  init?(_ job: JSON) {
    let terminal = (job[path: ["status", "conditions"]]?.arrayValue ?? []).first {
      ["Complete", "Failed"].contains($0["type"]?.stringValue ?? "") && $0["status"]?.stringValue == "True"
    }
    guard let terminal else { return nil }
    func time(_ value: JSON?) -> WallTime? { (value?.stringValue).flatMap { WallTime(rfc3339: $0) } }
    object = job
    name = job[path: ["metadata", "name"]]?.stringValue ?? ""
    namespace = job[path: ["metadata", "namespace"]]?.stringValue ?? ""
    let isStopped = StopMark.isOn(job) && terminal["type"]?.stringValue == "Failed"
    result = isStopped ? "Stopped" : terminal["type"]?.stringValue ?? ""
    reason = isStopped ? "stint stop" : terminal["reason"]?.stringValue ?? ""
    start = time(job[path: ["status", "startTime"]])
    end =
      time(job[path: ["status", "completionTime"]]) ?? time(terminal["lastTransitionTime"])
      ?? time(job[path: ["metadata", "creationTimestamp"]]) ?? .earliest
  }

  /// What made it, as far as the object says: a CronJob, the Job that it repeats, or the program that wrote it.
  var maker: String {
    for owner in object[path: ["metadata", "ownerReferences"]]?.arrayValue ?? []
    where owner["controller"]?.boolValue == true {
      return "\((owner["kind"]?.stringValue ?? "").lowercased())/\(owner["name"]?.stringValue ?? "")"
    }
    if let before = object[path: ["metadata", "annotations", JobAnnotation.rerunOf]]?.stringValue {
      return "rerun of \(before)"
    }
    // Others change a Job later, and nobody its template.
    let written = (object[path: ["metadata", "managedFields"]]?.arrayValue ?? []).first {
      $0[path: ["fieldsV1", "f:spec", "f:template"]] != nil
    }
    return written?["manager"]?.stringValue.flatMap { $0.isEmpty ? nil : $0 } ?? "<unknown>"
  }

  func cells(now: WallTime, isWide: Bool, _ colours: Bool) -> [String] {
    let status = object["status"]
    let succeeded = status?["succeeded"]?.intValue ?? 0
    let wanted = (object[path: ["spec", "completions"]]?.intValue).map { "/\($0)" } ?? ""
    let shown = colours ? Colour.status(result == "Stopped" ? "Suspended" : result) : result
    let duration = start.map { humanDuration(milliseconds: max(0, end.milliseconds(since: $0))) } ?? "<none>"
    var cells = [
      name, result == "Stopped" ? shown.replacing("Suspended", with: result) : shown, "\(succeeded)\(wanted)",
      "\(status?["failed"]?.intValue ?? 0)", humanDuration(milliseconds: max(0, now.milliseconds(since: end))) + " ago",
      duration, maker, reason.isEmpty ? "<none>" : reason,
    ]
    if isWide { cells += [start?.rfc3339 ?? "<none>", end.rfc3339] }
    return cells.map { $0.hasPrefix("\u{1b}[") ? $0 : TablePrinter.cell(.string($0)) }
  }
}

/// A pod of a Job that is there, or of which the Job's record tells how it failed.
struct Attempt: Equatable {
  var pod: String
  var index: Int64?
  var node: String
  var start: WallTime?
  var end: WallTime?
  var result: String

  static func all(of job: JSON, _ pods: [JSON]) -> [Attempt] {
    var attempts = pods.map { Attempt($0) }
    let known = Set(attempts.map(\.pod))
    let text = job[path: ["metadata", "annotations", JobAnnotation.failures]]?.stringValue ?? ""
    attempts += text.split(separator: "\n").compactMap { Attempt(record: $0) }.filter { !known.contains($0.pod) }
    func order(_ attempt: Attempt) -> WallTime { attempt.start ?? attempt.end ?? WallTime(nanoseconds: .max) }
    return attempts.sorted { (order($0), $0.pod) < (order($1), $1.pod) }
  }

  init(_ pod: JSON) {
    let facts = PodFacts(pod)
    self.pod = facts.name
    index = facts.index
    node = facts.node
    let statuses = ["initContainerStatuses", "containerStatuses"].flatMap {
      pod[path: ["status", $0]]?.arrayValue ?? []
    }
    func times(_ paths: [[String]]) -> [WallTime] {
      statuses.flatMap { status in
        paths.compactMap { (status[path: $0]?.stringValue).flatMap { WallTime(rfc3339: $0) } }
      }
    }
    start = times([["state", "terminated", "startedAt"], ["state", "running", "startedAt"]]).min()
    end = facts.isOver ? times([["state", "terminated", "finishedAt"]]).max() : nil
    let failed = statuses.compactMap { $0[path: ["state", "terminated"]] }.first { $0["exitCode"]?.intValue ?? 0 != 0 }
    if let failed {
      result = EndWords.exit(failed["exitCode"]?.intValue ?? 0, failed["reason"]?.stringValue ?? "")
    } else if let reason = pod[path: ["status", "reason"]]?.stringValue, !reason.isEmpty {
      result = reason
    } else {
      result = facts.isDeleted && !facts.isOver ? "Terminating" : facts.phase
    }
  }

  /// Of a line of the Job's record; nil: it is none.
  init?(record line: Substring) {
    // The time has colons, but no space behind them.
    guard let colon = line.firstRange(of: ": ") else { return nil }
    let head = line[..<colon.lowerBound].split(separator: " ")
    guard head.count > 1, let time = WallTime(rfc3339: String(head[0])) else { return nil }
    func after(_ word: Substring) -> String? {
      head.dropFirst(2).firstIndex(of: word).flatMap { $0 + 1 < head.count ? String(head[$0 + 1]) : nil }
    }
    pod = String(head[1])
    index = after("index").flatMap { Int64($0) }
    node = after("on") ?? ""
    end = time
    result = String(line[colon.upperBound...])
  }

  func cells(now: WallTime) -> [String] {
    let duration = start.map { humanDuration(milliseconds: max(0, (end ?? now).milliseconds(since: $0))) }
    let began = start.map { $0.rfc3339 } ?? end.map { "ended \($0.rfc3339)" } ?? "<none>"
    return [pod, node.isEmpty ? "<none>" : node, began, duration ?? "<unknown>", result].map {
      TablePrinter.cell(.string($0))
    }
  }

  var json: JSON {
    var json: JSON = ["pod": .string(pod), "node": .string(node), "result": .string(result)]
    json["index"] = index.map { .int($0) }
    json["startedAt"] = start.map { .string($0.rfc3339) }
    json["finishedAt"] = end.map { .string($0.rfc3339) }
    return json
  }
}
