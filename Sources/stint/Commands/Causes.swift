// Owns: why what somebody waits for does not come: told in one line each, from pods and Jobs as they are.
// It must not decide whether that is an error.

import ClusterIO
import ClusterProto

/// Causes in words.
enum Causes {
  /// Lines for one Job: more would hide the first.
  private static let limit = 3
  /// Of a pod that nobody has looked at yet.
  static let unplaced = "it has no node yet"
  private static let startFailures = ["ContainerCannotRun", "StartError"]

  /// The different causes among `pods`, each with the first pod that has it and how many others do.
  static func ofPods(_ pods: [JSON]) -> [String] {
    var found: [(cause: String, name: String, others: Int)] = []
    for pod in pods {
      guard let cause = ofPod(pod) else { continue }
      if let position = found.firstIndex(where: { $0.cause == cause }) {
        found[position].others += 1
      } else if found.count < limit {
        found.append((cause, pod[path: ["metadata", "name"]]?.stringValue ?? "", 0))
      }
    }
    return found.map { "pod/\($0.name)\($0.others > 0 ? " (and \($0.others) more)" : ""): \($0.cause)" }
  }

  /// Why a pod does not run or did not succeed; nil when it runs, succeeded or is about to run.
  static func ofPod(_ pod: JSON) -> String? {
    let status = pod["status"]
    let phase = status?["phase"]?.stringValue
    if phase == "Pending", (pod[path: ["spec", "nodeName"]]?.stringValue ?? "").isEmpty {
      let scheduled = status?["conditions"]?.arrayValue?.first { $0["type"]?.stringValue == "PodScheduled" }
      return text(unplaced, scheduled?["message"])
    }
    let containers =
      (status?["initContainerStatuses"]?.arrayValue ?? []) + (status?["containerStatuses"]?.arrayValue ?? [])
    let label = { (container: JSON) in "container \(container["name"]?.stringValue ?? "")" }
    for container in containers {
      if let why = ofWaiting(container) ?? ofStart(container) { return "\(label(container)): \(why)" }
    }
    guard phase == "Failed" else { return nil }
    if let reason = status?["reason"]?.stringValue, !reason.isEmpty { return text(reason, status?["message"]) }
    for container in containers {
      guard let end = container[path: ["state", "terminated"]], let code = end["exitCode"]?.intValue, code != 0 else {
        continue
      }
      return text("\(label(container)): \(end["reason"]?.stringValue ?? "Error"), exit code \(code)", end["message"])
    }
    return text("it failed", status?["message"])
  }

  /// Why a Job makes no pods; nil when nothing keeps it from that.
  static func ofJob(_ job: JSON) -> String? {
    if let end = WaitGoal.end(of: job) { return end.text }
    return job[path: ["spec", "suspend"]]?.boolValue == true ? "it is suspended" : nil
  }

  /// Why a container's command never began to run, so that its log is empty; nil when it did or may yet.
  static func ofStart(_ pod: JSON, _ container: String) -> String? {
    for list in ["initContainerStatuses", "containerStatuses"] {
      for status in pod[path: ["status", list]]?.arrayValue ?? [] where status["name"]?.stringValue == container {
        return ofStart(status)
      }
    }
    return nil
  }

  private static func ofStart(_ container: JSON) -> String? {
    // One that is being restarted shows it as its last state.
    let isRunning = container[path: ["state", "running"]] != nil
    for state in isRunning ? [] : ["state", "lastState"] {
      guard let end = container[path: [state, "terminated"]], let reason = end["reason"]?.stringValue,
        startFailures.contains(reason)
      else { continue }
      return text(reason, end["message"])
    }
    return nil
  }

  private static func ofWaiting(_ container: JSON) -> String? {
    guard let waiting = container[path: ["state", "waiting"]] else { return nil }
    let reason = waiting["reason"]?.stringValue ?? ""
    if let why = ofStart(container) { return "\(reason): \(why)" }
    let isOnItsWay = ["", "ContainerCreating", "PodInitializing"].contains(reason)
    if isOnItsWay, (waiting["message"]?.stringValue ?? "").isEmpty { return nil }
    return text(reason, waiting["message"])
  }

  private static func text(_ reason: String, _ message: JSON?) -> String {
    guard let message, let words = message.stringValue, !words.isEmpty else { return reason }
    return "\(reason): \(TablePrinter.cell(message))"
  }
}

extension Cluster {
  /// As many pods are looked at for causes.
  private static let causeLimit: Int64 = 500
  /// Nobody waits for an explanation for long.
  private static let causePatience: Int64 = 900_000_000

  /// The pods of a Job that have not succeeded, some hundred at most.
  func pods(ofJob job: JSON) throws -> [JSON] {
    guard let selector = job[path: ["spec", "selector"]], selector.objectValue?.isEmpty == false else { return [] }
    var request = APIRequest(
      verb: .list, kind: .pods, namespace: job[path: ["metadata", "namespace"]]?.stringValue ?? "")
    request.options.labelSelector = LabelText.selector(selector)
    request.options.fieldSelector = "status.phase!=Succeeded"
    request.options.limit = Cluster.causeLimit
    return try send(request, connectBy: Clocks.boot() + Cluster.causePatience).object["items"]?.arrayValue ?? []
  }

  /// Why a Job or Pod is not where somebody wants it; nothing when that cannot be told.
  func causes(_ kind: Kind, _ namespace: String, _ name: String) -> [String] {
    guard let running = KindPresentation.of(kind).running,
      let object = try? get(kind, namespace, name, connectBy: Clocks.boot() + Cluster.causePatience)
    else { return [] }
    if running == .itself { return Causes.ofPods([object]) }
    if let why = Causes.ofJob(GetCommand.typed(object, .jobs)) { return ["job/\(name): \(why)"] }
    return Causes.ofPods((try? pods(ofJob: object)) ?? [])
  }
}
