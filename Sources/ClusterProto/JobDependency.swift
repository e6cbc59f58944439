// What a Job waits for before it has pods, as values read from its annotations: other Jobs, all of them or index by
// index. Must not know how those Jobs stand.

/// One Job that another waits for: `JOB[:success|failure|any]`, or `JOB[*]` for single indexes of equal number.
package struct JobDependency: Equatable, Sendable {
  /// How the other Job, or its index, has to end.
  package enum Outcome: String, Sendable, CaseIterable {
    /// It succeeds.
    case success
    /// It fails.
    case failure
    /// It ends.
    case any
  }

  /// Why a text names no Jobs.
  package struct Problem: Error, Equatable {
    /// What is wrong, as validation says it.
    package var text: String
  }

  /// A Job waits for so many others at most.
  package static let limit = 64

  /// The other Job's name.
  package var job: String
  /// How it has to end.
  package var outcome: Outcome
  /// Each index waits for the index of its own number.
  package var isOfIndexes: Bool

  /// As it stands in the annotation, in full.
  package var text: String { "\(job)\(isOfIndexes ? "[*]" : ""):\(outcome.rawValue)" }

  /// Reads a list, separated by commas.
  package static func list(_ text: String) throws(Problem) -> [JobDependency] {
    var result: [JobDependency] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let one = try JobDependency(parsing: part.drop { $0 == " " })
      if result.contains(where: { $0.job == one.job && $0.isOfIndexes == one.isOfIndexes }) {
        throw Problem(text: "\(one.job) stands twice")
      }
      result.append(one)
      if result.count > limit { throw Problem(text: "must name no more than \(limit) Jobs") }
    }
    return result
  }

  private init(parsing text: Substring) throws(Problem) {
    let sides = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    outcome = .success
    if sides.count == 2 {
      guard let found = Outcome(rawValue: String(sides[1])) else {
        throw Problem(text: "behind the colon must stand success, failure or any")
      }
      outcome = found
    }
    var name = sides.first ?? ""
    isOfIndexes = name.hasSuffix("[*]")
    if isOfIndexes { name = name.dropLast(3) }
    job = String(name)
    if let problem = Names.subdomainErrors(job).first {
      throw Problem(text: "must be a list of JOB[:success|failure|any] or JOB[*][:success|failure|any]: \(problem)")
    }
  }
}

/// Whether a Job that waits may have pods, as a condition in its status. A Job that waits for nothing has none.
package enum JobAdmission {
  /// The condition's type.
  package static let condition = "stint.dev/Admitted"
  /// It waits for other Jobs.
  package static let waitingForJobs = "WaitingForJobs"
  /// It waits in a queue.
  package static let queued = "Queued"
  /// It waits for a queue that is not there.
  package static let queueNotFound = "QueueNotFound"
  /// It asks for more than its queue ever gives.
  package static let queueTooSmall = "QueueTooSmall"
  /// It may have pods.
  package static let admitted = "Admitted"
  /// It gave up its place when it was suspended.
  package static let suspended = "Suspended"
  /// It failed, since what it waits for cannot come any more.
  package static let neverMet = "DependencyNeverMet"
}

extension Job {
  /// The Jobs that its annotation names.
  package var dependencies: [JobDependency] {
    guard let text = meta.annotations[JobAnnotation.dependsOn] else { return [] }
    // Validation has read it before.
    return (try? JobDependency.list(text)) ?? []
  }

  /// Whether it asks for anything to wait for.
  package var asksToWait: Bool {
    !meta.annotations.isEmpty && (meta.annotations[JobAnnotation.dependsOn] != nil || queueName != nil)
  }

  /// The queue that it waits in.
  package var queueName: String? { meta.annotations[JobAnnotation.queue] }

  /// Whether its pods are placed together or not at all.
  package var isGang: Bool { !meta.annotations.isEmpty && meta.annotations[JobAnnotation.gang] == "true" }

  /// Where it stands while, and after, it waits; nil: it has not waited for anything.
  package var admission: Condition? { status.condition(JobAdmission.condition) }

  /// Whether it may not have pods yet.
  package var isWaiting: Bool { admission?.isTrue == false && !status.isFinished }

  /// Whether the Jobs that it waits for as a whole have ended as asked.
  package var isPastDependencies: Bool {
    admission.map { $0.reason != JobAdmission.waitingForJobs } ?? (meta.annotations[JobAnnotation.dependsOn] == nil)
  }

  /// What it waits for now.
  package var openDependencies: [JobDependency] {
    if status.isFinished || spec.otherManager != nil { return [] }
    let all = dependencies
    return all.isEmpty || !isPastDependencies ? all : all.filter(\.isOfIndexes)
  }
}
