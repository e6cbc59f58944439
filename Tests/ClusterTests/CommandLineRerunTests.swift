// `stint rerun`: what it asks for, against a coordinator that is a closure.

import ClusterProto
import Testing

@testable import stint

@Suite("Jobs that run once more")
struct CommandLineRerunTests {
  private static func ended(_ condition: String = "Failed", spec: [String: JSON] = [:], status: [String: JSON] = [:])
    -> JSON
  {
    let labels: JSON = [
      "batch.kubernetes.io/controller-uid": "u", "batch.kubernetes.io/job-name": "score", "controller-uid": "u",
      "job-name": "score", "team": "red",
    ]
    var job: JSON = [
      "apiVersion": "batch/v1", "kind": "Job",
      "metadata": [
        "name": "score", "namespace": "default", "uid": "u", "resourceVersion": "7", "labels": labels,
        "ownerReferences": [
          ["kind": "CronJob", "name": "c", "uid": "c", "apiVersion": "batch/v1", "controller": true]
        ],
        "annotations": [
          "kubectl.kubernetes.io/last-applied-configuration": "{}", "stint.dev/last-failures": "a line",
          "stint.dev/backoff": "initial=1s", "note": "kept",
        ],
      ],
      "spec": [
        "backoffLimit": 3, "selector": ["matchLabels": ["batch.kubernetes.io/controller-uid": "u"]],
        "template": ["metadata": ["labels": labels], "spec": ["restartPolicy": "Never"]],
      ],
      "status": ["conditions": [["type": .string(condition), "status": "True"]]],
    ]
    for (key, value) in spec { job[path: ["spec", key]] = value }
    for (key, value) in status { job[path: ["status", key]] = value }
    return job
  }

  private static func rerun(_ job: JSON, _ flags: [String] = [], taken: [String] = []) -> (FakeCluster, Int32) {
    let cluster = FakeCluster()
    let status = cluster.run(["rerun", "score"] + flags) { request in
      if request.verb == .get { return [.done(code: 200, object: job, warnings: [])] }
      let name = request.body?[path: ["metadata", "name"]]?.stringValue ?? ""
      if taken.contains(name) {
        let answer: JSON = ["kind": "Status", "code": 409, "reason": "AlreadyExists", "message": "taken"]
        return [.done(code: 409, object: answer, warnings: [])]
      }
      return [.done(code: 201, object: request.body ?? .null, warnings: [])]
    }
    return (cluster, status)
  }

  @Test("a copy has what its manifest had, a name and a mark of its own, and nothing of the Job's life")
  func copy() throws {
    let (cluster, status) = Self.rerun(Self.ended())
    #expect(status == 0, "\(cluster.err)")
    let made = try #require(cluster.asked.last?.body)
    #expect(
      made["metadata"] == [
        "name": "score-rerun-1", "labels": ["team": "red"],
        "annotations": ["note": "kept", "stint.dev/backoff": "initial=1s", "stint.dev/rerun-of": "score"],
      ])
    #expect(
      made["spec"] == [
        "backoffLimit": 3, "template": ["metadata": ["labels": ["team": "red"]], "spec": ["restartPolicy": "Never"]],
      ])
    #expect(made["status"] == nil)
    #expect(cluster.out == "job.batch/score-rerun-1 created\n")
  }

  @Test("the first number that is free is taken, and a rerun's rerun goes on counting")
  func names() throws {
    let (cluster, status) = Self.rerun(Self.ended(), taken: ["score-rerun-1", "score-rerun-2"])
    #expect(status == 0 && cluster.out == "job.batch/score-rerun-3 created\n", "\(cluster.err)")
    #expect(RerunCommand.newName(of: "score-rerun-3", 4, .null) == "score-rerun-4")
    #expect(RerunCommand.newName(of: "a-rerun-x", 1, .null) == "a-rerun-x-rerun-1")
    #expect(RerunCommand.newName(of: "-rerun-7", 1, .null) == "-rerun-7-rerun-1")
    let long = String(repeating: "a", count: 54) + "-bcdefgh"
    #expect(RerunCommand.newName(of: long, 1, .null) == String(repeating: "a", count: 54) + "-rerun-1")
    let indexed: JSON = ["spec": ["completionMode": "Indexed", "completions": 1_000]]
    #expect(RerunCommand.newName(of: long, 1, indexed).utf8.count + "-999".utf8.count <= 63)
  }

  @Test(
    "of an Indexed Job only what has not succeeded runs again; of one that completed, what failed by the way",
    arguments: [
      ("Failed", ["completedIndexes": "0,2-4"], "1,5-9"), ("Failed", [:], "0-9"),
      ("Failed", ["completedIndexes": "0-7", "failedIndexes": "8"], "8,9"),
      ("Complete", ["completedIndexes": "0-6", "failedIndexes": "8"], "8"),
    ] as [(String, [String: JSON], String)])
  func failedIndexes(_ end: String, _ indexes: [String: JSON], _ expected: String) throws {
    let spec: [String: JSON] = [
      "completionMode": "Indexed", "completions": 10, "successPolicy": ["rules": [["succeededCount": 7]]],
    ]
    let (cluster, status) = Self.rerun(Self.ended(end, spec: spec, status: indexes), ["--failed-indexes"])
    #expect(status == 0, "\(cluster.err)")
    let made = try #require(cluster.asked.last?.body)
    #expect(made[path: ["metadata", "annotations", "stint.dev/indexes"]] == .string(expected))
    // The indexes that do not run count as succeeded: what they alone meet would end the copy before it begins.
    let isMet = IndexIntervals(text: expected).inverted(below: 10).count >= 7
    #expect((made[path: ["spec", "successPolicy"]] == nil) == isMet)
    #expect(cluster.err.hasPrefix("runs again: indexes \(expected)\n"))
    #expect(cluster.err.contains("left out: successPolicy, which the indexes that do not run again meet") == isMet)
  }

  @Test("a policy for certain indexes goes only where those that do not run again meet it")
  func policies() throws {
    for (policy, isLeftOut) in [
      (["succeededIndexes": "0-2"], true), (["succeededIndexes": "0-8", "succeededCount": 3], true),
      (["succeededIndexes": "0-3"], false), (["succeededIndexes": "2,8", "succeededCount": 2], false),
    ] as [(JSON, Bool)] {
      let spec: [String: JSON] = [
        "completionMode": "Indexed", "completions": 10, "successPolicy": ["rules": [policy]],
      ]
      let (cluster, _) = Self.rerun(
        Self.ended(spec: spec, status: ["completedIndexes": "0-2"]), ["--failed-indexes"])
      #expect((cluster.asked.last?.body?[path: ["spec", "successPolicy"]] == nil) == isLeftOut, "\(policy.text)")
    }
  }

  @Test(
    "nobody waits again for what had come when the Job began; what single indexes wait for stays while it is there",
    arguments: [
      ("a:success,b:any", ["startTime": "2026-01-01T00:00:00Z"], [], nil, "left out: stint.dev/depends-on a:success,b"),
      ("a", ["failed": 1], [], nil, "depends-on a:success, which the Job has waited for"),
      ("a,b[*]", ["startTime": "2026-01-01T00:00:00Z"], ["b"], "b[*]:success", "depends-on a:success,"),
      ("a,b[*]", ["startTime": "2026-01-01T00:00:00Z"], [], nil, "depends-on a:success,b[*]:success,"),
      ("a", [:], ["a"], "a", ""),
    ] as [(String, [String: JSON], [String], String?, String)])
  func dependencies(
    _ text: String, _ status: [String: JSON], _ present: [String], _ expected: String?, _ note: String
  ) throws {
    var job = Self.ended(status: status)
    job[path: ["metadata", "annotations", "stint.dev/depends-on"]] = .string(text)
    let cluster = FakeCluster()
    let code = cluster.run(["rerun", "score"]) { request in
      if request.verb != .get { return [.done(code: 201, object: request.body ?? .null, warnings: [])] }
      if request.name == "score" { return [.done(code: 200, object: job, warnings: [])] }
      if present.contains(request.name) { return [.done(code: 200, object: Self.ended(), warnings: [])] }
      let answer: JSON = ["kind": "Status", "code": 404, "reason": "NotFound", "message": "not found"]
      return [.done(code: 404, object: answer, warnings: [])]
    }
    #expect(code == 0, "\(cluster.err)")
    let made = cluster.asked.last?.body?[path: ["metadata", "annotations", "stint.dev/depends-on"]]
    #expect(made?.stringValue == expected)
    #expect(note.isEmpty ? cluster.err.isEmpty : cluster.err.contains(note), "\(cluster.err)")
  }

  @Test("a Job that goes on, has no indexes, or none that failed is not copied, and the exit status is 1")
  func refused() throws {
    var running = Self.ended()
    running["status"] = [:]
    let indexed: [String: JSON] = ["completionMode": "Indexed", "completions": 2]
    for (job, flags, why) in [
      (running, [], "job \"score\" has not ended"), (Self.ended(), ["--failed-indexes"], "has no indexes"),
      (
        Self.ended("Complete", spec: indexed, status: ["completedIndexes": "0,1"]), ["--failed-indexes"],
        "has no failed index"
      ),
    ] as [(JSON, [String], String)] {
      let (cluster, status) = Self.rerun(job, flags)
      #expect(status == 1 && cluster.err.contains(why), "\(cluster.err)")
      #expect(cluster.asked.map(\.verb) == [.get])
    }
  }
}
