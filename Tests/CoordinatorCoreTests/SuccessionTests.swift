// Who may follow a keeper at once, and who only after R: each claim of a registration, said by somebody else too.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Succession") struct SuccessionTests {
  /// Node a with one pod, heard `silence` ms ago.
  private func cluster(silentFor silence: Int64 = 0) throws -> FleetHarness {
    var harness = try FleetHarness()
    harness.join(FakeAgent("a"))
    harness.addPod("p")
    harness.pass(3_000, beating: ["a"])
    harness.pass(silence)
    return harness
  }

  /// The next boot of a's machine, `uptime` ms old.
  private func nextBoot(uptime: Int64, session: SessionID = "s2") -> FakeAgent {
    var next = FakeAgent("a", keeper: "next", session: session)
    next.boot = "boot-2"
    next.uptime = uptime
    return next
  }

  @Test("a new boot of the machine that held the attempt proves it dead, and runs no pod of the old one's")
  func reboot() throws {
    var harness = try cluster(silentFor: 9_000)
    #expect(harness.isLive("p"))
    harness.join(nextBoot(uptime: 4_000))
    #expect(harness.agents["a"]?.isRegistered == true)
    #expect(!harness.isLive("p"))
    #expect(harness.pod("p")?.status.phase == .failed)
    #expect(harness.problems().isEmpty)
  }

  @Test("a reboot faster than a lease waits until the old boot was silent for one, and is told so")
  func fastReboot() throws {
    var harness = try cluster(silentFor: 2_000)
    harness.register(nextBoot(uptime: 1_000), as: "next")
    #expect(harness.agents["next"]?.refusal?.contains("spoke 2000 ms ago") == true)
    #expect(harness.agents["next"]?.retry == 3_000)
    #expect(harness.isLive("p"))
    harness.pass(3_000)
    harness.join(nextBoot(uptime: 4_000, session: "s3"))
    #expect(harness.agents["a"]?.isRegistered == true)
    #expect(!harness.isLive("p"))
  }

  @Test("a reboot while the coordinator was away is believed a lease after its start, not before")
  func rebootWhileAway() throws {
    var harness = try cluster()
    try harness.restart(away: 60_000)
    harness.register(nextBoot(uptime: 30_000), as: "next")
    #expect(harness.agents["next"]?.refusal != nil)
    harness.pass(5_000)
    harness.register(nextBoot(uptime: 35_000, session: "s3"), as: "next")
    #expect(harness.agents["next"]?.isRegistered == true)
  }

  /// What a newcomer with another boot id has that shows it to be no reboot.
  enum Stranger: String, CaseIterable, Sendable {
    case hardware = "on other hardware"
    case unreadableHardware = "on other hardware "
    case directory = "with another data directory"
    case noDirectory = "with another data directory "
    case machine = "on another machine"
    case noMachine = "on another machine "
    case longUptime = "that still spoke when this machine was running"
    case noUptime = "that still spoke when this machine was running "

    func change(_ agent: inout FakeAgent) {
      switch self {
      case .hardware: agent.hardware = "other"
      case .unreadableHardware: agent.hardware = ""
      case .directory: agent.mark = "copy"
      case .noDirectory: agent.mark = ""
      case .machine: agent.machine = "other"
      case .noMachine: agent.machine = ""
      case .longUptime: agent.uptime = 3_600_000
      case .noUptime: agent.uptime = nil
      }
    }
  }

  @Test(
    "an equal machine id and another boot id prove nothing: the second machine is refused with the reason until R",
    arguments: Stranger.allCases)
  func imageOfMachine(stranger: Stranger) throws {
    var harness = try cluster(silentFor: 9_000)
    var clone = nextBoot(uptime: 4_000)
    stranger.change(&clone)
    harness.register(clone, as: "clone")
    let refusal = try #require(harness.agents["clone"]?.refusal)
    let reason = stranger.rawValue.split(separator: " ").joined(separator: " ")
    #expect(refusal.contains(reason), "\(refusal)")
    #expect(harness.isLive("p"))
    harness.pass(8_700)
    clone.session = "s3"
    harness.register(clone, as: "clone")
    #expect(harness.agents["clone"]?.isRegistered == false)
    harness.pass(200)
    clone.session = "s4"
    harness.register(clone, as: "clone")
    #expect(harness.agents["clone"]?.isRegistered == true)
    harness.beat("clone")
    #expect(!harness.isLive("p"))
  }

  @Test("two machines of one image that share everything: the living one stays, nobody is thrown out, no attempt moves")
  func livingSessionWins() throws {
    var harness = try cluster()
    let attempt = harness.attempt(of: "p")
    for round in 0..<60 {
      harness.register(nextBoot(uptime: Int64(round) * 1_000, session: "clone-\(round)"), as: "clone")
      #expect(harness.agents["clone"]?.isRegistered == false)
      harness.pass(1_000, beating: ["a"])
    }
    #expect(harness.agents["a"]?.closedBecause == nil)
    #expect(harness.attempt(of: "p") == attempt)
    #expect(harness.core.fleet.lastAttempt == attempt)
  }

  @Test("a clone that was running while the first machine spoke is no reboot of it, however long the silence")
  func olderClone() throws {
    var harness = try cluster(silentFor: 10_000)
    harness.register(nextBoot(uptime: 12_000), as: "clone")
    #expect(harness.agents["clone"]?.refusal?.contains("one disk image") == true)
    #expect(harness.isLive("p"))
  }

  @Test("a claimed sweep from a moved or copied directory proves nothing, and is refused with the reason")
  func movedDirectory() throws {
    var harness = try cluster()
    var moved = FakeAgent("a", keeper: "next", session: "s2")
    moved.swept = ["keeper-a"]
    moved.mark = "moved"
    harness.register(moved, as: "moved")
    #expect(harness.agents["moved"]?.refusal?.contains("moved or copied") == true)
    #expect(harness.agents["a"]?.closedBecause == nil)
    #expect(harness.isLive("p"))
    let fenced = harness.timeToFence("p")
    let time = try #require(fenced)
    #expect(time >= 17_700)
  }

  @Test("the same directory on the same kernel without a sweep of that keeper proves nothing")
  func unseenKeeper() throws {
    var harness = try cluster()
    var other = FakeAgent("a", keeper: "next", session: "s2")
    other.swept = ["keeper-b"]
    harness.register(other, as: "other")
    #expect(harness.agents["other"]?.refusal?.contains("cannot see") == true)
    #expect(harness.isLive("p"))
  }

  @Test("the keeper's own id with another kernel's boot id is somebody else's word")
  func borrowedKeeper() throws {
    var harness = try cluster()
    var liar = FakeAgent("a", session: "s2")
    liar.boot = "boot-2"
    harness.register(liar, as: "liar")
    #expect(harness.agents["liar"]?.refusal != nil)
    #expect(harness.agents["a"]?.closedBecause == nil)
  }

  @Test("what a successor is held against survives a restart of the coordinator")
  func durable() throws {
    var harness = try cluster()
    let holder = harness.core.fleet.nodes["a"]?.holder
    #expect(holder?.directory == "mark-a" && holder?.hardwareID == "hardware")
    try harness.restart(away: 1_000)
    #expect(harness.core.fleet.nodes["a"]?.holder == holder)
    var copy = FakeAgent("a", keeper: "next", session: "s2")
    copy.swept = ["keeper-a"]
    copy.mark = "copy"
    harness.register(copy, as: "copy")
    #expect(harness.agents["copy"]?.refusal != nil)
    copy.mark = "mark-a"
    copy.session = "s3"
    harness.register(copy, as: "copy")
    #expect(harness.agents["copy"]?.isRegistered == true)
  }

  @Test("claims that no agent of ours makes are refused, and stop nobody")
  func malformed() throws {
    var agents = Array(repeating: FakeAgent("a"), count: 9)
    agents[0].keeper = ""
    agents[1].boot = ""
    agents[2].mark = String(repeating: "x", count: 300)
    agents[3].swept = Array(repeating: "k", count: 300)
    agents[4].uptime = -1
    agents[5].highestIncarnation = .max
    agents[6].highestAttempt = .max
    agents[7].highestIncarnation = .min
    agents[8].highestAttempt = .min
    for (index, agent) in agents.enumerated() {
      var harness = try FleetHarness()
      harness.register(agent, as: "a")
      #expect(harness.agents["a"]?.refusal != nil, "\(index)")
      #expect(!harness.effects.contains { if case .halt = $0 { true } else { false } }, "\(index)")
    }
  }
}
