// Owns: `apply` and `create`: sending the objects of manifests one by one, and going on past those that are refused.
// It must not know what an object means.

import ClusterProto

/// `stint apply` and `stint create`.
struct ApplyCommand {
  private enum Outcome: String { case created, configured, unchanged }

  private let context: Context
  private let cluster: Cluster?
  private let dryRun: String
  /// One answer in a row of conflicts: someone else keeps writing the object.
  private static let attempts = 5

  @Sendable static func apply(_ context: Context) throws -> Int32 {
    try run(context) { command, object in try command.apply(object) }
  }

  @Sendable static func create(_ context: Context) throws -> Int32 {
    if let word = context.arguments.words.first {
      return try CreateJobCommand.words.contains(word) ? CreateJobCommand.run(context) : CreateTokenCommand.run(context)
    }
    for flag in ["image", "from", "schedule", "restart"] where context.arguments.has(flag) {
      throw context.arguments.problem("--\(flag) is for create job or create cronjob")
    }
    return try run(context) { command, object in
      (try command.create(object.json, object.kind, object.namespace, manager: "kubectl-create"), .created)
    }
  }

  /// Creates one object that no manifest has.
  static func make(_ json: JSON, _ kind: Kind, _ context: Context) throws -> Int32 {
    try make(kind, context) { $0 == 1 ? json : nil }
  }

  /// The same under the first name that is free: `attempt` gives the first, second, … object, nil behind the last.
  /// `then` is given what was made, before it is told.
  static func make(
    _ kind: Kind, _ context: Context, then: (JSON) throws -> Void = { _ in }, attempt: (Int) -> JSON?
  ) throws -> Int32 {
    let dryRun = context.arguments.value("dry-run") ?? "none"
    let command = ApplyCommand(
      context: context, cluster: dryRun == "client" ? nil : try context.cluster(), dryRun: dryRun)
    var number = 1
    while let json = attempt(number) {
      number += 1
      do {
        let made = try command.create(json, kind, context.namespace, manager: "kubectl-create")
        try then(made)
        command.report(made, .created, isFirst: true)
        break
      } catch let error as StatusError {
        if error.reason == "AlreadyExists", attempt(number) != nil { continue }
        throw CommandError("error: failed to create \(kind.singular): \(TerminalText.harmless(error.message))")
      }
    }
    return 0
  }

  private static func run(
    _ context: Context, _ act: (ApplyCommand, ManifestObject) throws -> (JSON, Outcome)
  ) throws -> Int32 {
    let arguments = context.arguments
    let paths = arguments.values("filename")
    guard !paths.isEmpty else { throw arguments.problem("must specify -f") }
    let manifests = Manifests(paths: paths, namespace: context.namespace, insists: arguments.has("namespace"))
    for message in manifests.warnings + manifests.errors { context.console.note(message) }
    var failed = !manifests.errors.isEmpty
    if manifests.objects.isEmpty {
      if !failed { context.console.note("error: no objects passed to \(arguments.command.name)") }
      return 1
    }
    let dryRun = arguments.value("dry-run") ?? "none"
    let command = ApplyCommand(
      context: context, cluster: dryRun == "client" ? nil : try context.cluster(), dryRun: dryRun)
    var isFirst = true
    for object in manifests.objects {
      do {
        let (result, outcome) = try act(command, object)
        command.report(result, outcome, isFirst: isFirst)
        isFirst = false
      } catch let error as StatusError {
        let verb = arguments.command.name == "create" ? "creating" : "applying"
        context.console.note(error.text(doing: "error when \(verb) \(object.place)"))
        failed = true
      }
    }
    return failed ? 1 : 0
  }

  private func report(_ object: JSON, _ outcome: Outcome, isFirst: Bool) {
    switch context.arguments.value("output") {
    case "name": context.console.line(ObjectName.of(object))
    case "yaml": context.console.out((isFirst ? "" : "---\n") + ObjectText.of(object, "yaml"))
    case "json": context.console.out(ObjectText.of(object, "json"))
    default:
      let suffix = dryRun == "client" ? " (dry run)" : dryRun == "server" ? " (server dry run)" : ""
      context.console.line("\(ObjectName.of(object)) \(outcome.rawValue)\(suffix)")
    }
  }

  private func create(_ json: JSON, _ kind: Kind, _ namespace: String, manager: String) throws -> JSON {
    guard let cluster else { return json }
    var request = APIRequest(verb: .create, kind: kind, namespace: namespace, body: json)
    request.options.fieldManager = manager
    request.options.fieldValidation = "Strict"
    request.options.dryRun = dryRun == "server"
    return GetCommand.typed(try cluster.send(request).object, kind)
  }

  /// What `apply` would make of the object, by the coordinator's word; nothing is kept and nothing said.
  static func merged(_ object: ManifestObject, _ context: Context, _ cluster: Cluster) throws -> JSON {
    let silent = Context(
      arguments: context.arguments, environment: context.environment, console: Console(out: { _ in }, err: { _ in }),
      makeCluster: context.makeCluster)
    return try ApplyCommand(context: silent, cluster: cluster, dryRun: "server").apply(object).0
  }

  private func apply(_ object: ManifestObject) throws -> (JSON, Outcome) {
    guard !object.name.isEmpty else {
      let generated = object.json[path: ["metadata", "generateName"]]?.stringValue
      throw CommandError(
        generated.map { "error: from \($0): cannot use generate name with apply" }
          ?? "error: resource name may not be empty in \(object.place)")
    }
    let wanted = ThreeWayMerge.annotated(object.json)
    guard let cluster else { return (object.json, .created) }
    for attempt in 1... {
      guard let live = try cluster.find(object.kind, object.namespace, object.name) else {
        do {
          return (
            try create(wanted, object.kind, object.namespace, manager: "kubectl-client-side-apply"), .created
          )
        } catch let error as StatusError where error.reason == "AlreadyExists" && attempt < ApplyCommand.attempts {
          continue
        }
      }
      do {
        return try change(object, live: live, wanted: wanted, cluster)
      } catch let error as StatusError where (error.isConflict || error.isNotFound) && attempt < ApplyCommand.attempts {
        continue
      }
    }
    throw CommandError("error: \(object.place): somebody else keeps changing \(object.name)")
  }

  private func change(
    _ object: ManifestObject, live: JSON, wanted: JSON, _ cluster: Cluster
  ) throws -> (JSON, Outcome) {
    let live = GetCommand.typed(live, object.kind)
    let last = ThreeWayMerge.lastApplied(live)
    if last == nil, ThreeWayMerge.lastApplied(wanted) == nil {
      context.console.note(
        "Warning: resource \(object.kind.plural)/\(object.name) is too large to remember what was applied: what a "
          + "later manifest leaves out stays. `kubectl apply --server-side` knows.")
    } else if last == nil {
      context.console.note(
        "Warning: resource \(object.kind.plural)/\(object.name) is missing the \(ThreeWayMerge.annotation) annotation "
          + "which is required by stint apply. It will be patched automatically.")
    }
    guard let patch = ThreeWayMerge.patch(last: last, live: live, new: wanted) else { return (live, .unchanged) }
    var request = APIRequest(
      verb: .patch, kind: object.kind, namespace: object.namespace, name: object.name, body: patch)
    request.options.patchKind = .merge
    request.options.fieldManager = "kubectl-client-side-apply"
    request.options.fieldValidation = "Strict"
    request.options.dryRun = dryRun == "server"
    let result = GetCommand.typed(try cluster.send(request).object, object.kind)
    // `cpu: 1000m` where the object has `1`: the texts differ, the coordinator changed nothing.
    let isSame = result[path: ["metadata", "resourceVersion"]] == live[path: ["metadata", "resourceVersion"]]
    return (result, isSame && dryRun == "none" ? .unchanged : .configured)
  }
}
