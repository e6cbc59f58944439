// Descriptions of Jobs. Data, no behaviour.

extension Descriptions {
  static let jobs = """
    Job: Job is work that runs to its end in one or more pods.
    JobSpec: JobSpec says how the work is to be done.
      parallelism: How many pods may run at a time; 1 when absent. 0 pauses the Job.
      completions: How many pods must succeed. Absent: any success ends the work when all pods have ended.
      activeDeadlineSeconds: The Job fails and its pods end when it has been active this long; waiting counts.
      podFailurePolicy: Rules by which a failed pod fails the Job, is ignored or counts.
      successPolicy: Rules by which the Job succeeds before all of its indexes have.
      backoffLimit: How many failures are retried before the Job fails; 6 when absent.
      backoffLimitPerIndex: How many failures of one index are retried.
      maxFailedIndexes: How many indexes may fail before the Job does.
      selector: Which pods belong to the Job; made by the cluster unless manualSelector is set.
      manualSelector: Take the selector as given. It must match the template's labels.
      template: What each pod is made from. It cannot be changed while the Job runs.
      ttlSecondsAfterFinished: The Job is deleted with its pods this long after its end; absent: it stays.
      completionMode: NonIndexed, where any pod's success counts, or Indexed: each index from 0 on succeeds once.
      suspend: While true the Job has no pods; those that run are deleted.
      podReplacementPolicy: TerminatingOrFailed: a pod is replaced when its deletion begins.
        Failed: only when it has ended.
      managedBy: The controller that keeps this Job. Any other than kubernetes.io/job-controller is somebody else's:
        the Job is left alone.
      scheduling: How the Job's pods are scheduled as a group.
    PodFailurePolicy: PodFailurePolicy decides what a failed pod means.
      rules: The rules in order; the first that fits counts.
    PodFailurePolicyRule: PodFailurePolicyRule is one rule about failed pods.
      action: FailJob, FailIndex, Ignore or Count.
      onExitCodes: The exit codes that the rule is about.
      onPodConditions: The conditions that the rule is about; one is enough.
    PodFailurePolicyOnExitCodesRequirement: PodFailurePolicyOnExitCodesRequirement chooses exit codes.
      containerName: The container whose code counts; absent: any.
      operator: In or NotIn.
      values: The exit codes.
    PodFailurePolicyOnPodConditionsPattern: PodFailurePolicyOnPodConditionsPattern chooses a condition.
      type: The condition's type.
      status: The condition's status; True when absent.
    SuccessPolicy: SuccessPolicy says when an indexed Job has succeeded early.
      rules: The rules; one is enough.
    SuccessPolicyRule: SuccessPolicyRule is one way to succeed.
      succeededIndexes: The indexes that count, as 0,2-4.
      succeededCount: How many of them must have succeeded.
    PodTemplateSpec: PodTemplateSpec is what each pod is made from.
      metadata: Labels, annotations and finalizers of the pods; other members have no effect.
      spec: What the pods run.
    JobStatus: JobStatus is how far the work has come.
      conditions: Complete, Failed, SuccessCriteriaMet, FailureTarget or Suspended, once they hold.
      startTime: When the Job began, or began again after a suspension.
      completionTime: When the Job was complete; never set for one that failed.
      active: Pods that have not ended and are not being deleted.
      succeeded: Pods that succeeded.
      failed: Pods that failed.
      terminating: Pods that are being deleted and have not ended.
      completedIndexes: Indexes that succeeded, as 0,2-4.
      failedIndexes: Indexes that failed for good; set with backoffLimitPerIndex.
      uncountedTerminatedPods: Always empty: counting a pod and letting it go are one step here.
      ready: Active pods whose containers all run.
    JobCondition: JobCondition is one aspect of a Job's state.
      type: Complete, Failed, SuccessCriteriaMet, FailureTarget or Suspended.
      status: True, False or Unknown.
      lastProbeTime: When the condition was last looked at.
      lastTransitionTime: When the status last became another one.
      reason: One word on why, as BackoffLimitExceeded.
      message: The same for people.
    CronJob: CronJob makes a Job at each due time of its schedule.
    CronJobSpec: CronJobSpec says when, and what each Job is made from.
      schedule: Five fields (minute, hour, day of month, month, day of week), a macro as @daily, or @every with a
        duration.
      timeZone: The zone of the schedule by its name, as Europe/Berlin; absent: the coordinator's own.
      startingDeadlineSeconds: A run that is later than this is left out; absent: it is made however late.
      concurrencyPolicy: Allow runs beside each other; Forbid a run while one goes on; Replace the one that goes on.
      suspend: While true it makes no runs; those that go on are left alone.
      jobTemplate: What each Job is made from. A change is for the Jobs to come.
      successfulJobsHistoryLimit: How many Jobs that succeeded are kept; 3 when absent.
      failedJobsHistoryLimit: How many Jobs that failed are kept; 1 when absent.
    JobTemplateSpec: JobTemplateSpec is what each Job is made from.
      metadata: Labels and annotations of the Jobs; other members have no effect.
      spec: The Jobs' spec.
    CronJobStatus: CronJobStatus is what became of the runs.
      active: Jobs that go on.
      lastScheduleTime: The due time of the last run.
      lastSuccessfulTime: When a run last succeeded.
    UncountedTerminatedPods: UncountedTerminatedPods are pods that ended and are not counted yet.
      succeeded: Uids of those that succeeded.
      failed: Uids of those that failed.
    """
}
