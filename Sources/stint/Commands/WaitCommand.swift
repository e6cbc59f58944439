// Owns: `wait`: what a goal is, when an object has met it or can no longer, and showing progress until then.
// It must not change anything.

import ClusterIO
import ClusterProto

/// What is waited for.
enum WaitGoal: Equatable {
  case complete, failed, finished, suspended, deletion
  case condition(String, value: String)

  /// Reads the value of `--for`; nil when it means nothing.
  init?(_ text: String) {
    let parts = text.split(separator: "=", omittingEmptySubsequences: false).map(String.init)
    switch (parts[0].lowercased(), parts.count) {
    case ("complete", 1): self = .complete
    case ("failed", 1): self = .failed
    case ("finished", 1): self = .finished
    case ("suspended", 1): self = .suspended
    case ("delete", 1): self = .deletion
    case ("condition", 2...3) where !parts[1].isEmpty:
      let isTrue = parts.count == 2 || parts[2].lowercased() == "true"
      switch (parts[1].lowercased(), isTrue) {
      case ("complete", true): self = .complete
      case ("failed", true): self = .failed
      case ("suspended", true): self = .suspended
      default: self = .condition(parts[1], value: parts.count == 3 ? parts[2] : "True")
      }
    default: return nil
    }
  }

  /// Where `object` (nil: it does not exist) stands.
  func decide(_ object: JSON?) -> WaitDecision {
    guard let object else { return self == .deletion ? .met : .endedOtherwise("it does not exist any more") }
    let end = WaitGoal.end(of: object)
    switch self {
    case .deletion: return .pending
    case .finished: return end == nil ? .pending : .met
    case .complete:
      guard let end else { return .pending }
      return end.succeeded ? .met : .endedOtherwise(end.text)
    case .failed:
      guard let end else { return .pending }
      return end.succeeded ? .endedOtherwise(end.text) : .met
    case .suspended:
      if WaitGoal.status(of: "Suspended", object) == "true" { return .met }
      return end.map { .endedOtherwise($0.text) } ?? .pending
    case .condition(let name, let value):
      if WaitGoal.status(of: name, object) == value.lowercased() { return .met }
      return end.map { .endedOtherwise($0.text) } ?? .pending
    }
  }

  /// How a Job or Pod ended, nil while it has not and for other kinds.
  static func end(of object: JSON) -> (succeeded: Bool, text: String)? {
    if object["kind"]?.stringValue == "Pod" {
      let phase = object[path: ["status", "phase"]]?.stringValue
      guard phase == "Succeeded" || phase == "Failed" else { return nil }
      let reason = object[path: ["status", "reason"]]?.stringValue
      return (phase == "Succeeded", "it ended as \(phase ?? "")" + (reason.map { " (\($0))" } ?? ""))
    }
    for condition in object[path: ["status", "conditions"]]?.arrayValue ?? []
    where condition["status"]?.stringValue == "True" {
      guard let type = condition["type"]?.stringValue, type == "Complete" || type == "Failed" else { continue }
      let why = [condition["reason"]?.stringValue, condition["message"]?.stringValue].compactMap { $0 }
        .filter { !$0.isEmpty }.joined(separator: ": ")
      return (type == "Complete", "it ended as \(type)" + (why.isEmpty ? "" : " (\(why))"))
    }
    return nil
  }

  private static func status(of condition: String, _ object: JSON) -> String? {
    (object[path: ["status", "conditions"]]?.arrayValue ?? [])
      .first { $0["type"]?.stringValue?.lowercased() == condition.lowercased() }?["status"]?.stringValue?.lowercased()
  }
}

/// Where a wait stands.
enum WaitDecision: Equatable {
  case pending, met
  case endedOtherwise(String)
}

/// `stint wait`.
struct WaitCommand {
  /// The exit statuses that scripts rely on.
  static let endedOtherwiseStatus: Int32 = 1
  static let timedOutStatus: Int32 = 124

  private let context: Context
  private let cluster: Cluster
  private let goal: WaitGoal
  /// When the time is up; nil without limit.
  private let deadline: Int64?
  /// `--timeout 0`: look once.
  private let once: Bool

  @Sendable static func run(_ context: Context) throws -> Int32 {
    let arguments = context.arguments
    guard let goal = WaitGoal(arguments.value("for") ?? "complete") else {
      throw arguments.problem(
        "--for: \"\(arguments.value("for") ?? "")\" is not complete, failed, finished, suspended, delete or "
          + "condition=NAME"
      )
    }
    let targets: [Target]
    do {
      targets = try Target.parse(arguments.words)
    } catch let error as CommandError {
      throw arguments.problem(error.message.replacing("error: ", with: ""))
    }
    let limit = arguments.milliseconds("timeout").flatMap { $0 < 0 ? nil : $0 }
    let command = WaitCommand(
      context: context, cluster: try context.cluster(), goal: goal,
      deadline: limit.map { Clocks.boot() + $0 * 1_000_000 }, once: limit == 0)
    return try command.run(targets)
  }

  private func run(_ targets: [Target]) throws -> Int32 {
    let objects = try named(targets)
    if objects.isEmpty {
      if goal == .deletion { return 0 }
      throw CommandError("error: no matching resources found")
    }
    // One after the other: all must be met, and none that has ended runs away.
    var result: Int32 = 0
    for object in objects {
      let status = try wait(object.kind, object.name)
      if status == WaitCommand.timedOutStatus { return status }
      result = max(result, status)
    }
    return result
  }

  private func named(_ targets: [Target]) throws -> [(kind: Kind, name: String)] {
    var objects: [(kind: Kind, name: String)] = []
    for target in targets {
      if let name = target.name {
        objects.append((target.kind, name))
        continue
      }
      guard context.arguments.isOn("all") || context.arguments.has("selector") else {
        throw context.arguments.problem("name objects, or give --selector or --all")
      }
      let list = try cluster.list(
        target.kind, context.objectNamespace(target.kind), labels: context.arguments.value("selector"),
        connectBy: connectBy)
      for item in list["items"]?.arrayValue ?? [] {
        if let name = item[path: ["metadata", "name"]]?.stringValue { objects.append((target.kind, name)) }
      }
    }
    return objects
  }

  private var connectBy: Int64? { once ? Clocks.boot() + Cluster.patience : deadline ?? Int64.max }

  private func wait(_ kind: Kind, _ name: String) throws -> Int32 {
    let namespace = context.objectNamespace(kind)
    let label = "\(kind.qualifiedSingular)/\(name)"
    let progress = Progress(label: label, console: context.console, isQuiet: context.arguments.isOn("quiet"))
    defer { progress.finish() }
    var request = APIRequest(verb: .watch, kind: kind, namespace: namespace)
    request.options.fieldSelector = "metadata.name=\(name)"
    var uid: String?
    var decision = WaitDecision.pending

    func look(_ object: JSON?) -> Flow {
      let seen = object?[path: ["metadata", "uid"]]?.stringValue
      // Another object with the name: the one waited for is gone.
      let isOther = uid != nil && seen != nil && seen != uid
      if uid == nil { uid = seen }
      let object = isOther ? nil : object.map { GetCommand.typed($0, kind) }
      progress.show(object)
      decision = goal.decide(object)
      return decision == .pending ? .more : .enough
    }
    func fetch() throws -> String? {
      let fields = "metadata.name=\(name)"
      let list = try cluster.list(kind, namespace, fields: fields, connectBy: connectBy)
      let object = list["items"]?[0]
      if object == nil, uid == nil, goal != .deletion {
        _ = try cluster.get(kind, namespace, name, connectBy: connectBy)
      }
      return look(object) == .enough ? nil : list[path: ["metadata", "resourceVersion"]]?.stringValue ?? "0"
    }

    do {
      request.options.resourceVersion = try fetch()
      if decision == .pending, !once {
        _ = try cluster.watch(
          request, deadline: deadline,
          tick: {
            progress.tick()
            return .more
          }, relist: fetch
        ) { type, object in look(type == "DELETED" ? nil : object) }
      }
    } catch let error as CommandError where deadline.map({ Clocks.boot() >= $0 }) ?? false {
      progress.finish()
      context.console.note(error.message)
    }
    progress.finish()
    return report(decision, kind, name, label)
  }

  private func report(_ decision: WaitDecision, _ kind: Kind, _ name: String, _ label: String) -> Int32 {
    switch decision {
    case .met:
      context.console.line("\(label) condition met")
      return 0
    case .endedOtherwise(let why):
      context.console.note("error: \(label): \(why)")
      return WaitCommand.endedOtherwiseStatus
    case .pending:
      context.console.note("error: timed out waiting for the condition on \(kind.plural)/\(name)")
      for cause in cluster.causes(kind, context.objectNamespace(kind), name) { context.console.note("  \(cause)") }
      return WaitCommand.timedOutStatus
    }
  }
}
