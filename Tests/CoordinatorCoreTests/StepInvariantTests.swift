// A change that breaks an invariant stops the process before anything of its step is written or said.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("A broken invariant stops the coordinator")
struct StepInvariantTests {
  /// A Job with one pod that is assigned to node-1.
  private func driver() throws -> (driver: WorkloadsDriver, pod: ObjectKey) {
    var driver = try WorkloadsDriver()
    driver.createJob("work", ["completions": 3])
    let pod = try #require(driver.activePods("work").first).meta.key
    driver.core.updatePod(pod) { pod in
      pod.nodeName = "node-1"
      pod.status.fencingToken = 7
    }
    #expect(driver.core.broken == nil)
    return (driver, pod)
  }

  private func halts(_ driver: inout WorkloadsDriver, with text: String) {
    let effects = driver.core.step([.timer], at: driver.now)
    #expect(effects.count == 1, "something else left: \(effects)")
    guard case .halt(let message)? = effects.first else {
      Issue.record("no halt: \(effects)")
      return
    }
    #expect(message.contains(text) && message.contains("keep a copy of its data directory"), "\(message)")
  }

  @Test("I2: a pod that was assigned does not move, nor does it get another attempt")
  func move() throws {
    var (first, pod) = try driver()
    first.core.updatePod(pod) { $0.nodeName = "node-2" }
    halts(&first, with: "I2: pod default/\(pod.name) moved from node-1 to node-2")
    var (second, other) = try driver()
    second.core.updatePod(other) { $0.status.fencingToken = 8 }
    halts(&second, with: "I2: pod default/\(other.name) changed its attempt")
  }

  @Test("I5: a Job's counters do not go back")
  func counters() throws {
    var (driver, _) = try driver()
    let job = WorkloadsDriver.key("work")
    driver.core.updateJob(job) { $0.status.succeeded = 2 }
    #expect(driver.core.broken == nil)
    driver.core.updateJob(job) { $0.status.succeeded = 1 }
    halts(&driver, with: "I5: a counter of Job default/work went back")
  }

  @Test("I7: a Job that is Complete stays so")
  func finished() throws {
    var (driver, _) = try driver()
    let job = WorkloadsDriver.key("work")
    let complete = Condition(type: "Complete", status: "True", lastTransition: driver.core.stamp)
    driver.core.updateJob(job) { $0.status.conditions = [complete] }
    #expect(driver.core.broken == nil)
    driver.core.updateJob(job) { $0.status.conditions = [] }
    halts(&driver, with: "I7: Job default/work is no longer Complete")
  }

  @Test("promise 1: a pod with an attempt that may live gets no second one, and no number is given twice")
  func attempts() throws {
    func attempt(_ number: AttemptNumber, _ pod: ObjectKey, _ uid: String, index: Int64? = nil) -> Attempt {
      Attempt(
        number: number, pod: pod, podUID: uid, slot: Slot(jobUID: "uid-work", index: index), node: "node-1",
        keeper: "k", session: "s",
        tolerationMilliseconds: 0, action: .run, cpuMillicores: 0, memoryBytes: 0)
    }
    var (first, pod) = try driver()
    first.core.add(attempt(7, pod, "pod-uid"))
    #expect(first.core.broken == nil)
    first.core.add(attempt(8, pod, "pod-uid"))
    halts(&first, with: "H3: pod default/\(pod.name) has an attempt that may live, and gets another")
    var (second, other) = try driver()
    second.core.add(attempt(7, other, "pod-uid"))
    second.core.add(attempt(7, other, "other-uid"))
    halts(&second, with: "I1: attempt 7 is given twice")
    var (third, one) = try driver()
    third.core.add(attempt(7, one, "pod-uid", index: 3))
    third.core.add(attempt(8, one, "other-uid", index: 4))
    #expect(third.core.broken == nil)
    third.core.add(attempt(9, one, "third-uid", index: 3))
    halts(&third, with: "H3: index 3 has an attempt that may live, and gets another")
  }

  @Test("what was broken first is told, and every later step says the same")
  func first() throws {
    var (driver, pod) = try driver()
    driver.core.updatePod(pod) { $0.nodeName = "node-2" }
    driver.core.updateJob(WorkloadsDriver.key("work")) { $0.status.failed = -1 }
    halts(&driver, with: "I2: pod")
    halts(&driver, with: "I2: pod")
  }
}
