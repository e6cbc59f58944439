// The exchange of the authority under faults in any order: lost answers, machines that come and go, a coordinator that
// crashes between a decision and its file, and users who come back late. Nobody is ever locked out without force.

import ClusterProto
import Testing

@testable import CoordinatorCore

/// What a crash leaves alone: the coordinator's files, and what each machine holds.
private struct ExchangeWorld {
  var harness: FleetHarness
  var random: SplitMix64
  /// The shell's files.
  var current = "authority-0"
  var former = ""
  var made = 0
  /// The authority of each machine's certificate, and whether it has a session by that.
  var held: [String: String] = [:]
  var sessions: [String: String] = [:]
  var lastSession = 0
  var seen = 0
  var exchanges = 0
  var nodes: [String] { held.keys.sorted() }

  init(seed: UInt64) throws {
    harness = try FleetHarness()
    random = SplitMix64(seed: seed)
    serve()
    for number in 0..<4 { held["n\(number)"] = current }
    for node in nodes { connect(node) }
  }

  mutating func chance(_ percent: UInt64) -> Bool { random.next() % 100 < percent }

  mutating func pick(_ choices: [String]) -> String { choices[Int(random.next() % UInt64(choices.count))] }

  mutating func step(_ event: CoordinatorEvent) {
    harness.step([event])
    obey()
  }

  mutating func serve() {
    step(.nativeServed(JoinPoint(addresses: ["a:1"], authority: current, former: former, since: harness.now.wall)))
  }

  /// TLS lets in whose authority the server believes.
  mutating func connect(_ node: String) {
    guard let authority = held[node], [current, former].contains(authority) else { return }
    lastSession += 1
    let session = "s\(lastSession)"
    var subject = Subject.agent(of: node, key: "key-\(node)")
    subject.authority = authority
    let agent = FakeAgent(node, session: session)
    harness.agents[node] = agent
    sessions[node] = session
    step(.sessionOpened(session, by: subject))
    step(.agent(session, .register(agent.registration)))
  }

  mutating func disconnect(_ node: String) {
    guard let session = sessions.removeValue(forKey: node) else { return }
    step(.sessionClosed(session))
  }

  mutating func restart() throws {
    sessions = [:]
    seen = harness.effects.count
    try harness.restart(away: 1_000)
    obey()
    serve()
  }

  /// Does what the core asks for, or fails to.
  mutating func obey() {
    while seen < harness.effects.count {
      let effect = harness.effects[seen]
      seen += 1
      switch effect {
      case .exchangeAuthority:
        guard !chance(20) else {
          harness.step([.authorityFailed("no room")])
          continue
        }
        if former.isEmpty {
          made += 1
          (former, current) = (current, "authority-\(made)")
          exchanges += 1
        }
        // A crash may come before anybody hears of the files.
        if !chance(20) { serve() }
      case .dropAuthority:
        guard !chance(20) else {
          harness.step([.authorityFailed("a file that stays")])
          continue
        }
        for node in nodes where held[node] != current {
          Issue.record("\(node) holds \(held[node] ?? "") as \(former) is dropped for \(current)")
        }
        former = ""
        if !chance(20) { serve() }
      case .tellAuthorities(let session, let notice):
        guard notice.authorities.first == current, chance(80) else { continue }
        if let node = nodes.first(where: { sessions[$0] == session }) {
          harness.step([.renew(session, key: "key-\(node)", request: "r")])
        }
      case .issue(.session(let session), let node, _, _):
        // The answer may be lost with its connection.
        guard sessions[node] == session else { continue }
        if chance(70) { held[node] = current }
        disconnect(node)
        if chance(60) { connect(node) }
      default: break
      }
    }
  }
}

@Suite("The exchange of the authority under faults") struct AuthorityExchangePropertyTests {
  @Test("whatever is lost and whoever crashes, nobody is locked out, and the exchange ends once all is calm")
  func faults() throws {
    var exchanges = 0
    for seed in UInt64(1)...30 {
      var world = try ExchangeWorld(seed: seed)
      for _ in 0..<120 {
        let node = world.pick(world.nodes)
        switch world.random.next() % 8 {
        case 0: world.step(.authority(1, by: .administrator, .rotate))
        case 1, 2: world.disconnect(node)
        case 3, 4: if world.sessions[node] == nil { world.connect(node) }
        case 5: try world.restart()
        default:
          world.harness.pass(Int64(world.random.next() % 40_000))
          world.obey()
        }
      }
      // Calm: everybody comes, again and again.
      for _ in 0..<60 where !world.former.isEmpty {
        for node in world.nodes {
          world.disconnect(node)
          world.connect(node)
        }
        world.harness.pass(31_000)
        world.obey()
        // What a crash has kept from the core, the next start tells it.
        if world.chance(30) { try world.restart() }
      }
      #expect(world.former.isEmpty, "seed \(seed): \(world.former) is still believed")
      #expect(world.nodes.allSatisfy { world.held[$0] == world.current }, "seed \(seed): \(world.held)")
      exchanges += world.exchanges
    }
    #expect(exchanges > 30)
  }
}
