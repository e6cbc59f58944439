// Which pods a Job takes and lets go by their labels: orphans that match, its own that no longer do, and never another
// controller's.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Jobs: adoption")
struct WorkloadsAdoptionTests {
  private static let owned = ["app": "x"] as StringMap

  private func manual(_ driver: inout WorkloadsDriver, _ members: [String: JSON] = [:]) {
    var spec: [String: JSON] = [
      "completions": 3, "parallelism": 2, "manualSelector": true, "selector": ["matchLabels": ["app": "x"]],
      "template": [
        "metadata": ["labels": ["app": "x", "job-name": "manual"]],
        "spec": ["restartPolicy": "Never", "containers": [["name": "main", "image": "busybox"]]],
      ],
    ]
    for (key, value) in members { spec[key] = value }
    driver.createJob("manual", spec)
  }

  private func owner(_ driver: WorkloadsDriver, _ name: String) -> String? {
    driver.core.state.pods[WorkloadsDriver.key(name)]?.meta.controllerReference?.uid
  }

  @Test("a Job with a selector of its own adopts pods without an owner and releases those that stop matching")
  func adoption() throws {
    var driver = try WorkloadsDriver()
    let free = driver.createPod("free", labels: ["app": "x"])
    let other = driver.createPod("other", labels: ["app": "y"])
    driver.createJob(
      "manual",
      [
        "completions": 3, "parallelism": 2, "manualSelector": true, "selector": ["matchLabels": ["app": "x"]],
        "template": [
          "metadata": ["labels": ["app": "x", "job-name": "manual"]],
          "spec": ["restartPolicy": "Never", "containers": [["name": "main", "image": "busybox"]]],
        ],
      ])
    let adopted = try #require(driver.core.state.pods[free.meta.key])
    #expect(adopted.meta.controllerReference?.uid == "uid-manual")
    #expect(adopted.meta.finalizers == ["batch.kubernetes.io/job-tracking"])
    #expect(driver.core.state.pods[other.meta.key]?.meta.controllerReference == nil)
    #expect(try driver.status("manual").active == 2)
    driver.core.updatePod(free.meta.key) { $0.meta.labels = ["app": "z"] }
    driver.settle()
    let released = try #require(driver.core.state.pods[free.meta.key])
    #expect(released.meta.controllerReference == nil && released.meta.finalizers.isEmpty)
    #expect(try driver.status("manual").active == 2)
  }

  @Test("an orphan comes into the Job's counters by its end, a pod that ended before it was adopted too")
  func ended() throws {
    var driver = try WorkloadsDriver()
    let done = driver.createPod("done", labels: Self.owned)
    driver.end(done, succeeded: true)
    manual(&driver)
    #expect(owner(driver, "done") == "uid-manual")
    #expect(try driver.status("manual").succeeded == 1)
    #expect(driver.core.state.pods[done.meta.key]?.meta.finalizers == [], "counted")
  }

  @Test("a pod whose owner is taken away is taken back, and counts once, whether it was counted before or not")
  func countedOnce() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("own", ["completions": 4, "parallelism": 2])
    let counted = driver.activePods("own")[0]
    driver.end(counted, succeeded: true)
    driver.core.updatePod(counted.meta.key) { $0.meta.ownerReferences = [] }
    driver.settle()
    #expect(owner(driver, counted.meta.name) == "uid-own")
    #expect(try driver.status("own").succeeded == 1)
    let other = driver.activePods("own")[0]
    driver.end(other, succeeded: true, settling: false)
    driver.core.updatePod(other.meta.key) { $0.meta.ownerReferences = [] }
    driver.settle()
    #expect(owner(driver, other.meta.name) == "uid-own")
    #expect(try driver.status("own").succeeded == 2)
  }

  @Test("a pod of another controller stays its own, whatever its labels, and an owner that is none is no hindrance")
  func foreign() throws {
    var driver = try WorkloadsDriver()
    var other = WorkloadsDriver.owner("theirs", uid: "uid-theirs", kind: .configmaps)
    driver.createObject(.configmaps, "theirs", uid: "uid-theirs")
    _ = driver.createPod("plain", labels: Self.owned, owners: [other])
    other.controller = true
    _ = driver.createPod("foreign", labels: Self.owned, owners: [other])
    manual(&driver)
    #expect(owner(driver, "foreign") == "uid-theirs")
    #expect(owner(driver, "plain") == "uid-manual")
    #expect(driver.core.state.pods[WorkloadsDriver.key("plain")]?.meta.ownerReferences.count == 2)
  }

  @Test("a Job takes no pod by the name alone, nor one that is being deleted")
  func notByName() throws {
    var driver = try WorkloadsDriver()
    let going = driver.createPod("going", labels: Self.owned, node: "n")
    driver.holdBack(going)
    driver.deletePod(going, graceSeconds: 30)
    manual(&driver)
    _ = driver.createPod("named", labels: ["job-name": "manual", "controller-uid": "uid-manual"])
    _ = driver.createPod("old", labels: ["batch.kubernetes.io/controller-uid": "uid-before"])
    #expect(owner(driver, "going") == nil && owner(driver, "named") == nil && owner(driver, "old") == nil)
  }

  @Test("a pod that stops matching while it ends is released, and its end counts nowhere")
  func releasedAtItsEnd() throws {
    var driver = try WorkloadsDriver()
    manual(&driver, ["podReplacementPolicy": "Failed"])
    let pod = driver.activePods("manual")[0]
    driver.core.updatePod(pod.meta.key) { pod in
      pod.nodeName = "n"
      pod.meta.deletionTimestamp = pod.meta.creationTimestamp
      pod.meta.deletionGracePeriodSeconds = 30
      pod.meta.labels = ["app": "z"]
    }
    driver.settle()
    #expect(owner(driver, pod.meta.name) == nil)
    #expect(try driver.status("manual").terminating == 0 && driver.status("manual").failed == 0)
  }

  @Test("a Job that has finished or is being deleted neither takes pods nor lets any go")
  func notAtItsEnd() throws {
    var driver = try WorkloadsDriver()
    manual(&driver, ["completions": 1, "parallelism": 1])
    let pod = driver.activePods("manual")[0]
    driver.end(pod, succeeded: true)
    #expect(try driver.reason("manual", "Complete") == "CompletionsReached")
    driver.core.updatePod(pod.meta.key) { $0.meta.labels = ["app": "z"] }
    _ = driver.createPod("late", labels: Self.owned)
    #expect(owner(driver, pod.meta.name) == "uid-manual" && owner(driver, "late") == nil)
    var ending = try WorkloadsDriver()
    manual(&ending)
    let held = ending.activePods("manual")[0]
    ending.holdBack(held)
    ending.deleteJob("manual", .foreground)
    ending.core.updatePod(held.meta.key) { $0.meta.labels = ["app": "z"] }
    ending.settle()
    _ = ending.createPod("late", labels: Self.owned)
    #expect(owner(ending, held.meta.name) == "uid-manual" && owner(ending, "late") == nil)
  }
}
