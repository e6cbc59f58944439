// What deleting an owner costs a step: the same whether it has many dependents or a tenth of them. It compares
// processor time, so it is run by itself (`make check`, costs in the cores).

import ClusterProto
import Glibc
import Testing

@testable import CoordinatorCore

@Suite("Cost of deleting the owner of many", .serialized) struct OwnerDeletionCostTests {
  private static let owner = ObjectReference(kind: .configmaps, key: WorkloadsDriver.key("owner"))
  private static let namespace = ObjectReference(kind: .namespaces, key: ObjectKey(namespace: "", name: "default"))

  /// Ten times as many objects cost 1.0 to 1.6 times as much a step, by what a machine has of caches; a look at each of
  /// them would cost ten times as much.
  private static let bound = 4.0

  private static func cpu() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) * 1_000 + Double(time.tv_nsec) / 1_000_000
  }

  private func family(_ count: Int, blocking: Bool) throws -> WorkloadsDriver {
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
    // New names are put in order when somebody lists: that is theirs.
    _ = driver.core.state.keys(of: .configmaps)
    return driver
  }

  /// CPU milliseconds of the delete itself and of the dearest of its first steps but two: what else the machine does
  /// falls on few of them, a look at all objects on each.
  private func cost(
    _ count: Int, of target: ObjectReference, _ propagation: Propagation, blocking: Bool
  ) throws -> Double {
    var driver = try family(count, blocking: blocking)
    let began = Self.cpu()
    driver.core.deleteObject(target, propagation: propagation, graceSeconds: nil)
    let first = Self.cpu() - began
    let steps = (0..<12).map { _ in
      let before = Self.cpu()
      driver.step()
      return Self.cpu() - before
    }
    let left = driver.core.state.count(of: .configmaps)
    #expect(propagation != .background || left < count && left > 0)
    return max(first, steps.sorted()[9])
  }

  /// The least of some rounds on either side.
  private func compare(
    _ many: Int, of target: ObjectReference, _ propagation: Propagation, blocking: Bool = true
  ) throws {
    var best = (few: Double.infinity, many: Double.infinity)
    var rounds = 0
    while rounds < 1 || best.many > best.few * Self.bound && rounds < 5 {
      rounds += 1
      best.few = min(best.few, try cost(many / 10, of: target, propagation, blocking: blocking))
      best.many = min(best.many, try cost(many, of: target, propagation, blocking: blocking))
    }
    print("\(propagation): \(best.few) ms a step with \(many / 10), \(best.many) with \(many); \(rounds) rounds")
    #expect(best.many <= best.few * Self.bound)
  }

  @Test(
    "a step costs the same with 50,000 dependents as with 5,000",
    arguments: [Propagation.background, .foreground, .orphan])
  func dependents(propagation: Propagation) throws { try compare(50_000, of: Self.owner, propagation) }

  @Test("a step costs the same in a namespace of 40,000 objects as in one of 4,000")
  func namespace() throws { try compare(40_000, of: Self.namespace, .background, blocking: false) }

  @Test("who waits for its dependents is not looked at once for each of them")
  func nonBlocking() throws {
    func whole(_ count: Int) throws -> Double {
      var driver = try family(count, blocking: false)
      let blocker = driver.createPod("blocker", owners: [WorkloadsDriver.owner("owner", uid: "u", blocks: true)])
      driver.holdBack(blocker)
      driver.core.deleteObject(Self.owner, propagation: .foreground, graceSeconds: nil)
      let began = Self.cpu()
      driver.settle()
      let spent = Self.cpu() - began
      #expect(driver.core.state[Self.owner]?.meta.finalizers == ["foregroundDeletion"])
      #expect(driver.core.state.count(of: .configmaps) == 1)
      driver.letGo(blocker)
      #expect(driver.core.state[Self.owner] == nil)
      return spent / Double(count)
    }
    var best = (few: Double.infinity, many: Double.infinity)
    for _ in 0..<5 where best.many > best.few * Self.bound || best.many == .infinity {
      best.few = min(best.few, try whole(2_000))
      best.many = min(best.many, try whole(20_000))
    }
    print("beside one that blocks: \(best.few) ms a dependent of 2,000, \(best.many) of 20,000")
    #expect(best.many <= best.few * Self.bound)
  }
}
