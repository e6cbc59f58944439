// What promise 1 is about: the unit of a Job's work of which at most one attempt may run. It must not know who counts.

import ClusterProto

/// One index of a Job; without indexes, one of as many equal units as the Job may run at once.
struct Slot: Hashable, Sendable {
  /// The annotation that names a pod's index (batch/v1, completionMode Indexed).
  static let indexAnnotation = "batch.kubernetes.io/job-completion-index"

  var jobUID: String
  /// nil: the Job has no indexes.
  var index: Int64?

  init(jobUID: String, index: Int64? = nil) {
    self.jobUID = jobUID
    self.index = index
  }

  /// The slot of a pod that a Job controls; nil for a pod of nobody's, which is its own unit.
  init?(of pod: Pod) {
    guard let owner = pod.meta.controllerReference, owner.kind == Kind.jobs.name else { return nil }
    jobUID = owner.uid
    index = pod.meta.annotations[Self.indexAnnotation].flatMap { Int64($0) }
  }
}

/// Whether a pod may be given a node now, as far as promise 1 goes.
enum Assignability: Equatable, Sendable {
  case free
  /// Another attempt of the same index may still run.
  case slotIsTaken
  /// The Job runs as much as it may, is suspended, ending or gone: none of its pods may start.
  case jobIsFull
}
