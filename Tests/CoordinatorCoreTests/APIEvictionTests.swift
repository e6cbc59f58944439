// pods/eviction: the answer, the condition it leaves, and what it takes from its deleteOptions.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("eviction") struct APIEvictionTests {
  private func eviction(_ name: String, _ deletion: JSON? = nil) -> JSON {
    var body: JSON = ["apiVersion": "policy/v1", "kind": "Eviction", "metadata": ["name": .string(name)]]
    if let deletion { body["deleteOptions"] = deletion }
    return body
  }

  private func request(_ name: String, _ body: JSON?, _ change: (inout APIOptions) -> Void = { _ in }) -> APIRequest {
    var options = APIOptions()
    change(&options)
    return APIRequest(
      verb: .create, kind: .pods, namespace: "default", name: name, subresource: "eviction", options: options,
      body: body)
  }

  private func answer(_ harness: FleetHarness, _ id: RequestID) -> (code: Int, object: JSON)? {
    for case .reply(id, .done(let code, let object, _)) in harness.effects { return (code, object) }
    return nil
  }

  @Test("a running pod is marked, ends within its grace, and the answer is a Status with code 201")
  func running() throws {
    var harness = try FleetHarness()
    harness.join(FakeAgent("a"))
    harness.addPod("p")
    harness.report("a", 1, revision: 1, .running)
    harness.step([.request(900, request("p", eviction("p", ["gracePeriodSeconds": 7])))])
    #expect(
      answer(harness, 900)?.object == [
        "kind": "Status", "apiVersion": "v1", "metadata": .object(JSONObject()), "status": "Success", "code": 201,
      ])
    let pod = try #require(harness.pod("p"))
    #expect(pod.meta.deletionGracePeriodSeconds == 7)
    let condition = try #require(pod.status.condition("DisruptionTarget"))
    #expect(condition.isTrue && condition.reason == "EvictionByEvictionAPI")
    #expect(condition.message == "Eviction API: evicting")
    #expect(harness.agents["a"]?.desired == [1: .stop(graceMilliseconds: 7_000)])
    // Evicting again changes nothing.
    harness.step([.request(901, request("p", eviction("p")))])
    #expect(answer(harness, 901)?.code == 201)
    #expect(harness.pod("p")?.meta.deletionGracePeriodSeconds == 7)
    #expect(harness.problems().isEmpty)
  }

  @Test("a pod that is still starting, one that has ended and one that goes already are marked as one that runs is")
  func everyPhase() throws {
    var harness = try FleetHarness()
    harness.join(FakeAgent("a"))
    for name in ["starting", "ended", "going"] { harness.addPod(name) }
    for name in ["ended", "going"] {
      harness.core.update(ObjectReference(kind: .pods, key: ObjectKey(namespace: "default", name: name))) {
        $0.meta.finalizers = ["example.com/hold"]
      }
    }
    harness.report("a", try #require(harness.attempt(of: "ended")), revision: 1, .succeeded)
    harness.core.deletePod(ObjectKey(namespace: "default", name: "going"), graceSeconds: 30)
    harness.step([])
    for (index, name) in ["starting", "ended", "going"].enumerated() {
      harness.step([.request(RequestID(910 + index), request(name, eviction(name)))])
      #expect(answer(harness, RequestID(910 + index))?.code == 201)
      #expect(harness.pod(name)?.status.condition("DisruptionTarget")?.reason == "EvictionByEvictionAPI", "\(name)")
      #expect(harness.pod(name)?.meta.deletionTimestamp != nil)
    }
  }

  @Test("a Job whose policy ignores disruptions does not count a pod that was evicted while it started")
  func ignoredWhileStarting() throws {
    var harness = try FleetHarness()
    harness.join(FakeAgent("a"))
    let rule: JSON = ["action": "Ignore", "onPodConditions": [["type": "DisruptionTarget", "status": "True"]]]
    let job = Manifest.job("j", spec: ["backoffLimit": 0, "podFailurePolicy": ["rules": [rule]]])
    harness.step([.request(920, APIRequest(verb: .create, kind: .jobs, namespace: "default", body: job))])
    let name = try #require(harness.core.state.keys(of: .pods).first?.name)
    let attempt = try #require(harness.attempt(of: name))
    harness.step([.request(921, request(name, eviction(name)))])
    harness.report("a", attempt, revision: 1, .failed)
    harness.pass(15_000, beating: ["a"])
    let status = try #require(harness.core.state.jobs[ObjectKey(namespace: "default", name: "j")]).status
    #expect(status.failed == 0 && status.finishedCondition == nil && status.active == 1)
  }

  @Test("a pod that waits goes at once; a missing one is 404")
  func waiting() throws {
    let harness = try APIHarness()
    harness.create(.pods, Manifest.pod("p"))
    let dry = harness.ask(request("p", eviction("p")) { $0.dryRun = true })
    #expect(dry.code == 201)
    #expect(harness.ask(request("p", eviction("p", ["dryRun": ["All"]]))).code == 201)
    #expect(harness.get(.pods, "p").object[path: ["metadata", "deletionTimestamp"]] == nil)
    #expect(harness.ask(request("p", eviction("p"))).code == 201)
    let gone = harness.ask(request("p", eviction("p")))
    #expect(gone.code == 404 && gone.message == "pods \"p\" not found")
  }

  @Test("the name must be the URL's, preconditions hold, other types and unknown fields are refused")
  func refusals() throws {
    let harness = try APIHarness()
    harness.create(.pods, Manifest.pod("p"))
    #expect(harness.ask(request("p", eviction("q"))).message == "name in URL does not match name in Eviction object")
    #expect(harness.ask(request("p", eviction("p", ["preconditions": ["uid": "other"]]))).code == 409)
    #expect(harness.ask(request("p", eviction("p", ["gracePeriodSeconds": "x"]))).code == 400)
    #expect(harness.ask(request("p", nil)).code == 400)
    #expect(harness.ask(request("p", ["kind": "Pod", "apiVersion": "v1"])).code == 400)
    var unknown = eviction("p")
    unknown["pods"] = 1
    let strict = harness.ask(request("p", unknown) { $0.fieldValidation = "Strict" })
    #expect(strict.code == 400 && strict.message.hasSuffix("strict decoding error: unknown field \"pods\""))
    #expect(harness.get(.pods, "p").code == 200)
    var read = request("p", nil)
    read.verb = .get
    #expect(harness.ask(read).code == 405)
    var ofJob = request("p", eviction("p"))
    ofJob.kind = .jobs
    #expect(harness.ask(ofJob).code == 404)
  }
}
