// Owns: `scale`: how many pods of Jobs run at a time. It must not know how they are started or ended.

import ClusterProto

/// `stint scale`.
enum ScaleCommand {
  @Sendable static func run(_ context: Context) throws -> Int32 {
    let arguments = context.arguments
    guard let count = arguments.integer("replicas") ?? arguments.integer("parallelism"),
      !(arguments.has("replicas") && arguments.has("parallelism"))
    else { throw arguments.problem("give --replicas or --parallelism") }
    let targets = try Target.parse(arguments.words)
    for target in targets where target.kind != .jobs || target.name == nil {
      throw arguments.problem("name Jobs: job/NAME or job NAME")
    }
    let cluster = try context.cluster()
    return try PatchCommand.each(targets.compactMap(\.name), context.console) { name in
      let job = try cluster.get(.jobs, context.namespace, name)
      if let end = WaitGoal.end(of: GetCommand.typed(job, .jobs)) {
        throw PatchCommand.Refusal(message: "error: job.batch/\(name) cannot be scaled: \(end.text)")
      }
      let now = job[path: ["spec", "parallelism"]]?.intValue
      if let expected = arguments.integer("current-replicas"), expected != now {
        throw PatchCommand.Refusal(
          message: "error: Expected replicas to be \(expected), was \(now.map { "\($0)" } ?? "none")")
      }
      _ = try cluster.patch(.jobs, context.namespace, name, ["spec": ["parallelism": .int(count)]])
      return "job.batch/\(name) scaled"
    }
  }
}
