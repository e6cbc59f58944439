// Who may do what, and Kubernetes' words for a no: every verb of every kind, and agents' sessions.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Authorisation")
struct AuthorizationTests {
  private static let eve = Subject(name: "eve", groups: ["strangers", Subject.authenticated], door: .https)

  private func denied(_ harness: APIHarness, _ request: APIRequest) -> RequestAnswer {
    var request = request
    request.subject = Self.eve
    return harness.answer(harness.send(request))
  }

  @Test("every verb of every kind is refused to who has no right, before anything else is looked at")
  func everyVerb() throws {
    let harness = try APIHarness()
    for verb in APIVerb.allCases {
      for kind in Kind.allCases {
        let namespace = kind.isNamespaced ? "default" : ""
        let answer = denied(harness, APIRequest(verb: verb, kind: kind, namespace: namespace, name: "none"))
        #expect(answer.code == 403 && answer.object["reason"] == "Forbidden", "\(verb) \(kind): \(answer.object)")
        #expect(answer.warnings.isEmpty)
      }
    }
    #expect(harness.answer(harness.send(APIRequest(verb: .list, kind: .jobs))).code == 200)
  }

  @Test(
    "a refusal says what Kubernetes says",
    arguments: [
      (
        APIRequest(verb: .get, kind: .jobs, namespace: "default", name: "x"),
        "jobs.batch \"x\" is forbidden: User \"eve\" cannot get resource \"jobs\" in API group \"batch\" "
          + "in the namespace \"default\""
      ),
      (
        APIRequest(verb: .list, kind: .nodes),
        "nodes is forbidden: User \"eve\" cannot list resource \"nodes\" in API group \"\" at the cluster scope"
      ),
      (
        APIRequest(verb: .log, kind: .pods, namespace: "a", name: "p", subresource: "log"),
        "pods \"p\" is forbidden: User \"eve\" cannot get resource \"pods/log\" in API group \"\" "
          + "in the namespace \"a\""
      ),
      (
        APIRequest(verb: .create, kind: .pods, namespace: "a", name: "p", subresource: "eviction"),
        "pods \"p\" is forbidden: User \"eve\" cannot create resource \"pods/eviction\" in API group \"\" "
          + "in the namespace \"a\""
      ),
      (
        APIRequest(verb: .delete, kind: .namespaces, name: "a"),
        "namespaces \"a\" is forbidden: User \"eve\" cannot delete resource \"namespaces\" in API group \"\" "
          + "in the namespace \"a\""
      ),
    ])
  func words(request: APIRequest, message: String) throws {
    let status = denied(try APIHarness(), request).object
    #expect(status["message"]?.stringValue == message)
    #expect(status[path: ["details", "kind"]]?.stringValue == request.kind.plural)
  }

  @Test("a request that nobody vouches for is anonymous, and refused")
  func anonymous() throws {
    let harness = try APIHarness()
    let effects = harness.core.step([.request(77, APIRequest(verb: .list, kind: .pods))], at: harness.now)
    let codes = effects.compactMap { effect in
      if case .reply(77, .done(let code, _, _)) = effect { code } else { nil }
    }
    #expect(codes == [403])
  }

  @Test("the groups decide: masters may all, agents open sessions, everybody with a name may look around")
  func groups() throws {
    let core = try APIHarness().core
    let jobs = AccessAttributes(verb: "list", group: "batch", resource: "jobs")
    let review = AccessAttributes(
      verb: "create", group: "authorization.k8s.io", resource: "selfsubjectaccessreviews")
    let discovery = AccessAttributes(verb: "get", path: "/apis")
    let rows: [(Subject, [Bool])] = [
      (.administrator, [true, true, true, true]),
      (
        Subject(name: "admin", groups: [Subject.masters, Subject.authenticated], door: .https),
        [true, true, true, true]
      ),
      (.agent(of: "a"), [false, false, false, true]), (Self.eve, [false, true, true, false]),
      (.anonymous, [false, false, false, false]),
      // A group of masters that nobody has proven.
      (
        Subject(name: "x", groups: [Subject.masters, Subject.unauthenticated], door: .https),
        [false, false, false, false]
      ),
    ]
    for (subject, wanted) in rows {
      let got = [jobs, review, discovery, .session].map { core.authorize(subject, $0) == .allowed }
      #expect(got == wanted, "\(subject)")
    }
  }

  @Test("an agent's session that its subject may not open is closed, and nothing it says is heard")
  func session() throws {
    var harness = try FleetHarness()
    let agent = FakeAgent("a")
    harness.step([
      .sessionOpened(agent.session, by: Self.eve), .agent(agent.session, .register(agent.registration)),
    ])
    let isClosed = harness.effects.contains {
      if case .closeSession(agent.session, let reason) = $0 {
        reason.contains("User \"eve\" cannot create resource \"nodes/session\"")
      } else {
        false
      }
    }
    #expect(isClosed)
    #expect(harness.core.state.nodes[ObjectKey(namespace: "", name: "a")] == nil)
  }

  @Test("an agent registers the node that its certificate names, and no other")
  func registration() throws {
    var harness = try FleetHarness()
    let agent = FakeAgent("a")
    for (subject, isRefused) in [(Subject.agent(of: "b"), true), (.administrator, true), (.agent(of: "a"), false)] {
      let before = harness.effects.count
      harness.step([.sessionOpened(agent.session, by: subject), .agent(agent.session, .register(agent.registration))])
      let refusals = harness.effects[before...].compactMap { effect -> String? in
        if case .send(_, .refused(let text, _), _) = effect { text } else { nil }
      }
      #expect(refusals.isEmpty != isRefused, "\(subject.name): \(refusals)")
      if isRefused { #expect(refusals.first?.contains("not of node a") == true, "\(refusals)") }
      harness.step([.sessionClosed(agent.session)])
    }
    #expect(Subject(commonName: "system:node:a", organizations: []).flatMap(\.node) == nil)
    #expect(Subject(commonName: "system:node:", organizations: [Subject.nodes]).flatMap(\.node) == nil)
    #expect(Subject(commonName: "system:node:a", organizations: [Subject.nodes]).flatMap(\.node) == "a")
  }

  @Test("a certificate's name and groups become the subject; one without a name is nobody")
  func certificate() {
    let subject = Subject(commonName: "eve", organizations: ["a", "system:authenticated", "b"])
    #expect(subject?.groups == ["a", "b", "system:authenticated"] && subject?.name == "eve")
    #expect(Subject(commonName: "", organizations: ["system:masters"]) == nil)
  }
}
