// `stint why`: the paragraph for each place where a Job or a pod may be, from objects; and what the command asks.

import ClusterIO
import ClusterProto
import Testing

@testable import stint

@Suite("Why a Job is where it is")
struct WhyTests {
  private static let now = WallTime(rfc3339: "2026-12-01T01:00:00Z") ?? .earliest

  private static func job(
    _ condition: String? = nil, _ reason: String = "", _ message: String = "", status: [String: JSON] = [:],
    spec: [String: JSON] = [:]
  ) -> JSON {
    var job = RunFollowTests.job(condition, reason: reason, completions: 5)
    if condition != nil {
      job[path: ["status", "conditions"]] = [
        ["type": .string(condition ?? ""), "status": "True", "reason": .string(reason), "message": .string(message)]
      ]
    }
    job[path: ["status", "startTime"]] = "2026-12-01T00:50:00Z"
    for (key, value) in status { job[path: ["status", key]] = value }
    for (key, value) in spec { job[path: ["spec", key]] = value }
    return job
  }

  private static func answer(_ job: JSON, _ pods: [JSON] = [], events: [JSON] = [], away: Set<String> = [])
    -> WhyAnswer
  {
    WhyJob.answer(WhyFacts(job: job, pods: pods, events: events, awayNodes: away, now: now))
  }

  private static func text(_ job: JSON, _ pods: [JSON] = [], events: [JSON] = [], away: Set<String> = []) -> String {
    answer(job, pods, events: events, away: away).sentences.joined(separator: " ")
  }

  private static let indexed: [String: JSON] = ["completionMode": "Indexed", "backoffLimitPerIndex": 0]

  @Test("of an Indexed Job it says which indexes failed with which codes, the largest group first")
  func indexes() {
    let pods = [0, 2, 3, 4].map { index in
      RunFollowTests.pod("x-\(index)-a", index: Int64(index), phase: "Failed", end: index == 0 ? 139 : 3)
    }
    let job = Self.job(
      "Failed", "FailedIndexes", "Job has failed indexes", status: ["failedIndexes": "0,2-4", "succeeded": 1],
      spec: Self.indexed)
    let answer = Self.answer(job, pods)
    #expect(
      answer.sentences == [
        "job/x failed because 4 of its 5 indexes failed; 1 of 5 succeeded.",
        "Failed: indexes 2-4 with exit code 3; index 0 with exit code 139 (SIGSEGV).",
      ])
    #expect(answer.example == "x-0-a")
    #expect(answer.next == ["stint retry x --failed-indexes", "stint logs x-0-a"])
  }

  @Test("pods that are gone are told of by the Job's record, and those of which nothing is left are named too")
  func record() {
    var job = Self.job("Failed", "FailedIndexes", status: ["failedIndexes": "1,2,4"], spec: Self.indexed)
    job[path: ["metadata", "annotations", "stint.dev/last-failures"]] = .string(
      "2026-12-01T00:51:00Z x-1-a index 1 on n1: container main exited with 137 (OOMKilled): boom: bang\n"
        + "2026-12-01T00:52:00Z x-2-a index 2 on n1: NodeLost: gone")
    #expect(
      Self.text(job).hasSuffix(
        "Failed: index 1 with exit code 137 (OOMKilled: it needed more memory than its limit); "
          + "index 2 with NodeLost: gone; index 4 of which no pod and no record is left."), "\(Self.text(job))")
  }

  @Test("a list of indexes that nobody would read is cut, and counted")
  func longLists() {
    var indexes = IndexIntervals()
    for index in 0..<1_000 { indexes.insert(Int64(index * 2)) }
    let words = WhyFailures.words(indexes)
    #expect(words.hasPrefix("indexes 0,2,4,") && words.hasSuffix(",… (1000 in all)") && words.utf8.count < 160)
  }

  @Test(
    "why a Job failed",
    arguments: [
      (
        "BackoffLimitExceeded", "", ["failed": 3], ["backoffLimit": 2],
        "failed because 3 pods failed and 2 failures may be tried again (backoffLimit), with 0 of 5 succeeded. "
          + "The last failure: pod x-a on n1: exit code 127 (command not found)."
      ),
      (
        "DeadlineExceeded", "", [:], ["activeDeadlineSeconds": 7_200],
        "failed because it took longer than its limit of 120m (activeDeadlineSeconds)"
      ),
      ("DependencyNeverMet", "The Job waits for a", [:], [:], "failed (DependencyNeverMet): The Job waits for a."),
      ("PodFailurePolicy", "rule 0", [:], [:], "failed (PodFailurePolicy): rule 0."),
    ] as [(String, String, [String: JSON], [String: JSON], String)])
  func failed(_ reason: String, _ message: String, _ status: [String: JSON], _ spec: [String: JSON], _ part: String) {
    let pods = [RunFollowTests.pod("x-a", phase: "Failed", end: 127)]
    let text = Self.text(Self.job("Failed", reason, message, status: status, spec: spec), pods)
    #expect(text.contains(part), "\(text)")
  }

  @Test("a Job that somebody stopped says so, not that it took too long")
  func stopped() {
    var job = Self.job("Failed", "DeadlineExceeded", spec: ["activeDeadlineSeconds": 1])
    job[path: ["metadata", "annotations", "stint.dev/stopped"]] = "2026-12-01T00:55:00Z,deadline=60"
    #expect(Self.text(job).hasPrefix("job/x was stopped by hand at 2026-12-01T00:55:00Z with 0 of 5 succeeded."))
  }

  @Test("a lost machine is told apart from a failure of the work")
  func disrupted() {
    var pod = RunFollowTests.pod("x-a", phase: "Failed", end: 137)
    pod[path: ["status", "conditions"]] = [
      ["type": "DisruptionTarget", "status": "True", "reason": "R", "message": "the node was lost"]
    ]
    let text = Self.text(Self.job("Failed", "BackoffLimitExceeded"), [pod])
    #expect(
      text.contains(
        "1 pod was taken away by the cluster, which is no failure of the work: the last one on n1, the node was lost."),
      "\(text)")
  }

  @Test("why a Job has not begun: suspended, in a queue with its place, its pods refused, a pause after a failure")
  func waiting() {
    #expect(Self.text(Self.job(spec: ["suspend": true])).hasPrefix("job/x is suspended: nothing of it runs"))
    var queued = Self.job()
    queued[path: ["metadata", "annotations", "stint.dev/queue"]] = "nightly"
    queued[path: ["status", "conditions"]] = [
      [
        "type": "stint.dev/Admitted", "status": "False", "reason": "Queued",
        "message": "The Job waits in queue nightly: place 3 of 10",
      ]
    ]
    let answer = Self.answer(queued)
    #expect(answer.sentences == ["job/x has not begun: The Job waits in queue nightly: place 3 of 10."])
    #expect(answer.next.first == "stint describe queue nightly")
    let refused: JSON = ["reason": "FailedCreate", "message": "exceeded quota"]
    #expect(
      Self.text(Self.job(), events: [refused])
        == "job/x runs no pod now, with 0 of 5 succeeded. Its pods cannot be made: exceeded quota.")
    #expect(Self.text(Self.job(status: ["failed": 1])).contains("It waits a while after a failure"))
  }

  @Test("why a Job is slow: pods that wait, nodes that do not answer, what fails, how many run at a time, the longest")
  func slow() {
    var first = RunFollowTests.pod("x-1-a", index: 1)
    first[path: ["status", "startTime"]] = "2026-12-01T00:58:00Z"
    var second = RunFollowTests.pod("x-2-a", index: 2, node: "n2")
    second[path: ["status", "startTime"]] = "2026-12-01T00:59:00Z"
    var waiting = RunFollowTests.pod("x-3-a", index: 3, phase: "Pending", node: "")
    waiting[path: ["status", "conditions"]] = [["type": "PodScheduled", "message": "0/2 nodes are available"]]
    let failed = RunFollowTests.pod("x-0-a", index: 0, phase: "Failed", end: 1)
    let job = Self.job(status: ["failed": 1, "active": 3], spec: ["completionMode": "Indexed", "parallelism": 3])
    let answer = Self.answer(job, [first, second, waiting, failed], away: ["n2"])
    #expect(
      answer.sentences == [
        "job/x has been going on for 10m: 0 of 5 succeeded, 2 pods running on n1, n2.",
        "Waiting: pod/x-3-a: it has no node yet: 0/2 nodes are available.",
        "1 pod may run on nodes that do not answer (n2): they are started elsewhere only when it is certain that "
          + "they have ended there.",
        "Failed for good: index 0 with exit code 1.",
        "The longest has been running for 2m: index 1 on n1.",
      ])
  }

  @Test(
    "how many may run at a time is a reason only where none waits; a Job that is failing says so before it has failed")
  func bounds() {
    let job = Self.job(spec: ["completionMode": "Indexed", "parallelism": 1])
    let answer = Self.answer(job, [RunFollowTests.pod("x-1-a", index: 1)])
    #expect(answer.sentences.last == "5 are still to be done and 1 may run at a time (parallelism).")
    #expect(answer.next == ["stint scale job/x --replicas=2", "stint logs -f job/x"])
    var failing = Self.job()
    failing[path: ["status", "conditions"]] = [
      ["type": "FailureTarget", "status": "True", "reason": "BackoffLimitExceeded", "message": "it is too much"]
    ]
    #expect(
      Self.text(failing).hasPrefix("job/x is failing (BackoffLimitExceeded): its pods are being ended. it is too much.")
    )
  }

  @Test("why a pod is where it is")
  func pods() {
    func text(_ pod: JSON) -> String { WhyPod.answer(pod, now: Self.now).sentences.joined(separator: " ") }
    #expect(
      text(RunFollowTests.pod("p", index: 4, phase: "Failed", end: 126))
        == "pod/p (index 4) failed on n1: exit code 126 (found, but not executable).")
    var crashing = RunFollowTests.pod("p")
    crashing[path: ["status", "containerStatuses"]] = [
      [
        "name": "main", "restartCount": 2,
        "state": ["waiting": ["reason": "CrashLoopBackOff", "message": "back-off 20s"]],
        "lastState": ["terminated": ["exitCode": 2, "reason": "Error"]],
      ]
    ]
    #expect(
      text(crashing) == "pod/p has been running on n1. Container main was restarted 2 times, the last time after exit "
        + "code 2. Now: container main: CrashLoopBackOff: back-off 20s.")
    #expect(
      text(RunFollowTests.pod("p", phase: "Pending", node: "")) == "pod/p has been waiting: it has no node yet.")
    #expect(text(RunFollowTests.pod("p", phase: "Succeeded", end: 0)) == "pod/p succeeded on n1.")
  }

  @Test("lines are broken between words, and no word is lost")
  func wrapping() {
    let text = Why.wrapped(["one two three.", "\(String(repeating: "x", count: 30)) four."], width: 12)
    #expect(text == "one two\nthree.\n\(String(repeating: "x", count: 30))\nfour.")
  }

  @Test("the command shows the last lines with the item of the index, and what to type next")
  func command() {
    var job = Self.job("Failed", "FailedIndexes", status: ["failedIndexes": "1", "succeeded": 4], spec: Self.indexed)
    job[path: ["spec", "template", "spec", "volumes"]] = [["name": "items", "configMap": ["name": "x-items"]]]
    let pod = RunFollowTests.pod("x-1-a", index: 1, phase: "Failed", end: 3)
    let cluster = FakeCluster()
    let status = cluster.run(["why", "x"]) { request in
      switch (request.verb, request.kind) {
      case (.get, .jobs): return [.done(code: 200, object: job, warnings: [])]
      case (.get, .configmaps):
        return [.done(code: 200, object: ["data": ["items-0": "a\ndata b\nc\n"]], warnings: [])]
      case (.get, .pods): return [.done(code: 200, object: pod, warnings: [])]
      case (.list, .pods): return [.items([pod]), .done(code: 200, object: .object(JSONObject()), warnings: [])]
      case (.log, _): return [.bytes(Array("one\nt\u{1b}wo\n".utf8)), .done(code: 200, object: .null, warnings: [])]
      default: return FakeCluster.failure(403, "Forbidden", "no")
      }
    }
    #expect(status == 0, "\(cluster.err)")
    #expect(
      cluster.out == """
        job/x failed because 1 of its 5 indexes failed; 4 of 5 succeeded. Failed: index 1 with exit code 3.

        The last lines of index 1 (data b), pod/x-1-a:
          one
          t^[wo

        Next:
          stint retry x --failed-indexes
          stint logs x-1-a

        """)
  }

  @Test("a name that nothing has is an error")
  func unknown() {
    let cluster = FakeCluster()
    #expect(cluster.run(["why", "y"]) { _ in FakeCluster.failure(404, "NotFound", "no") } == 1)
    #expect(cluster.err.contains("there is no job and no pod \"y\" in namespace \"default\""))
  }
}
