// Owns: `patch`, `suspend` and `resume`. It must not know what the fields mean.

import ClusterIO
import ClusterProto
import Coordinator

/// Commands that change some fields of objects that exist.
enum PatchCommand {
  @Sendable static func run(_ context: Context) throws -> Int32 {
    let arguments = context.arguments
    guard let target = try Target.parse(arguments.words).first, let name = target.name, arguments.words.count < 3 else {
      throw arguments.problem("name one object")
    }
    let text: [UInt8]
    switch (arguments.value("patch"), arguments.value("patch-file")) {
    case (let patch?, nil): text = Array(patch.utf8)
    case (nil, let file?):
      text = try Files.read(file == "-" ? "/dev/stdin" : file, limit: 4 << 20, from: .anything)
    default: throw arguments.problem("must specify --patch or --patch-file")
    }
    var body: JSON?
    do {
      let documents = try YAML.documents(text)
      if documents.count == 1 { body = documents[0] }
    } catch {
      throw CommandError("error: unable to parse \"\(String(decoding: text, as: UTF8.self))\": \(error)")
    }
    guard let body, body.objectValue != nil || body.arrayValue != nil else {
      throw CommandError("error: the patch is no object: \(String(decoding: text, as: UTF8.self))")
    }
    let cluster = try context.cluster()
    let namespace = context.objectNamespace(target.kind)
    let before = try cluster.get(target.kind, namespace, name)
    var request = APIRequest(
      verb: .patch, kind: target.kind, namespace: namespace, name: name,
      subresource: arguments.value("subresource") ?? "", body: body)
    switch arguments.value("type") ?? "merge" {
    case "json": request.options.patchKind = .json
    case "strategic": request.options.patchKind = .strategic
    default: request.options.patchKind = .merge
    }
    request.options.fieldManager = "kubectl-patch"
    request.options.dryRun = arguments.value("dry-run") == "server"
    let after: JSON
    if arguments.value("dry-run") == "client" { after = before } else { after = try cluster.send(request).object }
    switch arguments.value("output") {
    case "name": context.console.line("\(target.kind.qualifiedSingular)/\(name)")
    case let format?: context.console.out(ObjectText.of(GetCommand.typed(after, target.kind), format))
    case nil:
      let isSame = before == after
      context.console.line("\(target.kind.qualifiedSingular)/\(name) patched\(isSame ? " (no change)" : "")")
    }
    return 0
  }

  @Sendable static func suspend(_ context: Context) throws -> Int32 { try setSuspend(context, true, "suspended") }

  @Sendable static func resume(_ context: Context) throws -> Int32 { try setSuspend(context, false, "resumed") }

  private static func setSuspend(_ context: Context, _ suspend: Bool, _ word: String) throws -> Int32 {
    let names = try Target.names(context.arguments.words, of: .jobs)
    let cluster = try context.cluster()
    return try each(names, context.console) { name in
      let job = try cluster.get(.jobs, context.namespace, name)
      if let end = WaitGoal.end(of: GetCommand.typed(job, .jobs)) {
        throw Refusal(message: "error: job.batch/\(name) cannot be \(word): \(end.text)")
      }
      if (job[path: ["spec", "suspend"]]?.boolValue ?? false) == suspend {
        return "job.batch/\(name) already \(word)"
      }
      _ = try cluster.patch(.jobs, context.namespace, name, ["spec": ["suspend": .bool(suspend)]])
      return "job.batch/\(name) \(word)"
    }
  }

  /// What would have no effect, and is not asked of the coordinator.
  struct Refusal: Error { let message: String }

  /// Does `act` for each name, prints its line, and goes on past those that are refused.
  static func each(_ names: [String], _ console: Console, _ act: (String) throws -> String) throws -> Int32 {
    var status: Int32 = 0
    for name in names {
      do {
        console.line(try act(name))
      } catch let error as StatusError {
        console.note(error.text())
        status = 1
      } catch let error as Refusal {
        console.note(error.message)
        status = 1
      }
    }
    return status
  }
}
