// Owns: `create job` and `create cronjob`: objects made of flags instead of a manifest, as kubectl makes them. It must
// not know what becomes of them, nor how results are printed.

import ClusterProto

/// `stint create job NAME` and `stint create cronjob NAME`.
enum CreateJobCommand {
  /// What stands behind `create` instead of manifests.
  static let words = ["job", "cronjob"]

  private static let only: [(flag: String, word: String)] = [
    ("from", "job"), ("schedule", "cronjob"), ("restart", "cronjob"),
  ]

  static func run(_ context: Context) throws -> Int32 {
    let arguments = context.arguments
    let word = arguments.words.first ?? ""
    for flag in ["filename", "duration", "audience"] where arguments.has(flag) {
      throw arguments.problem("--\(flag) is not for create \(word)")
    }
    for (flag, owner) in only where owner != word && arguments.has(flag) {
      throw arguments.problem("--\(flag) is for create \(owner), not create \(word)")
    }
    // All that stands behind the name is the command, if `--` divides them.
    let named = arguments.wordsBeforeDashes.dropFirst()
    guard named.count == 1, let name = named.first, !name.isEmpty else {
      throw arguments.problem("exactly one NAME is required, got \(named.count); a command stands after --")
    }
    let command = Array(arguments.words.dropFirst(2))
    if word == "cronjob" { return try ApplyCommand.make(cronJob(name, command, context), .cronjobs, context) }
    return try ApplyCommand.make(job(name, command, context), .jobs, context)
  }

  private static func job(_ name: String, _ command: [String], _ context: Context) throws -> JSON {
    let arguments = context.arguments
    let (image, source) = (arguments.value("image") ?? "", arguments.value("from") ?? "")
    guard image.isEmpty != source.isEmpty else {
      throw CommandError("error: either --image or --from must be specified")
    }
    guard !source.isEmpty else {
      return object(.jobs, name, context, spec: ["template": template(name, image, command, restart: "Never")])
    }
    guard command.isEmpty else { throw CommandError("error: cannot specify --from and command") }
    guard let target = try Target.parse([source]).first, target.kind == .cronjobs, let cronName = target.name else {
      throw CommandError("error: from must be an existing cronjob: it is --from=cronjob/NAME")
    }
    let cron = try context.cluster().send(
      APIRequest(verb: .get, kind: .cronjobs, namespace: context.namespace, name: cronName)
    ).object
    return run(of: cron, named: name, context)
  }

  /// A run that nobody waited for: the template's labels and annotations, marked as made by hand.
  private static func run(of cron: JSON, named name: String, _ context: Context) -> JSON {
    let template = cron[path: ["spec", "jobTemplate"]]
    var run = object(.jobs, name, context, spec: template?["spec"] ?? .object(JSONObject()))
    var annotations = StringMap(json: template?[path: ["metadata", "annotations"]])
    annotations["cronjob.kubernetes.io/instantiate"] = "manual"
    run[path: ["metadata", "annotations"]] = annotations.json
    let labels = StringMap(json: template?[path: ["metadata", "labels"]])
    if !labels.isEmpty { run[path: ["metadata", "labels"]] = labels.json }
    run[path: ["metadata", "ownerReferences"]] = [
      [
        "apiVersion": .string(Kind.cronjobs.apiVersion), "kind": .string(Kind.cronjobs.name),
        "name": cron[path: ["metadata", "name"]] ?? "", "uid": cron[path: ["metadata", "uid"]] ?? "",
        "controller": true,
      ]
    ]
    return run
  }

  private static func cronJob(_ name: String, _ command: [String], _ context: Context) throws -> JSON {
    let arguments = context.arguments
    guard let image = arguments.value("image"), !image.isEmpty else {
      throw CommandError("error: --image must be specified")
    }
    guard let schedule = arguments.value("schedule"), !schedule.isEmpty else {
      throw CommandError("error: --schedule must be specified")
    }
    let restart = arguments.value("restart") ?? "OnFailure"
    let job: JSON = ["template": template(name, image, command, restart: restart)]
    return object(
      .cronjobs, name, context,
      spec: [
        "schedule": .string(schedule), "jobTemplate": ["metadata": ["name": .string(name)], "spec": job],
      ])
  }

  private static func template(_ name: String, _ image: String, _ command: [String], restart: String) -> JSON {
    var container: JSON = ["name": .string(name), "image": .string(image)]
    if !command.isEmpty { container["command"] = .array(command.map { .string($0) }) }
    return ["spec": ["containers": .array([container]), "restartPolicy": .string(restart)]]
  }

  private static func object(_ kind: Kind, _ name: String, _ context: Context, spec: JSON) -> JSON {
    var metadata: JSON = ["name": .string(name)]
    if context.arguments.has(CommandTable.namespace.name) { metadata["namespace"] = .string(context.namespace) }
    return [
      "apiVersion": .string(kind.apiVersion), "kind": .string(kind.name), "metadata": metadata, "spec": spec,
    ]
  }
}
