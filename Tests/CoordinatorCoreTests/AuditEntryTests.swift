// What is audited: deletes, evictions and refusals, each once, of what was done and not of what was tried.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("What is audited") struct AuditEntryTests {
  private static let alice = Subject(
    name: "alice", groups: [Subject.masters, Subject.authenticated], door: .https, from: "10.0.0.9:1")
  private static let eve = Subject(name: "eve", groups: [Subject.authenticated], door: .native, from: "10.0.0.8:2")

  /// The lines that these requests leave.
  private static func lines(_ harness: inout FleetHarness, _ requests: [APIRequest], by subject: Subject)
    -> [AuditEntry]
  {
    let before = harness.effects.count
    for (number, request) in requests.enumerated() {
      var request = request
      request.subject = subject
      harness.step([.request(Int64(500 + number), request)])
    }
    return harness.effects[before...].compactMap { if case .audit(let entry) = $0 { entry } else { nil } }
  }

  private static func configMap(_ name: String) -> APIRequest {
    APIRequest(
      verb: .create, kind: .configmaps, namespace: "default",
      body: [
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name)], "data": ["a": "hidden-value"],
      ])
  }

  @Test("a delete is one line with who, from where and what; one that found nothing, a dry run and a read are none")
  func deletes() throws {
    var harness = try FleetHarness()
    var dry = APIRequest(verb: .delete, kind: .configmaps, namespace: "default", name: "c")
    dry.options.dryRun = true
    let inBody = APIRequest(
      verb: .delete, kind: .configmaps, namespace: "default", name: "c",
      body: ["kind": "DeleteOptions", "apiVersion": "v1", "dryRun": ["All"]])
    let requests = [
      Self.configMap("c"), APIRequest(verb: .get, kind: .configmaps, namespace: "default", name: "c"), dry, inBody,
      APIRequest(verb: .delete, kind: .configmaps, namespace: "default", name: "none"),
      APIRequest(verb: .delete, kind: .configmaps, namespace: "default", name: "c"),
      APIRequest(verb: .deletecollection, kind: .jobs, namespace: "default"),
    ]
    let lines = Self.lines(&harness, requests, by: Self.alice)
    let from = AuditEntry.Origin.address("10.0.0.9:1")
    #expect(
      lines == [
        AuditEntry(.delete, "delete configmaps default/c", who: "alice", from: from),
        AuditEntry(.delete, "deletecollection jobs.batch default/", who: "alice", from: from),
      ])
  }

  @Test("who enters a pod is in a line without the command; a forwarded port once by HTTP, and else at each connection")
  func entries() throws {
    var harness = try FleetHarness.joined(["a"])
    harness.addPod("p")
    func enter(_ purpose: String, _ body: JSON) -> APIRequest {
      APIRequest(verb: .connect, kind: .pods, namespace: "default", name: "p", subresource: purpose, body: body)
    }
    let forwards = [enter("portforward", ["port": 0]), enter("portforward", ["port": 80])]
    let exec = enter("exec", ["command": ["hidden-value"], "stdout": true])
    let from = AuditEntry.Origin.address("10.0.0.9:1")
    func line(_ purpose: String) -> AuditEntry {
      AuditEntry(.enter, "connect pods/\(purpose) default/p", who: "alice", from: from)
    }
    #expect(Self.lines(&harness, forwards + [exec], by: Self.alice) == [line("portforward"), line("exec")])
    var native = Self.alice
    native.door = .native
    #expect(Self.lines(&harness, Array(forwards.suffix(1)), by: native) == [line("portforward")])
  }

  @Test("who acts in another's name is in the line, and so is that name")
  func impersonated() throws {
    var harness = try FleetHarness()
    var subject = Self.alice
    subject.actor = "admin"
    let requests = [
      Self.configMap("c"), APIRequest(verb: .delete, kind: .configmaps, namespace: "default", name: "c"),
    ]
    #expect(Self.lines(&harness, requests, by: subject).map(\.who) == ["admin as alice"])
  }

  @Test("what is refused is a line in the words of the refusal, and nothing of a body is in any")
  func refusals() throws {
    var harness = try FleetHarness()
    let requests = [
      Self.configMap("c"), APIRequest(verb: .delete, kind: .pods, namespace: "default", name: "p"),
      APIRequest(verb: .list, kind: .secrets, namespace: "default"),
    ]
    let lines = Self.lines(&harness, requests, by: Self.eve)
    #expect(lines.count == 3)
    for line in lines {
      #expect(line.deed == .refusal && line.who == "eve" && line.from == .address("10.0.0.8:2"))
      #expect(line.what.contains("is forbidden: User \"eve\" cannot ") && !line.what.contains("hidden-value"))
    }
  }

  @Test("an eviction is a delete, and the line leaves only with the commit of what it tells")
  func order() throws {
    var harness = try FleetHarness()
    _ = Self.lines(&harness, [Self.configMap("c")], by: Self.alice)
    var request = APIRequest(verb: .delete, kind: .configmaps, namespace: "default", name: "c")
    request.subject = Self.alice
    let before = harness.effects.count
    harness.step([.request(700, request)])
    let said = harness.effects[before...]
    let line = try #require(said.firstIndex { if case .audit = $0 { true } else { false } })
    let gone = try #require(said.firstIndex { if case .persist(let write) = $0 { write.value == nil } else { false } })
    #expect(gone < line)
    let evict = APIRequest(
      verb: .create, kind: .pods, namespace: "default", name: "p", subresource: "eviction",
      body: ["apiVersion": "policy/v1", "kind": "Eviction", "metadata": ["name": "p"]])
    let pod: JSON = [
      "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "p"],
      "spec": ["containers": [["name": "c", "image": "i", "command": ["true"]]]],
    ]
    let lines = Self.lines(
      &harness, [APIRequest(verb: .create, kind: .pods, namespace: "default", body: pod), evict], by: Self.alice)
    #expect(lines.map(\.what) == ["create pods/eviction default/p"] && lines.first?.deed == .delete)
  }
}
