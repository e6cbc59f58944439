// The coordinator's own pauses: a process that was stopped, a virtual machine that stood, a machine that swaps. What
// was not heard meanwhile could not be heard, so it says nothing of a node: silence counts anew from the end of the
// pause, as it does after a start. What a node, its keeper or a person says counts as ever. Knows nothing of what waits
// in sockets.

import ClusterProto

/// When the coordinator last went on after it had stood still, and from when on silence is judged again.
struct OwnPauses: Sendable {
  var lastStep: BootTime?
  /// The end of the last pause; 0: there was none.
  var wentOnAt = BootTime(milliseconds: 0)
  /// Until then nothing is concluded from silence, nor from a time that has passed.
  var judgesFrom = BootTime(milliseconds: 0)
}

extension CoordinatorCore {
  /// Longer than this between two steps is a pause. Below it no node looks lost, since half a lease and a heartbeat are
  /// less than the monitor's limit; and the pulse comes well within it.
  private var pauseLimit: Int64 {
    max(configuration.heartbeatMilliseconds * 3 / 2, configuration.leaseMilliseconds / 2)
  }

  /// What the nodes get to be heard in, after a start and after a pause.
  var hearingMilliseconds: Int64 { 2 * configuration.leaseMilliseconds }

  /// Before a step's events: they may have waited as long as its timers.
  mutating func noteOwnPause() {
    defer { fleet.pauses.lastStep = now.boot }
    // Without the pulse nobody has asked to be woken.
    guard let last = fleet.pauses.lastStep, fleet.timers.time(of: .pulse) != nil else { return }
    let gap = now.boot - last
    guard gap > pauseLimit else { return }
    // A pause within such a time only does not count: pauses that come again and again put no loss off for good.
    let isWithin = fleet.pauses.judgesFrom > last
    fleet.pauses.judgesFrom = isWithin ? fleet.pauses.judgesFrom + gap : now.boot + hearingMilliseconds
    fleet.pauses.wentOnAt = now.boot
    for name in fleet.nodes.keys.sorted() {
      guard let record = fleet.nodes[name], record.lostAt == nil else { continue }
      // As a start reckons (C2): a lease could just have been given.
      let reach = now.boot + LeaseArithmetic.stretched(fleet.lease)
      fleet.nodes[name]?.leaseReach = max(record.leaseReach, reach)
    }
    let left = fleet.pauses.judgesFrom - now.boot
    outputs.append(
      .log(
        "this coordinator stood still for \(gap) ms (stopped, or its machine was, or too busy): its nodes get "
          + "\(left) ms to be heard before any is taken for lost"))
  }

  /// Wakes an idle core often enough that a pause can be told from having nothing to do. At the end of a step.
  mutating func keepPulse() {
    guard !fleet.nodes.isEmpty, fleet.timers.time(of: .pulse) == nil else { return }
    fleet.timers.set(.pulse, at: now.boot + configuration.heartbeatMilliseconds)
  }

  /// Nothing is concluded from silence now.
  var isHearing: Bool { now.boot < fleet.pauses.judgesFrom }

  /// Since when somebody who was last heard then has been silent for all that we could hear.
  func silent(since heard: BootTime) -> BootTime { max(heard, fleet.pauses.wentOnAt) }
}
