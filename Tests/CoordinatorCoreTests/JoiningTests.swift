// Who gets a certificate: tokens used, raced, expired, deleted, replayed, for another node; names that are taken; and
// keys that are revoked.

import ClusterProto
import Testing

@testable import CoordinatorCore

extension FleetHarness {
  static let day: Int64 = 86_400_000

  /// What the core says to these events, without what concerns clocks.
  fileprivate mutating func say(_ events: [CoordinatorEvent]) -> [CoordinatorEffect] {
    let before = effects.count
    step(events)
    return Array(effects[before...])
  }

  fileprivate mutating func ask(_ request: JoiningRequest, by subject: Subject = .master) -> (code: Int, object: JSON) {
    for effect in say([.joining(900, by: subject, request)]) {
      if case .reply(900, .done(let code, let object, _)) = effect { return (code, object) }
    }
    return (0, .null)
  }

  fileprivate mutating func token(
    _ id: String, ttl: Int64 = 86_400, uses: Int64? = nil, node: String = ""
  ) {
    let digest = JoinToken.digest(ofSecret: "secret-\(id)")
    let answer = ask(.createToken(id: id, digest: digest, ttlSeconds: ttl, uses: uses, node: node))
    #expect(answer.code == 200, "\(answer.object.text)")
  }

  fileprivate static func joiner(
    _ node: String, _ key: String, token: String = "", secret: String? = nil, id: Int64 = 1
  )
    -> CoordinatorEvent
  {
    let request = JoinRequest(
      token: token, secret: secret ?? "secret-\(token)", node: node, request: "request of \(key)")
    return .join(id, request, key: key)
  }

  /// `joined`, or why not.
  fileprivate mutating func outcome(
    _ node: String, _ key: String, token: String = "", secret: String? = nil
  ) -> String {
    for effect in say([Self.joiner(node, key, token: token, secret: secret)]) {
      if case .issue(.joiner(1), node, "request of \(key)", _) = effect { return "joined" }
      if case .issueRefused(.joiner(1), let reason, _) = effect { return reason }
    }
    return "nothing"
  }

  /// The agent registers with that certificate; why it was refused, or nil.
  fileprivate mutating func enter(_ agent: FakeAgent, key: String, certificate: String? = nil) -> String? {
    agents[agent.name] = agent
    step([
      .sessionOpened(agent.session, by: .holder(of: certificate ?? agent.name, key)),
      .agent(agent.session, .register(agent.registration)),
    ])
    if agents[agent.name]?.isRegistered == true { return nil }
    return agents[agent.name]?.refusal ?? agents[agent.name]?.closedBecause ?? "nothing"
  }

  fileprivate mutating func deleteNode(_ name: String) {
    step([.request(901, APIRequest(verb: .delete, kind: .nodes, name: name))])
  }
}

extension Subject {
  fileprivate static let master = Subject(name: "admin", groups: [masters, authenticated], door: .native)

  fileprivate static func holder(of node: String, _ key: String) -> Subject {
    Subject(name: nodeName(node), groups: [nodes, authenticated], kind: .agent, key: key, door: .native)
  }
}

@Suite("Joining") struct JoiningTests {
  @Test("one token serves machine after machine; with one use it serves one, and the next is told who used it")
  func uses() throws {
    var harness = try FleetHarness()
    harness.token("many")
    for node in ["a", "b", "c"] { #expect(harness.outcome(node, "key-\(node)", token: "many") == "joined") }
    harness.token("once", uses: 1)
    #expect(harness.outcome("d", "key-d", token: "once") == "joined")
    let refusal = harness.outcome("e", "key-e", token: "once")
    #expect(refusal.contains("used up: node d joined by it"))
    try harness.restart(away: 5_000)
    #expect(harness.outcome("e", "key-e", token: "once").contains("used up"))
  }

  @Test("two joiners race for one use: one wins, and the use is in the commit that its certificate waits for")
  func race() throws {
    var harness = try FleetHarness()
    harness.token("once", uses: 1)
    let said = harness.say([
      FleetHarness.joiner("a", "key-a", token: "once", id: 1), FleetHarness.joiner("b", "key-b", token: "once", id: 2),
    ])
    let issued = said.indices.filter { if case .issue = said[$0] { true } else { false } }
    let refused = said.filter { if case .issueRefused(.joiner(2), _, _) = $0 { true } else { false } }
    let counted = said.indices.filter {
      if case .persist(let write) = said[$0] { write.key == "jointoken.once" } else { false }
    }
    #expect(issued.count == 1 && refused.count == 1 && counted.count == 1)
    #expect((counted.first ?? .max) < (issued.first ?? .min))
  }

  @Test("the machine whose answer was lost asks again: it is answered, and no further use is counted")
  func lostAnswer() throws {
    var harness = try FleetHarness()
    harness.token("two", uses: 2)
    for _ in 0..<3 { #expect(harness.outcome("a", "key-a", token: "two") == "joined") }
    #expect(harness.outcome("b", "key-b", token: "two") == "joined")
    #expect(harness.outcome("c", "key-c", token: "two").contains("used up"))
    // Whoever replays it without the key gets what is of use to the key alone; by another key nothing.
    #expect(harness.outcome("a", "key-x", token: "two") != "joined")
  }

  @Test("an expired, deleted, unknown or mistyped token, and one for another node: each refusal says which")
  func refusals() throws {
    var harness = try FleetHarness()
    harness.token("short", ttl: 60)
    harness.token("gone")
    harness.token("named", node: "n1")
    harness.pass(61_000)
    #expect(harness.outcome("a", "key-a", token: "short").contains("expired at"))
    #expect(harness.ask(.deleteToken(id: "gone")).code == 200)
    #expect(harness.ask(.deleteToken(id: "gone")).code == 404)
    #expect(harness.outcome("a", "key-a", token: "gone").contains("was deleted at"))
    #expect(harness.outcome("a", "key-a", token: "never").contains("is not known here"))
    #expect(harness.outcome("a", "key-a", token: "named").contains("is for node n1 and not for node a"))
    // What became of a token is for who knows its secret.
    for id in ["short", "gone", "named"] {
      #expect(harness.outcome("a", "key-a", token: id, secret: "guess").contains("is wrong"))
    }
    #expect(harness.outcome("a", "key-a").contains("is not known here as node a's"))
  }

  @Test(
    "a name with a slash, of 300 bytes, or empty is refused",
    arguments: ["a/b", String(repeating: "a", count: 300), "", "A"])
  func names(_ name: String) throws {
    var harness = try FleetHarness()
    harness.token("t")
    #expect(harness.outcome(name, "key-a", token: "t").contains("is not valid"))
    #expect(harness.core.fleet.joining.keys.isEmpty)
  }

  @Test("a second machine with a known name is told the command that frees it, which rule C3 lets it have afterwards")
  func takenName() throws {
    var harness = try FleetHarness()
    harness.token("t")
    #expect(harness.outcome("a", "key-a", token: "t") == "joined")
    #expect(harness.enter(FakeAgent("a"), key: "key-a") == nil)
    harness.beat("a")
    #expect(harness.outcome("a", "key-b", token: "t").contains("kubectl delete node a"))
    harness.step([.sessionClosed("session-a")])
    harness.deleteNode("a")
    // Its lease may still run.
    #expect(harness.outcome("a", "key-b", token: "t").contains("until its lease and its pods' tolerations are over"))
    harness.pass(60_000)
    #expect(harness.outcome("a", "key-b", token: "t") == "joined")
    // The first machine comes back, with a certificate that is still valid.
    let late = harness.enter(FakeAgent("a", session: "late"), key: "key-a")
    #expect(late?.contains("belongs to another key than this certificate's") == true)
    #expect(harness.enter(FakeAgent("a", keeper: "k2", machine: "m2", session: "new"), key: "key-b") == nil)
  }

  @Test("a token for a name replaces its key when C3 allows, and not while the first machine speaks")
  func replaced() throws {
    var harness = try FleetHarness()
    harness.token("t")
    #expect(harness.outcome("a", "key-a", token: "t") == "joined")
    #expect(harness.enter(FakeAgent("a"), key: "key-a") == nil)
    harness.pass(3_000, beating: ["a"])
    harness.token("new", uses: 1, node: "a")
    #expect(harness.outcome("a", "key-b", token: "new").contains("is held by another machine"))
    harness.step([.sessionClosed("session-a")])
    harness.pass(60_000)
    // What C3 refused has used nothing up.
    #expect(harness.outcome("a", "key-b", token: "new") == "joined")
    #expect(harness.enter(FakeAgent("a", session: "late"), key: "key-a") != nil)
  }

  @Test("a node that never registered holds its name until a token for it says otherwise")
  func neverRegistered() throws {
    var harness = try FleetHarness()
    harness.token("t")
    #expect(harness.outcome("a", "key-a", token: "t") == "joined")
    let refusal = harness.outcome("a", "key-b", token: "t")
    #expect(refusal.contains("stint token create --node a") && !refusal.contains("kubectl"))
    harness.token("new", node: "a")
    #expect(harness.outcome("a", "key-b", token: "new") == "joined")
  }

  @Test("a cloned data directory is refused: the key on another machine, and the key under another name")
  func clones() throws {
    var harness = try FleetHarness()
    harness.token("t")
    #expect(harness.outcome("a", "key-a", token: "t") == "joined")
    #expect(harness.enter(FakeAgent("a"), key: "key-a") == nil)
    harness.step([.sessionClosed("session-a")])
    harness.pass(60_000)
    let clone = FakeAgent("a", machine: "other", session: "clone")
    #expect(harness.enter(clone, key: "key-a")?.contains("is on another machine") == true)
    try harness.restart(away: 1_000)
    #expect(harness.enter(clone, key: "key-a")?.contains("is on another machine") == true)
    #expect(harness.outcome("b", "key-a", token: "t").contains("this machine's key is node a's"))
    #expect(harness.enter(FakeAgent("a", session: "back"), key: "key-a") == nil)
  }

  @Test("an agent registers as the node of its certificate alone")
  func otherNode() throws {
    var harness = try FleetHarness()
    let refusal = harness.enter(FakeAgent("b"), key: "key-a", certificate: "a")
    #expect(refusal?.contains("not") == true)
    #expect(harness.node("b") == nil)
  }

  @Test("a machine that was off when its certificate ended rejoins by its key within 30 days, and no later")
  func rejoin() throws {
    var harness = try FleetHarness()
    harness.token("t")
    #expect(harness.outcome("a", "key-a", token: "t") == "joined")
    harness.boot += 119 * FleetHarness.day
    #expect(harness.outcome("a", "key-b").contains("is not known here"))
    #expect(harness.outcome("a", "key-a") == "joined")
    harness.boot += 121 * FleetHarness.day
    #expect(harness.outcome("a", "key-a").contains("more than 30 days ago"))
  }

  @Test("a session renews its own node's certificate for its own key, and nothing else")
  func renewal() throws {
    var harness = try FleetHarness()
    harness.token("t")
    for node in ["a", "b"] {
      #expect(harness.outcome(node, "key-\(node)", token: "t") == "joined")
      #expect(harness.enter(FakeAgent(node), key: "key-\(node)") == nil)
    }
    let life = CertificateRenewal.lifetimeMilliseconds
    harness.boot += 60 * FleetHarness.day
    let said = harness.say([.renew("session-a", key: "key-a", request: "r")])
    #expect(said.contains(.issue(.session("session-a"), node: "a", request: "r", milliseconds: life)))
    #expect(harness.core.fleet.joining.keys["a"]?.until == harness.now.wall.adding(milliseconds: life))
    for key in ["key-b", "key-new"] {
      let said = harness.say([.renew("session-a", key: key, request: "r")])
      #expect(!said.contains { if case .issue = $0 { true } else { false } })
      #expect(said.contains { if case .issueRefused(.session("session-a"), _, _) = $0 { true } else { false } })
    }
    #expect(
      !harness.say([.renew("none", key: "key-a", request: "r")]).contains {
        if case .issue = $0 { true } else { false }
      })
  }

  @Test("a revoked node's session ends at once, and its key gets nothing any more, after a restart either")
  func revoked() throws {
    var harness = try FleetHarness()
    harness.token("t")
    #expect(harness.outcome("a", "key-a", token: "t") == "joined")
    #expect(harness.enter(FakeAgent("a"), key: "key-a") == nil)
    #expect(harness.ask(.revokeNode("x")).code == 404)
    #expect(harness.ask(.revokeNode("a")).code == 200)
    #expect(harness.agents["a"]?.closedBecause?.contains("revoked") == true)
    for isRestarted in [false, true] {
      if isRestarted { try harness.restart(away: 1_000) }
      #expect(harness.enter(FakeAgent("a", session: "s-\(isRestarted)"), key: "key-a")?.contains("revoked") == true)
      for token in ["t", ""] { #expect(harness.outcome("a", "key-a", token: token).contains("was revoked at")) }
    }
    harness.pass(120_000)
    #expect(harness.outcome("a", "key-b", token: "t") == "joined")
    #expect(harness.outcome("a", "key-a", token: "t").contains("was revoked at"))
  }

  @Test("only who may is answered about tokens; their secrets are in no row, answer or log line")
  func secrets() throws {
    var harness = try FleetHarness()
    let user = Subject(name: "eve", groups: [Subject.authenticated], door: .native)
    let agent = Subject.holder(of: "a", "key-a")
    for subject in [user, agent, .anonymous] {
      for request: JoiningRequest in [
        .createToken(id: "x", digest: JoinToken.digest(ofSecret: "s"), ttlSeconds: 5, uses: nil, node: ""),
        .listTokens, .deleteToken(id: "t"), .revokeNode("a"),
      ] { #expect(harness.ask(request, by: subject).code == 403) }
    }
    harness.token("t")
    #expect(harness.outcome("a", "key-a", token: "t") == "joined")
    let list = harness.ask(.listTokens)
    #expect(list.code == 200 && list.object["items"]?[0]?["status"]?.stringValue == "Valid")
    for row in harness.rows.values { #expect(!String(decoding: row.value, as: UTF8.self).contains("secret-t")) }
    for effect in harness.effects { #expect(!"\(effect)".contains("secret-t")) }
    #expect(!list.object.text.contains(JoinToken.digest(ofSecret: "secret-t")))
  }

  @Test(
    "on a nearly full disk no token is made, but tokens are deleted, machines join by those there are, nodes revoked")
  func nearlyFullDisk() throws {
    var harness = try FleetHarness()
    harness.token("t")
    harness.token("u")
    harness.step([.diskLow(true)])
    let digest = JoinToken.digest(ofSecret: "s")
    let more = JoiningRequest.createToken(id: "more", digest: digest, ttlSeconds: 5, uses: nil, node: "")
    #expect(harness.ask(more).code == 507)
    #expect(harness.outcome("a", "key-a", token: "t") == "joined")
    #expect(harness.ask(.deleteToken(id: "u")).code == 200)
    #expect(harness.ask(.revokeNode("a")).code == 200)
    harness.step([.diskLow(false)])
    #expect(harness.ask(more).code == 200)
  }

  @Test("a token's numbers and names are checked, and there are a thousand tokens at most")
  func bounds() throws {
    var harness = try FleetHarness()
    let digest = JoinToken.digest(ofSecret: "s")
    for request: JoiningRequest in [
      .createToken(id: "", digest: digest, ttlSeconds: 5, uses: nil, node: ""),
      .createToken(id: "a", digest: "x", ttlSeconds: 5, uses: nil, node: ""),
      .createToken(id: "a", digest: digest, ttlSeconds: 0, uses: nil, node: ""),
      .createToken(id: "a", digest: digest, ttlSeconds: .max, uses: nil, node: ""),
      .createToken(id: "a", digest: digest, ttlSeconds: 5, uses: 0, node: ""),
      .createToken(id: "a", digest: digest, ttlSeconds: 5, uses: .min, node: ""),
      .createToken(id: "a", digest: digest, ttlSeconds: 5, uses: nil, node: "a/b"),
      // A node of that name would be refused.
      .createToken(id: "a", digest: digest, ttlSeconds: 5, uses: nil, node: String(repeating: "n", count: 64)),
    ] { #expect(harness.ask(request).code == 400) }
    for number in 0..<CoordinatorCore.tokenLimit { harness.token("t\(number)", ttl: 5) }
    let more = JoiningRequest.createToken(id: "more", digest: digest, ttlSeconds: 5, uses: nil, node: "")
    #expect(harness.ask(more).code == 429)
    // What the refusal advises helps.
    #expect(harness.ask(.deleteToken(id: "t7")).code == 200)
    #expect(harness.ask(more).code == 200)
    #expect(harness.ask(.deleteToken(id: "more")).code == 200)
    // A week after their end they are forgotten.
    harness.boot += 8 * FleetHarness.day
    harness.token("another", ttl: 5)
    #expect(harness.core.fleet.joining.tokens.count == 1)
  }

  @Test("tokens that were deleted, used or expired keep nobody from making others; the first to end is forgotten first")
  func endedTokens() throws {
    var harness = try FleetHarness()
    let limit = CoordinatorCore.endedTokenLimit
    for number in 0..<(limit + 20) {
      harness.boot += 2_000
      harness.token("t\(number)", ttl: number % 3 == 0 ? 1 : 86_400, uses: 1)
      if number % 3 == 1 { #expect(harness.ask(.deleteToken(id: "t\(number)")).code == 200) }
      if number % 3 == 2 { #expect(harness.outcome("n\(number)", "k\(number)", token: "t\(number)") == "joined") }
    }
    harness.boot += 2_000
    harness.token("last")
    #expect(harness.core.fleet.joining.tokens.count == limit + 1)
    #expect(harness.outcome("a", "a", token: "t19").contains("is not known here"))
    #expect(harness.outcome("a", "a", token: "t20").contains("used up"))
    #expect(harness.outcome("a", "a", token: "t21").contains("expired"))
    #expect(harness.outcome("a", "a", token: "t22").contains("was deleted"))
    #expect(harness.rows.keys.count(where: { "\($0)".contains("jointoken.") }) == limit + 1)
    #expect(harness.outcome("a", "a", token: "last") == "joined")
  }
}
