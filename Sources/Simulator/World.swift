// The simulated world's clockwork: one queue of timed work, one seeded generator, machines' clocks, the trace.
// Knows no cluster.

import ClusterProto

/// True time of a simulation in microseconds from its begin. No simulated program ever sees it.
typealias TrueTime = Int64

/// Runs closures in the order of their times; equal times in the order of scheduling. Everything random comes from
/// `random`.
final class World {
  private struct Entry: Comparable {
    var time: TrueTime
    var order: UInt64
    var work: () -> Void

    static func < (left: Entry, right: Entry) -> Bool {
      left.time == right.time ? left.order < right.order : left.time < right.time
    }

    static func == (left: Entry, right: Entry) -> Bool { left.order == right.order }
  }

  private(set) var now: TrueTime = 0
  var random: SplitMix64
  private(set) var steps = 0
  private var heap = MinHeap<Entry>()
  private var order: UInt64 = 0
  private var trace = StableHash()
  /// The last lines of the trace, for the report of a violation.
  private(set) var tail: [String] = []
  var keepsTail = true
  private(set) var violations: [String] = []

  /// For what draws from a generator of its own.
  let seed: UInt64
  let pace: Pace

  init(seed: UInt64, pace: Pace = .busy) {
    self.seed = seed
    self.pace = pace
    random = SplitMix64(seed: seed)
  }

  /// Does `work` after `delay` microseconds.
  func after(_ delay: TrueTime, _ work: @escaping () -> Void) {
    order += 1
    heap.insert(Entry(time: now + max(0, delay), order: order, work: work))
  }

  /// Runs until `end`, until nothing is left, or until a violation.
  func run(until end: TrueTime) {
    while let first = heap.first, first.time <= end, violations.isEmpty {
      heap.removeFirst()
      now = first.time
      steps += 1
      first.work()
    }
    if violations.isEmpty { now = max(now, end) }
  }

  /// What was still to come holds the whole world: it goes, and with it all that thousands of worlds would keep.
  func end() {
    heap = MinHeap<Entry>()
    tail = []
  }

  /// What happened goes into the trace hash: two runs of one seed must agree on every bit of it.
  func record(_ what: @autoclosure () -> String) {
    let line = what()
    trace.combine(line)
    trace.combine(String(now))
    guard keepsTail else { return }
    tail.append("\(Double(now / 1000) / 1000) s \(line)")
    if tail.count > 6000 { tail.removeFirst(3000) }
  }

  func violated(_ what: String) {
    violations.append("\(Double(now / 1000) / 1000) s: \(what)")
  }

  var traceHash: String { trace.hex }

  /// Uniform in the closed range.
  func pick(_ range: ClosedRange<Int64>) -> Int64 {
    range.lowerBound + Int64(random.below(UInt64(range.upperBound - range.lowerBound + 1)))
  }

  func chance(_ probability: Double) -> Bool { random.unitInterval() < probability }

  func choose<Element>(_ elements: [Element]) -> Element? {
    elements.isEmpty ? nil : elements[Int(random.below(UInt64(elements.count)))]
  }

  /// Mostly short, sometimes a long tail: a delay in microseconds.
  func delay(mean: TrueTime) -> TrueTime {
    let spread = random.unitInterval()
    return spread > 0.99 ? mean * 10 : TrueTime(Double(mean) * 2 * spread)
  }
}

/// One machine's clocks: a boot clock with its own rate, and a wall clock that may jump.
struct MachineClock {
  private var bootedAt: TrueTime
  /// Ticks per true tick; within ±2.4 %, so that any two machines differ by less than 5 %.
  private let rate: Double
  private var wallOffset: Int64
  private var bootOffset: Int64

  init(world: World) {
    bootedAt = world.now
    rate = 0.976 + world.random.unitInterval() * 0.048
    bootOffset = world.pick(1_000...100_000_000)
    wallOffset = 1_790_000_000_000 + world.pick(-5_000...5_000)
  }

  func now(_ world: World) -> Now {
    let elapsed = Int64(Double(world.now - bootedAt) * rate) / 1000
    return Now(
      boot: BootTime(milliseconds: bootOffset + elapsed),
      wall: WallTime(nanoseconds: (wallOffset + world.now / 1000) * 1_000_000))
  }

  /// True microseconds until the boot clock shows `time`; 0 when it has.
  func trueDelay(until time: BootTime, _ world: World) -> TrueTime {
    let ticks = Double(time - now(world).boot)
    return ticks <= 0 ? 0 : TrueTime((ticks * 1000 / rate).rounded(.up)) + 1000
  }

  mutating func jumpWall(milliseconds: Int64) { wallOffset += milliseconds }

  /// The boot clock begins with the kernel, some seconds before anything of ours runs.
  mutating func reboot(_ world: World) {
    bootedAt = world.now
    bootOffset = world.pick(500...5_000)
  }
}
