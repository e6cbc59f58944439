// The exchange of the authority as the core decides it: who still holds a certificate of the former one, when that is
// dropped, what agents are told, and what is refused.

import ClusterProto
import Testing

@testable import CoordinatorCore

extension FleetHarness {
  fileprivate mutating func say(_ events: [CoordinatorEvent]) -> [CoordinatorEffect] {
    let before = effects.count
    step(events)
    return Array(effects[before...])
  }

  /// What the shell tells of its files.
  @discardableResult
  fileprivate mutating func serve(_ authority: String, former: String = "") -> [CoordinatorEffect] {
    say([.nativeServed(JoinPoint(addresses: ["10.0.0.1:7420"], authority: authority, former: former, since: now.wall))])
  }

  fileprivate mutating func ask(
    _ request: AuthorityRequest, by subject: Subject = .administrator, id: Int64 = 900
  ) -> (code: Int, object: JSON, said: [CoordinatorEffect]) {
    let said = say([.authority(id, by: subject, request)])
    let answer = said.answer(to: id)
    return (answer?.code ?? 0, answer?.object ?? .null, said)
  }

  /// Begins an exchange as the shell does it. What is answered.
  @discardableResult
  fileprivate mutating func exchange(from old: String = "old", to new: String = "new") -> JSON {
    #expect(ask(.rotate).said.contains(.exchangeAuthority))
    let answer = serve(new, former: old).answer(to: 900)
    #expect(answer?.code == 200)
    return answer?.object ?? .null
  }

  /// Registers with a certificate of that authority.
  @discardableResult
  fileprivate mutating func enter(_ node: String, of authority: String, session: String? = nil) -> [CoordinatorEffect] {
    let agent = FakeAgent(node, session: session ?? "\(node)-\(authority)-\(boot)")
    var subject = Subject.agent(of: node, key: "key-\(node)")
    subject.authority = authority
    agents[node] = agent
    return say([.sessionOpened(agent.session, by: subject), .agent(agent.session, .register(agent.registration))])
  }

  fileprivate mutating func user(_ name: String, key: String, ttl: Int64 = 86_400) {
    let digest = SHA256.hex(of: Array(key.utf8))
    let said = say([
      .users(901, by: .administrator, .create(name: name, groups: [], ttlSeconds: ttl, request: "r"), key: digest)
    ])
    #expect(said.contains { if case .issueUser = $0 { true } else { false } }, "\(said)")
  }

  /// Lets months pass at once: beat by beat they would take minutes.
  fileprivate mutating func jump(_ milliseconds: Int64) {
    boot += milliseconds
    step([.timer])
  }

  fileprivate var left: [String] { core.fleet.exchange.nodes.sorted() + core.fleet.exchange.users.sorted() }
}

extension [CoordinatorEffect] {
  fileprivate func answer(to id: RequestID) -> (code: Int, object: JSON)? {
    for case .reply(id, .done(let code, let object, _)) in self { return (code, object) }
    return nil
  }

  fileprivate var notices: [SessionID: AuthorityNotice] {
    var found: [SessionID: AuthorityNotice] = [:]
    for case .tellAuthorities(let session, let notice) in self { found[session] = notice }
    return found
  }

  fileprivate var audits: [String] {
    compactMap {
      if case .audit(let entry) = $0, entry.deed == .authority { "\(entry.who): \(entry.what)" } else { nil }
    }
  }
}

@Suite("The exchange of the authority") struct AuthorityExchangeTests {
  private static func harness(nodes: [String] = ["a", "b"]) throws -> FleetHarness {
    var harness = try FleetHarness()
    harness.serve("old")
    for node in nodes { harness.enter(node, of: "old") }
    return harness
  }

  @Test("agents are told at once; the last that is seen with a new certificate drops the former authority, by itself")
  func whole() throws {
    var harness = try Self.harness()
    let asked = harness.ask(.rotate)
    #expect(asked.code == 0 && asked.said.contains(.exchangeAuthority))
    let begun = harness.serve("new", former: "old")
    let object = try #require(begun.answer(to: 900)?.object)
    #expect(object["former"] == "old" && object["nodes"]?["left"] == 2 && object["nodes"]?["total"] == 2)
    #expect(begun.notices.count == 2)
    #expect(begun.notices.values.allSatisfy { $0.authorities == ["new", "old"] && $0.withinMilliseconds == 1_000 })
    #expect(begun.audits.count == 1 && begun.audits[0].hasPrefix("admin: exchange of the authority begun: old is left"))
    // Sent is not arrived.
    harness.step([.renew("a-old-1000000", key: "key-a", request: "r")])
    harness.pass(5_000)
    #expect(harness.left == ["a", "b"])
    #expect(harness.enter("a", of: "new").notices.isEmpty)
    harness.pass(5_000)
    #expect(harness.left == ["b"] && !harness.effects.contains(.dropAuthority))
    #expect(harness.enter("b", of: "new").contains(.dropAuthority))
    let dropped = harness.serve("new")
    #expect(dropped.audits == ["the coordinator: authority old dropped: nobody was left"])
    #expect(dropped.last { if case .closeAuthority = $0 { true } else { false } } != nil)
    #expect(dropped.notices.count == 2 && dropped.notices.values.allSatisfy { $0.authorities == ["new"] })
    let status = harness.ask(.status(after: nil)).object
    #expect(status["authority"] == "new" && status["former"] == nil && status["nodes"]?["left"] == 0)
  }

  @Test("while one lasts, or begins, another is refused and says what lasts; without one there is nothing to drop")
  func refusals() throws {
    var harness = try Self.harness()
    let none = harness.ask(.drop)
    #expect(none.code == 409 && none.object["message"]?.stringValue?.contains("there is no former one") == true)
    #expect(harness.ask(.rotate).said.contains(.exchangeAuthority))
    let second = harness.ask(.rotate, id: 902)
    #expect(second.code == 409 && !second.said.contains(.exchangeAuthority))
    harness.serve("new", former: "old")
    let third = harness.ask(.rotate)
    let why = third.object["message"]?.stringValue ?? ""
    #expect(third.code == 409 && why.contains("2 nodes and 0 users still hold") && why.contains("--force"), "\(why)")
    var nobody = Subject(name: "bob", groups: [Subject.authenticated], key: "k", door: .native)
    for request in [AuthorityRequest.rotate, .status(after: nil), .drop] {
      #expect(harness.ask(request, by: nobody).code == 403)
    }
    nobody = .agent(of: "a", key: "key-a")
    #expect(harness.ask(.drop, by: nobody).code == 403)
    var early = try FleetHarness()
    #expect(early.ask(.rotate).code == 503)
  }

  @Test("what the shell cannot do is told to who asked, and may be asked again")
  func failures() throws {
    var harness = try Self.harness()
    _ = harness.ask(.rotate)
    let failed = harness.say([.authorityFailed("no space left")]).answer(to: 900)
    #expect(failed?.code == 500 && failed?.object["message"] == "no space left")
    harness.exchange()
    for node in ["a", "b"] { harness.enter(node, of: "new") }
    harness.pass(3_000)
    // The file cannot be deleted: again, by itself.
    let before = harness.effects.count { $0 == .dropAuthority }
    #expect(before == 1)
    harness.step([.authorityFailed("a disk that is read-only")])
    harness.pass(60_000)
    #expect(harness.effects.count { $0 == .dropAuthority } == 2)
  }

  @Test(
    "users count by name: one who has a new kubeconfig, was revoked or whose certificate has ended is not waited for")
  func users() throws {
    var harness = try Self.harness(nodes: [])
    for (name, ttl) in [("alice", Int64(86_400)), ("bob", 86_400), ("carol", 60), ("dave", 1)] {
      harness.user(name, key: "\(name)-1", ttl: ttl)
    }
    harness.user("alice", key: "alice-2")
    harness.pass(2_000)
    let begun = harness.exchange()
    #expect(begun["users"]?["left"] == 3 && begun["users"]?["names"]?[0]?["name"] == "alice")
    harness.user("alice", key: "alice-3")
    harness.user("eve", key: "eve-1")
    #expect(harness.left == ["bob", "carol"])
    harness.step([.users(903, by: .administrator, .revoke("bob"), key: "")])
    #expect(harness.left == ["carol"])
    harness.pass(50_000)
    #expect(!harness.effects.contains(.dropAuthority))
    harness.pass(20_000)
    #expect(harness.left.isEmpty && harness.effects.contains(.dropAuthority))
  }

  @Test("over a restart in the middle who is left stays known, by records that named no authority too")
  func restarts() throws {
    var harness = try FleetHarness()
    // Records of a time when nothing was exchanged.
    harness.enter("a", of: "")
    harness.enter("b", of: "")
    harness.user("alice", key: "alice-1")
    harness.serve("old")
    #expect(harness.exchange()["nodes"]?["left"] == 2)
    harness.enter("a", of: "new")
    #expect(harness.left == ["b", "alice"])
    try harness.restart(away: 5_000)
    #expect(!harness.serve("new", former: "old").contains(.dropAuthority))
    #expect(harness.left == ["b", "alice"])
    // Who was away hears of it as it comes.
    let notice = harness.enter("b", of: "old").notices.values.first
    #expect(notice?.authorities == ["new", "old"])
    harness.user("alice", key: "alice-2")
    harness.enter("b", of: "new")
    harness.pass(3_000)
    #expect(harness.effects.contains(.dropAuthority))
    harness.serve("new")
    // In the next exchange they hold what is left then; who holds older ones is not waited for.
    try harness.restart(away: 5_000)
    harness.serve("new")
    #expect(harness.exchange(from: "new", to: "newer")["nodes"]?["left"] == 2)
    #expect(harness.left == ["a", "b", "alice"])
  }

  @Test(
    "by force it is dropped at once, with the names of those who are locked out, and their certificates are refused")
  func force() throws {
    var harness = try Self.harness()
    harness.user("alice", key: "alice-1")
    var asker = Subject.administrator
    asker.authority = "old"
    harness.exchange()
    harness.enter("a", of: "new")
    let forced = harness.ask(.drop, by: asker, id: 904)
    #expect(forced.code == 0 && forced.said.contains(.dropAuthority))
    #expect(harness.ask(.drop, id: 905).code == 409)
    let said = harness.serve("new")
    let object = try #require(said.answer(to: 904)?.object)
    #expect(object["lockedOut"]?["nodes"] == ["b"] && object["lockedOut"]?["users"] == ["alice"])
    #expect(object["askerHoldsFormer"] == true)
    #expect(said.audits == ["admin: authority old dropped with 2 that were left: b, alice"])
    // Whoever asked hears of it before its connection closes.
    let closing = try #require(said.firstIndex { if case .closeAuthority("old", _) = $0 { true } else { false } })
    let answered = try #require(said.firstIndex { if case .reply(904, _) = $0 { true } else { false } })
    #expect(answered < closing)
    #expect(harness.core.revocation(of: asker)?.contains("of an authority that was exchanged") == true)
    #expect(harness.ask(.status(after: nil), by: asker).code == 403)
    var old = Subject.agent(of: "b", key: "key-b")
    old.authority = "old"
    let refused = harness.say([.sessionOpened("late", by: old)])
    #expect(refused.contains { if case .closeSession("late", _) = $0 { true } else { false } })
  }

  @Test("a freed name and a revoked key are not waited for; a machine that is away is, until its key is of no use")
  func away() throws {
    var harness = try Self.harness(nodes: ["a", "b", "c"])
    for node in ["a", "b", "c"] {
      harness.step([.renew("\(node)-old-1000000", key: "key-\(node)", request: "r")])
      harness.step([.sessionClosed("\(node)-old-1000000")])
    }
    harness.exchange()
    harness.step([.joining(906, by: .administrator, .revokeNode("a"))])
    harness.step([.request(907, APIRequest(verb: .delete, kind: .nodes, name: "b"))])
    #expect(harness.left == ["c"])
    let shown = harness.ask(.status(after: nil)).object["nodes"]
    #expect(shown?["names"]?[0]?["name"] == "c" && shown?["names"]?[0]?["connected"] == false)
    let life = harness.core.configuration.nodeCertificateMilliseconds
    harness.jump(life + 1)
    #expect(harness.left == ["c"])
    harness.jump(CertificateRenewal.graceMilliseconds + 3_600_000)
    harness.pass(60_000)
    #expect(harness.left.isEmpty && harness.effects.contains(.dropAuthority))
  }

  @Test(
    "who waits for news is answered with the next, and with the end before anything closes; who has gone is forgotten")
  func waiting() throws {
    var harness = try Self.harness()
    harness.exchange()
    let first = harness.ask(.status(after: nil)).object
    let revision = first["revision"]?.intValue
    for id in [910, 911] { #expect(harness.ask(.status(after: revision), id: Int64(id)).code == 0) }
    harness.step([.requestCancelled(911)])
    let said = harness.enter("a", of: "new")
    #expect(said.answer(to: 910)?.object["nodes"]?["left"] == 1 && said.answer(to: 911) == nil)
    // News are not older than a quarter of a second, and no more often: a thousand agents move one by one.
    #expect(harness.ask(.status(after: revision), id: 914).code == 0)
    let before = harness.effects.count
    harness.pass(250)
    #expect(Array(harness.effects[before...]).answer(to: 914)?.object["nodes"]?["left"] == 1)
    let now = harness.ask(.status(after: nil)).object["revision"]?.intValue
    #expect(harness.ask(.status(after: now), id: 912).code == 0)
    _ = harness.ask(.drop, id: 913)
    let end = harness.serve("new")
    let told = try #require(end.firstIndex { if case .reply(912, _) = $0 { true } else { false } })
    let closed = try #require(end.firstIndex { if case .closeAuthority = $0 { true } else { false } })
    #expect(told < closed && end.answer(to: 912)?.object["lockedOut"]?["nodes"] == ["b"])
  }

  @Test(
    "a token of the former authority serves until that is dropped; afterwards it is shown, and refused, as outdated")
  func tokens() throws {
    var harness = try Self.harness(nodes: [])
    let digest = JoinToken.digest(ofSecret: "s")
    harness.step([
      .joining(
        920, by: .administrator, .createToken(id: "t", digest: digest, ttlSeconds: 86_400, uses: nil, node: ""))
    ])
    func join(_ node: String) -> [CoordinatorEffect] {
      harness.say([.join(921, JoinRequest(token: "t", secret: "s", node: node, request: "r"), key: "key-\(node)")])
    }
    harness.user("alice", key: "alice-1")
    harness.enter("z", of: "old")
    harness.exchange()
    harness.user("bob", key: "bob-1")
    #expect(join("a").contains { if case .issue = $0 { true } else { false } })
    // What it is given is of the new one.
    #expect(harness.left == ["z", "alice"])
    func users() -> [JSON?] {
      let list = harness.say([.users(923, by: .administrator, .list, key: "")]).answer(to: 923)?.object
      return (list?["items"]?.arrayValue ?? []).map { $0["status"] }
    }
    #expect(users() == ["Valid", "Valid"])
    _ = harness.ask(.drop)
    harness.serve("new")
    #expect(users().map { $0?.stringValue ?? "" }.sorted() == ["Outdated", "Valid"])
    let refused = join("b").compactMap { if case .issueRefused(_, let reason, _) = $0 { reason } else { nil } }
    #expect(refused.first?.contains("made before the cluster's authority was exchanged") == true, "\(refused)")
    let list = harness.say([.joining(922, by: .administrator, .listTokens)]).answer(to: 922)?.object
    #expect(list?["items"]?[0]?["status"] == "Outdated")
  }

  @Test("an agent that was away as the former authority was dropped is told to believe it no more, once")
  func believes() throws {
    var harness = try Self.harness(nodes: ["a", "b"])
    harness.exchange()
    for node in ["a", "b"] {
      let session = "\(node)-old-1000000"
      harness.step([.renew(session, key: "key-\(node)", request: "r")])
      harness.enter(node, of: "new", session: "\(node)-1")
    }
    harness.step([.sessionClosed("b-1")])
    harness.pass(3_000)
    let said = harness.serve("new")
    #expect(Array(said.notices.keys) == ["a-1"])
    let back = harness.enter("b", of: "new", session: "b-2")
    #expect(back.notices["b-2"]?.authorities == ["new"])
    harness.step([.renew("b-2", key: "key-b", request: "r")])
    #expect(harness.enter("b", of: "new", session: "b-3").notices.isEmpty)
  }

  @Test("a thousand agents are asked one after the other, about, and no time is longer than five minutes")
  func crowd() throws {
    var harness = try Self.harness(nodes: (0..<300).map { "n\($0)" })
    _ = harness.ask(.rotate)
    let notices = harness.serve("new", former: "old").notices
    #expect(notices.count == 300 && notices.values.allSatisfy { $0.withinMilliseconds == 6_000 })
  }
}
