// The coordinator's own pauses: a process that was stopped, a virtual machine that stood, a machine that swaps, a store
// that does not answer. What was not heard meanwhile could not be heard, or had no answer to speak on, so it says
// nothing of a node: silence counts anew from the end of the pause, as it does after a start. What a node, its keeper
// or a person says counts as ever. Knows nothing of what waits in sockets or for a commit.

import ClusterProto

/// When the coordinator last went on after it had stood still, and from when on silence is judged again.
struct OwnPauses: Sendable {
  var lastStep: BootTime?
  /// The end of the last pause, or the last step of one that is not over; 0: there was none.
  var wentOnAt = BootTime(milliseconds: 0)
  /// Until then nothing is concluded from silence, nor from a time that has passed.
  var judgesFrom = BootTime(milliseconds: 0)
  /// A commit is on its way for longer than a pause: sessions wait for its words, and new ones for their first.
  var storeStalls = false
}

extension CoordinatorConfiguration {
  /// Longer than this between two steps is a pause, and a commit that takes longer stalls. Below it no node looks lost,
  /// since half a lease and a heartbeat are less than the monitor's limit; and the pulse comes well within it. In ms.
  package var pauseMilliseconds: Int64 { max(heartbeatMilliseconds * 3 / 2, leaseMilliseconds / 2) }
}

extension CoordinatorCore {
  /// What the nodes get to be heard in, after a start and after a pause.
  var hearingMilliseconds: Int64 { 2 * configuration.leaseMilliseconds }

  /// Before a step's events: they may have waited as long as its timers.
  mutating func noteOwnPause() {
    defer { fleet.pauses.lastStep = now.boot }
    guard let last = fleet.pauses.lastStep else { return }
    let gap = now.boot - last
    // Without the pulse nobody has asked to be woken.
    guard gap > configuration.pauseMilliseconds, fleet.timers.time(of: .pulse) != nil else {
      if fleet.pauses.storeStalls { couldNotHear(for: gap) }
      return
    }
    couldNotHear(for: gap)
    expectLeases()
    outputs.append(
      .log("this coordinator stood still for \(gap) ms (stopped, or its machine was, or too busy): \(hearingText)"))
  }

  /// A commit is on its way for so long, and does not end.
  mutating func storeStalls(for milliseconds: Int64) {
    guard !fleet.pauses.storeStalls else { return }
    fleet.pauses.storeStalls = true
    // Where we stood meanwhile that has been counted.
    couldNotHear(for: min(milliseconds, now.boot - fleet.pauses.wentOnAt))
    outputs.append(
      .log(
        "the store has not answered for \(milliseconds) ms: until it does no node is taken for lost, and no pod gets "
          + "one"))
  }

  /// That commit is durable: what waited for it leaves.
  mutating func storeAnswered(after milliseconds: Int64) {
    guard fleet.pauses.storeStalls else { return }
    fleet.pauses.storeStalls = false
    expectLeases()
    outputs.append(.log("the store answered after \(milliseconds) ms: \(hearingText)"))
  }

  /// For all of that time, which ends now, silence means nothing.
  private mutating func couldNotHear(for milliseconds: Int64) {
    // A pause within the time of hearing only does not count: pauses that come again and again put no loss off for
    // good.
    let isWithin = fleet.pauses.judgesFrom + milliseconds > now.boot
    fleet.pauses.judgesFrom =
      isWithin ? fleet.pauses.judgesFrom + milliseconds : now.boot + hearingMilliseconds
    fleet.pauses.wentOnAt = now.boot
  }

  /// As a start reckons (C2): a lease could just have been given, to each that is not lost.
  private mutating func expectLeases() {
    for name in fleet.nodes.keys.sorted() {
      guard let record = fleet.nodes[name], record.lostAt == nil else { continue }
      let reach = now.boot + LeaseArithmetic.stretched(fleet.lease)
      fleet.nodes[name]?.leaseReach = max(record.leaseReach, reach)
    }
  }

  private var hearingText: String {
    "its nodes get \(fleet.pauses.judgesFrom - now.boot) ms to be heard before any is taken for lost"
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
