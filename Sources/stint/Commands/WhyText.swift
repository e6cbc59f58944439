// Owns: the paragraph of `stint why`: why a Job or a pod is where it is, from objects as they are. Pure: no clock,
// nobody is asked. It must not know how the objects are had.

import ClusterProto

/// What is known of a Job.
struct WhyFacts {
  var job: JSON
  /// Those of its pods that have not succeeded.
  var pods: [JSON]
  /// Its own events, the oldest first.
  var events: [JSON] = []
  /// Names of nodes that are not Ready.
  var awayNodes: Set<String> = []
  var now: WallTime
}

/// The answer.
struct WhyAnswer: Equatable {
  var sentences: [String] = []
  /// The pod whose last lines belong to it.
  var example: String?
  /// What to type next.
  var next: [String] = []

  mutating func say(_ sentence: String) { sentences.append(sentence.hasSuffix(".") ? sentence : sentence + ".") }
}

/// Why a Job is where it is.
struct WhyJob {
  private let facts: WhyFacts
  private let name: String
  private let failures: WhyFailures
  private var answer = WhyAnswer()
  private var job: JSON { facts.job }
  private var status: JSON? { facts.job["status"] }

  static func answer(_ facts: WhyFacts) -> WhyAnswer {
    var why = WhyJob(facts)
    why.tell()
    return why.answer
  }

  private init(_ facts: WhyFacts) {
    self.facts = facts
    name = facts.job[path: ["metadata", "name"]]?.stringValue ?? ""
    failures = WhyFailures(facts.job, facts.pods)
  }

  private mutating func tell() {
    for condition in status?["conditions"]?.arrayValue ?? [] where condition["status"]?.stringValue == "True" {
      switch condition["type"]?.stringValue {
      case "Complete": return complete(condition)
      case "Failed": return failed(condition)
      default: break
      }
    }
    tellEnding()
    if job[path: ["spec", "suspend"]]?.boolValue == true { return suspended() }
    if waits() { return }
    running()
  }

  // Numbers.

  private var succeeded: Int64 { status?["succeeded"]?.intValue ?? 0 }
  private var failedPods: Int64 { status?["failed"]?.intValue ?? 0 }
  private var active: Int64 { status?["active"]?.intValue ?? 0 }
  private var completions: Int64? { job[path: ["spec", "completions"]]?.intValue }
  private var isIndexed: Bool { job[path: ["spec", "completionMode"]]?.stringValue == "Indexed" }
  private var counts: String { completions.map { "\(succeeded) of \($0) succeeded" } ?? "\(succeeded) succeeded" }

  private func milliseconds(since field: String, until end: String? = nil) -> Int64? {
    guard let start = status?[field]?.stringValue.flatMap({ WallTime(rfc3339: $0) }) else { return nil }
    let stop = end.map { status?[$0]?.stringValue.flatMap { WallTime(rfc3339: $0) } } ?? facts.now
    return stop.map { max(0, $0.milliseconds(since: start)) }
  }

  // Ends.

  private mutating func complete(_ condition: JSON) {
    let time = milliseconds(since: "startTime", until: "completionTime").map {
      " in " + humanDuration(milliseconds: $0)
    }
    answer.say("job/\(name) completed\(time ?? ""): \(counts)")
    if condition["reason"]?.stringValue == "SuccessPolicy" {
      answer.say("Its successPolicy was met: " + Why.cell(condition["message"]))
    }
    if failedPods > 0 {
      let last = failures.last.map { ", the last one \($0)" } ?? ""
      answer.say("\(Why.count(failedPods, "pod")) failed by the way\(last)")
    }
    if !failures.failed.isEmpty { answer.next.append("stint retry \(name) --failed-indexes") }
    answer.next.append("stint logs job/\(name) --all-pods")
  }

  private mutating func failed(_ condition: JSON) {
    let reason = condition["reason"]?.stringValue ?? ""
    let message = Why.cell(condition["message"])
    switch reason {
    case "DeadlineExceeded" where StopMark.isOn(job):
      answer.say("job/\(name) was stopped by hand at \(StopMark.time(of: job) ?? "") with \(counts)")
    case "DeadlineExceeded":
      let limit = (job[path: ["spec", "activeDeadlineSeconds"]]?.intValue).map {
        " of " + humanDuration(milliseconds: $0 * 1_000)
      }
      answer.say(
        "job/\(name) failed because it took longer than its limit\(limit ?? "") (activeDeadlineSeconds), with \(counts)"
      )
    case "BackoffLimitExceeded":
      let limit = job[path: ["spec", "backoffLimit"]]?.intValue ?? 6
      let again = limit == 0 ? "none is tried again" : "\(Why.count(limit, "failure")) may be tried again"
      answer.say(
        "job/\(name) failed because \(Why.count(max(failedPods, 1), "pod")) failed and \(again) (backoffLimit), with "
          + counts)
    case "FailedIndexes", "MaxFailedIndexesExceeded":
      let number = failures.failed.count
      let which = completions.map { "\(number) of its \(Why.count($0, "index"))" } ?? Why.count(number, "index")
      answer.say("job/\(name) failed because \(which) failed; \(counts)")
      if reason == "MaxFailedIndexesExceeded" { answer.say(message) }
    default: answer.say("job/\(name) failed (\(reason)): \(message)".replacing(" ():", with: ":"))
    }
    tellEnds()
    if StopMark.isOn(job) { answer.example = nil }
    answer.next.append(isIndexed ? "stint retry \(name) --failed-indexes" : "stint retry \(name)")
    if let pod = answer.example { answer.next.append("stint logs \(pod)") }
  }

  private mutating func tellEnds() {
    if !failures.sentence.isEmpty {
      answer.say("Failed: \(failures.sentence)")
    } else if let last = failures.last {
      answer.say("The last failure: \(last)")
    }
    tellDisruptions()
    answer.example = failures.example?[path: ["metadata", "name"]]?.stringValue
  }

  private mutating func tellDisruptions() {
    let lost = facts.pods.compactMap { pod in EndWords.disruption(pod).map { (pod, $0) } }
    guard let (pod, why) = lost.last else { return }
    answer.say(
      "\(Why.count(Int64(lost.count), "pod")) \(lost.count == 1 ? "was" : "were") taken away by the cluster, "
        + "which is no failure of the work: the last one\(WhyFailures.place(pod)), \(why)")
  }

  // Not yet.

  /// Its end is decided, and its pods are still ending.
  private mutating func tellEnding() {
    for condition in status?["conditions"]?.arrayValue ?? []
    where condition["type"]?.stringValue == "FailureTarget" && condition["status"]?.stringValue == "True" {
      let reason = condition["reason"]?.stringValue ?? ""
      answer.say("job/\(name) is failing (\(reason)): its pods are being ended. \(Why.cell(condition["message"]))")
    }
  }

  private mutating func suspended() {
    answer.say("job/\(name) is suspended: nothing of it runs until it is resumed, with \(counts)")
    answer.next.append("stint resume \(name)")
  }

  /// Whether it may not have pods yet.
  private mutating func waits() -> Bool {
    for condition in status?["conditions"]?.arrayValue ?? []
    where condition["type"]?.stringValue == JobAdmission.condition && condition["status"]?.stringValue == "False" {
      let message = Why.cell(condition["message"])
      answer.say("job/\(name) has not begun: \(message.isEmpty ? condition["reason"]?.stringValue ?? "" : message)")
      if let queue = job[path: ["metadata", "annotations", JobAnnotation.queue]]?.stringValue {
        answer.next.append("stint describe queue \(queue)")
      }
      answer.next.append("stint describe job \(name)")
      return true
    }
    return false
  }

  private mutating func running() {
    let live = facts.pods.filter { !["Succeeded", "Failed"].contains($0[path: ["status", "phase"]]?.stringValue) }
    let running = live.filter { $0[path: ["status", "phase"]]?.stringValue == "Running" }
    let time = milliseconds(since: "startTime").map { " for " + humanDuration(milliseconds: $0) }
    if live.isEmpty {
      answer.say("job/\(name) runs no pod now, with \(counts)")
      tellWhyNone()
    } else {
      answer.say(
        "job/\(name) has been going on\(time ?? ""): \(counts), \(Why.count(Int64(running.count), "pod")) running"
          + Self.nodes(running))
    }
    let waiting = live.filter { $0[path: ["status", "phase"]]?.stringValue == "Pending" }
    for cause in Causes.ofPods(waiting) { answer.say("Waiting: \(cause)") }
    tellAway(running)
    tellFailuresSoFar()
    // More would only wait too.
    if waiting.isEmpty { tellParallelism() }
    tellLongest(running)
    answer.next.append(running.isEmpty ? "stint describe job \(name)" : "stint logs -f job/\(name)")
  }

  private static func nodes(_ pods: [JSON]) -> String {
    var counts: [String: Int] = [:]
    for pod in pods { counts[pod[path: ["spec", "nodeName"]]?.stringValue ?? "", default: 0] += 1 }
    let parts = counts.keys.sorted().prefix(6).map { counts[$0] == 1 ? $0 : "\($0) (\(counts[$0] ?? 0))" }
    return parts.isEmpty ? "" : " on " + parts.joined(separator: ", ") + (counts.count > 6 ? ", …" : "")
  }

  private mutating func tellWhyNone() {
    if let event = facts.events.last, event["reason"]?.stringValue == "FailedCreate" {
      answer.say("Its pods cannot be made: " + Why.cell(event["message"]))
    } else if failedPods > 0 {
      answer.say(
        "It waits a while after a failure before it tries again (10s, doubling to 10m, unless stint.dev/backoff)")
    }
  }

  private mutating func tellAway(_ running: [JSON]) {
    let away = running.compactMap { $0[path: ["spec", "nodeName"]]?.stringValue }.filter(facts.awayNodes.contains)
    guard let node = away.first else { return }
    answer.say(
      "\(Why.count(Int64(away.count), "pod")) may run on nodes that do not answer (\(node)): they are started "
        + "elsewhere only when it is certain that they have ended there")
    answer.next.append("stint describe node \(node)")
  }

  private mutating func tellFailuresSoFar() {
    guard failedPods > 0 else { return }
    if !failures.failed.isEmpty {
      answer.say("Failed for good: \(failures.sentence)")
    } else if let last = failures.last {
      answer.say(
        "\(Why.count(failedPods, "pod")) failed and \(failedPods == 1 ? "is" : "are") tried again, the last: \(last)")
    }
  }

  private mutating func tellParallelism() {
    guard let completions, let parallelism = job[path: ["spec", "parallelism"]]?.intValue else { return }
    let rest = completions - succeeded - failures.failed.count
    guard rest > parallelism else { return }
    answer.say("\(rest) are still to be done and \(parallelism) may run at a time (parallelism)")
    answer.next.append("stint scale job/\(name) --replicas=\(min(rest, max(1, parallelism) * 2))")
  }

  private mutating func tellLongest(_ running: [JSON]) {
    let started = running.compactMap { pod in
      pod[path: ["status", "startTime"]]?.stringValue.flatMap { WallTime(rfc3339: $0) }.map { (pod, $0) }
    }
    guard running.count > 1, let (pod, time) = started.min(by: { $0.1 < $1.1 }) else { return }
    let duration = humanDuration(milliseconds: max(0, facts.now.milliseconds(since: time)))
    answer.say("The longest has been running for \(duration): \(PodFacts(pod).subject)\(WhyFailures.place(pod))")
  }
}

/// Words that several answers need.
enum Why {
  /// `1 pod`, `3 pods`, `2 indexes`.
  static func count(_ number: Int64, _ noun: String) -> String {
    "\(number) \(noun)\(number == 1 ? "" : noun.hasSuffix("x") ? "es" : "s")"
  }

  /// A message in one line.
  static func cell(_ message: JSON?) -> String {
    (message?.stringValue ?? "").split(whereSeparator: \.isNewline).joined(separator: " ")
  }

  /// Sentences in lines of at most so many characters. A longer word has a line of its own.
  static func wrapped(_ sentences: [String], width: Int) -> String {
    var lines: [String] = []
    var line = ""
    for word in sentences.joined(separator: " ").split(separator: " ") {
      if !line.isEmpty, line.count + 1 + word.count > width {
        lines.append(line)
        line = ""
      }
      line += (line.isEmpty ? "" : " ") + word
    }
    return (lines + [line]).joined(separator: "\n")
  }
}

/// Why a pod is where it is.
enum WhyPod {
  static func answer(_ pod: JSON, awayNodes: Set<String> = [], now: WallTime) -> WhyAnswer {
    var answer = WhyAnswer()
    let facts = PodFacts(pod)
    let label = "pod/\(facts.name)" + (facts.index.map { " (index \($0))" } ?? "")
    let place = WhyFailures.place(pod)
    func ago(_ path: [String]) -> String {
      let start = pod[path: path]?.stringValue.flatMap { WallTime(rfc3339: $0) }
      return start.map { " for " + humanDuration(milliseconds: max(0, now.milliseconds(since: $0))) } ?? ""
    }
    switch facts.phase {
    case "Succeeded":
      answer.say("\(label) succeeded\(place)")
      answer.next.append("stint logs \(facts.name)")
    case "Failed":
      answer.say("\(label) failed\(place): \(EndWords.of(pod) ?? "nothing is known of its end")")
      if let why = EndWords.disruption(pod) { answer.say("The cluster took it away: \(why)") }
      answer.example = facts.name
      answer.next.append("stint logs \(facts.name)")
    case "Running":
      answer.say("\(label) has been running\(place)\(ago(["status", "startTime"]))")
      restarts(pod, &answer)
      if awayNodes.contains(facts.node) {
        answer.say("Its node does not answer: another starts only when it is certain that this one has ended")
        answer.next.append("stint describe node \(facts.node)")
      }
      answer.next.append("stint logs -f \(facts.name)")
    default:
      let cause = Causes.ofPod(pod) ?? (place.isEmpty ? "it has no node yet" : "its containers are being started")
      answer.say("\(label) has been waiting\(place)\(ago(["metadata", "creationTimestamp"])): \(cause)")
      answer.next.append("stint describe pod \(facts.name)")
    }
    if facts.isDeleted, !facts.isOver { answer.say("It has been asked to end, and has not yet") }
    return answer
  }

  private static func restarts(_ pod: JSON, _ answer: inout WhyAnswer) {
    for container in pod[path: ["status", "containerStatuses"]]?.arrayValue ?? [] {
      guard let count = container["restartCount"]?.intValue, count > 0 else { continue }
      let end = container[path: ["lastState", "terminated"]]
      let how = (end?["exitCode"]?.intValue).map {
        ", the last time after " + EndWords.exit($0, end?["reason"]?.stringValue ?? "")
      }
      answer.say(
        "Container \(container["name"]?.stringValue ?? "") was restarted \(Why.count(count, "time"))\(how ?? "")")
    }
    if let cause = Causes.ofPod(pod) { answer.say("Now: \(cause)") }
  }
}
