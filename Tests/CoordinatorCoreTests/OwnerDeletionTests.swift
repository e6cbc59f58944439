// An owner's deletion in many turns: how much a turn may touch, whom it holds up, what a restart in between leaves.

import ClusterProto
import Glibc
import Testing

@testable import CoordinatorCore

@Suite("Deleting the owner of many", .serialized) struct OwnerDeletionTests {
  private static let owner = ObjectReference(kind: .configmaps, key: WorkloadsDriver.key("owner"))

  /// An owner with so many dependents, all in the store.
  private func family(_ count: Int, blocking: Bool = true) throws -> WorkloadsDriver {
    var driver = try WorkloadsDriver()
    driver.createObject(.configmaps, "owner", uid: "u")
    for number in 0..<count {
      var meta = ObjectMeta()
      meta.name = "child-\(number)"
      meta.namespace = "default"
      meta.ownerReferences = [WorkloadsDriver.owner("owner", uid: "u", blocks: blocking)]
      driver.core.insert(.other(GenericObject(kind: .configmaps, meta: meta)))
    }
    driver.settle()
    driver.largestTurn = 0
    return driver
  }

  private static func cpu() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) * 1_000 + Double(time.tv_nsec) / 1_000_000
  }

  /// Steps until nothing is due; the CPU milliseconds of the dearest step.
  private func settle(_ driver: inout WorkloadsDriver, until isDone: (WorkloadsDriver) -> Bool) -> Double {
    var dearest = 0.0
    for _ in 0..<20_000 where !isDone(driver) {
      let before = Self.cpu()
      driver.step()
      dearest = max(dearest, Self.cpu() - before)
    }
    #expect(isDone(driver))
    driver.settle()
    return dearest
  }

  @Test(
    "deleting the owner of 100,000 objects touches a turn's worth a step, and none takes as long as a heartbeat may",
    arguments: [(Propagation.background, 100_000), (.foreground, 20_000), (.orphan, 20_000)])
  func manyDependents(propagation: Propagation, count: Int) throws {
    var driver = try family(count)
    let began = Self.cpu()
    driver.core.deleteObject(Self.owner, propagation: propagation, graceSeconds: nil)
    let first = Self.cpu() - began
    let dearest = settle(&driver) { driver in
      driver.core.state[Self.owner] == nil
        && (propagation == .orphan || driver.core.state.count(of: .configmaps) == 0)
    }
    #expect(driver.core.state.count(of: .configmaps) == (propagation == .orphan ? count : 0))
    #expect(driver.largestTurn <= CoordinatorCore.roundLimit + 8)
    print("\(propagation): the delete \(first) ms, the dearest step \(dearest) ms of CPU")
    #expect(max(first, dearest) < 200)
  }

  @Test("a namespace of 50,000 objects is emptied a turn's worth at a time")
  func namespace() throws {
    var driver = try family(50_000, blocking: false)
    let began = Self.cpu()
    driver.core.deleteObject(
      ObjectReference(kind: .namespaces, key: ObjectKey(namespace: "", name: "default")), propagation: .background,
      graceSeconds: nil)
    let first = Self.cpu() - began
    let dearest = settle(&driver) { $0.core.state.count(of: .configmaps) == 0 }
    print("the namespace's delete \(first) ms, the dearest step \(dearest) ms of CPU")
    #expect(driver.largestTurn <= CoordinatorCore.roundLimit + 8)
    #expect(max(first, dearest) < 200)
  }

  @Test("a Job's pods go in bounded turns, and each of them loses the tracking finalizer on the way")
  func job() throws {
    for propagation in [Propagation.background, .foreground, .orphan] {
      var driver = try WorkloadsDriver()
      driver.createJob("many", ["completions": 1_000, "parallelism": 1_000])
      let pods = driver.pods("many").count
      #expect(pods > 900)
      driver.largestTurn = 0
      driver.core.deleteObject(
        ObjectReference(kind: .jobs, key: WorkloadsDriver.key("many")), propagation: propagation, graceSeconds: nil)
      _ = settle(&driver) { driver in
        !driver.exists("many") && (propagation == .orphan || driver.pods("many").isEmpty)
      }
      #expect(driver.pods("many").count == (propagation == .orphan ? pods : 0))
      #expect(driver.pods("many").allSatisfy { $0.meta.finalizers.isEmpty && $0.meta.ownerReferences.isEmpty })
      #expect(driver.largestTurn <= CoordinatorCore.roundLimit + 8)
    }
  }

  @Test("while 20,000 objects go, every turn has room for a new Job's pod")
  func othersGoOn() throws {
    var driver = try family(20_000)
    driver.core.deleteObject(Self.owner, propagation: .background, graceSeconds: nil)
    driver.step()
    var meta = ObjectMeta()
    meta.name = "next"
    meta.namespace = "default"
    meta.uid = "uid-next"
    let template: JSON = [
      "metadata": ["labels": ["job-name": "next"]], "spec": ["restartPolicy": "Never", "containers": [["name": "c"]]],
    ]
    driver.core.insert(
      .job(Job(meta: meta, spec: JobSpec(json: ["parallelism": 1, "completions": 1, "template": template]))))
    driver.step()
    #expect(driver.activePods("next").count == 1)
    #expect(driver.core.state.count(of: .configmaps) > 19_000)
  }

  @Test("a restart midway goes on with the rest, whatever the propagation", arguments: [true, false])
  func restart(foreground: Bool) throws {
    var driver = try family(2_000)
    driver.core.deleteObject(Self.owner, propagation: foreground ? .foreground : .background, graceSeconds: nil)
    for _ in 0..<3 { driver.step() }
    let left = driver.core.state.count(of: .configmaps)
    #expect(left > 500 && left < 2_000)
    try driver.restart()
    #expect(driver.core.state.count(of: .configmaps) == 0)
  }

  @Test(
    "who waits for its dependents is not looked at once for each of them: 20,000 that do not block cost no more each")
  func nonBlocking() throws {
    var driver = try family(20_000, blocking: false)
    let blocker = driver.createPod("blocker", owners: [WorkloadsDriver.owner("owner", uid: "u", blocks: true)])
    driver.holdBack(blocker)
    driver.core.deleteObject(Self.owner, propagation: .foreground, graceSeconds: nil)
    let began = Self.cpu()
    driver.settle()
    let spent = Self.cpu() - began
    print("20,000 dependents beside one that blocks: \(spent) ms")
    #expect(driver.core.state[Self.owner]?.meta.finalizers == ["foregroundDeletion"])
    #expect(driver.core.state.count(of: .configmaps) == 1)
    driver.letGo(blocker)
    #expect(driver.core.state[Self.owner] == nil)
    // Looking through all dependents each time would be 200,000,000 looks.
    #expect(spent < 6_000)
  }
}
