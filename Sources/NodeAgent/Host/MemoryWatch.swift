// One pod's containers in their cgroups: which ones they enter, and whether memory ran out in one. Knows nothing of
// what follows for the container, but that all of it goes when one of its processes does.

import ClusterIO
import ClusterProto
import Glibc

/// cgroup v2 ends the whole container by itself (`memory.oom.group`); v1 tells, and this ends it.
final class MemoryWatch {
  private struct Watch {
    var descriptor: Int32
    var timer: LoopTimer
    var looksLeft: Int
  }

  /// Ends every process of a container.
  var kill: (Int) -> Void = { _ in }
  private let pod: LimitedPod?
  private let loop: EventLoop
  /// By what each running container's processes enter.
  private var inside: [Int: [String]] = [:]
  private var watches: [Int: Watch] = [:]
  /// v1 tells before it ends anything: from then on it is looked for so often, at these distances.
  private static let looks = 40
  private static let lookNanoseconds: Int64 = 5_000_000

  /// `pod` nil: there are no such cgroups.
  init(_ pod: LimitedPod?, loop: EventLoop) {
    self.pod = pod
    self.loop = loop
  }

  deinit {
    for slot in watches.keys.sorted() { forget(slot) }
  }

  /// Whether a container is held to its amount of memory.
  func bounds(_ limits: ResourceLimits?) -> Bool { pod != nil && limits?.memoryBytes != nil }

  /// What the container's first process has to enter; empty: nothing.
  func enter(_ slot: Int, _ limits: ResourceLimits) throws(IOError) -> [String] {
    guard let pod else { return [] }
    let files = try pod.enter(slot: slot, limits)
    inside[slot] = files
    let descriptor = limits.memoryBytes == nil ? -1 : pod.watchMemory(slot: slot)
    guard descriptor >= 0 else { return files }
    let timer = loop.makeTimer { [unowned self] in look(slot) }
    watches[slot] = Watch(descriptor: descriptor, timer: timer, looksLeft: 0)
    try loop.add(descriptor, .readable) { [unowned self] _ in
      var count: UInt64 = 0
      _ = read(descriptor, &count, 8)
      watches[slot]?.looksLeft = Self.looks
      look(slot)
    }
    return files
  }

  /// What another process of a running container has to enter.
  func files(of slot: Int) -> [String] { inside[slot] ?? [] }

  /// The container's run is over, and nothing of it is left; whether memory ran out in it.
  func ended(_ slot: Int) -> Bool {
    guard let pod, inside.removeValue(forKey: slot) != nil else { return false }
    forget(slot)
    let kills = pod.outOfMemoryKills(slot: slot)
    pod.leave(slot: slot)
    return kills > 0
  }

  private func look(_ slot: Int) {
    guard let watch = watches[slot], let pod else { return }
    if pod.outOfMemoryKills(slot: slot) > 0 { return kill(slot) }
    guard watch.looksLeft > 0 else { return }
    watches[slot]?.looksLeft -= 1
    watch.timer.arm(at: Clocks.boot() + Self.lookNanoseconds)
  }

  private func forget(_ slot: Int) {
    guard let watch = watches.removeValue(forKey: slot) else { return }
    watch.timer.arm(at: nil)
    loop.remove(watch.descriptor)
    close(watch.descriptor)
  }
}
