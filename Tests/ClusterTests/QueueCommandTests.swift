// What the client shows of queues, on a real coordinator: their table, their description, and the Jobs that wait.

import ClusterIO
import ClusterProto
import Testing

@testable import stint

@Suite("Queues on the command line")
struct QueueCommandTests {
  private func queue(_ name: String, _ spec: JSON) -> JSON {
    ["apiVersion": "stint.dev/v1", "kind": "Queue", "metadata": ["name": .string(name)], "spec": spec]
  }

  private func job(_ name: String, in queue: String) -> JSON {
    [
      "apiVersion": "batch/v1", "kind": "Job",
      "metadata": ["name": .string(name), "annotations": ["stint.dev/queue": .string(queue)]],
      "spec": [
        "template": [
          "spec": [
            "restartPolicy": "Never",
            "containers": [
              ["name": "c", "image": "host", "command": ["true"], "resources": ["requests": ["cpu": "500m"]]]
            ],
          ]
        ]
      ],
    ]
  }

  private func rows(_ text: String) -> [[String]] {
    text.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
  }

  @Test("get queues tells who waits and runs, describe how much of each limit is used, and a Job its place")
  func shown() throws {
    try TestCluster.with(agents: 0) { cluster in
      #expect(try cluster.stint("get", "queues").text == "No resources found\n")
      try cluster.apply(
        queue("nightly", ["priority": 5, "limits": ["jobs": "1", "cpu": "2"], "weights": ["research": 3]]),
        queue("open", [:]))
      for name in ["first", "second", "third"] { try cluster.apply(job(name, in: "nightly")) }
      try eventually("the queue has its Jobs") {
        rows(try cluster.stint("get", "queue", "nightly").text).last?.prefix(4) == ["nightly", "5", "2", "1"]
      }

      let table = rows(try cluster.stint("get", "queues").text)
      #expect(table.first == ["NAME", "PRIORITY", "WAITING", "RUNNING", "LIMITS", "AGE"])
      #expect(
        table.dropFirst().map { Array($0.prefix(5)) } == [
          ["nightly", "5", "2", "1", "cpu=2,jobs=1"], ["open", "0", "0", "0", "<none>"],
        ])
      let wide = rows(try cluster.stint("get", "queue", "nightly", "-o", "wide").text)
      #expect(wide.first?.last == "USED" && wide.last?.last == "cpu=500m,jobs=1,pods=1", "\(wide)")

      let described = try cluster.stint("describe", "queue", "nightly").text
      let lines = rows(described)
      let expected: [[String]] = [
        ["Name:", "nightly"], ["Priority:", "5"], ["Jobs:", "2", "waiting,", "1", "running"], ["Limits:"],
        ["Resource", "Used", "Limit"], ["cpu", "500m", "2"], ["jobs", "1", "1"], ["pods", "1", "<none>"],
        ["Weights:"], ["Namespace", "Weight"], ["research", "3"],
      ]
      #expect(lines.filter { expected.contains($0) } == expected, "\(described)")
      let unlimited = try cluster.stint("describe", "queue", "open").text
      #expect(rows(unlimited).contains(["Limits:", "<none>"]) && !unlimited.contains("Weights"), "\(unlimited)")

      let waiting = try cluster.stint("describe", "job", "third").text
      #expect(waiting.contains("The Job waits in queue nightly: place 2 of 2"), "\(waiting)")
      let jobs = rows(try cluster.stint("get", "jobs").text).map { Array($0.prefix(2)) }
      #expect(jobs.suffix(2) == [["second", "Waiting"], ["third", "Waiting"]], "\(jobs)")

      let missing = try cluster.stint("describe", "queue", "absent")
      #expect(missing.status == 1 && missing.text.contains("\"absent\" not found"), "\(missing)")
    }
  }
}
