// Jobs on a cluster of real processes: the table's rows that need several pods, and what people do to pods and nodes.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite("Jobs live on a cluster as the chapter tells")
struct JobLifeTests {
  @Test("a volume in memory goes with its pod: nothing stays mounted", .enabled(if: geteuid() == 0, "needs root"))
  func memoryVolume() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 1, timing: []) { cluster in
        let job = cluster.manifest("memory", .script("stat -f -c %T /m > /ledger/kind; sign end")) { job in
          let key = ["spec", "template", "spec", "containers"]
          var container = job[path: key]?.arrayValue?.first ?? .null
          container["volumeMounts"] = .array(
            (container["volumeMounts"]?.arrayValue ?? []) + [["name": "m", "mountPath": "/m"]])
          job[path: key] = [container]
          let volumes = ["spec", "template", "spec", "volumes"]
          job[path: volumes] = .array(
            (job[path: volumes]?.arrayValue ?? []) + [["name": "m", "emptyDir": ["medium": "Memory"]]])
        }
        try cluster.apply(job)
        try cluster.must("wait", "job/memory", "--for=complete", "--timeout", "60s", "-q")
        try checkEqual(try Files.readLine("\(cluster.directory)/ledger/kind"), "tmpfs", "file system")
        try eventually("nothing of it is mounted") {
          !String(decoding: try Files.read("/proc/self/mountinfo"), as: UTF8.self).contains(cluster.directory)
        }
      }
    }
  }

  @Test("five completions, two at a time; more parallelism than completions starts no more pods than are needed")
  func completions() async throws {
    try await Blocking.run {
      try TestCluster.with { cluster in
        try cluster.apply(cluster.manifest("five", completions: 5, parallelism: 2, .brief("0.3")))
        try cluster.must("wait", "job/five", "--for=complete", "--timeout", "60s", "-q")
        try checkEqual(cluster.status("five", "succeeded"), 5, "succeeded")
        let ledger = cluster.ledger
        try ledger.checkNothingRanTwice(parallelism: 2)
        try checkEqual(ledger.ended, 5, "attempts that ended")
        try cluster.apply(cluster.manifest("two", completions: 2, parallelism: 5, .brief("0.1")))
        try cluster.must("wait", "job/two", "--for=complete", "--timeout", "60s", "-q")
        try checkEqual(cluster.pods(of: "two").count, 2, "pods of two completions")
        try checkEqual(cluster.ledger.ended, 7, "attempts that ended in both Jobs")
      }
    }
  }

  @Test("pods of a work queue share its items, each taken once; no pod follows the first that ends well")
  func workQueue() async throws {
    try await Blocking.run {
      try TestCluster.with { cluster in
        for directory in ["queue", "taken"] { try Files.makeDirectory("\(cluster.directory)/ledger/\(directory)") }
        for item in 1...12 { try Files.writeAtomically("\(cluster.directory)/ledger/queue/item-\(item)", []) }
        let worker = """
          cd /ledger/queue
          for item in item-*; do mv "$item" "../taken/$item.$HOSTNAME" 2>/dev/null && sign "$item" && sleep 0.2; done
          sign end

          """
        try cluster.apply(cluster.manifest("queue", completions: nil, parallelism: 3, .script(worker)))
        try cluster.must("wait", "job/queue", "--for=complete", "--timeout", "60s", "-q")
        try checkEqual(cluster.status("queue", "succeeded"), 3, "succeeded")
        let ledger = cluster.ledger
        try ledger.checkNothingRanTwice(parallelism: 3)
        try checkEqual(ledger.attempts.count, 3, "attempts")
        let items = ledger.signs.map(\.word).filter { $0.hasPrefix("item-") }
        try checkEqual(items.sorted(), (1...12).map { "item-\($0)" }.sorted(), "items taken")
      }
    }
  }

  @Test("a pod deleted by hand is replaced once its process is gone")
  func deletedByHand() async throws {
    try await Blocking.run {
      try TestCluster.with { cluster in
        try cluster.apply(cluster.manifest("by-hand", .slowToEnd))
        try eventually("the pod signs") { cluster.ledger.signs.contains { $0.word == "beat" } }
        let old = try found(cluster.ledger.attempts.first, "attempt")
        try cluster.must("delete", "pod", old.pod)
        try eventually("a replacement signs") { cluster.ledger.attempts.count == 2 }
        let attempts = cluster.ledger.attempts
        try check(cluster.ledger.signs.contains { $0.token == old.token && $0.word == "killed" }, "no time to end")
        try check(
          attempts[0].last < attempts[1].first,
          "the old process signed at \(attempts[0].last), the new one at \(attempts[1].first)")
        try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
        try cluster.must("wait", "job/by-hand", "--for=complete", "--timeout", "60s", "-q")
        try checkEqual(cluster.status("by-hand", "succeeded"), 1, "succeeded")
        try cluster.ledger.checkNothingRanTwice(parallelism: 1)
      }
    }
  }

  @Test("a suspended Job has no process; resumed, it goes on; with a TTL it goes away with its pods")
  func suspendAndTimeToLive() async throws {
    try await Blocking.run {
      try TestCluster.with { cluster in
        let job = cluster.manifest("paused", completions: 2, parallelism: 2, .untilTold) { job in
          job[path: ["spec", "ttlSecondsAfterFinished"]] = 1
        }
        try cluster.apply(job)
        try eventually("two pods sign") { cluster.ledger.attempts.count == 2 }
        try cluster.must("suspend", "paused")
        try cluster.must("wait", "job/paused", "--for=suspended", "--timeout", "30s", "-q")
        try eventually("pods and processes are gone") {
          try cluster.pods(of: "paused").isEmpty && Processes.shells(with: cluster.mark).isEmpty
        }
        try checkEqual(cluster.ledger.attempts.count, 2, "attempts of the suspended Job")
        try cluster.must("resume", "paused")
        try eventually("two others sign") { cluster.ledger.attempts.count == 4 }
        let watcher = try Program(
          ["wait", "job/paused", "--for=delete", "--timeout", "60s", "-q"],
          environment: ["STINT_SERVER=\(cluster.server)", "KUBECONFIG=\(cluster.kubeconfig)"],
          output: "\(cluster.directory)/watcher")
        try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
        try checkEqual(watcher.end(within: 60), 0, "the wait for deletion")
        try eventually("its pods are gone too") { try cluster.pods(of: "paused").isEmpty }
        try checkEqual(cluster.ledger.ended, 2, "attempts that ended")
        try cluster.ledger.checkNothingRanTwice(parallelism: 2)
      }
    }
  }

  private func nodes(of pods: [JSON]) -> [String] {
    pods.compactMap { $0[path: ["spec", "nodeName"]]?.stringValue }.sorted()
  }

  @Test("a cordoned node gets no pods; a drained one gives its pods up, and their work moves")
  func cordonAndDrain() async throws {
    try await Blocking.run {
      try TestCluster.with { cluster in
        try cluster.must("cordon", "node-2")
        try cluster.apply(cluster.manifest("moved", completions: 4, parallelism: 4, .slowToEnd))
        try eventually("four pods sign") { cluster.ledger.attempts.count == 4 }
        try checkEqual(nodes(of: cluster.pods()), Array(repeating: "node-1", count: 4), "nodes with node-2 cordoned")
        try cluster.must("uncordon", "node-2")
        try cluster.must("drain", "node-1", "--timeout", "60s", within: 70)
        try eventually("four others sign") { cluster.ledger.attempts.count == 8 }
        // A pod signs before the word of it has reached the coordinator.
        var running: [String] = []
        try eventually("four pods run on node-2 after the drain", seen: { "\(running)" }) {
          running = nodes(of: try cluster.pods().filter { $0[path: ["status", "phase"]]?.stringValue == "Running" })
          return running == Array(repeating: "node-2", count: 4)
        }
        let table = try cluster.stint("get", "nodes")
        try check(table.text.contains("Ready,SchedulingDisabled"), table.text)
        try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
        try cluster.must("wait", "job/moved", "--for=complete", "--timeout", "60s", "-q")
        try checkEqual(cluster.status("moved", "succeeded"), 4, "succeeded")
        try cluster.ledger.checkNothingRanTwice(parallelism: 4)
      }
    }
  }

  @Test("a pod that fits nowhere stays Pending, with each node's reason")
  func fitsNowhere() async throws {
    try await Blocking.run {
      try TestCluster.with { cluster in
        try cluster.must("cordon", "node-2")
        let job = cluster.manifest("giant", .brief("0")) { job in
          var container = job[path: ["spec", "template", "spec", "containers"]]?[0] ?? [:]
          container["resources"] = ["requests": ["cpu": "1000"]]
          job[path: ["spec", "template", "spec", "containers"]] = [container]
        }
        try cluster.apply(job)
        var messages: [String] = []
        try eventually("a FailedScheduling event", seen: { "\(messages)" }) {
          messages = try cluster.events("FailedScheduling")
          return messages.contains {
            $0.hasPrefix("0/2 nodes are available: ") && $0.contains("1 Insufficient cpu")
              && $0.contains("1 node(s) were unschedulable")
          }
        }
        let pod = try found(cluster.pods(of: "giant").first, "pod")
        try checkEqual(pod[path: ["status", "phase"]]?.stringValue, "Pending", "phase")
        try check(cluster.ledger.signs.isEmpty, "it ran")
      }
    }
  }
}
