// What really ran, as an omniscient observer of all machines sees it. Judges the promises; the system never reads it.

import ClusterProto

/// Executing attempts by Job, and real exits. An attempt executes while one of its processes runs and is not frozen.
final class Ledger {
  /// One attempt that has processes on one machine.
  private struct Attempt {
    var job: String
    var node: Int
    var running: Set<Int>
    var isFrozen: Bool
    var isExecuting: Bool { !running.isEmpty && !isFrozen }
  }

  private let world: World
  private var attempts: [AttemptNumber: Attempt] = [:]
  /// Most attempts of a Job that may execute at once.
  private var limits: [String: Int] = [:]
  private var executing: [String: Int] = [:]
  /// What a pod of a Job asks for, in thousandths of a processor.
  private var milliCPU: [String: Int64] = [:]
  /// Real exits with code 0, by Job.
  private(set) var successes: [String: Int64] = [:]
  private(set) var starts = 0
  private(set) var freezes = 0
  /// Containers that were added to pods that ran.
  var debuggers = 0

  init(world: World) { self.world = world }

  func allow(job: String, atOnce limit: Int) { limits[job] = limit }

  func require(_ milliCPU: Int64, job: String) { self.milliCPU[job] = milliCPU }

  /// A person says that a pod of the Job has ended, and its room is given away: nobody looks at its room any more.
  func forget(job: String) { milliCPU[job] = nil }

  func allowOneMore(job: String) { limits[job, default: 0] += 1 }

  func started(_ attempt: AttemptNumber, slot: Int, job: String, node: Int) {
    starts += 1
    if let known = attempts[attempt], known.node != node {
      world.violated("H3: attempt \(attempt) of \(job) runs on node \(known.node) and node \(node)")
    }
    change(attempt, job: job, node: node) { $0.running.insert(slot) }
  }

  func ended(_ attempt: AttemptNumber, slot: Int) { change(attempt) { $0.running.remove(slot) } }

  func frozen(_ attempt: AttemptNumber, _ isFrozen: Bool) {
    if isFrozen { freezes += 1 }
    change(attempt) { $0.isFrozen = isFrozen }
  }

  func succeeded(job: String) { successes[job, default: 0] += 1 }

  private func change(_ number: AttemptNumber, job: String = "", node: Int = 0, _ body: (inout Attempt) -> Void) {
    guard attempts[number] != nil || !job.isEmpty else { return }
    var attempt = attempts[number] ?? Attempt(job: job, node: node, running: [], isFrozen: false)
    let before = attempt.isExecuting
    body(&attempt)
    attempts[number] = attempt.running.isEmpty ? nil : attempt
    guard before != attempt.isExecuting else { return }
    executing[attempt.job, default: 0] += attempt.isExecuting ? 1 : -1
    if attempt.isExecuting { checkRoom(of: attempt.node) }
    guard attempt.isExecuting, let limit = limits[attempt.job], let count = executing[attempt.job], count > limit else {
      return
    }
    let others = attempts.filter { $0.value.job == attempt.job && $0.value.isExecuting }
      .sorted { $0.key < $1.key }.map { "\($0.key) on node \($0.value.node)" }
    world.violated(
      "H3: \(count) attempts of \(attempt.job) execute at once, \(limit) may: \(others.joined(separator: ", "))")
  }

  /// A pod that takes another's place begins when that has ended.
  private func checkRoom(of node: Int) {
    let there = attempts.filter { $0.value.node == node && $0.value.isExecuting }
    let sum = there.values.reduce(0) { $0 + (milliCPU[$1.job] ?? 0) }
    guard sum > SimNode.milliCPU else { return }
    let list = there.sorted { $0.key < $1.key }.map { "\($0.key) of \($0.value.job)" }.joined(separator: ", ")
    world.violated("H12: \(sum) thousandths of a processor are used on node \(node) at once: \(list)")
  }
}
