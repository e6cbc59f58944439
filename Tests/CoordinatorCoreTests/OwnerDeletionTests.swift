// An owner's deletion in many turns: how much a turn may touch, whom it holds up, what a restart in between leaves.

import ClusterProto
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

  /// Steps until nothing is due.
  private func settle(_ driver: inout WorkloadsDriver, until isDone: (WorkloadsDriver) -> Bool) {
    for _ in 0..<20_000 where !isDone(driver) { driver.step() }
    #expect(isDone(driver))
    driver.settle()
  }

  @Test(
    "deleting the owner of 20,000 objects touches a turn's worth a step",
    arguments: [Propagation.background, .foreground, .orphan])
  func manyDependents(propagation: Propagation) throws {
    var driver = try family(20_000)
    driver.core.deleteObject(Self.owner, propagation: propagation, graceSeconds: nil)
    settle(&driver) { driver in
      driver.core.state[Self.owner] == nil
        && (propagation == .orphan || driver.core.state.count(of: .configmaps) == 0)
    }
    #expect(driver.core.state.count(of: .configmaps) == (propagation == .orphan ? 20_000 : 0))
    #expect(driver.largestTurn <= CoordinatorCore.roundLimit + 8)
  }

  @Test("a namespace of 20,000 objects is emptied a turn's worth at a time")
  func namespace() throws {
    var driver = try family(20_000, blocking: false)
    driver.core.deleteObject(
      ObjectReference(kind: .namespaces, key: ObjectKey(namespace: "", name: "default")), propagation: .background,
      graceSeconds: nil)
    settle(&driver) { $0.core.state.count(of: .configmaps) == 0 }
    #expect(driver.largestTurn <= CoordinatorCore.roundLimit + 8)
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
      settle(&driver) { driver in
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
}
