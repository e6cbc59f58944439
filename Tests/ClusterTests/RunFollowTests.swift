// `stint run`, followed: what is shown, what is told and the exit status, against a coordinator that is a closure.

import ClusterIO
import ClusterProto
import Testing

@testable import stint

@Suite("Following a Job")
struct RunFollowTests {
  /// A pod of the Job `x`. `end`: the exit code of its container.
  static func pod(
    _ name: String, index: Int64? = nil, phase: String = "Running", node: String = "n1", end: Int64? = nil,
    reason: String? = nil
  ) -> JSON {
    var pod: JSON = [
      "kind": "Pod", "metadata": ["name": .string(name), "uid": .string("uid-" + name)],
      "spec": ["nodeName": .string(node), "containers": [["name": "main"]]], "status": ["phase": .string(phase)],
    ]
    if let index {
      pod[path: ["metadata", "annotations", "batch.kubernetes.io/job-completion-index"]] = .string("\(index)")
    }
    if let reason { pod[path: ["status", "reason"]] = .string(reason) }
    var state: JSON?
    if phase == "Running" { state = ["running": .object(JSONObject())] }
    if let end { state = ["terminated": ["exitCode": .int(end), "reason": end == 0 ? "Completed" : "Error"]] }
    if let state {
      pod[path: ["status", "containerStatuses"]] = [["name": "main", "restartCount": 0, "state": state]]
    }
    return pod
  }

  /// The Job `x` at its end, or before it.
  static func job(_ condition: String? = nil, reason: String = "R", completions: Int64 = 1, failed: String? = nil)
    -> JSON
  {
    var job: JSON = [
      "kind": "Job", "metadata": ["name": "x", "namespace": "default", "uid": "u"],
      "spec": [
        "completions": .int(completions), "selector": ["matchLabels": ["job-name": "x"]],
      ], "status": [:],
    ]
    if let condition {
      job[path: ["status", "conditions"]] = [
        ["type": .string(condition), "status": "True", "reason": .string(reason), "message": "why"]
      ]
    }
    if let failed {
      job[path: ["spec", "completionMode"]] = "Indexed"
      job[path: ["status", "failedIndexes"]] = .string(failed)
    }
    return job
  }

  private static func followed(
    _ end: JSON, _ pods: [JSON], _ flags: [String] = [], logs: [String: String] = [:], type: String = "MODIFIED"
  ) -> (FakeCluster, Int32) {
    let cluster = FakeCluster()
    let status = cluster.run(["run", "--name", "x"] + flags + ["--", "true"]) { request in
      switch (request.verb, request.kind) {
      case (.create, _):
        return [
          .done(code: 201, object: job(completions: end[path: ["spec", "completions"]]?.intValue ?? 1), warnings: [])
        ]
      case (.watch, .jobs): return [.event(type: type, object: end)]
      case (.watch, .pods): return pods.map { .event(type: "ADDED", object: $0) }
      case (.list, _): return [.items(pods), .done(code: 200, object: .object(JSONObject()), warnings: [])]
      case (.log, _):
        return [.bytes(Array((logs[request.name] ?? "").utf8)), .done(code: 200, object: .null, warnings: [])]
      default: return FakeCluster.failure(404, "NotFound", "gone")
      }
    }
    return (cluster, status)
  }

  private static let time = "2026-12-01T00:00:00.000000001Z "

  @Test("one pod's output is what the command writes, and the end is the Job's")
  func alone() {
    let (cluster, status) = Self.followed(
      Self.job("Complete"), [Self.pod("x-a", phase: "Succeeded", end: 0)], logs: ["x-a": Self.time + "hello\n"])
    #expect(status == 0)
    #expect(cluster.out == "hello\n")
    #expect(cluster.err == "job.batch/x created\njob.batch/x complete: 0/1 succeeded\n")
  }

  @Test("the pods of a Job of several have their index before each line, a line that does not end is ended")
  func several() {
    let pods = [
      Self.pod("x-0-a", index: 0, phase: "Succeeded", end: 0), Self.pod("x-1-b", index: 1, phase: "Failed", end: 3),
    ]
    let (cluster, status) = Self.followed(
      Self.job("Failed", reason: "FailedIndexes", completions: 2, failed: "1"), pods,
      logs: ["x-0-a": Self.time + "zero", "x-1-b": Self.time + "one\n"])
    #expect(status == 3)
    #expect(cluster.out == "[0] zero\n[1] one\n")
    #expect(
      cluster.err == """
        job.batch/x created
        stint: index 1 failed on n1: exit code 3
        error: job.batch/x failed: 0/2 succeeded. Why: stint why job/x

        """)
  }

  @Test("--quiet leaves logs and errors, --detach follows nothing, --prefix=false is obeyed")
  func flags() {
    let pods = [Self.pod("x-a", phase: "Failed", end: 9)]
    let (quiet, status) = Self.followed(
      Self.job("Failed", completions: 2), pods, ["-q", "--prefix=false"], logs: ["x-a": Self.time + "t\n"])
    #expect(status == 9 && quiet.out == "t\n")
    #expect(quiet.err.split(separator: "\n").count == 2 && !quiet.err.contains("stint: "))
    let (detached, zero) = Self.followed(Self.job("Failed"), pods, ["--detach"])
    #expect(zero == 0 && detached.out == "job.batch/x created\n" && detached.asked.count == 1)
  }

  @Test("what holds a Job, a queue for instance, is told once")
  func held() {
    let condition: JSON = [
      "type": "stint.dev/Admitted", "status": "False", "reason": "Queued", "message": "in queue q",
    ]
    var waiting = Self.job()
    waiting[path: ["status", "conditions"]] = [condition]
    let cluster = FakeCluster()
    let status = cluster.run(["run", "--name", "x", "--", "true"]) { request in
      switch (request.verb, request.kind) {
      case (.create, _): return [.done(code: 201, object: Self.job(), warnings: [])]
      case (.watch, .jobs):
        return [waiting, waiting, Self.job("Complete")].map { .event(type: "MODIFIED", object: $0) }
      default: return [.items([]), .done(code: 200, object: .object(JSONObject()), warnings: [])]
      }
    }
    #expect(status == 0)
    #expect(
      cluster.err == "job.batch/x created\nstint: in queue q\njob.batch/x complete: 0/1 succeeded\n", "\(cluster.err)")
  }

  @Test("a Job that is deleted meanwhile is an error")
  func deleted() {
    let (cluster, status) = Self.followed(Self.job(), [], type: "DELETED")
    #expect(status == 1 && cluster.err.hasSuffix("error: job.batch/x was deleted\n"), "\(cluster.err)")
  }

  @Test("a Job with ConfigMaps begins suspended, owns them, and is deleted where they are refused")
  func ownership() {
    for isRefused in [false, true] {
      let cluster = FakeCluster()
      let status = cluster.run(["run", "--name", "x", "--array", "1,5", "--detach", "--", "true"]) { request in
        if request.kind == .configmaps, isRefused { return FakeCluster.failure(403, "Forbidden", "quota") }
        return [.done(code: 200, object: Self.job(), warnings: [])]
      }
      #expect(status == (isRefused ? 1 : 0), "\(cluster.err)")
      #expect(cluster.asked.map(\.verb) == [.create, .create, isRefused ? .delete : .patch])
      #expect(cluster.asked[0].body?[path: ["spec", "suspend"]] == true)
      #expect(
        cluster.asked[1].body?[path: ["metadata", "ownerReferences"]] == [
          ["apiVersion": "batch/v1", "kind": "Job", "name": "x", "uid": "u"]
        ])
      if !isRefused { #expect(cluster.asked[2].body == ["spec": ["suspend": false]]) }
    }
  }

  @Test("a name that is taken is an error, unless it was made up")
  func taken() {
    for (flags, tries) in [(["--name", "x"], 1), ([], 5)] {
      let cluster = FakeCluster()
      let status = cluster.run(["run"] + flags + ["--", "true"]) { _ in
        FakeCluster.failure(409, "AlreadyExists", "jobs.batch \"x\" already exists")
      }
      #expect(status == 1 && cluster.asked.count == tries)
      #expect(cluster.err == "error: failed to create job: jobs.batch \"x\" already exists\n")
    }
  }
}

@Suite("What is told of pods, and the exit status")
struct PodStoryTests {
  @Test("a start, a failure, another try and a wait are told once")
  func told() {
    var story = PodStory()
    var waiting = RunFollowTests.pod("x-2-c", index: 2, phase: "Pending", node: "")
    waiting[path: ["status", "conditions"]] = [["type": "PodScheduled", "status": "False", "message": "no room"]]
    var lines: [String] = []
    for pod in [
      RunFollowTests.pod("x-1-a", index: 1, phase: "Pending"), RunFollowTests.pod("x-1-a", index: 1),
      RunFollowTests.pod("x-1-a", index: 1), RunFollowTests.pod("x-1-a", index: 1, phase: "Failed", end: 2),
      RunFollowTests.pod("x-1-b", index: 1, phase: "Pending"), RunFollowTests.pod("x-1-b", index: 1, node: "n2"),
      waiting, waiting,
    ] { lines += story.see(pod) }
    #expect(
      lines == [
        "index 1 started on n1 (x-1-a)", "index 1 failed on n1: exit code 2", "index 1 is tried again (x-1-b)",
        "index 1 started on n2 (x-1-b)", "index 2 waits: it has no node yet: no room",
      ])
    #expect(story.lose(RunFollowTests.pod("x-1-b", index: 1)) == ["index 1: pod x-1-b was deleted before it ended"])
  }

  @Test("what a pod says cannot write on the terminal")
  func harmless() {
    var story = PodStory()
    var pod = RunFollowTests.pod("x", phase: "Failed", reason: "Evicted")
    pod[path: ["status", "message"]] = "a\u{1b}[2Jb"
    #expect(story.see(pod) == ["pod x failed on n1: Evicted: a^[[2Jb"])
  }

  @Test("the exit status is 0, the failed code of the lowest index, 124 for its time, 130 when stopped, else 1")
  func exits() {
    func status(_ job: JSON, _ pods: [JSON]) -> Int32 {
      var story = PodStory()
      for pod in pods { _ = story.see(pod) }
      return story.exitStatus(of: job)
    }
    func failed(_ name: String, _ index: Int64?, _ code: Int64) -> JSON {
      RunFollowTests.pod(name, index: index, phase: "Failed", end: code)
    }
    #expect(status(RunFollowTests.job("Complete"), [failed("a", nil, 3)]) == 0)
    #expect(status(RunFollowTests.job("Failed"), [failed("a", nil, 3), failed("b", nil, 4)]) == 4)
    #expect(status(RunFollowTests.job("Failed"), []) == 1)
    #expect(status(RunFollowTests.job("Failed", reason: "DeadlineExceeded"), [failed("a", nil, 143)]) == 124)
    let indexed = RunFollowTests.job("Failed", completions: 9, failed: "2,5")
    let ends = [failed("a", 5, 50), failed("b", 2, 20), failed("c", 2, 21), failed("d", 1, 10)]
    #expect(status(indexed, ends) == 21)
    var stopped = RunFollowTests.job("Failed", reason: "DeadlineExceeded")
    stopped[path: ["metadata", "annotations", "stint.dev/stopped"]] = "2026-12-01T00:00:00Z"
    #expect(status(stopped, []) == 130)
  }
}
