// What the simulator's checks of Jobs that wait see: each is shown the wrong state that it is there for.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("invariants of Jobs that wait") struct WaitingInvariantTests {
  private func admit(_ name: String, _ core: inout CoordinatorCore) {
    let stamp = core.stamp
    core.updateJob(WorkloadsDriver.key(name)) { job in
      job.status.conditions.removeAll { $0.type == JobAdmission.condition }
      job.status.conditions.append(
        Condition(type: JobAdmission.condition, status: "True", reason: JobAdmission.admitted, lastTransition: stamp))
    }
  }

  /// What is found of these Jobs as they are now.
  private func found(_ names: [String], _ core: CoordinatorCore, _ checker: inout WaitingChecker) throws -> [String] {
    var found: [String] = []
    let jobs = try names.map { try #require(core.state.jobs[WorkloadsDriver.key($0)]) }
    checker.checkOrder(jobs, core, &found)
    for job in jobs { checker.check(job, core, &found) }
    return found
  }

  @Test("a Job that is admitted while an older one of its queue waits is found, and that the queue holds too much")
  func order() throws {
    let harness = try APIHarness()
    harness.create(.queues, ["metadata": ["name": "q"], "spec": ["limits": ["jobs": "1"]]], namespace: "")
    for name in ["j0", "j1", "j2"] {
      var job = Manifest.job(name)
      job[path: ["metadata", "annotations", JobAnnotation.queue]] = "q"
      #expect(harness.create(.jobs, job).code == 201)
    }
    var checker = WaitingChecker()
    #expect(try found(["j0", "j1", "j2"], harness.core, &checker) == [])
    admit("j2", &harness.core)
    #expect(
      try found(["j2"], harness.core, &checker) == ["I18: Job default/j2 is admitted and the older default/j1 waits"])
    var all: [String] = []
    checker.check(harness.core, &all)
    #expect(all.contains { $0.contains("I18: the Jobs of queue q take more jobs than") }, "\(all)")
  }

  @Test("a Job that begins before the one that it waits for has ended is found, and one that has pods while it waits")
  func early() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("a")
    driver.createJob("b", annotations: [JobAnnotation.dependsOn: "a"])
    var checker = WaitingChecker()
    #expect(try found(["a", "b"], driver.core, &checker) == [])
    admit("b", &driver.core)
    let early = try found(["b"], driver.core, &checker)
    #expect(early.count == 1 && early[0].hasPrefix("I17: Job default/b is admitted and"), "\(early)")
    driver.core.updateJob(WorkloadsDriver.key("a")) { $0.meta.annotations[JobAnnotation.dependsOn] = "b" }
    #expect(try found(["a"], driver.core, &checker) == ["I17: Job default/a waits and has 1 pods"])
  }

  @Test("a gang of which one pod is placed, and the others not, is found")
  func half() throws {
    let cluster = try JobCluster()
    let container: JSON = [
      "name": "main", "image": "busybox", "command": ["true"], "resources": ["requests": ["cpu": "5"]],
    ]
    cluster.create(
      "gang", JobCluster.notTerminate, ["parallelism": 3, "completions": 3], pod: ["containers": [container]]
    ) { job in job[path: ["metadata", "annotations", JobAnnotation.gang]] = "true" }
    for _ in 0..<3 { cluster.pass() }
    var checker = WaitingChecker()
    #expect(try found(["gang"], cluster.fleet.core, &checker) == [])
    let pod = try #require(cluster.pods("gang").first?.name)
    cluster.fleet.core.updatePod(WorkloadsDriver.key(pod)) { pod in
      pod.nodeName = "node-0"
      pod.status.fencingToken = 7
    }
    #expect(
      try found(["gang"], cluster.fleet.core, &checker)
        == ["I19: of the gang of default/gang 1 of 3 pods are placed"])
  }
}
