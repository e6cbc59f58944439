// Owns: tests of metrics.k8s.io in the core: who is asked, who waits, what is shown, and what is not known any more.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite struct FleetUsageTests {
  /// Two nodes that can tell, and a pod that runs on one of them.
  private func harness(tells: Bool = true) throws -> (FleetHarness, AttemptNumber, String) {
    var harness = try FleetHarness.joined(["a", "b"]) { agent in
      if tells {
        agent.conditions = [
          Condition(
            type: LimitAbilities.condition, status: "True", reason: "r", message: "",
            lastTransition: WallTime(nanoseconds: 0))
        ]
      }
    }
    harness.addPod("p")
    let attempt = try #require(harness.attempt(of: "p"))
    let node = try #require(harness.pod("p")?.nodeName)
    var status = PodStatus()
    status.phase = .running
    let report = AttemptReport(attempt: attempt, revision: 1, status: status)
    harness.step([.agent(try #require(harness.agents[node]?.session), .reports([report]))])
    return (harness, attempt, node)
  }

  private func request(
    _ kind: Kind, _ name: String = "", namespace: String = "default", verb: APIVerb? = nil, form: AnswerForm = .object
  ) -> APIRequest {
    var request = APIRequest(
      verb: verb ?? (name.isEmpty ? .list : .get), kind: kind, namespace: namespace, name: name, form: form)
    request.subject = .administrator
    request.group = MetricsGroup.name
    return request
  }

  private func done(_ harness: FleetHarness, _ id: RequestID) -> (code: Int, object: JSON, items: [JSON])? {
    var items: [JSON] = []
    for case .reply(id, let reply) in harness.effects {
      if case .items(let more) = reply { items += more }
      if case .done(let code, let object, _) = reply { return (code, object, items) }
    }
    return nil
  }

  /// How many questions agents have got so far.
  private func asked(_ harness: FleetHarness) -> Int {
    harness.effects.filter { if case .send(_, .measure, _) = $0 { true } else { false } }.count
  }

  private func usage(_ attempts: [AttemptNumber]) -> UsageReport {
    UsageReport(
      node: Usage(cpu: 1_500_000_000, memory: 3 << 20),
      pods: attempts.map { AttemptUsage(attempt: $0, containers: ["c": Usage(cpu: 250_000_000, memory: 2 << 20)]) },
      windowMilliseconds: 1_000)
  }

  private func say(_ harness: inout FleetHarness, _ node: String, _ report: UsageReport) throws {
    harness.step([.agent(try #require(harness.agents[node]?.session), .usage(report))])
  }

  @Test("the first question waits until every node has told, and goes to each")
  func first() throws {
    var (harness, attempt, node) = try harness()
    harness.step([.request(7, request(.pods))])
    #expect(asked(harness) == 2 && done(harness, 7) == nil)
    harness.step([.request(8, request(.nodes))])
    try say(&harness, node == "a" ? "b" : "a", usage([attempt]))
    #expect(done(harness, 7) == nil)
    try say(&harness, node, usage([attempt]))
    let pods = try #require(done(harness, 7))
    #expect(pods.object["kind"] == "PodMetricsList" && pods.object["apiVersion"] == "metrics.k8s.io/v1beta1")
    #expect(pods.items.count == 1)
    let pod = try #require(pods.items.first)
    #expect(pod[path: ["metadata", "name"]] == "p" && pod["window"] == "1s")
    let amounts: JSON = ["cpu": "250000000n", "memory": "2048Ki"]
    #expect(pod["containers"] == [["name": "c", "usage": amounts]])
    let nodes = try #require(done(harness, 8))
    #expect(nodes.items.compactMap { $0["usage"]?["cpu"]?.stringValue } == ["1500000000n", "1500000000n"])
    let before = asked(harness)
    harness.step([.request(9, request(.pods, "p"))])
    #expect(asked(harness) == before && done(harness, 9)?.object["containers"] == pod["containers"])
  }

  @Test("who waits for a node that does not tell gets what there is, in three seconds")
  func silent() throws {
    var (harness, attempt, node) = try harness()
    harness.step([.request(7, request(.pods, "p")), .request(8, request(.pods))])
    try say(&harness, node, usage([attempt]))
    harness.pass(2_500, beating: ["a", "b"])
    #expect(done(harness, 7) == nil)
    harness.pass(1_000, beating: ["a", "b"])
    #expect(done(harness, 7)?.code == 200 && done(harness, 8)?.items.count == 1)
  }

  @Test("who asks again while a node does not tell asks nobody twice, and a node that came since is asked alone")
  func again() throws {
    var (harness, _, _) = try harness()
    for id in 7...20 as ClosedRange<RequestID> { harness.step([.request(id, request(.nodes))]) }
    #expect(asked(harness) == 2)
    var agent = FakeAgent("c")
    agent.conditions = [
      Condition(
        type: LimitAbilities.condition, status: "True", reason: "r", message: "",
        lastTransition: WallTime(nanoseconds: 0))
    ]
    harness.join(agent)
    for id in 21...30 as ClosedRange<RequestID> { harness.step([.request(id, request(.nodes))]) }
    #expect(asked(harness) == 3)
    for node in ["a", "b"] { try say(&harness, node, usage([])) }
    #expect(done(harness, 7) == nil)
    try say(&harness, "c", usage([]))
    #expect(done(harness, 7)?.items.count == 3 && done(harness, 30)?.items.count == 3)
  }

  @Test("nobody waits for a node whose agent has gone")
  func gone() throws {
    var (harness, _, _) = try harness()
    harness.step([.request(7, request(.nodes))])
    try say(&harness, "a", usage([]))
    harness.step([.sessionClosed(try #require(harness.agents["b"]?.session))])
    harness.step([.request(8, request(.nodes))])
    #expect(done(harness, 8)?.items.count == 1)
  }

  @Test("of a pod that nothing is known of the answer is metrics-server's, and a missing one is missing")
  func unknown() throws {
    var (harness, _, _) = try harness()
    for node in ["a", "b"] { try say(&harness, node, usage([])) }
    harness.step([
      .request(7, request(.pods, "p")), .request(8, request(.pods, "gone")),
      .request(9, request(.nodes, "a", namespace: "")),
    ])
    let none = try #require(done(harness, 7))
    #expect(none.code == 404 && none.object["message"] == "podmetrics.metrics.k8s.io \"default/p\" not found")
    #expect(done(harness, 8)?.code == 404 && done(harness, 9)?.code == 200)
  }

  @Test("agents that do not know the question are not asked, and nobody waits for them")
  func old() throws {
    var (harness, _, _) = try harness(tells: false)
    harness.step([.request(7, request(.nodes))])
    #expect(asked(harness) == 0 && done(harness, 7)?.items.isEmpty == true)
  }

  @Test("a node tells of its own attempts alone, and what is old is not shown")
  func foreign() throws {
    var (harness, attempt, node) = try harness()
    try say(&harness, node == "a" ? "b" : "a", usage([attempt]))
    try say(&harness, node, usage([]))
    harness.step([.request(7, request(.pods))])
    #expect(done(harness, 7)?.items.isEmpty == true)
    try say(&harness, node, usage([attempt]))
    harness.step([.request(8, request(.pods))])
    #expect(done(harness, 8)?.items.count == 1)
    harness.pass(50_000, beating: ["a", "b"])
    let before = asked(harness)
    harness.step([.request(9, request(.pods))])
    #expect(asked(harness) == before + 2 && done(harness, 9) == nil)
  }

  @Test("it is read alone, by those who may, and also as a table and by the native protocol's word")
  func access() throws {
    var (harness, attempt, _) = try harness()
    for node in ["a", "b"] { try say(&harness, node, usage([attempt])) }
    for (number, verb) in [APIVerb.watch, .create, .delete, .patch].enumerated() {
      harness.step([.request(Int64(20 + number), request(.pods, "p", verb: verb))])
      #expect(done(harness, Int64(20 + number))?.code == 405, "\(verb)")
    }
    var stranger = request(.pods)
    stranger.subject = Subject(name: "eve", groups: [Subject.authenticated], door: .https)
    harness.step([.request(8, stranger), .request(9, request(.pods, form: .table))])
    #expect(done(harness, 8)?.code == 403)
    #expect(done(harness, 9)?.items.first?["cells"] == ["p", "250000000n", "2048Ki", "1s"])
    var native = APIRequest(verb: .list, kind: .pods, subresource: MetricsGroup.part)
    native.subject = .administrator
    harness.step([.request(10, native)])
    #expect(done(harness, 10)?.items.count == 1)
  }
}
