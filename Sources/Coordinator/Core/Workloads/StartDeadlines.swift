// Pods that must start within a time of their own (`stint.dev/start-deadline-seconds`): fails those that have not. What
// runs of one is stopped first; its end is the keeper's to report. Must not know what a failed pod means for its Job.

import ClusterProto

enum StartDeadline {
  /// The pod's condition, for failure policies.
  static let condition = "stint.dev/StartDeadlineExceeded"
  static let reason = "StartDeadlineExceeded"

  /// Seconds that the pod has from its creation; nil: as long as it takes.
  static func seconds(of pod: Pod) -> Int64? { pod.meta.annotations[JobAnnotation.startDeadline].flatMap { Int64($0) } }

  /// The end of a pod that was stopped for its deadline bears the deadline's reason.
  static func explain(_ status: inout PodStatus) {
    guard status.phase == .failed, status.reason.isEmpty, let late = status.condition(condition), late.isTrue else {
      return
    }
    status.reason = late.reason
    status.message = late.message
  }
}

extension CoordinatorCore {
  /// The time counts while the pod is Pending and nobody deletes it.
  mutating func observeStart(_ change: ObjectChange) {
    guard case .pod(let pod)? = change.subject else { return }
    var before: Pod?
    if case .pod(let pod)? = change.before { before = pod }
    let isWatched = change.after != nil && awaitsStart(pod)
    guard isWatched || before.map({ awaitsStart($0) }) ?? false else { return }
    let timer = WorkloadTimer.start(pod.meta.uid)
    guard isWatched, let seconds = StartDeadline.seconds(of: pod) else { return workloads.timers.cancel(timer) }
    if before.flatMap({ StartDeadline.seconds(of: $0) }) == seconds, workloads.timers.time(of: timer) != nil { return }
    let length = Self.milliseconds(seconds: seconds)
    let end = before == nil && started ? now.boot + length : bootTime(of: pod.meta.creationTimestamp) + length
    // A time that ran out while nobody could place or start the pod counts from now on.
    workloads.timers.set(timer, at: !started && end <= now.boot ? now.boot + length : end)
  }

  private func awaitsStart(_ pod: Pod) -> Bool {
    pod.status.phase == .pending && pod.meta.deletionTimestamp == nil
      && pod.meta.annotations[JobAnnotation.startDeadline] != nil
      && pod.status.condition(StartDeadline.condition)?.isTrue != true
  }

  /// Fails the pods whose time is over; returns how many it looked at.
  mutating func failLateStarts(limit: Int) -> Int {
    var touched = 0
    while touched < limit, let uid = workloads.lateStarts.next() {
      touched += 1
      guard let reference = state.references[uid], reference.kind == .pods, let pod = state.pods[reference.key],
        awaitsStart(pod), let seconds = StartDeadline.seconds(of: pod)
      else { continue }
      if mayNotStart(pod) {
        workloads.timers.set(.start(uid), at: now.boot + Self.milliseconds(seconds: seconds))
      } else {
        failLateStart(pod, seconds)
      }
    }
    return touched
  }

  /// Held by a gate, or by promise 1 for an attempt that may still run: it has its time anew.
  private func mayNotStart(_ pod: Pod) -> Bool {
    if isPossiblyLive(podUID: pod.meta.uid) { return false }
    return !(pod.spec.json["schedulingGates"]?.arrayValue ?? []).isEmpty || assignability(of: pod) != .free
  }

  private mutating func failLateStart(_ pod: Pod, _ seconds: Int64) {
    let cause = Self.cause(of: pod.status)
    let message =
      "Pod did not start its containers within \(seconds) seconds" + (cause.isEmpty ? "" : ": \(cause)")
    let isLive = isPossiblyLive(podUID: pod.meta.uid)
    let stamp = stamp
    let failed = updatePod(pod.meta.key) { pod in
      pod.status.set(
        Condition(
          type: StartDeadline.condition, status: "True", reason: StartDeadline.reason, message: message,
          lastTransition: stamp))
      guard !isLive else { return }
      pod.status.reason = StartDeadline.reason
      pod.status.message = message
    }
    recordEvent(
      on: .pod(failed ?? pod), type: .warning, reason: StartDeadline.reason, message: message,
      component: "stint-coordinator", host: pod.nodeName ?? "")
    if isLive {
      stopAttempt(
        podUID: pod.meta.uid,
        graceMilliseconds: Self.milliseconds(seconds: pod.spec.terminationGracePeriodSeconds))
    } else {
      failUnreported(pod.meta.key, podUID: pod.meta.uid, why: message)
    }
  }

  /// What the pod waits for, as its status says it.
  private static func cause(of status: PodStatus) -> String {
    for container in status.initContainers + status.containers {
      guard case .waiting(let reason, let message) = container.state else { continue }
      if message.isEmpty, ["ContainerCreating", "PodInitializing"].contains(reason) { continue }
      return bounded("container \(container.name): \(reason)" + (message.isEmpty ? "" : ": \(message)"))
    }
    guard let scheduled = status.condition("PodScheduled"), !scheduled.isTrue else { return "" }
    return bounded(scheduled.message)
  }

  private static func bounded(_ text: String) -> String {
    text.utf8.count <= 512 ? text : String(decoding: text.utf8.prefix(512), as: UTF8.self) + "…"
  }
}
