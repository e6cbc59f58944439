// Owns: `run`: from flags to a Job that is there, followed to its end, with its exit status. It must not know what the
// objects look like (RunPlan) nor how a Job is followed (JobFollower).

import ClusterIO
import ClusterProto
import Coordinator
import Glibc

/// `stint run`.
struct RunCommand {
  private let context: Context
  private var arguments: Arguments { context.arguments }
  /// Names that are tried where nobody gave one.
  private static let attempts = 5

  @Sendable static func run(_ context: Context) throws -> Int32 {
    let command = RunCommand(context: context)
    let request = try command.request()
    switch context.arguments.value("dry-run") ?? "none" {
    case "client": return try command.show(try command.plan(request))
    case "server":
      var plan = try command.plan(request)
      let cluster = try context.cluster()
      for map in plan.configMaps { _ = try command.create(map, .configmaps, cluster, dryRun: true) }
      plan.job = try command.create(plan.job, .jobs, cluster, dryRun: true)
      return try command.show(plan)
    default: break
    }
    let cluster = try context.cluster()
    let interrupts = Interrupts()
    let job = try command.make(request, cluster)
    let name = job[path: ["metadata", "name"]]?.stringValue ?? ""
    switch context.arguments.value("output") {
    case "name": context.console.line("job.batch/\(name)")
    case let format?: context.console.out(ObjectText.of(job, format))
    case nil where context.arguments.isOn("detach"): context.console.line("job.batch/\(name) created")
    case nil: context.console.note("job.batch/\(name) created")
    }
    if context.arguments.isOn("detach") { return 0 }
    return try JobSession(job, cluster, context, interrupts).run()
  }

  // What is asked for.

  private func request() throws -> RunRequest {
    let words = arguments.words
    guard arguments.wordsBeforeDashes.isEmpty, let command = words.first, !command.isEmpty else {
      let typed = arguments.wordsBeforeDashes.joined(separator: " ")
      throw arguments.problem(
        typed.isEmpty
          ? "the command stands behind --: stint run -- COMMAND" : "the command stands behind --: -- \(typed)")
    }
    var request = RunRequest(name: arguments.value("name") ?? "", words: words)
    request.items = try items()
    request.completions = arguments.integer("completions")
    request.parallelism = arguments.integer("parallelism")
    request.isIndexed = arguments.isOn("indexed")
    if let image = arguments.value("image") { request.image = image }
    request.cpu = arguments.value("cpu")
    request.memory = arguments.value("memory")
    request.gpus = arguments.integer("gpu")
    request.retries = arguments.integer("retries")
    request.oomMemory = arguments.value("oom-memory")
    request.seconds = arguments.milliseconds("timeout").map { ($0 + 999) / 1_000 }
    for label in arguments.values("on-node") {
      let sides = label.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      request.nodeLabels.append(sides.count == 2 ? (sides[0], sides[1]) : ("kubernetes.io/hostname", label))
    }
    request.annotations[JobAnnotation.queue] = arguments.value("queue")
    request.annotations[JobAnnotation.backoff] = arguments.value("backoff")
    let after = arguments.values("after")
    if !after.isEmpty { request.annotations[JobAnnotation.dependsOn] = after.joined(separator: ",") }
    for text in arguments.values("env") {
      guard let equals = text.firstIndex(of: "=") else {
        throw arguments.problem("--env: \"\(text)\" is not NAME=VALUE")
      }
      request.environment.append((String(text[..<equals]), String(text[text.index(after: equals)...])))
    }
    request.files = try arguments.values("file").map(RunCommand.file)
    return request
  }

  private func items() throws -> RunItems? {
    switch (arguments.value("array"), arguments.value("each")) {
    case (nil, nil): return nil
    case (let text?, nil): return try wording("--array: ") { () throws(RunItems.Problem) in try RunItems(array: text) }
    case (nil, let file?):
      let isInput = file == "-"
      let bytes = try Files.read(isInput ? "/dev/stdin" : file, limit: 1 << 28, from: .anything)
      return try wording("--each: ") { () throws(RunItems.Problem) in
        try RunItems(lines: bytes, of: isInput ? "standard input" : file)
      }
    case (_?, _?): throw arguments.problem("--array does not go with --each")
    }
  }

  private func wording<Result>(
    _ prefix: String = "", _ body: () throws(RunItems.Problem) -> Result
  ) throws(CommandError) -> Result {
    do { return try body() } catch { throw CommandError("error: \(prefix)\(error.text)", exitStatus: 2) }
  }

  /// `LOCAL[:PATH]`; a path that ends with a slash is a folder for it.
  private static func file(_ text: String) throws -> RunFile {
    var local = text
    var path = ""
    if let colon = text.lastIndex(of: ":") {
      local = String(text[..<colon])
      path = String(text[text.index(after: colon)...])
    }
    let base = local.split(separator: "/").last.map(String.init) ?? local
    if path.isEmpty { path = base } else if path.hasSuffix("/") { path += base }
    if path.hasPrefix("./") { path.removeFirst(2) }
    // One byte more than fits: the sum is told where all are known.
    let bytes: [UInt8]
    do {
      bytes = try Files.read(local, limit: RunItems.mapLimit)
    } catch {
      guard error.code == EFBIG else { throw error }
      throw CommandError(
        "error: --file: \(local) has more than the \(RunItems.mapLimit) bytes (1 MiB) of a ConfigMap: put it where all "
          + "nodes can read it, or into an image", exitStatus: 2)
    }
    return RunFile(local: local, path: path, bytes: bytes, isExecutable: access(local, X_OK) == 0)
  }

  private func plan(_ request: RunRequest) throws -> RunPlan {
    var request = request
    if request.name.isEmpty {
      let seed = try Crypto.randomBytes(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      // Of `sh -c` and the like nobody learns anything; but guessing further would surprise.
      request.name = RunName.of(request.words[0], seed: seed)
    }
    let named = request
    var plan = try wording { () throws(RunItems.Problem) in try RunPlan(named) }
    if arguments.has(CommandTable.namespace.name) {
      plan.job[path: ["metadata", "namespace"]] = .string(context.namespace)
      for position in plan.configMaps.indices {
        plan.configMaps[position][path: ["metadata", "namespace"]] = .string(context.namespace)
      }
    }
    return plan
  }

  private func show(_ plan: RunPlan) throws -> Int32 {
    let server = arguments.value("dry-run") == "server"
    switch arguments.value("output") {
    case "name": context.console.line(ObjectName.of(plan.job))
    case let format?:
      let texts = (plan.configMaps + [plan.job]).map { ObjectText.of($0, format) }
      context.console.out(texts.joined(separator: format == "yaml" ? "---\n" : ""))
    case nil: context.console.line("\(ObjectName.of(plan.job)) created (\(server ? "server " : "")dry run)")
    }
    return 0
  }

  // Making it.

  private func make(_ request: RunRequest, _ cluster: Cluster) throws -> JSON {
    for attempt in 1... {
      let plan = try plan(request)
      do {
        return try make(plan, cluster)
      } catch let error as StatusError {
        if error.reason == "AlreadyExists", request.name.isEmpty, attempt < RunCommand.attempts { continue }
        throw CommandError("error: failed to create job: \(TerminalText.harmless(error.message))")
      }
    }
    throw CommandError("error: failed to create job")
  }

  /// A Job that needs ConfigMaps begins suspended: they are its own, so they cannot be there before it, and whoever is
  /// killed in between leaves a Job that everybody sees, and nothing else.
  private func make(_ plan: RunPlan, _ cluster: Cluster) throws -> JSON {
    guard !plan.configMaps.isEmpty else { return try create(plan.job, .jobs, cluster) }
    var suspended = plan.job
    suspended[path: ["spec", "suspend"]] = true
    let job = try create(suspended, .jobs, cluster)
    let name = job[path: ["metadata", "name"]]?.stringValue ?? ""
    do {
      for var map in plan.configMaps {
        map[path: ["metadata", "ownerReferences"]] = [JobOwner.reference(to: job)]
        _ = try create(map, .configmaps, cluster)
      }
    } catch {
      var request = APIRequest(verb: .delete, kind: .jobs, namespace: context.namespace, name: name)
      request.options.preconditionUID = job[path: ["metadata", "uid"]]?.stringValue
      request.options.propagationPolicy = "Background"
      _ = try? cluster.send(request)
      guard let refusal = error as? StatusError else { throw error }
      throw CommandError("error: failed to create configmap: \(TerminalText.harmless(refusal.message))")
    }
    return try cluster.patch(.jobs, context.namespace, name, ["spec": ["suspend": false]])
  }

  private func create(_ json: JSON, _ kind: Kind, _ cluster: Cluster, dryRun: Bool = false) throws -> JSON {
    var request = APIRequest(verb: .create, kind: kind, namespace: context.namespace, body: json)
    request.options.fieldManager = "stint-run"
    request.options.fieldValidation = "Strict"
    request.options.dryRun = dryRun
    return GetCommand.typed(try cluster.send(request).object, kind)
  }
}

/// Owner references to Jobs.
enum JobOwner {
  static func reference(to job: JSON) -> JSON {
    [
      "apiVersion": .string(Kind.jobs.apiVersion), "kind": .string(Kind.jobs.name),
      "name": job[path: ["metadata", "name"]] ?? "", "uid": job[path: ["metadata", "uid"]] ?? "",
    ]
  }
}
