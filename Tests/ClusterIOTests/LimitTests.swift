// Owns: tests of the cgroups that hold pods to limits: the kernel's files in both versions, and a real pod seen from
// inside, at its limit of memory and of processes, and gone.

import ClusterProto
import Glibc
import Testing

@testable import ClusterIO

@Suite struct LimitFileTests {
  private var limits: ResourceLimits {
    var limits = ResourceLimits()
    limits.cpuShares = 512
    limits.cpuQuotaMicroseconds = 50_000
    limits.memoryBytes = 1 << 20
    limits.processes = 9
    return limits
  }

  private func lines(_ version: Int64, isContainer: Bool = true) -> [String] {
    LimitFiles.entries(limits, version: version, isContainer: isContainer).map { "\($0.file) \($0.text)" }
  }

  @Test("in version 1 each amount has its file, and swap adds nothing to memory")
  func legacy() {
    #expect(
      lines(1) == [
        "cpu.shares 512", "cpu.cfs_quota_us 50000", "memory.limit_in_bytes 1048576",
        "memory.memsw.limit_in_bytes 1048576", "pids.max 9",
      ])
  }

  @Test("in version 2 shares are a weight, and a container that runs out of memory goes as a whole")
  func unified() {
    let pod = ["cpu.weight 20", "cpu.max 50000 100000", "memory.max 1048576", "memory.swap.max 0", "pids.max 9"]
    #expect(lines(2, isContainer: false) == pod)
    #expect(lines(2) == pod.dropLast() + ["memory.oom.group 1", "pids.max 9"])
  }

  @Test(
    "the ends of the scale are the ends of the other one",
    arguments: [(2, 1), (1_024, 39), (262_144, 10_000)] as [(Int64, Int64)])
  func weights(shares: Int64, weight: Int64) {
    var limits = ResourceLimits()
    limits.cpuShares = shares
    #expect(LimitFiles.entries(limits, version: 2, isContainer: true).map(\.text) == ["\(weight)"])
  }

  @Test("what is not bounded has no file")
  func nothing() {
    for version: Int64 in [1, 2] {
      #expect(LimitFiles.entries(ResourceLimits(), version: version, isContainer: true).isEmpty)
    }
  }
}

/// Why no limit can be tried here; nil: all of them can.
private let lacking: String? = {
  let pool = LimitPool(name: "stint-look", isUsed: true)
  defer { pool.remove() }
  return pool.abilities.isWhole ? nil : pool.abilities.words.message
}()

@Suite(.enabled(if: isRoot && lacking == nil, "this machine hands no cpu, memory and pids controllers to our cgroup"))
struct LimitTests {
  private func limits(memory: Int64? = nil, quota: Int64? = nil) -> ResourceLimits {
    var limits = ResourceLimits()
    limits.memoryBytes = memory
    limits.cpuQuotaMicroseconds = quota
    return limits
  }

  /// Runs a script in a container with limits of its own in a pod with these; the pool is gone afterwards.
  private func run(
    _ script: String, pod podLimits: ResourceLimits, _ containerLimits: ResourceLimits,
    after: (LimitedPod) throws -> Void = { _ in }
  ) throws -> (ProcessExit?, String, Int64) {
    let pool = LimitPool(name: "stint-limit-\(UInt32.random(in: 0...UInt32.max))", isUsed: true)
    defer { pool.remove() }
    let limited = try pool.take(podLimits, containers: [containerLimits])
    defer { pool.giveBack(limited) }
    let pod = try TestPod(cgroup: limited.cgroup)
    var plan = ContainerPlan(arguments: ["/bin/sh", "-c", script], environment: ["PATH=/usr/bin:/bin"])
    plan.cgroups = try limited.enter(slot: 0, containerLimits)
    try pod.start(plan)
    _ = try turn(pod.loop) { pod.exits[0] != nil || pod.failures[0] != nil || pod.gone != nil }
    #expect(pod.failures.isEmpty)
    let kills = limited.outOfMemoryKills(slot: 0)
    try after(limited)
    limited.leave(slot: 0)
    let result = (pod.exits[0], pod.output(), kills)
    try pod.end()
    return result
  }

  private static let hungry = "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo alive"

  @Test("a process that outgrows its container's memory is ended by the kernel, which counts it")
  func memory() throws {
    let bound = limits(memory: 32 << 20)
    let (exit, output, kills) = try run(Self.hungry, pod: bound, bound)
    #expect(exit != .exited(code: 0) && !output.contains("alive") && kills > 0)
  }

  @Test("what was counted before a run is not the run's, where a directory could not be removed in between")
  func usedAgain() throws {
    let bound = limits(memory: 32 << 20)
    let (_, _, kills) = try run(Self.hungry, pod: bound, bound) { limited in
      _ = try limited.enter(slot: 0, bound)
      #expect(limited.outOfMemoryKills(slot: 0) == 0)
    }
    #expect(kills > 0)
  }

  @Test("one that stays below is left alone")
  func enough() throws {
    let bound = limits(memory: 64 << 20)
    let (exit, output, kills) = try run("echo alive", pod: bound, bound)
    #expect(exit == .exited(code: 0) && output == "alive\n" && kills == 0)
  }

  @Test("the whole pod may have so many processes, whichever container asks for one more")
  func processes() throws {
    var bound = ResourceLimits()
    bound.processes = 4
    let script = "for i in 1 2 3 4 5 6; do sleep 60 & done; wait"
    let (exit, output, _) = try run(script, pod: bound, ResourceLimits())
    #expect(exit != .exited(code: 0) && output.lowercased().contains("cannot fork"))
  }

  @Test("a container sees itself in its cgroup, below its pod's, and a quota is there")
  func place() throws {
    let (_, output, _) = try run("cat /proc/self/cgroup", pod: limits(quota: 50_000), limits(quota: 50_000))
    let entered = output.split(separator: "\n").filter { $0.hasSuffix("/pod-1/0") }
    #expect(!entered.isEmpty && entered.allSatisfy { $0.contains("/stint-limit-") })
  }

  @Test("a limit that cannot be kept is a start that fails, not one without it")
  func unreachable() throws {
    let pod = try TestPod()
    var plan = ContainerPlan(arguments: ["/bin/sh", "-c", "echo ran"], environment: [])
    plan.cgroups = ["/proc/self/no-such-cgroup"]
    try pod.start(plan)
    #expect(try turn(pod.loop) { pod.failures[0] != nil })
    #expect(pod.failures[0]?.stage == "cgroup" && pod.failures[0]?.error.subject == "/proc/self/no-such-cgroup")
    #expect(pod.failures[0]?.error.code == ENOENT && pod.output().isEmpty)
  }

  @Test("a pod of which nothing is asked needs no cgroup, and what a pool made is gone with it")
  func nothingLeft() throws {
    let name = "stint-gone-\(getpid())"
    func left() -> [String] {
      LimitPool.places().flatMap { place in ((try? Files.list(place)) ?? []).filter { $0.hasPrefix("\(name).") } }
    }
    let pool = LimitPool(name: name, isUsed: true)
    #expect(!pool.bounds(ResourceLimits()) && pool.bounds(limits(memory: 1 << 20)))
    #expect(!left().isEmpty)
    let pod = try pool.take(limits(memory: 1 << 20), containers: [limits(memory: 1 << 20), limits(quota: 1_000)])
    _ = try pod.enter(slot: 0, limits(memory: 1 << 20))
    _ = try pod.enter(slot: 1, limits(quota: 1_000))
    pool.giveBack(pod)
    pool.remove()
    #expect(left().isEmpty)
  }

  @Test("who is not root, or whose pods are out of reach, says that it holds nobody to anything")
  func unable() {
    let pool = LimitPool(name: "stint-unused", isUsed: false)
    #expect(pool.abilities.words.status == "False" && pool.abilities.words.reason == "NoCgroups")
    #expect(pool.abilities.words.message.hasSuffix("not enforced: pods are not in cgroups of their own here"))
  }
}
