// `stint history` and `stint top`: rows, their order and filters, against a coordinator that is a closure.

import ClusterIO
import ClusterProto
import Testing

@testable import stint

@Suite("What has ended, and what is used")
struct HistoryTests {
  private static func job(
    _ name: String, _ type: String?, reason: String = "", ended seconds: Int64 = 60,
    _ change: (inout JSON) -> Void = { _ in }
  ) -> JSON {
    let end = WallTime(nanoseconds: Clocks.now().wall).adding(milliseconds: -seconds * 1_000)
    var job: JSON = [
      "kind": "Job", "metadata": ["name": .string(name), "namespace": "default"], "spec": ["completions": 5],
      "status": ["succeeded": 3, "failed": 2, "startTime": .string(end.adding(milliseconds: -90_000).rfc3339)],
    ]
    if let type {
      job[path: ["status", "conditions"]] = [
        ["type": "SuccessCriteriaMet", "status": "True"],
        [
          "type": .string(type), "status": "True", "reason": .string(reason),
          "lastTransitionTime": .string(end.rfc3339),
        ],
      ]
    }
    change(&job)
    return job
  }

  private static func run(_ line: [String], _ items: [JSON], pods: [JSON] = []) -> (FakeCluster, Int32) {
    let cluster = FakeCluster()
    let status = cluster.run(line) { request in
      if request.verb == .get { return [.done(code: 200, object: items.first ?? .null, warnings: [])] }
      return [
        .items(request.kind == .jobs ? items : pods), .done(code: 200, object: .object(JSONObject()), warnings: []),
      ]
    }
    return (cluster, status)
  }

  /// The rows' words, without the header.
  private static func rows(_ line: [String], _ items: [JSON], pods: [JSON] = []) -> [[String]] {
    run(line, items, pods: pods).0.out.split(separator: "\n").dropFirst().map {
      $0.split(separator: " ").map(String.init)
    }
  }

  private static let jobs = [
    job("late", "Complete", reason: "CompletionsReached", ended: 10), job("runs", nil),
    job("early", "Failed", reason: "BackoffLimitExceeded", ended: 7_200),
    job("stopped", "Failed", reason: "DeadlineExceeded", ended: 100) {
      $0[path: ["metadata", "annotations", JobAnnotation.stopped]] = "2026-12-01T00:00:00Z"
    },
  ]

  @Test(
    "wrong use is refused before anything is asked",
    arguments: [
      ["history", "a", "b"], ["history", "--state", "odd"], ["history", "--limit", "0"], ["history", "--since", "-1s"],
      ["history", "pod/x"], ["history", "-o", "table"], ["top", "jobs", "--containers"], ["top", "nodes", "--sum"],
      ["top", "queues"], ["top", "pods", "--sort-by", "age"],
    ])
  func refused(line: [String]) {
    let (cluster, status) = Self.run(line, Self.jobs)
    #expect(status != 0 && cluster.asked.isEmpty && !cluster.err.isEmpty)
  }

  @Test("Jobs that have ended are listed by their ends, those that run are not")
  func order() {
    let (cluster, status) = Self.run(["history"], Self.jobs)
    #expect(status == 0)
    let lines = cluster.out.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
    #expect(lines[0] == ["NAME", "RESULT", "SUCCEEDED", "FAILED", "ENDED", "DURATION", "BY", "REASON"])
    #expect(
      lines.dropFirst().map { Array($0) } == [
        ["early", "Failed", "3/5", "2", "120m", "ago", "90s", "<unknown>", "BackoffLimitExceeded"],
        ["stopped", "Stopped", "3/5", "2", "100s", "ago", "90s", "<unknown>", "stint", "stop"],
        ["late", "Complete", "3/5", "2", "10s", "ago", "90s", "<unknown>", "CompletionsReached"],
      ], "\(cluster.out)")
  }

  @Test("filters by state, time and number; names and objects")
  func filters() {
    func names(_ flags: String...) -> [String] { Self.rows(["history"] + flags, Self.jobs).compactMap(\.first) }
    #expect(names("--state", "failed") == ["early"] && names("--state", "stopped") == ["stopped"])
    #expect(names("--since", "1h") == ["stopped", "late"] && names("--limit", "1") == ["late"])
    #expect(names("--limit", "99").count == 3)
    #expect(Self.run(["history", "-o", "name", "--state=complete"], Self.jobs).0.out == "job.batch/late\n")
    let json = try? JSON(parsing: Array(Self.run(["history", "-o", "json"], Self.jobs).0.out.utf8))
    #expect(json?["items"]?.arrayValue?.count == 3)
    let (none, status) = Self.run(["history", "--since", "1s"], Self.jobs)
    #expect(status == 0 && none.out.isEmpty && none.err.hasPrefix("No Job that has ended in namespace default"))
    #expect(Self.rows(["history", "-A"], Self.jobs).allSatisfy { $0[0] == "default" })
    #expect(Self.run(["history", "--no-headers", "--limit=1"], Self.jobs).0.out.hasPrefix("late "))
  }

  @Test("who made a Job is told as far as it says so")
  func makers() {
    func maker(_ change: @escaping (inout JSON) -> Void) -> String? {
      EndedJob(Self.job("x", "Complete", change))?.maker
    }
    #expect(maker { _ in } == "<unknown>")
    #expect(
      maker {
        $0[path: ["metadata", "managedFields"]] = [
          ["manager": "m", "fieldsV1": ["f:status": [:]]],
          ["manager": "kubectl", "fieldsV1": ["f:spec": ["f:template": [:]]]],
        ]
      }
        == "kubectl")
    #expect(maker { $0[path: ["metadata", "annotations", JobAnnotation.rerunOf]] = "y" } == "rerun of y")
    #expect(
      maker {
        $0[path: ["metadata", "ownerReferences"]] = [["kind": "CronJob", "name": "nightly", "controller": true]]
      } == "cronjob/nightly")
  }

  @Test("a Job without a start or with times that are none is a row as well")
  func odd() {
    let job = Self.job("x\u{1b}[2J", "Failed") {
      $0[path: ["status", "startTime"]] = nil
      $0[path: ["status", "conditions"]] = [["type": "Failed", "status": "True", "lastTransitionTime": "soon"]]
      $0[path: ["spec", "completions"]] = nil
    }
    let row = Self.rows(["history"], [job]).first ?? []
    #expect(row.first == "x^[[2J" && row.contains("<none>") && row.contains("3"), "\(row)")
  }

  @Test("attempts of a Job are its pods and, of those that are gone, its record")
  func attempts() {
    func pod(_ name: String, _ index: Int64, _ code: Int64) -> JSON {
      [
        "metadata": [
          "name": .string(name), "annotations": ["batch.kubernetes.io/job-completion-index": .string("\(index)")],
        ], "spec": ["nodeName": "n1"],
        "status": [
          "phase": code == 0 ? "Succeeded" : "Failed",
          "containerStatuses": [
            [
              "name": "main",
              "state": [
                "terminated": [
                  "exitCode": .int(code), "reason": code == 0 ? "Completed" : "Error",
                  "startedAt": "2026-12-01T00:00:05Z", "finishedAt": "2026-12-01T00:00:15Z",
                ]
              ],
            ]
          ],
        ],
      ]
    }
    let job = Self.job("x", "Failed") {
      $0[path: ["metadata", "annotations", JobAnnotation.failures]] = .string(
        "2026-12-01T00:00:01Z x-0-a index 0 on n2: container main exited with 3 (Error): on: it\nodd\n"
          + "2026-12-01T00:00:15Z x-1-a index 1 on n1: told twice")
    }
    let rows = Self.rows(["history", "x"], [job], pods: [pod("x-1-a", 1, 137), pod("x-0-b", 0, 0)])
    #expect(
      rows.map { $0.joined(separator: " ") } == [
        "0 x-0-a n2 ended 2026-12-01T00:00:01Z <unknown> container main exited with 3 (Error): on: it",
        "0 x-0-b n1 2026-12-01T00:00:05Z 10s Succeeded",
        "1 x-1-a n1 2026-12-01T00:00:05Z 10s exit code 137 (SIGKILL)",
      ], "\(rows)")
    let (none, status) = Self.run(["history", "job/x"], [Self.job("x", "Failed")])
    #expect(status == 0 && none.out.isEmpty && none.err.hasPrefix("Of job/x there is no pod any more"))
  }

  // What is used.

  private static func metrics(_ name: String, job: String?, _ cpu: String, _ memory: String) -> JSON {
    var labels = StringMap()
    labels["batch.kubernetes.io/job-name"] = job
    return [
      "metadata": ["name": .string(name), "namespace": "default", "labels": labels.json],
      "containers": [["name": "c", "usage": ["cpu": .string(cpu), "memory": .string(memory)]]],
    ]
  }

  private static let used = [
    metrics("b-1", job: "b", "500m", "10Mi"), metrics("a-1", job: "a", "1", "1Gi"),
    metrics("b-2", job: "b", "700m", "10Mi"), metrics("c-1", job: "c", "much", "-"),
  ]

  @Test("Jobs are summed over their pods, sorted by name or by what they use, with a sum below")
  func top() {
    #expect(
      Self.rows(["top", "jobs"], [], pods: Self.used) == [
        ["a", "1", "1000m", "1024Mi"], ["b", "2", "1200m", "20Mi"], ["c", "1", "0m", "0Mi"],
      ])
    #expect(Self.rows(["top", "jobs", "--sort-by=cpu"], [], pods: Self.used).map(\.[0]) == ["b", "a", "c"])
    #expect(
      Self.rows(["top", "pods", "--sort-by=memory"], [], pods: Self.used).map(\.[0]) == ["a-1", "b-1", "b-2", "c-1"])
    let sum = Self.rows(["top", "pods", "--sum"], [], pods: Self.used)
    #expect(sum.suffix(2) == [["________", "________"], ["2200m", "1044Mi"]])
    let asked = Self.run(["top", "job", "b", "-l", "x=y"], [], pods: Self.used).0.asked.first
    #expect(asked?.options.labelSelector == "x=y,batch.kubernetes.io/job-name=b" && asked?.subresource == "metrics")
    #expect(Self.run(["top", "jobs"], []).0.err == "No pod has told yet what it uses.\n")
  }
}
