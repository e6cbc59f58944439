// Users' certificates: whose word gives them, what names they may have, and that one taken back counts nowhere.

import ClusterProto
import Testing

@testable import CoordinatorCore

extension FleetHarness {
  fileprivate mutating func user(
    _ request: UserRequest, key: String = "", by subject: Subject = .administrator
  ) -> (code: Int, object: JSON, said: [CoordinatorEffect]) {
    let before = effects.count
    step([.users(900, by: subject, request, key: key)])
    let said = Array(effects[before...])
    for effect in said {
      if case .reply(900, .done(let code, let object, _)) = effect { return (code, object, said) }
      if case .issueUser(900, _) = effect { return (201, .null, said) }
    }
    return (0, .null, said)
  }

  /// 201, or the code of the refusal.
  fileprivate mutating func create(
    _ name: String, key: String, groups: [String] = [], ttl: Int64 = UserRequest.usualSeconds
  ) -> Int {
    user(.create(name: name, groups: groups, ttlSeconds: ttl, request: "of \(name)"), key: Self.digest(key)).code
  }

  fileprivate static func digest(_ key: String) -> String { SHA256.hex(of: Array(key.utf8)) }

  fileprivate static func holder(_ name: String, _ key: String, groups: [String] = []) -> Subject {
    Subject(name: name, groups: groups + [Subject.authenticated], key: digest(key), door: .https)
  }
}

@Suite("Users' certificates") struct UserTests {
  @Test("a certificate leaves after its row is durable, and the list says for whom, by whom and until when")
  func created() throws {
    var harness = try FleetHarness()
    let answer = harness.user(
      .create(name: "alice", groups: ["devs"], ttlSeconds: 90 * 86_400, request: "r"), key: FleetHarness.digest("k"))
    let grant = UserGrant(name: "alice", groups: ["devs"], request: "r", seconds: 90 * 86_400)
    let issued = try #require(answer.said.firstIndex(of: .issueUser(900, grant)))
    let written = try #require(
      answer.said.firstIndex {
        if case .persist(let write) = $0 { write.key == "userkey.\(FleetHarness.digest("k"))" } else { false }
      })
    #expect(written < issued)
    for isRestarted in [false, true] {
      if isRestarted { try harness.restart(away: 1_000) }
      let list = harness.user(.list).object["items"]
      let made = WallTime(nanoseconds: FleetHarness.wallStart + 1_000_000 * 1_000_000)
      #expect(list?[0]?["name"] == "alice" && list?[0]?["groups"] == ["devs"] && list?[0]?["creator"] == "admin")
      #expect(list?[0]?["status"] == "Valid" && list?[0]?["created"]?.stringValue == made.rfc3339)
      #expect(list?[0]?["expires"]?.stringValue == made.adding(milliseconds: 90 * 86_400_000).rfc3339)
    }
    harness.boot += 91 * FleetHarness.day
    #expect(harness.user(.list).object["items"]?[0]?["status"] == "Expired")
  }

  @Test("on a nearly full disk nobody gets a certificate, but one is revoked")
  func nearlyFullDisk() throws {
    var harness = try FleetHarness()
    #expect(harness.create("alice", key: "k") == 201)
    harness.step([.diskLow(true)])
    #expect(harness.create("bob", key: "l") == 507)
    #expect(harness.user(.revoke("alice")).code == 200)
  }

  @Test(
    "no certificate has a name or a group of the system's own, or one that could pass for another",
    arguments: [
      "", "admin", "system:masters", "system:nodes", "system:node:a", "System:masters", "SYSTEM:NODES", "system:",
      "system:serviceaccount:default:default", "a b", "alice\n", "аlice", "a/b", "a,O=system:masters", "\u{0}",
      String(repeating: "a", count: 129),
    ])
  func names(name: String) throws {
    var harness = try FleetHarness()
    #expect(harness.create(name, key: "k") == 400)
    #expect(harness.create("alice", key: "k", groups: ["devs", name]) == 400)
    #expect(harness.core.fleet.users.isEmpty)
  }

  @Test("names as people and programs have them, several certificates of one, but no key twice")
  func accepted() throws {
    var harness = try FleetHarness()
    for (number, name) in ["alice", "alice@example.org", "CI_bot-2", "oidc:bob", "a+b.c", "alice"].enumerated() {
      #expect(harness.create(name, key: "k\(number)") == 201)
    }
    #expect(harness.create("mallory", key: "k1") == 409)
    for ttl in [Int64(0), -1, .min, .max, 367 * 86_400] { #expect(harness.create("x", key: "x", ttl: ttl) == 400) }
    let noKey = UserRequest.create(name: "x", groups: [], ttlSeconds: 5, request: "r")
    #expect(harness.user(noKey, key: "").code == 400)
  }

  @Test("a revoked user may nothing, after a restart either; others go on, and a new certificate of the name counts")
  func revoked() throws {
    var harness = try FleetHarness()
    #expect(harness.create("alice", key: "k1") == 201)
    #expect(harness.create("alice", key: "k2") == 201)
    #expect(harness.create("bob", key: "k3") == 201)
    #expect(harness.user(.revoke("carol")).code == 404)
    let admin = harness.user(.revoke("admin"))
    #expect(admin.code == 404 && admin.object["message"]?.stringValue?.contains("stint ca rotate") == true)
    let answer = harness.user(.revoke("alice"))
    #expect(answer.code == 200)
    let keys = [FleetHarness.digest("k1"), FleetHarness.digest("k2")].sorted()
    guard case .closeHolders(keys, _)? = answer.said.last(where: { if case .closeHolders = $0 { true } else { false } })
    else {
      Issue.record("nobody is closed: \(answer.said)")
      return
    }
    #expect(harness.create("alice", key: "k4") == 201)
    let version = AccessAttributes(verb: "get", path: "/version")
    for isRestarted in [false, true] {
      if isRestarted { try harness.restart(away: 1_000) }
      // Whatever groups it has.
      for groups in [[], [Subject.masters]] {
        for key in ["k1", "k2"] {
          let alice = FleetHarness.holder("alice", key, groups: groups)
          guard case .denied(let reason) = harness.core.authorize(alice, version) else {
            Issue.record("\(key) may go on")
            continue
          }
          #expect(reason.hasPrefix("the certificate of \"alice\" was revoked at "))
          #expect(harness.core.revocation(of: alice) != nil)
        }
      }
      for (name, key) in [("bob", "k3"), ("alice", "k4")] {
        #expect(harness.core.authorize(FleetHarness.holder(name, key), version) == .allowed)
      }
    }
    #expect(harness.user(.list).object["items"]?.arrayValue?.filter { $0["status"] == "Revoked" }.count == 2)
  }

  @Test("only who may is answered about users, each deed is audited with who and from where, and no request is in it")
  func permissions() throws {
    var harness = try FleetHarness()
    let requests: [UserRequest] = [
      .create(name: "x", groups: [], ttlSeconds: 5, request: "secret"), .list, .revoke("x"),
    ]
    for subject in [FleetHarness.holder("eve", "e"), .agent(of: "a", key: "k"), .anonymous] {
      for request in requests { #expect(harness.user(request, key: FleetHarness.digest("x"), by: subject).code == 403) }
    }
    var master = Subject.administrator
    master.from = "10.0.0.7:555"
    for request in requests { #expect(harness.user(request, key: FleetHarness.digest("x"), by: master).code < 300) }
    let lines = harness.effects.compactMap { if case .audit(let entry) = $0 { entry } else { nil } }
    let deeds = lines.filter { $0.deed == .user || $0.deed == .revoke }
    #expect(deeds.map(\.deed) == [.user, .revoke])
    #expect(
      deeds.allSatisfy { $0.who == "admin" && $0.from == .address("10.0.0.7:555") && !$0.what.contains("secret") })
  }

  @Test("ten thousand count at most; those that ended or were revoked make room, and are forgotten in that order")
  func bounds() throws {
    var harness = try FleetHarness()
    let limit = CoordinatorCore.userLimit
    for number in 0..<limit {
      harness.core.fleet.users["\(number)"] = UserKey(
        name: number < 3 ? "revoked" : "u", groups: [], created: harness.now.wall,
        until: harness.now.wall.adding(milliseconds: FleetHarness.day), creator: "")
    }
    let refused = harness.user(
      .create(name: "alice", groups: [], ttlSeconds: 5, request: "r"), key: FleetHarness.digest("k"))
    #expect(refused.code == 429 && refused.object["message"]?.stringValue?.contains("stint user revoke") == true)
    // What the refusal advises helps.
    #expect(harness.user(.revoke("revoked")).code == 200)
    #expect(harness.create("alice", key: "k", ttl: 30 * 86_400) == 201)
    #expect(harness.core.fleet.users.count == limit + 1)
    // All but alice end; of more than are kept the first to end go.
    for number in 0..<5 {
      harness.core.fleet.users["old\(number)"] = UserKey(
        name: "old", groups: [], created: harness.now.wall, until: harness.now.wall, creator: "")
    }
    harness.boot += 2 * FleetHarness.day
    #expect(harness.create("bob", key: "k2", ttl: 60 * 86_400) == 201)
    #expect(harness.core.fleet.users.count == CoordinatorCore.endedUserLimit + 2)
    #expect(harness.core.fleet.users.values.allSatisfy { $0.name != "old" })
    harness.boot += 32 * FleetHarness.day
    #expect(harness.create("carl", key: "k3") == 201)
    #expect(harness.core.fleet.users.values.map(\.name).sorted() == ["alice", "bob", "carl"])
  }
}
