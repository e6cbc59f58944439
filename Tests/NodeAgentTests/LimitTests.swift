// Owns: tests of limits by a real keeper: OOMKilled, what a container sees of them, and that nothing of them is left.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import Testing

/// What the keeper of this machine could hold pods to.
private let abilities: LimitAbilities = {
  let pool = LimitPool(name: "stint-look", isUsed: true)
  defer { pool.remove() }
  return pool.abilities
}()

/// Directories of cgroups that a keeper made; its name is in theirs.
private func cgroups(of keeper: TestKeeper) -> [String] {
  let name = "stint-\(keeper.identity.prefix(12))."
  return LimitPool.places().flatMap { place in
    ((try? Files.list(place)) ?? []).filter { $0.hasPrefix(name) }.flatMap { pool in
      ["\(place)/\(pool)"]
        + ((try? Files.list("\(place)/\(pool)")) ?? []).filter { $0.hasPrefix("pod-") }.map { "\(place)/\(pool)/\($0)" }
    }
  }
}

@Suite(
  .enabled(
    if: isRoot && abilities.isWhole, "this machine hands no cpu, memory and pids controllers to our cgroup"))
struct KeeperLimitTests {
  /// Whether we may spare a process from the kernel (CAP_SYS_RESOURCE); without, it keeps our own score.
  private static let mayLower: Bool = {
    let lines = String(decoding: (try? Files.read("/proc/self/status")) ?? [], as: UTF8.self).split(separator: "\n")
    let mask = lines.first { $0.hasPrefix("CapEff:") }?.split(separator: "\t").last.flatMap { UInt64($0, radix: 16) }
    return (mask ?? 0) & (1 << 24) != 0
  }()

  private func resources(_ limits: JSON, requests: JSON = [:]) -> JSON {
    ["resources": ["limits": limits, "requests": requests]]
  }

  private static let hungry = "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo alive"

  @Test("a container that outgrows its memory ends OOMKilled, and its pod fails with it")
  func outOfMemory() throws {
    let keeper = try TestKeeper()
    let script = "exec tail /dev/zero"
    let (status, _) = try keeper.finish(
      keeper.assignment(1, pod(shell("main", script, more: resources(["memory": "16Mi"])))))
    let end = try #require(status?.containers.first?.state.termination)
    #expect(status?.phase == .failed && end.reason == "OOMKilled" && end.exitCode == 137)
  }

  @Test("also when it is a child that was ended and the main process would have gone on")
  func childOutOfMemory() throws {
    let keeper = try TestKeeper()
    let script = "(\(Self.hungry)); sleep 600; echo went on"
    let (status, log) = try keeper.finish(
      keeper.assignment(1, pod(shell("main", script, more: resources(["memory": "16Mi"])))))
    let end = try #require(status?.containers.first?.state.termination)
    #expect(end.reason == "OOMKilled" && end.exitCode == 137 && !log.contains("went on"))
  }

  @Test("the other container of its pod, and a run after it, are not touched by that")
  func neighbours() throws {
    let keeper = try TestKeeper()
    let spec: JSON = [
      "restartPolicy": "OnFailure",
      "containers": [
        shell(
          "hungry", "[ -e /scratch/once ] && exit 0; touch /scratch/once; \(Self.hungry)",
          mounts: [
            ["name": "scratch", "mountPath": "/scratch"]
          ], more: resources(["memory": "16Mi"])),
        shell("calm", "sleep 2; echo calm", more: resources(["memory": "64Mi"])),
      ], "volumes": [["name": "scratch", "emptyDir": [:]]],
    ]
    try keeper.start(keeper.assignment(1, spec))
    let status = try #require(keeper.waitForEnd(1))
    #expect(status.phase == .succeeded && keeper.log(1, "calm") == "calm\n")
    #expect(status.containers[0].lastTermination?.reason == "OOMKilled" && status.containers[0].restartCount == 1)
    #expect(status.containers[0].state.termination?.reason == "Completed")
  }

  @Test("a limit in which not even a start finds room is told as what it is")
  func tiny() throws {
    let keeper = try TestKeeper()
    let (status, _) = try keeper.finish(
      keeper.assignment(1, pod(shell("main", "echo ran", more: resources(["memory": "4Ki"])))))
    let end = status?.containers.first?.state.termination
    // It may be ended before its program begins, or be refused its first page.
    #expect(status?.phase == .failed && ["OOMKilled", "StartError"].contains(end?.reason), "\(end?.reason ?? "")")
  }

  @Test("from inside: oom_score_adj by the pod's class, and a cgroup of the container's own where something is asked")
  func inside() throws {
    let keeper = try TestKeeper()
    let look = "cat /proc/self/oom_score_adj; grep -c /pod-.*/0$ /proc/self/cgroup; true"
    let cases: [(JSON, String, Bool)] = [
      (resources(["cpu": "1", "memory": "64Mi"]), "-997", true), (resources([:], requests: ["cpu": "1"]), "999", true),
      (resources([:], requests: ["memory": "2Gi"]), "750", false), ([:], "1000", false),
    ]
    for (position, (more, score, isLimited)) in cases.enumerated() {
      let (_, log) = try keeper.finish(keeper.assignment(Int64(position + 1), pod(shell("main", look, more: more))))
      let lines = log.split(separator: "\n").map(String.init)
      let isLowered = score.hasPrefix("-") && !Self.mayLower
      #expect(lines.first == (isLowered ? "0" : score) && (lines.last != "0") == isLimited, "\(more.text): \(log)")
    }
  }

  @Test("pods leave no cgroup behind, nor do a killed keeper and its pods once the next one has begun")
  func nothingLeft() throws {
    let keeper = try TestKeeper()
    let limited = resources(["cpu": "1", "memory": "64Mi"])
    for attempt: Int64 in 1...5 {
      _ = try keeper.finish(keeper.assignment(attempt, pod(shell("main", "true", more: limited))))
    }
    if abilities.version == 1 {
      #expect(keeper.wait { !cgroups(of: keeper).contains { $0.contains("/pod-") && !$0.contains("/unified/") } })
    }
    try keeper.start(keeper.assignment(6, pod(shell("main", "sleep 600", more: limited))))
    #expect(keeper.wait { keeper.status(6)?.containers.first?.ready == true })
    let killed = cgroups(of: keeper)
    #expect(killed.contains { $0.contains("/pod-") })
    try keeper.replace()
    #expect(eventually { killed.allSatisfy { !Files.exists($0) } }, "\(killed.filter { Files.exists($0) })")
  }

  @Test("a pod of which nothing is asked makes none")
  func noneAsked() throws {
    let keeper = try TestKeeper()
    func made() -> [String] { cgroups(of: keeper).filter { $0.contains("/pod-") && !$0.contains("/unified/") } }
    try keeper.start(1, script: "sleep 600")
    #expect(keeper.wait { keeper.status(1)?.containers.first?.ready == true })
    #expect(abilities.version == 2 || made().isEmpty, "\(made())")
  }
}

@Suite struct UnlimitedKeeperTests {
  @Test("a keeper that cannot hold pods to limits says why, and runs them")
  func unable() throws {
    let keeper = try TestKeeper(KeeperSetting(arguments: ["--no-cgroups"]))
    #expect(keeper.limits?.isWhole == false && keeper.limits?.words.reason == "NoCgroups")
    let more: JSON = ["resources": ["limits": ["memory": "4Ki"]]]
    let (status, log) = try keeper.finish(keeper.assignment(1, pod(shell("main", "echo ran", more: more))))
    #expect(status?.phase == .succeeded && log == "ran\n")
  }
}
