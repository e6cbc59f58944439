// Rule C4: what a node says that it has seen. Proven, it stops a coordinator that is behind; claimed, it stops nobody.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("The numbers that a node has seen") struct SeenNumbersTests {
  private static func halts(_ harness: FleetHarness) -> [String] {
    harness.effects.compactMap { if case .halt(let text) = $0 { text } else { nil } }
  }

  private static func audits(_ harness: FleetHarness) -> [String] {
    harness.effects.compactMap { if case .audit(let entry) = $0 { entry.what } else { nil } }
  }

  private static func cluster(_ mark: String = "first") throws -> FleetHarness {
    var configuration = FleetHarness.configuration()
    configuration.startMark = mark
    return try FleetHarness(configuration)
  }

  @Test("a coordinator that is behind what a node has seen, and can prove, stops and says so")
  func behind() throws {
    var harness = try Self.cluster()
    var agent = FakeAgent("a")
    agent.hasSeen(9, "ninth")
    harness.register(agent, as: "a")
    #expect(Self.halts(harness).count == 1)
    #expect(Self.halts(harness).first?.contains("incarnation 9") == true)
    harness.effects = []
    agent.hasSeen(1, "first", attempt: 1)
    agent.session = "s2"
    harness.register(agent, as: "a")
    #expect(Self.halts(harness).first?.contains("attempt 1") == true)
    #expect(harness.agents["a"]?.isRegistered == false)
    harness.effects = []
    agent.hasSeen(1, "another")
    agent.session = "s3"
    harness.register(agent, as: "a")
    #expect(Self.halts(harness).first?.contains("another start with the number 1") == true)
  }

  /// What somebody with a node's certificate can say, or what an old directory says in good faith.
  enum Claim: CaseIterable, Sendable {
    case incarnation, start, attempt, oldDirectory, otherKey, proofOfAnotherAttempt, proofOfAnotherStart, otherCluster

    func make(_ agent: inout FakeAgent) {
      let guessed = NumberProofs(key: "a guess", cluster: "")
      let foreign = NumberProofs(key: "key", cluster: "elsewhere")
      agent.hasSeen(1, "first", attempt: 1)
      switch self {
      case .incarnation: agent.highestIncarnation = 9
      case .start: agent.incarnationMark = "made-up.00112233445566778899aabbccddeeff"
      case .attempt:
        agent.highestAttempt = 1 << 40
        agent.provenAttempt = nil
      case .oldDirectory:
        agent.highestIncarnation = 9
        agent.incarnationMark = "of-a-version-before"
        agent.provenAttempt = nil
      case .otherKey: agent.incarnationMark = guessed.mark(of: 1, random: "other")
      case .proofOfAnotherAttempt:
        agent.highestAttempt = 5
        agent.provenAttempt?.attempt = 5
      case .proofOfAnotherStart:
        agent.highestIncarnation = 9
        agent.incarnationMark = FleetHarness.proofs.mark(of: 8, random: "eighth")
      case .otherCluster:
        agent.highestAttempt = 5
        agent.provenAttempt = ProvenAttempt(attempt: 5, proof: foreign.proof(ofAttempt: 5))
      }
    }
  }

  @Test("a claim without a proof is refused with what to do, and audited; it stops nobody", arguments: Claim.allCases)
  func claim(_ claim: Claim) throws {
    var harness = try Self.cluster()
    harness.join(FakeAgent("b"))
    harness.addPod("p")
    #expect(harness.attempt(of: "p") == 1)
    var agent = FakeAgent("a")
    claim.make(&agent)
    harness.effects = []
    harness.register(agent, as: "a")
    #expect(Self.halts(harness) == [])
    let refusal = try #require(harness.agents["a"]?.refusal)
    #expect(refusal.hasPrefix("node a says that it has seen "))
    #expect(refusal.contains("incarnation \(agent.highestIncarnation)") || refusal.contains("another start with the"))
    #expect(refusal.contains("attempt \(agent.highestAttempt), without a proof"))
    #expect(refusal.contains("this is incarnation 1, and its last attempt is 1"))
    #expect(refusal.contains("stint agent --stop --data DIRECTORY") && refusal.contains("token create --node a"))
    #expect(Self.audits(harness).contains { $0.contains("without a proof") })
    #expect(harness.isLive("p") && harness.agents["b"]?.closedBecause == nil)
  }

  @Test("numbers that this coordinator gave out itself need no proof: an agent of a version before is let in")
  func olderAgent() throws {
    var harness = try Self.cluster()
    harness.join(FakeAgent("b"))
    harness.addPod("p")
    var agent = FakeAgent("a")
    agent.highestIncarnation = 1
    agent.highestAttempt = 1
    harness.register(agent, as: "a")
    #expect(harness.agents["a"]?.isRegistered == true)
  }

  @Test("what a node is given proves itself, also to the next start and to a copy of the store, and to nobody else")
  func proofs() throws {
    var harness = try Self.cluster()
    let older = harness.rows
    harness.join(FakeAgent("a"))
    harness.addPod("p")
    let body = try #require(harness.agents["a"]?.bodies[1])
    let proven = ProvenAttempt(attempt: 1, proof: body.proof)
    let marks = harness.agents["a"]?.received.compactMap { message -> String? in
      if case .registered(_, _, _, _, let mark) = message { mark } else { nil }
    }
    let mark = try #require(marks?.first)
    #expect(mark.hasPrefix("first.") && harness.core.fleet.proofs.proves(mark: mark, of: 1))
    #expect(harness.core.fleet.proofs.proves(proven))
    // The store's key counts, not the one that this start would have made.
    var next = FleetHarness.configuration()
    next.proofKey = "another"
    try harness.restart(next)
    #expect(harness.core.fleet.proofs.proves(mark: mark, of: 1) && harness.core.fleet.proofs.proves(proven))
    #expect(!harness.core.fleet.proofs.proves(mark: mark, of: 2))
    #expect(!NumberProofs(key: "another", cluster: "").proves(proven) && !NumberProofs().proves(proven))
    // An older copy is behind by the one attempt alone.
    harness.rows = older
    try harness.restart(next)
    harness.effects = []
    var agent = FakeAgent("a", session: "later")
    agent.highestIncarnation = 1
    agent.incarnationMark = mark
    agent.highestAttempt = 1
    agent.provenAttempt = proven
    harness.register(agent, as: "a")
    #expect(Self.halts(harness).first?.contains("attempt 1") == true)
  }

  @Test("a restored store rises above what is proven, and no claim uses its numbers up")
  func rise() throws {
    var harness = try Self.cluster()
    harness.rows["facts|restored"] = StoreRow(table: .facts, key: CoordinatorCore.restoredFact, value: Array("{}".utf8))
    try harness.restart(FleetHarness.configuration())
    let incarnation = harness.core.incarnation
    var agent = FakeAgent("a")
    agent.highestIncarnation = 1 << 39
    agent.highestAttempt = 1 << 51
    harness.register(agent, as: "a")
    #expect(harness.core.incarnation == incarnation && harness.agents["a"]?.isRegistered == false)
    agent.hasSeen(1 << 36, "far")
    agent.session = "s2"
    harness.register(agent, as: "a")
    #expect(harness.core.incarnation > 1 << 36 && harness.agents["a"]?.isRegistered == true)
    #expect(Self.halts(harness) == [])
  }

  @Test("a node that remembers another cluster's numbers is refused and told what to do; it stops no coordinator")
  func foreign() throws {
    var configuration = FleetHarness.configuration()
    configuration.clusterID = "here"
    var harness = try FleetHarness(configuration)
    var agent = FakeAgent("a")
    agent.highestIncarnation = 9
    agent.highestAttempt = 7
    agent.rememberedCluster = "elsewhere"
    harness.register(agent, as: "a")
    #expect(Self.halts(harness) == [])
    #expect(harness.agents["a"]?.isRegistered == false)
    let refusal = try #require(harness.agents["a"]?.refusal)
    #expect(refusal.contains("is that of cluster elsewhere, and this is cluster here: on that machine end its pods"))
    #expect(refusal.contains("stint token create --node a"))
    // The right cluster's name alone is worth nothing more.
    agent.rememberedCluster = "here"
    agent.session = "s2"
    harness.register(agent, as: "a")
    #expect(Self.halts(harness) == [] && harness.agents["a"]?.isRegistered == false)
  }
}
