// What a waiting Job costs the others: room that comes free wakes as many as fit, whoever else waits.

import ClusterProto
import Glibc
import Testing

@testable import CoordinatorCore

@Suite("cost of waiting", .serialized) struct WaitingCostTests {
  /// A cluster that is full, with so many Jobs of one pod waiting. `sizes`: different requests among them.
  private func full(waiting: Int, nodes: Int, sizes: Int = 1) throws -> FleetHarness {
    var harness = try FleetHarness()
    for number in 0..<nodes {
      var agent = FakeAgent("node-\(number)")
      agent.capacity = NodeCapacity(cpuMillicores: 2_000, memoryBytes: 8 << 30, pods: 110)
      harness.join(agent)
    }
    for number in 0..<waiting + nodes * 2 { add(&harness, number, milli: 1_000 - number % sizes) }
    harness.step([])
    #expect(harness.core.fleet.attempts.count == nodes * 2)
    return harness
  }

  private func add(_ harness: inout FleetHarness, _ number: Int, milli: Int) {
    let spec: JSON = [
      "parallelism": 1, "completions": 1, "backoffLimit": 6,
      "template": [
        "metadata": ["labels": ["job-name": .string("job-\(number)")]],
        "spec": [
          "restartPolicy": "Never",
          "containers": [
            [
              "name": "c", "image": "none", "command": ["true"],
              "resources": ["requests": ["cpu": .string("\(milli)m")]],
            ]
          ],
        ],
      ],
    ]
    var meta = ObjectMeta()
    meta.namespace = "default"
    meta.name = "job-\(number)"
    harness.core.insert(.job(Job(meta: meta, spec: JobSpec(json: spec))))
  }

  /// CPU milliseconds and classes asked for that many ends, each with its replacement.
  private func drain(_ harness: inout FleetHarness, _ count: Int) -> (cpu: Double, asked: Int) {
    let before = Self.cpu()
    let asked = harness.core.fleet.scheduler.classes.asked
    for _ in 0..<count {
      guard let number = harness.core.fleet.attempts.keys.min(), let attempt = harness.core.fleet.attempts[number]
      else { break }
      let expected = harness.core.fleet.lastAttempt + 1
      harness.report(attempt.node, number, revision: 1, .succeeded)
      #expect(harness.core.fleet.lastAttempt == expected, "the next in the queue has taken the place")
    }
    return (Self.cpu() - before, harness.core.fleet.scheduler.classes.asked - asked)
  }

  private static func cpu() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) * 1_000 + Double(time.tv_nsec) / 1_000_000
  }

  /// 1.3, or 2 where others use the machine: they take the larger queue out of the caches.
  /// What this guards against, a cost that grows with the queue, was 5.5.
  private static func bound() -> Double {
    var load = 0.0
    return getloadavg(&load, 1) == 1 && load < 1.5 ? 1.3 : 2
  }

  @Test(
    "10,000 waiting Jobs cost at most 1.3 times what 100 cost a Job, on a machine that others use 2",
    arguments: [1, 100])
  func flat(nodes: Int) throws {
    var few = try full(waiting: 100, nodes: nodes)
    var many = try full(waiting: 10_000, nodes: nodes)
    var best = (few: Double.infinity, many: Double.infinity)
    // The least of some rounds: what else the machine does only adds, and the more of it the more rounds are needed.
    var rounds = 0
    let bound = Self.bound()
    while rounds < 4 || best.many > best.few * bound && rounds < 24 {
      rounds += 1
      // As many come as will end: the queue is never shorter than its name says.
      for number in 0..<100 {
        add(&few, 100_000 + rounds * 100 + number, milli: 1_000)
        add(&many, 100_000 + rounds * 100 + number, milli: 1_000)
      }
      few.step([])
      many.step([])
      let small = drain(&few, 100)
      let large = drain(&many, 100)
      #expect(small.asked == large.asked)
      best = (min(best.few, small.cpu), min(best.many, large.cpu))
    }
    let (few100, many100) = (best.few / 100, best.many / 100)
    print("a Job: \(few100) ms with 100 that wait, \(many100) with 10,000; \(nodes) nodes, \(rounds) rounds")
    #expect(best.many <= best.few * bound)
  }

  @Test("room that comes free is given in the order of the queue, and what asks for more than is free is not touched")
  func order() throws {
    var harness = try full(waiting: 0, nodes: 1)
    for (number, milli) in [(100, 2_000), (101, 900), (102, 900), (103, 1_000)] { add(&harness, number, milli: milli) }
    harness.step([])
    let asked = harness.core.fleet.scheduler.classes.asked
    harness.report("node-0", 1, revision: 1, .succeeded)
    let placed = harness.core.fleet.attempts.values.map(\.pod.name).filter { $0.hasPrefix("job-1") && $0.count > 8 }
    #expect(placed.contains { $0.hasPrefix("job-101-") })
    #expect(!placed.contains { $0.hasPrefix("job-102-") || $0.hasPrefix("job-103-") || $0.hasPrefix("job-100-") })
    // 2,000 is more than is free.
    #expect(harness.core.fleet.scheduler.classes.asked - asked == 2)
    harness.report("node-0", 2, revision: 1, .succeeded)
    #expect(harness.core.fleet.attempts.values.contains { $0.pod.name.hasPrefix("job-102-") })
    #expect(harness.problems().isEmpty)
  }

  @Test("many different sizes are served too, the first that fits first")
  func sizes() throws {
    var harness = try full(waiting: 300, nodes: 2, sizes: 50)
    var ended = 0
    while let number = harness.core.fleet.attempts.keys.min(), let attempt = harness.core.fleet.attempts[number] {
      harness.report(attempt.node, number, revision: 1, .succeeded)
      ended += 1
      #expect(harness.problems().isEmpty)
    }
    #expect(ended == 304)
    #expect(harness.core.fleet.scheduler.classes.isEmpty)
    #expect(harness.core.fleet.scheduler.groups.isEmpty)
  }

  @Test("what waiting pods say of the nodes follows within a second, and is not made anew for every end")
  func messages() throws {
    var harness = try full(waiting: 3, nodes: 1)
    func messages(_ harness: FleetHarness) -> [String] {
      var state = harness.core.state
      return state.keys(of: .pods).compactMap { state.pods[$0] }.filter(CoordinatorCore.waitsForNode)
        .compactMap { $0.status.condition("PodScheduled")?.message }
    }
    #expect(messages(harness).count == 3)
    #expect(messages(harness).allSatisfy { $0.hasPrefix("0/1 nodes are available: 1 Insufficient cpu.") })
    harness.core.updateNode("node-0") { $0.unschedulable = true }
    harness.step([])
    harness.pass(1_000, beating: ["node-0"])
    #expect(messages(harness).allSatisfy { $0.hasPrefix("0/1 nodes are available: 1 node(s) were unschedulable.") })
  }
}
