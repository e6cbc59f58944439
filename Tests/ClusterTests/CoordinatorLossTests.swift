// The coordinator killed, away for a minute, and stopped politely, while pods run. The pods' own ledger is the judge.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite("A cluster survives the loss of its coordinator")
struct CoordinatorLossTests {
  @Test("kill -9 in the middle of a Job of 200 pods: exactly 200 succeed, no attempt runs twice")
  func killedInTheMiddle() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 3, timing: []) { cluster in
        try cluster.apply(cluster.manifest("many", completions: 200, parallelism: 40, .brief("0.2")))
        try eventually("some pods ended", every: 10) { cluster.ledger.ended >= 30 }
        try cluster.killCoordinator()
        let ended = cluster.ledger.ended
        try check(ended < 200, "all pods had ended before the kill")
        try cluster.startCoordinator()
        try cluster.must("wait", "job/many", "--for=complete", "--timeout", "120s", "-q", within: 150)
        try checkEqual(cluster.status("many", "succeeded"), 200, "succeeded")
        try checkEqual(cluster.status("many", "failed"), 0, "failed")
        let ledger = cluster.ledger
        try ledger.checkNothingRanTwice(parallelism: 40)
        try checkEqual(ledger.ended, 200, "attempts that ended")
        print("coordinator killed after \(ended) of 200 pods; at most \(ledger.mostAtOnce) ran at once")
      }
    }
  }

  @Test("a write that the system refuses stops the coordinator, which says where to look; nothing acknowledged is lost")
  func refusedWrite() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 0) { cluster in
        try cluster.killCoordinator(SIGTERM)
        // No file of this coordinator may grow over 1 MiB; the signal that comes with it is ignored.
        try cluster.startCoordinator(shell: "trap '' XFSZ; ulimit -f 1024")
        try cluster.waitForNodes(0)
        var acknowledged: [String] = []
        for number in 0..<40 where cluster.coordinator?.isRunning == true {
          let name = "big-\(number)"
          let path = "\(cluster.directory)/\(name).yaml"
          let text = String(repeating: "x", count: 100_000)
          let manifest = "{apiVersion: v1, kind: ConfigMap, metadata: {name: \(name)}, data: {text: \(text)}}"
          try Files.writeAtomically(path, Array(manifest.utf8))
          if try cluster.stint("apply", "-f", path).status == 0 { acknowledged.append(name) }
        }
        let status = try found(cluster.coordinator, "coordinator").end(within: 20)
        try check(status != 0, "it ended with 0")
        let said = cluster.coordinator?.text ?? ""
        try check(said.contains("check the disk and the kernel's log"), "it said: \(said.suffix(500))")
        try check(!acknowledged.isEmpty && acknowledged.count < 40, "\(acknowledged.count) were acknowledged")
        try cluster.startCoordinator()
        try cluster.waitForNodes(0)
        for name in acknowledged { try cluster.must("get", "configmap", name) }
      }
    }
  }

  @Test("away for 60 s with default timings: pods pause, none is lost, and all go on")
  func awayForAMinute() async throws {
    try await Blocking.run(isBusy: false) {
      try TestCluster.with(agents: 2, timing: []) { cluster in
        try cluster.apply(cluster.manifest("patient", completions: 10, parallelism: 10, .untilTold))
        try eventually("ten pods sign") { cluster.ledger.attempts.count == 10 }
        let shells = Processes.shells(with: cluster.mark)
        try checkEqual(shells.count, 10, "shells of pods")
        let fault = uptime()
        try cluster.killCoordinator()
        try eventually("a minute passed", seconds: 65, every: 500) {
          try check(shells.allSatisfy(Processes.isAlive), "a pod ended while the coordinator was away")
          return uptime() >= fault + 60
        }
        let frozenAt = cluster.ledger.signs.map(\.time).max() ?? 0
        // The lease of 5 s and the toleration of 10 s were over: they stood still.
        try check(frozenAt < fault + 17, "pods signed \(frozenAt - fault) s after the loss")
        let back = uptime()
        try cluster.startCoordinator()
        try eventually("all pods sign again") { cluster.ledger.attempts.filter { $0.last > back }.count == 10 }
        let resumed = uptime() - back
        try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
        try cluster.must("wait", "job/patient", "--for=complete", "--timeout", "60s", "-q")
        try checkEqual(cluster.status("patient", "succeeded"), 10, "succeeded")
        try checkEqual(cluster.status("patient", "failed"), 0, "failed")
        try cluster.ledger.checkNothingRanTwice(parallelism: 10)
        try checkEqual(cluster.ledger.attempts.count, 10, "attempts")
        print("coordinator away 60 s: frozen after \(frozenAt - fault) s, all thawed \(resumed) s after its return")
      }
    }
  }

  @Test("every process killed at once and started again: the Job completes, nothing is counted twice or charged")
  func everythingKilled() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 2) { cluster in
        try cluster.apply(cluster.manifest("power", completions: 60, parallelism: 12, .brief("0.3")))
        for ended in [10, 30] {
          try eventually("\(ended) pods ended", every: 10) { cluster.ledger.ended >= ended }
          for process in Processes.mentioning(cluster.directory) { kill(process.pid, SIGKILL) }
          try cluster.killCoordinator()
          for node in ["node-1", "node-2"] {
            try cluster.killAgent(node)
            try cluster.startAgent(node)
          }
          try cluster.startCoordinator()
        }
        try cluster.must("wait", "job/power", "--for=complete", "--timeout", "120s", "-q", within: 150)
        try checkEqual(cluster.status("power", "succeeded"), 60, "succeeded")
        try checkEqual(cluster.status("power", "failed"), 0, "failed")
        let ledger = cluster.ledger
        try ledger.checkNothingRanTwice(parallelism: 12)
        print("everything killed twice: \(ledger.attempts.count) attempts, \(ledger.ended) ended, for 60 completions")
      }
    }
  }

  @Test("stopped politely, it first extends the leases: nobody pauses")
  func politeStop() async throws {
    try await Blocking.run {
      try TestCluster.with { cluster in
        try cluster.apply(cluster.manifest("upgrade", completions: 4, parallelism: 4, .untilTold))
        try eventually("four pods sign") { cluster.ledger.attempts.count == 4 }
        try cluster.killCoordinator(SIGTERM)
        let stopped = uptime()
        // Twice the time after which these leases and tolerations would have frozen them.
        try eventually("all pods sign on", seconds: 30, every: 200) {
          cluster.ledger.attempts.allSatisfy { $0.last > stopped + 7.5 }
        }
        try cluster.startCoordinator()
        try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
        try cluster.must("wait", "job/upgrade", "--for=complete", "--timeout", "60s", "-q")
        try checkEqual(cluster.status("upgrade", "succeeded"), 4, "succeeded")
        try checkEqual(cluster.ledger.attempts.count, 4, "attempts")
      }
    }
  }
}
