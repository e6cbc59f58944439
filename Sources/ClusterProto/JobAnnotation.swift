// Names of the annotations by which a Job or a pod asks for what batch/v1 has no field for, and of those that the
// coordinator writes. Must not know what they come to.

/// Annotations under `stint.dev/`.
package enum JobAnnotation {
  /// What all of them begin with.
  package static let prefix = "stint.dev/"

  /// On a Job or a pod: seconds from a pod's creation in which its containers must have started.
  package static let startDeadline = "stint.dev/start-deadline-seconds"
  /// On a Job: the pauses between its failures.
  package static let backoff = "stint.dev/backoff"
  /// On a Job: seconds from its failure to its deletion.
  package static let ttlAfterFailure = "stint.dev/ttl-seconds-after-failure"
  /// On an Indexed Job: the indexes that run; the others count as succeeded.
  package static let indexes = "stint.dev/indexes"
  /// On a Job: the name of the Job that it repeats.
  package static let rerunOf = "stint.dev/rerun-of"
  /// On a Job: when somebody stopped it, and the deadline that it had before.
  package static let stopped = "stint.dev/stopped"
  /// On a Job: other Jobs that end before it begins.
  package static let dependsOn = "stint.dev/depends-on"
  /// On a Job: the queue that it waits in.
  package static let queue = "stint.dev/queue"
  /// On a Job: its pods are placed together or not at all.
  package static let gang = "stint.dev/gang"
  /// On a Job: how much more memory an attempt asks for that follows an OOMKilled one.
  package static let oomMemory = "stint.dev/oom-memory"
  /// On a Job's pod, written by the coordinator alone: how often its memory was raised.
  package static let memoryRaises = "stint.dev/memory-raises"
  /// On a pod: what becomes of it when its node hears nothing of the coordinator.
  package static let onLeaseEnd = "stint.dev/on-lease-end"
  /// On a Job, written by the coordinator alone: how its last pods failed.
  package static let failures = "stint.dev/last-failures"

  /// What has a meaning on a Job.
  package static let ofJobs = [
    startDeadline, backoff, ttlAfterFailure, indexes, rerunOf, stopped, failures, dependsOn, queue, gang,
    oomMemory,
  ]
  /// What has a meaning on a pod or a template of pods.
  package static let ofPods = [startDeadline, onLeaseEnd, memoryRaises]
}
