// Owns: `stop`: Jobs that end now and stay to be looked at. It must not know how pods are ended.

import ClusterIO
import ClusterProto
import Coordinator

/// How a Job shows that somebody stopped it: by a deadline that is over, and an annotation that says so.
enum StopMark {
  static func isOn(_ job: JSON) -> Bool {
    job[path: ["metadata", "annotations", JobAnnotation.stopped]] != nil
  }

  /// The merge patch that stops it. The deadline that it had is kept for who repeats it.
  static func patch(of job: JSON, at time: String) -> JSON {
    let deadline = job[path: ["spec", "activeDeadlineSeconds"]]?.intValue
    let text = time + (deadline.map { ",deadline=\($0)" } ?? "")
    return [
      "metadata": ["annotations": [JobAnnotation.stopped: .string(text)]], "spec": ["activeDeadlineSeconds": 1],
    ]
  }

  /// A copy of a stopped Job without what stopped it.
  static func undo(_ job: inout JSON) {
    let path = ["metadata", "annotations", JobAnnotation.stopped]
    guard let text = job[path: path]?.stringValue else { return }
    job[path: path] = nil
    let deadline = text.split(separator: "=").last.flatMap { Int64($0) }
    job[path: ["spec", "activeDeadlineSeconds"]] = deadline.map { .int($0) }
  }

  /// When, as the annotation says it.
  static func time(of job: JSON) -> String? {
    job[path: ["metadata", "annotations", JobAnnotation.stopped]]?.stringValue?.split(separator: ",").first.map(
      String.init)
  }
}

/// `stint stop JOB…`.
enum StopCommand {
  @Sendable static func run(_ context: Context) throws -> Int32 {
    let names = try Target.names(context.arguments.words, of: .jobs)
    let cluster = try context.cluster()
    return try PatchCommand.each(names, context.console) { name in
      try stop(name, context.namespace, cluster)
    }
  }

  /// Stops one; the line that says so.
  static func stop(_ name: String, _ namespace: String, _ cluster: Cluster) throws -> String {
    let job = try cluster.get(.jobs, namespace, name)
    if let end = WaitGoal.end(of: GetCommand.typed(job, .jobs)) {
      throw PatchCommand.Refusal(message: "error: job.batch/\(name) cannot be stopped: \(end.text)")
    }
    if job[path: ["spec", "suspend"]]?.boolValue == true {
      throw PatchCommand.Refusal(
        message: "error: job.batch/\(name) is suspended, and nothing of it runs: `stint delete job \(name)` removes it")
    }
    // A deadline counts from the start: what has not begun would begin.
    guard job[path: ["status", "startTime"]]?.stringValue != nil else {
      _ = try cluster.patch(.jobs, namespace, name, ["spec": ["suspend": true]])
      return "job.batch/\(name) suspended: it had not begun; `stint resume \(name)` lets it"
    }
    _ = try cluster.patch(
      .jobs, namespace, name, StopMark.patch(of: job, at: WallTime(nanoseconds: Clocks.now().wall).rfc3339))
    return "job.batch/\(name) stopped"
  }
}
